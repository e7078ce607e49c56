/*
 * Starts the blobs of an image in the background when its manifest passes through, so that
 * the next requests find bytes already flowing. Bounded; a client that comes first leads its
 * blob by itself.
 */
#ifndef PROXY_PREFETCH_H
#define PROXY_PREFETCH_H

#include "base/digest.h"
#include "base/err.h"

struct cache;
struct fetch;
struct manifest;
struct origin;
struct prefetch;

#define PREFETCH_QUEUE_MAX 256 /* blobs; more are skipped and come when they are asked for */

CHECKED int prefetch_open(struct cache *cache, struct fetch *fetch, struct prefetch **ret,
                          struct err *e);
void prefetch_close(struct prefetch *p); /* NULL is fine; what is under way goes on */
/* Queues one blob that the cache should have. Any thread. */
void prefetch_blob(struct prefetch *p, const struct origin *o, const struct digest *d,
                   uint64_t size);
/* Queues what an image manifest names and the cache does not have. Any thread. */
void prefetch_image(struct prefetch *p, const struct origin *o, const struct manifest *m);

#endif
