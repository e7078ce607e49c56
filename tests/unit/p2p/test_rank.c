#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "p2p/rank.h"

static void
an_unknown_source_gets_the_default_rate(void **state)
{
    (void)state;
    struct rank r;
    rank_init(&r);
    assert_int_equal(rank_rate(&r, 5000), RANK_RATE_UNKNOWN);
    assert_true(rank_usable(&r, 0));
}

static void
the_rate_weighs_samples_by_their_time(void **state)
{
    (void)state;
    struct rank r;
    rank_init(&r);
    rank_good(&r, 1000, 1000000, 100000); /* 10 MB/s */
    rank_good(&r, 1000, 1000000, 900000); /* 1.1 MB/s */
    assert_int_equal(rank_rate(&r, 1000), 2000000);
}

static void
old_samples_are_forgotten(void **state)
{
    (void)state;
    struct rank r;
    rank_init(&r);
    rank_good(&r, 1000, 1000, 1000000);
    assert_int_equal(rank_rate(&r, 1000 + RANK_AGE_MS), 1000);
    assert_int_equal(rank_rate(&r, 1001 + RANK_AGE_MS), RANK_RATE_UNKNOWN);
}

static void
only_the_last_samples_count(void **state)
{
    (void)state;
    struct rank r;
    rank_init(&r);
    rank_good(&r, 0, 1, 1000000);
    for (int i = 0; i < RANK_BLOCKS; i++)
        rank_good(&r, 0, 5000, 1000000);
    assert_int_equal(rank_rate(&r, 0), 5000);
}

static void
a_failure_halves_and_a_success_restores(void **state)
{
    (void)state;
    struct rank r;
    rank_init(&r);
    rank_good(&r, 0, 8000, 1000000);
    rank_bad(&r, 0);
    assert_int_equal(rank_rate(&r, 0), 4000);
    assert_true(rank_usable(&r, 0));
    rank_good(&r, 0, 8000, 1000000);
    assert_int_equal(rank_rate(&r, 0), 8000);
}

static void
failures_in_a_row_quarantine_twice_as_long_each_time(void **state)
{
    (void)state;
    struct rank r;
    rank_init(&r);
    for (int i = 0; i < RANK_FAIL_MAX; i++)
        rank_bad(&r, 0);
    assert_false(rank_usable(&r, RANK_QUARANTINE_MS - 1));
    assert_true(rank_usable(&r, RANK_QUARANTINE_MS));
    rank_bad(&r, 10000);
    assert_false(rank_usable(&r, 10000 + 2 * RANK_QUARANTINE_MS - 1));
    for (int i = 0; i < 100; i++)
        rank_bad(&r, 20000);
    assert_true(rank_usable(&r, 20000 + RANK_QUARANTINE_MS_MAX));
}

static void
the_eta_counts_what_is_under_way(void **state)
{
    (void)state;
    struct rank r;
    rank_init(&r);
    rank_good(&r, 0, 1000000, 1000000);
    r.inflight_bytes = 500000;
    assert_int_equal(rank_eta_us(&r, 0, 500000), 1000000);
}

static void
a_huge_length_saturates_and_still_orders_by_price(void **state)
{
    (void)state;
    struct rank a, b;
    rank_init(&a);
    rank_init(&b);
    a.inflight_bytes = UINT64_MAX;
    assert_true(rank_eta_us(&a, 0, UINT64_MAX) == RANK_ETA_US_MAX);
    assert_true(rank_eta_us(&b, 0, (uint64_t)1 << 60) > 0);
    const struct rank *all[] = {&a, &b};
    assert_int_equal(rank_choose(all, (uint32_t[]){UINT32_MAX, 0}, 2, 0, UINT64_MAX), 1);
}

static void
the_choice_is_the_least_cost_among_usable_ones(void **state)
{
    (void)state;
    struct rank near, far, blocked;
    rank_init(&near);
    rank_init(&far);
    rank_init(&blocked);
    rank_good(&near, 0, 2000000, 1000000);
    rank_good(&far, 0, 3000000, 1000000);
    rank_good(&blocked, 0, 100000000, 1000000);
    rank_block(&blocked, 100);
    const struct rank *all[] = {&blocked, &far, &near};
    /* Equal prices: the faster one. With a price of 1 s a MiB: the free neighbour. */
    assert_int_equal(rank_choose(all, (uint32_t[]){0, 0, 0}, 3, 0, 1 << 20), 1);
    assert_int_equal(rank_choose(all, (uint32_t[]){0, 1000, 0}, 3, 0, 1 << 20), 2);
    assert_int_equal(rank_choose(all, (uint32_t[]){0, 1000, 0}, 3, 100, 1 << 20), 0);
    assert_int_equal(rank_choose(all, (uint32_t[]){0, 0, 0}, 1, 0, 1 << 20), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_source_gets_the_default_rate),
        cmocka_unit_test(the_rate_weighs_samples_by_their_time),
        cmocka_unit_test(old_samples_are_forgotten),
        cmocka_unit_test(only_the_last_samples_count),
        cmocka_unit_test(a_failure_halves_and_a_success_restores),
        cmocka_unit_test(failures_in_a_row_quarantine_twice_as_long_each_time),
        cmocka_unit_test(the_eta_counts_what_is_under_way),
        cmocka_unit_test(a_huge_length_saturates_and_still_orders_by_price),
        cmocka_unit_test(the_choice_is_the_least_cost_among_usable_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
