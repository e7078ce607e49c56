/* Which registries answer at present, for promises that need them. Any thread. */
#ifndef PROXY_HEALTH_H
#define PROXY_HEALTH_H

#include "base/lock.h"

#define HEALTH_HOSTS_MAX 256   /* more registries than that: the oldest news goes */
#define HEALTH_DOWN_MS   60000 /* how long a failure counts when nothing was tried since */

struct health {
    struct lock lock;
    struct health_host *hosts; /* lock: HEALTH_HOSTS_MAX of them */
};

void health_init(struct health *h);
void health_release(struct health *h);
void health_good(struct health *h, const char *host, int64_t now_ms);
void health_failed(struct health *h, const char *host, int64_t now_ms);
void health_waits(struct health *h, const char *host, int64_t now_ms, int64_t until_ms);
bool health_is_down(struct health *h, const char *host, int64_t now_ms);

#endif
