/* The note: a few bytes of the caller's that are there again after a restart, in one piece or not
 * at all; it is no loss for the cache when they are not. A part of the front door: include cache.h.
 * Any thread. */
#ifndef CACHE_NOTE_H
#define CACHE_NOTE_H

#include "cache/cache.h"

#define CACHE_NOTE_MAX 4096

/* Written soon by the disk thread, in the place of the one before; at the latest by cache_close.
 * What the disk does not take is tried again, unless a later one is there. */
void cache_note_put(struct cache *c, const void *bytes, size_t len);
/* As it was last written. 0; -ENOENT: there is none; ERR_LIMIT (of ret), -errno. Reads the disk. */
CHECKED int cache_note_get(struct cache *c, struct buf *ret);

#endif
