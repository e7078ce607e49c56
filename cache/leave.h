/* Blobs that are to leave for room while the site may need them: a part of the front door, include
 * cache.h. Somebody above is asked first (cache_on_leave), and answers (cache_leave_said).
 *
 *   nobody asked  --it is to leave-->      ASKED: stays
 *   ASKED  --others hold it-->             MAY: leaves when it is still worth least
 *   ASKED  --the last copy, no room-->     KEEP for LEAVING_LAST_MS; the second time LAST: as MAY
 *   ASKED  --another node takes it-->      MOVES: stays until the next word
 *   ASKED  --not now-->                    KEEP: stays
 *   any    --the word is too old-->        nobody asked
 *
 * What is not answered in LEAVING_ASK_MS is asked again. Partial files are nobody's copy and leave
 * unasked. A blob that begins waits for answers, CACHE_ROOM_WAIT_MS at most; then it passes
 * through. When the disk has been below min_free, or the cache over its cap, for CACHE_PRESSURE_MS,
 * blobs leave in the order of their value, whatever was said or not said of them. */
#ifndef CACHE_LEAVE_H
#define CACHE_LEAVE_H

#include "base/digest.h"

struct cache;

#define CACHE_ROOM_WAIT_MS 1500
#define CACHE_BRIEF_MS     2000 /* for what is to be kept so long, room is waited for */
#define CACHE_PRESSURE_MS  2000
#define CACHE_LEAVE_BATCH  32

enum cache_leave {
    CACHE_LEAVE_UNASKED,
    CACHE_LEAVE_ASKED,
    CACHE_LEAVE_MAY,
    CACHE_LEAVE_LAST,
    CACHE_LEAVE_MOVES,
    CACHE_LEAVE_KEEP
};

struct leave_ask {
    struct digest digest;
    uint64_t size;
};
#define CACHE_LEAVE_TO_MAX 40
struct leave_word {
    struct digest digest;
    enum cache_leave what;
    unsigned copies;             /* other whole ones in the site */
    int64_t for_ms;              /* how long the word holds */
    char to[CACHE_LEAVE_TO_MAX]; /* MOVES: name of the node, for people */
};

/* `ask` is called from the disk thread, under no lock, with CACHE_LEAVE_BATCH blobs at most. With
 * NULL it waits until no call runs. Without it all blobs leave unasked, unless the cache was opened
 * with leave_asks. */
void cache_on_leave(struct cache *c,
                    void (*ask)(void *arg, const struct leave_ask *list, size_t count), void *arg);
void cache_leave_said(struct cache *c, const struct leave_word *said);

/* Other nodes' last copies. Is it whole in this cache's own folder? */
bool cache_holds(struct cache *c, const struct digest *d);
/* Room for a blob that another node has to let go: what is free below the low mark, and what others
 * have, too. */
uint64_t cache_spare(struct cache *c);
/* Such a blob may come: 0, then the caller leads it now; ERR_AGAIN: room is being made; ERR_FULL:
 * it would push out what is worth more, or a last copy. requests: of the site, as blob_info has
 * them. */
CHECKED int cache_invite(struct cache *c, const struct digest *d, uint64_t size, double requests,
                         int64_t asked_wall_s);

#endif
