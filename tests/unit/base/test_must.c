#include "tests/unit/base/unit.h"
#include <fcntl.h>
#include <string.h>

static void
fail_here(void *arg)
{
    (void)arg;
    must(1 + 1 == 3);
}

static void
pass_here(void *arg)
{
    (void)arg;
    must(1 + 1 == 2);
}

static void
a_false_must_aborts_and_a_true_one_does_not(void **state)
{
    (void)state;
    assert_true(unit_aborts(fail_here, NULL));
    assert_false(unit_aborts(pass_here, NULL));
}

static void
fail_into(void *arg)
{
    if (dup2(*(int *)arg, STDERR_FILENO) >= 0)
        never("the words of this test");
}

static void
the_message_names_text_and_place(void **state)
{
    (void)state;
    int ends[2];
    char said[256] = "";
    assert_int_equal(pipe(ends), 0);
    assert_true(unit_aborts(fail_into, &ends[1]));
    assert_true(read(ends[0], said, sizeof(said) - 1) > 0);
    assert_non_null(strstr(said, "the words of this test"));
    assert_non_null(strstr(said, "test_must.c:"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_false_must_aborts_and_a_true_one_does_not),
        cmocka_unit_test(the_message_names_text_and_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
