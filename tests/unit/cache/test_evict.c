/* The eviction order. */
#include "cache/evict.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

static void
the_least_recently_used_leave_first(void **state)
{
    (void)state;
    const struct evict_item items[] = {{30, 5, false}, {10, 5, false}, {20, 5, false}};
    size_t order[3];
    assert_int_equal(evict_choose(items, 3, 15, order), 3);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 2);
    assert_int_equal(order[2], 0);
}

static void
no_more_leave_than_needed(void **state)
{
    (void)state;
    const struct evict_item items[] = {{1, 5, false}, {2, 5, false}, {3, 5, false}};
    size_t order[3];
    assert_int_equal(evict_choose(items, 3, 0, order), 0);
    assert_int_equal(evict_choose(items, 3, 5, order), 1);
    assert_int_equal(evict_choose(items, 3, 6, order), 2);
}

static void
open_blobs_stay_even_when_that_is_too_little(void **state)
{
    (void)state;
    const struct evict_item items[] = {{1, 100, true}, {2, 5, false}};
    size_t order[2];
    assert_int_equal(evict_choose(items, 2, 50, order), 1);
    assert_int_equal(order[0], 1);
}

static void
sizes_that_overflow_do_not_wrap(void **state)
{
    (void)state;
    const struct evict_item items[] = {
        {1, UINT64_MAX, false}, {2, UINT64_MAX, false}, {3, 1, false}};
    size_t order[3];
    assert_int_equal(evict_choose(items, 3, UINT64_MAX, order), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_recently_used_leave_first),
        cmocka_unit_test(no_more_leave_than_needed),
        cmocka_unit_test(open_blobs_stay_even_when_that_is_too_little),
        cmocka_unit_test(sizes_that_overflow_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
