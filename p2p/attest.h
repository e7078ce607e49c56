/* What the pieces of one blob hash to (SHA-256), as nodes say. A word is heard before its piece is
 * asked of anybody, and the piece is compared with it before a byte of it is kept. Pure.
 *
 * The word of a piece   our own, when we read it from the registry
 *                       else what most of those say that read it there themselves
 *                       else what most of those say that only have it
 *                       none while as many say another one: it is disputed
 *
 * When the digest of the blob was wrong for all that, words are doubted: one counts when two nodes
 * read it, or who read it is trusted again, since some of its words were confirmed by another; the
 * second time only when two did. Other pieces are disputed until then.
 *
 * A node has one word for a piece: the first that it said. When more nodes speak than there are
 * bits for, one that says what nobody did takes the place of one that said no wrong word; the words
 * of that one stay, as those of somebody. */
#ifndef P2P_ATTEST_H
#define P2P_ATTEST_H

#include "p2p/wire.h"

#define ATTEST_BYTES        32
#define ATTEST_RUN_MAX      24 /* words in one record; a datagram has room for it and for a hint */
#define ATTEST_SPEAKERS_MAX 64 /* bits of a word's speakers; more take the places of others */
#define ATTEST_SAYINGS_MAX  4  /* different words of one piece that are kept */
#define ATTEST_WRONG_MAX    2  /* words that turned out wrong: the speaker is a liar */
#define ATTEST_LIES_MAX     2  /* nodes that gave other bytes than a single one says */
#define ATTEST_TRUST        2 /* words of a speaker that another confirmed, since they are doubted */

struct attest;

struct attest *attest_new(uint32_t pieces);
void attest_free(struct attest *a); /* NULL is fine */

/* Words for pieces from `first` on: what is no whole word, or behind the end, is ignored.
 * `read`: the speaker read them from the registry itself. */
void attest_hear(struct attest *a, const struct node_id *speaker, bool read, uint32_t first,
                 const struct wire_bits *words);
void attest_own(struct attest *a, bool read, uint32_t piece, const uint8_t word[ATTEST_BYTES]);
/* Nothing that it says counts any more. */
void attest_forget(struct attest *a, const struct node_id *speaker);
/* The next node that said wrong words: other ones than this node read, or than several others did.
 * *at is a place to keep; false: no more. */
bool attest_liar(const struct attest *a, size_t *at, struct node_id *ret);
void attest_doubt(struct attest *a);
/* How often it changed who is believed: then the state of any piece may be another. */
unsigned attest_verdicts(const struct attest *a);
/* A node gave other bytes than the word says: nothing new when more than one said it. */
void attest_lied(struct attest *a, uint32_t piece);

enum attest_state { ATTEST_NONE, ATTEST_DISPUTED, ATTEST_WORD };
/* ret is set with ATTEST_WORD; may be NULL. */
enum attest_state attest_of(const struct attest *a, uint32_t piece, uint8_t ret[ATTEST_BYTES]);

/* The next run of words in [*at, end) that this node `read` itself, or knows otherwise; *at moves
 * behind it. False: no more. ret->words lives until the next call. */
bool attest_run(struct attest *a, const struct digest *blob, bool read, uint32_t *at, uint32_t end,
                struct wire_attest *ret);

#endif
