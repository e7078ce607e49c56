#include "tests/unit/p2p/unit.h"

#include "p2p/popular.h"

static void
a_counter_halves_every_half_life(void **state)
{
    (void)state;
    assert_int_equal(popular_decay(1 << 20, 0, 1000), 1 << 20);
    assert_int_equal(popular_decay(1 << 20, 1000, 1000), 1 << 19);
    assert_int_equal(popular_decay(1 << 20, 3000, 1000), 1 << 17);
    assert_in_range(popular_decay(1 << 20, 500, 1000), 741454, 741456); /* / sqrt 2 */
    assert_in_range(popular_decay(1 << 20, 415, 1000), 786000, 788000); /* * 0.75 */
    assert_int_equal(popular_decay(UINT64_MAX, 64000, 1000), 0);
    assert_int_equal(popular_decay(5, -10, 1000), 5);
}

static void
a_hit_counts_on_top_of_what_is_left(void **state)
{
    (void)state;
    struct popular p = {0};
    popular_hit(&p, 0);
    popular_hit(&p, POPULAR_BURST_MS);
    assert_int_equal(popular_burst(&p, POPULAR_BURST_MS), POPULAR_ONE + POPULAR_ONE / 2);
    assert_true(popular_base(&p, POPULAR_BURST_MS) > POPULAR_ONE * 19 / 10);
}

static void
what_is_wanted_more_gets_more_copies(void **state)
{
    (void)state;
    struct popular p = {0};
    assert_int_equal(popular_replicas(&p, 0, 1 << 30, 100 << 20, 16), 1);
    for (unsigned i = 0; i < 3; i++)
        popular_hit(&p, 0);
    assert_int_equal(popular_replicas(&p, 0, 1 << 20, 100 << 20, 16), 2);
    for (unsigned i = 0; i < 200; i++)
        popular_hit(&p, 0);
    unsigned busy = popular_replicas(&p, 0, 1 << 30, 100 << 20, 16);
    assert_in_range(busy, 4, 8);
    assert_int_equal(popular_replicas(&p, 0, (uint64_t)64 << 30, 1 << 20, 16), 16);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_halves_every_half_life),
        cmocka_unit_test(a_hit_counts_on_top_of_what_is_left),
        cmocka_unit_test(what_is_wanted_more_gets_more_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
