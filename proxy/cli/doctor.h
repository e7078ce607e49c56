/* What the parts of `peersync doctor` share. One thread. */
#ifndef PROXY_CLI_DOCTOR_H
#define PROXY_CLI_DOCTOR_H

#include "proxy/cli/cli.h"
#include "proxy/settings.h"
#include <curl/curl.h>

#define DOCTOR_BODY_MAX 256
#define DOCTOR_MS       5000L /* for an answer of a registry or of the daemon */

enum doctor_verdict { DOCTOR_GOOD, DOCTOR_WARNING, DOCTOR_BAD };

struct doctor {
    const struct cli *cli;
    struct settings *settings;
    bool answers; /* the daemon does */
    cJSON *list;  /* of -o json */
    unsigned bad, warnings;
};

/* One line: what was looked at, how it is, and what to do about it. */
PRINTF(4, 5)
void doctor_tell(struct doctor *d, enum doctor_verdict v, const char *what, const char *fmt, ...);

struct doctor_seen {
    long status;
    CURLcode code;
    int64_t date_s;              /* of the answer's Date, or -1 */
    char body[DOCTOR_BODY_MAX];  /* its first line */
    char error[CURL_ERROR_SIZE]; /* why there is no answer, "" when there is one */
};

/* Asks within wait_ms. ca: a file of certificates to trust, "" for the machine's. Proxies of the
 * environment hold for registries, never for ourselves (own). */
struct doctor_seen doctor_look(const char *url, const char *ca, bool own, long wait_ms);
/* Somebody listens there, whatever it speaks. */
bool doctor_listens(const char *address);
/* The service could not use what has that owner: it has a user of its own and did not start. */
bool doctor_wrong_owner(const struct doctor *d, uid_t owner);

/* The parts, in the order in which a pull needs them. */
void doctor_daemon(struct doctor *d);
void doctor_swarm(struct doctor *d);
void doctor_runtimes(struct doctor *d);
void doctor_cache(struct doctor *d);
void doctor_registries(struct doctor *d);

#endif
