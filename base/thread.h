/* Threads with a name and a small stack. Signals are blocked in them: only the
 * main thread handles signals. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/must.h"
#include <pthread.h>

#define THREAD_STACK_BYTES (256 * 1024)

struct thread {
    pthread_t id;
    bool running;
};

/* Starts fn(arg); `name` (at most 15 bytes) is shown by ps -L. 0 or -errno. */
CHECKED int thread_start(struct thread *t, const char *name, void (*fn)(void *arg), void *arg);
/* The calling thread runs, and reads and writes, only when no other wants to. Best effort. */
void thread_lower(void);
/* Waits for the end; does nothing for one that never started. */
void thread_join(struct thread *t);

#endif
