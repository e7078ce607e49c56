/* Slots and rate among threads. */
#include "base/clock.h"
#include "base/err.h"
#include "base/thread.h"
#include "proxy/peer/uploads.h"
#include "tests/unit/base/unit.h"
#include <stdatomic.h>

static bool
never_gone(void *arg)
{
    (void)arg;
    return false;
}

static bool
is_gone(void *arg)
{
    return atomic_load((atomic_bool *)arg);
}

/* A thread that wants a slot. */
struct wanting {
    struct uploads *uploads;
    enum slots_class class;
    bool (*gone)(void *arg);
    atomic_bool left;
    atomic_int result; /* 1: not yet */
    atomic_uint busy_ms;
    struct thread thread;
};

static void
want(void *arg)
{
    struct wanting *w = arg;
    unsigned busy_ms = 0;
    struct uploads_for whom = {.class = w->class};
    int rc = uploads_start(w->uploads, &whom, w->gone, &w->left, &busy_ms);
    atomic_store(&w->busy_ms, busy_ms);
    atomic_store(&w->result, rc);
}

static void
start(struct wanting *w, struct uploads *u, enum slots_class class)
{
    *w = (struct wanting){.uploads = u, .class = class, .gone = is_gone};
    atomic_store(&w->result, 1);
    assert_int_equal(thread_start(&w->thread, "want", want, w), 0);
}

static int
ask(struct uploads *u, bool far, unsigned *ret_busy_ms)
{
    struct uploads_for whom = {.class = SLOTS_CURSOR, .far = far};
    return uploads_start(u, &whom, never_gone, NULL, ret_busy_ms);
}

static void
begin(struct uploads *u)
{
    unsigned busy_ms = 0;
    assert_int_equal(ask(u, false, &busy_ms), UPLOADS_NEAR);
}

/* Teaches the slots that an upload takes that long. */
static struct uploads *
open_with(unsigned running, int64_t took_us)
{
    struct uploads_limits limits = {.running = running};
    struct uploads *u = uploads_new(&limits);
    for (int i = 0; i < 64; i++) {
        begin(u);
        uploads_end(u, UPLOADS_NEAR, 0, took_us);
    }
    return u;
}

static void
the_next_one_starts_when_one_ends(void **state)
{
    (void)state;
    struct uploads *u = open_with(2, 1000);
    struct wanting w;
    begin(u);
    begin(u);
    start(&w, u, SLOTS_FILL);
    while (uploads_queue_ms(u) < 2)
        clock_sleep_ms(1);
    assert_int_equal(atomic_load(&w.result), 1);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    thread_join(&w.thread);
    assert_int_equal(atomic_load(&w.result), 0);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    assert_int_equal(uploads_queue_ms(u), 0);
    uploads_free(u);
}

static void
a_long_queue_is_told_and_not_joined(void **state)
{
    (void)state;
    struct uploads *u = open_with(1, 100000);
    unsigned busy_ms = 0;
    begin(u);
    assert_int_equal(ask(u, false, &busy_ms), ERR_BUSY);
    assert_in_range(busy_ms, 90, 110);
    uploads_end(u, UPLOADS_NEAR, 0, 1);
    uploads_free(u);
}

static void
an_estimate_that_was_wrong_ends_in_busy(void **state)
{
    (void)state;
    struct uploads *u = open_with(1, 1000);
    struct wanting w;
    begin(u);
    start(&w, u, SLOTS_FILL);
    thread_join(&w.thread);
    assert_int_equal(atomic_load(&w.result), ERR_BUSY);
    assert_true(atomic_load(&w.busy_ms) > 0);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    begin(u); /* nobody holds a place in the queue */
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    uploads_free(u);
}

static void
who_has_left_gives_its_place_back(void **state)
{
    (void)state;
    struct uploads *u = open_with(1, 1000);
    struct wanting w;
    begin(u);
    start(&w, u, SLOTS_FILL);
    while (uploads_queue_ms(u) < 3)
        clock_sleep_ms(1);
    atomic_store(&w.left, true);
    thread_join(&w.thread);
    assert_int_equal(atomic_load(&w.result), ERR_CLOSED);
    assert_in_range(uploads_queue_ms(u), 1, 2);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    uploads_free(u);
}

static void
without_slots_none_is_served(void **state)
{
    (void)state;
    struct uploads_limits limits = {0};
    struct uploads *u = uploads_new(&limits);
    unsigned busy_ms = 0;
    assert_int_equal(ask(u, false, &busy_ms), ERR_BUSY);
    assert_int_equal(busy_ms, UPLOADS_OFF_MS);
    assert_int_equal(ask(u, true, &busy_ms), ERR_BUSY);
    uploads_free(u);
}

static void
other_sites_have_the_slots_that_the_own_does_not_use(void **state)
{
    (void)state;
    struct uploads_limits limits = {.running = 1000};
    struct uploads *u = uploads_new(&limits);
    unsigned busy_ms = 0;
    for (unsigned i = 0; i < SLOTS_NEAR; i++)
        begin(u);
    assert_true(uploads_queue_ms(u) > 0);
    for (unsigned i = SLOTS_NEAR; i < SLOTS_MAX; i++) {
        assert_int_equal(ask(u, true, &busy_ms), UPLOADS_FAR);
    }
    limits.running = SLOTS_NEAR; /* what runs ends where it began */
    uploads_set_limits(u, &limits);
    for (unsigned i = SLOTS_NEAR; i < SLOTS_MAX; i++)
        uploads_end(u, UPLOADS_FAR, 0, 1);
    uploads_end(u, UPLOADS_NEAR, 0, 1);
    assert_int_equal(ask(u, true, &busy_ms), UPLOADS_NEAR);
    for (unsigned i = 0; i < SLOTS_NEAR; i++)
        uploads_end(u, UPLOADS_NEAR, 0, 1);
    uploads_free(u);
}

static void
fewer_slots_count_at_once(void **state)
{
    (void)state;
    struct uploads *u = open_with(2, 1000);
    struct uploads_limits limits = {.running = 1};
    struct wanting w;
    begin(u);
    begin(u);
    uploads_set_limits(u, &limits);
    start(&w, u, SLOTS_FILL);
    while (uploads_queue_ms(u) < 3)
        clock_sleep_ms(1);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    assert_int_equal(atomic_load(&w.result), 1);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    thread_join(&w.thread);
    assert_int_equal(atomic_load(&w.result), 0);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    uploads_free(u);
}

static void
closing_ends_all_waits(void **state)
{
    (void)state;
    struct uploads *u = open_with(1, 1000);
    struct uploads_limits limits = {.running = 1, .rate = 1};
    struct wanting w;
    uploads_set_limits(u, &limits);
    begin(u);
    start(&w, u, SLOTS_FILL);
    while (uploads_queue_ms(u) < 3)
        clock_sleep_ms(1);
    uploads_close(u);
    thread_join(&w.thread);
    assert_int_equal(atomic_load(&w.result), ERR_CLOSED);
    assert_int_equal(uploads_take(u, 100), 0);
    uploads_end(u, UPLOADS_NEAR, 0, 1000);
    uploads_free(u);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_one_starts_when_one_ends),
        cmocka_unit_test(a_long_queue_is_told_and_not_joined),
        cmocka_unit_test(an_estimate_that_was_wrong_ends_in_busy),
        cmocka_unit_test(who_has_left_gives_its_place_back),
        cmocka_unit_test(without_slots_none_is_served),
        cmocka_unit_test(other_sites_have_the_slots_that_the_own_does_not_use),
        cmocka_unit_test(fewer_slots_count_at_once),
        cmocka_unit_test(closing_ends_all_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
