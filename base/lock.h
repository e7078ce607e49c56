/* Mutexes with a rank (lock.def): ranks only rise, and lock_take proves it.
 * Under a lock there is no I/O, curl, HTTP or JSON. Written out in pairs in short
 * functions, so that clang's thread-safety analysis can follow them. */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include "base/must.h"
#include <pthread.h>

#if defined(__clang__)
#define LOCKABLE          __attribute__((capability("mutex")))
#define TAKES(l)          __attribute__((acquire_capability(l)))
#define DROPS(l)          __attribute__((release_capability(l)))
#define NEEDS(l)          __attribute__((requires_capability(l)))
#define UNCHECKED_LOCKING __attribute__((no_thread_safety_analysis))
#else
#define LOCKABLE
#define TAKES(l)
#define DROPS(l)
#define NEEDS(l)
#define UNCHECKED_LOCKING
#endif

enum lock_rank {
#define X(name) LOCK_##name,
#include "base/lock.def"
#undef X
    LOCK_RANKS
};

struct LOCKABLE lock {
    pthread_mutex_t mutex;
    enum lock_rank rank;
};

void lock_init(struct lock *l, enum lock_rank rank);
void lock_release(struct lock *l);
void lock_take(struct lock *l) TAKES(*l);
void lock_drop(struct lock *l) DROPS(*l);
void lock_must_hold(const struct lock *l); /* asserts that this thread holds it */

/* A condition on the monotonic clock. */
struct cond {
    pthread_cond_t cond;
};
void cond_init(struct cond *c);
void cond_release(struct cond *c);
void cond_wake(struct cond *c); /* wakes all waiters */
/* Waits until woken or clock_ms() reaches deadline_ms; stands in a while with its
 * condition, and holds no other lock meanwhile. Returns false when the deadline has passed. */
bool cond_wait(struct cond *c, struct lock *l, int64_t deadline_ms) NEEDS(*l);

#endif
