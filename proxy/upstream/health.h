/* Which registries answer at present, for promises that need them. Any thread. */
#ifndef PROXY_HEALTH_H
#define PROXY_HEALTH_H

#include "base/lock.h"

#define HEALTH_HOSTS_MAX 256   /* more registries than that: the oldest news goes */
#define HEALTH_TOLD_MS   60000 /* how long people are told of a failure */
/* How long nobody else tries after a failure; doubles with each try that fails, so that a registry
 * that is back is found soon and one that stays away costs few requests. */
#define HEALTH_DOWN_MS     1000
#define HEALTH_DOWN_MAX_MS 16000
#define HEALTH_SLOW_MS     600000

struct health {
    struct lock lock;
    struct health_host *hosts; /* lock: HEALTH_HOSTS_MAX of them */
};

void health_init(struct health *h);
void health_release(struct health *h);
void health_good(struct health *h, const char *host, int64_t now_ms);
void health_failed(struct health *h, const char *host, int64_t now_ms);
void health_waits(struct health *h, const char *host, int64_t now_ms, int64_t until_ms);
/* It sends all when it is asked for a part, and is believed to until then; 0: it does not. */
void health_no_ranges(struct health *h, const char *host, int64_t now_ms, int64_t until_ms);
bool health_sends_ranges(struct health *h, const char *host, int64_t now_ms);
/* An answer of it began so late: for HEALTH_SLOW_MS its answers are waited for as a client would.
 */
void health_slow(struct health *h, const char *host, int64_t now_ms, int64_t late_ms);
/* 0: it is not known to be late. */
int64_t health_late_ms(struct health *h, const char *host, int64_t now_ms);
/* It failed just now or asked to wait: what needs it should not be promised. */
bool health_is_down(struct health *h, const char *host, int64_t now_ms);
/* As people see it: the last contact within the last minute failed, or it is down. */
bool health_is_failing(struct health *h, const char *host, int64_t now_ms);

#endif
