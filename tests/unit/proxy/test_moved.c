/* Whose name is looked up again. */
#include "proxy/upstream/moved.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW 1000000

static void
a_host_that_does_not_answer_is_looked_up_once_a_second(void **state)
{
    (void)state;
    struct moved m = {0};
    assert_false(moved_look(&m, "a.test", NOW));
    moved_note(&m, "a.test", false);
    assert_true(moved_look(&m, "a.test", NOW));
    moved_note(&m, "a.test", false);
    assert_false(moved_look(&m, "a.test", NOW + MOVED_LOOK_MS - 1));
    assert_true(moved_look(&m, "a.test", NOW + MOVED_LOOK_MS));
    moved_note(&m, "a.test", true);
    assert_false(moved_look(&m, "a.test", NOW + 2 * MOVED_LOOK_MS));
}

/* The registry answers, with a redirect to a storage host that does not. */
static void
one_that_answers_says_nothing_of_another(void **state)
{
    (void)state;
    struct moved m = {0};
    moved_note(&m, "storage.test", false);
    assert_false(moved_look(&m, "a.test", NOW));
    moved_note(&m, "a.test", true);
    assert_true(moved_look(&m, "storage.test", NOW));
    moved_note(&m, "a.test", false);
    assert_true(moved_look(&m, "a.test", NOW));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_does_not_answer_is_looked_up_once_a_second),
        cmocka_unit_test(one_that_answers_says_nothing_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
