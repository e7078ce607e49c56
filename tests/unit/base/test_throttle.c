/* How many bytes may go now. */
#include "base/throttle.h"
#include "tests/unit/base/unit.h"

/* Bytes that go in that time when somebody always wants more. */
static uint64_t
drain(struct throttle *t, int64_t from_us, int64_t to_us)
{
    uint64_t sum = 0;
    for (int64_t now_us = from_us; now_us < to_us;) {
        int64_t wait_ms = 0;
        size_t n = throttle_take(t, 1 << 20, now_us, &wait_ms);
        sum += n;
        if (n == 0)
            assert_true(wait_ms > 0);
        now_us += wait_ms * 1000;
    }
    return sum;
}

static void
the_rate_holds_over_a_second_whatever_it_is(void **state)
{
    (void)state;
    static const uint64_t rates[] = {100, 5000, 1 << 20, 50 << 20, (uint64_t)1 << 40};
    for (size_t i = 0; i < ARRAY_LEN(rates) - 1; i++) {
        struct throttle t;
        throttle_set(&t, rates[i], 0);
        uint64_t sum = drain(&t, 0, 10000000);
        assert_in_range(sum, rates[i] * 10 - rates[i], rates[i] * 10 + rates[i]);
    }
}

static void
a_rest_earns_a_short_burst_only(void **state)
{
    (void)state;
    struct throttle t;
    throttle_set(&t, 1000000, 0);
    (void)drain(&t, 0, 1000000);
    uint64_t sum = drain(&t, 3600000000, 3600000000 + 1000000);
    assert_in_range(sum, 1000000, 1000000 + 1000 * THROTTLE_BURST_MS);
}

static void
without_a_rate_everything_goes_in_turns(void **state)
{
    (void)state;
    struct throttle t;
    int64_t wait_ms = 0;
    throttle_set(&t, 0, 0);
    assert_int_equal(throttle_take(&t, 10, 0, &wait_ms), 10);
    assert_int_equal(throttle_take(&t, 1 << 20, 0, &wait_ms), THROTTLE_STEP_MAX);
    assert_int_equal(wait_ms, 0);
}

static void
the_last_bytes_of_a_body_do_not_wait_for_a_full_turn(void **state)
{
    (void)state;
    struct throttle t;
    int64_t wait_ms = 0;
    throttle_set(&t, 1000000, 0);
    assert_int_equal(throttle_take(&t, 7, 100, &wait_ms), 7);
}

static void
many_small_turns_earn_no_more_than_the_time(void **state)
{
    (void)state;
    enum { RATE = 50 << 20, LEN = 1000 };
    struct throttle t;
    uint64_t sum = 0;
    throttle_set(&t, RATE, 0);
    for (int64_t now_us = 0; now_us < 1000000; now_us += 10)
        for (int i = 0; i < 3; i++) {
            int64_t wait_ms = 0;
            sum += throttle_take(&t, LEN, now_us, &wait_ms);
        }
    assert_in_range(sum, RATE / 100 * 95, RATE / 100 * 101);
}

/* Two that always want more, each for itself. */
static void
bookings_keep_the_rate_and_take_turns(void **state)
{
    (void)state;
    static const uint64_t rates[] = {100, 5000, 1 << 20, 50 << 20};
    enum { LEN = 1000 };
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct throttle t;
        int64_t turn_us[2] = {0, 0};
        uint64_t got[2] = {0, 0};
        int64_t end_us = 100 * (int64_t)1000000;
        throttle_set(&t, rates[i], 0);
        size_t who = 0;
        for (int64_t now_us = 0; now_us < end_us;) {
            who = turn_us[!who] <= turn_us[who] ? !who : who;
            now_us = turn_us[who];
            int64_t wait_ms = throttle_book(&t, LEN, now_us);
            got[who] += LEN;
            turn_us[who] = now_us + wait_ms * 1000;
        }
        assert_in_range(got[0] + got[1], rates[i] * 98, rates[i] * 101 + (uint64_t)2 * LEN);
        assert_in_range(got[0], got[1] / 2, got[1] * 2);
    }
}

static void
without_a_rate_no_booking_waits(void **state)
{
    (void)state;
    struct throttle t;
    throttle_set(&t, 0, 0);
    assert_int_equal(throttle_book(&t, (size_t)1 << 30, 0), 0);
    assert_int_equal(throttle_book(&t, (size_t)1 << 30, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rate_holds_over_a_second_whatever_it_is),
        cmocka_unit_test(a_rest_earns_a_short_burst_only),
        cmocka_unit_test(without_a_rate_everything_goes_in_turns),
        cmocka_unit_test(the_last_bytes_of_a_body_do_not_wait_for_a_full_turn),
        cmocka_unit_test(many_small_turns_earn_no_more_than_the_time),
        cmocka_unit_test(bookings_keep_the_rate_and_take_turns),
        cmocka_unit_test(without_a_rate_no_booking_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
