#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"
#include "tests/unit/base/unit.h"

/* Two locks and what they guard. */
struct pair {
    struct lock low, high;
    struct cond changed;
    int value; /* low */
};

static int
set_up(void **state)
{
    static struct pair p;
    lock_init(&p.low, LOCK_CACHE);
    lock_init(&p.high, LOCK_BLOB);
    cond_init(&p.changed);
    p.value = 0;
    *state = &p;
    return 0;
}

static int
tear_down(void **state)
{
    struct pair *p = *state;
    cond_release(&p->changed);
    lock_release(&p->low);
    lock_release(&p->high);
    return 0;
}

static void
rising(void *arg)
{
    struct pair *p = arg;
    lock_take(&p->low);
    lock_take(&p->high);
    lock_drop(&p->low); /* not the last one taken */
    lock_drop(&p->high);
    lock_take(&p->low);
    lock_drop(&p->low);
}

UNCHECKED_LOCKING static void
falling(void *arg)
{
    struct pair *p = arg;
    lock_take(&p->high);
    lock_take(&p->low);
}

UNCHECKED_LOCKING static void
twice_the_same_rank(void *arg)
{
    struct pair *p = arg;
    struct lock twin;
    lock_init(&twin, LOCK_CACHE);
    lock_take(&p->low);
    lock_take(&twin);
}

UNCHECKED_LOCKING static void
drop_without_take(void *arg)
{
    struct pair *p = arg;
    lock_drop(&p->low);
}

UNCHECKED_LOCKING static void
falling_behind_a_drop_in_the_middle(void *arg)
{
    struct pair *p = arg;
    lock_take(&p->low);
    lock_take(&p->high);
    lock_drop(&p->low);
    lock_take(&p->low);
}

static void
ranks_may_only_rise(void **state)
{
    rising(*state);
    assert_false(unit_aborts(rising, *state));
    assert_true(unit_aborts(falling, *state));
    assert_true(unit_aborts(twice_the_same_rank, *state));
    assert_true(unit_aborts(falling_behind_a_drop_in_the_middle, *state));
}

static void
only_a_held_lock_can_be_dropped(void **state)
{
    assert_true(unit_aborts(drop_without_take, *state));
}

UNCHECKED_LOCKING static void
ask_for_low(void *arg)
{
    struct pair *p = arg;
    lock_must_hold(&p->low);
}

static void
take_and_ask(void *arg)
{
    struct pair *p = arg;
    lock_take(&p->low);
    lock_must_hold(&p->low);
    lock_drop(&p->low);
}

static void
must_hold_knows_this_threads_locks(void **state)
{
    assert_false(unit_aborts(take_and_ask, *state));
    assert_true(unit_aborts(ask_for_low, *state));
}

UNCHECKED_LOCKING static void
wait_under_another_lock(void *arg)
{
    struct pair *p = arg;
    lock_take(&p->low);
    lock_take(&p->high);
    (void)cond_wait(&p->changed, &p->high, 0);
}

static void
no_lock_is_kept_through_a_wait(void **state)
{
    assert_true(unit_aborts(wait_under_another_lock, *state));
}

#define ADDITIONS 20000

static void
add_many(void *arg)
{
    struct pair *p = arg;
    for (int i = 0; i < ADDITIONS; i++) {
        lock_take(&p->low);
        p->value++;
        lock_drop(&p->low);
    }
}

static void
a_lock_keeps_others_out(void **state)
{
    struct pair *p = *state;
    struct thread other;
    assert_int_equal(thread_start(&other, "other", add_many, p), 0);
    add_many(p);
    thread_join(&other);
    assert_int_equal(p->value, 2 * ADDITIONS);
}

static void
answer(void *arg)
{
    struct pair *p = arg;
    lock_take(&p->low);
    p->value = 1;
    cond_wake(&p->changed);
    lock_drop(&p->low);
}

static void
a_wait_ends_when_woken(void **state)
{
    struct pair *p = *state;
    struct thread other;
    bool in_time = true;
    lock_take(&p->low);
    assert_int_equal(thread_start(&other, "other", answer, p), 0);
    while (p->value == 0 && in_time)
        in_time = cond_wait(&p->changed, &p->low, clock_ms() + 60000);
    lock_drop(&p->low);
    thread_join(&other);
    assert_true(in_time);
}

static void
a_wait_ends_at_its_deadline(void **state)
{
    struct pair *p = *state;
    int64_t deadline_ms = clock_ms() + 20;
    lock_take(&p->low);
    while (cond_wait(&p->changed, &p->low, deadline_ms))
        continue;
    lock_must_hold(&p->low);
    assert_true(clock_ms() >= deadline_ms);
    assert_false(cond_wait(&p->changed, &p->low, 0));
    assert_false(cond_wait(&p->changed, &p->low, INT64_MIN));
    lock_drop(&p->low);
}

static void
a_deadline_that_never_comes_can_be_woken_from(void **state)
{
    struct pair *p = *state;
    struct thread other;
    lock_take(&p->low);
    assert_int_equal(thread_start(&other, "other", answer, p), 0);
    while (p->value == 0)
        assert_true(cond_wait(&p->changed, &p->low, INT64_MAX));
    lock_drop(&p->low);
    thread_join(&other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ranks_may_only_rise, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_a_held_lock_can_be_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(must_hold_knows_this_threads_locks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_lock_is_kept_through_a_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lock_keeps_others_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_ends_when_woken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_ends_at_its_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_deadline_that_never_comes_can_be_woken_from, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
