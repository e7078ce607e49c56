/* The table from digests to entries. It costs one pointer in each entry and at most 16 bytes of
 * table a blob; hashes are keyed, so that nobody who chooses digests can fill one bucket.
 *
 * A walk goes in order of the hash, which the growth of the table does not change: it can be
 * left and continued, and meets every entry that was there all the time, once. */
#ifndef CACHE_INDEX_H
#define CACHE_INDEX_H

#include "base/digest.h"

struct entry;

struct index {
    struct entry **heads; /* NULL before the first entry */
    unsigned bits;        /* 1 << bits heads, by the top bits of the hash */
    size_t count;
};

struct entry *index_find(const struct index *x, const struct digest *d); /* NULL: not there */
void index_add(struct index *x, struct entry *e); /* whose digest is not there yet */
void index_remove(struct index *x, struct entry *e);
/* The next entry of a walk, NULL at its end. It begins with *at = 0 and may begin anywhere. */
struct entry *index_next(const struct index *x, uint64_t *at);
void index_release(struct index *x); /* the table, not the entries */

#endif
