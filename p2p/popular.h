/* How often a blob is wanted: counters that halve every half-life. Pure, integers only, so that
 * every machine counts the same. */
#ifndef P2P_POPULAR_H
#define P2P_POPULAR_H

#include "base/must.h"

#define POPULAR_BURST_MS (10 * 60 * 1000)
#define POPULAR_BASE_MS  (24 * 60 * 60 * 1000)
#define POPULAR_ONE      65536u /* one request */
#define POPULAR_SHARE    2      /* a holder gives 1 / POPULAR_SHARE of its upload to one blob */
#define POPULAR_TWO_AT   (3 * POPULAR_ONE) /* daily counter from which two copies are kept */

struct popular {
    uint64_t burst, base; /* in POPULAR_ONE, as of at_ms */
    int64_t at_ms;
};

/* value * 2^(-age / half_life) */
uint64_t popular_decay(uint64_t value, int64_t age_ms, int64_t half_life_ms);
/* A node that had not asked for it before wants it. */
void popular_hit(struct popular *p, int64_t now_ms);
uint64_t popular_burst(const struct popular *p, int64_t now_ms);
uint64_t popular_base(const struct popular *p, int64_t now_ms);
/* Copies that the site should hold: enough to upload what is asked for, at least two of what is
 * wanted every day, at most `nodes`. upload: bytes/s of one node. */
unsigned popular_replicas(const struct popular *p, int64_t now_ms, uint64_t size, uint64_t upload,
                          unsigned nodes);

#endif
