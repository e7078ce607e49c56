/* Tags, links and the note at the front door: memory answers, the disk thread follows within a
 * second. */
#include "base/clock.h"
#include "cache/disk.h"
#include "cache/inside.h"
#include <string.h>

/* Records that do not fit are no loss: memory has them, and the journal is rewritten from
 * there. Returns whether the disk thread should be woken. */
static bool note_added(struct cache *c, bool was_empty, int rc) NEEDS(c->facts_lock);
static bool
note_added(struct cache *c, bool was_empty, int rc)
{
    lock_must_hold(&c->facts_lock);
    c->rewrite = c->rewrite || rc < 0;
    if (was_empty) {
        c->pending_since_ms = clock_ms();
    }
    return was_empty;
}

static bool add_locked(struct cache *c, const struct record *r) NEEDS(c->facts_lock);
static bool
add_locked(struct cache *c, const struct record *r)
{
    bool was_empty = c->pending.len == 0;
    return note_added(c, was_empty, record_encode(r, &c->pending));
}

void
cache_add_facts(struct cache *c, const struct buf *records)
{
    if (records->len == 0) {
        return;
    }
    lock_take(&c->facts_lock);
    bool was_empty = c->pending.len == 0;
    bool wake = note_added(c, was_empty, buf_add(&c->pending, records->data, records->len));
    lock_drop(&c->facts_lock);
    if (wake) {
        disk_wake(c);
    }
}

bool
cache_tag_get(struct cache *c, const char *key, struct tag *ret)
{
    lock_take(&c->facts_lock);
    bool found = tags_get(c->tags, key, ret);
    lock_drop(&c->facts_lock);
    return found;
}

/* Copies a name that the caller may have made too long; then it is not remembered. */
static bool
set_key(struct record *r, const char *key, size_t cap)
{
    size_t len = strlen(key);
    if (len >= cap) {
        return false;
    }
    memcpy(r->key, key, len + 1);
    return true;
}

void
cache_tag_put(struct cache *c, const char *key, const struct tag *t)
{
    struct record r = {.kind = RECORD_TAG, .tag = *t};
    if (!set_key(&r, key, sizeof r.key)) {
        return;
    }
    lock_take(&c->facts_lock);
    bool wake = tags_put(c->tags, key, t) && add_locked(c, &r);
    lock_drop(&c->facts_lock);
    if (wake) {
        disk_wake(c);
    }
}

void
cache_tag_drop(struct cache *c, const char *key)
{
    struct record r = {.kind = RECORD_TAG_DROP};
    if (!set_key(&r, key, sizeof r.key)) {
        return;
    }
    lock_take(&c->facts_lock);
    bool wake = tags_drop(c->tags, key) && add_locked(c, &r);
    lock_drop(&c->facts_lock);
    if (wake) {
        disk_wake(c);
    }
}

bool
cache_link_get(struct cache *c, const char *repository, uint64_t principal, const struct digest *d,
               struct link *ret)
{
    lock_take(&c->facts_lock);
    bool found = tags_link_get(c->tags, repository, principal, d, ret);
    lock_drop(&c->facts_lock);
    return found;
}

void
cache_link_put(struct cache *c, const char *repository, uint64_t principal, const struct digest *d,
               const struct link *l)
{
    struct record r = {.kind = RECORD_LINK, .principal = principal, .digest = *d, .link = *l};
    if (!set_key(&r, repository, CACHE_NAME_MAX)) {
        return;
    }
    lock_take(&c->facts_lock);
    bool wake = tags_link_put(c->tags, repository, principal, d, l) && add_locked(c, &r);
    lock_drop(&c->facts_lock);
    if (wake) {
        disk_wake(c);
    }
}

bool
cache_link_any(struct cache *c, const struct digest *d, char ret_repository[CACHE_NAME_MAX])
{
    lock_take(&c->facts_lock);
    bool found = tags_link_any(c->tags, d, ret_repository);
    lock_drop(&c->facts_lock);
    return found;
}

void
cache_each_name(struct cache *c, void (*each)(void *arg, const char *name, const struct tag *t),
                void *arg)
{
    lock_take(&c->facts_lock);
    tags_each(c->tags, each, arg);
    lock_drop(&c->facts_lock);
}

/* ---- the note ---- */

void
cache_note_put(struct cache *c, const void *bytes, size_t len)
{
    must(len > 0 && len <= CACHE_NOTE_MAX);
    lock_take(&c->facts_lock);
    buf_clear(&c->note);
    int rc = buf_add(&c->note, bytes, len);
    lock_drop(&c->facts_lock);
    must(rc == 0); /* it fits */
    disk_wake(c);
}

int
cache_note_get(struct cache *c, struct buf *ret)
{
    return store_read_file(&c->store, STORE_NOTE, ret);
}
