/* For unit tests of a tracker in office: one blob of 16 pieces, and what nodes tell of it. */
#ifndef TESTS_UNIT_P2P_TRACKER_UNIT_H
#define TESTS_UNIT_P2P_TRACKER_UNIT_H

#include "tests/unit/p2p/unit.h"

#include "p2p/piece.h"
#include "p2p/tracker.h"

#define PIECES 16u
#define SIZE   ((uint64_t)PIECES * PIECE_BYTES_MIN)
#define WANTS  (WIRE_WANTS | WIRE_MAY_FETCH | WIRE_SERVES)

static struct tracker_orders orders;

static inline struct tracker *
tracker_in_office(void)
{
    struct tracker *t = tracker_new();
    orders.count = 0;
    tracker_office(t, 3);
    return t;
}

/* One that wants the blob, of whose first 16 pieces it has `held`, and asks for one lease. */
static inline struct wire_blob
wants(uint64_t rate, const uint8_t held[2])
{
    return (struct wire_blob){.digest = unit_blob(1),
                              .size = SIZE,
                              .flags = WANTS,
                              .wan_rate = rate,
                              .idle_leases = 1,
                              .held = {held, held != NULL ? 2 : 0}};
}

static inline void
announces(struct tracker *t, uint8_t node, const struct wire_blob *b, int64_t now_ms)
{
    struct node_id id = unit_node(node);
    struct node_addr addr = {.port = node};
    tracker_blob(t, &id, &addr, b, now_ms, &orders);
}

static inline bool
grant(struct tracker *t, uint8_t node, int64_t now_ms, struct wire_grant *ret)
{
    struct node_id id = unit_node(node);
    struct digest d = unit_blob(1);
    return tracker_grant(t, &id, &d, now_ms, ret, &orders);
}

static inline void
report(struct tracker *t, uint8_t node, const struct wire_grant *g, uint64_t done, uint8_t how,
       int64_t now_ms)
{
    struct node_id id = unit_node(node);
    struct wire_fetching f = {g->digest, g->epoch, g->lease, g->first, g->count, done, how};
    tracker_fetching(t, &id, &f, now_ms, &orders);
}

#endif
