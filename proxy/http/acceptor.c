/*
 * One epoll loop over the listening socket and the connections without a thread.
 *
 *   accept -> HEADING --header complete--> PLACE --below the limits--> listener_add
 *               |  |                         |
 *               |  +- TLS, bad, too long     +- 5 s without a place
 *               |          v                 v
 *               |       LEAVING: answered, our side closed, their bytes are read and dropped
 *               +- 10 s, or end of input: closed
 *
 * Bytes are only peeked at, so the HTTP server reads the request from its start. Every second
 * it also sweeps the connections that have a thread (conns.h).
 */
#include "proxy/http/acceptor.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/metric.h"
#include "base/thread.h"
#include "proxy/http/conns.h"
#include "proxy/http/guard.h"
#include "proxy/http/listener.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX      64
#define ACCEPTS_MAX     64 /* in one turn, so that the others are not starved */
#define SWEEP_MS        1000
#define TURN_MS         1000  /* longest sleep */
#define PLACE_LOOK_MS   20    /* how often a waiting connection looks for a place */
#define LEAVE_MS        2000  /* how long a refused client may go on sending */
#define PAUSE_MS        100   /* of accepting, when the process is out of descriptors */
#define USER_TIMEOUT_MS 60000 /* a peer that vanished without FIN */

enum stage { STAGE_HEADING, STAGE_PLACE, STAGE_LEAVING };

struct guest {
    struct guest *prev, *next;
    int fd;
    enum stage stage;
    int64_t deadline_ms;
    struct sockaddr_storage address;
};

struct acceptor {
    /* fixed at open */
    struct acceptor_config config;
    int epoll_fd, wake_fd;
    struct thread thread;

    atomic_uint connections_max, per_address_max;
    atomic_bool draining, closing;

    /* its thread only */
    int listen_fd;
    bool listening; /* listen_fd is in epoll */
    int64_t paused_until_ms;
    struct guest *guests;
    unsigned guest_count, placing;
    int64_t swept_ms;
    char peek[ACCEPTOR_HEAD_BYTES_MAX + 1];
};

static size_t
header_end(const char *bytes, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        if (bytes[i] != '\n')
            continue;
        if (bytes[i - 1] == '\n' || (i >= 2 && bytes[i - 1] == '\r' && bytes[i - 2] == '\n'))
            return i + 1;
    }
    return 0;
}

enum acceptor_head
acceptor_judge(const char *bytes, size_t len)
{
    if (len == 0)
        return HEAD_MORE;
    if (bytes[0] == 0x16)
        return HEAD_TLS;
    size_t end = header_end(bytes, len);
    if (guard_head(bytes, end ? end : len, end > 0) != NULL)
        return HEAD_BAD;
    if (end > 0)
        return HEAD_READY;
    return len > ACCEPTOR_HEAD_BYTES_MAX ? HEAD_LONG : HEAD_MORE;
}

static void
drop(struct acceptor *a, struct guest *g)
{
    DL_DELETE(a->guests, g);
    a->guest_count--;
    a->placing -= g->stage == STAGE_PLACE;
    fd_close(&g->fd);
    mem_free(g);
}

static void
move(struct acceptor *a, struct guest *g, enum stage stage, int64_t wait_ms)
{
    a->placing -= g->stage == STAGE_PLACE;
    a->placing += stage == STAGE_PLACE;
    g->stage = stage;
    g->deadline_ms = clock_ms() + wait_ms;
}

/* Reads and drops what a refused client still sends, so that our close is a FIN. True at its
 * end. */
static bool
drain(struct acceptor *a, const struct guest *g)
{
    for (unsigned turns = 0; turns < 64; turns++) {
        ssize_t n = recv(g->fd, a->peek, sizeof a->peek, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (n <= 0)
            return true;
    }
    return false;
}

/* One small answer fits any socket buffer; a client that does not take it loses it. */
static void
leave(struct acceptor *a, struct guest *g, const char *text)
{
    (void)send(g->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
    bool ended = drain(a, g);
    (void)shutdown(g->fd, SHUT_WR);
    move(a, g, STAGE_LEAVING, LEAVE_MS);
    if (ended)
        drop(a, g);
}

/* False while there is no place; an idle connection is told to leave one. */
static bool
has_place(struct acceptor *a, const struct guest *g)
{
    unsigned same = 0;
    unsigned all = conns_count(a->config.conns, &g->address, &same);
    bool own_full = same >= atomic_load(&a->per_address_max);
    if (!own_full && all < atomic_load(&a->connections_max))
        return true;
    conns_give_way(a->config.conns, own_full ? &g->address : NULL, a->placing ? a->placing : 1);
    return false;
}

/* Hands it over when there is a place. False while there is none. */
static bool
place(struct acceptor *a, struct guest *g)
{
    if (!has_place(a, g))
        return false;
    int fd = g->fd;
    struct sockaddr_storage address = g->address;
    g->fd = -1;
    drop(a, g);
    (void)epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    listener_add(a->config.listener, fd, &address);
    return true;
}

static void
read_heading(struct acceptor *a, struct guest *g)
{
    ssize_t n = recv(g->fd, a->peek, sizeof a->peek, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(a, g);
        return;
    }
    switch (acceptor_judge(a->peek, (size_t)n)) {
    case HEAD_MORE:
        return;
    case HEAD_READY:
        if (!place(a, g))
            move(a, g, STAGE_PLACE, ACCEPTOR_PLACE_MS);
        return;
    case HEAD_TLS:
        metric_add(M_tls_hellos, 1);
        leave(a, g, "HTTP/1.0 400 Bad Request\r\n\r\n");
        return;
    case HEAD_BAD:
    case HEAD_LONG:
        metric_add(M_guard_rejects, 1);
        leave(a, g, a->config.malformed);
        return;
    }
}

static void
on_guest(struct acceptor *a, struct guest *g, uint32_t events)
{
    switch (g->stage) {
    case STAGE_HEADING:
        read_heading(a, g);
        return;
    case STAGE_PLACE:
        if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
            drop(a, g);
        return;
    case STAGE_LEAVING:
        if (drain(a, g))
            drop(a, g);
        return;
    }
}

static void
add_guest(struct acceptor *a, int fd, const struct sockaddr_storage *address)
{
    unsigned timeout_ms = USER_TIMEOUT_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
    struct guest *g = mem_zalloc(sizeof *g);
    g->fd = fd;
    g->address = *address;
    g->stage = STAGE_HEADING;
    g->deadline_ms = clock_ms() + ACCEPTOR_HEADER_MS;
    DL_APPEND(a->guests, g);
    a->guest_count++;
    /* Edges: bytes that were peeked at stay in the socket. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = g};
    if (epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        drop(a, g);
}

static void
listen_on(struct acceptor *a, bool on)
{
    if (a->listening == on || a->listen_fd < 0)
        return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(a->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, a->listen_fd, &event) == 0)
        a->listening = on;
}

static void
accept_some(struct acceptor *a)
{
    for (int i = 0; i < ACCEPTS_MAX && a->guest_count < ACCEPTOR_WAITING_MAX; i++) {
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof address;
        struct sockaddr *plain = (struct sockaddr *)&address;
        int fd = accept4(a->listen_fd, plain, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            add_guest(a, fd, &address);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            a->paused_until_ms = clock_ms() + PAUSE_MS;
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

/* Places, deadlines and ends of all that waits. */
static void
look_after_guests(struct acceptor *a, int64_t now_ms)
{
    struct guest *g = NULL;
    struct guest *next = NULL;
    DL_FOREACH_SAFE(a->guests, g, next)
    {
        bool late = g->deadline_ms <= now_ms;
        if (g->stage == STAGE_PLACE && place(a, g))
            continue;
        if (late && g->stage == STAGE_PLACE) {
            metric_add(M_connections_refused, 1);
            leave(a, g, a->config.crowded);
        } else if (late) {
            drop(a, g);
        }
    }
}

static void
stop_listening(struct acceptor *a)
{
    listen_on(a, false);
    fd_close(&a->listen_fd);
    struct guest *g = NULL;
    struct guest *next = NULL;
    DL_FOREACH_SAFE(a->guests, g, next)
    {
        if (g->stage == STAGE_HEADING)
            drop(a, g);
    }
}

static void
turn(struct acceptor *a)
{
    struct epoll_event events[EVENTS_MAX];
    bool hurry = a->placing > 0 || a->paused_until_ms > 0 || atomic_load(&a->draining);
    int n = epoll_wait(a->epoll_fd, events, EVENTS_MAX, hurry ? PLACE_LOOK_MS : TURN_MS);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == a) {
            uint64_t count = 0;
            (void)!read(a->wake_fd, &count, sizeof count);
        } else if (events[i].data.ptr) {
            on_guest(a, events[i].data.ptr, events[i].events);
        } else if (a->listen_fd >= 0) {
            accept_some(a);
        }
    }
    int64_t now_ms = clock_ms();
    if (a->paused_until_ms <= now_ms)
        a->paused_until_ms = 0;
    bool draining = atomic_load(&a->draining);
    if (draining && a->listen_fd >= 0)
        stop_listening(a);
    listen_on(a, a->guest_count < ACCEPTOR_WAITING_MAX && a->paused_until_ms == 0);
    bool due = now_ms - a->swept_ms >= SWEEP_MS;
    if (due || a->placing > 0)
        look_after_guests(a, now_ms);
    if (due || draining) {
        a->swept_ms = now_ms;
        conns_sweep(a->config.conns, now_ms, draining);
        if (a->config.tick)
            a->config.tick(a->config.arg);
    }
}

static void
run(void *arg)
{
    struct acceptor *a = arg;
    while (!atomic_load(&a->closing))
        turn(a);
    while (a->guests)
        drop(a, a->guests);
}

static void
wake(struct acceptor *a)
{
    uint64_t one = 1;
    (void)!write(a->wake_fd, &one, sizeof one);
}

int
acceptor_open(const struct acceptor_config *config, struct acceptor **ret, struct err *e)
{
    struct acceptor *a = mem_zalloc(sizeof *a);
    a->config = *config;
    a->listen_fd = config->listen_fd;
    acceptor_set_limits(a, &config->limits);
    a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = a};
    int err = 0;
    if (a->wake_fd < 0 || a->epoll_fd < 0 ||
        epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, a->wake_fd, &event) < 0)
        err = err_errno(e, "start the accept thread");
    listen_on(a, err == 0);
    if (err == 0) {
        err = thread_start(&a->thread, "accept", run, a);
        if (err < 0)
            (void)err_set(e, err, "start the accept thread: %s", err_text(err));
    }
    if (err < 0) {
        acceptor_close(a);
        return err;
    }
    *ret = a;
    return 0;
}

void
acceptor_set_limits(struct acceptor *a, const struct acceptor_limits *limits)
{
    atomic_store(&a->connections_max, limits->connections);
    atomic_store(&a->per_address_max, limits->connections_per_address);
}

void
acceptor_drain(struct acceptor *a)
{
    atomic_store(&a->draining, true);
    wake(a);
}

void
acceptor_close(struct acceptor *a)
{
    if (!a)
        return;
    atomic_store(&a->closing, true);
    if (a->wake_fd >= 0)
        wake(a);
    thread_join(&a->thread);
    fd_close(&a->listen_fd);
    fd_close(&a->epoll_fd);
    fd_close(&a->wake_fd);
    mem_free(a);
}
