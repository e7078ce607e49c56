/* The map of digests with its age list and accounts; what leaves is decided in room.c. Invariants
 * stand in inside.h. */
#include "cache/entry.h"
#include "base/clock.h"
#include "cache/leaving.h"
#include "cache/room.h"
#include <string.h>

/* A blob that was not used for so long is not missed. */
#define WANTED_S (INT64_C(7) * 24 * 3600)

struct digest
entry_digest(const struct entry *e)
{
    struct digest d = {.alg = e->alg};
    memcpy(d.bytes, e->key, digest_len(&d));
    return d;
}

struct entry *
entry_find(struct cache *c, const struct digest *d)
{
    return index_find(&c->map, d);
}

static uint32_t
now_s(void)
{
    return (uint32_t)(clock_ms() / 1000);
}

struct entry *
entry_take(struct cache *c, const struct digest *d)
{
    struct entry *e = entry_find(c, d);
    if (e == NULL) {
        e = mem_zalloc(sizeof *e + digest_len(d));
        e->alg = (uint8_t)d->alg;
        e->sure_s = now_s();
        memcpy(e->key, d->bytes, digest_len(d));
        index_add(&c->map, e);
    }
    return e;
}

/* For evict.h. */
static uint64_t
entry_name(const struct entry *e)
{
    struct digest d = entry_digest(e);
    return room_name(&d);
}

uint64_t
entry_size(const struct entry *e)
{
    if (e->state != ENTRY_STORED && e->parked != NULL) {
        return e->parked->size;
    }
    return e->packed ? e->plain_bytes : e->worth.size;
}

uint64_t
entry_parked_bytes(const struct cache *c, const struct pieces *parked)
{
    return c->store.reserves ? parked->size : parked->have_bytes;
}

static void
account(struct cache *c, const struct entry *e, bool add)
{
    uint64_t sign = add ? 1 : (uint64_t)-1;
    if (e->blob != NULL && e->state != ENTRY_STORED && !e->blob->foreign) {
        c->filling_count += sign;
    }
    if (e->state == ENTRY_ABSENT) {
        return;
    }
    c->used_bytes += sign * e->worth.size;
    if (e->blob != NULL) {
        c->open_bytes += sign * e->worth.size;
    }
    c->pinned_bytes += e->pinned ? sign * e->worth.size : 0;
    if (e->state == ENTRY_STORED) {
        c->stored_count += sign;
        c->touched_count += e->touched ? sign : 0;
        c->packed_count += e->packed ? sign : 0;
        c->saved_bytes += sign * (entry_size(e) - e->worth.size);
    } else {
        c->partial_count += sign;
    }
    metric_set(M_cache_bytes, c->used_bytes);
    metric_set(M_cache_blobs, c->stored_count);
    metric_set(M_cache_saved, c->saved_bytes);
}

void
entry_set(struct cache *c, struct entry *e, enum entry_state state, uint64_t size)
{
    bool was_listed = e->state != ENTRY_ABSENT, is_listed = state != ENTRY_ABSENT;
    if (was_listed && (!is_listed || e->worth.size != size)) {
        evict_remove(&c->evict, &e->worth, entry_name(e));
        DL_DELETE(c->oldest, e);
        was_listed = false;
    }
    account(c, e, false);
    if (e->state != ENTRY_STORED && state != ENTRY_PARTIAL) {
        pieces_free(e->parked);
        e->parked = NULL;
    }
    if (e->packed) {
        e->packed = false;
        e->plain_bytes = 0;
    }
    e->state = (uint8_t)state;
    e->worth.size = size;
    account(c, e, true);
    if (!was_listed && is_listed) {
        /* Where the site is asked before a blob leaves, those that it was not asked about yet come
         * before those that are known to be the last. */
        e->worth = (struct evict_blob){
            .size = size, .copies = c->leave_asks ? 2 : 1, .held = e->blob != NULL || e->pinned};
        evict_add(&c->evict, &e->worth, entry_name(e), room_now_s(c));
        DL_APPEND(c->oldest, e);
    }
}

void
entry_set_packed(struct cache *c, struct entry *e, uint64_t file_bytes, uint64_t plain_bytes)
{
    must(e->state == ENTRY_STORED);
    evict_remove(&c->evict, &e->worth, entry_name(e));
    account(c, e, false);
    e->packed = true;
    e->plain_bytes = plain_bytes;
    e->worth.size = file_bytes;
    account(c, e, true);
    evict_add(&c->evict, &e->worth, entry_name(e), room_now_s(c));
}

void
entry_pin(struct cache *c, struct entry *e, bool pinned)
{
    account(c, e, false);
    e->pinned = pinned;
    account(c, e, true);
    room_hold(c, e);
}

void
entry_attach(struct cache *c, struct entry *e, struct blob *b)
{
    must(e->blob == NULL && b->entry == NULL);
    account(c, e, false);
    e->blob = b;
    b->entry = e;
    account(c, e, true);
    room_hold(c, e);
}

void
entry_detach(struct cache *c, struct entry *e)
{
    must(e->blob != NULL && e->blob->entry == e);
    account(c, e, false);
    e->served_bytes += atomic_load(&e->blob->served_bytes);
    e->blob->entry = NULL;
    e->blob = NULL;
    account(c, e, true);
    room_hold(c, e);
}

void
entry_add_sources(struct cache *c, struct entry *e, const struct blob *b)
{
    lock_must_hold(&c->lock);
    for (int i = 0; i < BLOB_SOURCES; i++) {
        e->from_bytes[i] += b->from_bytes[i];
    }
}

void
entry_set_touched(struct cache *c, struct entry *e, bool touched)
{
    account(c, e, false);
    e->touched = touched;
    account(c, e, true);
}

/* To the end of the age list, where it is found at once. */
void
entry_note(struct cache *c, struct entry *e)
{
    entry_set_touched(c, e, true);
    if (e->state != ENTRY_ABSENT) {
        DL_DELETE(c->oldest, e);
        DL_APPEND(c->oldest, e);
    }
}

#define REFUSED_S 600  /* within which a runtime tries again what it refused */
#define SURE_S    3600 /* what was hashed since then is believed */

uint32_t
entry_mark(int64_t mtime_ns)
{
    return (uint32_t)(mtime_ns >> 20) | 1;
}

void
entry_opened(struct entry *e, int64_t mtime_ns)
{
    int64_t mtime_s = mtime_ns / 1000000000;
    uint32_t mark = entry_mark(mtime_ns);
    bool later = mtime_s > e->stored_wall_s && mtime_s <= UINT32_MAX;
    if (e->packed) {
        return; /* each frame has a checksum */
    }
    e->unsure = e->unsure || (e->mark != 0 ? e->mark != mark : later);
    e->mark = mark;
    if (later) {
        e->stored_wall_s = (uint32_t)mtime_s; /* for the next run */
    }
}

void
entry_sure(struct entry *e)
{
    e->unsure = false;
    e->sure_s = now_s();
    e->sent_s = 0;
}

void
entry_sent(struct entry *e)
{
    e->sent_s = now_s();
}

void
entry_doubt(struct entry *e)
{
    uint32_t s = now_s();
    bool refused = e->sent_s != 0 && s - e->sent_s < REFUSED_S;
    if (e->state == ENTRY_STORED && refused && s - e->sure_s >= SURE_S) {
        e->unsure = true;
    }
}

void
entry_asked(struct cache *c, struct entry *e)
{
    entry_note(c, e);
    if (e->state == ENTRY_ABSENT) {
        evict_asked_absent(&c->evict, entry_name(e), EVICT_SELF, room_now_s(c));
    } else {
        evict_asked(&c->evict, &e->worth, EVICT_SELF, room_now_s(c));
    }
}

void
entry_forget(struct cache *c, struct entry *e)
{
    must(e->blob == NULL);
    leaving_forget(c, e);
    entry_set(c, e, ENTRY_ABSENT, 0);
    index_remove(&c->map, e);
    mem_free(e);
}

void
entry_untie(struct cache *c, struct entry *e)
{
    entry_detach(c, e);
    if (e->parked == NULL) {
        entry_forget(c, e);
    }
}

static void
add_doom(struct cache *c, const struct doom *as)
{
    struct doom *d = mem_alloc(sizeof *d);
    *d = *as;
    DL_APPEND(c->dooms, d);
    c->dooming_bytes += d->size;
    c->dooming_count++;
}

/* When it is not known, as after the loss of the journal, too. */
static bool
was_used_lately(const struct entry *e)
{
    return e->worth.asked_s == 0 || clock_wall_s() - e->worth.asked_s < WANTED_S;
}

void
entry_doom(struct cache *c, struct entry *e, enum doom_kind kind, enum metric reason)
{
    struct digest d = entry_digest(e);
    add_doom(c, &(struct doom){.kind = kind,
                               .digest = d,
                               .gen = e->gen,
                               .size = e->worth.size,
                               .reason = reason,
                               .wanted = was_used_lately(e),
                               .packed = e->packed,
                               .plain_bytes = e->packed ? e->plain_bytes : 0});
    if (e->blob != NULL) {
        entry_detach(c, e);
    }
    cache_note_gone(c, &d);
    entry_forget(c, e);
}

void
entry_doom_partial(struct cache *c, const struct digest *d, uint64_t gen, uint64_t size)
{
    add_doom(
        c,
        &(struct doom){
            .kind = DOOM_PARTIAL, .digest = *d, .gen = gen, .size = size, .reason = METRIC_COUNT});
}

void
entry_evict(struct cache *c, struct entry *e, enum metric reason)
{
    entry_doom(c, e, e->state == ENTRY_PARTIAL ? DOOM_PARTIAL : DOOM_BLOB, reason);
}
