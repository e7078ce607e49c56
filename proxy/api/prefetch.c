/*
 * One thread that keeps a few background blobs under way.
 *
 *   prefetch_image --jobs--> queue --(at most prefetch.parallel)--> active --done--> released
 */
#include "proxy/api/prefetch.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/thread.h"
#include "proxy/api/manifest.h"
#include "proxy/upstream/fetch.h"

#define ACTIVE_MAX 64 /* as the setting's upper bound */
/* How soon the end of a background blob is noticed; only while there is one. */
#define TICK_MS 20
#define IDLE_MS 60000

struct job {
    struct job *next;
    struct origin origin;
    struct digest digest;
    uint64_t size;
};

struct prefetch {
    struct cache *cache; /* fixed at open */
    struct fetch *fetch; /* fixed at open */
    struct thread thread;
    struct lock lock;
    struct cond work;
    struct job *queue; /* lock; oldest first */
    unsigned queued;   /* lock */
    bool closing;      /* lock */

    /* its thread only */
    struct blob *active[ACTIVE_MAX];
    unsigned active_count;
};

static void
free_job(struct job *j)
{
    origin_release(&j->origin);
    mem_free(j);
}

static bool
is_done(struct blob *b)
{
    struct blob_state state;
    blob_look(b, 0, &state);
    return state.phase != BLOB_ASKED && state.phase != BLOB_FILLING;
}

static void
drop_done(struct prefetch *p)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < p->active_count; i++) {
        if (is_done(p->active[i]))
            blob_release(&p->active[i]);
        else
            p->active[kept++] = p->active[i];
    }
    p->active_count = kept;
}

/* Leads the blob unless somebody was faster. */
static void
start(struct prefetch *p, struct job *j)
{
    enum cache_got got;
    struct blob *b = cache_acquire(p->cache, &j->digest, &got);
    if (got == CACHE_LEAD) {
        metric_add(M_prefetch_started, 1);
        fetch_blob(p->fetch, &j->origin, b, j->size, true);
        p->active[p->active_count++] = b;
    } else {
        metric_add(M_prefetch_skipped, 1);
        blob_release(&b);
    }
    free_job(j);
}

/* The next job that there is room for, or NULL when the thread has to end. */
static struct job *
next_job(struct prefetch *p, bool *ret_closing)
{
    struct job *j = NULL;
    lock_take(&p->lock);
    while (!p->closing && !p->queue && p->active_count == 0)
        (void)cond_wait(&p->work, &p->lock, clock_ms() + IDLE_MS);
    unsigned room = p->queue ? p->queue->origin.settings->prefetch_parallel : 0;
    if (!p->closing && p->queue && p->active_count < room && p->active_count < ACTIVE_MAX) {
        j = p->queue;
        LL_DELETE(p->queue, j);
        p->queued--;
    } else if (!p->closing) {
        (void)cond_wait(&p->work, &p->lock, clock_ms() + TICK_MS);
    }
    *ret_closing = p->closing;
    lock_drop(&p->lock);
    return j;
}

static void
run(void *arg)
{
    struct prefetch *p = arg;
    bool closing = false;
    while (!closing) {
        struct job *j = next_job(p, &closing);
        drop_done(p);
        if (j)
            start(p, j);
    }
}

int
prefetch_open(struct cache *cache, struct fetch *fetch, struct prefetch **ret, struct err *e)
{
    struct prefetch *p = mem_zalloc(sizeof *p);
    p->cache = cache;
    p->fetch = fetch;
    lock_init(&p->lock, LOCK_PREFETCH);
    cond_init(&p->work);
    int err = thread_start(&p->thread, "prefetch", run, p);
    if (err < 0) {
        prefetch_close(p);
        return err_set(e, err, "start the prefetch thread: %s", err_text(err));
    }
    *ret = p;
    return 0;
}

void
prefetch_close(struct prefetch *p)
{
    if (!p)
        return;
    lock_take(&p->lock);
    p->closing = true;
    cond_wake(&p->work);
    lock_drop(&p->lock);
    thread_join(&p->thread);
    while (p->active_count > 0)
        blob_release(&p->active[--p->active_count]);
    struct job *j = NULL;
    struct job *next = NULL;
    LL_FOREACH_SAFE(p->queue, j, next)
    free_job(j);
    cond_release(&p->work);
    lock_release(&p->lock);
    mem_free(p);
}

static bool
is_here(struct prefetch *p, const struct digest *d)
{
    struct blob *b = cache_find(p->cache, d);
    bool here = b != NULL;
    blob_release(&b);
    return here;
}

void
prefetch_blob(struct prefetch *p, const struct origin *o, const struct digest *d, uint64_t size)
{
    struct job *j = mem_zalloc(sizeof *j);
    origin_copy(&j->origin, o);
    j->digest = *d;
    j->size = size;
    lock_take(&p->lock);
    bool full = p->queued >= PREFETCH_QUEUE_MAX;
    if (!full) {
        LL_APPEND(p->queue, j);
        p->queued++;
        cond_wake(&p->work);
    }
    lock_drop(&p->lock);
    if (full) {
        metric_add(M_prefetch_skipped, 1);
        free_job(j);
    }
}

void
prefetch_image(struct prefetch *p, const struct origin *o, const struct manifest *m)
{
    if (m->kind != MANIFEST_IMAGE)
        return;
    for (size_t i = 0; i < m->child_count; i++) {
        const struct manifest_child *c = &m->children[i];
        if (!c->foreign && !is_here(p, &c->digest))
            prefetch_blob(p, o, &c->digest, c->size);
    }
}
