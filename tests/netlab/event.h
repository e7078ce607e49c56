/* What happens when, in nanoseconds of the monotonic clock: a heap of events, each with one due
 * time. An event carries the exact time at which it should happen, and what follows from it is
 * computed from that time, not from when the process got round to it: a late wake-up delays single
 * packets a little and never becomes a wrong rate. One thread. */
#ifndef TESTS_NETLAB_EVENT_H
#define TESTS_NETLAB_EVENT_H

#include "base/must.h"

#define NSEC UINT64_C(1000000000)

/* First member of what it belongs to. */
struct event {
    uint64_t due_ns;
    int pos; /* place in the heap, -1 when it waits for nothing */
    /* Must set the event again or clear it. */
    void (*fire)(struct event *e, uint64_t due_ns);
};

uint64_t event_now_ns(void);
void event_init(struct event *e, void (*fire)(struct event *, uint64_t due_ns));
/* (Re)places the event at that time. */
void event_set(struct event *e, uint64_t due_ns);
/* Fine when it was not set. */
void event_clear(struct event *e);
/* Fires all that is due until then. */
void event_run(uint64_t now_ns);
/* When the next one is due; false when there is none. */
bool event_next(uint64_t *ret_due_ns);

#endif
