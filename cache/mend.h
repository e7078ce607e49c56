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
/* End of the run of bytes that are here from pos on, held back or not; pos when there is none. */
uint64_t blob_held_end(struct blob *b, uint64_t pos);
/* Sets bit i % 8 of bits[i / 8] for each piece i that is here whole; FILLING or later. */
void blob_held_bits(struct blob *b, uint8_t *bits);

/* How often blob_drop may bring a blob back to FILLING; the next wrong digest FAILS it. */
#define BLOB_REPAIRS_MAX 3

/* ---- words: what the pieces of a blob hash to (SHA-256), for nodes that take single ones ---- */

#define CACHE_WORD_BYTES 32
/* From now on they are kept with what is stored, and `tell` is called for each cache_ask_words with
 * those of all pieces, or none (count 0) when there are none that are proven: a blob that is not
 * stored, wrong, or cannot be read. On a thread of the cache, under no lock. With NULL it waits
 * until no call runs any more. */
void cache_on_words(struct cache *c,
                    void (*tell)(void *arg, const struct digest *d, const uint8_t *words,
                                 uint32_t count),
                    void *arg);
/* Takes a millisecond; where nothing was kept, as long as hashing the blob twice. */
void cache_ask_words(struct cache *c, const struct digest *d);
/* Of the piece that begins at `start`: all its bytes, which are about to be written or here, hash
 * to that, and need not be hashed for it again. */
void blob_word(struct blob *b, uint64_t start, const uint8_t word[CACHE_WORD_BYTES]);

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

#endif
