/* A small table under a lock; news of unknown hosts replaces the oldest. */
#include "proxy/upstream/health.h"
#include "base/mem.h"
#include "base/text.h"
#include <string.h>

struct health_host {
    char host[256];
    int64_t news_ms, failed_ms, wait_until_ms; /* 0: never */
    int64_t no_ranges_until_ms, slow_until_ms, slow_ms;
    int64_t down_until_ms, down_ms; /* since the last success; 0: it did not fail */
};

void
health_init(struct health *h)
{
    lock_init(&h->lock, LOCK_LEAF);
    h->hosts = mem_zalloc(HEALTH_HOSTS_MAX * sizeof *h->hosts);
}

void
health_release(struct health *h)
{
    mem_free(h->hosts);
    lock_release(&h->lock);
}

static struct health_host *
find(struct health *h, const char *host) NEEDS(h->lock)
{
    for (size_t i = 0; i < HEALTH_HOSTS_MAX; i++)
        if (strcmp(h->hosts[i].host, host) == 0)
            return &h->hosts[i];
    return NULL;
}

static struct health_host *
find_or_add(struct health *h, const char *host, int64_t now_ms) NEEDS(h->lock)
{
    struct health_host *at = find(h, host);
    for (size_t i = 0; at == NULL && i < HEALTH_HOSTS_MAX; i++)
        if (h->hosts[i].host[0] == '\0')
            at = &h->hosts[i];
    if (at == NULL) {
        at = &h->hosts[0];
        for (size_t i = 1; i < HEALTH_HOSTS_MAX; i++)
            if (h->hosts[i].news_ms < at->news_ms)
                at = &h->hosts[i];
    }
    if (strcmp(at->host, host) != 0) {
        *at = (struct health_host){0};
        (void)!text_copy(at->host, sizeof at->host, host);
    }
    at->news_ms = now_ms;
    return at;
}

void
health_good(struct health *h, const char *host, int64_t now_ms)
{
    lock_take(&h->lock);
    struct health_host *at = find_or_add(h, host, now_ms);
    at->failed_ms = at->down_until_ms = at->down_ms = 0;
    lock_drop(&h->lock);
}

void
health_failed(struct health *h, const char *host, int64_t now_ms)
{
    lock_take(&h->lock);
    struct health_host *at = find_or_add(h, host, now_ms);
    at->failed_ms = now_ms;
    if (now_ms >= at->down_until_ms) { /* requests that fail together count as one */
        at->down_ms = at->down_ms == 0 ? HEALTH_DOWN_MS : 2 * at->down_ms;
        if (at->down_ms > HEALTH_DOWN_MAX_MS)
            at->down_ms = HEALTH_DOWN_MAX_MS;
        at->down_until_ms = now_ms + at->down_ms;
    }
    lock_drop(&h->lock);
}

void
health_waits(struct health *h, const char *host, int64_t now_ms, int64_t until_ms)
{
    lock_take(&h->lock);
    find_or_add(h, host, now_ms)->wait_until_ms = until_ms;
    lock_drop(&h->lock);
}

void
health_no_ranges(struct health *h, const char *host, int64_t now_ms, int64_t until_ms)
{
    lock_take(&h->lock);
    find_or_add(h, host, now_ms)->no_ranges_until_ms = until_ms;
    lock_drop(&h->lock);
}

bool
health_sends_ranges(struct health *h, const char *host, int64_t now_ms)
{
    lock_take(&h->lock);
    const struct health_host *at = find(h, host);
    bool sends = at == NULL || now_ms >= at->no_ranges_until_ms;
    lock_drop(&h->lock);
    return sends;
}

void
health_slow(struct health *h, const char *host, int64_t now_ms, int64_t late_ms)
{
    lock_take(&h->lock);
    struct health_host *at = find_or_add(h, host, now_ms);
    at->slow_until_ms = now_ms + HEALTH_SLOW_MS;
    at->slow_ms = late_ms;
    lock_drop(&h->lock);
}

int64_t
health_late_ms(struct health *h, const char *host, int64_t now_ms)
{
    lock_take(&h->lock);
    const struct health_host *at = find(h, host);
    int64_t late_ms = at != NULL && now_ms < at->slow_until_ms ? at->slow_ms : 0;
    lock_drop(&h->lock);
    return late_ms;
}

bool
health_is_down(struct health *h, const char *host, int64_t now_ms)
{
    lock_take(&h->lock);
    const struct health_host *at = find(h, host);
    bool down = at != NULL && (now_ms < at->down_until_ms || now_ms < at->wait_until_ms);
    lock_drop(&h->lock);
    return down;
}

bool
health_is_failing(struct health *h, const char *host, int64_t now_ms)
{
    lock_take(&h->lock);
    const struct health_host *at = find(h, host);
    bool failed = at != NULL && at->failed_ms != 0 && now_ms - at->failed_ms < HEALTH_TOLD_MS;
    lock_drop(&h->lock);
    return failed || health_is_down(h, host, now_ms);
}
