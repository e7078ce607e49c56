/* A bounded table of keys that are closed to clients until a moment. */
#include "proxy/api/breaker.h"
#include "base/hash.h"
#include "base/lock.h"
#include <string.h>

struct entry {
    UT_hash_handle hh; /* kept in the order of their ends */
    int64_t end_ms;
    char key[];
};

struct breaker {
    struct lock lock;
    struct entry *entries; /* lock */
};

struct breaker *
breaker_new(void)
{
    struct breaker *b = mem_zalloc(sizeof *b);
    lock_init(&b->lock, LOCK_BREAKER);
    return b;
}

static void
drop(struct breaker *b, struct entry *e)
{
    HASH_DEL(b->entries, e);
    mem_free(e);
}

void
breaker_free(struct breaker *b)
{
    if (!b)
        return;
    while (b->entries)
        drop(b, b->entries);
    lock_release(&b->lock);
    mem_free(b);
}

static struct entry *
find(struct breaker *b, const char *key)
{
    struct entry *e = NULL;
    HASH_FIND(hh, b->entries, key, strlen(key), e);
    return e;
}

bool
breaker_trip(struct breaker *b, const char *key, int64_t now_ms)
{
    size_t len = strlen(key);
    must(len < BREAKER_KEY_MAX);
    struct entry *fresh = mem_zalloc(sizeof *fresh + len + 1);
    memcpy(fresh->key, key, len + 1);
    fresh->end_ms = now_ms + BREAKER_OPEN_MS;

    lock_take(&b->lock);
    struct entry *old = find(b, key);
    bool was_open = old && old->end_ms > now_ms;
    if (old)
        drop(b, old);
    while (b->entries && (b->entries->end_ms <= now_ms || HASH_COUNT(b->entries) >= BREAKERS_MAX))
        drop(b, b->entries);
    HASH_ADD(hh, b->entries, key, len, fresh);
    lock_drop(&b->lock);
    return !was_open;
}

bool
breaker_is_open(struct breaker *b, const char *key, int64_t now_ms)
{
    lock_take(&b->lock);
    const struct entry *e = b->entries ? find(b, key) : NULL;
    bool open = e && e->end_ms > now_ms;
    lock_drop(&b->lock);
    return open;
}
