/* How fast a source is, and which one to ask: pure, no clock, no allocation.
 *
 * hm_s  = sum of bytes / sum of service time over the last RANK_BLOCKS samples, at most
 *         RANK_AGE_MS old: the byte-weighted harmonic mean, which outliers disturb little.
 * ETA_s = (inflight_s + len) / rate_s; a sample's service time has the round trip in it
 * cost  = PRICE_s * len / 1 MiB + ETA_s in seconds; the least cost wins.
 * A source without samples gets the rate RANK_RATE_UNKNOWN. Each failure halves hm_s;
 * RANK_FAIL_MAX in a row quarantine the source for RANK_QUARANTINE_MS * 2^k. */
#ifndef P2P_RANK_H
#define P2P_RANK_H

#include "base/must.h"

#define RANK_BLOCKS            16
#define RANK_AGE_MS            10000
#define RANK_RATE_UNKNOWN      4194304u /* bytes/s */
#define RANK_FAIL_MAX          3
#define RANK_QUARANTINE_MS     2000
#define RANK_QUARANTINE_MS_MAX 128000

/* What one source has shown so far. Owned by one thread. */
struct rank {
    struct rank_sample {
        int64_t at_ms;
        uint32_t bytes;
        uint32_t service_us;
    } samples[RANK_BLOCKS];
    unsigned next, count;
    uint64_t inflight_bytes;
    unsigned fails_in_a_row;
    unsigned halvings;        /* failures that still weigh on the estimate */
    int64_t blocked_until_ms; /* quarantine or Retry-After */
};

void rank_init(struct rank *r);
void rank_good(struct rank *r, int64_t now_ms, uint32_t bytes, uint32_t service_us);
void rank_bad(struct rank *r, int64_t now_ms);
/* The source itself asked to be left alone (Retry-After). */
void rank_block(struct rank *r, int64_t until_ms);
bool rank_usable(const struct rank *r, int64_t now_ms);
uint64_t rank_rate(const struct rank *r, int64_t now_ms); /* bytes/s, at least 1 */
/* Saturates at RANK_ETA_US_MAX, whatever is in flight. */
#define RANK_ETA_US_MAX (INT64_MAX / 4)
int64_t rank_eta_us(const struct rank *r, int64_t now_ms, uint64_t len);
/* Index of the source of least cost among usable ones, or -1. prices: per MiB, thousandths. */
int rank_choose(const struct rank *const *sources, const uint32_t *price_milli, size_t count,
                int64_t now_ms, uint64_t len);

#endif
