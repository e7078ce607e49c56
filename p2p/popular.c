/* Halving counters. The rate that belongs to a counter c is c * ln 2 / half-life. */
#include "p2p/popular.h"

/* 2^(-1/2^k) in units of 2^-32, k = 1 .. 10: age as a fraction of the half-life in binary. */
static const uint64_t roots[] = {0xb504f334, 0xd744fccb, 0xeac0c6e8, 0xf5257d15, 0xfa83b2db,
                                 0xfd3e0c0d, 0xfe9e115c, 0xff4ecb59, 0xffa75652, 0xffd3a752};

#define LN2_MILLI 693

uint64_t
popular_decay(uint64_t value, int64_t age_ms, int64_t half_life_ms)
{
    must(half_life_ms > 0);
    if (age_ms <= 0)
        return value;
    int64_t halvings = age_ms / half_life_ms;
    if (halvings >= 64)
        return 0;
    value >>= halvings;
    int64_t rest_ms = age_ms % half_life_ms;
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        rest_ms *= 2;
        if (rest_ms < half_life_ms)
            continue;
        rest_ms -= half_life_ms;
        value = (value >> 32) * roots[i] + ((value & UINT32_MAX) * roots[i] >> 32);
    }
    return value;
}

uint64_t
popular_burst(const struct popular *p, int64_t now_ms)
{
    return popular_decay(p->burst, now_ms - p->at_ms, POPULAR_BURST_MS);
}

uint64_t
popular_base(const struct popular *p, int64_t now_ms)
{
    return popular_decay(p->base, now_ms - p->at_ms, POPULAR_BASE_MS);
}

void
popular_hit(struct popular *p, int64_t now_ms)
{
    *p = (struct popular){.burst = popular_burst(p, now_ms) + POPULAR_ONE,
                          .base = popular_base(p, now_ms) + POPULAR_ONE,
                          .at_ms = now_ms};
}

unsigned
popular_replicas(const struct popular *p, int64_t now_ms, uint64_t size, uint64_t upload,
                 unsigned nodes)
{
    /* requests/s in millionths: burst / ONE * ln 2 / half-life */
    uint64_t rate = popular_burst(p, now_ms) * LN2_MILLI * 1000 / POPULAR_ONE / POPULAR_BURST_MS;
    uint64_t mib = size / 1048576 + 1, upload_mib = upload / 1048576 + 1;
    uint64_t copies = rate * 1000 * mib * POPULAR_SHARE / (upload_mib * 1000000) + 1;
    if (copies < 2 && popular_base(p, now_ms) >= POPULAR_TWO_AT)
        copies = 2;
    return copies < nodes ? (unsigned)copies : nodes;
}
