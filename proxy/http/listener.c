/*
 * Everything that this project knows about libmicrohttpd's threads and flags.
 *
 * Order of its calls for one connection:
 *
 *   on_connection STARTED
 *     on_target       request line read              begin
 *     on_request      header read, first call        guard, judge; a refusal ends the connection
 *     on_request      for each part of a body        body
 *     on_request      last call                      answer
 *     on_completed    response sent, or the end      account
 *     ... next request
 *   on_connection CLOSED                             before the descriptor is closed
 *
 * All but STARTED and CLOSED (its daemon thread) run in the thread of the connection.
 */
#include "proxy/http/listener.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/http/conns.h"
#include "proxy/http/guard.h"
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#define POOL_BYTES  (24u * 1024) /* header of 16 KiB, our answer's header, the target */
#define STACK_BYTES (192u * 1024)
/* The accept thread holds the real limit; this one only must not be in its way. */
#define CONNECTIONS_MAX 65536u
/* What a refused client may still send us before we give up reading it (no RST). */
#define LINGER_MS        1000
#define LINGER_BYTES_MAX (1u * 1024 * 1024)

#define MAGIC 0x56495354u

struct listener {
    struct listener_config config;
    struct MHD_Daemon *daemon;
};

/* One request on its way. */
struct visit {
    uint32_t magic;
    struct listener *listener;
    struct MHD_Connection *http;
    struct conn *conn;
    void *request;
    bool seen;    /* the header has been judged */
    bool closing; /* refused: the connection ends behind the answer */
    char target[];
};

static void *
on_target(void *cls, const char *target, struct MHD_Connection *http)
{
    struct listener *l = cls;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *conn = info ? info->socket_context : NULL;
    must(conn != NULL);
    size_t len = target ? strlen(target) : 0;
    struct visit *v = mem_zalloc(sizeof *v + len + 1);
    v->magic = MAGIC;
    v->listener = l;
    v->http = http;
    v->conn = conn;
    memcpy(v->target, target ? target : "", len);
    v->request = l->config.ops->begin(l->config.arg, http, conn, v->target);
    return v;
}

/* The first call: the header is complete, nothing of a body has been read. */
static bool
judge(struct visit *v, const char *method)
{
    struct listener_verdict guard = {0};
    v->seen = true;
    conn_move(v->conn, CONN_BUSY);
    guard.status = guard_request(v->http, method, v->target, &guard.why);
    return v->listener->config.ops->judge(v->request, method, &guard, &v->closing);
}

/* NOLINTBEGIN(readability-function-size,readability-non-const-parameter): libmicrohttpd sets the
 * parameters. */
static enum MHD_Result
on_request(void *cls, struct MHD_Connection *http, const char *path, const char *method,
           const char *version, const char *body, size_t *body_len, void **context)
{
    struct visit *v = *context;
    const struct listener_ops *ops = ((struct listener *)cls)->config.ops;
    (void)http;
    (void)path;
    (void)version;
    must(v && v->magic == MAGIC);
    if (!v->seen)
        return judge(v, method) ? MHD_YES : MHD_NO;
    if (*body_len > 0) {
        if (ops->body)
            ops->body(v->request, body, *body_len);
        *body_len = 0;
        return MHD_YES;
    }
    return ops->answer(v->request) ? MHD_YES : MHD_NO;
}
/* NOLINTEND(readability-function-size,readability-non-const-parameter) */

/* Closing a socket with unread input makes the kernel send RST, which takes our answer away
 * from the client: end our side, then read theirs for a moment. */
static void
linger(int fd, int64_t wait_ms)
{
    char dropped[4096];
    size_t total = 0;
    int64_t end_ms = clock_ms() + wait_ms;
    (void)shutdown(fd, SHUT_WR);
    while (total < LINGER_BYTES_MAX) {
        int64_t left_ms = end_ms - clock_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, left_ms > 0 ? (int)left_ms : 0) <= 0)
            return;
        ssize_t n = recv(fd, dropped, sizeof dropped, MSG_DONTWAIT);
        if (n <= 0)
            return;
        total += (size_t)n;
    }
}

static void
on_completed(void *cls, struct MHD_Connection *http, void **context,
             enum MHD_RequestTerminationCode code)
{
    struct visit *v = *context;
    (void)cls;
    (void)http;
    *context = NULL;
    if (!v)
        return;
    struct conn *conn = v->conn;
    bool complete = code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    if (v->closing || !complete)
        linger(conn_fd(conn), v->closing ? LINGER_MS : 0);
    v->listener->config.ops->account(v->request, complete);
    conn_move(conn, CONN_IDLE);
    v->magic = 0;
    mem_free(v);
}

static void
on_connection(void *cls, struct MHD_Connection *http, void **context,
              enum MHD_ConnectionNotificationCode code)
{
    struct listener *l = cls;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        conns_remove(l->config.conns, *context);
        *context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(http, MHD_CONNECTION_INFO_CONNECTION_FD);
    must(info != NULL);
    *context = conns_find(l->config.conns, info->connect_fd);
}

int
listener_open(const struct listener_config *config, struct listener **ret, struct err *e)
{
    struct listener *l = mem_zalloc(sizeof *l);
    l->config = *config;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC;
    l->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, l, /* options */
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)POOL_BYTES, MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, guard_keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK,
        on_target, l, MHD_OPTION_NOTIFY_COMPLETED, on_completed, l, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, l, MHD_OPTION_END);
    if (!l->daemon) {
        mem_free(l);
        return err_set(e, ERR_LIMIT, "start the HTTP server: no thread or descriptor to be had");
    }
    *ret = l;
    return 0;
}

void
listener_add(struct listener *l, int fd, const struct sockaddr_storage *address)
{
    struct conn *conn = conns_add(l->config.conns, fd, address);
    socklen_t len =
        address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    const struct sockaddr *plain = (const struct sockaddr *)address;
    /* A refused one is closed by libmicrohttpd, and nobody was told of it. */
    if (MHD_add_connection(l->daemon, fd, plain, len) != MHD_YES)
        conns_remove(l->config.conns, conn);
}

void
listener_close(struct listener *l)
{
    if (!l)
        return;
    MHD_stop_daemon(l->daemon);
    mem_free(l);
}
