#include "base/clock.h"
#include "tests/unit/base/unit.h"
#include <string.h>
#include <time.h>

static void
monotonic_units_agree_and_never_fall(void **state)
{
    (void)state;
    int64_t before_ms = clock_ms();
    int64_t us = clock_us();
    int64_t after_ms = clock_ms();
    assert_true(before_ms <= us / 1000);
    assert_true(us / 1000 <= after_ms);
}

static void
sleep_lasts_at_least_as_long_as_asked(void **state)
{
    (void)state;
    int64_t start_us = clock_us();
    clock_sleep_ms(15);
    assert_true(clock_us() - start_us >= 15000);
    clock_sleep_ms(0);
    clock_sleep_ms(-5);
}

static void
wall_text_is_the_wall_clock_in_rfc_3339(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_MAX];
    struct tm day = {0};
    int64_t before_s = clock_wall_s();
    clock_wall_text(text);
    int64_t after_s = clock_wall_s();
    assert_int_equal(strlen(text), strlen("2026-01-31T09:00:00.123Z"));
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &day);
    assert_non_null(rest);
    assert_int_equal(rest[0], '.');
    assert_int_equal(strspn(rest + 1, "0123456789"), 3);
    assert_string_equal(rest + 4, "Z");
    assert_true(timegm(&day) >= before_s);
    assert_true(timegm(&day) <= after_s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_units_agree_and_never_fall),
        cmocka_unit_test(sleep_lasts_at_least_as_long_as_asked),
        cmocka_unit_test(wall_text_is_the_wall_clock_in_rfc_3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
