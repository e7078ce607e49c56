/* Words: what the pieces of a blob hash to (SHA-256), for nodes that take single pieces of it. They
 * are said by who fills the blob and kept beside it (store.h), so that a node that was started
 * anew can say them at once. A file that is missing, damaged or of another version is no loss: they
 * are made again from the blob when somebody asks. A blob of one piece has none. */
#ifndef CACHE_WORDS_INSIDE_H
#define CACHE_WORDS_INSIDE_H

#include "cache/inside.h"

/* ---- a table, pure ---- */

struct words {
    uint64_t size; /* of the blob */
    uint32_t piece_bytes, count, known_count;
    uint8_t *sums;  /* CACHE_WORD_BYTES a piece */
    uint8_t *known; /* bits */
};

struct words *words_new(uint64_t size);
void words_free(struct words *w); /* NULL is fine */
bool words_has(const struct words *w, uint32_t piece);
void words_set(struct words *w, uint32_t piece, const uint8_t word[CACHE_WORD_BYTES]);
void words_drop(struct words *w, uint32_t piece);
/* NULL is fine: then not. */
bool words_complete(const struct words *w);

/* ---- of a blob ---- */

/* Disk thread: the blob is stored; all its words are kept, or made later. */
void words_keep(struct blob *b);
/* Disk thread: the blob goes. */
void words_remove(struct cache *c, const struct digest *d);

/* Answers cache_ask_words; ends with the cache. */
CHECKED int words_start(struct cache *c);

#endif
