/*
 * A whole node in the test process: a registry of a few objects that can misbehave, cache,
 * fetch thread and the registry API on a free port; and a client on plain sockets.
 */
#ifndef TESTS_UNIT_PROXY_NODE_H
#define TESTS_UNIT_PROXY_NODE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/cache.h"
#include "p2p/p2p.h"
#include "proxy/api/pulls.h"
#include "proxy/api/server.h"
#include "proxy/peer/port.h"
#include "proxy/upstream/fetch.h"
#include "tests/unit/base/unit.h"
#include "tests/unit/proxy/got.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <ftw.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define OBJECTS_MAX 16

/* What an object with a secret answers to others. */
static const char object_challenge[] = "Bearer realm=\"https://127.0.0.1:1/token\",service=\"x\"";

/* Something that the registry has. Fields may be changed between requests. */
struct object {
    char path[256]; /* behind /v2/ */
    const char *type;
    char *bytes;
    size_t len;
    char digest[DIGEST_TEXT_MAX]; /* of the bytes, also as Docker-Content-Digest */
    atomic_uint gets, heads;
    atomic_ulong sent_bytes;
    atomic_int status;      /* 200, or an error without a body */
    atomic_int head_status; /* the same for HEAD only */
    atomic_ulong cut_at;    /* ends the connection behind this byte, once; 0: never */
    atomic_ulong wrong_at;  /* flips this byte; 0: none */
    atomic_ulong hold_at;   /* waits here until it is 0 again */
    const char *secret;     /* the Authorization that it wants; NULL: none */
    atomic_bool quiet;      /* no Docker-Content-Digest */
    atomic_bool no_ranges;  /* all of it is sent, whatever was asked for */
};

struct node {
    struct MHD_Daemon *upstream;
    struct object objects[OBJECTS_MAX];
    size_t object_count;
    atomic_bool off, mute, closing; /* mute: takes requests and says nothing */
    char folder[64];
    struct settings *settings;
    struct cache *cache;
    struct fetch *fetch;
    struct server *server;
    struct pulls *pulls;
    int port;
    struct p2p *p2p;        /* NULL: alone */
    struct port *peer_port; /* with p2p */
    int peer_number;
};

/* ---- the registry ---- */

struct sending {
    struct node *node;
    struct object *object;
    size_t start;
};

static inline ssize_t
send_some(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct sending *s = cls;
    struct object *o = s->object;
    size_t at = s->start + (size_t)pos;
    size_t cut = atomic_load(&o->cut_at);
    size_t hold = atomic_load(&o->hold_at);
    size_t len = o->len - at < max ? o->len - at : max;
    if (cut > 0 && at >= cut) {
        atomic_store(&o->cut_at, 0);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (cut > 0 && at + len > cut)
        len = cut - at;
    while (hold > 0 && at >= hold && !atomic_load(&s->node->closing)) {
        clock_sleep_ms(1); /* what it waits for is the test's own next line */
        hold = atomic_load(&o->hold_at);
    }
    if (hold > 0 && at + len > hold)
        len = hold - at;
    memcpy(buf, o->bytes + at, len);
    atomic_fetch_add(&o->sent_bytes, len);
    size_t wrong = atomic_load(&o->wrong_at);
    if (wrong > 0 && wrong >= at && wrong < at + len)
        buf[wrong - at] = (char)~buf[wrong - at];
    return (ssize_t)len;
}

static inline struct object *
find(struct node *n, const char *url)
{
    for (size_t i = 0; i < n->object_count && text_starts(url, "/v2/"); i++)
        if (strcmp(n->objects[i].path, url + 4) == 0)
            return &n->objects[i];
    return NULL;
}

static inline enum MHD_Result
reply_empty(struct MHD_Connection *c, unsigned status)
{
    struct MHD_Response *m = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(c, status, m);
    MHD_destroy_response(m);
    return queued;
}

static inline enum MHD_Result
reply_challenge(struct MHD_Connection *c)
{
    struct MHD_Response *m = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(m, "WWW-Authenticate", object_challenge);
    enum MHD_Result queued = MHD_queue_response(c, 401, m);
    MHD_destroy_response(m);
    return queued;
}

static inline enum MHD_Result
on_upstream(void *cls, struct MHD_Connection *c, const char *url, const char *method,
            const char *version, const char *body, size_t *body_len, void **context)
{
    struct node *n = cls;
    (void)version;
    (void)body;
    (void)body_len;
    if (!*context) {
        *context = n;
        return atomic_load(&n->off) ? MHD_NO : MHD_YES;
    }
    while (atomic_load(&n->mute) && !atomic_load(&n->closing))
        clock_sleep_ms(1);
    bool head = strcmp(method, "HEAD") == 0;
    struct object *o = find(n, url);
    if (!o)
        return reply_empty(c, 404);
    atomic_fetch_add(head ? &o->heads : &o->gets, 1);
    if (atomic_load(&o->status) != 200)
        return reply_empty(c, (unsigned)atomic_load(&o->status));
    if (head && atomic_load(&o->head_status) != 200)
        return reply_empty(c, (unsigned)atomic_load(&o->head_status));
    const char *shown = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    if (o->secret && (!shown || strcmp(shown, o->secret) != 0))
        return reply_challenge(c);
    struct sending *s = mem_zalloc(sizeof *s);
    *s = (struct sending){.node = n, .object = o};
    const char *range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    unsigned long first = 0;
    unsigned long last = o->len - 1;
    bool partial =
        range && !atomic_load(&o->no_ranges) && sscanf(range, "bytes=%lu-%lu", &first, &last) >= 1;
    s->start = first;
    struct MHD_Response *m =
        MHD_create_response_from_callback(last + 1 - first, 65536, send_some, s, mem_free);
    if (partial) {
        char text[96];
        (void)snprintf(text, sizeof text, "bytes %lu-%lu/%zu", first, last, o->len);
        MHD_add_response_header(m, "Content-Range", text);
    }
    if (o->type)
        MHD_add_response_header(m, "Content-Type", o->type);
    if (!atomic_load(&o->quiet))
        MHD_add_response_header(m, "Docker-Content-Digest", o->digest);
    enum MHD_Result queued = MHD_queue_response(c, partial ? 206 : 200, m);
    MHD_destroy_response(m);
    return queued;
}

static inline int
port_of(struct MHD_Daemon *d)
{
    return MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static inline struct object *
node_add(struct node *n, const char *path, const char *type, const void *bytes, size_t len)
{
    assert_true(n->object_count < OBJECTS_MAX);
    struct object *o = &n->objects[n->object_count];
    struct digest d;
    assert_int_equal(text_copy(o->path, sizeof o->path, path), 0);
    o->type = type;
    o->bytes = mem_alloc(len + 1);
    memcpy(o->bytes, bytes, len);
    o->len = len;
    digest_of(DIGEST_SHA256, bytes, len, &d);
    digest_print(&d, o->digest);
    atomic_store(&o->status, 200);
    atomic_store(&o->head_status, 200);
    n->object_count++;
    return o;
}

/* Adds an object; its digest names it. */
static inline struct object *
node_add_blob(struct node *n, const char *repository, size_t len)
{
    static unsigned seed;
    char *bytes = mem_alloc(len + 1);
    char path[256];
    struct digest d;
    char digest[DIGEST_TEXT_MAX];
    uint32_t x = 0x9e3779b9u * ++seed;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (char)(x >> 24);
    }
    digest_of(DIGEST_SHA256, bytes, len, &d);
    digest_print(&d, digest);
    (void)snprintf(path, sizeof path, "%s/blobs/%s", repository, digest);
    struct object *o = node_add(n, path, "application/octet-stream", bytes, len);
    mem_free(bytes);
    return o;
}

/* Adds a manifest under its digest and under `tag`; returns the first. */
static inline struct object *
node_add_manifest(struct node *n, const char *repository, const char *tag, const char *type,
                  const char *text)
{
    struct digest d;
    char digest[DIGEST_TEXT_MAX];
    char path[256];
    digest_of(DIGEST_SHA256, text, strlen(text), &d);
    digest_print(&d, digest);
    (void)snprintf(path, sizeof path, "%s/manifests/%s", repository, digest);
    struct object *by_digest = node_add(n, path, type, text, strlen(text));
    (void)snprintf(path, sizeof path, "%s/manifests/%s", repository, tag);
    (void)node_add(n, path, type, text, strlen(text));
    return by_digest;
}

/* Nothing answers any more, or again. */
static inline void
node_cut_upstream(struct node *n, bool off)
{
    atomic_store(&n->off, off);
}

/* ---- the node ---- */

static inline void
write_config(struct node *n, const char *registry, const char *extra, char ret_path[96])
{
    (void)snprintf(ret_path, 96, "%s/config.yaml", n->folder);
    FILE *f = fopen(ret_path, "we");
    assert_non_null(f);
    (void)fprintf(f,
                  "listen: 127.0.0.1:0\nlog: {level: error}\n"
                  "registries:\n  - {host: reg.test, url: \"http://127.0.0.1:%d\"%s}\n"
                  "default_registry: reg.test\n%s",
                  port_of(n->upstream), registry, extra);
    assert_int_equal(fclose(f), 0);
}

static inline int
listen_on_free_port(int *ret_fd)
{
    struct err e = {0};
    char address[SERVER_ADDRESS_MAX];
    if (server_listen("127.0.0.1:0", ret_fd, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(server_address(*ret_fd, address), 0);
    return (int)strtol(strrchr(address, ':') + 1, NULL, 10);
}

static inline void
open_server(struct node *n)
{
    struct err e = {0};
    if (!n->pulls)
        n->pulls = pulls_new();
    struct server_config server = {.settings = n->settings,
                                   .cache = n->cache,
                                   .fetch = n->fetch,
                                   .pulls = n->pulls,
                                   .p2p = n->p2p,
                                   .listen_fd = -1};
    n->port = listen_on_free_port(&server.listen_fd);
    if (server_open(&server, &n->server, &e) < 0)
        fail_msg("%s", e.text);
}

/* `registry`: YAML keys of the one registry besides host and url, e.g. ", auth: node"; `extra`:
 * YAML behind the common part. */
static inline struct node *
node_open(const char *registry, const char *extra)
{
    struct node *n = mem_zalloc(sizeof *n);
    struct err e = {0};
    char path[96];
    json_init();
    log_configure(LOG_ERROR, false);
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGPIPE, &ignored, NULL), 0);
    assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), 0);
    (void)snprintf(n->folder, sizeof n->folder, "/tmp/peersync-test-XXXXXX");
    assert_non_null(mkdtemp(n->folder));
    n->upstream = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                                       MHD_USE_POLL,
                                   0, NULL, NULL, on_upstream, n, MHD_OPTION_END);
    assert_non_null(n->upstream);
    write_config(n, registry, extra, path);
    if (settings_load(path, &n->settings, &e) < 0)
        fail_msg("%s", e.text);
    char *folder = mem_printf("%s/cache", n->folder);
    struct cache_config config = {
        .dir = folder, .size_bytes = n->settings->cache_size_bytes, .cpus = 1};
    if (cache_open(&config, &n->cache, &e) < 0 || fetch_open(&n->fetch, &e) < 0)
        fail_msg("%s", e.text);
    mem_free(folder);
    open_server(n);
    return n;
}

static inline int
remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

/* ---- with others ---- */

static inline uint64_t
stored_bytes(void *arg, const struct digest *d)
{
    const struct node *n = arg;
    struct blob_info info;
    return cache_info(n->cache, d, &info) == 0 && info.phase == BLOB_WHOLE ? info.size : 0;
}

static inline void
order_nothing(void *arg, const struct digest *d, const struct swarm_get *get)
{
    (void)arg, (void)d, (void)get;
}

static inline void
stop_nothing(void *arg, const struct digest *d, uint32_t get, uint32_t end)
{
    (void)arg, (void)d, (void)get, (void)end;
}

static inline void
bring_words(void *arg, const struct digest *d)
{
    (void)arg, (void)d;
}

/* Opens the registry API again, with a peer port and names shared with the node `seed`, if any. */
static inline void
node_join(struct node *n, const struct node *seed)
{
    static const struct seal_keys keys = {1, {{{9}}}};
    struct p2p_ops ops = {.arg = n,
                          .get = order_nothing,
                          .stop = stop_nothing,
                          .stored = stored_bytes,
                          .words = bring_words};
    struct err e = {0};
    char listen[32];
    char seed_text[32];
    char *seeds[] = {seed_text};
    struct port_config port = {n->settings, n->cache, NULL, -1};
    server_close(n->server);
    n->peer_number = listen_on_free_port(&port.listen_fd);
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%d", n->peer_number);
    (void)snprintf(seed_text, sizeof seed_text, "127.0.0.1:%d", seed ? seed->peer_number : 1);
    struct p2p_config config = {.listen = listen,
                                .advertise = "auto",
                                .site = "here",
                                .dir = n->folder,
                                .keys = &keys,
                                .seeds = seeds,
                                .seeds_count = seed != NULL};
    if (p2p_open(&config, &ops, &n->p2p, &e) < 0)
        fail_msg("%s", e.text);
    port.p2p = n->p2p;
    if (port_open(&port, &n->peer_port, &e) < 0)
        fail_msg("%s", e.text);
    open_server(n);
}

/* Until it hears so many others and there is a tracker. */
static inline void
node_wait_for(struct node *n, size_t others)
{
    int64_t until_ms = clock_ms() + 20000;
    bool ready = false;
    while (!ready && clock_ms() < until_ms) {
        struct p2p_state s;
        assert_int_equal(p2p_look(n->p2p, &s), 0);
        ready = s.peers_count >= others && s.epoch > 0 && s.role != ELECT_CANDIDATE;
        p2p_state_release(&s);
        clock_sleep_ms(5);
    }
    assert_true(ready);
}

static inline void
node_close(struct node *n)
{
    atomic_store(&n->closing, true);
    server_close(n->server);
    port_close(n->peer_port);
    p2p_close(n->p2p);
    fetch_close(n->fetch);
    cache_close(n->cache);
    pulls_free(n->pulls);
    settings_release(&n->settings);
    MHD_stop_daemon(n->upstream);
    for (size_t i = 0; i < n->object_count; i++)
        mem_free(n->objects[i].bytes);
    (void)nftw(n->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    mem_free(n);
}

static inline int
node_port(const struct node *n)
{
    return n->port;
}

static inline struct server *
node_server(struct node *n)
{
    return n->server;
}

static inline const char *
node_folder(const struct node *n)
{
    return n->folder;
}

/* ---- the client ---- */

static inline int
node_connect(struct node *n)
{
    return got_connect(n->port);
}

/* Raw bytes there, everything back. */
static inline void
node_send_raw(struct node *n, const void *bytes, size_t len, struct got *ret)
{
    memset(ret, 0, sizeof *ret);
    int fd = node_connect(n);
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
    got_read(fd, ret);
    fd_close(&fd);
    got_split(ret, false);
}

/* One request on a connection of its own. `headers` end in \r\n each. */
static inline void
node_ask(struct node *n, const char *method, const char *target, const char *headers,
         struct got *ret)
{
    memset(ret, 0, sizeof *ret);
    int fd = node_connect(n);
    char *text = mem_printf("%s %s HTTP/1.1\r\nHost: node\r\nConnection: close\r\n%s\r\n", method,
                            target, headers);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    got_read(fd, ret);
    fd_close(&fd);
    mem_free(text);
    got_split(ret, strcmp(method, "HEAD") == 0);
}

#endif
