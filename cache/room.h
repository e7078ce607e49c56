/* Room for blobs: what leaves for whom, and water marks.
 *
 *   used   0 ........ 85 % ........ 90 % ........ 100 % of limit
 *                     <- the disk thread, above 90 %
 *                                                 a blob that begins makes room above this
 *
 * NEEDS cache->lock, but for room_start, room_turn and room_keep. */
#ifndef CACHE_ROOM_H
#define CACHE_ROOM_H

#include "cache/inside.h"
#include "cache/record.h"

#define ROOM_HIGH_PERCENT 90
#define ROOM_LOW_PERCENT  85

void room_start(struct cache *c);
/* The clock of evict.h: wall seconds at the start, then monotonic. */
uint32_t room_now_s(const struct cache *c) NEEDS(c->lock);
/* The wall clock may be behind what the journal knows. */
void room_not_before(struct cache *c, uint32_t wall_s) NEEDS(c->lock);
uint64_t room_name(const struct digest *d); /* for evict.h */
/* After a change of what keeps it from leaving. */
void room_hold(struct cache *c, struct entry *e) NEEDS(c->lock);

/* What the journal keeps of its value. */
void room_record(const struct cache *c, const struct entry *e, struct record *ret) NEEDS(c->lock);

/* Evicts idle entries by hand, strictly in order of value, until need_bytes are free or none is
 * left: `each` sees every one before it goes; with dry_run none goes. The site is asked about those
 * that it may need, which stay: call again when it has answered. Returns bytes freed. */
uint64_t room_gc(struct cache *c, uint64_t need_bytes, bool dry_run,
                 void (*each)(void *arg, const struct entry *e), void *arg) NEEDS(c->lock);
/* Room for a blob that begins. 0, or ERR_FULL, then nothing was evicted; or ERR_AGAIN: the site is
 * asked about what has to leave for it. */
CHECKED int room_make(struct cache *c, const struct digest *d, uint64_t size, uint64_t free_bytes)
    NEEDS(c->lock);
/* The same for the rest of a partial file that goes on, which the file system did not keep room
 * for: what it holds counts in the accounts already. */
CHECKED int room_go_on(struct cache *c, const struct digest *d, uint64_t size, uint64_t held_bytes,
                       uint64_t free_bytes) NEEDS(c->lock);
/* The same for another node's last copy (cache_invite). */
CHECKED int room_invite(struct cache *c, const struct digest *d, uint64_t size) NEEDS(c->lock);

/* Could it stay below the high mark, as one of so many copies? Nothing is evicted. */
bool room_for_copy(struct cache *c, const struct digest *d, uint64_t size, unsigned copies,
                   uint64_t free_bytes) NEEDS(c->lock);

/* Disk thread: keeps the marks, min_free, and files free. Returns when it has to be called again at
 * the latest (clock_ms). */
int64_t room_turn(struct cache *c);
/* The same where the file system has so much. */
int64_t room_keep(struct cache *c, const struct fs_space *space);

#endif
