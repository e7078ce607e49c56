/* The disk thread: makes blobs durable, saves piece maps, removes files, writes the journal,
 * keeps min_free. Nobody waits for it on a client's path. */
#ifndef CACHE_DISK_H
#define CACHE_DISK_H

#include "cache/inside.h"

CHECKED int disk_start(struct cache *c);
/* Finishes everything posted, then ends. Also for one that never started. */
void disk_stop(struct cache *c);
/* There may be files to remove or records to write. Any thread. */
void disk_wake(struct cache *c);
/* Waits until all files forgotten so far are removed, or the deadline. */
void disk_drain(struct cache *c, int64_t deadline_ms);

#endif
