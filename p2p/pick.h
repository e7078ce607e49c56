/* Which piece next, and from whom: pure choices, randomness is an argument.
 *
 * A piece: the first that lacks in a reader's window with probability 1/2 (always while that reader
 * stands still), else the rarest among peers, ties at random. A piece with one holder is left to
 * one node, which others will have it from, unless a reader stands still at that very piece or
 * there is nothing else to do: who gave it once shall give other pieces. A source: the fastest
 * holder that has room, ties at random. Nodes do not all run to the same one: it is busy then. */
#ifndef P2P_PICK_H
#define P2P_PICK_H

#include "base/rng.h"
#include "p2p/node.h"
#include "p2p/rank.h"

#define PICK_WINDOW      8 /* pieces in front of a cursor */
#define PICK_PER_PEER    1 /* requests at one peer: more only fill its queue (simulated) */
#define PICK_CURSORS_MAX 16
#define PICK_NEAR        32 /* neighbours of a node in a larger swarm, about */

struct pick_pieces {
    uint32_t pieces;
    const uint8_t *held, *asked; /* bits */
    const uint8_t *offered;      /* bits: some peer that has room for a request holds it */
    const uint8_t *left;         /* bits: one peer holds it, and another node is to take it there */
    bool idle;                   /* nothing is asked of a peer now */
    const uint16_t *avail;       /* peers that hold the piece */
    size_t cursors_count;
    struct pick_cursor {
        uint32_t piece; /* where it stands */
        bool stalled;
    } cursors[PICK_CURSORS_MAX];
};

struct pick_source {
    const struct rank *rank;
    unsigned requests; /* open at that peer */
};
/* An offered piece that is neither held nor asked for; -1: none. */
int64_t pick_piece(const struct pick_pieces *p, struct rng *r);

bool pick_room(const struct pick_source *s, int64_t now_ms);
/* Of the sources that hold the piece; -1: none has room now. */
int pick_source(const struct pick_source *sources, size_t count, int64_t now_ms, struct rng *r);

/* Are two nodes of these pick_hash() neighbours in a swarm where each has so many others? Each node
 * has about PICK_NEAR of them, and is one of theirs. */
bool pick_near(uint64_t a, uint64_t b, size_t others);
uint64_t pick_hash(const struct node_id *id);

/* Of the nodes that share a blob the one of the highest claim to a piece takes it from who has all.
 */
uint64_t pick_claim(const struct node_id *id, uint32_t piece);

/* Owner of a run of pieces while there is no tracker: highest hash of (blob, run, node) wins.
 * Returns the weight to compare. */
uint64_t pick_weight(const void *blob, size_t blob_len, uint32_t run, const void *node,
                     size_t node_len);

#endif
