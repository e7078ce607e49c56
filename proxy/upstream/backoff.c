/* Back-off of a registry and the budget of retries. */
#include "proxy/upstream/backoff.h"

#define JITTER_PERCENT       20
#define RETRY_JITTER_PERCENT 50 /* nodes of a site that failed together come back apart */

int64_t
backoff_retry_ms(struct rng *r, unsigned k)
{
    int64_t base = RETRY_BASE_MS;
    while (k-- > 0 && base < RETRY_MAX_MS)
        base *= 2;
    if (base > RETRY_MAX_MS)
        base = RETRY_MAX_MS;
    return rng_jitter(r, base, RETRY_JITTER_PERCENT);
}

void
backoff_wait(struct backoff *b, struct rng *r, int64_t now_ms, int64_t wait_ms)
{
    if (wait_ms <= 0) {
        int64_t base = BACKOFF_FIRST_MS;
        for (unsigned i = 0; i < b->doublings && base < BACKOFF_MAX_MS; i++)
            base *= 2;
        wait_ms = rng_jitter(r, base < BACKOFF_MAX_MS ? base : BACKOFF_MAX_MS, JITTER_PERCENT);
        b->doublings++;
    } else if (wait_ms > BACKOFF_ASKED_MAX_MS) {
        wait_ms = BACKOFF_ASKED_MAX_MS;
    }
    if (now_ms + wait_ms > b->until_ms)
        b->until_ms = now_ms + wait_ms;
}

void
backoff_good(struct backoff *b)
{
    b->doublings = 0;
}

bool
backoff_active(const struct backoff *b, int64_t now_ms)
{
    return now_ms < b->until_ms;
}

void
budget_init(struct budget *b)
{
    b->tenths = BUDGET_BURST * 10;
}

void
budget_earn(struct budget *b)
{
    if (b->tenths + BUDGET_PER_REQUEST_TENTHS <= BUDGET_BURST * 10)
        b->tenths += BUDGET_PER_REQUEST_TENTHS;
}

bool
budget_take(struct budget *b)
{
    if (b->tenths < 10)
        return false;
    b->tenths -= 10;
    return true;
}
