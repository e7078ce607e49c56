/* What leaves for whom. */
#include "cache/room.h"
#include "base/clock.h"
#include "cache/entry.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

#define SPACE_MS 5000 /* between two looks at what others write to the file system */
/* min_free is restored with this part of it to spare. */
#define SPARE_PART 4

static uint64_t
minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* ---- what evict.h has to know ---- */

void
room_init(struct cache *c)
{
    lock_take(&c->lock);
    c->base_ms = clock_ms();
    c->base_s = (uint32_t)clock_wall_s();
    evict_init(&c->evict, c->base_s);
    lock_drop(&c->lock);
}

uint32_t
room_now_s(const struct cache *c)
{
    return c->base_s + (uint32_t)((clock_ms() - c->base_ms) / 1000);
}

void
room_not_before(struct cache *c, uint32_t wall_s)
{
    if (wall_s > room_now_s(c)) {
        c->base_s = wall_s;
        c->base_ms = clock_ms();
    }
}

uint64_t
room_name(const struct digest *d)
{
    uint64_t name;
    memcpy(&name, d->bytes, sizeof name);
    return name;
}

struct entry *
room_entry(struct evict_blob *b)
{
    return (struct entry *)(void *)((char *)b - offsetof(struct entry, worth));
}

void
room_hold(struct cache *c, struct entry *e)
{
    if (e->state != ENTRY_ABSENT) {
        evict_hold(&c->evict, &e->worth, e->blob != NULL || e->pinned, room_now_s(c));
    }
}

void
room_record(const struct cache *c, const struct entry *e, struct record *ret)
{
    double requests = evict_c(&c->evict, &e->worth, room_now_s(c)) * 65536;
    *ret = (struct record){.kind = RECORD_WORTH, .digest = entry_digest(e)};
    ret->worth.requests = requests < UINT32_MAX ? (uint32_t)requests : UINT32_MAX;
    ret->worth.at_wall_s = room_now_s(c);
    ret->worth.asked_wall_s = e->worth.asked_s;
    ret->worth.pinned = e->pinned;
}

/* ---- leaving ---- */

/* Evicts idle entries, worth least first, until need_bytes are free or none is left; returns bytes
 * freed. */
static uint64_t evict(struct cache *c, uint64_t need_bytes, enum metric reason) NEEDS(c->lock);
static uint64_t
evict(struct cache *c, uint64_t need_bytes, enum metric reason)
{
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    uint64_t freed = 0, bytes = 1;
    evict_settle(&c->evict, room_now_s(c));
    while (freed < need_bytes && bytes > 0) {
        size_t count =
            evict_choose(&c->evict, need_bytes - freed, (double)INFINITY, chosen, &bytes);
        freed += bytes;
        for (size_t i = 0; i < count; i++) {
            entry_evict(c, room_entry(chosen[i]), reason);
        }
    }
    return freed;
}

uint64_t
room_gc(struct cache *c, uint64_t need_bytes, bool dry_run,
        void (*each)(void *arg, const struct entry *e), void *arg)
{
    evict_settle(&c->evict, room_now_s(c));
    struct evict_blob **order;
    size_t count = evict_list(&c->evict, need_bytes, &order);
    uint64_t freed = 0;
    for (size_t i = 0; i < count; i++) {
        struct entry *e = room_entry(order[i]);
        freed += e->worth.size;
        each(arg, e);
        if (!dry_run) {
            entry_evict(c, e, M_evict_gc);
        }
    }
    mem_free(order);
    return freed;
}

/* ---- a blob that begins ---- */

/* Bytes that have to leave before `size` more may come, when the file system has free_bytes. */
static uint64_t lacking(const struct cache *c, uint64_t size, uint64_t free_bytes) NEEDS(c->lock);
static uint64_t
lacking(const struct cache *c, uint64_t size, uint64_t free_bytes)
{
    uint64_t over = minus(c->used_bytes + size, c->limit_bytes);
    uint64_t scarce = minus(size + c->min_free_bytes, free_bytes + c->dooming_bytes);
    return over > scarce ? over : scarce;
}

/* Would what has to leave for it be worth less than it? */
static bool admits(struct cache *c, const struct digest *d, uint64_t size, uint64_t need_bytes)
    NEEDS(c->lock);
static bool
admits(struct cache *c, const struct digest *d, uint64_t size, uint64_t need_bytes)
{
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    uint64_t bytes, idle = c->used_bytes - c->open_bytes;
    uint32_t now_s = room_now_s(c);
    lock_must_hold(&c->lock);
    if (size > c->limit_bytes || need_bytes > idle) {
        return false;
    }
    evict_settle(&c->evict, now_s);
    double value = evict_value_absent(&c->evict, room_name(d), size, 1, now_s);
    size_t count = evict_choose(&c->evict, need_bytes, value, chosen, &bytes);
    return bytes >= need_bytes || count == EVICT_CHOOSE_MAX;
}

int
room_make(struct cache *c, const struct digest *d, uint64_t size, uint64_t free_bytes)
{
    uint64_t need = lacking(c, size, free_bytes);
    if (need == 0 && size <= c->limit_bytes) {
        return 0;
    }
    if (!admits(c, d, size, need)) {
        return ERR_FULL;
    }
    uint64_t over = minus(c->used_bytes + size, c->limit_bytes);
    uint64_t freed = evict(c, over, M_evict_size);
    (void)evict(c, minus(need, freed), M_evict_min_free);
    return 0;
}

/* ---- the marks ---- */

int64_t
room_turn(struct cache *c)
{
    uint64_t free_bytes, total_bytes;
    int64_t next_ms = clock_ms() + SPACE_MS;
    int rc = store_free_bytes(&c->store, &free_bytes, &total_bytes);
    if (rc < 0) {
        (void)cache_disk_failed(c, "statvfs", rc);
        return next_ms;
    }
    lock_take(&c->lock);
    uint64_t high = c->limit_bytes / 100 * ROOM_HIGH_PERCENT;
    uint64_t low = c->limit_bytes / 100 * ROOM_LOW_PERCENT;
    uint64_t over = c->used_bytes > high ? c->used_bytes - low : 0;
    uint64_t have = free_bytes + c->dooming_bytes;
    uint64_t scarce =
        have < c->min_free_bytes ? c->min_free_bytes - have + c->min_free_bytes / SPARE_PART : 0;
    (void)evict(c, over >= scarce ? over : scarce,
                over >= scarce ? M_evict_size : M_evict_min_free);
    lock_drop(&c->lock);
    return next_ms;
}
