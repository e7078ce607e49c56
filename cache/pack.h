/* Stored blobs that shrink (plain tar layers, model weights) are packed at rest: for
 * cache.compress.
 *
 *   asked for, or too short, or unsure   -> stays as it is for now
 *   its sample does not shrink           -> stays as it came; sendfile sends it
 *   packed, and right when read back     -> takes the place of the file that it was made of
 *
 * In the background: the lowest priority, a quarter of one processor. */
#ifndef CACHE_PACK_H
#define CACHE_PACK_H

#include "cache/inside.h"

/* A blob that is packed now; its thread waits for the disk thread to swap the files. */
struct packing {
    struct digest digest;
    uint64_t gen;  /* of the entry */
    uint64_t name; /* the generation that names the new file */
    uint64_t bytes, plain_bytes;
    int fd;
    bool done; /* cache->lock */
    int rc;
};

CHECKED int pack_start(struct cache *c);
/* Swaps the files of a blob that was packed; the disk thread. */
void pack_swap(struct cache *c);

#endif
