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
#include "proxy/api/acceptor.h"
#include "proxy/api/access.h"
#include "proxy/api/breaker.h"
#include "proxy/api/conns.h"
#include "proxy/api/flight.h"
#include "proxy/api/listener.h"
#include "proxy/api/prefetch.h"
#include "proxy/api/request.h"
#include "proxy/api/shelf.h"

struct server {
    struct rooms rooms;
    struct conns *conns;
    struct listener *listener;
    struct acceptor *acceptor;
    struct lock lock;
    struct settings *settings; /* lock */
};

static struct settings *
current_settings(void *arg)
{
    struct server *s = arg;
    lock_take(&s->lock);
    struct settings *now = settings_ref(s->settings);
    lock_drop(&s->lock);
    return now;
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
    s->conns = conns_new();
    s->rooms.cache = config->cache;
    s->rooms.fetch = config->fetch;
    s->rooms.access = access_new(config->cache);
    s->rooms.breaker = breaker_new();
    s->rooms.flight = flight_new();
    s->rooms.shelf = shelf_new();
}

int
server_open(const struct server_config *config, struct server **ret, struct err *e)
{
    struct server *s = mem_zalloc(sizeof *s);
    furnish(s, config);
    struct listener_config listener = {
        .rooms = &s->rooms, .conns = s->conns, .settings = current_settings, .arg = s};
    struct acceptor_limits limits = limits_of(config->settings);
    int listen_fd = config->listen_fd;
    int err = prefetch_open(config->cache, config->fetch, &s->rooms.prefetch, e);
    if (err == 0)
        err = listener_open(&listener, &s->listener, e);
    if (err == 0) {
        err = acceptor_open(listen_fd, s->conns, s->listener, &limits, &s->acceptor, e);
        listen_fd = -1;
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
