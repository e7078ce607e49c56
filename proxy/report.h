/* What the node says about itself, as JSON: the same documents for the admin API and for
 * `-o json`. Any thread. */
#ifndef PROXY_REPORT_H
#define PROXY_REPORT_H

#include "base/json.h"
#include "cache/cache.h"
#include "p2p/p2p.h"
#include "proxy/api/pulls.h"
#include "proxy/settings.h"
#include "proxy/totals.h"
#include "proxy/upstream/fetch.h"

#define REPORT_BLOBS_MAX     10000 /* of one answer */
#define REPORT_TRANSFERS_MAX 256

enum report_state { REPORT_STARTING, REPORT_SERVING, REPORT_DRAINING };

/* What a report is made of. cache, fetch, pulls and before are NULL before SERVING, p2p while there
 * is no swarm. */
struct report {
    enum report_state state;
    struct settings *settings;
    struct cache *cache;
    struct fetch *fetch;
    struct pulls *pulls;
    const struct totals *before; /* of earlier runs */
    struct p2p *p2p;
    const char *listen, *admin; /* where the sockets really are; "" before they are there */
    int64_t started_ms;         /* clock_ms() */
    int64_t started_wall_s;
};

const char *report_state_text(enum report_state state);
cJSON *report_status(const struct report *r);
cJSON *report_transfers(const struct report *r);
/* Those that were used last, `limit` at most, each with why it is kept. */
cJSON *report_blobs(const struct report *r, size_t limit);
/* Its phase is "absent" when the cache does not have it. */
cJSON *report_blob_wanted(const struct report *r, const struct digest *d, uint64_t size);
/* NULL when the cache does not have it. */
cJSON *report_blob(const struct report *r, const struct digest *d);
cJSON *report_blob_info(const struct report *r, const struct blob_info *info);
/* What is known here of an image, without asking anybody: the tag, its manifests and the
 * blobs that they name. `reference` is a tag or a digest. NULL when nothing is. */
cJSON *report_image(const struct report *r, const char *host, const char *repository,
                    const char *reference);

/* Shared with report_swarm.c: what is not known is "". */
void report_add_text(cJSON *to, const char *key, const char *text);
void report_add_time(cJSON *to, const char *key, int64_t wall_s);

#endif
