/* Where the bytes of one blob came from, piece by piece, and what the pieces hash to that came from
 * outside of the site as a whole: the word that others compare theirs with. Pure but for memory.
 *
 * of a piece   NONE      it was here before, or is not here
 *              REGISTRY  all that came since is the registry's
 *              a node    and nobody else but the registry
 *              MANY      several nodes */
#ifndef PROXY_TRAIL_H
#define PROXY_TRAIL_H

#include "base/digest.h"
#include "p2p/p2p.h"

/* What is hashed unasked of a blob: 5 ms and 1 % of a processor with SHA instructions; 0.2 s and a
 * quarter of a slow one without. All that a WAN of 100 Mbit/s brings. */
#define TRAIL_UNASKED_BYTES   (8u << 20)
#define TRAIL_UNASKED_BYTES_S (12u << 20)
#define TRAIL_NODES_MAX       64 /* SWARM_PEERS_MAX; bytes of more are MANY */

enum trail_of { TRAIL_NONE, TRAIL_REGISTRY, TRAIL_NODE, TRAIL_MANY };

struct trail;

/* One request on its way: hashes the piece at work. */
struct trail_hand {
    struct digester *digester; /* NULL: this piece was not here from its start */
    uint64_t at;
};

struct trail *trail_new(uint64_t size);
void trail_free(struct trail *t); /* NULL is fine */
void trail_put_down(struct trail_hand *h);

/* Who gave bytes. */
struct trail_giver {
    const struct node_id *node; /* NULL: the registry */
    bool far;                   /* outside of the site */
};

/* Bytes at pos were written. Calls `whole`, if it is set, for each piece of which all bytes came
 * from far through this hand while it was. */
void trail_bytes(struct trail *t, struct trail_hand *h, struct trail_giver by, uint64_t pos,
                 const void *bytes, size_t len);
void trail_on_whole(struct trail *t,
                    void (*whole)(void *arg, uint32_t piece, const struct digest *sum), void *arg);
/* Words for nobody, who may come some day: are those that were made in the first took_ms of the
 * blob so few that they cost next to nothing (TRAIL_UNASKED_*)? Once they are not, never again. */
CHECKED bool trail_is_cheap(struct trail *t, int64_t took_ms);
/* Was neither `whole` called for it, nor trail_heard? */
bool trail_unheard(const struct trail *t, uint32_t piece);
void trail_heard(struct trail *t, uint32_t piece);
enum trail_of trail_of(const struct trail *t, uint32_t piece, struct node_id *ret_node);
void trail_forget(struct trail *t, uint32_t piece);
uint32_t trail_pieces(const struct trail *t);

#endif
