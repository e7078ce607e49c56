/* What the head of an answer means. */
#include "proxy/upstream/judge.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct gap all = {0, CACHE_SIZE_UNKNOWN};
static const struct gap middle = {100, 200};

static struct head
answer(int status, uint64_t length)
{
    struct head h;
    head_clear(&h);
    h.status = status;
    h.content_length = length;
    return h;
}

static struct head
partial(uint64_t start, uint64_t end, uint64_t size)
{
    struct head h = answer(206, end - start);
    h.has_range = true;
    h.range = (struct gap){start, end};
    h.range_size = size;
    return h;
}

static void
a_plain_answer_is_taken_from_its_start(void **state)
{
    (void)state;
    struct head h = answer(200, 1000);
    struct verdict v = judge_blob(&h, &all, CACHE_SIZE_UNKNOWN);
    assert_int_equal(v.kind, VERDICT_GO);
    assert_int_equal(v.skip, 0);
    assert_int_equal(v.size, 1000);
}

static void
a_server_that_ignores_range_is_skipped_to_the_gap(void **state)
{
    (void)state;
    struct head h = answer(200, 1000);
    struct verdict v = judge_blob(&h, &middle, 1000);
    assert_int_equal(v.kind, VERDICT_GO);
    assert_int_equal(v.skip, 100);
}

static void
a_partial_answer_must_be_the_one_that_was_asked(void **state)
{
    (void)state;
    struct head h = partial(100, 200, 1000);
    assert_int_equal(judge_blob(&h, &middle, 1000).kind, VERDICT_GO);
    assert_int_equal(judge_blob(&h, &middle, 1000).skip, 0);
    h = partial(100, 150, CACHE_SIZE_UNKNOWN); /* shorter is fine */
    assert_int_equal(judge_blob(&h, &middle, 1000).kind, VERDICT_GO);
    h = partial(99, 200, 1000);
    assert_int_equal(judge_blob(&h, &middle, 1000).kind, VERDICT_BROKEN);
    h = partial(100, 201, 1000);
    assert_int_equal(judge_blob(&h, &middle, 1000).kind, VERDICT_BROKEN);
    h = partial(100, 200, 1000);
    h.has_range = false;
    assert_int_equal(judge_blob(&h, &middle, 1000).kind, VERDICT_BROKEN);
    h = partial(100, 200, 1000);
    h.content_length = 99;
    assert_int_equal(judge_blob(&h, &middle, 1000).kind, VERDICT_BROKEN);
}

static void
another_length_than_the_known_one_is_final(void **state)
{
    (void)state;
    struct head h = answer(200, 999);
    struct verdict v = judge_blob(&h, &all, 1000);
    assert_int_equal(v.kind, VERDICT_GONE);
    assert_int_equal(v.code, ERR_SIZE);
    h = partial(100, 200, 999);
    assert_int_equal(judge_blob(&h, &middle, 1000).code, ERR_SIZE);
}

static void
an_encoded_body_is_never_taken(void **state)
{
    (void)state;
    struct head h = answer(200, 1000);
    h.encoded = true;
    assert_int_equal(judge_blob(&h, &all, 1000).kind, VERDICT_BROKEN);
    assert_int_equal(judge_ask(&h).kind, VERDICT_BROKEN);
}

static void
refusals_are_final_and_server_errors_are_not(void **state)
{
    (void)state;
    static const struct {
        int status;
        enum verdict_kind kind;
        int code;
    } cases[] = {
        {404, VERDICT_GONE, ERR_NOT_FOUND},  {410, VERDICT_GONE, ERR_NOT_FOUND},
        {401, VERDICT_GONE, ERR_DENIED},     {403, VERDICT_GONE, ERR_DENIED},
        {416, VERDICT_GONE, ERR_SIZE},       {418, VERDICT_GONE, ERR_UPSTREAM},
        {204, VERDICT_GONE, ERR_UPSTREAM},   {304, VERDICT_GONE, ERR_UPSTREAM},
        {500, VERDICT_BROKEN, ERR_UPSTREAM}, {502, VERDICT_BROKEN, ERR_UPSTREAM},
        {503, VERDICT_BROKEN, ERR_UPSTREAM}, {504, VERDICT_BROKEN, ERR_UPSTREAM},
        {408, VERDICT_BROKEN, ERR_UPSTREAM},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct head h = answer(cases[i].status, 10);
        struct verdict v = judge_blob(&h, &all, CACHE_SIZE_UNKNOWN);
        assert_int_equal(v.kind, cases[i].kind);
        assert_int_equal(v.code, cases[i].code);
    }
}

static void
a_small_question_takes_any_status_below_500(void **state)
{
    (void)state;
    static const int statuses[] = {200, 304, 400, 401, 403, 404, 405};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct head h = answer(statuses[i], 10);
        assert_int_equal(judge_ask(&h).kind, VERDICT_GO);
    }
    struct head h = answer(502, 10);
    assert_int_equal(judge_ask(&h).kind, VERDICT_BROKEN);
}

static void
a_request_to_wait_is_429_or_503_with_a_time(void **state)
{
    (void)state;
    struct head h = answer(429, 0);
    assert_true(judge_is_wait(&h));
    h = answer(503, 0);
    assert_false(judge_is_wait(&h));
    h.retry_after_ms = 1000;
    assert_true(judge_is_wait(&h));
    h.status = 500;
    assert_false(judge_is_wait(&h));
}

static void
a_redirect_has_a_location(void **state)
{
    (void)state;
    struct head h = answer(307, 0);
    assert_false(judge_is_redirect(&h));
    h.location[0] = '/';
    assert_true(judge_is_redirect(&h));
    h.status = 300;
    assert_false(judge_is_redirect(&h));
    h.status = 200;
    assert_false(judge_is_redirect(&h));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_answer_is_taken_from_its_start),
        cmocka_unit_test(a_server_that_ignores_range_is_skipped_to_the_gap),
        cmocka_unit_test(a_partial_answer_must_be_the_one_that_was_asked),
        cmocka_unit_test(another_length_than_the_known_one_is_final),
        cmocka_unit_test(an_encoded_body_is_never_taken),
        cmocka_unit_test(refusals_are_final_and_server_errors_are_not),
        cmocka_unit_test(a_small_question_takes_any_status_below_500),
        cmocka_unit_test(a_request_to_wait_is_429_or_503_with_a_time),
        cmocka_unit_test(a_redirect_has_a_location),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
