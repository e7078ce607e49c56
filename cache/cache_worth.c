/* The front door towards what blobs are worth: requests of other nodes, pins. */
#include "cache/entry.h"
#include "cache/record.h"
#include "cache/room.h"

void
cache_asked(struct cache *c, const struct digest *d)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL) {
        entry_asked(c, e);
    } else {
        evict_asked_absent(&c->evict, room_name(d), EVICT_SELF, room_now_s(c));
    }
    lock_drop(&c->lock);
}

void
cache_heard(struct cache *c, const struct digest *d)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL && e->state != ENTRY_ABSENT) {
        evict_asked(&c->evict, &e->worth, EVICT_OTHER, room_now_s(c));
        /* It will have one, too; the site is asked before this one leaves. */
        if (c->leave_asks && e->worth.copies == 1)
            evict_copies(&c->evict, &e->worth, 2, room_now_s(c));
    } else {
        evict_asked_absent(&c->evict, room_name(d), EVICT_OTHER, room_now_s(c));
    }
    lock_drop(&c->lock);
}

bool
cache_has_room(struct cache *c, const struct digest *d, uint64_t size, unsigned copies)
{
    struct fs_space space;
    if (store_space(&c->store, &space) < 0)
        return false;
    lock_take(&c->lock);
    bool room = cache_files_lacking(&space) == 0 &&
                room_for_copy(c, d, size, copies > 0 ? copies : 1, space.free_bytes);
    lock_drop(&c->lock);
    return room;
}

int
cache_pin(struct cache *c, const struct digest *d, bool pinned)
{
    AUTO(buf_release) struct buf record;
    struct record r;
    buf_init(&record, RECORD_MAX_BYTES);
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    bool here = e != NULL && e->state != ENTRY_ABSENT;
    if (here) {
        entry_pin(c, e, pinned);
        room_record(c, e, &r);
    }
    lock_drop(&c->lock);
    if (!here)
        return ERR_NOT_FOUND;
    int rc = record_encode(&r, &record);
    must(rc == 0);
    cache_add_facts(c, &record);
    return 0;
}
