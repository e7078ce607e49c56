/*
 * Connections with a thread, by descriptor.
 *
 * A descriptor is in the table exactly while it is open and ours: conns_remove comes before
 * close, both shutdown and TCP_INFO happen under the lock. Neither of them blocks.
 */
#include "proxy/http/conns.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/log.h"
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>

struct conn {
    UT_hash_handle hh;
    int fd;                          /* fixed at add */
    struct sockaddr_storage address; /* fixed at add */
    _Atomic int state;               /* its thread writes, the sweep reads */
    _Atomic int64_t moved_ms;        /* the same */
    _Atomic uint64_t received_bytes; /* the same: when it became IDLE */
    struct conn_watch watch;         /* the sweep only */
    bool leaving;                    /* lock: it was shut down to give way */
};

struct conns {
    struct conn_rules rules; /* fixed at birth */
    struct lock lock;
    struct cond emptied;
    struct conn *all; /* lock */
};

/* A window of the reader's rate ends; a new one begins. */
static void
open_window(struct conn_watch *w, const struct conn_gauge *g, int64_t now_ms)
{
    w->since_ms = now_ms;
    w->acked_bytes = g->acked_bytes;
}

/* Nothing has moved for long. With bytes in the queue it is the client: it has lost its power, or
 * its window is closed. Without, our side hangs, e.g. libmicrohttpd turns in circles on a file that
 * got shorter under it. */
static bool
is_stuck(const struct conn_rules *rules, struct conn_watch *w, const struct conn_gauge *g,
         int64_t now_ms)
{
    bool queued = g->queued_bytes > 0;
    if (g->acked_bytes != w->heard_bytes || queued != w->heard_queued) {
        w->heard_bytes = g->acked_bytes;
        w->heard_queued = queued;
        w->heard_ms = now_ms;
    }
    return now_ms - w->heard_ms >= (queued ? rules->still_ms : rules->mute_ms);
}

static bool
judge_reader(const struct conn_rules *rules, struct conn_watch *w, const struct conn_gauge *g,
             int64_t now_ms)
{
    if (is_stuck(rules, w, g, now_ms))
        return false;
    if (g->queued_bytes > 0 && now_ms - w->since_ms < rules->slow_ms)
        return true;
    /* An empty queue: the client has taken all there is, so what is slow is not it. */
    bool fast = g->queued_bytes == 0 || g->acked_bytes - w->acked_bytes >= rules->slow_bytes;
    open_window(w, g, now_ms);
    return fast;
}

bool
conn_judge(const struct conn_rules *rules, struct conn_watch *w, const struct conn_move *move,
           const struct conn_gauge *g, int64_t now_ms)
{
    if (w->state != move->state || w->since_ms < move->at_ms) {
        w->state = move->state;
        w->heard_ms = move->at_ms;
        w->heard_bytes = g->acked_bytes;
        w->heard_queued = g->queued_bytes > 0;
        open_window(w, g, move->at_ms);
    }
    switch (move->state) {
    case CONN_BUSY:
        return judge_reader(rules, w, g, now_ms);
    case CONN_IDLE:
        if (move->received_bytes == g->received_bytes)
            return now_ms - move->at_ms < rules->idle_ms;
        /* A header has begun since the last look; its time counts from here. */
        if (w->since_ms == move->at_ms)
            w->since_ms = now_ms;
        return now_ms - w->since_ms < rules->header_ms;
    case CONN_HEADER:
        return now_ms - move->at_ms < rules->header_ms;
    }
    never("a state that is not in the enum");
}

bool
conn_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    struct sockaddr_in a4, b4;
    struct sockaddr_in6 a6, b6;
    memcpy(&a4, a, sizeof a4);
    memcpy(&b4, b, sizeof b4);
    if (a->ss_family == AF_INET)
        return a4.sin_addr.s_addr == b4.sin_addr.s_addr;
    memcpy(&a6, a, sizeof a6);
    memcpy(&b6, b, sizeof b6);
    return memcmp(&a6.sin6_addr, &b6.sin6_addr, sizeof a6.sin6_addr) == 0;
}

static void
read_gauge(int fd, struct conn_gauge *ret)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    int queued = 0;
    *ret = (struct conn_gauge){0};
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
        ret->received_bytes = info.tcpi_bytes_received;
        ret->acked_bytes = info.tcpi_bytes_acked;
        ret->rate = info.tcpi_delivery_rate;
    }
    if (ioctl(fd, SIOCOUTQ, &queued) == 0)
        ret->queued_bytes = (uint64_t)queued;
}

struct conns *
conns_new(const struct conn_rules *rules)
{
    struct conns *t = mem_zalloc(sizeof *t);
    t->rules = *rules;
    lock_init(&t->lock, LOCK_LISTENER);
    cond_init(&t->emptied);
    return t;
}

void
conns_free(struct conns *t)
{
    if (!t)
        return;
    /* The listener is stopped: what is left never got its thread, libmicrohttpd closed it without a
     * word. */
    struct conn *c, *next;
    HASH_ITER(hh, t->all, c, next)
    {
        HASH_DEL(t->all, c);
        mem_free(c);
    }
    cond_release(&t->emptied);
    lock_release(&t->lock);
    mem_free(t);
}

struct conn *
conns_add(struct conns *t, int fd, const struct sockaddr_storage *address)
{
    struct conn *c = mem_zalloc(sizeof *c);
    c->fd = fd;
    c->address = *address;
    conn_move(c, CONN_HEADER);
    struct conn *stale = NULL;
    lock_take(&t->lock);
    /* Accepted just now, so an entry of that number is of a connection that never got its
     * thread: libmicrohttpd closed it without a word. */
    HASH_FIND_INT(t->all, &fd, stale);
    if (stale)
        HASH_DEL(t->all, stale);
    HASH_ADD_INT(t->all, fd, c);
    metric_set(t->rules.open, HASH_COUNT(t->all));
    lock_drop(&t->lock);
    mem_free(stale);
    return c;
}

struct conn *
conns_find(struct conns *t, int fd)
{
    struct conn *c = NULL;
    lock_take(&t->lock);
    HASH_FIND_INT(t->all, &fd, c);
    lock_drop(&t->lock);
    return c;
}

void
conns_remove(struct conns *t, struct conn *c)
{
    if (!c)
        return;
    lock_take(&t->lock);
    HASH_DEL(t->all, c);
    metric_set(t->rules.open, HASH_COUNT(t->all));
    if (!t->all)
        cond_wake(&t->emptied);
    lock_drop(&t->lock);
    mem_free(c);
}

unsigned
conns_count(struct conns *t, const struct sockaddr_storage *address, unsigned *ret_of_address)
{
    unsigned same = 0;
    lock_take(&t->lock);
    unsigned count = HASH_COUNT(t->all);
    for (const struct conn *c = t->all; c; c = c->hh.next)
        same += conn_same_address(&c->address, address);
    lock_drop(&t->lock);
    *ret_of_address = same;
    return count;
}

/* Nothing of a next request has come either. */
static bool
is_idle(const struct conn *c)
{
    struct conn_gauge g;
    if (c->leaving || atomic_load(&c->state) != CONN_IDLE)
        return false;
    read_gauge(c->fd, &g);
    return atomic_load(&c->received_bytes) == g.received_bytes;
}

void
conns_give_way(struct conns *t, const struct sockaddr_storage *address, unsigned wanted)
{
    struct conn *longest = NULL;
    lock_take(&t->lock);
    for (struct conn *c = t->all; c; c = c->hh.next) {
        if (address && !conn_same_address(&c->address, address))
            continue;
        wanted -= c->leaving && wanted > 0;
        if ((!longest || atomic_load(&c->moved_ms) < atomic_load(&longest->moved_ms)) && is_idle(c))
            longest = c;
    }
    if (wanted > 0 && longest) {
        longest->leaving = true;
        (void)shutdown(longest->fd, SHUT_RDWR);
    }
    lock_drop(&t->lock);
}

void
conns_sweep(struct conns *t, int64_t now_ms, bool draining)
{
    unsigned reaped = 0;
    lock_take(&t->lock);
    for (struct conn *c = t->all; c; c = c->hh.next) {
        struct conn_gauge g;
        read_gauge(c->fd, &g);
        struct conn_move move = {.state = (enum conn_state)atomic_load(&c->state),
                                 .at_ms = atomic_load(&c->moved_ms),
                                 .received_bytes = atomic_load(&c->received_bytes)};
        bool fine = conn_judge(&t->rules, &c->watch, &move, &g, now_ms);
        if (fine && !(draining && move.state == CONN_IDLE))
            continue;
        (void)shutdown(c->fd, SHUT_RDWR);
        reaped += !fine && move.state == CONN_BUSY;
    }
    lock_drop(&t->lock);
    if (reaped > 0) {
        metric_add(t->rules.reaped, reaped);
        LOG(slow_client, LOG_S("port", t->rules.port), LOG_U("connections", reaped));
    }
}

bool
conns_wait_empty(struct conns *t, int64_t deadline_ms)
{
    lock_take(&t->lock);
    while (t->all && cond_wait(&t->emptied, &t->lock, deadline_ms))
        continue;
    bool empty = !t->all;
    lock_drop(&t->lock);
    return empty;
}

void
conn_move(struct conn *c, enum conn_state state)
{
    if (state == CONN_IDLE) {
        struct conn_gauge g;
        read_gauge(c->fd, &g);
        atomic_store(&c->received_bytes, g.received_bytes);
    }
    atomic_store(&c->moved_ms, clock_ms());
    atomic_store(&c->state, (int)state);
}

int
conn_fd(const struct conn *c)
{
    return c->fd;
}

uint64_t
conn_acked_bytes(const struct conn *c)
{
    struct conn_gauge g;
    read_gauge(c->fd, &g);
    return g.acked_bytes;
}

uint64_t
conn_rate(const struct conn *c)
{
    struct conn_gauge g;
    read_gauge(c->fd, &g);
    return g.rate;
}

void
conn_address(const struct conn *c, char ret_text[CONN_ADDRESS_MAX])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    memcpy(&v4, &c->address, sizeof v4);
    memcpy(&v6, &c->address, sizeof v6);
    const void *at = v4.sin_family == AF_INET ? (const void *)&v4.sin_addr : &v6.sin6_addr;
    ret_text[0] = 0;
    (void)inet_ntop(v4.sin_family, at, ret_text, CONN_ADDRESS_MAX);
}
