/* Mutexes that prove their order.
 *
 * Invariant: held[0 .. held_count-1] are this thread's locks, ranks strictly rising. So
 * no two threads can wait for each other in a circle, whatever they do. */
#include "base/lock.h"
#include <errno.h>
#include <time.h>

static _Thread_local const struct lock *held[LOCK_RANKS];
static _Thread_local size_t held_count;

void
lock_init(struct lock *l, enum lock_rank rank)
{
    must(rank < LOCK_RANKS);
    must(pthread_mutex_init(&l->mutex, NULL) == 0);
    l->rank = rank;
}

void
lock_release(struct lock *l)
{
    must(pthread_mutex_destroy(&l->mutex) == 0);
}

UNCHECKED_LOCKING void
lock_take(struct lock *l)
{
    must(held_count == 0 || held[held_count - 1]->rank < l->rank);
    must(pthread_mutex_lock(&l->mutex) == 0);
    held[held_count++] = l;
}

UNCHECKED_LOCKING void
lock_drop(struct lock *l)
{
    size_t i = held_count;

    while (i > 0 && held[i - 1] != l)
        i--;
    must(i > 0);
    for (; i < held_count; i++)
        held[i - 1] = held[i];
    held_count--;
    must(pthread_mutex_unlock(&l->mutex) == 0);
}

void
lock_must_hold(const struct lock *l)
{
    for (size_t i = 0; i < held_count; i++) {
        if (held[i] == l)
            return;
    }
    never("this thread does not hold the lock");
}

void
cond_init(struct cond *c)
{
    pthread_condattr_t attr;

    must(pthread_condattr_init(&attr) == 0);
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(&c->cond, &attr) == 0);
    must(pthread_condattr_destroy(&attr) == 0);
}

void
cond_release(struct cond *c)
{
    must(pthread_cond_destroy(&c->cond) == 0);
}

void
cond_wake(struct cond *c)
{
    must(pthread_cond_broadcast(&c->cond) == 0);
}

UNCHECKED_LOCKING bool
cond_wait(struct cond *c, struct lock *l, int64_t deadline_ms)
{
    int64_t at_ms = deadline_ms > 0 ? deadline_ms : 0;
    struct timespec until = {at_ms / 1000, (long)(at_ms % 1000) * 1000000};

    lock_must_hold(l);
    must(held_count == 1); /* another lock would be kept through the sleep */
    int rc = pthread_cond_timedwait(&c->cond, &l->mutex, &until);
    must(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}
