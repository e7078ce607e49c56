/* Upload slots and rate for many threads; who is next is decided in p2p/slots.c. */
#include "proxy/peer/uploads.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/throttle.h"

/* Estimates may be wrong, the queue is short: who waits this long is told the truth. */
#define TURN_MS 1000
#define LOOK_MS 100 /* between two looks whether the other side is still there */

/* One thread that waits for its turn; lives on its stack. */
struct waiter {
    struct waiter *prev, *next;
    uint64_t who;
    bool granted;
};

struct uploads {
    struct lock lock;
    struct cond moved; /* a turn was given, or all is over */
    struct slots slots[UPLOADS_ROOMS];
    struct throttle throttle;
    struct waiter *waiters;
    uint64_t next_who;
    bool off, closed, shared; /* shared: there is no room of its own for other sites */
};

struct uploads *
uploads_new(const struct uploads_limits *limits)
{
    struct uploads *u = mem_zalloc(sizeof *u);
    lock_init(&u->lock, LOCK_UPLOADS);
    cond_init(&u->moved);
    for (size_t i = 0; i < UPLOADS_ROOMS; i++)
        slots_init(&u->slots[i], 1);
    uploads_set_limits(u, limits);
    return u;
}

void
uploads_free(struct uploads *u)
{
    if (!u)
        return;
    must(!u->waiters);
    cond_release(&u->moved);
    lock_release(&u->lock);
    mem_free(u);
}

void
uploads_set_limits(struct uploads *u, const struct uploads_limits *limits)
{
    unsigned running = limits->running < SLOTS_MAX ? limits->running : SLOTS_MAX;
    lock_take(&u->lock);
    u->off = running == 0;
    u->shared = running <= SLOTS_NEAR;
    if (!u->off)
        u->slots[UPLOADS_NEAR].running_max = u->shared ? running : SLOTS_NEAR;
    if (!u->shared)
        u->slots[UPLOADS_FAR].running_max = running - SLOTS_NEAR;
    if (u->throttle.rate != limits->rate)
        throttle_set(&u->throttle, limits->rate, clock_us());
    lock_drop(&u->lock);
}

void
uploads_close(struct uploads *u)
{
    lock_take(&u->lock);
    u->closed = true;
    cond_wake(&u->moved);
    lock_drop(&u->lock);
}

/* Until its turn; 0, ERR_TIMEOUT, ERR_CLOSED. The slot is the caller's at 0 only. */
static int wait_turn(struct uploads *u, struct waiter *w, bool (*gone)(void *arg), void *arg)
    NEEDS(u->lock);
static int
wait_turn(struct uploads *u, struct waiter *w, bool (*gone)(void *arg), void *arg)
{
    int64_t end_ms = clock_ms() + TURN_MS;
    for (;;) {
        int64_t look_ms = clock_ms() + LOOK_MS;
        while (!w->granted && !u->closed && cond_wait(&u->moved, &u->lock, look_ms))
            continue;
        if (w->granted && !u->closed)
            return 0;
        if (u->closed)
            return ERR_CLOSED;
        if (clock_ms() >= end_ms)
            return ERR_TIMEOUT;
        lock_drop(&u->lock);
        bool left = gone(arg);
        lock_take(&u->lock);
        if (left)
            return ERR_CLOSED;
    }
}

static void end_one(struct uploads *u, enum uploads_room room, uint64_t from, int64_t took_us)
    NEEDS(u->lock);
static void
end_one(struct uploads *u, enum uploads_room room, uint64_t from, int64_t took_us)
{
    uint64_t who = 0;
    if (!slots_done(&u->slots[room], room == UPLOADS_FAR ? 0 : from,
                    took_us > 0 ? (uint64_t)took_us : 0, &who))
        return;
    struct waiter *w = NULL;
    DL_SEARCH_SCALAR(u->waiters, w, who, who);
    must(w != NULL);
    w->granted = true;
    cond_wake(&u->moved);
}

int
uploads_start(struct uploads *u, const struct uploads_for *whom, bool (*gone)(void *arg), void *arg,
              unsigned *ret_busy_ms)
{
    struct waiter w = {0};
    int rc = ERR_BUSY;
    unsigned busy_ms = UPLOADS_OFF_MS;
    lock_take(&u->lock);
    w.who = u->next_who++;
    enum uploads_room room = whom->far && !u->shared ? UPLOADS_FAR : UPLOADS_NEAR;
    struct slots *slots = &u->slots[room];
    enum slots_answer answer =
        u->off || u->closed
            ? SLOTS_BUSY
            : slots_ask(slots, w.who, room == UPLOADS_FAR ? 0 : whom->from, whom->class, &busy_ms);
    if (answer == SLOTS_START) {
        rc = 0;
    } else if (answer == SLOTS_WAIT) {
        DL_APPEND(u->waiters, &w);
        rc = wait_turn(u, &w, gone, arg);
        DL_DELETE(u->waiters, &w);
        if (rc < 0 && w.granted)
            end_one(u, room, whom->from,
                    (int64_t)slots->service_us); /* it came too late: to the next one */
        else if (rc < 0)
            slots_leave(slots, w.who);
        if (rc == ERR_TIMEOUT) {
            busy_ms = slots_wait_ms(slots);
            rc = ERR_BUSY;
        }
    }
    lock_drop(&u->lock);
    if (rc == ERR_BUSY)
        *ret_busy_ms = busy_ms > 0 ? busy_ms : 1;
    return rc < 0 ? rc : (int)room;
}

void
uploads_end(struct uploads *u, enum uploads_room room, uint64_t from, int64_t took_us)
{
    lock_take(&u->lock);
    end_one(u, room, from, took_us);
    lock_drop(&u->lock);
}

bool
uploads_paced(struct uploads *u)
{
    lock_take(&u->lock);
    bool paced = u->throttle.rate > 0;
    lock_drop(&u->lock);
    return paced;
}

size_t
uploads_take(struct uploads *u, size_t wanted)
{
    size_t taken = 0;
    int64_t wait_ms = 0;
    lock_take(&u->lock);
    while (!u->closed && (taken = throttle_take(&u->throttle, wanted, clock_us(), &wait_ms)) == 0)
        (void)cond_wait(&u->moved, &u->lock, clock_ms() + wait_ms);
    lock_drop(&u->lock);
    return taken;
}

unsigned
uploads_queue_ms(struct uploads *u)
{
    lock_take(&u->lock);
    unsigned wait_ms = u->off ? UPLOADS_OFF_MS : slots_wait_ms(&u->slots[UPLOADS_NEAR]);
    lock_drop(&u->lock);
    return wait_ms;
}
