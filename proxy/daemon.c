/*
 * Wiring, order of start and stop, signals. All of it runs on the main thread.
 *
 *   start   settings -> sockets -> admin -> cache -> fetch -> swarm -> registry API -> READY=1
 *   stop    admin says draining -> requests end -> registry API -> admin -> fetch stops -> swarm
 *           -> fetch -> cache
 *
 * The admin listener comes first, so that a long start can be seen; each part is given up
 * before those that it uses, and the admin, which asks all of them, before any.
 *
 *   signal   effect
 *   TERM INT drain up to DRAIN_MS, then exit 0; the second one ends at once
 *   HUP      read the configuration again: all of it or nothing
 *   USR1     the state as log lines
 */
#include "proxy/daemon.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/admin.h"
#include "proxy/api/pulls.h"
#include "proxy/api/server.h"
#include "proxy/footprint.h"
#include "proxy/notify.h"
#include "proxy/peering.h"
#include "proxy/report.h"
#include "proxy/report_swarm.h"
#include "proxy/totals.h"
#include "proxy/why.h"
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#define DRAIN_MS      25000 /* systemd waits 30 s (TimeoutStopSec) */
#define DRAIN_STEP_MS 100   /* between looks at the second signal */
#define IDLE_MS       10000 /* between two STATUS= lines */
#define LOOK_MS       1000  /* between two looks at pulls that are over */
#define FILES_MAX     65536 /* more would only hide a leak */
#define DUMP_MAX      32    /* transfers in one USR1 dump */
/* Longer than kubelet waits before it tries a pull again (5 min). */
#define OWNS_MS (10 * 60 * 1000)

struct daemon {
    const char *path; /* of the configuration */
    struct settings *settings;
    struct cache *cache;
    struct fetch *fetch;
    struct peering *peering; /* NULL: this node is alone */
    struct admin *admin;
    struct pulls *pulls;
    struct server *server;
    struct totals_kept totals;
    char listen[SERVER_ADDRESS_MAX];
    sigset_t signals;
};

/* ---- process ---- */

static void
prepare_process(struct daemon *d)
{
    (void)mallopt(M_ARENA_MAX, 2); /* threads come and go; an arena each would stay */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_MAX) {
        files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    must(sigaction(SIGPIPE, &ignore, NULL) == 0);
    static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    (void)sigemptyset(&d->signals);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        (void)sigaddset(&d->signals, wanted[i]);
    must(sigprocmask(SIG_BLOCK, &d->signals, NULL) == 0);
}

/* The next signal, or 0 when none came in time. */
static int
next_signal(const struct daemon *d, int64_t wait_ms)
{
    struct timespec wait = {wait_ms / 1000, (long)(wait_ms % 1000) * 1000000};
    int got = sigtimedwait(&d->signals, NULL, &wait);
    return got > 0 ? got : 0;
}

/* ---- start ---- */

/* Of those that this process may run on, also where a cpuset leaves it a part of the machine. */
static unsigned
cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static int
open_cache(struct daemon *d, struct err *e)
{
    const struct settings *s = d->settings;
    struct cache_config config = {
        .dir = s->cache_dir,
        .size_bytes = s->cache_size_bytes,
        .size_percent = s->cache_size_percent,
        .min_free_bytes = s->cache_min_free_bytes,
        .memory_bytes = s->cache_memory_bytes,
        .compress = s->cache_compress,
        .cpus = cpus(),
        .hash_bytes_s = digest_rate(),
        .content_dir = s->cache_containerd_content[0] ? s->cache_containerd_content : NULL,
        .content_owns = s->cache_containerd_owns,
        .content_owns_ms = OWNS_MS,
        .leave_asks = d->peering != NULL};
    return cache_open(&config, &d->cache, e);
}

static int
open_admin(struct daemon *d, struct err *e)
{
    int fd = -1;
    int bad = server_listen(d->settings->admin, &fd, e);
    return bad ? err_wrap(e, "admin") : admin_open(d->settings, fd, &d->admin, e);
}

static int
open_server(struct daemon *d, int fd, struct err *e)
{
    struct server_config config = {.settings = d->settings,
                                   .cache = d->cache,
                                   .fetch = d->fetch,
                                   .pulls = d->pulls,
                                   .p2p = peering_p2p(d->peering),
                                   .listen_fd = fd};
    return server_open(&config, &d->server, e);
}

/* A socket that systemd passed, or one of our own. Taken before the cache is opened, so
 * that a second daemon fails at once and touches nothing. */
static int
listen_socket(struct daemon *d, int *ret_fd, struct err *e)
{
    int bad = server_passed(ret_fd);
    if (bad)
        bad = server_listen(d->settings->listen, ret_fd, e);
    if (bad)
        return err_wrap(e, "listen");
    bad = server_address(*ret_fd, d->listen);
    return bad ? err_set(e, bad, "listen: %s", err_text(bad)) : 0;
}

static int
start(struct daemon *d, struct err *e)
{
    AUTO(fd_close) int fd = -1;
    int bad = listen_socket(d, &fd, e);
    bad = bad ? bad : peering_listen(d->settings, &d->peering, e);
    bad = bad ? bad : open_admin(d, e);
    d->pulls = pulls_new();
    if (!bad)
        notify_send("STATUS=opening the cache");
    bad = bad ? bad : open_cache(d, e);
    if (!bad)
        totals_load(&d->totals, d->cache);
    bad = bad ? bad : fetch_open(&d->fetch, e);
    if (!bad)
        fetch_set_wan_rate(d->fetch, d->settings->limit_wan_rate);
    if (!bad && d->peering)
        bad = peering_open(d->peering, d->settings, d->cache, d->fetch, e);
    if (bad)
        return bad;
    int handed = fd;
    fd = -1; /* the server's from here on */
    bad = open_server(d, handed, e);
    if (bad)
        return bad;
    footprint_trim();
    admin_swarm(d->admin, peering_p2p(d->peering));
    struct admin_parts parts = {d->cache, d->fetch, d->pulls, &d->totals.before};
    admin_serving(d->admin, &parts, d->listen);
    return 0;
}

static bool
is_loopback(const char *address)
{
    return text_starts(address, "127.") || text_starts(address, "[::1]:") ||
           text_starts(address, "localhost:");
}

/* Settings that are taken but do not do what their reader may think. */
static void
warn_about(const struct settings *s)
{
    if (!is_loopback(s->admin))
        LOG(config_warning, LOG_S("key", "admin"),
            LOG_S("reason", "other machines reach it, and it asks nobody who they are"));
    if (s->cache_containerd_owns && !s->cache_containerd_content[0])
        LOG(config_warning, LOG_S("key", "cache.containerd_owns"),
            LOG_S("reason", "does nothing without cache.containerd_content"));
}

static void
announce(struct daemon *d)
{
    struct report r;
    char room[REPORT_SWARM_ALONE_MAX];
    admin_look(d->admin, &r);
    LOG(ready, LOG_S("listen", r.listen), LOG_S("admin", r.admin),
        LOG_U("registries", d->settings->registry_count));
    if (!d->peering)
        LOG(alone, LOG_S("reason", report_swarm_alone(d->settings, room)));
    warn_about(d->settings);
    admin_forget(&r);
    notify_send("READY=1\nSTATUS=serving on %s", d->listen);
}

/* ---- while it runs ---- */

static void
dump(struct daemon *d)
{
    struct cache_stats s;
    cache_get_stats(d->cache, &s);
    LOG(status, LOG_S("listen", d->listen), LOG_U("connections", metric_get(M_connections)),
        LOG_U("cache_bytes", s.used_bytes), LOG_U("cache_limit_bytes", s.limit_bytes),
        LOG_U("blobs", s.blobs), LOG_U("partial_blobs", s.partial_blobs),
        LOG_U("degraded", s.degraded), LOG_U("served_bytes", metric_get(M_served_bytes)),
        LOG_U("upstream_bytes", metric_get(M_body_upstream)));
    struct transfer_info *infos = mem_alloc(DUMP_MAX * sizeof *infos);
    size_t count = fetch_list(d->fetch, infos, DUMP_MAX);
    for (size_t i = 0; i < count; i++) {
        char digest[DIGEST_TEXT_MAX];
        digest_print(&infos[i].digest, digest);
        LOG(running, LOG_S("digest", digest), LOG_S("registry", infos[i].host),
            LOG_S("repository", infos[i].repository), LOG_U("bytes", infos[i].have_bytes),
            LOG_U("rate", infos[i].rate_bytes_s), LOG_U("attempts", infos[i].attempts));
    }
    mem_free(infos);
}

static void
take_over(struct daemon *d, struct settings *fresh)
{
    struct settings *old = d->settings;
    d->settings = fresh;
    log_configure(fresh->log_level, fresh->log_json);
    cache_set_limits(d->cache, fresh->cache_size_bytes, fresh->cache_size_percent,
                     fresh->cache_min_free_bytes);
    cache_set_memory(d->cache, fresh->cache_memory_bytes);
    fetch_set_wan_rate(d->fetch, fresh->limit_wan_rate);
    server_reload(d->server, fresh);
    peering_reload(d->peering, fresh);
    admin_reload(d->admin, fresh);
    settings_release(&old);
    LOG(reload, LOG_U("registries", fresh->registry_count));
}

static void
reload(struct daemon *d)
{
    struct settings *fresh = NULL;
    struct err e = {0};
    notify_reloading();
    if (settings_load(d->path, &fresh, &e)) {
        LOG(reload_refused, LOG_S("error", e.text));
    } else {
        const char *key = settings_needs_restart(d->settings, fresh);
        if (key) {
            LOG(reload_refused, LOG_S("key", key), LOG_S("error", "needs a restart"));
            settings_release(&fresh);
        } else if (peering_prepare(d->peering, fresh, &e)) {
            LOG(reload_refused, LOG_S("error", e.text));
            settings_release(&fresh);
        } else {
            take_over(d, fresh);
        }
    }
    notify_send("READY=1");
}

static void
tell_systemd(const struct daemon *d)
{
    struct cache_stats s;
    cache_get_stats(d->cache, &s);
    char used[TEXT_SIZE_MAX];
    text_print_size(s.used_bytes, used);
    notify_send("WATCHDOG=1\nSTATUS=serving on %s; cache %s; %llu transfers", d->listen, used,
                (unsigned long long)metric_get(M_transfers));
}

static void
tell_pull(const struct pull *p, const struct fetched_info *done, size_t count)
{
    struct why_parts parts;
    char why[WHY_TEXT_MAX];
    why_parts(p, done, count, &parts);
    why_text(p, &parts, why);
    LOG(pull, LOG_S("repository", p->repository), LOG_S("reference", p->reference),
        LOG_S("client", p->client), LOG_S("agent", p->agent),
        LOG_U("requests", p->steps_count + p->omitted), LOG_U("bytes", p->bytes),
        LOG_U("from_cache", p->from_cache), LOG_U("from_peers", p->from_bytes[BLOB_FROM_PEER]),
        LOG_U("from_other_sites", p->from_bytes[BLOB_FROM_REMOTE_PEER]),
        LOG_U("from_upstream", p->from_bytes[BLOB_FROM_UPSTREAM]), LOG_U("ms", parts.took_ms),
        LOG_U("refused", p->refused), LOG_S("why", why));
}

/* One line for each pull that is over. */
static void
tell_pulls(struct daemon *d, bool closing)
{
    struct pull p;
    struct fetched_info *done = NULL;
    size_t count = 0;
    while (d->server && pulls_next_over(d->pulls, clock_ms(), closing, &p)) {
        if (!done) {
            done = mem_alloc(FETCHED_MAX * sizeof *done);
            count = fetch_finished(d->fetch, done, FETCHED_MAX);
        }
        tell_pull(&p, done, count);
        pull_release(&p);
    }
    mem_free(done);
}

/* Until TERM or INT. */
static void
serve(struct daemon *d)
{
    int64_t watchdog_ms = notify_watchdog_ms();
    int64_t tell_ms = watchdog_ms && watchdog_ms / 3 < IDLE_MS ? watchdog_ms / 3 + 1 : IDLE_MS;
    int64_t told_ms = 0;
    for (;;) {
        int got = next_signal(d, LOOK_MS < tell_ms ? LOOK_MS : tell_ms);
        tell_pulls(d, false);
        totals_keep(&d->totals, d->cache, false);
        if (got || clock_ms() - told_ms >= tell_ms) {
            tell_systemd(d);
            told_ms = clock_ms();
        }
        if (got == SIGHUP)
            reload(d);
        else if (got == SIGUSR1)
            dump(d);
        else if (got != 0)
            return;
    }
}

/* ---- stop ---- */

/* False when a second signal said: at once. */
static bool
drain(struct daemon *d)
{
    int64_t deadline_ms = clock_ms() + DRAIN_MS;
    admin_draining(d->admin);
    notify_send("STOPPING=1\nSTATUS=waiting for running requests");
    LOG(drain, LOG_U("connections", metric_get(M_connections)));
    while (!server_drain(d->server, clock_ms() + DRAIN_STEP_MS) && clock_ms() < deadline_ms) {
        int got = next_signal(d, 0);
        if (got == SIGTERM || got == SIGINT)
            return false;
        notify_send("WATCHDOG=1");
    }
    return true;
}

static void
stop(struct daemon *d)
{
    server_close(d->server);
    if (d->cache)
        cache_stop_checks(d->cache); /* so that admin need not wait for a verify */
    if (d->admin)
        admin_close(d->admin);
    if (d->fetch)
        fetch_stop(d->fetch);
    peering_close(d->peering);
    tell_pulls(d, true);
    pulls_free(d->pulls);
    fetch_close(d->fetch);
    if (d->cache)
        totals_keep(&d->totals, d->cache, true);
    cache_close(d->cache);
    settings_release(&d->settings);
}

int
daemon_run(const char *path)
{
    struct daemon d = {.path = path};
    struct err e = {0};
    prepare_process(&d);
    if (settings_load(path, &d.settings, &e)) {
        LOG(start_failed, LOG_S("error", e.text));
        return EX_CONFIG;
    }
    log_configure(d.settings->log_level, d.settings->log_json);
    LOG(start, LOG_S("version", PEERSYNC_VERSION), LOG_S("config", path ? path : SETTINGS_PATH));
    int bad = start(&d, &e);
    if (bad) {
        LOG(start_failed, LOG_S("error", e.text));
        stop(&d);
        /* What does not go away by itself is not tried again by systemd. */
        return bad == ERR_VERSION ? EX_CONFIG : EXIT_FAILURE;
    }
    announce(&d);
    serve(&d);
    if (!drain(&d))
        _exit(EXIT_FAILURE); /* partial blobs are found again by the next start */
    stop(&d);
    LOG(stop, LOG_U("served_bytes", metric_get(M_served_bytes)));
    return EXIT_SUCCESS;
}
