/* Blobs that are to leave. */
#include "cache/leaving.h"
#include "base/clock.h"
#include "cache/entry.h"
#include "cache/room.h"

struct leaving *
leaving_find(struct cache *c, const struct entry *e)
{
    lock_must_hold(&c->lock);
    for (size_t i = 0; e->leaving && i < c->leaving_count; i++) {
        if (c->leaving[i].entry == e) {
            return &c->leaving[i];
        }
    }
    return NULL;
}

static bool
stays(enum cache_leave state)
{
    return state == CACHE_LEAVE_ASKED || state == CACHE_LEAVE_MOVES || state == CACHE_LEAVE_KEEP;
}

bool
leaving_stays(struct cache *c, const struct entry *e)
{
    const struct leaving *l = leaving_find(c, e);
    return l != NULL && stays(l->state);
}

bool
leaving_may(struct cache *c, const struct entry *e)
{
    const struct leaving *l = leaving_find(c, e);
    return (c->ask_leave == NULL && !c->leave_asks) || e->state == ENTRY_PARTIAL || e->worth.twin ||
           (l != NULL && !stays(l->state) && l->until_ms > clock_ms());
}

bool
leaving_is_last(struct cache *c, const struct entry *e)
{
    const struct leaving *l = leaving_find(c, e);
    return l != NULL && l->state == CACHE_LEAVE_LAST;
}

bool
leaving_ask(struct cache *c, struct entry *e)
{
    struct leaving *l = leaving_find(c, e);
    if (l == NULL && c->leaving_count == LEAVING_MAX) {
        return false;
    }
    if (l == NULL) {
        l = &c->leaving[c->leaving_count++];
    }
    *l = (struct leaving){.entry = e,
                          .state = CACHE_LEAVE_ASKED,
                          .comes = true,
                          .until_ms = clock_ms() + LEAVING_ASK_MS};
    e->leaving = true;
    room_hold(c, e);
    return true;
}

void
leaving_forget(struct cache *c, struct entry *e)
{
    struct leaving *l = leaving_find(c, e);
    if (l == NULL) {
        return;
    }
    *l = c->leaving[--c->leaving_count];
    e->leaving = false;
    room_hold(c, e);
}

uint64_t
leaving_bytes(struct cache *c)
{
    uint64_t bytes = 0;
    lock_must_hold(&c->lock);
    for (size_t i = 0; i < c->leaving_count; i++) {
        bytes += c->leaving[i].comes ? c->leaving[i].entry->worth.size : 0;
    }
    return bytes;
}

int64_t
leaving_expire(struct cache *c)
{
    int64_t now_ms = clock_ms(), next_ms = INT64_MAX;
    for (size_t i = c->leaving_count; i-- > 0;) {
        int64_t until_ms = c->leaving[i].until_ms;
        if (until_ms <= now_ms) {
            leaving_forget(c, c->leaving[i].entry);
        } else if (until_ms < next_ms) {
            next_ms = until_ms;
        }
    }
    return next_ms;
}

void
leaving_release(struct cache *c)
{
    while (c->leaving_count > 0) {
        leaving_forget(c, c->leaving[0].entry);
    }
}

/* Those of the next question: how many; the hook and its argument. */
static size_t
take_unsent(struct cache *c, struct leave_ask list[CACHE_LEAVE_BATCH])
{
    size_t count = 0;
    lock_take(&c->lock);
    for (size_t i = 0; i < c->leaving_count && count < CACHE_LEAVE_BATCH; i++) {
        struct leaving *l = &c->leaving[i];
        if (l->state == CACHE_LEAVE_ASKED && !l->sent) {
            list[count++] = (struct leave_ask){entry_digest(l->entry), entry_size(l->entry)};
            l->sent = true;
        }
    }
    c->asking_leave = count > 0 && c->ask_leave != NULL;
    if (!c->asking_leave) {
        count = 0;
    }
    lock_drop(&c->lock);
    return count;
}

void
leaving_send(struct cache *c)
{
    struct leave_ask list[CACHE_LEAVE_BATCH];
    size_t count;
    while ((count = take_unsent(c, list)) > 0) {
        c->ask_leave(c->ask_leave_arg, list, count); /* stays while asking_leave */
        lock_take(&c->lock);
        c->asking_leave = false;
        cond_wake(&c->doomed);
        lock_drop(&c->lock);
    }
}
