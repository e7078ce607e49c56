/* The map of digests with its age list and accounts; invariants stand in inside.h. */
#include "cache/entry.h"
#include "base/clock.h"
#include "cache/evict.h"
#include <string.h>

/* A blob that was not used for so long is not missed. */
#define WANTED_S (INT64_C(7) * 24 * 3600)
/* Candidates looked at in one go; enough that one round nearly always frees enough. */
#define EVICT_LOOK 256

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

struct entry *
entry_take(struct cache *c, const struct digest *d)
{
    struct entry *e = entry_find(c, d);
    if (e == NULL) {
        e = mem_zalloc(sizeof *e + digest_len(d));
        e->alg = (uint8_t)d->alg;
        memcpy(e->key, d->bytes, digest_len(d));
        index_add(&c->map, e);
    }
    return e;
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
    c->used_bytes += sign * e->size;
    if (e->blob != NULL) {
        c->open_bytes += sign * e->size;
    }
    if (e->state == ENTRY_STORED) {
        c->stored_count += sign;
        c->touched_count += e->touched ? sign : 0;
    } else {
        c->partial_count += sign;
    }
    metric_set(M_cache_bytes, c->used_bytes);
    metric_set(M_cache_blobs, c->stored_count);
}

void
entry_set(struct cache *c, struct entry *e, enum entry_state state, uint64_t size)
{
    bool was_listed = e->state != ENTRY_ABSENT;
    account(c, e, false);
    e->state = (uint8_t)state;
    e->size = size;
    account(c, e, true);
    if (was_listed && state == ENTRY_ABSENT) {
        DL_DELETE(c->oldest, e);
    } else if (!was_listed && state != ENTRY_ABSENT) {
        DL_APPEND(c->oldest, e);
        e->used_seq = c->next_seq++;
    }
    if (state != ENTRY_PARTIAL) {
        pieces_free(e->parked);
        e->parked = NULL;
    }
}

void
entry_attach(struct cache *c, struct entry *e, struct blob *b)
{
    must(e->blob == NULL && b->entry == NULL);
    account(c, e, false);
    e->blob = b;
    b->entry = e;
    account(c, e, true);
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

void
entry_touch(struct cache *c, struct entry *e)
{
    entry_set_touched(c, e, true);
    e->used_wall_s = clock_wall_s();
    if (e->state != ENTRY_ABSENT) {
        DL_DELETE(c->oldest, e);
        DL_APPEND(c->oldest, e);
        e->used_seq = c->next_seq++;
    }
}

void
entry_forget(struct cache *c, struct entry *e)
{
    must(e->blob == NULL);
    entry_set(c, e, ENTRY_ABSENT, 0);
    index_remove(&c->map, e);
    mem_free(e);
}

static void
add_doom(struct cache *c, const struct doom *as)
{
    struct doom *d = mem_alloc(sizeof *d);
    *d = *as;
    DL_APPEND(c->dooms, d);
    c->dooming_bytes += d->size;
}

/* When it is not known, as after the loss of the journal, too. */
static bool
was_used_lately(const struct entry *e)
{
    return e->used_wall_s == 0 || clock_wall_s() - e->used_wall_s < WANTED_S;
}

void
entry_doom(struct cache *c, struct entry *e, enum doom_kind kind, enum metric reason)
{
    struct digest d = entry_digest(e);
    add_doom(c, &(struct doom){.kind = kind,
                               .digest = d,
                               .gen = e->gen,
                               .size = e->size,
                               .reason = reason,
                               .wanted = was_used_lately(e)});
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

/* One round: looks at up to EVICT_LOOK idle entries from *at on and moves *at behind them. */
static uint64_t evict_round(struct cache *c, struct entry **at, uint64_t need_bytes,
                            struct entry **ret_chosen, size_t *ret_count) NEEDS(c->lock);
static uint64_t
evict_round(struct cache *c, struct entry **at, uint64_t need_bytes, struct entry **ret_chosen,
            size_t *ret_count)
{
    lock_must_hold(&c->lock);
    struct evict_item items[EVICT_LOOK];
    struct entry *seen[EVICT_LOOK] = {NULL};
    size_t order[EVICT_LOOK];
    size_t count = 0;
    for (; *at != NULL && count < EVICT_LOOK; *at = (*at)->next) {
        if ((*at)->blob == NULL) {
            seen[count] = *at;
            items[count++] = (struct evict_item){(*at)->used_seq, (*at)->size, false};
        }
    }
    *ret_count = evict_choose(items, count, need_bytes, order);
    uint64_t freed = 0;
    for (size_t i = 0; i < *ret_count; i++) {
        ret_chosen[i] = seen[order[i]];
        freed += ret_chosen[i]->size;
    }
    return freed;
}

uint64_t
entry_evict(struct cache *c, uint64_t need_bytes, enum metric reason, bool dry_run,
            void (*each)(void *arg, const struct entry *e), void *arg)
{
    uint64_t freed = 0;
    struct entry *at = c->oldest;
    while (freed < need_bytes && at != NULL) {
        struct entry *chosen[EVICT_LOOK];
        size_t count;
        freed += evict_round(c, &at, need_bytes - freed, chosen, &count);
        for (size_t i = 0; i < count; i++) {
            if (each != NULL) {
                each(arg, chosen[i]);
            }
            if (!dry_run) {
                bool partial = chosen[i]->state == ENTRY_PARTIAL;
                entry_doom(c, chosen[i], partial ? DOOM_PARTIAL : DOOM_BLOB, reason);
            }
        }
    }
    return freed;
}

static uint64_t
minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

int
entry_make_room(struct cache *c, uint64_t size, uint64_t free_bytes)
{
    if (size > c->limit_bytes) {
        return ERR_FULL;
    }
    uint64_t over = minus(c->used_bytes + size, c->limit_bytes);
    uint64_t scarce = minus(size + c->min_free_bytes, free_bytes + c->dooming_bytes);
    uint64_t idle = c->used_bytes - c->open_bytes;
    if (over > idle || scarce > idle) {
        return ERR_FULL;
    }
    uint64_t freed = entry_evict(c, over, M_evict_size, false, NULL, NULL);
    (void)entry_evict(c, minus(scarce, freed), M_evict_min_free, false, NULL, NULL);
    return 0;
}
