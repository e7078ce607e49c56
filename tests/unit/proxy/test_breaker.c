/* What is sent upstream for a minute. */
#include "proxy/api/breaker.h"
#include "tests/unit/base/unit.h"
#include <stdio.h>

static void
a_trip_is_open_for_one_minute(void **state)
{
    (void)state;
    struct breaker *b = breaker_new();
    assert_false(breaker_is_open(b, "a/b", 1000));
    assert_true(breaker_trip(b, "a/b", 1000));
    assert_true(breaker_is_open(b, "a/b", 1000));
    assert_true(breaker_is_open(b, "a/b", 60999));
    assert_false(breaker_is_open(b, "a/b", 61000));
    assert_false(breaker_is_open(b, "a/c", 1000));
    breaker_free(b);
}

static void
a_second_trip_prolongs_and_is_not_news(void **state)
{
    (void)state;
    struct breaker *b = breaker_new();
    assert_true(breaker_trip(b, "a", 1000));
    assert_false(breaker_trip(b, "a", 31000));
    assert_true(breaker_is_open(b, "a", 90999));
    assert_false(breaker_is_open(b, "a", 91000));
    assert_true(breaker_trip(b, "a", 91000));
    breaker_free(b);
}

static void
the_table_forgets_the_oldest_when_full(void **state)
{
    (void)state;
    struct breaker *b = breaker_new();
    char key[32];
    for (int i = 0; i <= BREAKERS_MAX; i++) {
        (void)snprintf(key, sizeof key, "r%d", i);
        assert_true(breaker_trip(b, key, 1000 + i));
    }
    assert_false(breaker_is_open(b, "r0", 3000));
    assert_true(breaker_is_open(b, "r1", 3000));
    assert_true(breaker_is_open(b, key, 3000));
    breaker_free(b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trip_is_open_for_one_minute),
        cmocka_unit_test(a_second_trip_prolongs_and_is_not_news),
        cmocka_unit_test(the_table_forgets_the_oldest_when_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
