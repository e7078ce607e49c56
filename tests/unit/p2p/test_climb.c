#include "tests/unit/p2p/unit.h"

#include "p2p/climb.h"

#define PIECE 1048576u

/* So many windows of a WAN where each fetcher gets at most `each` bytes/s, all of them `all`. */
static int64_t
fetch(struct climb *c, int64_t now_ms, unsigned windows, uint64_t each, uint64_t all)
{
    for (unsigned i = 0; i < windows; i++) {
        climb_tick(c, now_ms, climb_limit(c, PIECE, now_ms), PIECE);
        unsigned active = climb_limit(c, PIECE, now_ms);
        uint64_t rate = active * each < all ? active * each : all;
        now_ms += CLIMB_WINDOW_MS;
        climb_bytes(c, rate * CLIMB_WINDOW_MS / 1000);
        if (rate >= PIECE / 2)
            climb_piece(c, rate / active, now_ms);
    }
    climb_tick(c, now_ms, climb_limit(c, PIECE, now_ms), PIECE);
    return now_ms;
}

static void
two_fetch_while_nothing_is_known(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    assert_int_equal(climb_limit(&c, PIECE, 0), CLIMB_UNKNOWN);
}

static void
where_one_connection_fills_the_wan_more_are_tried_and_sent_home(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    int64_t now_ms = fetch(&c, 1000, 6, 6 * PIECE, 6 * PIECE);
    assert_int_equal(climb_limit(&c, PIECE, now_ms), CLIMB_PLENTY);
    assert_int_equal(climb_limit(&c, 2 * PIECE, now_ms), 3);
    assert_int_equal(climb_limit(&c, 32 * PIECE, now_ms), 1);
}

static void
where_the_wan_is_fast_more_fetch(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    uint64_t rate = (uint64_t)CLIMB_PLENTY_FAST * CLIMB_FAST_RATE;
    int64_t now_ms = fetch(&c, 1000, CLIMB_PLENTY_FAST, rate, rate);
    assert_int_equal(climb_limit(&c, PIECE, now_ms), CLIMB_PLENTY_FAST);
    now_ms = fetch(&c, now_ms, 40, rate / 8, rate / 4); /* it is slower now */
    assert_int_equal(climb_limit(&c, PIECE, now_ms), CLIMB_PLENTY);
}

static void
on_a_thin_wan_one_fetches(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    int64_t now_ms = fetch(&c, 1000, 2, PIECE / 8, PIECE / 8);
    assert_int_equal(climb_limit(&c, PIECE, now_ms), 1);
}

static void
the_first_may_all_be_slow_ones(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    c.unproven = true;
    int64_t now_ms = fetch(&c, 1000, 2, PIECE / 8, PIECE);
    assert_in_range(climb_limit(&c, PIECE, now_ms), 3, 2 + CLIMB_POOR_MAX);
    c.unproven = false; /* the others are as slow: so is the WAN */
    now_ms = fetch(&c, now_ms, 1, PIECE / 8, PIECE / 4);
    assert_int_equal(c.poor, 0);
}

static void
more_fetch_where_one_connection_is_slow(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    int64_t now_ms = fetch(&c, 1000, 8, 6 * PIECE / 10, 100 * (uint64_t)PIECE);
    assert_int_equal(climb_limit(&c, PIECE, now_ms), CLIMB_MAX);
}

static void
where_connections_become_slow_more_fetch_until_they_are_fast_again(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    uint64_t all = 12 * (uint64_t)PIECE;
    int64_t now_ms = fetch(&c, 1000, 12, all, all);
    assert_int_equal(climb_limit(&c, PIECE, now_ms), CLIMB_PLENTY);
    now_ms = fetch(&c, now_ms, 40, all / 8, all); /* packets were lost far away */
    assert_in_range(climb_limit(&c, PIECE, now_ms), 8, 8 + CLIMB_STEP);
    now_ms = fetch(&c, now_ms, 80, all, all);
    assert_in_range(climb_limit(&c, PIECE, now_ms), CLIMB_PLENTY, CLIMB_PLENTY + CLIMB_STEP);
}

static void
a_move_that_nobody_judged_is_taken_back(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    uint64_t all = 12 * (uint64_t)PIECE;
    int64_t now_ms = fetch(&c, 1000, 12, all, all);
    for (unsigned i = 0; i < 20; i++) {
        climb_tick(&c, now_ms, 0, PIECE);
        now_ms = fetch(&c, now_ms + CLIMB_MS, 3 * CLIMB_MS / 2 / CLIMB_WINDOW_MS, all / 8, all);
    }
    assert_in_range(c.more, 0, CLIMB_STEP);
}

static void
a_full_wan_is_left_as_it_is(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    int64_t now_ms = fetch(&c, 1000, 12, 6 * PIECE, 6 * PIECE);
    for (unsigned i = 0; i < 40; i++) {
        now_ms = fetch(&c, now_ms, 1, 6 * PIECE, 6 * PIECE);
        assert_int_equal(climb_limit(&c, PIECE, now_ms), CLIMB_PLENTY);
    }
}

static void
when_those_who_fetch_get_nothing_others_are_let_in(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    int64_t now_ms = fetch(&c, 1000, 2, 100, 100);
    assert_in_range(climb_limit(&c, PIECE, now_ms), 3, 2 + CLIMB_POOR_MAX);
    now_ms = fetch(&c, now_ms, 30, 100, 100);
    assert_in_range(climb_limit(&c, PIECE, now_ms), 1 + CLIMB_POOR_MAX, CLIMB_MAX);
    now_ms = fetch(&c, now_ms, 1, PIECE * 3 / 8, PIECE * 3 / 8);
    climb_piece(&c, 0, now_ms);
    assert_int_equal(climb_limit(&c, PIECE, now_ms), 1);
}

static void
a_wan_that_slows_down_is_believed(void **state)
{
    (void)state;
    struct climb c;
    climb_init(&c);
    int64_t now_ms = fetch(&c, 1000, 4, 8 * PIECE, 8 * PIECE);
    now_ms = fetch(&c, now_ms, 16, PIECE, PIECE);
    assert_in_range(c.wan, PIECE, PIECE * 3 / 2);
    assert_in_range(climb_limit(&c, PIECE, now_ms), 1, 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_fetch_while_nothing_is_known),
        cmocka_unit_test(where_one_connection_fills_the_wan_more_are_tried_and_sent_home),
        cmocka_unit_test(where_the_wan_is_fast_more_fetch),
        cmocka_unit_test(on_a_thin_wan_one_fetches),
        cmocka_unit_test(the_first_may_all_be_slow_ones),
        cmocka_unit_test(more_fetch_where_one_connection_is_slow),
        cmocka_unit_test(where_connections_become_slow_more_fetch_until_they_are_fast_again),
        cmocka_unit_test(a_move_that_nobody_judged_is_taken_back),
        cmocka_unit_test(a_full_wan_is_left_as_it_is),
        cmocka_unit_test(when_those_who_fetch_get_nothing_others_are_let_in),
        cmocka_unit_test(a_wan_that_slows_down_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
