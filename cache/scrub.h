/* Re-hashing of stored blobs: by a slow thread, and by cache_verify. */
#ifndef CACHE_SCRUB_H
#define CACHE_SCRUB_H

#include "cache/inside.h"

enum scrub_result { SCRUB_GOOD, SCRUB_BAD, SCRUB_SKIPPED };

enum scrub_kind {
    SCRUB_NOW,    /* somebody waits: at full speed, whoever reads it */
    SCRUB_UNSURE, /* slowly, while it is unsure and nobody reads it */
    SCRUB_ROUND,  /* slowly, while nobody reads it, and from the disk, not from memory */
};

/* Any work in the background rests so long; the condition, which wakes it at the end, is its own.
 * False when the cache closes. */
bool scrub_rest(struct cache *c, struct cond *woken, int64_t wait_ms);
/* Starts the thread; it ends with the cache. */
CHECKED int scrub_start(struct cache *c);
/* Re-hashes one stored blob and settles what is wrong with it.
 * BAD: wrong bytes, or some that cannot be read. SKIPPED: it has gone, or the cache closes. */
enum scrub_result scrub_check(struct cache *c, const struct digest *d, enum scrub_kind kind,
                              uint64_t *ret_bytes);
/* The same, now, of one in containerd's store, which is left alone when it is bad. */
enum scrub_result scrub_foreign(struct cache *c, const struct digest *d, uint64_t *ret_bytes);
/* Somebody read all of a blob that is WHOLE, and it cannot be read or its digest is wrong: it
 * leaves for the quarantine, unless another has taken its place meanwhile; containerd's is used no
 * more. */
void scrub_read_bad(const struct blob *b);
/* The next stored blob of a walk that a check of this kind looks at (index_next); false at its
 * end. */
bool scrub_next(struct cache *c, enum scrub_kind kind, uint64_t *at, struct digest *ret);

#endif
