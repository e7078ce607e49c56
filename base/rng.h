/* Random numbers. struct rng is a seeded generator for decisions (jitter): the
 * same seed gives the same numbers. rng_secret() asks the kernel. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "base/must.h"

struct rng {
    uint64_t state[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t limit);            /* 0 .. limit-1, limit > 0 */
int64_t rng_jitter(struct rng *r, int64_t base, int percent); /* base +- percent */
/* Kernel randomness; blocks only before the pool is ready. Any thread. */
void rng_secret(void *ret_bytes, size_t len);

#endif
