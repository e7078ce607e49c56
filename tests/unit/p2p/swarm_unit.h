/* For unit tests of a swarm: one blob on node 1, and what other nodes say of it. Whoever includes
 * it says first how the blob is cut: PIECES pieces of PIECE bytes. */
#ifndef TESTS_UNIT_P2P_SWARM_UNIT_H
#define TESTS_UNIT_P2P_SWARM_UNIT_H

#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/piece.h"
#include "p2p/swarm.h"

static struct members members; /* of site 0 */
static struct node_id self;
static struct rng rng;

static inline struct swarm *
swarm(void)
{
    struct digest d = unit_blob(1);
    self = unit_node(1);
    member_init(&members, 0);
    rng_init(&rng, 1);
    return swarm_new(&d, PIECES * PIECE, WIRE_WANTS | WIRE_MAY_FETCH | WIRE_SERVES, 0);
}

/* What it asks for next; orphan_ms: so long there is no tracker. */
static inline bool
next(struct swarm *s, int64_t orphan_ms, int64_t now_ms, struct swarm_get *ret)
{
    struct swarm_moment at = {now_ms, orphan_ms, &members, &self, 0, &rng};
    return swarm_next(s, &at, ret);
}

/* That node tells of a run of pieces. */
static inline void
has(struct swarm *s, uint8_t node, uint32_t first, uint32_t count)
{
    struct node_id id = unit_node(node);
    struct node_addr addr = {.port = node};
    struct wire_have have = {*swarm_digest(s), first, count, {NULL, 0}};
    swarm_have(s, &id, &addr, &have);
}

#endif
