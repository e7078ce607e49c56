#include "tests/unit/p2p/tracker_unit.h"

#include "p2p/climb.h"

static void
asks(struct tracker *t, uint8_t node, uint64_t rate, uint8_t first_held, uint8_t idle,
     int64_t now_ms)
{
    const uint8_t held[2] = {first_held, 0};
    struct wire_blob b = wants(rate, held);
    b.idle_leases = idle;
    announces(t, node, &b, now_ms);
}

static void
says(struct tracker *t, uint8_t node, uint64_t rate, uint8_t first_held, int64_t now_ms)
{
    asks(t, node, rate, first_held, 1, now_ms);
}

static void
brings(struct tracker *t, uint8_t node, const struct wire_grant *g, uint64_t done, int64_t now_ms)
{
    bool all = done == (uint64_t)g->count * PIECE_BYTES_MIN;
    report(t, node, g, done, all ? WIRE_DONE : WIRE_RUNS, now_ms);
}

static void
goes(struct tracker *t, uint8_t node)
{
    struct node_id id = unit_node(node);
    tracker_gone(t, &id);
}

/* Is the node told so? Of its lease, or, with 0, to ask for one. */
static bool
is_told(uint8_t node, uint32_t lease)
{
    struct node_id id = unit_node(node);
    for (size_t i = 0; i < orders.count; i++)
        if (node_equal(&orders.list[i].node, &id) && orders.list[i].nudge == (lease == 0) &&
            (lease == 0 || orders.list[i].trim.lease == lease))
            return true;
    return false;
}

/* Four nodes of which nothing is known; the first two have the first two pieces, and that is all
 * that the site pulls. */
static struct tracker *
two_fetch_little(struct wire_grant *ret_first)
{
    struct tracker *t = tracker_in_office();
    struct wire_grant g;
    for (uint8_t i = 1; i <= 4; i++)
        says(t, i, 0, 0, 0);
    assert_true(grant(t, 1, 0, ret_first));
    assert_true(grant(t, 2, 0, &g));
    return t;
}

/* The same beside a large blob. */
static struct tracker *
two_fetch(struct wire_grant *ret_first)
{
    struct tracker *t = two_fetch_little(ret_first);
    struct wire_blob b = wants(0, NULL);
    b.digest = unit_blob(2);
    b.size = (uint64_t)TRACKER_CHEAP * PIECE_BYTES_MIN;
    b.idle_leases = 0;
    announces(t, 5, &b, 0);
    return t;
}

/* The first piece goes to node 3 as well. */
static struct tracker *
raced(struct wire_grant *ret_first, struct wire_grant *ret_second)
{
    struct tracker *t = two_fetch(ret_first);
    brings(t, 1, ret_first, 1000, TRACKER_RACE_MS - 10);
    says(t, 3, 0, 0, TRACKER_RACE_MS);
    tracker_tick(t, TRACKER_RACE_MS, &orders);
    assert_true(is_told(3, 0));
    assert_true(grant(t, 3, TRACKER_RACE_MS, ret_second));
    assert_int_equal(ret_second->first, 0);
    assert_int_equal(ret_second->count, 1);
    return t;
}

static void
what_all_wait_for_goes_to_a_second_node_and_the_first_goes_on(void **state)
{
    (void)state;
    struct wire_grant first, second;
    struct tracker *t = raced(&first, &second);
    orders.count = 0;
    brings(t, 1, &first, 2000, TRACKER_RACE_MS + 100);
    tracker_tick(t, TRACKER_RACE_MS + 100, &orders);
    assert_false(is_told(1, first.lease));
    assert_false(is_told(3, second.lease));
    tracker_free(t);
}

static void
who_has_it_first_stops_the_other(void **state)
{
    (void)state;
    struct wire_grant first, second;
    struct tracker *t = raced(&first, &second);
    says(t, 3, 1000000, 1, TRACKER_RACE_MS + 100);
    brings(t, 3, &second, PIECE_BYTES_MIN, TRACKER_RACE_MS + 100);
    brings(t, 1, &first, 2000, TRACKER_RACE_MS + 101);
    assert_true(is_told(1, first.lease));
    tracker_free(t);

    t = raced(&first, &second);
    says(t, 1, 1000000, 1, TRACKER_RACE_MS + 100);
    brings(t, 1, &first, PIECE_BYTES_MIN, TRACKER_RACE_MS + 100);
    tracker_tick(t, TRACKER_RACE_MS + 101, &orders);
    assert_true(is_told(3, second.lease));
    tracker_free(t);
}

#define RATE ((uint64_t)PIECE_BYTES_MIN * 40) /* bytes/s of who is fast */

/* Node 1 has the first three pieces and is slow; node 2 is fast and has those behind. */
static struct tracker *
slow_first(struct wire_grant *ret_slow, struct wire_grant *ret_fast)
{
    struct tracker *t = tracker_in_office();
    says(t, 1, (uint64_t)PIECE_BYTES_MIN * 3 / 2, 0, 0);
    asks(t, 2, RATE, 0, 0, 0);
    assert_true(grant(t, 1, 0, ret_slow));
    assert_int_equal(ret_slow->count, 3);
    says(t, 2, RATE, 0, 0);
    assert_true(grant(t, 2, 0, ret_fast));
    return t;
}

/* Who is known to be much faster gets what all wait for, when its own lease ends. */
static void
a_busy_one_that_is_much_faster_comes_by(void **state)
{
    (void)state;
    struct wire_grant slow, fast, g;
    struct tracker *t = slow_first(&slow, &fast);
    int64_t at_ms = LEASE_REVOKE_FULL_MS + 100;
    brings(t, 2, &fast, (uint64_t)fast.count * PIECE_BYTES_MIN - 1, at_ms);
    asks(t, 2, RATE, 0, 0, at_ms);
    brings(t, 1, &slow, 1000, at_ms);
    tracker_tick(t, at_ms, &orders);
    assert_true(is_told(1, slow.lease)); /* what is behind it is free for others */
    assert_false(is_told(2, 0));
    slow.count = 1;
    report(t, 1, &slow, 1000, WIRE_RUNS, at_ms + 1);
    brings(t, 2, &fast, (uint64_t)fast.count * PIECE_BYTES_MIN, at_ms + 2);
    says(t, 2, RATE, 0, at_ms + 2);
    assert_true(grant(t, 2, at_ms + 2, &g));
    assert_int_equal(g.first, 0);
    assert_int_equal(g.count, 1);
    tracker_free(t);
}

static void
an_idle_one_races_before_a_busy_one(void **state)
{
    (void)state;
    struct wire_grant slow, fast;
    struct tracker *t = slow_first(&slow, &fast);
    int64_t at_ms = LEASE_REVOKE_FULL_MS + 100;
    slow.count = 1;
    report(t, 1, &slow, 1000, WIRE_RUNS, at_ms);
    asks(t, 2, RATE, 0, 0, at_ms);
    says(t, 4, RATE / 2, 0, at_ms);
    brings(t, 2, &fast, 1000, at_ms);
    orders.count = 0;
    tracker_tick(t, at_ms, &orders);
    assert_true(is_told(4, 0));
    tracker_free(t);
}

/* A reader fetched it for itself: a hopeless holder takes it from there, unless most of it is
 * there. One that is as fast as all goes on, whatever a node says that it has. */
static void
who_helped_itself_stops_a_hopeless_holder(void **state)
{
    (void)state;
    const struct {
        uint64_t rate, done;
        bool stops;
    } cases[] = {{RATE, 1000, true},
                 {RATE, PIECE_BYTES_MIN - 1000, false},
                 {PIECE_BYTES_MIN / 16, PIECE_BYTES_MIN / 16, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_grant first;
        struct tracker *t = two_fetch(&first);
        int64_t at_ms = LEASE_REVOKE_FULL_MS + 100;
        brings(t, 1, &first, cases[i].done, at_ms);
        says(t, 4, cases[i].rate, 1, at_ms);
        orders.count = 0;
        brings(t, 1, &first, cases[i].done, at_ms + 1);
        tracker_tick(t, at_ms + 1, &orders);
        assert_int_equal(is_told(1, first.lease), cases[i].stops);
        tracker_free(t);
    }
}

/* Much of the piece came soon, and then nothing more. */
static void
a_holder_that_stops_in_the_middle_is_not_waited_for(void **state)
{
    (void)state;
    struct wire_grant first, g;
    struct tracker *t = two_fetch(&first);
    int64_t at_ms = TRACKER_SOON_F * (TRACKER_BEGIN_MS + 1000);
    brings(t, 1, &first, PIECE_BYTES_MIN * 9 / 10, 600);
    for (int64_t ms = 800; ms < at_ms; ms += 200) {
        brings(t, 1, &first, PIECE_BYTES_MIN * 9 / 10, ms);
        says(t, 4, RATE, 0, ms);
        tracker_tick(t, ms, &orders);
        orders.count = 0;
    }
    says(t, 4, RATE, 0, at_ms);
    assert_true(grant(t, 4, at_ms, &g));
    assert_int_equal(g.first, 0);
    tracker_free(t);
}

/* Both failed, and the first one gets it again. */
static void
who_brings_it_at_last_is_not_punished(void **state)
{
    (void)state;
    struct wire_grant first, second, again, next;
    struct tracker *t = raced(&first, &second);
    goes(t, 4);
    report(t, 3, &second, 0, WIRE_FAILED, TRACKER_RACE_MS + 100);
    report(t, 1, &first, 1000, WIRE_FAILED, TRACKER_RACE_MS + 110);
    says(t, 1, 0, 0, TRACKER_RACE_MS + 120);
    assert_true(grant(t, 1, TRACKER_RACE_MS + 120, &again));
    assert_int_equal(again.first, 0);
    int64_t done_ms = TRACKER_RACE_MS + 200;
    brings(t, 1, &again, (uint64_t)again.count * PIECE_BYTES_MIN, done_ms);
    says(t, 1, 1000000, 1, done_ms);
    assert_true(grant(t, 1, done_ms, &next));
    tracker_free(t);
}

static void
nobody_races_itself_after_an_election(void **state)
{
    (void)state;
    struct wire_grant first, g;
    struct tracker *t = two_fetch(&first);
    tracker_free(t);
    t = tracker_new();
    tracker_office(t, 4);
    for (uint8_t i = 1; i <= 2; i++)
        says(t, i, 0, 0, 0);
    brings(t, 1, &first, 1000, 10);
    says(t, 1, 0, 0, TRACKER_RACE_MS + 100);
    brings(t, 1, &first, 2000, TRACKER_RACE_MS + 100);
    if (grant(t, 1, TRACKER_RACE_MS + 100, &g))
        assert_int_not_equal(g.first, 0);
    tracker_free(t);
}

/* Another node in the place of the loser is not taken for it. */
static void
who_comes_after_a_loser_left_may_race(void **state)
{
    (void)state;
    struct wire_grant first, second, third;
    struct tracker *t = raced(&first, &second);
    goes(t, 1);
    int64_t at_ms = 2 * TRACKER_RACE_MS + 100;
    goes(t, 4);
    says(t, 5, 0, 0, at_ms);
    assert_true(grant(t, 5, at_ms, &third));
    assert_int_equal(third.first, 0);
    tracker_free(t);
}

static void
a_sign_or_too_little_time_and_there_is_no_race(void **state)
{
    (void)state;
    struct wire_grant first, g;
    struct tracker *t = two_fetch(&first);
    says(t, 3, 0, 0, TRACKER_RACE_MS - 1);
    if (grant(t, 3, TRACKER_RACE_MS - 1, &g))
        assert_int_not_equal(g.first, 0);
    tracker_free(t);

    t = two_fetch(&first);
    brings(t, 1, &first, TRACKER_SIGN_BYTES, TRACKER_RACE_MS - 10);
    says(t, 3, 0, 0, TRACKER_RACE_MS);
    if (grant(t, 3, TRACKER_RACE_MS, &g))
        assert_int_not_equal(g.first, 0);
    tracker_free(t);
}

/* On a thin WAN its nodes would read all of a small image one after the other. */
static void
where_a_piece_is_much_of_the_image_a_race_waits(void **state)
{
    (void)state;
    struct wire_grant first, g;
    struct tracker *t = two_fetch_little(&first);
    for (int64_t now_ms = TRACKER_RACE_MS; now_ms < 2 * TRACKER_RACE_MS; now_ms += 50) {
        brings(t, 1, &first, 1000, now_ms - 10);
        says(t, 3, 0, 0, now_ms);
        tracker_tick(t, now_ms, &orders);
        if (grant(t, 3, now_ms, &g))
            assert_int_not_equal(g.first, 0);
    }
    says(t, 3, 0, 0, 2 * TRACKER_RACE_MS);
    assert_true(grant(t, 3, 2 * TRACKER_RACE_MS, &g));
    assert_int_equal(g.first, 0);
    assert_int_equal(g.count, 1);
    says(t, 4, 0, 0, 4 * TRACKER_RACE_MS); /* the next one waits for twice as long */
    if (grant(t, 4, 4 * TRACKER_RACE_MS, &g))
        assert_int_not_equal(g.first, 0);
    tracker_free(t);
}

/* Does node 2 get the one piece of a small image, of which node 1 has so much after a second? */
static bool
races_for_a_small_one(uint64_t done)
{
    struct tracker *t = tracker_in_office();
    struct wire_blob b = wants(0, NULL);
    struct wire_grant g;
    b.size = 100000;
    announces(t, 1, &b, 0);
    announces(t, 2, &b, 0);
    assert_true(grant(t, 1, 0, &g));
    report(t, 1, &g, done, WIRE_RUNS, 2 * TRACKER_RACE_MS - 10);
    announces(t, 2, &b, 2 * TRACKER_RACE_MS);
    bool races = grant(t, 2, 2 * TRACKER_RACE_MS, &g);
    tracker_free(t);
    return races;
}

static void
a_small_image_that_comes_is_not_raced_for(void **state)
{
    (void)state;
    assert_true(races_for_a_small_one(5000));
    assert_false(races_for_a_small_one(30000));
}

/* Three blobs, of each of which node 1 has the first lease. What it brought until at_ms: of the
 * first, of each of the other two, and what node 3 brought of the next piece of the first (0: it
 * has none). */
struct three {
    uint64_t first, rest, other;
    int64_t at_ms;
};

/* Does node 2 get the piece that node 1 is at? */
static bool
races_for_one_of(struct three x)
{
    struct tracker *t = tracker_in_office();
    struct wire_grant g[3], other;
    struct node_id first = unit_node(1);
    int64_t told_ms = x.at_ms - 10;
    for (uint8_t i = 0; i < 3; i++) {
        struct wire_blob b = wants(0, NULL);
        b.digest = unit_blob(i + 1);
        announces(t, 1, &b, 0);
        b.idle_leases = 0;
        announces(t, 2, &b, 0);
        assert_true(tracker_grant(t, &first, &b.digest, 0, &g[i], &orders));
        if (i == 0 && x.other > 0) {
            says(t, 3, 0, 0, 0);
            assert_true(grant(t, 3, 0, &other));
            report(t, 3, &other, x.other, WIRE_RUNS, told_ms);
        }
        report(t, 1, &g[i], i == 0 ? x.first : x.rest, WIRE_RUNS, told_ms);
    }
    says(t, 2, 0, 0, x.at_ms);
    bool races = grant(t, 2, x.at_ms, &other) && other.first == 0;
    tracker_free(t);
    return races;
}

/* A WAN that brings little is no reason to read a small image twice. */
static void
where_the_wan_is_slow_there_is_no_race_for_a_small_image(void **state)
{
    (void)state;
    uint64_t poor = CLIMB_POOR_RATE / 2;
    assert_true(races_for_one_of((struct three){.first = 5000, .rest = 5000, .at_ms = 1000}));
    assert_false(races_for_one_of((struct three){.first = poor, .rest = poor, .at_ms = 1000}));
    assert_false(races_for_one_of(
        (struct three){.first = 5000, .rest = 5000, .other = 10000, .at_ms = 1000}));
    assert_true(races_for_one_of(
        (struct three){.first = 5000, .rest = 5000, .other = 100000, .at_ms = 1000}));
}

/* One connection that starves beside others of its node is not the WAN's fault. */
static void
where_one_connection_starves_there_is_a_race(void **state)
{
    (void)state;
    assert_false(races_for_one_of((struct three){.first = 5000, .rest = 100000, .at_ms = 2000}));
    assert_true(races_for_one_of((struct three){.first = 5000, .rest = 200000, .at_ms = 4000}));
}

static void
one_that_has_been_tried_is_not_tried_again(void **state)
{
    (void)state;
    struct wire_grant first, second, g;
    struct tracker *t = raced(&first, &second);
    says(t, 1, 0, 0, 2 * TRACKER_RACE_MS);
    says(t, 2, 0, 0, 2 * TRACKER_RACE_MS);
    for (uint8_t i = 1; i <= 2; i++)
        if (grant(t, i, 2 * TRACKER_RACE_MS, &g))
            assert_int_not_equal(g.first, 0);
    says(t, 4, 0, 0, 2 * TRACKER_RACE_MS);
    assert_true(grant(t, 4, 2 * TRACKER_RACE_MS, &g));
    assert_int_equal(g.first, 0);
    tracker_free(t);
}

/* A WAN that is thin for all: a fifth one would only take from those who fetch. */
static void
when_four_were_tried_in_vain_a_fifth_is_not(void **state)
{
    (void)state;
    struct wire_grant first, second, third, g;
    struct tracker *t = raced(&first, &second);
    int64_t at_ms = 2 * TRACKER_RACE_MS;
    says(t, 4, 0, 0, at_ms);
    assert_true(grant(t, 4, at_ms, &third));
    assert_int_equal(third.first, 0);
    says(t, 5, 0, 0, at_ms + TRACKER_RACE_MS);
    if (grant(t, 5, at_ms + TRACKER_RACE_MS, &g))
        assert_int_not_equal(g.first, 0);
    tracker_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_all_wait_for_goes_to_a_second_node_and_the_first_goes_on),
        cmocka_unit_test(who_has_it_first_stops_the_other),
        cmocka_unit_test(a_busy_one_that_is_much_faster_comes_by),
        cmocka_unit_test(an_idle_one_races_before_a_busy_one),
        cmocka_unit_test(who_helped_itself_stops_a_hopeless_holder),
        cmocka_unit_test(a_holder_that_stops_in_the_middle_is_not_waited_for),
        cmocka_unit_test(who_brings_it_at_last_is_not_punished),
        cmocka_unit_test(nobody_races_itself_after_an_election),
        cmocka_unit_test(who_comes_after_a_loser_left_may_race),
        cmocka_unit_test(a_sign_or_too_little_time_and_there_is_no_race),
        cmocka_unit_test(where_a_piece_is_much_of_the_image_a_race_waits),
        cmocka_unit_test(a_small_image_that_comes_is_not_raced_for),
        cmocka_unit_test(where_the_wan_is_slow_there_is_no_race_for_a_small_image),
        cmocka_unit_test(where_one_connection_starves_there_is_a_race),
        cmocka_unit_test(one_that_has_been_tried_is_not_tried_again),
        cmocka_unit_test(when_four_were_tried_in_vain_a_fifth_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
