/* What a fill does when the digest of its blob is wrong and other nodes gave some of it: it finds
 * the pieces to blame, has the registry say them again, and bans who gave wrong ones.
 *
 *   round 1   pieces that differ from what the registry's fetcher says of them (words), and those
 *             of other nodes that nobody has a word for; all of other nodes when there is no word
 *   later     all pieces of other nodes
 *
 * Pieces that are missing again come by the swarm, which compares them with their words before a
 * byte is written, or without words from the registry. So do all pieces of later blobs that have
 * words.
 *
 * A node is banned when nearly all of its pieces that could be judged were wrong: one that only
 * passed on what it got itself has right ones, too. Fetch thread only. */
#ifndef PROXY_MEND_H
#define PROXY_MEND_H

#include "proxy/upstream/fill_inside.h"

/* From now on other nodes may give bytes. */
void mend_watch(struct fill *f);
/* Every turn: the registry's pieces are hashed only while somebody could ask for our word. */
void mend_listen(struct fill *f);
/* What others say of its pieces: ATTEST_BYTES each. */
void mend_words(struct fill *f, uint32_t first, uint32_t count, const uint8_t *words);
/* The blob is sick. */
void mend_step(struct fill *f, int64_t now_ms);
/* What all bytes of that gap must hash to, when it is a piece and others said so; else NULL. */
const uint8_t *mend_word(const struct fill *f, const struct gap *gap);
/* A request at a node is over; it may have been compared with a word. */
void mend_over(struct fill *f, const struct run *r, int64_t now_ms);
/* The digest is right: who gave what is known now. */
void mend_settle(struct fill *f, int64_t now_ms);
void mend_free(struct fill *f);

#endif
