#include "tests/unit/p2p/tracker_unit.h"

#include "p2p/bits.h"
#include "p2p/tracker_inside.h"

static void
announce_held(struct tracker *t, uint8_t node, uint64_t rate, const uint8_t held[2], int64_t now_ms)
{
    struct wire_blob b = wants(rate, held);
    announces(t, node, &b, now_ms);
}

static void
announce(struct tracker *t, uint8_t node, uint64_t rate, int64_t now_ms)
{
    static const uint8_t nothing[2] = {0};
    announce_held(t, node, rate, nothing, now_ms);
}

static unsigned
trims(void)
{
    unsigned n = 0;
    for (size_t i = 0; i < orders.count; i++)
        n += !orders.list[i].nudge;
    return n;
}

/* In office, with the first `nodes` nodes waiting for the blob. */
static struct tracker *
tracker_of(uint8_t nodes)
{
    struct tracker *t = tracker_in_office();
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
    for (uint8_t i = 1; i <= 2; i++) {
        assert_true(grant(t, i, 0, &g));
        assert_int_equal(g.first, i - 1);
        assert_int_equal(g.count, 1);
        assert_int_equal(g.epoch, 3);
    }
    assert_false(grant(t, 1, 0, &g)); /* it did not ask for a second one */
    tracker_free(t);
}

static void
a_range_outside_the_blob_is_stopped_and_no_lease(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    const uint64_t p = PIECE_BYTES_MIN;
    const struct {
        uint32_t first, count;
        uint64_t done_bytes;
    } ranges[] = {{UINT32_MAX, 3, 2 * p}, {5, 4, 0xfffffffe * p}, {5, 0, 0},
                  {PIECES, 1, 0},         {5, PIECES, 0},         {5, 4, 4 * p}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        struct wire_grant g = {.digest = unit_blob(1), .lease = 1000, .epoch = 3};
        g.first = ranges[i].first;
        g.count = ranges[i].count;
        orders.count = 0;
        report(t, 1, &g, ranges[i].done_bytes, WIRE_RUNS, 1);
        assert_int_equal(trims(), 1);
        assert_int_equal(orders.list[0].trim.end, 0);
    }
    tracker_free(t);
}

static void
what_a_new_tracker_hears_was_done_says_nothing_of_the_wan(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct wire_grant g = {
        .digest = unit_blob(1), .lease = 1000, .epoch = 2, .first = 0, .count = 4};
    report(t, 1, &g, 3 * PIECE_BYTES_MIN, WIRE_RUNS, 1);
    assert_int_equal(t->climb.wan, 0);
    report(t, 1, &g, 4 * PIECE_BYTES_MIN, WIRE_DONE, 1001);
    assert_in_range(t->climb.wan, PIECE_BYTES_MIN / 2, PIECE_BYTES_MIN);
    tracker_free(t);
}

static void
a_lease_that_its_only_holder_does_not_know_of_is_granted_anew(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(1);
    struct wire_grant g, again;
    tracker_company(t, true);
    assert_true(grant(t, 1, 0, &g));
    /* The answer with the grant is lost: it asks again and again, and reports nothing. */
    int64_t now_ms = 0;
    bool granted = false;
    while (!granted && now_ms < 2 * LEASE_SILENT_MS) {
        now_ms += 200;
        announce(t, 1, 0, now_ms);
        granted = grant(t, 1, now_ms, &again) && again.first == g.first;
        tracker_tick(t, now_ms, &orders);
    }
    assert_true(granted);
    /* A lease that is reported stays, however slow. */
    now_ms += LEASE_SILENT_MS;
    announce(t, 1, 0, now_ms);
    report(t, 1, &again, 0, WIRE_RUNS, now_ms);
    tracker_tick(t, now_ms, &orders);
    assert_true(!grant(t, 1, now_ms, &g) || g.first != again.first);
    tracker_free(t);
}

static void
leases_lie_in_the_window_of_their_node(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct node_id first = unit_node(1), second = unit_node(2);
    struct digest d = unit_blob(1);
    static const uint8_t has[2] = {0x70}; /* pieces 4 to 6 */
    struct wire_grant g;
    announce_held(t, 1, 0, has, 0);
    tracker_window(t, &first, &(struct wire_window){d, 6, 9}); /* so 4 and 5 are gone */
    tracker_window(t, &second, &(struct wire_window){d, 4, 6});
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.first, 7);
    assert_true(grant(t, 2, 0, &g));
    assert_int_equal(g.first, 4);
    assert_int_equal(g.count, 1);
    announce(t, 2, 0, 0);
    tracker_window(t, &second, &(struct wire_window){d, 6, 8});
    assert_false(grant(t, 2, 0, &g)); /* 6 is held, 7 fetched, more it has no place for */
    assert_int_equal(trims(), 0);
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
doubt(struct tracker *t, uint8_t from, uint8_t about, int64_t now_ms)
{
    struct node_id id = unit_node(from);
    struct wire_doubt d = {unit_blob(1), unit_node(about)};
    tracker_doubt(t, &id, &d, now_ms);
}

static void
what_half_of_the_others_ask_for_in_vain_is_granted(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(3);
    const uint8_t all[2] = {0xff, 0xff};
    struct wire_grant g;
    announce_held(t, 4, 0, all, 0);
    assert_false(grant(t, 1, 0, &g));
    doubt(t, 1, 4, 0);
    doubt(t, 1, 4, 1); /* still one */
    doubt(t, 4, 4, 1);
    doubt(t, 9, 4, 1); /* wants nothing here */
    assert_false(grant(t, 1, 1, &g));
    doubt(t, 2, 4, 1);
    announce_held(t, 4, 0, all, 2);
    assert_true(grant(t, 1, 2, &g));
    assert_int_equal(g.first, 0);
    /* It is believed again when nobody doubts any more. */
    tracker_tick(t, 1 + TRACKER_DOUBT_MS, &orders);
    assert_false(grant(t, 2, 1 + TRACKER_DOUBT_MS, &g));
    tracker_free(t);
}

static void
who_keeps_what_it_has_gets_no_lease_while_others_can_fetch(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(3);
    struct wire_grant g;
    struct node_id one = unit_node(1), two = unit_node(2);
    doubt(t, 1, 3, 0);
    doubt(t, 2, 3, 0);
    assert_false(grant(t, 3, 0, &g));
    assert_true(grant(t, 1, 0, &g));
    tracker_gone(t, &one);
    assert_false(grant(t, 3, 0, &g));
    tracker_gone(t, &two);
    assert_true(grant(t, 3, 0, &g));
    tracker_free(t);
}

static void
who_keeps_what_it_has_loses_its_leases_and_gets_none_for_long(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(4);
    struct wire_grant g, again;
    announce(t, 3, 1000, 0);
    assert_true(grant(t, 3, 0, &g));
    doubt(t, 1, 3, 10);
    orders.count = 0;
    tracker_tick(t, 10, &orders);
    assert_int_equal(trims(), 0); /* one of three */
    doubt(t, 2, 3, 20);
    tracker_tick(t, 20, &orders);
    assert_int_equal(trims(), 1);
    for (size_t i = 0; i < orders.count; i++)
        if (!orders.list[i].nudge)
            assert_true(orders.list[i].trim.lease == g.lease && orders.list[i].trim.end == 0);
    assert_true(grant(t, 1, 20, &again));
    assert_int_equal(again.first, g.first);
    int64_t over_ms = 20 + TRACKER_BARREN_MS;
    for (int64_t now_ms = 20; now_ms < over_ms; now_ms += 5000)
        for (uint8_t node = 1; node <= 4; node++)
            announce(t, node, node == 3 ? 1000 : 0, now_ms);
    assert_false(grant(t, 3, over_ms - 1, &g));
    assert_true(grant(t, 3, over_ms, &g));
    tracker_free(t);
}

static void
what_nobody_else_could_fetch_is_left_to_who_is_doubted(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(3);
    struct wire_grant g;
    struct node_id two = unit_node(2);
    announce(t, 3, 1000, 0);
    assert_true(grant(t, 3, 0, &g));
    doubt(t, 1, 3, 0);
    doubt(t, 2, 3, 0);
    doubt(t, 3, 1, 0);
    doubt(t, 2, 1, 0);
    tracker_gone(t, &two);
    orders.count = 0;
    tracker_tick(t, 0, &orders);
    assert_int_equal(trims(), 0);
    tracker_free(t);
}

static void
what_a_node_holds_that_serves_nothing_is_granted(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    const uint8_t all[2] = {0xff, 0xff};
    struct node_id id = unit_node(3);
    struct node_addr addr = {.port = 3};
    struct wire_blob b = {
        .digest = unit_blob(1), .size = SIZE, .flags = WIRE_WANTS, .held = {all, 2}};
    struct wire_grant g;
    tracker_blob(t, &id, &addr, &b, 0, &orders);
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.first, 0);
    tracker_free(t);
}

/* Two nodes that cannot reach each other: neither is asked for what it has itself. */
static void
what_only_who_is_doubted_holds_is_granted_but_not_to_it(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    const uint8_t held[2] = {0x0b, 0}, other[2] = {0x04, 0}; /* 0, 1 and 3; 2 */
    struct wire_grant g;
    announce_held(t, 1, 0, held, 0);
    announce_held(t, 2, 0, other, 0);
    doubt(t, 1, 2, 0);
    doubt(t, 2, 1, 0);
    announce_held(t, 1, 4 * PIECE_BYTES_MIN, held, 0);
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.first, 2);
    assert_int_equal(g.count, 1); /* 3 is here */
    assert_true(grant(t, 2, 0, &g));
    assert_int_equal(g.first, 0);
    announce_held(t, 1, 0, (const uint8_t[2]){0xff, 0xff}, 0);
    assert_false(grant(t, 1, 0, &g));
    tracker_free(t);
}

static void
a_lease_is_as_long_as_its_holder_is_fast_and_what_is_left(void **state)
{
    (void)state;
    const struct {
        uint8_t nodes, count;
    } cases[] = {{4, 2}, {9, 1}, {2, 4}}; /* a part for each of four or eight, or of two, twice */
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct tracker *t = tracker_of(cases[i].nodes);
        struct wire_grant g;
        announce(t, 1, (uint64_t)3 * PIECE_BYTES_MIN / 2, 1);
        assert_true(grant(t, 1, 1, &g));
        assert_int_equal(g.count, 3); /* two seconds of work */
        report(t, 1, &g, 3 * PIECE_BYTES_MIN, WIRE_DONE, 1);
        announce(t, 1, (uint64_t)100 * PIECE_BYTES_MIN, 1);
        assert_true(grant(t, 1, 1, &g));
        assert_int_equal(g.count, cases[i].count);
        assert_true(grant(t, 2, 1, &g));
        assert_int_equal(g.count, 1); /* nothing is known of it */
        tracker_free(t);
    }
}

/* A tracker whose only node has the lease of all pieces. */
static struct tracker *
tracker_of_one(struct wire_grant *ret)
{
    struct tracker *t = tracker_of(1);
    assert_true(grant(t, 1, 0, ret));
    return t;
}

static void
a_node_alone_gets_a_long_lease_and_gives_it_up_to_the_second(void **state)
{
    (void)state;
    struct wire_grant g;
    struct tracker *t = tracker_of_one(&g);
    assert_int_equal(g.first, 0);
    assert_int_equal(g.count, PIECES);
    announce(t, 2, 0, 1);
    assert_int_equal(orders.count, 1);
    assert_int_equal(orders.list[0].node.bytes[0], 1);
    uint32_t end = orders.list[0].trim.end;
    assert_int_equal(end, LEASE_FIRST_BYTES / PIECE_BYTES_MIN); /* may be on the way */
    assert_false(grant(t, 2, 1, &g));                           /* not before the holder agreed */
    struct wire_grant cut = {.epoch = 3, .lease = orders.list[0].trim.lease};
    cut.count = end;
    cut.digest = unit_blob(1);
    report(t, 1, &cut, 10, WIRE_RUNS, 2);
    assert_true(grant(t, 2, 3, &g));
    assert_int_equal(g.first, end);
    tracker_free(t);
}

/* A request that is cut for nodes that come a moment later wastes what is on the way. */
static void
in_company_the_leases_of_the_only_one_double(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(1);
    struct wire_grant g;
    tracker_company(t, true);
    for (uint32_t first = 0, count = 4; first < PIECES; first += count) {
        announce(t, 1, 0, first);
        assert_true(grant(t, 1, first, &g));
        assert_int_equal(g.first, first);
        count = first > 4 ? first : 4;
        assert_int_equal(g.count, count);
    }
    tracker_free(t);
    t = tracker_of(1);
    tracker_company(t, true);
    assert_true(grant(t, 1, 0, &g));
    announce(t, 2, 0, 1);
    assert_int_equal(trims(), 0);
    tracker_free(t);
}

static void
a_trim_is_said_again_until_the_holder_agrees(void **state)
{
    (void)state;
    struct wire_grant g;
    struct tracker *t = tracker_of_one(&g);
    announce(t, 2, 0, 1);
    uint32_t end = orders.list[0].trim.end;
    tracker_tick(t, LEASE_TRIM_MS, &orders);
    assert_int_equal(trims(), 1);
    tracker_tick(t, 1 + LEASE_TRIM_MS, &orders);
    assert_int_equal(trims(), 2);
    assert_int_equal(orders.list[1].trim.end, end);
    g.count = end;
    report(t, 1, &g, 10, WIRE_RUNS, 2 + LEASE_TRIM_MS);
    tracker_tick(t, 2 + 2 * LEASE_TRIM_MS, &orders);
    assert_int_equal(trims(), 2);
    tracker_free(t);
}

/* Does a node that has had so much of the last piece lose it to an idle one of that rate? */
static bool
last_piece_moves(uint64_t done, uint64_t idle_rate)
{
    static const uint8_t others[2] = {0xfe, 0xff};
    struct tracker *t = tracker_of(1);
    struct wire_grant g;
    announce_held(t, 2, idle_rate, others, 0);
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.first, 0);
    report(t, 1, &g, done, WIRE_RUNS, LEASE_REVOKE_MS);
    orders.count = 0;
    tracker_tick(t, LEASE_REVOKE_MS, &orders);
    assert_int_equal(trims(), 0); /* it has its time */
    tracker_tick(t, 2 * LEASE_REVOKE_MS + 1, &orders);
    unsigned told = trims();
    tracker_free(t);
    return told > 0;
}

static void
the_last_piece_goes_to_an_idle_node_that_is_much_faster(void **state)
{
    (void)state;
    const uint64_t fast = (uint64_t)8 * PIECE_BYTES_MIN;
    assert_true(last_piece_moves(100, fast));
    assert_false(last_piece_moves(100, 0));
    assert_false(last_piece_moves(100, 100));
}

/* Another one would have to begin, and what is here and on the way would be lost. */
static void
a_piece_that_comes_soon_is_left_to_its_holder(void **state)
{
    (void)state;
    const uint64_t fast = (uint64_t)8 * PIECE_BYTES_MIN;
    assert_true(last_piece_moves(PIECE_BYTES_MIN / 8, fast));
    assert_false(last_piece_moves(PIECE_BYTES_MIN * 2 / 5, fast));
}

#define FAST     ((uint64_t)8 * PIECE_BYTES_MIN)
#define BEGAN_MS 400

/* Node 2 has brought four pieces in that time, of which node 1, that asks now, got none. */
static struct tracker *
tracker_of_fast(uint64_t rate, struct wire_grant *ret)
{
    static const uint8_t four[2] = {0x0f, 0};
    struct tracker *t = tracker_of(0);
    struct wire_grant g = {.count = 0};
    announce(t, 1, rate, 0);
    announce(t, 2, FAST, 0);
    for (unsigned piece = 0, at = 0; piece < 4; piece++, at++) {
        int64_t now_ms = (int64_t)piece * BEGAN_MS / 4;
        if (at == g.count) {
            announce(t, 2, FAST, now_ms);
            assert_true(grant(t, 2, now_ms, &g));
            at = 0;
        }
        tracker_tick(t, now_ms, &orders);
        report(t, 2, &g, (uint64_t)(at + 1) * PIECE_BYTES_MIN, WIRE_RUNS, now_ms + BEGAN_MS / 4);
    }
    report(t, 2, &g, (uint64_t)g.count * PIECE_BYTES_MIN, WIRE_DONE, BEGAN_MS);
    announce_held(t, 2, FAST, four, BEGAN_MS);
    assert_true(grant(t, 1, BEGAN_MS, ret));
    return t;
}

/* Is a holder stopped that brought nothing for so long, beside one that goes on? */
static bool
standing_still_is_lost(uint64_t rate, int64_t age_ms)
{
    struct wire_grant g, other;
    struct tracker *t = tracker_of_fast(rate, &g);
    int64_t now_ms = BEGAN_MS + age_ms;
    assert_true(grant(t, 2, BEGAN_MS, &other));
    for (int64_t ms = BEGAN_MS; ms <= now_ms; ms += 100) {
        report(t, 1, &g, 0, WIRE_RUNS, ms);
        report(t, 2, &other, PIECE_BYTES_MIN * 3 / 4, WIRE_RUNS, ms);
    }
    orders.count = 0;
    tracker_tick(t, now_ms, &orders);
    bool lost = tracker_sum(t).revocations == 1;
    assert_int_equal(trims(), lost);
    tracker_free(t);
    return lost;
}

/* In the queue of a full WAN a connection stands still for a while, and what is on the way of a
 * request that is cut is read again. Who is not known may be a slow one. */
static void
who_was_fast_may_stand_still_for_a_while(void **state)
{
    (void)state;
    const int64_t soon_ms = TRACKER_SOON_F * TRACKER_BEGIN_MS;
    assert_true(standing_still_is_lost(0, soon_ms / 2));
    assert_true(standing_still_is_lost(FAST / 64, soon_ms / 2));
    assert_false(standing_still_is_lost(FAST, soon_ms / 2));
    assert_true(standing_still_is_lost(FAST, soon_ms + 100));
}

static void
a_lease_whose_time_is_over_ends_behind_the_piece_on_its_way(void **state)
{
    (void)state;
    struct wire_grant g, other;
    struct tracker *t = tracker_of_fast(FAST, &g);
    assert_true(g.count > 2);
    report(t, 1, &g, PIECE_BYTES_MIN / 2, WIRE_RUNS, BEGAN_MS + 1500);
    report(t, 1, &g, PIECE_BYTES_MIN, WIRE_RUNS, BEGAN_MS + 3000);
    assert_true(grant(t, 2, BEGAN_MS + 4000, &other));
    report(t, 1, &g, PIECE_BYTES_MIN + 1, WIRE_RUNS, BEGAN_MS + 4900);
    report(t, 2, &other, PIECE_BYTES_MIN + PIECE_BYTES_MIN / 2, WIRE_RUNS, BEGAN_MS + 4900);
    orders.count = 0;
    tracker_tick(t, BEGAN_MS + LEASE_EXPIRY_MS + 50, &orders);
    assert_int_equal(trims(), 1);
    assert_int_equal(orders.list[0].trim.lease, g.lease);
    assert_int_equal(orders.list[0].trim.end, g.first + 2);
    assert_int_equal(tracker_sum(t).expiries, 0);
    tracker_free(t);
}

static void
who_fails_alone_may_try_again_soon(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(1);
    struct wire_grant g;
    assert_true(grant(t, 1, 0, &g));
    report(t, 1, &g, 100, WIRE_FAILED, 10);
    announce(t, 1, 0, 20);
    assert_false(grant(t, 1, 20, &g));
    assert_true(grant(t, 1, 10 + TRACKER_PAUSE_MS, &g));
    tracker_free(t);
}

static void
a_registry_without_a_place_is_left_alone_and_then_tried_by_one(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(4);
    struct wire_grant g;
    assert_true(grant(t, 1, 0, &g));
    report(t, 1, &g, 0, WIRE_BUSY, 10);
    assert_false(grant(t, 2, 10 + TRACKER_REST_MS - 1, &g));
    assert_true(grant(t, 2, 10 + TRACKER_REST_MS, &g));
    assert_false(grant(t, 3, 10 + TRACKER_REST_MS, &g));
    report(t, 2, &g, 0, WIRE_BUSY, 2000);
    assert_false(grant(t, 3, 2000 + 2 * TRACKER_REST_MS - 1, &g)); /* longer than before */
    assert_true(grant(t, 3, 2000 + 2 * TRACKER_REST_MS, &g));
    report(t, 3, &g, 1000, WIRE_RUNS, 4100);
    announce(t, 2, 0, 4100);
    assert_false(grant(t, 2, 4100, &g)); /* who was not tried yet comes first */
    assert_true(grant(t, 4, 4100, &g));  /* it gives again */
    tracker_free(t);
}

static void
requests_that_find_no_place_together_count_as_one(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(4);
    struct wire_grant first, second, third;
    assert_true(grant(t, 1, 0, &first));
    assert_true(grant(t, 2, 0, &second));
    report(t, 1, &first, 0, WIRE_BUSY, 10);
    report(t, 2, &second, 0, WIRE_BUSY, 12);
    assert_false(grant(t, 3, 10 + TRACKER_REST_MS - 1, &third));
    assert_true(grant(t, 3, 10 + TRACKER_REST_MS, &third));
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
    struct tracker *t = tracker_of(8);
    struct wire_grant g, first;
    assert_true(grant(t, 1, 0, &first));
    assert_true(grant(t, 2, 0, &g));
    assert_false(grant(t, 3, 0, &g)); /* nothing is known of the WAN */
    report(t, 1, &first, PIECE_BYTES_MIN, WIRE_DONE, 200);
    announce(t, 8, 1000, 200);
    assert_true(grant(t, 8, 200, &g));
    for (uint8_t i = 3; i <= 4; i++)
        assert_true(grant(t, i, 200, &g));
    assert_false(grant(t, 5, 200, &g));
    tracker_free(t);
}

/* They share one WAN, but the first byte of each blob is due. */
static void
blobs_share_the_places_and_each_has_one(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(4);
    struct wire_grant g;
    assert_true(grant(t, 1, 0, &g));
    assert_true(grant(t, 2, 0, &g));
    const struct digest other = unit_blob(2);
    static const uint8_t nothing[2] = {0};
    for (uint8_t i = 3; i <= 4; i++) {
        struct node_id id = unit_node(i);
        struct wire_blob b = {
            .digest = other, .size = SIZE, .flags = WANTS, .idle_leases = 1, .held = {nothing, 2}};
        tracker_blob(t, &id, &(struct node_addr){.port = i}, &b, 0, &orders);
    }
    struct node_id three = unit_node(3), four = unit_node(4);
    assert_true(tracker_grant(t, &three, &other, 0, &g, &orders));
    assert_false(tracker_grant(t, &four, &other, 0, &g, &orders));
    tracker_free(t);
}

/* All places are taken for another blob: a slow node must not be the only one that fetches this. */
static void
the_only_holder_of_a_blob_is_left_for_a_faster_node(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct wire_grant g;
    assert_true(grant(t, 1, 0, &g));
    assert_true(grant(t, 2, 0, &g));
    static const uint8_t nothing[2] = {0};
    struct wire_blob b = {.digest = unit_blob(2),
                          .size = SIZE,
                          .flags = WANTS,
                          .idle_leases = 1,
                          .held = {nothing, 2}};
    struct node_id three = unit_node(3), four = unit_node(4);
    tracker_blob(t, &three, &(struct node_addr){.port = 3}, &b, 0, &orders);
    assert_true(tracker_grant(t, &three, &b.digest, 0, &g, &orders));
    b.wan_rate = (uint64_t)8 * PIECE_BYTES_MIN;
    tracker_blob(t, &four, &(struct node_addr){.port = 4}, &b, 1, &orders);
    report(t, 3, &g, 100, WIRE_RUNS, LEASE_REVOKE_MS);
    orders.count = 0;
    tracker_tick(t, 2 * LEASE_REVOKE_MS + 1, &orders);
    assert_int_equal(trims(), 1);
    tracker_free(t);
}

static void
who_waits_is_told_when_there_is_a_place(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(4);
    struct wire_grant g, first;
    struct digest d = unit_blob(1);
    assert_true(grant(t, 1, 0, &first));
    assert_true(grant(t, 2, 0, &g));
    tracker_nudge(t, &d, 1, &orders);
    assert_int_equal(orders.count, 0);
    report(t, 1, &first, PIECE_BYTES_MIN, WIRE_DONE, 400); /* two may */
    tracker_nudge(t, &d, 400, &orders);
    assert_int_equal(orders.count, 1);
    assert_true(orders.list[0].nudge);
    assert_int_equal(orders.list[0].node.bytes[0], 3);
    tracker_nudge(t, &d, 401, &orders);
    assert_int_equal(orders.count, 1); /* not again and again */
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

/* Whoever wants the blob alone would wait for nothing: its client goes upstream without us. */
static void
in_quarantine_it_still_gets_what_nobody_else_could_fetch(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(2);
    struct wire_grant g;
    assert_true(grant(t, 1, 0, &g));
    report(t, 1, &g, 100, WIRE_FAILED, 10);
    static const uint8_t nothing[2] = {0};
    struct wire_blob b = {.digest = unit_blob(2),
                          .size = SIZE,
                          .flags = WANTS,
                          .idle_leases = 1,
                          .held = {nothing, 2}};
    struct node_id one = unit_node(1), two = unit_node(2);
    tracker_blob(t, &one, &(struct node_addr){.port = 1}, &b, 20, &orders);
    assert_true(tracker_grant(t, &one, &b.digest, 20, &g, &orders));
    report(t, 1, &g, 100, WIRE_FAILED, 30); /* it could not either */
    tracker_blob(t, &one, &(struct node_addr){.port = 1}, &b, 40, &orders);
    assert_false(tracker_grant(t, &one, &b.digest, 40, &g, &orders));
    assert_true(tracker_grant(t, &one, &b.digest, 30 + TRACKER_PAUSE_MS, &g, &orders));
    report(t, 1, &g, 100, WIRE_FAILED, 600);
    tracker_blob(t, &two, &(struct node_addr){.port = 2}, &b, 1200, &orders);
    tracker_blob(t, &one, &(struct node_addr){.port = 1}, &b, 1200, &orders);
    assert_false(tracker_grant(t, &one, &b.digest, 1200, &g, &orders));
    assert_true(tracker_grant(t, &two, &b.digest, 1200, &g, &orders));
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
    assert_int_equal(trims(), 1);
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
    struct wire_grant same = {.digest = unit_blob(1), .lease = 1, .first = 2, .count = 2};
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

/* Its lease is on a line that brings nothing: a node 500 times slower was the first that asked. */
static void
the_rescue_of_a_reader_is_left_alone(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(3);
    struct wire_grant slow = {.digest = unit_blob(1), .lease = 1, .first = 0, .count = 4};
    struct wire_grant rescue = {.digest = unit_blob(1), .lease = 1, .first = 0, .count = 1};
    report(t, 1, &slow, 0, WIRE_RUNS, 0);
    report(t, 2, &rescue, 0, WIRE_RUNS, 0);
    report(t, 3, &rescue, 0, WIRE_RUNS, 0);
    assert_int_equal(orders.count, 0);
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

/* How many peers node 2 is told of. */
static size_t
peers_of_two(struct tracker *t, int64_t now_ms)
{
    struct node_id two = unit_node(2);
    struct digest d = unit_blob(1);
    struct wire_peer p;
    size_t at = 0, found = 0;
    for (; tracker_peer(t, &two, &d, now_ms, &at, &p); found++)
        assert_int_not_equal(p.node.bytes[0], 2);
    return found;
}

static void
peers_that_help_are_listed_once_a_second(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(3);
    const uint8_t one[2] = {1, 0};
    assert_int_equal(peers_of_two(t, 0), 0);
    announce_held(t, 1, 0, one, 0);
    assert_int_equal(peers_of_two(t, 1), 1); /* at once: nothing was known before */
    announce_held(t, 3, 0, one, 1);
    assert_int_equal(peers_of_two(t, TRACKER_PEERS_MS), 0);
    assert_int_equal(peers_of_two(t, 1 + TRACKER_PEERS_MS), 2);
    tracker_free(t);
}

static void
announce_size(struct tracker *t, uint8_t node, uint64_t size, uint8_t flags)
{
    static const uint8_t nothing[3] = {0};
    struct wire_blob b = {
        .digest = unit_blob(1), .size = size, .flags = flags, .held = {nothing, 3}};
    announces(t, node, &b, 0);
}

/* Anybody's manifest may name any size. */
static void
a_size_is_known_as_long_as_somebody_goes_by_it(void **state)
{
    (void)state;
    struct tracker *t = tracker_of(0);
    struct digest d = unit_blob(1);
    announce_size(t, 1, SIZE + 1, WANTS);
    assert_true(tracker_knows(t, &d, SIZE + 1));
    announce_size(t, 2, SIZE, WANTS);
    assert_false(tracker_knows(t, &d, SIZE)); /* node 2 helps itself */
    announce_size(t, 1, SIZE + 1, 0);
    announce_size(t, 2, SIZE, WANTS);
    assert_true(tracker_knows(t, &d, SIZE));
    assert_false(tracker_knows(t, &d, SIZE + 1));
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
    assert_true(tracker_knows(t, &d, SIZE));
    tracker_tick(t, TRACKER_ENTRY_TTL_MS + 5001, &orders);
    assert_false(tracker_knows(t, &d, SIZE));
    struct replicas_of popular; /* stays known */
    struct digest which;
    assert_true(
        replicas_each(tracker_replicas(t), 0, TRACKER_ENTRY_TTL_MS + 5001, 2, &which, &popular));
    assert_true(digest_equal(&which, &d));
    assert_int_equal(tracker_sum(t).blobs, 0);
    tracker_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_granted_in_order_and_once),
        cmocka_unit_test(a_range_outside_the_blob_is_stopped_and_no_lease),
        cmocka_unit_test(what_a_new_tracker_hears_was_done_says_nothing_of_the_wan),
        cmocka_unit_test(a_lease_that_its_only_holder_does_not_know_of_is_granted_anew),
        cmocka_unit_test(leases_lie_in_the_window_of_their_node),
        cmocka_unit_test(what_somebody_holds_is_not_granted),
        cmocka_unit_test(what_half_of_the_others_ask_for_in_vain_is_granted),
        cmocka_unit_test(who_keeps_what_it_has_gets_no_lease_while_others_can_fetch),
        cmocka_unit_test(who_keeps_what_it_has_loses_its_leases_and_gets_none_for_long),
        cmocka_unit_test(what_nobody_else_could_fetch_is_left_to_who_is_doubted),
        cmocka_unit_test(what_a_node_holds_that_serves_nothing_is_granted),
        cmocka_unit_test(what_only_who_is_doubted_holds_is_granted_but_not_to_it),
        cmocka_unit_test(a_lease_is_as_long_as_its_holder_is_fast_and_what_is_left),
        cmocka_unit_test(a_node_alone_gets_a_long_lease_and_gives_it_up_to_the_second),
        cmocka_unit_test(in_company_the_leases_of_the_only_one_double),
        cmocka_unit_test(a_trim_is_said_again_until_the_holder_agrees),
        cmocka_unit_test(the_last_piece_goes_to_an_idle_node_that_is_much_faster),
        cmocka_unit_test(a_piece_that_comes_soon_is_left_to_its_holder),
        cmocka_unit_test(who_was_fast_may_stand_still_for_a_while),
        cmocka_unit_test(a_lease_whose_time_is_over_ends_behind_the_piece_on_its_way),
        cmocka_unit_test(who_fails_alone_may_try_again_soon),
        cmocka_unit_test(requests_that_find_no_place_together_count_as_one),
        cmocka_unit_test(a_registry_without_a_place_is_left_alone_and_then_tried_by_one),
        cmocka_unit_test(who_gave_up_without_fault_may_fetch_again_at_once),
        cmocka_unit_test(only_so_many_nodes_fetch_at_a_time_and_the_faster_ones),
        cmocka_unit_test(blobs_share_the_places_and_each_has_one),
        cmocka_unit_test(the_only_holder_of_a_blob_is_left_for_a_faster_node),
        cmocka_unit_test(who_waits_is_told_when_there_is_a_place),
        cmocka_unit_test(a_holder_that_fails_is_left_alone_for_a_while),
        cmocka_unit_test(in_quarantine_it_still_gets_what_nobody_else_could_fetch),
        cmocka_unit_test(a_silent_holder_is_told_and_its_piece_granted_again),
        cmocka_unit_test(a_new_tracker_takes_over_what_runs),
        cmocka_unit_test(of_two_who_fetch_the_same_the_second_is_stopped),
        cmocka_unit_test(the_rescue_of_a_reader_is_left_alone),
        cmocka_unit_test(out_of_office_nothing_is_granted),
        cmocka_unit_test(peers_that_help_are_listed_once_a_second),
        cmocka_unit_test(a_size_is_known_as_long_as_somebody_goes_by_it),
        cmocka_unit_test(what_nobody_announces_any_more_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
