#include "tests/unit/p2p/unit.h"

#include "p2p/bits.h"
#include "p2p/piece.h"
#include "p2p/tracker.h"

#define PIECES 16u
#define SIZE   ((uint64_t)PIECES * PIECE_BYTES_MIN)
#define WANTS  (WIRE_WANTS | WIRE_MAY_FETCH | WIRE_SERVES)

static struct tracker_orders orders;

static void
announce_held(struct tracker *t, uint8_t node, uint64_t rate, const uint8_t held[2], int64_t now_ms)
{
    struct node_id id = unit_node(node);
    struct node_addr addr = {.port = node};
    struct wire_blob b = {.digest = unit_blob(1),
                          .size = SIZE,
                          .flags = WANTS,
                          .wan_rate = rate,
                          .idle_leases = 1,
                          .held = {held, 2}};
    tracker_blob(t, &id, &addr, &b, now_ms, &orders);
}

static void
announce(struct tracker *t, uint8_t node, uint64_t rate, int64_t now_ms)
{
    static const uint8_t nothing[2] = {0};
    announce_held(t, node, rate, nothing, now_ms);
}

static bool
grant(struct tracker *t, uint8_t node, int64_t now_ms, struct wire_grant *ret)
{
    struct node_id id = unit_node(node);
    struct digest d = unit_blob(1);
    return tracker_grant(t, &id, &d, now_ms, ret, &orders);
}

static void
report(struct tracker *t, uint8_t node, const struct wire_grant *g, uint64_t done, uint8_t how,
       int64_t now_ms)
{
    struct node_id id = unit_node(node);
    struct wire_fetching f = {g->digest, g->epoch, g->lease, g->first, g->count, done, how};
    tracker_fetching(t, &id, &f, now_ms, &orders);
}

/* In office, with the first `nodes` nodes waiting for the blob. */
static struct tracker *
tracker_of(uint8_t nodes)
{
    struct tracker *t = tracker_new();
    orders.count = 0;
    tracker_office(t, 3);
    for (uint8_t i = 1; i <= nodes; i++)
        announce(t, i, 0, 0);
    return t;
}

static void
pieces_are_granted_in_order_and_once(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(4);
    struct wire_grant g;
    for (uint8_t i = 1; i <= 4; i++) {
        assert_true(grant(t, i, 0, &g));
        assert_int_equal(g.first, i - 1);
        assert_int_equal(g.count, 1);
        assert_int_equal(g.epoch, 3);
    }
    assert_false(grant(t, 1, 0, &g)); /* it did not ask for a second one */
    tracker_free(t);
}

static void
what_somebody_holds_is_not_granted(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    const uint8_t held[2] = {0x07, 0};
    struct wire_grant g;
    announce_held(t, 2, 0, held, 0);
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.first, 3);
    struct node_id two = unit_node(2);
    tracker_gone(t, &two);
    announce(t, 3, 0, 1);
    announce(t, 4, 0, 1);
    assert_true(grant(t, 3, 1, &g));
    assert_int_equal(g.first, 0);
    tracker_free(t);
}

static void
a_lease_is_as_long_as_its_holder_is_fast(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct wire_grant g;
    announce(t, 1, (uint64_t)8 * PIECE_BYTES_MIN, 1);
    assert_true(grant(t, 1, 1, &g));
    assert_int_equal(g.count, 4); /* half a second of work */
    assert_true(grant(t, 2, 1, &g));
    assert_int_equal(g.count, 1); /* nothing is known of it */
    tracker_free(t);
}

static void
a_node_alone_gets_a_long_lease_and_gives_it_up_to_the_second(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(1);
    struct wire_grant g;
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.count, PIECES);
    announce(t, 2, 0, 1);
    assert_int_equal(orders.count, 1);
    assert_int_equal(orders.list[0].node.bytes[0], 1);
    uint32_t end = orders.list[0].trim.end;
    assert_in_range(end, 1, 3);
    assert_false(grant(t, 2, 1, &g)); /* not before the holder agreed */
    struct wire_grant cut = {g.digest, 3, orders.list[0].trim.lease, 0, end, 0, 0, 0};
    cut.digest = unit_blob(1);
    report(t, 1, &cut, 10, WIRE_RUNS, 2);
    assert_true(grant(t, 2, 3, &g));
    assert_int_equal(g.first, end);
    tracker_free(t);
}

static void
a_trim_is_said_again_until_the_holder_agrees(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(1);
    struct wire_grant g;
    assert_true(grant(t, 1, 0, &g));
    announce(t, 2, 0, 1);
    uint32_t end = orders.list[0].trim.end;
    orders.count = 0;
    tracker_tick(t, LEASE_TRIM_MS, &orders);
    assert_int_equal(orders.count, 0);
    tracker_tick(t, 1 + LEASE_TRIM_MS, &orders);
    assert_int_equal(orders.count, 1);
    assert_int_equal(orders.list[0].trim.end, end);
    g.count = end;
    report(t, 1, &g, 10, WIRE_RUNS, 2 + LEASE_TRIM_MS);
    orders.count = 0;
    tracker_tick(t, 2 + 2 * LEASE_TRIM_MS, &orders);
    assert_int_equal(orders.count, 0);
    tracker_free(t);
}

static void
who_gave_up_without_fault_may_fetch_again_at_once(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct wire_grant g, again;
    assert_true(grant(t, 1, 0, &g));
    report(t, 1, &g, 100, WIRE_LEFT, 10);
    announce(t, 1, 0, 20);
    assert_true(grant(t, 1, 20, &again));
    assert_int_equal(again.first, g.first);
    tracker_free(t);
}

static void
only_so_many_nodes_fetch_at_a_time_and_the_faster_ones(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(TRACKER_FETCHERS + 2);
    struct wire_grant g;
    announce(t, TRACKER_FETCHERS + 2, 1000, 0);
    assert_true(grant(t, TRACKER_FETCHERS + 2, 0, &g));
    for (uint8_t i = 1; i < TRACKER_FETCHERS; i++)
        assert_true(grant(t, i, 0, &g));
    assert_false(grant(t, TRACKER_FETCHERS, 0, &g));
    tracker_free(t);
}

static void
a_holder_that_fails_is_left_alone_for_a_while(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct wire_grant g;
    assert_true(grant(t, 1, 0, &g));
    report(t, 1, &g, 100, WIRE_FAILED, 10);
    announce(t, 1, 0, 20);
    struct wire_grant other;
    assert_false(grant(t, 1, 20, &other));
    assert_true(grant(t, 2, 20, &other));
    assert_int_equal(other.first, g.first);
    announce(t, 1, 0, 10 + 2 * TRACKER_QUARANTINE_MS);
    assert_true(grant(t, 1, 10 + 2 * TRACKER_QUARANTINE_MS, &other));
    tracker_free(t);
}

static void
a_silent_holder_is_told_and_its_piece_granted_again(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct wire_grant g, again;
    assert_true(grant(t, 1, 0, &g));
    tracker_tick(t, LEASE_SILENT_MS, &orders);
    assert_int_equal(orders.count, 1);
    assert_int_equal(orders.list[0].trim.end, 0);
    assert_int_equal(orders.list[0].trim.why, WIRE_SILENT);
    assert_true(grant(t, 2, LEASE_SILENT_MS, &again));
    assert_int_equal(again.first, g.first);
    assert_int_equal(tracker_sum(t).revocations, 1);
    tracker_free(t);
}

static void
a_new_tracker_takes_over_what_runs(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(3);
    struct wire_grant old = {
        .digest = unit_blob(1), .epoch = 2, .lease = 2 << 16 | 5, .first = 0, .count = 3};
    struct wire_grant g;
    report(t, 1, &old, 1000, WIRE_RUNS, 0);
    assert_true(grant(t, 2, 0, &g));
    assert_int_equal(g.first, 3);
    tracker_free(t);
}

static void
of_two_who_fetch_the_same_the_second_is_stopped(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(3);
    struct wire_grant one = {.digest = unit_blob(1), .lease = 1, .first = 2, .count = 4};
    struct wire_grant two = {.digest = unit_blob(1), .lease = 1, .first = 0, .count = 4};
    struct wire_grant same = {.digest = unit_blob(1), .lease = 1, .first = 2, .count = 1};
    report(t, 1, &one, 0, WIRE_RUNS, 0);
    report(t, 2, &two, 0, WIRE_RUNS, 0);
    assert_int_equal(orders.count, 1);
    assert_int_equal(orders.list[0].node.bytes[0], 2);
    assert_int_equal(orders.list[0].trim.end, 2);
    report(t, 3, &same, 0, WIRE_RUNS, 0);
    assert_int_equal(orders.count, 2);
    assert_int_equal(orders.list[1].trim.end, 0);
    tracker_free(t);
}

static void
out_of_office_nothing_is_granted(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct wire_grant g;
    tracker_office(t, 0);
    assert_false(grant(t, 1, 0, &g));
    tracker_office(t, 4);
    assert_true(grant(t, 1, 0, &g));
    tracker_free(t);
}

static void
peers_are_listed_once_a_second_without_the_asker(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(3);
    struct node_id two = unit_node(2);
    struct digest d = unit_blob(1);
    struct wire_peer p;
    size_t at = 0, found = 0;
    while (tracker_peer(t, &two, &d, 0, &at, &p)) {
        assert_int_not_equal(p.node.bytes[0], 2);
        found++;
    }
    assert_int_equal(found, 2);
    at = 0;
    assert_false(tracker_peer(t, &two, &d, TRACKER_PEERS_MS - 1, &at, &p));
    assert_true(tracker_peer(t, &two, &d, TRACKER_PEERS_MS, &at, &p));
    tracker_free(t);
}

static void
what_nobody_announces_any_more_is_forgotten(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct digest d = unit_blob(1);
    announce(t, 1, 0, 5000);
    tracker_tick(t, TRACKER_ENTRY_TTL_MS + 1, &orders);
    assert_non_null(tracker_popular(t, &d));
    tracker_tick(t, TRACKER_ENTRY_TTL_MS + 5001, &orders);
    assert_null(tracker_popular(t, &d));
    assert_int_equal(tracker_sum(t).blobs, 0);
    tracker_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_granted_in_order_and_once),
        cmocka_unit_test(what_somebody_holds_is_not_granted),
        cmocka_unit_test(a_lease_is_as_long_as_its_holder_is_fast),
        cmocka_unit_test(a_node_alone_gets_a_long_lease_and_gives_it_up_to_the_second),
        cmocka_unit_test(a_trim_is_said_again_until_the_holder_agrees),
        cmocka_unit_test(who_gave_up_without_fault_may_fetch_again_at_once),
        cmocka_unit_test(only_so_many_nodes_fetch_at_a_time_and_the_faster_ones),
        cmocka_unit_test(a_holder_that_fails_is_left_alone_for_a_while),
        cmocka_unit_test(a_silent_holder_is_told_and_its_piece_granted_again),
        cmocka_unit_test(a_new_tracker_takes_over_what_runs),
        cmocka_unit_test(of_two_who_fetch_the_same_the_second_is_stopped),
        cmocka_unit_test(out_of_office_nothing_is_granted),
        cmocka_unit_test(peers_are_listed_once_a_second_without_the_asker),
        cmocka_unit_test(what_nobody_announces_any_more_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
