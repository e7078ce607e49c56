/* Which registries count as down. */
#include "proxy/upstream/health.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NOW 1000000

static void
a_failure_counts_for_a_second_and_is_told_for_a_minute(void **state)
{
    (void)state;
    struct health h;
    health_init(&h);
    assert_false(health_is_down(&h, "a", NOW));
    health_failed(&h, "a", NOW);
    assert_true(health_is_down(&h, "a", NOW + HEALTH_DOWN_MS - 1));
    assert_false(health_is_down(&h, "a", NOW + HEALTH_DOWN_MS));
    assert_true(health_is_failing(&h, "a", NOW + HEALTH_TOLD_MS - 1));
    assert_false(health_is_failing(&h, "a", NOW + HEALTH_TOLD_MS));
    assert_false(health_is_down(&h, "b", NOW));
    assert_false(health_is_failing(&h, "b", NOW));
    health_good(&h, "a", NOW);
    assert_false(health_is_down(&h, "a", NOW));
    assert_false(health_is_failing(&h, "a", NOW));
    health_release(&h);
}

/* Tries once as soon as it may, and fails: how long nobody tries again. */
static int64_t
fail_again(struct health *h, int64_t *now_ms)
{
    int64_t begun_ms = *now_ms;
    health_failed(h, "a", *now_ms);
    health_failed(h, "a", *now_ms + 1); /* of the same moment */
    while (health_is_down(h, "a", *now_ms))
        (*now_ms)++;
    return *now_ms - begun_ms;
}

static void
each_try_that_fails_doubles_the_pause_and_one_success_ends_it(void **state)
{
    (void)state;
    struct health h;
    int64_t now_ms = NOW, want_ms = HEALTH_DOWN_MS;
    health_init(&h);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(fail_again(&h, &now_ms), want_ms);
        want_ms = want_ms * 2 < HEALTH_DOWN_MAX_MS ? want_ms * 2 : HEALTH_DOWN_MAX_MS;
    }
    health_good(&h, "a", now_ms);
    assert_int_equal(fail_again(&h, &now_ms), HEALTH_DOWN_MS);
    health_release(&h);
}

static void
a_registry_that_asked_to_wait_is_down_until_then(void **state)
{
    (void)state;
    struct health h;
    health_init(&h);
    health_waits(&h, "a", NOW, NOW + 500);
    assert_true(health_is_down(&h, "a", NOW + 499));
    assert_false(health_is_down(&h, "a", NOW + 500));
    health_release(&h);
}

static void
the_oldest_news_makes_room(void **state)
{
    (void)state;
    struct health h;
    char host[16];
    health_init(&h);
    for (int i = 0; i <= HEALTH_HOSTS_MAX; i++) {
        (void)snprintf(host, sizeof host, "h%d", i);
        health_failed(&h, host, NOW + i);
    }
    assert_false(health_is_down(&h, "h0", NOW + 300));
    assert_true(health_is_down(&h, "h1", NOW + 300));
    assert_true(health_is_down(&h, host, NOW + 300));
    health_release(&h);
}

static void
who_sends_no_ranges_is_known_for_a_while(void **state)
{
    (void)state;
    struct health h;
    health_init(&h);
    assert_true(health_sends_ranges(&h, "a", NOW));
    health_no_ranges(&h, "a", NOW, NOW + 1000);
    health_good(&h, "a", NOW);
    assert_false(health_sends_ranges(&h, "a", NOW + 999));
    assert_true(health_sends_ranges(&h, "a", NOW + 1000));
    assert_true(health_sends_ranges(&h, "b", NOW));
    health_no_ranges(&h, "a", NOW, 0);
    assert_true(health_sends_ranges(&h, "a", NOW));
    health_release(&h);
}

static void
who_answers_late_is_known_for_a_while(void **state)
{
    (void)state;
    struct health h;
    health_init(&h);
    assert_int_equal(health_late_ms(&h, "a", NOW), 0);
    health_slow(&h, "a", NOW, 7000);
    health_failed(&h, "a", NOW);
    assert_int_equal(health_late_ms(&h, "a", NOW + HEALTH_SLOW_MS - 1), 7000);
    assert_int_equal(health_late_ms(&h, "a", NOW + HEALTH_SLOW_MS), 0);
    assert_int_equal(health_late_ms(&h, "b", NOW), 0);
    health_release(&h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_counts_for_a_second_and_is_told_for_a_minute),
        cmocka_unit_test(each_try_that_fails_doubles_the_pause_and_one_success_ends_it),
        cmocka_unit_test(a_registry_that_asked_to_wait_is_down_until_then),
        cmocka_unit_test(who_sends_no_ranges_is_known_for_a_while),
        cmocka_unit_test(who_answers_late_is_known_for_a_while),
        cmocka_unit_test(the_oldest_news_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
