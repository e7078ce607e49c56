/* The admin listener: a small libmicrohttpd of its own with a thread for each of at most
 * CONNECTIONS_MAX connections, because verify takes as long as the disk does. */
#include "proxy/admin.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/admin_answer.h"
#include "proxy/admin_host.h"
#include "proxy/api/server.h"
#include "proxy/http/guard.h"
#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 24 /* probes, scrapers and a few people */
#define IDLE_S          15 /* a connection that says nothing */
#define STACK_BYTES     (128 * 1024)
#define POOL_BYTES      (20 * 1024) /* request line and headers; over it: 431 */

struct admin {
    struct MHD_Daemon *http; /* fixed at open */
    struct report base;      /* fixed at open: times and the admin address */
    char admin_address[SERVER_ADDRESS_MAX];
    struct lock lock;
    enum report_state state;         /* lock */
    struct settings *settings;       /* lock */
    struct admin_parts parts;        /* lock */
    struct p2p *p2p;                 /* lock */
    char listen[SERVER_ADDRESS_MAX]; /* lock; set once */
};

void
admin_look(struct admin *a, struct report *ret)
{
    *ret = a->base;
    lock_take(&a->lock);
    ret->state = a->state;
    ret->settings = settings_ref(a->settings);
    ret->cache = a->parts.cache;
    ret->fetch = a->parts.fetch;
    ret->pulls = a->parts.pulls;
    ret->before = a->parts.before;
    ret->p2p = a->p2p;
    lock_drop(&a->lock);
    ret->listen = ret->cache ? a->listen : "";
}

void
admin_forget(struct report *r)
{
    settings_release(&r->settings);
}

static enum MHD_Result
reply(struct MHD_Connection *c, struct admin_answer *answer)
{
    void *body = answer->body ? answer->body : mem_strdup("");
    struct MHD_Response *r =
        MHD_create_response_from_buffer_with_free_callback(strlen(body), body, mem_free);
    if (!r) {
        mem_free(body);
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, "Content-Type", answer->type);
    (void)MHD_add_response_header(r, "Cache-Control", "no-store");
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(r, "Cross-Origin-Resource-Policy", "same-origin");
    (void)MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    if (answer->policy)
        (void)MHD_add_response_header(r, "Content-Security-Policy", answer->policy);
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, "Allow", answer->allow);
    enum MHD_Result queued = MHD_queue_response(c, answer->status, r);
    MHD_destroy_response(r);
    return queued;
}

static const char *
header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* The client is a program of this machine: it comes from loopback, or from the very address that
 * it came to. */
static bool
is_here(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct sockaddr_in6 us = {0}, them = {0};
    socklen_t us_len = sizeof us, them_len = sizeof them;
    if (!info || getsockname(info->connect_fd, (struct sockaddr *)&us, &us_len) != 0 ||
        getpeername(info->connect_fd, (struct sockaddr *)&them, &them_len) != 0 ||
        us.sin6_family != them.sin6_family)
        return false;
    if (us.sin6_family == AF_INET6)
        return memcmp(&us.sin6_addr, &them.sin6_addr, sizeof us.sin6_addr) == 0;
    uint32_t a = ntohl(((struct sockaddr_in *)&us)->sin_addr.s_addr);
    uint32_t b = ntohl(((struct sockaddr_in *)&them)->sin_addr.s_addr);
    return a == b || b >> 24 == IN_LOOPBACKNET;
}

/* What is wrong with the request as HTTP; queued at once, which also ends the connection. */
static unsigned
refuse(struct MHD_Connection *c, const char *configured, const char *method, const char *target,
       const char **ret_why)
{
    unsigned status = guard_request(c, method, target, ret_why);
    if (status)
        return status;
    if (!admin_host_is_ours(header(c, "Host"), configured)) {
        *ret_why = "this is not one of the node's names: ask by address, localhost, the machine's "
                   "name or the one in admin:";
        return MHD_HTTP_MISDIRECTED_REQUEST;
    }
    bool post = strcmp(method, "POST") == 0;
    const char *length = header(c, "Content-Length");
    if (post && header(c, "Origin")) {
        *ret_why = "a web page may not change anything here";
        return MHD_HTTP_FORBIDDEN;
    }
    if (post && !is_here(c)) {
        *ret_why = "orders are taken from this machine only";
        return MHD_HTTP_FORBIDDEN;
    }
    if (post && (header(c, "Transfer-Encoding") || (length && strcmp(length, "0") != 0))) {
        *ret_why = "no body is expected";
        return MHD_HTTP_BAD_REQUEST;
    }
    return 0;
}

static const char *
query(void *arg, const char *name)
{
    return MHD_lookup_connection_value(arg, MHD_GET_ARGUMENT_KIND, name);
}

/* One request: made when its first line is read, freed when it is answered. */
struct admin_call {
    char *target; /* path and query as sent */
    bool judged;
};

static void *
begin_call(void *arg, const char *target, struct MHD_Connection *c)
{
    (void)arg;
    (void)c;
    struct admin_call *call = mem_zalloc(sizeof *call);
    call->target = mem_strdup(target);
    return call;
}

static void
end_call(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
    (void)arg;
    (void)c;
    (void)why;
    struct admin_call *call = *state;
    *state = NULL;
    if (!call)
        return;
    mem_free(call->target);
    mem_free(call);
}

/* Good answers are queued on the second call; on the first it would end the connection.
 * libmicrohttpd sets the parameters. NOLINTBEGIN(readability-function-size) */
static enum MHD_Result
handle(void *arg, struct MHD_Connection *c, const char *url, const char *method,
       const char *version, const char *body, size_t *body_len, void **state)
{
    (void)version;
    (void)body;
    struct admin *a = arg;
    struct admin_call *call = *state;
    struct admin_answer answer = {0};
    if (!call->judged) {
        const char *why = NULL;
        struct report r;
        admin_look(a, &r);
        unsigned status = refuse(c, r.settings->admin, method, call->target, &why);
        admin_forget(&r);
        call->judged = true;
        if (!status)
            return MHD_YES;
        admin_answer_error(status, why, &answer);
        return reply(c, &answer);
    }
    *body_len = 0;
    struct report r;
    admin_look(a, &r);
    struct admin_request request = {method, url, query, c};
    /* The idle clock stands still while we work: verify takes minutes. */
    (void)MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    admin_answer(&r, &request, &answer);
    (void)MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)IDLE_S);
    admin_forget(&r);
    return reply(c, &answer);
}

/* NOLINTEND(readability-function-size) */

static int
start_http(struct admin *a, int fd, struct err *e)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL;
    a->http = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, a, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)STACK_BYTES, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)POOL_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK,
        guard_keep_escapes, NULL, MHD_OPTION_URI_LOG_CALLBACK, begin_call, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, end_call, NULL, MHD_OPTION_END);
    return a->http ? 0 : err_set(e, ERR_LIMIT, "the admin listener does not start");
}

int
admin_open(struct settings *settings, int listen_fd, struct admin **ret, struct err *e)
{
    struct admin *a = mem_zalloc(sizeof *a);
    lock_init(&a->lock, LOCK_SETTINGS);
    a->settings = settings_ref(settings);
    a->base.started_ms = clock_ms();
    a->base.started_wall_s = clock_wall_s();
    a->base.admin = a->admin_address;
    int bad = server_address(listen_fd, a->admin_address);
    if (bad)
        bad = err_set(e, bad, "admin listener: %s", err_text(bad));
    else
        bad = start_http(a, listen_fd, e);
    if (bad) {
        fd_close(&listen_fd);
        admin_close(a);
        return bad;
    }
    metric_set(M_build_info, 1);
    metric_set(M_process_start, (uint64_t)a->base.started_wall_s);
    *ret = a;
    return 0;
}

void
admin_serving(struct admin *a, const struct admin_parts *parts, const char *listen)
{
    lock_take(&a->lock);
    if (text_copy(a->listen, sizeof a->listen, listen))
        a->listen[0] = 0;
    a->parts = *parts;
    a->state = REPORT_SERVING;
    lock_drop(&a->lock);
}

void
admin_swarm(struct admin *a, struct p2p *p2p)
{
    lock_take(&a->lock);
    a->p2p = p2p;
    lock_drop(&a->lock);
}

void
admin_draining(struct admin *a)
{
    lock_take(&a->lock);
    a->state = REPORT_DRAINING;
    lock_drop(&a->lock);
}

void
admin_reload(struct admin *a, struct settings *settings)
{
    struct settings *fresh = settings_ref(settings);
    lock_take(&a->lock);
    struct settings *old = a->settings;
    a->settings = fresh;
    lock_drop(&a->lock);
    settings_release(&old);
}

void
admin_close(struct admin *a)
{
    if (!a)
        return;
    if (a->http)
        MHD_stop_daemon(a->http);
    settings_release(&a->settings);
    lock_release(&a->lock);
    mem_free(a);
}
