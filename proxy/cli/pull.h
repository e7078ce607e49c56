/* What `peersync pull` is made of: pull.c finds the blobs, pull_blobs.c gets them,
 * pull_screen.c shows it. One thread. */
#ifndef PROXY_PULL_H
#define PROXY_PULL_H

#include "base/clock.h"
#include "base/digest.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/image.h"

#define PULL_BLOBS_MAX 4096 /* of one command; an image has about ten */

enum pull_state { PULL_WAITING, PULL_CACHED, PULL_RUNNING, PULL_DONE, PULL_FAILED };

struct pull_blob {
    char digest[DIGEST_TEXT_MAX];
    char host[IMAGE_PART_MAX], repository[IMAGE_PART_MAX]; /* through which it is asked */
    uint64_t size;
    uint64_t have; /* received by this command */
    enum pull_state state;
    unsigned attempts;
    int64_t started_ms, ended_ms;
    char why[160]; /* FAILED */
};

struct pull {
    const struct cli *cli;
    char node[CLI_ADDRESS_MAX]; /* registry API */
    struct pull_blob *blobs;
    size_t count;
    int64_t started_ms;
    char began[CLOCK_TEXT_MAX]; /* started_ms on the wall clock */
    cJSON *known;               /* what the node knew of the images before we asked for them */
};

/* Gets all that is WAITING. `tick` is called about ten times a second and at each end. */
CHECKED int pull_blobs(struct pull *p, void (*tick)(void *arg, const struct pull_blob *ended),
                       void *arg);
/* The message of an OCI error body, or what the status says. */
void pull_error_text(const char *body, size_t len, long status, char *ret, size_t cap);

struct pull_screen;
struct pull_screen *pull_screen_open(const struct pull *p);
void pull_screen_tick(void *screen, const struct pull_blob *ended);
void pull_screen_close(struct pull_screen *s); /* the last picture stays */

#endif
