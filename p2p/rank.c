/* Throughput estimate and source choice; the formulas stand in rank.h. */
#include "p2p/rank.h"
#include "p2p/tuning.h"

#include <string.h>

#define MS_PER_S 1000
#define US_PER_S 1000000
#define MIB      1048576u

/* a * b / c, and a large number where it does not fit: sizes come from the network. */
static uint64_t
scale(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t product;
    uint64_t ret = __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product / c;

    return ret < RANK_ETA_US_MAX ? ret : RANK_ETA_US_MAX;
}

void
rank_init(struct rank *r)
{
    memset(r, 0, sizeof *r);
}

void
rank_good(struct rank *r, int64_t now_ms, uint32_t bytes, uint32_t service_us)
{
    if (tuning.no_window)
        r->next = r->count = 0;
    r->samples[r->next] = (struct rank_sample){now_ms, bytes, service_us > 0 ? service_us : 1};
    r->next = (r->next + 1) % RANK_BLOCKS;
    if (r->count < RANK_BLOCKS)
        r->count++;
    r->fails_in_a_row = 0;
    if (r->halvings > 0)
        r->halvings--;
}

void
rank_bad(struct rank *r, int64_t now_ms)
{
    if (r->halvings < 16) /* 2^16 slower is as good as never asked */
        r->halvings++;
    r->fails_in_a_row++;
    if (r->fails_in_a_row < RANK_FAIL_MAX)
        return;
    unsigned doublings = r->fails_in_a_row - RANK_FAIL_MAX;
    int64_t wait_ms =
        doublings < 6 ? (int64_t)RANK_QUARANTINE_MS << doublings : RANK_QUARANTINE_MS_MAX;
    rank_block(r, now_ms + wait_ms);
}

void
rank_block(struct rank *r, int64_t until_ms)
{
    if (until_ms > r->blocked_until_ms)
        r->blocked_until_ms = until_ms;
}

bool
rank_usable(const struct rank *r, int64_t now_ms)
{
    return now_ms >= r->blocked_until_ms;
}

uint64_t
rank_rate(const struct rank *r, int64_t now_ms)
{
    uint64_t bytes = 0, service_us = 0;
    for (unsigned i = 0; i < r->count; i++) {
        const struct rank_sample *s = &r->samples[i];
        if (now_ms - s->at_ms > RANK_AGE_MS)
            continue;
        bytes += s->bytes;
        service_us += s->service_us;
    }
    uint64_t rate = service_us == 0 ? RANK_RATE_UNKNOWN : bytes * US_PER_S / service_us;
    rate >>= r->halvings;
    return rate > 0 ? rate : 1;
}

int64_t
rank_eta_us(const struct rank *r, int64_t now_ms, uint64_t len)
{
    uint64_t bytes;
    if (__builtin_add_overflow(r->inflight_bytes, len, &bytes))
        bytes = UINT64_MAX;
    return (int64_t)scale(bytes, US_PER_S, rank_rate(r, now_ms));
}

int
rank_choose(const struct rank *const *sources, const uint32_t *price_milli, size_t count,
            int64_t now_ms, uint64_t len)
{
    int best = -1;
    uint64_t best_cost = 0;
    for (size_t i = 0; i < count; i++) {
        if (!rank_usable(sources[i], now_ms))
            continue;
        /* Both terms in millionths: one MiB from a registry weighs as much as one second. */
        uint64_t price = scale((uint64_t)price_milli[i] * MS_PER_S, len, MIB);
        uint64_t cost = price + (uint64_t)rank_eta_us(sources[i], now_ms, len);
        if (best < 0 || cost < best_cost) {
            best = (int)i;
            best_cost = cost;
        }
    }
    return best;
}
