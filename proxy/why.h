/* Why a pull took as long as it did, in one sentence. Pure. */
#ifndef PROXY_WHY_H
#define PROXY_WHY_H

#include "proxy/api/pulls.h"
#include "proxy/upstream/fetch.h"

#define WHY_TEXT_MAX 256

/* Where the time of a pull went; the parts sum up what its requests did, side by side or not. */
struct why_parts {
    int64_t took_ms;              /* from its first request to the end of its last */
    int64_t manifest_ms;          /* until manifests were answered */
    int64_t blobs_ms;             /* of requests for blobs: first byte and starving */
    int64_t client_ms;            /* of requests for blobs: the client took its time */
    int64_t idle_ms;              /* no request of it was open */
    int64_t wait_ms[FETCH_WAITS]; /* of the fetches behind those blobs */
    unsigned upstream_failures, peer_failures;
    char trouble[120]; /* the last failure at the registry */
};

/* The fetch that a step waited for, or NULL. */
const struct fetched_info *why_fetch(const struct pull *p, const struct pull_step *s,
                                     const struct fetched_info *done, size_t count);
void why_parts(const struct pull *p, const struct fetched_info *done, size_t count,
               struct why_parts *ret);
void why_text(const struct pull *p, const struct why_parts *w, char ret[WHY_TEXT_MAX]);

#endif
