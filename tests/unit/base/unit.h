/* What every unit test of this floor includes: cmocka with the headers that it wants
 * before itself, and a look at a child that must abort. */
#ifndef TESTS_UNIT_BASE_UNIT_H
#define TESTS_UNIT_BASE_UNIT_H

#include "base/must.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>
/* Last: it needs the ones above. */
#include <cmocka.h>

/* True when fn(arg) ends in must_fail(). */
static inline bool
unit_aborts(void (*fn)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        struct sigaction plain = {.sa_handler = SIG_DFL};
        (void)sigaction(SIGABRT, &plain, NULL); /* not cmocka's nor a sanitizer's */
        fn(arg);
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
