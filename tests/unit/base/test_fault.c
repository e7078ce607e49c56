#include "base/fault.h"
#include "tests/unit/base/unit.h"
#include <errno.h>
#include <string.h>

static int
tear_down(void **state)
{
    (void)state;
    fault_disarm();
    return 0;
}

static void
disarmed_points_pass_and_are_counted(void **state)
{
    (void)state;
    fault_disarm();
    for (int i = 0; i < 5; i++)
        assert_int_equal(fault_point("x"), 0);
    assert_int_equal(fault_count(), 5);
    fault_disarm();
    assert_int_equal(fault_count(), 0);
}

static void
only_the_nth_call_fails(void **state)
{
    (void)state;
    fault_arm(2, ENOSPC, false, NULL);
    assert_int_equal(fault_point("x"), 0);
    assert_int_equal(fault_point("x"), -ENOSPC);
    assert_int_equal(fault_point("x"), 0);
    assert_int_equal(fault_count(), 3);
}

static void
with_every_the_ones_after_it_fail_too(void **state)
{
    (void)state;
    fault_arm(2, EIO, true, NULL);
    assert_int_equal(fault_point("x"), 0);
    assert_int_equal(fault_point("x"), -EIO);
    assert_int_equal(fault_point("x"), -EIO);
    fault_disarm();
    assert_int_equal(fault_point("x"), 0);
}

static void
stop_here(const char *name)
{
    _exit(strcmp(name, "fsync") == 0 ? 42 : 1);
}

static void
error_0_stops_the_process_at_the_named_point(void **state)
{
    (void)state;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        fault_arm(2, 0, false, stop_here);
        if (fault_point("write") == 0 && fault_point("fsync") == 0)
            _exit(2);
        _exit(3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void
return_instead(const char *name)
{
    (void)name;
}

static void
run_into_a_stop_that_returns(void *arg)
{
    (void)arg;
    fault_arm(1, 0, false, return_instead);
    if (fault_point("x") != 0)
        _exit(1);
}

static void
a_stop_that_returns_is_a_programmers_mistake(void **state)
{
    (void)state;
    assert_true(unit_aborts(run_into_a_stop_that_returns, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(disarmed_points_pass_and_are_counted, tear_down),
        cmocka_unit_test_teardown(only_the_nth_call_fails, tear_down),
        cmocka_unit_test_teardown(with_every_the_ones_after_it_fail_too, tear_down),
        cmocka_unit_test_teardown(error_0_stops_the_process_at_the_named_point, tear_down),
        cmocka_unit_test_teardown(a_stop_that_returns_is_a_programmers_mistake, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
