/* How long to wait before trying again, and how often at all. Pure. */
#ifndef PROXY_BACKOFF_H
#define PROXY_BACKOFF_H

#include "base/rng.h"

#define RETRY_BASE_MS             50     /* before the first retry; doubles each time */
#define RETRY_MAX_MS              2000   /* longest pause between two tries */
#define BACKOFF_FIRST_MS          1000   /* a registry that says "later" without a time */
#define BACKOFF_MAX_MS            60000  /* longest wait of our own making */
#define BACKOFF_ASKED_MAX_MS      600000 /* longest wait that a registry may ask for */
#define BUDGET_BURST              10     /* retries that a quiet registry may get at once */
#define BUDGET_PER_REQUEST_TENTHS 1

/* Jittered pause before retry number k = 0, 1, ... */
int64_t backoff_retry_ms(struct rng *r, unsigned k);

/* The registry asked us to wait. All zero: it did not. */
struct backoff {
    int64_t until_ms;
    unsigned doublings;
};
/* wait_ms as the registry said, or -1: our own, doubling; so is 0, which would let us ask again at
 * once for as long as the registry says so. Never shortens a wait. */
void backoff_wait(struct backoff *b, struct rng *r, int64_t now_ms, int64_t wait_ms);
void backoff_good(struct backoff *b);
bool backoff_active(const struct backoff *b, int64_t now_ms);

/* Retries that may still be made: each request earns a tenth of one, so that retries stay a
 * small part of the traffic when everything fails. */
struct budget {
    unsigned tenths;
};
void budget_init(struct budget *b);
void budget_earn(struct budget *b);
bool budget_take(struct budget *b);

#endif
