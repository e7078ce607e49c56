/* Deadlines and retries of one blob, in virtual time. */
#include "proxy/upstream/patience.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW 100000

static void
a_silent_first_try_leaves_time_for_a_second(void **state)
{
    (void)state;
    struct patience p;
    struct budget b;
    struct rng r;
    rng_init(&r, 1);
    budget_init(&b);
    patience_start(&p, NOW, false);
    int64_t first_ms = patience_head_wait_ms(&p, NOW);
    assert_int_equal(first_ms, HEAD_WAIT_MS);
    int64_t again_ms = patience_retry_ms(&p, &b, &r, true, NOW + first_ms);
    assert_true(again_ms > NOW + first_ms);
    int64_t second_ms = patience_head_wait_ms(&p, again_ms);
    assert_true(second_ms > 2000);
    assert_int_equal(again_ms + second_ms, NOW + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS);
    assert_int_equal(patience_retry_ms(&p, &b, &r, true, again_ms + second_ms), -1);
}

/* It may stall so in each answer. */
static void
a_silent_body_gets_more_time_until_there_is_progress(void **state)
{
    (void)state;
    struct patience p;
    struct budget b;
    struct rng r;
    rng_init(&r, 5);
    budget_init(&b);
    patience_start(&p, NOW, true);
    assert_int_equal(patience_stall_ms(&p), STALL_MS);
    assert_true(patience_retry_ms(&p, &b, &r, true, NOW) > NOW);
    assert_int_equal(patience_stall_ms(&p), STALL_LATER_MS);
    patience_bytes(&p, NOW, PROGRESS_BYTES);
    assert_int_equal(patience_stall_ms(&p), STALL_MS);
}

static void
four_tries_without_progress_end_it(void **state)
{
    (void)state;
    struct patience p;
    struct budget b;
    struct rng r;
    rng_init(&r, 2);
    budget_init(&b);
    patience_start(&p, NOW, true);
    for (int i = 0; i < TRIES_MAX - 1; i++)
        assert_true(patience_retry_ms(&p, &b, &r, true, NOW) > NOW);
    assert_int_equal(patience_retry_ms(&p, &b, &r, true, NOW), -1);
}

/* It restarts, or its name is gone for a moment: who reads would fare no better there. */
static void
a_registry_out_of_reach_is_tried_until_the_silence_is_too_long(void **state)
{
    (void)state;
    struct patience p;
    struct budget b = {0}; /* no retry left: none of these asks anything of it */
    struct rng r;
    rng_init(&r, 6);
    patience_start(&p, NOW, false);
    assert_int_equal(patience_retry_ms(&p, &b, &r, false, NOW), -1);
    patience_bytes(&p, NOW, PROGRESS_BYTES);
    assert_true(patience_retry_ms(&p, &b, &r, true, NOW) > NOW); /* it was cut */
    int64_t at_ms = NOW, next_ms;
    unsigned tries = 0;
    for (; (next_ms = patience_retry_ms(&p, &b, &r, false, at_ms)) >= 0; at_ms = next_ms, tries++)
        assert_true(next_ms > at_ms && next_ms < patience_end_ms(&p) && tries < 20);
    assert_true(at_ms > NOW + SILENCE_MS - 2 * RETRY_MAX_MS && tries > TRIES_MAX);
    patience_bytes(&p, at_ms, PROGRESS_BYTES);
    budget_init(&b);
    for (int i = 0; i < TRIES_MAX - 1; i++)
        assert_true(patience_retry_ms(&p, &b, &r, true, at_ms) > at_ms);
    assert_int_equal(patience_retry_ms(&p, &b, &r, true, at_ms), -1);
}

static void
progress_makes_tries_free_without_end(void **state)
{
    (void)state;
    struct patience p;
    struct budget b = {0}; /* no retry left */
    struct rng r;
    rng_init(&r, 3);
    patience_start(&p, NOW, false);
    for (int i = 0; i < 100; i++) {
        patience_bytes(&p, NOW, PROGRESS_BYTES);
        assert_true(patience_retry_ms(&p, &b, &r, true, NOW) > NOW);
    }
    assert_int_equal(patience_retry_ms(&p, &b, &r, true, NOW), -1);
}

static void
bytes_below_the_bound_add_up_to_progress(void **state)
{
    (void)state;
    struct patience p;
    struct budget b;
    struct rng r;
    rng_init(&r, 4);
    budget_init(&b);
    patience_start(&p, NOW, true);
    for (int i = 0; i < 16; i++) {
        patience_bytes(&p, NOW, PROGRESS_BYTES / 2);
        assert_true(patience_retry_ms(&p, &b, &r, true, NOW) > NOW);
    }
}

static void
silence_counts_from_the_last_byte(void **state)
{
    (void)state;
    struct patience p;
    patience_start(&p, NOW, false);
    assert_int_equal(patience_end_ms(&p), NOW + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS);
    patience_bytes(&p, NOW + 4000, 1);
    assert_int_equal(patience_end_ms(&p), NOW + 4000 + SILENCE_MS);
}

/* Its kernel has the request. Whether the registry answers at all only a second try can tell. */
static void
who_took_the_request_has_more_time(void **state)
{
    (void)state;
    struct patience p;
    int64_t last_ms = NOW + SLOW_FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS;
    patience_start(&p, NOW, false);
    assert_int_equal(patience_heard_wait_ms(&p, NOW, 0), HEAD_WAIT_MS);
    p.idle_tries = 1;
    assert_int_equal(NOW + patience_heard_wait_ms(&p, NOW, 0), last_ms);
    patience_heard(&p, NOW + 3000, true);
    assert_int_equal(patience_end_ms(&p), last_ms);
    patience_heard(&p, NOW + 3100, false); /* it answered, with a redirect say */
    assert_int_equal(patience_end_ms(&p), NOW + 3000 + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS);
    patience_heard(&p, NOW + 24000, true);
    patience_heard(&p, NOW + 24001, false);
    assert_int_equal(patience_end_ms(&p), last_ms);
    assert_false(patience_is_late(&p, NOW + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS - 1));
    assert_true(patience_is_late(&p, NOW + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS));
    patience_bytes(&p, NOW + 24100, 1);
    assert_false(patience_is_late(&p, NOW + 24100));
}

/* One of several behind one name may hang: there is time for another one. */
static void
no_request_takes_all_the_time_of_the_next_one(void **state)
{
    (void)state;
    struct patience p;
    int64_t left_ms = SLOW_FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS;
    patience_start(&p, NOW, false);
    assert_int_equal(patience_heard_wait_ms(&p, NOW, 2400), left_ms / 2);
    assert_int_equal(patience_heard_wait_ms(&p, NOW, 7000), 14000); /* it may need more than half */
    assert_int_equal(patience_heard_wait_ms(&p, NOW, 20000), left_ms);
    patience_bytes(&p, NOW, 1);
    assert_int_equal(patience_heard_wait_ms(&p, NOW, 0), HEAD_WAIT_MS);
    p.idle_tries = 1;
    assert_int_equal(patience_heard_wait_ms(&p, NOW, 0), HEAD_WAIT_LATER_MS);
    assert_int_equal(patience_heard_wait_ms(&p, NOW, 2400), SILENCE_MS / 2);
    p.idle_tries = 2; /* or all of them are late, and nobody found out yet */
    assert_int_equal(patience_heard_wait_ms(&p, NOW, 0), SILENCE_MS);
}

/* One request at each registry is enough, and one that waits for no head (a redirect led to a host
 * that nobody answers at) tells nothing. */
static void
one_request_stays_to_hear_how_late_a_registry_is(void **state)
{
    (void)state;
    assert_true(patience_may_listen(true, 0));
    assert_false(patience_may_listen(true, 1));
    assert_false(patience_may_listen(false, 0));
}

/* A small question: whoever took it has all the time there is, what follows that (a redirect, a
 * token) as much as the first request had. */
static void
what_follows_a_late_answer_has_time_of_its_own(void **state)
{
    (void)state;
    int64_t short_ms = FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS;
    struct ask_limits l = {NOW + 4750, NOW + 24750, 0};
    assert_int_equal(patience_ask_end_ms(&l, false), NOW + 4750);
    assert_int_equal(patience_ask_end_ms(&l, true), NOW + 24750);
    l.heard_ms = NOW + 100;
    assert_int_equal(patience_ask_end_ms(&l, false), NOW + 4750);
    l.heard_ms = NOW + 9000;
    assert_int_equal(patience_ask_end_ms(&l, false), NOW + 9000 + short_ms);
    l.heard_ms = NOW + 24000;
    assert_int_equal(patience_ask_end_ms(&l, false), NOW + 24750);
}

static void
a_question_may_be_lost_once(void **state)
{
    (void)state;
    struct ask_limits l = {NOW + 4750, NOW + 24750, 0};
    assert_int_equal(patience_ask_heard_wait_ms(&l, 0, 0, NOW), 0);
    assert_int_equal(patience_ask_heard_wait_ms(&l, 0, 2400, NOW), 24750 / 2);
    assert_int_equal(patience_ask_heard_wait_ms(&l, 0, 20000, NOW), 24750);
    assert_int_equal(patience_ask_heard_wait_ms(&l, 1, 0, NOW), SLOW_FIRST_BYTE_MS);
}

static void
a_node_that_stood_still_blames_nobody(void **state)
{
    (void)state;
    struct patience p;
    patience_start(&p, NOW, false);
    patience_stood_still(&p, 30000);
    assert_int_equal(patience_end_ms(&p), NOW + 30000 + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS);
    patience_bytes(&p, NOW + 31000, 1);
    patience_stood_still(&p, 30000);
    assert_int_equal(patience_end_ms(&p), NOW + 61000 + SILENCE_MS);
}

static void
who_has_no_reader_for_long_is_given_up(void **state)
{
    (void)state;
    struct patience p;
    patience_start(&p, NOW, true);
    assert_false(patience_unread(&p, NOW, true, 5000));
    assert_false(patience_unread(&p, NOW + 4999, true, 5000));
    assert_false(patience_unread(&p, NOW + 5000, false, 5000)); /* it was read */
    assert_false(patience_unread(&p, NOW + 6000, true, 5000));
    patience_stood_still(&p, 30000);
    assert_false(patience_unread(&p, NOW + 40999, true, 5000));
    assert_true(patience_unread(&p, NOW + 41000, true, 5000));
}

static void
a_registry_is_waited_for_within_bounds_only(void **state)
{
    (void)state;
    struct patience p;
    patience_start(&p, NOW, false);
    assert_true(patience_waits(&p, NOW, NOW + 1000));
    assert_false(patience_waits(&p, NOW, NOW + 5000)); /* the client would wait too long */
    patience_bytes(&p, NOW, 1);
    assert_true(patience_waits(&p, NOW, NOW + 5000));
    assert_false(patience_waits(&p, NOW, NOW + BUSY_WAIT_MS + 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_first_try_leaves_time_for_a_second),
        cmocka_unit_test(a_silent_body_gets_more_time_until_there_is_progress),
        cmocka_unit_test(four_tries_without_progress_end_it),
        cmocka_unit_test(a_registry_out_of_reach_is_tried_until_the_silence_is_too_long),
        cmocka_unit_test(progress_makes_tries_free_without_end),
        cmocka_unit_test(bytes_below_the_bound_add_up_to_progress),
        cmocka_unit_test(silence_counts_from_the_last_byte),
        cmocka_unit_test(who_took_the_request_has_more_time),
        cmocka_unit_test(no_request_takes_all_the_time_of_the_next_one),
        cmocka_unit_test(one_request_stays_to_hear_how_late_a_registry_is),
        cmocka_unit_test(what_follows_a_late_answer_has_time_of_its_own),
        cmocka_unit_test(a_question_may_be_lost_once),
        cmocka_unit_test(a_node_that_stood_still_blames_nobody),
        cmocka_unit_test(who_has_no_reader_for_long_is_given_up),
        cmocka_unit_test(a_registry_is_waited_for_within_bounds_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
