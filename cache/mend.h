/* Bytes for other nodes, and bytes of other nodes, which may be wrong: a blob whose digest is wrong
 * although somebody may find out which pieces are to blame. A part of the front door: include
 * cache.h. */
#ifndef CACHE_MEND_H
#define CACHE_MEND_H

#include "cache/cache.h"

/* ---- what is held: any thread ---- */

/* [pos, pos + len) for another node, which checks what it gets: as blob_open_fd, in any phase but
 * FAILED, without hold-back. ERR_NOT_FOUND when some of them are not here, or it passes through. */
CHECKED int blob_held_fd(struct blob *b, uint64_t pos, uint64_t len, int *ret_fd);
/* A stored blob that is packed: blob_held_fd takes memory for it, and time. */
bool blob_is_packed(const struct blob *b);
/* End of the run of bytes that are here from pos on, held back or not; pos when there is none. */
uint64_t blob_held_end(struct blob *b, uint64_t pos);
/* Sets bit i % 8 of bits[i / 8] for each piece i that is here whole; FILLING or later. */
void blob_held_bits(struct blob *b, uint8_t *bits);

/* How often blob_drop may bring a blob back to FILLING; the next wrong digest FAILS it. */
#define BLOB_REPAIRS_MAX 3

/* ---- the fetch thread ---- */

/* For a fetcher that takes bytes from other nodes: while the blob has a waker, a wrong digest makes
 * it sick instead of FAILED, and wakes the fetcher. A sick blob holds all its bytes and stays as it
 * is, its tail held back; failing it removes its file. */
void blob_set_mendable(struct blob *b, bool on);
/* SHA-256 of each piece of a sick blob; false when it is not sick, or has more than max. */
CHECKED bool blob_sums(struct blob *b, struct digest *ret, size_t max);
/* These pieces (bit i % 8 of bits[i / 8]) of a sick blob are missing again, and it is FILLING as
 * before. No effect on one that is not sick. */
void blob_drop(struct blob *b, const uint8_t *bits);

/* ---- readers: any thread ---- */

/* How often pieces were dropped. */
unsigned blob_repairs(struct blob *b);
/* Of a reader that has bytes of [start, end): was one of their pieces dropped after *since? Then
 * what it has may be wrong. Sets *since to now. */
CHECKED bool blob_spoilt(struct blob *b, uint64_t start, uint64_t end, unsigned *since);

/* What is hashed of a blob that is taken over, at most, while its readers and every new pull of it
 * wait: half a second, some seconds on a slow machine. */
#define TAKE_OVER_MAX (UINT64_C(256) << 20)

/* May this one be taken over? One that may (blob_set_shared) and whose disk failed after
 * blob_begin, before more than TAKE_OVER_MAX of its beginning was here. */
bool cache_may_take_over(struct blob *b);
/* A blob with a window that goes on where `failed` got to, the same for all who ask while it fills.
 * Takes as long as it takes to hash the file up to there: not the fetch thread, under no lock. The
 * caller releases it, and when *ret_lead it has to be fetched, or failed (blob_fail). Its digest
 * proves nothing of what was read of `failed`. NULL: that is not possible. */
struct blob *cache_take_over(struct cache *c, struct blob *failed, bool *ret_lead);

#endif
