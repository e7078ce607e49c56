/* Re-hashing of stored blobs: by a slow thread after an unclean stop, and by cache_verify. */
#ifndef CACHE_SCRUB_H
#define CACHE_SCRUB_H

#include "cache/inside.h"

enum scrub_result { SCRUB_GOOD, SCRUB_BAD, SCRUB_SKIPPED };

/* Starts the thread; it ends when nothing is unsure any more, or with the cache. */
CHECKED int scrub_start(struct cache *c);
/* Re-hashes one stored blob and settles what is wrong with it. Slowly: at SCRUB_BYTES_S.
 * BAD: wrong bytes, or some that cannot be read. SKIPPED: it has gone, or the cache closes. */
enum scrub_result scrub_check(struct cache *c, const struct digest *d, bool slowly,
                              uint64_t *ret_bytes);
/* Somebody read the whole blob and its digest is wrong: it leaves for the quarantine. */
void scrub_found_bad(struct cache *c, const struct digest *d);
/* Digests of the stored blobs, only the unsure ones or all; free with mem_free. */
size_t scrub_list(struct cache *c, bool unsure_only, struct digest **ret);

#endif
