/* Countdown fault points. Disarmed they cost one atomic addition. */
#include "base/fault.h"
#include <stdatomic.h>
#include <string.h>

static _Atomic uint64_t calls;
static _Atomic uint64_t armed_nth; /* 0: disarmed; stored last, read first */
static _Atomic int armed_error;
static _Atomic uint64_t armed_last; /* call */
static void (*_Atomic armed_stop)(const char *name);
static const char *_Atomic armed_name; /* NULL: calls of every name */

static void
arm(uint64_t nth, uint64_t last, int error_number, void (*stop)(const char *name))
{
    must(nth > 0);
    must(error_number > 0 || (error_number == 0 && stop != NULL));
    fault_disarm();
    atomic_store(&armed_error, error_number);
    atomic_store(&armed_last, last);
    atomic_store(&armed_stop, stop);
    atomic_store(&armed_nth, nth);
}

void
fault_arm(uint64_t nth, int error_number, bool every, void (*stop)(const char *name))
{
    arm(nth, every ? UINT64_MAX : nth, error_number, stop);
}

void
fault_arm_some(uint64_t nth, uint64_t count, int error_number)
{
    arm(nth, nth + count - 1, error_number, NULL);
}

void
fault_arm_next(const char *name, int error_number)
{
    fault_disarm();
    atomic_store(&armed_name, name);
    atomic_store(&armed_error, error_number);
    atomic_store(&armed_nth, 1);
}

void
fault_disarm(void)
{
    atomic_store(&armed_nth, 0);
    atomic_store(&armed_name, NULL);
    atomic_store(&calls, 0);
}

uint64_t
fault_count(void)
{
    return atomic_load(&calls);
}

/* Not by the count of calls: one that began before it was armed may count late. */
static bool
is_the_next(const char *name, const char *only)
{
    uint64_t one = 1;
    return strcmp(only, name) == 0 && atomic_compare_exchange_strong(&armed_nth, &one, 0);
}

static bool
is_the_nth(uint64_t nth, uint64_t call)
{
    return nth != 0 && call >= nth && call <= atomic_load(&armed_last);
}

int
fault_point(const char *name)
{
    uint64_t nth = atomic_load(&armed_nth); /* before the name, which was stored before it */
    const char *only = atomic_load(&armed_name);
    uint64_t call = 0;

    if (only == NULL || strcmp(only, name) == 0)
        call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
    if (only != NULL ? !is_the_next(name, only) : !is_the_nth(nth, call))
        return 0;
    int error_number = atomic_load(&armed_error);
    if (error_number == 0) {
        atomic_load (&armed_stop)(name);
        never("the stop function of a fault point returned");
    }
    return -error_number;
}
