/* The parts of the swarm, opened in order and closed in reverse. */
#include "proxy/peering.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/cache.h"
#include "p2p/p2p.h"
#include "proxy/api/server.h"
#include "proxy/keeping.h"
#include "proxy/peer/port.h"
#include "proxy/settings.h"
#include "proxy/upstream/fetch.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

struct peering {
    struct seal_keys keys;
    int fd; /* -1 when the port has it */
    char listen[SERVER_ADDRESS_MAX];
    struct cache *cache;
    struct fetch *fetch;
    struct keeping *keeping;
    struct p2p *p2p;
    struct port *port;
};

/* ---- the keys ---- */

static int
read_keys(int fd, const char *path, struct seal_keys *ret, struct err *e)
{
    char text[SEAL_KEYS_TEXT];
    struct stat st;
    if (fstat(fd, &st) == 0 && (st.st_mode & S_IRWXO) != 0)
        LOG(config_warning, LOG_S("key", "p2p.key_file"), LOG_S("file", path),
            LOG_S("reason", "every user of this machine may read it"));
    ssize_t len = read(fd, text, sizeof text);
    if (len < 0)
        return err_errno(e, "p2p.key_file: %s", path);
    int rc = seal_keys_parse(text, (size_t)len, ret);
    OPENSSL_cleanse(text, sizeof text);
    return rc == 0
               ? 0
               : err_set(e, ERR_CONFIG,
                         "p2p.key_file: %s: expected a line for each of 1 to %d different keys, "
                         "psk-v1: and 64 hex digits, as `peersync cluster key` prints it",
                         path, SEAL_KEYS_MAX);
}

/* 0; ERR_NOT_FOUND: there is no such file. Links are followed: that is how secrets are mounted. */
static int
open_keys(const char *path, struct seal_keys *ret, struct err *e)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return ERR_NOT_FOUND;
    return fd < 0 ? err_errno(e, "p2p.key_file: %s", path) : read_keys(fd, path, ret, e);
}

/* ---- what the p2p thread asks of this node ---- */

static void
on_get(void *arg, const struct digest *blob, const struct swarm_get *get)
{
    struct peering *p = arg;
    fetch_order_get(p->fetch, blob, get);
}

static void
on_stop(void *arg, const struct digest *blob, uint32_t get, uint32_t end)
{
    struct peering *p = arg;
    fetch_order_stop(p->fetch, blob, get, end);
}

static void
on_liar(void *arg, const struct node_id *node)
{
    struct peering *p = arg;
    fetch_order_ban(p->fetch, node);
}

static uint64_t
on_stored(void *arg, const struct digest *blob)
{
    struct peering *p = arg;
    return cache_stored(p->cache, blob);
}

static void
on_heard(void *arg, const struct digest *blob)
{
    struct peering *p = arg;
    cache_heard(p->cache, blob);
}

static bool
on_holds(void *arg, const struct digest *blob)
{
    struct peering *p = arg;
    return keeping_holds(p->keeping, blob);
}

static bool
on_offer(void *arg, const struct digest *blob, struct parting_offer *ret)
{
    struct peering *p = arg;
    return keeping_offer(p->keeping, blob, ret);
}

static enum parting_taken
on_take(void *arg, const struct parting_offer *offer)
{
    struct peering *p = arg;
    return keeping_take(p->keeping, offer);
}

static void
on_parting(void *arg, const struct parting *said)
{
    struct peering *p = arg;
    keeping_said(p->keeping, said);
}

static void
on_words(void *arg, const struct digest *blob)
{
    struct peering *p = arg;
    if (!cache_ask_words(p->cache, blob))
        p2p_attest(p->p2p, blob, true, 0, NULL, 0); /* whoever asks again has it asked again */
}

/* A thread of the cache brings them. */
static void
tell_words(void *arg, const struct digest *blob, const uint8_t *words, uint32_t count)
{
    struct peering *p = arg;
    if (count > 0)
        p2p_attest(p->p2p, blob, true, 0, words, count);
    p2p_attest(p->p2p, blob, true, 0, NULL, 0);
}

static bool
on_room(void *arg, const struct digest *blob, uint64_t size, unsigned copies)
{
    struct peering *p = arg;
    return cache_has_room(p->cache, blob, size, copies);
}

static void
on_keep(void *arg, const struct digest *blob, uint64_t size)
{
    struct peering *p = arg;
    AUTO(blob_release) struct blob *b = cache_lead(p->cache, blob);
    if (b != NULL)
        fetch_copy(p->fetch, NULL, b, size);
}

/* ---- life ---- */

int
peering_listen(const struct settings *s, struct peering **ret, struct err *e)
{
    struct seal_keys keys;
    if (!s->p2p_enabled)
        return 0;
    int rc = open_keys(s->p2p_key_file, &keys, e);
    if (rc == ERR_NOT_FOUND)
        return 0;
    if (rc < 0)
        return rc;
    struct peering *p = mem_zalloc(sizeof *p);
    p->keys = keys;
    p->fd = -1;
    OPENSSL_cleanse(&keys, sizeof keys);
    if ((rc = server_listen(s->p2p_listen, &p->fd, e)) < 0)
        (void)err_wrap(e, "p2p.listen");
    else if ((rc = server_address(p->fd, p->listen)) < 0)
        (void)err_set(e, rc, "p2p.listen: %s", err_text(rc));
    if (rc < 0) {
        peering_close(p);
        return rc;
    }
    *ret = p;
    return 0;
}

int
peering_open(struct peering *p, struct settings *s, struct cache *cache, struct fetch *fetch,
             struct err *e)
{
    struct p2p_ops ops = {.arg = p,
                          .get = on_get,
                          .stop = on_stop,
                          .stored = on_stored,
                          .heard = on_heard,
                          .room = on_room,
                          .keep = on_keep,
                          .liar = on_liar,
                          .holds = on_holds,
                          .offer = on_offer,
                          .take = on_take,
                          .parting = on_parting,
                          .words = on_words};
    struct p2p_config swarm = {.listen = p->listen, /* UDP gets the number that TCP has */
                               .advertise = s->p2p_advertise,
                               .site = s->p2p_site,
                               .dir = s->cache_dir,
                               .keys = &p->keys,
                               .multicast = s->p2p_multicast,
                               .seeds = s->p2p_seeds,
                               .seeds_count = s->p2p_seed_count,
                               .priority = s->p2p_priority,
                               .preseed = s->p2p_preseed};
    p->cache = cache;
    p->fetch = fetch;
    p->keeping = keeping_new(cache, fetch, s);
    int rc = p2p_open(&swarm, &ops, &p->p2p, e);
    if (rc < 0)
        return rc;
    fetch_join(fetch, p->p2p);
    keeping_start(p->keeping, p->p2p);
    cache_on_words(cache, tell_words, p);
    struct port_config port = {s, cache, p->p2p, p->fd};
    p->fd = -1;
    return port_open(&port, &p->port, e);
}

struct p2p *
peering_p2p(struct peering *p)
{
    return p != NULL ? p->p2p : NULL;
}

int
peering_prepare(struct peering *p, const struct settings *s, struct err *e)
{
    struct seal_keys keys;
    if (!s->p2p_enabled)
        return 0;
    int rc = open_keys(s->p2p_key_file, &keys, e);
    if (p == NULL && rc == ERR_NOT_FOUND)
        return 0;
    if (rc == ERR_NOT_FOUND)
        return err_set(e, ERR_CONFIG, "p2p.key_file: %s is gone", s->p2p_key_file);
    if (rc == 0 && p != NULL)
        p->keys = keys;
    else if (rc == 0)
        rc = err_set(e, ERR_CONFIG, "p2p.key_file: %s is new: needs a restart", s->p2p_key_file);
    OPENSSL_cleanse(&keys, sizeof keys);
    return rc;
}

void
peering_reload(struct peering *p, struct settings *s)
{
    if (p == NULL)
        return;
    p2p_rekey(p->p2p, &p->keys);
    port_reload(p->port, s);
    keeping_reload(p->keeping, s);
}

void
peering_close(struct peering *p)
{
    if (p == NULL)
        return;
    port_close(p->port);
    if (p->keeping != NULL)
        keeping_stop(p->keeping);
    if (p->cache != NULL)
        cache_on_words(p->cache, NULL, NULL);
    p2p_close(p->p2p);
    keeping_free(p->keeping);
    fd_close(&p->fd);
    OPENSSL_cleanse(&p->keys, sizeof p->keys);
    mem_free(p);
}
