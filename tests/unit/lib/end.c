/* How a test program ends. A failed assertion leaves its test in the middle, with the threads and
 * sockets of a node that nobody closes: exit() would take the libraries down below them, and the
 * program would die of that, in the place of its exit code (which is how many tests failed). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

int __real__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);
int __wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction setup, CMFixtureFunction teardown);

int
__wrap__cmocka_run_group_tests(const char *name, const struct CMUnitTest *tests, size_t count,
                               CMFixtureFunction setup, CMFixtureFunction teardown)
{
    int failed = __real__cmocka_run_group_tests(name, tests, count, setup, teardown);
    if (failed != 0) {
        (void)fflush(NULL);
        _exit(failed);
    }
    return failed;
}
