/* One blob in memory, for the other files of cache/. */
#ifndef CACHE_BLOB_H
#define CACHE_BLOB_H

#include "cache/inside.h"

/* A blob in phase ASKED with one reference and no entry. */
struct blob *blob_new(struct cache *c, const struct digest *d);
/* Under no lock: it belongs to the one who made it. */
void blob_set_whole(struct blob *b, int fd, uint64_t size);
void blob_set_unsure(struct blob *b, int fd, uint64_t size);

/* [pos, pos + len), which is here, in a file of its own in memory, at the same place: 0 or -errno.
 */
CHECKED int blob_copy(const struct blob *b, uint64_t pos, uint64_t len, int *ret_fd);

/* Phase FAILED, out of the map. The file: kept to be continued, removed, or (a stored one
 * whose bytes are wrong) moved to quarantine. No effect in WHOLE and FAILED. */
enum blob_fate { FATE_KEEP, FATE_DROP, FATE_QUARANTINE };
void blob_end(struct blob *b, int code, enum blob_fate fate);
/* The disk failed with -errno while it worked on this blob; the blob ends, its file goes.
 * Returns what the caller is told. `lost`: bytes written before may be gone. */
int blob_end_by_disk(struct blob *b, const char *what, int rc, bool lost);
/* The digest is right (hash thread). */
void blob_verified(struct blob *b);
/* The digest is wrong (hash thread): true when it fell sick, and the fetcher was told. */
CHECKED bool blob_mend(struct blob *b);
/* What the hash threads take at once: a thread that is woken for each few KiB that a thin WAN
 * brings costs more than what it hashes. */
#define HASH_STEP_BYTES (256u * 1024)
/* Up to where they may go now: whole steps from the blob's start, or all. Of a blob that is
 * FILLING. */
uint64_t blob_hash_end_locked(const struct blob *b) NEEDS(b->lock);
/* Gives the hasher a blob that may have work for it. Takes no reference of the caller. */
void blob_hash(struct blob *b);

#endif
