#include "tests/unit/base/unit.h"

#include "proxy/upstream/gather.h"

#define KIB 1024u

static void
what_trickles_gathers(void **state)
{
    (void)state;
    struct gather g = {0};
    for (int64_t at = 0; at < 100 * GATHER_US; at += GATHER_US)
        assert_true(gather_look(&g, 50 * KIB, at));
    for (int64_t at = 100 * GATHER_US; at < 200 * GATHER_US; at += 500)
        assert_true(gather_look(&g, 6 * KIB, at));
}

static void
nothing_that_came_is_not_waited_for(void **state)
{
    (void)state;
    struct gather g = {0};
    assert_false(gather_look(&g, 0, 0));
    assert_false(gather_look(&g, GATHER_BYTES, 100));
}

/* Each turn brings little, because it comes soon after the one before. */
static void
a_flood_is_none_of_its_turns_but_their_sum(void **state)
{
    (void)state;
    struct gather g = {0};
    int64_t at = 1;
    assert_true(gather_look(&g, 60 * KIB, at));
    for (int i = 1; i <= 8; i++)
        (void)!gather_look(&g, 200 * KIB, at += GATHER_US);
    for (int i = 0; i < 1000; i++)
        assert_false(gather_look(&g, 30 * KIB, at += 250));
}

/* A port that was idle lets some through at once; then it is as slow as it is. */
static void
a_burst_is_no_flood(void **state)
{
    (void)state;
    struct gather g = {0};
    for (int64_t at = 1; at < 100 * GATHER_SPAN_US; at += GATHER_US) {
        bool burst = at / GATHER_US % 20 == 0;
        assert_true(gather_look(&g, burst ? 0 : 24 * KIB, at) == !burst);
        if (burst)
            assert_false(gather_look(&g, 400 * KIB, at + 1));
    }
}

static void
a_flood_that_ebbs_gathers_again(void **state)
{
    (void)state;
    struct gather g = {.flood = true};
    assert_false(gather_look(&g, 50 * KIB, GATHER_SPAN_US - 1));
    assert_true(gather_look(&g, 50 * KIB, GATHER_SPAN_US));
    g = (struct gather){.flood = true};
    assert_true(gather_look(&g, 50 * KIB, 1000 * GATHER_US));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_trickles_gathers),
        cmocka_unit_test(nothing_that_came_is_not_waited_for),
        cmocka_unit_test(a_flood_is_none_of_its_turns_but_their_sum),
        cmocka_unit_test(a_burst_is_no_flood),
        cmocka_unit_test(a_flood_that_ebbs_gathers_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
