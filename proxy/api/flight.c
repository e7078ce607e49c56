/* A table of questions that are on their way upstream. */
#include "proxy/api/flight.h"
#include "base/hash.h"
#include "base/lock.h"
#include <string.h>

/* In the table while its leader asks; freed by the last one that lets go of it. */
struct trip {
    UT_hash_handle hh;
    unsigned users; /* the leader and those who wait */
    bool landed;
    enum reason outcome; /* landed */
    char key[];
};

struct flight {
    struct lock lock;
    struct cond landed;
    struct trip *trips; /* lock */
};

struct flight *
flight_new(void)
{
    struct flight *f = mem_zalloc(sizeof *f);
    lock_init(&f->lock, LOCK_FLIGHT);
    cond_init(&f->landed);
    return f;
}

void
flight_free(struct flight *f)
{
    if (!f)
        return;
    must(!f->trips);
    cond_release(&f->landed);
    lock_release(&f->lock);
    mem_free(f);
}

static struct trip *
find(struct flight *f, const char *key)
{
    struct trip *t = NULL;
    HASH_FIND(hh, f->trips, key, strlen(key), t);
    return t;
}

static void
let_go(struct trip *t)
{
    if (--t->users == 0)
        mem_free(t);
}

bool
flight_start(struct flight *f, const char *key, int64_t deadline_ms, enum reason *ret_outcome)
{
    size_t len = strlen(key);
    lock_take(&f->lock);
    struct trip *t = find(f, key);
    if (!t) {
        t = mem_zalloc(sizeof *t + len + 1);
        memcpy(t->key, key, len + 1);
        t->users = 1;
        HASH_ADD(hh, f->trips, key, len, t);
        lock_drop(&f->lock);
        return true;
    }
    t->users++;
    while (!t->landed && cond_wait(&f->landed, &f->lock, deadline_ms))
        continue;
    *ret_outcome = t->landed ? t->outcome : REASON_upstream;
    let_go(t);
    lock_drop(&f->lock);
    return false;
}

void
flight_land(struct flight *f, const char *key, enum reason outcome)
{
    lock_take(&f->lock);
    struct trip *t = find(f, key);
    must(t && !t->landed);
    HASH_DEL(f->trips, t);
    t->landed = true;
    t->outcome = outcome;
    let_go(t);
    cond_wake(&f->landed);
    lock_drop(&f->lock);
}
