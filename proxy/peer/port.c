/* Puts the peer port together, and tells the swarm once a second how busy this node is and
 * what has left it. */
#include "proxy/peer/port.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cache/cache.h"
#include "p2p/p2p.h"
#include "proxy/http/acceptor.h"
#include "proxy/http/conns.h"
#include "proxy/http/listener.h"
#include "proxy/peer/demand.h"
#include "proxy/peer/squeeze.h"
#include "proxy/peer/uploads.h"
#include "proxy/settings.h"
#include <unistd.h>

#define GONE_STEP 64

struct port {
    struct demand_rooms rooms;
    struct conns *conns;
    struct listener *listener;
    struct acceptor *acceptor;

    /* accept thread: what was said last */
    unsigned queue_ms;
    uint64_t free_bytes;
    bool said;
};

/* A few nodes that lost their power must not keep the slots of this one for long: 4 to 6 s, the
 * sweep comes once a second. TCP_USER_TIMEOUT would cut slow readers, too: a window that never
 * opens for the whole next segment is as one that is closed, to the kernel. */
static const struct conn_rules rules = {
    .header_ms = ACCEPTOR_HEADER_MS,
    .idle_ms = 60000, /* connections between nodes are kept */
    .slow_ms = 5000,
    .slow_bytes = 5ull * 1024,
    .still_ms = 4000,
    .mute_ms = 30000,
    .port = "peer",
    .open = M_peer_connections,
    .reaped = M_peer_connections_reaped,
};

static const char malformed[] =
    "HTTP/1.1 400 Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
static const char crowded[] = "HTTP/1.1 503 Refused\r\nContent-Length: 0\r\nPs-Busy-Ms: 1000\r\n"
                              "Connection: close\r\n\r\n";

/* ---- from struct listener_ops to a demand ---- */

static void *
begin(void *arg, struct MHD_Connection *http, struct conn *conn, const char *target)
{
    struct port *p = arg;
    return demand_new(&p->rooms, http, conn, target);
}

static bool
judge(void *request, const char *method, const struct listener_verdict *guard, bool *ret_refused)
{
    return demand_judge(request, method, guard, ret_refused);
}

static void
body(void *request, const char *bytes, size_t len)
{
    demand_body(request, bytes, len);
}

static bool
answer(void *request)
{
    return demand_answer(request);
}

static void
account(void *request, bool complete)
{
    demand_account(request, complete);
}

static const struct listener_ops ops = {begin, judge, body, answer, account};

/* ---- load ---- */

/* Blobs that have left are not offered any more. */
static void
tell_gone(const struct port *p)
{
    struct digest gone[GONE_STEP];
    size_t count = cache_take_gone(p->rooms.cache, gone, GONE_STEP);
    for (size_t i = 0; i < count; i++) {
        struct blob_info info;
        if (cache_info(p->rooms.cache, &gone[i], &info) == 0)
            continue;
        p2p_dropped(p->rooms.p2p, &gone[i], 0, UINT32_MAX);
        p2p_leave(p->rooms.p2p, &gone[i]); /* nor wanted again */
    }
}

static void
tell_load(void *arg)
{
    struct port *p = arg;
    tell_gone(p);
    uint64_t free_bytes = cache_spare(p->rooms.cache);
    unsigned queue_ms = uploads_queue_ms(p->rooms.uploads);
    if (p->said && queue_ms == p->queue_ms && free_bytes == p->free_bytes)
        return;
    p->said = true;
    p->queue_ms = queue_ms;
    p->free_bytes = free_bytes;
    p2p_load(p->rooms.p2p, queue_ms, free_bytes);
}

/* ---- life ---- */

static struct uploads_limits
limits_of(const struct settings *s)
{
    return (struct uploads_limits){.running = s->limit_peer_uploads, .rate = s->limit_upload_rate};
}

/* Half of the processors may pack for other sites. */
static unsigned
squeezers(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus > 2 ? (unsigned)cpus / 2 : 1;
}

static int
open_acceptor(struct port *p, int listen_fd, struct err *e)
{
    struct acceptor_config config = {
        .listen_fd = listen_fd,
        .conns = p->conns,
        .listener = p->listener,
        .limits = {PORT_CONNECTIONS_MAX, PORT_CONNECTIONS_PER_ADDRESS_MAX},
        .malformed = malformed,
        .crowded = crowded,
        .tick = tell_load,
        .arg = p,
    };
    return acceptor_open(&config, &p->acceptor, e);
}

int
port_open(const struct port_config *config, struct port **ret, struct err *e)
{
    struct port *p = mem_zalloc(sizeof *p);
    struct uploads_limits limits = limits_of(config->settings);
    p->rooms.cache = config->cache;
    p->rooms.p2p = config->p2p;
    p->rooms.uploads = uploads_new(&limits);
    p->rooms.squeeze = squeeze_new(squeezers());
    p->conns = conns_new(&rules);
    struct listener_config listener = {.conns = p->conns, .ops = &ops, .arg = p};
    int listen_fd = config->listen_fd;
    int err = listener_open(&listener, &p->listener, e);
    if (err == 0)
        err = open_acceptor(p, listen_fd, e);
    else
        fd_close(&listen_fd);
    if (err < 0) {
        port_close(p);
        return err;
    }
    *ret = p;
    return 0;
}

void
port_reload(struct port *p, const struct settings *settings)
{
    struct uploads_limits limits = limits_of(settings);
    uploads_set_limits(p->rooms.uploads, &limits);
}

void
port_close(struct port *p)
{
    if (!p)
        return;
    uploads_close(p->rooms.uploads);
    acceptor_close(p->acceptor);
    listener_close(p->listener);
    conns_free(p->conns);
    uploads_free(p->rooms.uploads);
    squeeze_free(p->rooms.squeeze);
    mem_free(p);
}
