/*
 * Puts the registry API together: what its requests share, the HTTP server, the accept thread.
 *
 * Start: rooms, listener, acceptor. Stop: acceptor (nothing new, nothing swept), listener
 * (joins the threads of the connections), rooms.
 */
#include "proxy/api/server.h"
#include "base/fs.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/api/access.h"
#include "proxy/api/breaker.h"
#include "proxy/api/flight.h"
#include "proxy/api/heal.h"
#include "proxy/api/prefetch.h"
#include "proxy/api/request.h"
#include "proxy/api/shared.h"
#include "proxy/api/shelf.h"
#include "proxy/http/acceptor.h"
#include "proxy/http/conns.h"
#include "proxy/http/listener.h"

#define REFUSAL_MAX (REASON_BODY_MAX + 256)

struct server {
    struct rooms rooms;
    struct conns *conns;
    struct listener *listener;
    struct acceptor *acceptor;
    struct lock lock;
    struct settings *settings; /* lock */
    char malformed[REFUSAL_MAX], crowded[REFUSAL_MAX];
};

static struct settings *
current_settings(struct server *s)
{
    lock_take(&s->lock);
    struct settings *now = settings_ref(s->settings);
    lock_drop(&s->lock);
    return now;
}

static void *
begin(void *arg, struct MHD_Connection *http, struct conn *conn, const char *target)
{
    struct server *s = arg;
    AUTO(settings_release) struct settings *settings = current_settings(s);
    return request_new(&s->rooms, settings, http, conn, target);
}

static bool
judge(void *request, const char *method, const struct listener_verdict *guard, bool *ret_refused)
{
    return request_judge(request, method, guard, ret_refused);
}

static bool
answer(void *request)
{
    return request_answer(request);
}

static void
account(void *request, bool complete)
{
    request_account(request, complete);
}

static const struct listener_ops ops = {
    .begin = begin, .judge = judge, .answer = answer, .account = account};

static const struct conn_rules rules = {
    .header_ms = ACCEPTOR_HEADER_MS,
    .idle_ms = 30000,
    .slow_ms = 30000,
    .slow_bytes = 30ull * 1024, /* 1 KiB/s */
    .still_ms = 60000,
    .mute_ms = 60000,
    .port = "registry",
    .open = M_connections,
    .reaped = M_connections_reaped,
};

/* What is refused before it has a thread. */
static void
write_refusal(enum reason why, char ret[REFUSAL_MAX])
{
    char body[REASON_BODY_MAX];
    size_t len = reason_body(why, body);
    must(text_printf(ret, REFUSAL_MAX,
                     "HTTP/1.1 %u Refused\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n"
                     "Connection: close\r\n\r\n%s",
                     reason_status(why), len, body) == 0);
}

static void
heal(void *arg, const struct digest *d, uint64_t size)
{
    struct server *s = arg;
    AUTO(settings_release) struct settings *settings = current_settings(s);
    heal_blob(&s->rooms, settings, d, size);
}

static struct acceptor_limits
limits_of(const struct settings *settings)
{
    return (struct acceptor_limits){
        .connections = settings->limit_connections,
        .connections_per_address = settings->limit_connections_per_address,
    };
}

static void
furnish(struct server *s, const struct server_config *config)
{
    lock_init(&s->lock, LOCK_SETTINGS);
    s->settings = settings_ref(config->settings);
    s->conns = conns_new(&rules);
    s->rooms.cache = config->cache;
    s->rooms.fetch = config->fetch;
    s->rooms.p2p = config->p2p;
    s->rooms.pulls = config->pulls;
    s->rooms.access = access_new(config->cache);
    s->rooms.breaker = breaker_new();
    s->rooms.flight = flight_new();
    s->rooms.shelf = shelf_new();
    write_refusal(REASON_malformed, s->malformed);
    write_refusal(REASON_crowded, s->crowded);
}

int
server_open(const struct server_config *config, struct server **ret, struct err *e)
{
    struct server *s = mem_zalloc(sizeof *s);
    furnish(s, config);
    shared_remember(config->p2p, config->cache, config->settings);
    struct listener_config listener = {.conns = s->conns, .ops = &ops, .arg = s};
    int listen_fd = config->listen_fd;
    int err = prefetch_open(config->cache, config->fetch, &s->rooms.prefetch, e);
    if (err == 0)
        cache_on_loss(config->cache, heal, s);
    if (err == 0)
        err = listener_open(&listener, &s->listener, e);
    if (err == 0) {
        struct acceptor_config acceptor = {.listen_fd = listen_fd,
                                           .conns = s->conns,
                                           .listener = s->listener,
                                           .limits = limits_of(config->settings),
                                           .malformed = s->malformed,
                                           .crowded = s->crowded};
        listen_fd = -1;
        err = acceptor_open(&acceptor, &s->acceptor, e);
    }
    if (err < 0) {
        fd_close(&listen_fd);
        server_close(s);
        return err;
    }
    *ret = s;
    return 0;
}

void
server_reload(struct server *s, struct settings *settings)
{
    struct acceptor_limits limits = limits_of(settings);
    struct settings *fresh = settings_ref(settings);
    lock_take(&s->lock);
    struct settings *old = s->settings;
    s->settings = fresh;
    lock_drop(&s->lock);
    settings_release(&old);
    acceptor_set_limits(s->acceptor, &limits);
}

bool
server_drain(struct server *s, int64_t deadline_ms)
{
    atomic_store(&s->rooms.draining, true);
    acceptor_drain(s->acceptor);
    return conns_wait_empty(s->conns, deadline_ms);
}

void
server_close(struct server *s)
{
    if (!s)
        return;
    atomic_store(&s->rooms.draining, true);
    atomic_store(&s->rooms.closing, true);
    cache_on_loss(s->rooms.cache, NULL, NULL);
    acceptor_close(s->acceptor);
    listener_close(s->listener);
    prefetch_close(s->rooms.prefetch);
    access_free(s->rooms.access);
    breaker_free(s->rooms.breaker);
    flight_free(s->rooms.flight);
    shelf_free(s->rooms.shelf);
    conns_free(s->conns);
    settings_release(&s->settings);
    lock_release(&s->lock);
    mem_free(s);
}
