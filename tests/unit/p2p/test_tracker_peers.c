#include "tests/unit/p2p/tracker_unit.h"

#include "base/rng.h"
#include "p2p/pick.h"

#define NODES 120u

static void
announce(struct tracker *t, uint8_t node, int64_t now_ms)
{
    const uint8_t held[2] = {(uint8_t)(1u << node % 8), (uint8_t)(1u << node % 7)};
    struct wire_blob b = wants(0, held);
    b.flags = WIRE_WANTS | WIRE_SERVES;
    b.idle_leases = 0;
    announces(t, node, &b, now_ms);
}

/* All that are there, near, and hold what the node lacks are named to it, and nobody else. */
static void
check_peers_of(struct tracker *t, uint8_t node, const bool there[NODES], int64_t now_ms)
{
    struct node_id id = unit_node(node);
    struct digest d = unit_blob(1);
    struct wire_peer p;
    bool named[NODES] = {false};
    size_t at = 0, others = 0;
    while (tracker_peer(t, &id, &d, now_ms, &at, &p)) {
        assert_false(named[p.node.bytes[0]]);
        named[p.node.bytes[0]] = true;
    }
    for (unsigned i = 0; i < NODES; i++)
        others += there[i] && i != node;
    for (unsigned i = 0; i < NODES; i++) {
        struct node_id o = unit_node((uint8_t)i);
        bool near = pick_near(pick_hash(&id), pick_hash(&o), others);
        bool same = i % 8 == node % 8 && i % 7 == node % 7;
        assert_true(named[i] == (there[i] && i != node && near && !same));
    }
}

static void
neighbours_are_named_while_nodes_come_and_go(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    bool there[NODES] = {false};
    unsigned count = 0, most = 0;
    struct rng r;
    rng_init(&r, 7);
    for (int64_t now_ms = 0; now_ms < 6000000; now_ms += 2 * TRACKER_PEERS_MS) {
        uint8_t node = (uint8_t)rng_below(&r, NODES), other = (uint8_t)rng_below(&r, NODES);
        struct node_id id = unit_node(other);
        for (unsigned i = 0; i < NODES; i++)
            if (there[i] && i != node)
                announce(t, (uint8_t)i, now_ms - TRACKER_PEERS_MS);
        count += !there[node];
        there[node] = true;
        announce(t, node, now_ms - TRACKER_PEERS_MS);
        if (other != node && rng_below(&r, 3) == 0) {
            tracker_gone(t, &id);
            count -= there[other];
            there[other] = false;
        }
        check_peers_of(t, node, there, now_ms);
        most = count > most ? count : most;
    }
    assert_true(most > 2 * PICK_NEAR);
    tracker_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_are_named_while_nodes_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
