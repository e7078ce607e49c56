#include "base/thread.h"
#include "tests/unit/base/unit.h"

struct seen {
    char name[16];
    sigset_t blocked;
    size_t stack_bytes;
    int runs;
};

static void
look_around(void *arg)
{
    struct seen *s = arg;
    pthread_attr_t attr;
    s->runs++;
    (void)pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
    (void)pthread_sigmask(SIG_BLOCK, NULL, &s->blocked);
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    (void)pthread_attr_getstacksize(&attr, &s->stack_bytes);
    (void)pthread_attr_destroy(&attr);
}

static void
a_thread_runs_once_with_its_argument_and_name(void **state)
{
    (void)state;
    struct seen s = {.runs = 0};
    struct thread t;
    assert_int_equal(thread_start(&t, "fifteen-bytes-x", look_around, &s), 0);
    thread_join(&t);
    assert_int_equal(s.runs, 1);
    assert_string_equal(s.name, "fifteen-bytes-x");
}

static void
signals_are_blocked_in_it_and_not_in_its_starter(void **state)
{
    (void)state;
    struct seen s = {.runs = 0};
    struct thread t;
    sigset_t mine;
    assert_int_equal(thread_start(&t, "t", look_around, &s), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &mine), 0);
    thread_join(&t);
    assert_true(sigismember(&s.blocked, SIGTERM) == 1);
    assert_true(sigismember(&s.blocked, SIGHUP) == 1);
    assert_true(sigismember(&mine, SIGTERM) == 0);
}

static void
its_stack_is_small(void **state)
{
    (void)state;
    struct seen s = {.runs = 0};
    struct thread t;
    assert_int_equal(thread_start(&t, "t", look_around, &s), 0);
    thread_join(&t);
    assert_true(s.stack_bytes >= THREAD_STACK_BYTES);
    assert_true(s.stack_bytes < (size_t)8 * THREAD_STACK_BYTES); /* the default is 32 times */
}

static void
joining_twice_or_never_started_does_nothing(void **state)
{
    (void)state;
    struct seen s = {.runs = 0};
    struct thread never_started = {.running = false};
    struct thread t;
    thread_join(&never_started);
    assert_int_equal(thread_start(&t, "t", look_around, &s), 0);
    thread_join(&t);
    thread_join(&t);
    assert_false(t.running);
}

static void
name_too_long(void *arg)
{
    struct seen s;
    struct thread t;
    (void)arg;
    if (thread_start(&t, "sixteen-bytes-xx", look_around, &s) == 0)
        thread_join(&t);
}

static void
a_longer_name_is_a_programmers_mistake(void **state)
{
    (void)state;
    assert_true(unit_aborts(name_too_long, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_runs_once_with_its_argument_and_name),
        cmocka_unit_test(signals_are_blocked_in_it_and_not_in_its_starter),
        cmocka_unit_test(its_stack_is_small),
        cmocka_unit_test(joining_twice_or_never_started_does_nothing),
        cmocka_unit_test(a_longer_name_is_a_programmers_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
