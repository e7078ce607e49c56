/* The start: what is in the folder becomes the map. Before any thread runs. */
#ifndef CACHE_RECOVER_H
#define CACHE_RECOVER_H

#include "cache/inside.h"

/* Fails only when the marker of the clean stop cannot be removed (the folder itself). */
CHECKED int recover_start(struct cache *c, struct err *e);
/* Marks a clean stop; all threads have ended. Best effort: without it blobs are re-hashed. */
void recover_mark_clean(struct cache *c);

#endif
