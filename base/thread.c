/* Starts and joins threads. */
#include "base/thread.h"
#include "base/mem.h"
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Instrumented frames are several times larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES ((size_t)THREAD_STACK_BYTES * 4)
#else
#define STACK_BYTES ((size_t)THREAD_STACK_BYTES)
#endif

/* Handed to the new thread, which frees it. */
struct job {
    void (*fn)(void *arg);
    void *arg;
    char name[16];
};

static void *
run(void *cookie)
{
    struct job job = *(struct job *)cookie;

    mem_free(cookie);
    (void)pthread_setname_np(pthread_self(), job.name); /* only for people */
    job.fn(job.arg);
    return NULL;
}

static int
create(pthread_t *ret_id, struct job *job)
{
    pthread_attr_t attr;
    sigset_t all;
    sigset_t before;

    must(pthread_attr_init(&attr) == 0);
    must(pthread_attr_setstacksize(&attr, STACK_BYTES) == 0);
    /* Blocked around the creation, not in the thread: there is no moment without. */
    must(sigfillset(&all) == 0);
    must(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int rc = pthread_create(ret_id, &attr, run, job);
    must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    must(pthread_attr_destroy(&attr) == 0);
    return -rc;
}

int
thread_start(struct thread *t, const char *name, void (*fn)(void *arg), void *arg)
{
    struct job *job = mem_zalloc(sizeof(*job));

    job->fn = fn;
    job->arg = arg;
    for (size_t i = 0; name[i] != '\0'; i++) {
        must(i + 1 < sizeof(job->name));
        job->name[i] = name[i];
    }
    t->running = false;
    int rc = create(&t->id, job);
    if (rc < 0) {
        mem_free(job);
        return rc;
    }
    t->running = true;
    return 0;
}

/* linux/ioprio.h, which not every libc-dev has: class IDLE of this thread. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE        (3 << 13)

void
thread_lower(void)
{
    const struct sched_param none = {0};
    (void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

void
thread_join(struct thread *t)
{
    if (!t->running)
        return;
    must(pthread_join(t->id, NULL) == 0);
    t->running = false;
}
