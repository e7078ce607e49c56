/* One asks, the others wait. */
#include "base/clock.h"
#include "base/thread.h"
#include "proxy/api/flight.h"
#include "tests/unit/base/unit.h"
#include <stdatomic.h>

#define WAITERS 4

struct waiter {
    struct flight *flight;
    atomic_uint *entered;
    struct thread thread;
    bool led;
    enum reason outcome;
};

static void
wait_for_it(void *arg)
{
    struct waiter *w = arg;
    atomic_fetch_add(w->entered, 1);
    w->led = flight_start(w->flight, "tag", clock_ms() + 10000, &w->outcome);
    if (w->led)
        flight_land(w->flight, "tag", REASON_NONE);
}

static void
waiters_get_the_outcome_of_the_leader(void **state)
{
    (void)state;
    struct flight *f = flight_new();
    struct waiter waiters[WAITERS] = {0};
    atomic_uint entered = 0;
    enum reason none;
    assert_true(flight_start(f, "tag", clock_ms(), &none));
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = (struct waiter){.flight = f, .entered = &entered};
        assert_int_equal(thread_start(&waiters[i].thread, "waiter", wait_for_it, &waiters[i]), 0);
    }
    while (atomic_load(&entered) < WAITERS)
        continue;
    flight_land(f, "tag", REASON_denied);
    for (int i = 0; i < WAITERS; i++) {
        thread_join(&waiters[i].thread);
        /* One that came after the landing leads a flight of its own. */
        assert_true(waiters[i].led || waiters[i].outcome == REASON_denied);
    }
    flight_free(f);
}

static void
a_waiter_gives_up_at_its_deadline(void **state)
{
    (void)state;
    struct flight *f = flight_new();
    enum reason outcome = REASON_NONE;
    assert_true(flight_start(f, "a", clock_ms(), &outcome));
    assert_false(flight_start(f, "a", clock_ms(), &outcome));
    assert_int_equal(outcome, REASON_upstream);
    assert_true(flight_start(f, "b", clock_ms(), &outcome));
    flight_land(f, "a", REASON_NONE);
    flight_land(f, "b", REASON_NONE);
    assert_true(flight_start(f, "a", clock_ms(), &outcome));
    flight_land(f, "a", REASON_NONE);
    flight_free(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiters_get_the_outcome_of_the_leader),
        cmocka_unit_test(a_waiter_gives_up_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
