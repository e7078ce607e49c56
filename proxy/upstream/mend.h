/* Bytes of other nodes may be wrong. What the pieces from outside of the site hash to is told to
 * all others (p2p/attest.h), and what other nodes give is compared with such words before it is
 * kept. When the digest of the blob is wrong for all that, words have lied: the pieces of other
 * nodes are dropped and come again.
 *
 *   rounds 1, 2   by the swarm, which doubts words (p2p_doubt)
 *   the last      from the registry
 *
 * A node is banned when nearly all of its pieces that could be judged then were wrong, or when the
 * swarm says so (swarm_liar). Fetch thread only. */
#ifndef PROXY_MEND_H
#define PROXY_MEND_H

#include "proxy/upstream/fill_inside.h"

/* From now on other nodes may give bytes. */
void mend_watch(struct fill *f, int64_t now_ms);
/* Every turn: pieces from outside, and what was here before, are hashed while somebody could ask
 * for our word. */
void mend_listen(struct fill *f, int64_t now_ms);
/* The blob is sick. */
void mend_step(struct fill *f, int64_t now_ms);
/* The digest is right. */
void mend_settle(struct fill *f, int64_t now_ms);
void mend_free(struct fill *f);
/* Nothing is asked of that node for a while. */
void mend_ban(struct fill_world *w, const struct node_id *node, int64_t now_ms);

#endif
