#include "base/err.h"
#include "tests/unit/base/unit.h"
#include <errno.h>
#include <string.h>

static void
codes_lie_below_every_errno(void **state)
{
    (void)state;
    assert_int_equal(ERR_SYNTAX, ERR_FIRST + 1);
    assert_true(ERR_AGAIN < -4095);
}

static void
each_code_has_its_text(void **state)
{
    (void)state;
    assert_string_equal(err_text(ERR_SYNTAX), "malformed input");
    assert_string_equal(err_text(ERR_AGAIN), "no room at this moment");
    assert_string_equal(err_text(-ENOSPC), "No space left on device");
    assert_string_equal(err_text(0), "no error");
}

static void
codes_that_nobody_has_are_unknown_errors(void **state)
{
    (void)state;
    assert_string_equal(err_text(ERR_FIRST), "unknown error");
    assert_string_equal(err_text(-4095), "unknown error");
    assert_string_equal(err_text(-5000), "unknown error");
    assert_string_equal(err_text(5), "unknown error");
}

static void
an_errno_becomes_a_sentence_from_outside_to_inside(void **state)
{
    (void)state;
    struct err e = {0};
    errno = EACCES;
    assert_int_equal(err_errno(&e, "mkdir %s", "/x/blobs"), -EACCES);
    assert_int_equal(err_wrap(&e, "open cache %s", "/x"), -EACCES);
    assert_int_equal(e.code, -EACCES);
    assert_string_equal(e.text, "open cache /x: mkdir /x/blobs: Permission denied");
}

static void
set_replaces_what_was_said(void **state)
{
    (void)state;
    struct err e = {.code = -EIO, .text = "old"};
    assert_int_equal(err_set(&e, ERR_LIMIT, "%d over", 3), ERR_LIMIT);
    assert_int_equal(e.code, ERR_LIMIT);
    assert_string_equal(e.text, "3 over");
}

static void
the_old_text_may_be_an_argument(void **state)
{
    (void)state;
    struct err e = {.code = -EIO, .text = "old"};
    (void)err_set(&e, ERR_LIMIT, "new after %s", e.text);
    assert_string_equal(e.text, "new after old");
}

static void
long_sentences_are_cut_and_terminated(void **state)
{
    (void)state;
    struct err e = {0};
    char word[300];
    memset(word, 'w', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    (void)err_set(&e, ERR_LIMIT, "inner");
    (void)err_wrap(&e, "%s", word);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    /* Every length around the limit, so that an overrun shows under asan. */
    for (int len = 240; len < 260; len++) {
        (void)err_set(&e, ERR_LIMIT, "inner");
        (void)err_wrap(&e, "%.*s", len, word);
        assert_true(strlen(e.text) < sizeof(e.text));
    }
}

static void
without_a_struct_only_the_code_is_returned(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_FULL, "x"), ERR_FULL);
    errno = EIO;
    assert_int_equal(err_errno(NULL, "x"), -EIO);
    assert_int_equal(err_wrap(NULL, "x"), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_lie_below_every_errno),
        cmocka_unit_test(each_code_has_its_text),
        cmocka_unit_test(codes_that_nobody_has_are_unknown_errors),
        cmocka_unit_test(an_errno_becomes_a_sentence_from_outside_to_inside),
        cmocka_unit_test(set_replaces_what_was_said),
        cmocka_unit_test(the_old_text_may_be_an_argument),
        cmocka_unit_test(long_sentences_are_cut_and_terminated),
        cmocka_unit_test(without_a_struct_only_the_code_is_returned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
