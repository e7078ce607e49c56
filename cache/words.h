/* Words: what the pieces of a blob hash to (SHA-256), for nodes that take single pieces of it. A
 * part of the front door: include cache.h. Any thread. */
#ifndef CACHE_WORDS_H
#define CACHE_WORDS_H

#include "cache/cache.h"

#define CACHE_WORD_BYTES 32
/* From now on they are kept with what is stored, and `tell` is called for each cache_ask_words with
 * those of all pieces, or none (count 0) when there are none that are proven: a blob that is not
 * stored, wrong, or cannot be read. On a thread of the cache, under no lock. With NULL it waits
 * until no call runs any more. */
void cache_on_words(struct cache *c,
                    void (*tell)(void *arg, const struct digest *d, const uint8_t *words,
                                 uint32_t count),
                    void *arg);
/* Takes a millisecond; where nothing was kept, as long as hashing the blob twice. False: too many
 * wait, and nothing will be told. */
CHECKED bool cache_ask_words(struct cache *c, const struct digest *d);
/* Of the piece that begins at `start`: all its bytes, which are about to be written or here, hash
 * to that. A blob of which some are not said is hashed anew later. */
void blob_word(struct blob *b, uint64_t start, const uint8_t word[CACHE_WORD_BYTES]);

#endif
