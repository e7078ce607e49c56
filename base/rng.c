/* xoshiro256** (Blackman, Vigna 2018) for decisions, the kernel for secrets. */
#include "base/rng.h"
#include <errno.h>
#include <sys/random.h>

/* splitmix64 spreads one seed over the state, which then is never all zero. */
static uint64_t
spread(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t
rotate(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

void
rng_init(struct rng *r, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(r->state); i++)
        r->state[i] = spread(&seed);
}

uint64_t
rng_next(struct rng *r)
{
    uint64_t *s = r->state;
    uint64_t ret = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return ret;
}

uint64_t
rng_below(struct rng *r, uint64_t limit)
{
    must(limit > 0);
    /* Values under 2^64 mod limit are drawn again, so that none is favoured. */
    uint64_t unfair = -limit % limit;
    uint64_t v = rng_next(r);

    while (v < unfair)
        v = rng_next(r);
    return v % limit;
}

int64_t
rng_jitter(struct rng *r, int64_t base, int percent)
{
    must(base >= 0 && percent >= 0 && percent <= 100);
    must(base <= INT64_MAX / 2);
    int64_t span = base / 100 * percent + base % 100 * percent / 100;

    return base - span + (int64_t)rng_below(r, (uint64_t)span * 2 + 1);
}

void
rng_secret(void *ret_bytes, size_t len)
{
    uint8_t *at = ret_bytes;

    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        must(n > 0);
        at += n;
        len -= (size_t)n;
    }
}
