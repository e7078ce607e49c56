/* Waits that registries ask for, and the budget of retries. */
#include "proxy/upstream/backoff.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
a_given_wait_is_kept_to_the_millisecond(void **state)
{
    (void)state;
    struct backoff b = {0};
    struct rng r;
    rng_init(&r, 1);
    backoff_wait(&b, &r, 1000, 7000);
    assert_true(backoff_active(&b, 7999));
    assert_false(backoff_active(&b, 8000));
}

static void
waits_without_a_time_double_up_to_a_minute(void **state)
{
    (void)state;
    struct backoff b = {0};
    struct rng r;
    rng_init(&r, 1);
    int64_t now_ms = 0;
    int64_t base = BACKOFF_FIRST_MS;
    for (int i = 0; i < 12; i++) {
        backoff_wait(&b, &r, now_ms, -1);
        int64_t waited = b.until_ms - now_ms;
        assert_in_range(waited, base * 8 / 10, base * 12 / 10);
        now_ms = b.until_ms;
        base = base * 2 < BACKOFF_MAX_MS ? base * 2 : BACKOFF_MAX_MS;
    }
    backoff_good(&b);
    backoff_wait(&b, &r, now_ms, -1);
    assert_in_range(b.until_ms - now_ms, BACKOFF_FIRST_MS * 8 / 10, BACKOFF_FIRST_MS * 12 / 10);
}

static void
a_wait_of_nothing_is_a_wait_of_our_own(void **state)
{
    (void)state;
    struct backoff b = {0};
    struct rng r;
    rng_init(&r, 1);
    backoff_wait(&b, &r, 0, 0);
    assert_in_range(b.until_ms, BACKOFF_FIRST_MS * 8 / 10, BACKOFF_FIRST_MS * 12 / 10);
    int64_t now_ms = b.until_ms;
    backoff_wait(&b, &r, now_ms, 0);
    assert_in_range(b.until_ms - now_ms, BACKOFF_FIRST_MS * 16 / 10, BACKOFF_FIRST_MS * 24 / 10);
}

static void
a_shorter_wait_does_not_shorten_a_running_one(void **state)
{
    (void)state;
    struct backoff b = {0};
    struct rng r;
    rng_init(&r, 1);
    backoff_wait(&b, &r, 0, 60000);
    backoff_wait(&b, &r, 1000, 1000);
    assert_int_equal(b.until_ms, 60000);
    backoff_wait(&b, &r, 0, INT64_MAX / 2);
    assert_int_equal(b.until_ms, BACKOFF_ASKED_MAX_MS);
}

static void
retries_pause_longer_and_longer_with_jitter(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 7);
    int64_t seen = 0;
    bool differ = false;
    for (unsigned k = 0; k < 20; k++) {
        int64_t base = RETRY_BASE_MS << (k < 6 ? k : 6);
        base = base < RETRY_MAX_MS ? base : RETRY_MAX_MS;
        int64_t got = backoff_retry_ms(&r, k);
        assert_in_range(got, base / 2, base * 3 / 2);
        differ = differ || (seen != 0 && got * 2 != seen);
        seen = got;
    }
    assert_true(differ);
}

static void
the_budget_gives_a_burst_and_then_a_tenth_of_the_requests(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b);
    int got = 0;
    while (budget_take(&b))
        got++;
    assert_int_equal(got, BUDGET_BURST);
    for (int i = 0; i < 100; i++) {
        budget_earn(&b);
        got += budget_take(&b);
    }
    assert_int_equal(got, BUDGET_BURST + 10);
    for (int i = 0; i < 1000; i++)
        budget_earn(&b);
    got = 0;
    while (budget_take(&b))
        got++;
    assert_int_equal(got, BUDGET_BURST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_given_wait_is_kept_to_the_millisecond),
        cmocka_unit_test(waits_without_a_time_double_up_to_a_minute),
        cmocka_unit_test(a_wait_of_nothing_is_a_wait_of_our_own),
        cmocka_unit_test(a_shorter_wait_does_not_shorten_a_running_one),
        cmocka_unit_test(retries_pause_longer_and_longer_with_jitter),
        cmocka_unit_test(the_budget_gives_a_burst_and_then_a_tenth_of_the_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
