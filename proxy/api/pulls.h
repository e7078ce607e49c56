/*
 * The image pulls of this node's clients: those that run, and the last ones that are over. A pull
 * is what one client asks of one repository without a pause of PULLS_IDLE_MS: manifests, then
 * blobs. Any thread.
 */
#ifndef PROXY_PULLS_H
#define PROXY_PULLS_H

#include "base/digest.h"
#include "cache/cache.h"
#include "proxy/api/ref.h"

#define PULLS_KEPT       32
#define PULLS_STEPS_MAX  64   /* requests of one pull that are kept; more are only counted */
#define PULLS_IDLE_MS    5000 /* a client that unpacks asks for the next blob sooner */
#define PULLS_CLIENT_MAX 48

/* What came in one request, and when. Times in ms, of which `at` is since the pull's begin. */
struct pull_step {
    bool manifest, head;
    char reference[REF_TEXT_MAX]; /* tag or digest */
    struct digest digest;         /* of a blob */
    int64_t at_ms;
    int64_t first_byte_ms; /* until the first byte, or the refusal */
    int64_t starved_ms;    /* after it: the client waited for bytes that were not here */
    int64_t took_ms;       /* all of it; what is left over is the client's own pace */
    uint64_t bytes;        /* sent */
    uint64_t from_cache;   /* of those */
    uint64_t from_bytes[BLOB_SOURCES]; /* of a blob that was not whole here: how all of it came */
    unsigned status;
    const char *source; /* static: cache, joined, upstream, passed, peer, stale ... */
    const char *why;    /* static; "" unless it was refused */
    bool complete;
};

struct pull {
    uint64_t id;                   /* 1, 2 ... in the order of their begin */
    char client[PULLS_CLIENT_MAX]; /* address */
    char agent[16];
    char repository[CACHE_NAME_MAX]; /* registry/repository */
    char reference[REF_TEXT_MAX];    /* of its first manifest; "" when it began with a blob */
    int64_t begun_wall_ms, begun_ms, last_ms;
    unsigned running; /* requests now */
    unsigned refused; /* requests that were not answered from here */
    unsigned omitted; /* steps behind PULLS_STEPS_MAX */
    uint64_t bytes, from_cache, from_bytes[BLOB_SOURCES];
    bool over;
    size_t steps_count;
    struct pull_step *steps;
};

struct pulls;

struct pulls *pulls_new(void);
void pulls_free(struct pulls *p); /* NULL is fine */

/* A request begins; returns the pull's id for its end. `ref`: of a manifest, NULL of a blob. */
uint64_t pulls_begin(struct pulls *p, const char *client, const char *agent, const char *repository,
                     const struct ref *ref, int64_t now_ms);
/* It is over. step->at_ms is set here, from its took_ms. */
void pulls_end(struct pulls *p, uint64_t id, struct pull_step *step, int64_t now_ms);

/* Copies the newest first: how many, `max` at most. Release each. */
size_t pulls_list(struct pulls *p, struct pull *ret, size_t max);
/* One pull that has just become over, each once; `closing`: all of them are. Release it. */
bool pulls_next_over(struct pulls *p, int64_t now_ms, bool closing, struct pull *ret);
void pull_release(struct pull *p);

#endif
