/* A token bucket: how many bytes may go now. Pure. */
#ifndef BASE_THROTTLE_H
#define BASE_THROTTLE_H

#include "base/must.h"

#define THROTTLE_BURST_MS 50 /* what may go at once after a rest */
/* Bytes of one turn: small enough that several uploads take turns, large enough to be cheap. */
#define THROTTLE_STEP_MAX (64u * 1024)

struct throttle {
    uint64_t rate; /* bytes/s; 0: no limit */
    uint64_t bytes;
    int64_t at_us; /* what came until then is counted; ahead of now: booked until then */
};

void throttle_set(struct throttle *t, uint64_t rate, int64_t now_us);
/* Takes up to `wanted` (> 0) bytes, but no less than a turn's worth; 0: none yet, ask again after
 * *ret_wait_ms. */
size_t throttle_take(struct throttle *t, size_t wanted, int64_t now_us, int64_t *ret_wait_ms);
/* Takes all `len` bytes on credit: ms (0: none) until they may go, for a caller that keeps them
 * meanwhile. Callers get their turns in the order in which they came. */
int64_t throttle_book(struct throttle *t, size_t len, int64_t now_us);

#endif
