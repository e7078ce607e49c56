/* A token bucket. */
#include "base/throttle.h"

static uint64_t
burst(const struct throttle *t)
{
    uint64_t bytes = t->rate / 1000 * THROTTLE_BURST_MS + t->rate % 1000 * THROTTLE_BURST_MS / 1000;
    return bytes > 0 ? bytes : 1;
}

static size_t
step(const struct throttle *t)
{
    uint64_t bytes = burst(t) / 2;
    if (bytes >= THROTTLE_STEP_MAX)
        return THROTTLE_STEP_MAX;
    return bytes > 0 ? (size_t)bytes : 1;
}

void
throttle_set(struct throttle *t, uint64_t rate, int64_t now_us)
{
    *t = (struct throttle){.rate = rate, .at_us = now_us};
}

/* Time that is too short for a byte is left for the next turn. */
static void
refill(struct throttle *t, int64_t now_us)
{
    uint64_t us = now_us > t->at_us ? (uint64_t)(now_us - t->at_us) : 0;
    uint64_t most_us = (uint64_t)THROTTLE_BURST_MS * 1000;
    if (us > most_us && t->rate >= 1000000 / most_us) {
        t->bytes = burst(t);
        t->at_us = now_us;
        return;
    }
    uint64_t came = us * t->rate / 1000000;
    if (came == 0)
        return;
    t->at_us += (int64_t)((came * 1000000 + t->rate - 1) / t->rate); /* never counted twice */
    t->bytes = t->bytes + came < burst(t) ? t->bytes + came : burst(t);
}

size_t
throttle_take(struct throttle *t, size_t wanted, int64_t now_us, int64_t *ret_wait_ms)
{
    *ret_wait_ms = 0;
    if (t->rate == 0)
        return wanted < THROTTLE_STEP_MAX ? wanted : THROTTLE_STEP_MAX;
    refill(t, now_us);
    size_t least = wanted < step(t) ? wanted : step(t);
    if (t->bytes < least) {
        *ret_wait_ms = (int64_t)((least - t->bytes) * 1000 / t->rate) + 1;
        return 0;
    }
    size_t most = THROTTLE_STEP_MAX < t->bytes ? THROTTLE_STEP_MAX : (size_t)t->bytes;
    size_t taken = wanted < most ? wanted : most;
    t->bytes -= taken;
    return taken;
}

int64_t
throttle_book(struct throttle *t, size_t len, int64_t now_us)
{
    if (t->rate == 0)
        return 0;
    refill(t, now_us);
    if (t->bytes >= len) {
        t->bytes -= len;
        return 0;
    }
    uint64_t missing = len - t->bytes;
    t->bytes = 0;
    t->at_us += (int64_t)((missing * 1000000 + t->rate - 1) / t->rate);
    return t->at_us > now_us ? (t->at_us - now_us + 999) / 1000 : 0;
}
