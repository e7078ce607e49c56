/* The front door towards copies that the site needs: what is said of ours, and whose we take. */
#include "base/clock.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/leaving.h"
#include "cache/room.h"
#include <string.h>

void
cache_on_leave(struct cache *c, void (*ask)(void *arg, const struct leave_ask *list, size_t count),
               void *arg)
{
    lock_take(&c->lock);
    while (ask == NULL && c->asking_leave) {
        (void)cond_wait(&c->doomed, &c->lock, INT64_MAX);
    }
    c->ask_leave = ask;
    c->ask_leave_arg = arg;
    if (ask == NULL) {
        leaving_release(c);
    }
    lock_drop(&c->lock);
}

static void take_word(struct cache *c, struct entry *e, struct leaving *l,
                      const struct leave_word *said) NEEDS(c->lock);
static void
take_word(struct cache *c, struct entry *e, struct leaving *l, const struct leave_word *said)
{
    int64_t for_ms = said->for_ms;
    l->state = said->what;
    if (said->what != CACHE_LEAVE_KEEP) {
        evict_copies(&c->evict, &e->worth, said->copies + 1, room_now_s(c));
    }
    l->comes = said->what == CACHE_LEAVE_MOVES ||
               (said->what == CACHE_LEAVE_KEEP && for_ms <= CACHE_BRIEF_MS);
    if (said->what == CACHE_LEAVE_LAST && !e->last) {
        l->state = CACHE_LEAVE_KEEP;
        for_ms = LEAVING_LAST_MS;
    }
    e->last = said->what == CACHE_LEAVE_LAST;
    l->said_ms = clock_ms();
    l->until_ms = l->said_ms + for_ms;
    memcpy(l->to, said->to, sizeof l->to);
    room_hold(c, e);
}

void
cache_leave_said(struct cache *c, const struct leave_word *said)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, &said->digest);
    struct leaving *l = e != NULL ? leaving_find(c, e) : NULL;
    if (l != NULL) {
        take_word(c, e, l, said);
    }
    lock_drop(&c->lock);
    disk_wake(c);
}

bool
cache_holds(struct cache *c, const struct digest *d)
{
    lock_take(&c->lock);
    const struct entry *e = entry_find(c, d);
    bool holds = e != NULL && e->state == ENTRY_STORED && !e->worth.twin;
    lock_drop(&c->lock);
    return holds;
}

uint64_t
cache_spare(struct cache *c)
{
    lock_take(&c->lock);
    uint64_t low = c->limit_bytes / 100 * ROOM_LOW_PERCENT;
    uint64_t bytes = c->evict.spare_bytes + (low > c->used_bytes ? low - c->used_bytes : 0);
    lock_drop(&c->lock);
    return bytes;
}

int
cache_invite(struct cache *c, const struct digest *d, uint64_t size, double requests,
             int64_t asked_wall_s)
{
    lock_take(&c->lock);
    uint32_t now_s = room_now_s(c);
    uint32_t asked_s = asked_wall_s > 0 && asked_wall_s < now_s ? (uint32_t)asked_wall_s : 0;
    evict_restore_absent(&c->evict, room_name(d), requests, asked_s, now_s);
    int rc = room_invite(c, d, size);
    lock_drop(&c->lock);
    disk_wake(c);
    return rc;
}
