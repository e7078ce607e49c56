/* Looking after what is stored: figures, lists, eviction by hand, verification. */
#include "base/clock.h"
#include "cache/blob.h"
#include "cache/content.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/leaving.h"
#include "cache/room.h"
#include "cache/scrub.h"
#include <string.h>

#define GC_STEP_MS       20 /* between two looks at what the site said */
#define FREE_FILES       1024
#define FREE_FILES_PART  16
#define FREE_FILES_SPARE 4 /* restored with this part to spare */
/* How long cache_gc waits for the files to be gone; a synced GiB takes half a second. */
#define GC_WAIT_MS 60000

uint64_t
cache_files_lacking(const struct fs_space *space)
{
    uint64_t part = space->total_files / FREE_FILES_PART;
    uint64_t keep = part < FREE_FILES ? part : FREE_FILES;
    return space->free_files < keep ? keep - space->free_files + keep / FREE_FILES_SPARE : 0;
}

void
cache_get_stats(struct cache *c, struct cache_stats *ret)
{
    struct cache_stats s = {0};
    struct fs_space space = {.free_files = UINT64_MAX};
    size_t tags, links;
    int rc = store_space(&c->store, &space);
    s.disk_free_bytes = space.free_bytes;
    s.disk_free_files = space.free_files;
    s.hash_threads = c->hasher.count;
    s.hash_bytes_s = c->hasher.bytes_s;
    s.degraded = atomic_load(&c->degraded) || rc < 0;
    lock_take(&c->lock);
    s.used_bytes = c->used_bytes;
    s.pinned_bytes = c->pinned_bytes;
    s.limit_bytes = c->limit_bytes;
    s.min_free_bytes = c->min_free_bytes;
    s.blobs = c->stored_count;
    s.partial_blobs = c->partial_count;
    s.filling = c->filling_count;
    s.packed_blobs = c->packed_count;
    s.saved_bytes = c->saved_bytes;
    lock_drop(&c->lock);
    lock_take(&c->facts_lock);
    tags_count(c->tags, &tags, &links);
    lock_drop(&c->facts_lock);
    s.tags = tags;
    s.links = links;
    content_get_stats(c->content, &s);
    *ret = s;
}

/* What the blob in memory adds to its entry. */
static void add_live(struct cache *c, struct blob *b, struct blob_info *ret) NEEDS(c->lock);
static void
add_live(struct cache *c, struct blob *b, struct blob_info *ret)
{
    lock_must_hold(&c->lock);
    lock_take(&b->lock);
    ret->phase = b->phase;
    if (b->size != CACHE_SIZE_UNKNOWN) {
        ret->size = b->size;
    }
    if (b->pieces != NULL) {
        ret->have_bytes = b->pieces->have_bytes;
    } else if (b->phase >= BLOB_VERIFIED) {
        ret->have_bytes = b->size;
    }
    for (int i = 0; i < BLOB_SOURCES && b->phase < BLOB_WHOLE; i++) {
        ret->from_bytes[i] += b->from_bytes[i];
    }
    ret->readers = b->refs - b->hashing - b->mailed;
    lock_drop(&b->lock);
    ret->served_bytes += atomic_load(&b->served_bytes);
}

static struct blob_info describe(struct cache *c, const struct entry *e) NEEDS(c->lock);
static struct blob_info
describe(struct cache *c, const struct entry *e)
{
    struct blob_info info = {.digest = entry_digest(e),
                             .phase = e->state == ENTRY_STORED ? BLOB_WHOLE : BLOB_FILLING,
                             .size = e->state == ENTRY_ABSENT ? CACHE_SIZE_UNKNOWN : entry_size(e),
                             .disk_bytes = e->worth.size,
                             .served_bytes = e->served_bytes,
                             .stored_wall_s = e->stored_wall_s,
                             .used_wall_s = e->worth.asked_s,
                             .copies = e->worth.copies,
                             .probation = e->worth.young,
                             .pinned = e->pinned};
    if (e->state != ENTRY_ABSENT) {
        uint32_t now_s = room_now_s(c);
        info.requests = evict_c(&c->evict, &e->worth, now_s);
        info.value = evict_value_now(&c->evict, &e->worth, now_s);
    }
    const struct leaving *l = leaving_find(c, e);
    if (l != NULL) {
        info.leave = l->state;
        info.leave_age_ms = l->said_ms > 0 ? clock_ms() - l->said_ms : 0;
        memcpy(info.leave_to, l->to, sizeof l->to);
    }
    for (int i = 0; i < BLOB_SOURCES; i++) {
        info.from_bytes[i] = e->from_bytes[i];
    }
    if (e->state == ENTRY_STORED) {
        info.have_bytes = entry_size(e);
    } else if (e->parked != NULL) {
        info.have_bytes = e->parked->have_bytes;
    }
    if (e->blob != NULL) {
        add_live(c, e->blob, &info);
        info.foreign = e->blob->foreign;
    }
    return info;
}

int
cache_info(struct cache *c, const struct digest *d, struct blob_info *ret)
{
    lock_take(&c->lock);
    const struct entry *e = entry_find(c, d);
    if (e != NULL) {
        *ret = describe(c, e);
    }
    lock_drop(&c->lock);
    return e != NULL || content_info(c->content, d, ret) ? 0 : ERR_NOT_FOUND;
}

uint64_t
cache_stored(struct cache *c, const struct digest *d)
{
    lock_take(&c->lock);
    const struct entry *e = entry_find(c, d);
    uint64_t size = e != NULL && e->state == ENTRY_STORED ? entry_size(e) : 0;
    lock_drop(&c->lock);
    struct blob_info info;
    return size > 0 || !content_info(c->content, d, &info) ? size : info.size;
}

size_t
cache_list(struct cache *c, struct blob_info *ret, size_t max)
{
    size_t count = 0;
    lock_take(&c->lock);
    for (int in_flight = 1; in_flight >= 0; in_flight--) {
        const struct entry *e;
        uint64_t at = 0;
        while (count < max && (e = index_next(&c->map, &at)) != NULL) {
            bool foreign = e->blob != NULL && e->blob->foreign;
            if (!foreign && (e->blob != NULL && e->state != ENTRY_STORED) == in_flight) {
                ret[count++] = describe(c, e);
            }
        }
    }
    lock_drop(&c->lock);
    return count + content_list(c->content, ret + count, max - count);
}

void
cache_note_gone(struct cache *c, const struct digest *d)
{
    c->gone[(c->gone_first + c->gone_count) % CACHE_GONE_MAX] = *d;
    if (c->gone_count < CACHE_GONE_MAX) {
        c->gone_count++;
    } else {
        c->gone_first = (c->gone_first + 1) % CACHE_GONE_MAX;
    }
}

size_t
cache_take_gone(struct cache *c, struct digest *ret, size_t max)
{
    size_t count = 0;
    lock_take(&c->lock);
    for (; count < max && c->gone_count > 0; c->gone_count--) {
        ret[count++] = c->gone[c->gone_first];
        c->gone_first = (c->gone_first + 1) % CACHE_GONE_MAX;
    }
    lock_drop(&c->lock);
    return count;
}

void
cache_served(struct cache *c, const struct digest *d, uint64_t bytes)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL) {
        e->served_bytes += bytes;
    }
    lock_drop(&c->lock);
}

void
cache_sent(struct cache *c, const struct digest *d)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL) {
        entry_sent(e);
    }
    lock_drop(&c->lock);
}

/* ---- eviction by hand ---- */

struct evicted {
    struct cache *cache;
    struct blob_info *list;
    size_t count, cap;
};

/* room_gc calls it under the lock. */
static void note_evicted(void *arg, const struct entry *e) UNCHECKED_LOCKING;
static void
note_evicted(void *arg, const struct entry *e)
{
    struct evicted *n = arg;
    if (n->count == n->cap) {
        n->cap = n->cap * 2 + 64;
        n->list = mem_realloc(n->list, n->cap * sizeof n->list[0]);
    }
    n->list[n->count++] = describe(n->cache, e);
}

static uint64_t
gc_once(struct evicted *gone, uint64_t target_bytes, bool dry_run)
{
    struct cache *c = gone->cache;
    lock_take(&c->lock);
    (void)leaving_expire(c);
    uint64_t need_bytes = c->used_bytes > target_bytes ? c->used_bytes - target_bytes : 0;
    uint64_t freed = room_gc(c, need_bytes, dry_run, note_evicted, gone);
    lock_drop(&c->lock);
    disk_wake(c);
    return freed;
}

static bool
waits_for_words(struct cache *c)
{
    lock_take(&c->lock);
    bool waits = leaving_bytes(c) > 0;
    lock_drop(&c->lock);
    return waits;
}

uint64_t
cache_gc(struct cache *c, uint64_t target_bytes, bool dry_run,
         void (*report)(void *arg, const struct blob_info *info), void *arg)
{
    struct evicted gone = {.cache = c};
    int64_t until_ms = clock_ms() + CACHE_GC_ASK_MS;
    uint64_t freed = gc_once(&gone, target_bytes, dry_run);
    while (!dry_run && waits_for_words(c) && clock_ms() < until_ms) {
        clock_sleep_ms(GC_STEP_MS);
        freed += gc_once(&gone, target_bytes, false);
    }
    if (!dry_run) {
        disk_drain(c, clock_ms() + GC_WAIT_MS);
    }
    for (size_t i = 0; report != NULL && i < gone.count; i++) {
        report(arg, &gone.list[i]);
    }
    mem_free(gone.list);
    return freed;
}

void
cache_on_loss(struct cache *c, void (*lost)(void *arg, const struct digest *d, uint64_t size),
              void *arg)
{
    lock_take(&c->lock);
    c->lost = lost;
    c->lost_arg = arg;
    while (lost == NULL && c->telling) {
        (void)cond_wait(&c->doomed, &c->lock, INT64_MAX);
    }
    lock_drop(&c->lock);
}

static void
add_verdict(struct cache_verdict *v, enum scrub_result result, uint64_t bytes,
            const struct digest *d, void (*report)(void *arg, const struct digest *bad), void *arg)
{
    v->checked += result != SCRUB_SKIPPED;
    v->checked_bytes += bytes;
    v->bad += result == SCRUB_BAD;
    if (result == SCRUB_BAD && report != NULL) {
        report(arg, d);
    }
}

void
cache_verify(struct cache *c, struct cache_verdict *ret,
             void (*report)(void *arg, const struct digest *bad), void *arg)
{
    struct cache_verdict v = {0};
    struct digest d, *foreign;
    uint64_t bytes;
    for (uint64_t at = 0; scrub_next(c, SCRUB_NOW, &at, &d);) {
        enum scrub_result result = scrub_check(c, &d, SCRUB_NOW, &bytes);
        add_verdict(&v, result, bytes, &d, report, arg);
    }
    size_t count = content_digests(c->content, &foreign);
    for (size_t i = 0; i < count; i++) {
        enum scrub_result result = scrub_foreign(c, &foreign[i], &bytes);
        add_verdict(&v, result, bytes, &foreign[i], report, arg);
    }
    mem_free(foreign);
    disk_drain(c, clock_ms() + GC_WAIT_MS);
    *ret = v;
}
