/* Which blobs leave when room is needed: least recently used first, never an open one.
 * Pure. */
#ifndef CACHE_EVICT_H
#define CACHE_EVICT_H

#include "base/must.h"

struct evict_item {
    uint64_t age;  /* order of last use: a smaller number was used longer ago */
    uint64_t size; /* bytes that its eviction frees */
    bool open;     /* somebody reads or fills it */
};

/* Writes the indices of the blobs to evict, in that order, until their sizes reach
 * need_bytes or no candidate is left. Returns how many; ret_order has room for count. */
size_t evict_choose(const struct evict_item *items, size_t count, uint64_t need_bytes,
                    size_t *ret_order);

#endif
