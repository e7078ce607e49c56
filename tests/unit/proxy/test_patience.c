/* Deadlines and retries of one blob, in virtual time. */
#include "proxy/upstream/patience.h"
#include <limits.h>
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
    int64_t again_ms = patience_retry_ms(&p, &b, &r, false, NOW + first_ms);
    assert_true(again_ms > NOW + first_ms);
    int64_t second_ms = patience_head_wait_ms(&p, again_ms);
    assert_true(second_ms > 2000);
    assert_int_equal(again_ms + second_ms, NOW + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS);
    assert_int_equal(patience_retry_ms(&p, &b, &r, false, again_ms + second_ms), -1);
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
    assert_true(patience_retry_ms(&p, &b, &r, false, NOW) > NOW);
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
        assert_true(patience_retry_ms(&p, &b, &r, false, NOW) > NOW);
    assert_int_equal(patience_retry_ms(&p, &b, &r, false, NOW), -1);
}

/* A registry that restarts in mid-blob: no budget is needed, and no crowd comes. */
static void
a_registry_that_is_away_in_mid_blob_is_waited_for_a_while(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct patience p;
        struct budget b = {0};
        struct rng r;
        rng_init(&r, seed);
        patience_start(&p, NOW, false);
        patience_bytes(&p, NOW, PROGRESS_BYTES);
        patience_amid(&p);
        assert_true(patience_retry_ms(&p, &b, &r, false, NOW) > NOW); /* it was cut */
        int64_t at_ms = NOW, next_ms;
        unsigned tries = 0;
        for (; (next_ms = patience_retry_ms(&p, &b, &r, true, at_ms)) >= 0; at_ms = next_ms) {
            assert_in_range(next_ms - at_ms, AWAY_PAUSE_MS, AWAY_PAUSE_MAX_MS);
            assert_int_equal(patience_end_ms(&p), NOW + SILENCE_MS); /* nodes may bring bytes */
            tries++;
        }
        assert_in_range(at_ms, NOW + AWAY_MS - AWAY_PAUSE_MAX_MS, NOW + AWAY_MS - 1);
        assert_in_range(tries, 6, 9);
        assert_int_equal(b.tenths, 0);
        assert_true(patience_is_uncounted(&p));
        patience_bytes(&p, at_ms, PROGRESS_BYTES); /* it is back */
        assert_int_equal(patience_end_ms(&p), at_ms + SILENCE_MS);
        assert_false(patience_is_uncounted(&p));
        budget_init(&b);
        for (int i = 0; i < TRIES_MAX - 1; i++)
            assert_true(patience_retry_ms(&p, &b, &r, false, at_ms) > at_ms);
        assert_int_equal(patience_retry_ms(&p, &b, &r, false, at_ms), -1);
    }
}

/* What an earlier fill or another node gave does not make it wait: who reads goes there by itself.
 */
static void
a_registry_that_gave_nothing_to_this_fill_is_given_up_soon(void **state)
{
    (void)state;
    struct patience p;
    struct budget b;
    struct rng r;
    rng_init(&r, 6);
    budget_init(&b);
    patience_start(&p, NOW, true);
    patience_bytes(&p, NOW, PROGRESS_BYTES); /* of a node */
    int64_t at_ms = NOW, next_ms;
    unsigned tries = 1;
    for (; (next_ms = patience_retry_ms(&p, &b, &r, true, at_ms)) >= 0; at_ms = next_ms)
        tries++;
    assert_int_equal(tries, TRIES_MAX);
    assert_true(at_ms < NOW + 1000);
    assert_false(patience_is_uncounted(&p));
}

/* Whoever read has gone: what is left are the tries that anybody has. */
static void
a_fill_that_nobody_reads_any_more_does_not_wait(void **state)
{
    (void)state;
    struct patience p;
    struct budget b;
    struct rng r;
    rng_init(&r, 7);
    budget_init(&b);
    patience_start(&p, NOW, false);
    patience_bytes(&p, NOW, PROGRESS_BYTES);
    patience_amid(&p);
    int64_t at_ms = NOW, next_ms;
    for (int i = 0; i < 4; i++)
        at_ms = patience_retry_ms(&p, &b, &r, true, at_ms);
    int64_t gone_ms = at_ms;
    for (; (next_ms = patience_retry_ms(&p, &b, &r, false, at_ms)) >= 0; at_ms = next_ms)
        assert_true(next_ms < gone_ms + 1000);
}

static void
who_says_that_nobody_is_behind_it_is_away(void **state)
{
    (void)state;
    static const int away[] = {0, 502, 503, 504}, there[] = {200, 401, 404, 429, 500, 501, 505};
    for (size_t i = 0; i < ARRAY_LEN(away); i++)
        assert_true(patience_is_away(away[i], false));
    for (size_t i = 0; i < ARRAY_LEN(there); i++)
        assert_false(patience_is_away(there[i], false));
    assert_false(patience_is_away(0, true)); /* a token server answers, with trouble */
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
        assert_true(patience_retry_ms(&p, &b, &r, false, NOW) > NOW);
    }
    assert_int_equal(patience_retry_ms(&p, &b, &r, false, NOW), -1);
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
        assert_true(patience_retry_ms(&p, &b, &r, false, NOW) > NOW);
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
    static const struct {
        bool awaits_head;
        unsigned listening;
        bool may;
    } cases[] = {
        {false, 0, false}, {false, 1, false}, {true, 0, true},
        {true, 1, false},  {true, 2, false},  {true, UINT_MAX, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(patience_may_listen(cases[i].awaits_head, cases[i].listening),
                         cases[i].may);
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
        cmocka_unit_test(a_registry_that_is_away_in_mid_blob_is_waited_for_a_while),
        cmocka_unit_test(a_registry_that_gave_nothing_to_this_fill_is_given_up_soon),
        cmocka_unit_test(a_fill_that_nobody_reads_any_more_does_not_wait),
        cmocka_unit_test(who_says_that_nobody_is_behind_it_is_away),
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
