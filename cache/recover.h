/* The start: what is in the folder becomes the map. Before any thread runs. */
#ifndef CACHE_RECOVER_H
#define CACHE_RECOVER_H

#include "cache/inside.h"

/* Fails only when a later version was here. */
CHECKED int recover_start(struct cache *c, struct err *e);
/* The disk thread, before it publishes or writes the journal: the marker of the last clean stop
 * could not be removed at the start perhaps, and must not stand for what comes now. */
CHECKED int recover_drop_marker(struct cache *c);
/* Marks a clean stop; all threads have ended. Best effort: without it blobs are re-hashed. */
void recover_mark_clean(struct cache *c);

#endif
