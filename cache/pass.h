/* Blobs that pass through memory: a bounded window instead of a file, one reader, positions
 * only rise. The reader's thread hashes what it takes, so the fetch thread only copies. */
#ifndef CACHE_PASS_H
#define CACHE_PASS_H

#include "cache/inside.h"

/* Longest blob_write; a window always has room for one beside the held-back tail. */
#define PASS_WRITE_MAX BLOB_WRITE_MAX

/* As cache_pass_through and cache_pass_part say. */
CHECKED int pass_new(struct cache *c, const struct digest *d, uint64_t from,
                     const struct digester *sent, struct blob *prefix, struct blob **ret);
CHECKED int pass_new_part(struct cache *c, const struct digest *d, const struct gap *want,
                          bool spare_only, struct blob **ret);
void pass_free(struct blob *b); /* no pass is fine */
CHECKED int pass_begin(struct blob *b, uint64_t size);
bool pass_claim(struct blob *b, uint64_t max_bytes, struct gap *ret);
void pass_unclaim(struct blob *b);
uint64_t pass_claim_limit(struct blob *b);
CHECKED int pass_write(struct blob *b, uint64_t pos, const void *bytes, size_t len,
                       enum blob_source source);
/* No effect from VERIFIED on. */
void pass_fail(struct blob *b, int code);
/* Called before one of its references goes: alone, a reader or a writer is lost, unless all
 * bytes have arrived. */
void pass_left_alone(struct blob *b);

uint64_t pass_readable_locked(const struct blob *b, uint64_t pos) NEEDS(b->lock);
uint64_t pass_have_bytes_locked(const struct blob *b) NEEDS(b->lock);
/* Reader: until blob_wait's contract is met. */
void pass_wait(struct blob *b, uint64_t pos, int64_t deadline_ms);
CHECKED int64_t pass_read(struct blob *b, uint64_t pos, void *ret, size_t len);

#endif
