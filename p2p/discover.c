/* Resolves names and keeps the file of peers, on a thread that others never wait for. */
#include "p2p/discover.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/thread.h"
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define FRESH_FILE DISCOVER_FILE ".new"
#define WRITE_MS   2000 /* waited for who is at the file; a disk may hang */
#define ALL        "dns:"
#define NAMES_ROOM (DISCOVER_PEERS_MAX * ADDR_TEXT_MAX)

struct seed {
    char *host;
    uint16_t port;
    bool all; /* addresses of the name, not only the first of each family */
};

struct discover {
    atomic_int refs; /* the opener and the thread; who leaves last frees */
    char *dir;       /* fixed at open, like the next four */
    size_t seeds_count;
    struct seed seeds[DISCOVER_SEEDS_MAX];
    size_t last_count;
    struct node_addr last[DISCOVER_PEERS_MAX];

    int64_t write_ms; /* the thread's: no write of the file before */

    struct lock lock;
    struct cond changed;
    bool closing;     /* lock, like all below */
    bool peers_fresh; /* not in the file yet */
    bool writing;     /* somebody is at the file */
    size_t peers_count;
    struct node_addr peers[DISCOVER_PEERS_MAX];
    uint64_t version;
    size_t addrs_count;
    struct node_addr addrs[DISCOVER_ADDRS_MAX];
};

static void
leave(struct discover *d)
{
    if (atomic_fetch_sub(&d->refs, 1) != 1)
        return;
    for (size_t i = 0; i < d->seeds_count; i++)
        mem_free(d->seeds[i].host);
    cond_release(&d->changed);
    lock_release(&d->lock);
    mem_free(d->dir);
    mem_free(d);
}

/* ---- names: the thread ---- */

static void
add_addr(struct node_addr *all, size_t *count, const struct addrinfo *from, uint16_t port)
{
    struct node_addr a;
    if (*count == DISCOVER_ADDRS_MAX || !addr_of(from->ai_addr, &a))
        return;
    a.port = port;
    for (size_t i = 0; i < *count; i++)
        if (addr_equal(&all[i], &a))
            return;
    all[(*count)++] = a;
}

/* False when the name has no address now. */
static bool
resolve(const struct seed *s, struct node_addr *all, size_t *count)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(s->host, NULL, &hints, &found) != 0 || found == NULL)
        return false;
    int had = AF_UNSPEC; /* without "dns:" one address of each family */
    for (const struct addrinfo *i = found; i != NULL; i = i->ai_next) {
        if (s->all || i->ai_family != had)
            add_addr(all, count, i, s->port);
        had = i->ai_family;
    }
    freeaddrinfo(found);
    return true;
}

static int
order_of_addrs(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct node_addr));
}

/* True when all names have addresses. A name that fails for once keeps nothing of what it had:
 * who is heard stays a member, and who is not was not there. */
static bool
resolve_all(struct discover *d)
{
    struct node_addr all[DISCOVER_ADDRS_MAX];
    size_t count = 0;
    bool good = true;
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < d->seeds_count; i++)
        good = resolve(&d->seeds[i], all, &count) && good;
    qsort(all, count, sizeof *all, order_of_addrs);
    lock_take(&d->lock);
    if (count != d->addrs_count || memcmp(all, d->addrs, count * sizeof *all) != 0) {
        memcpy(d->addrs, all, count * sizeof *all);
        d->addrs_count = count;
        d->version++;
    }
    lock_drop(&d->lock);
    return good;
}

/* ---- the file ---- */

static void
read_last(struct discover *d)
{
    AUTO(fd_close) int dir = -1;
    AUTO(buf_release) struct buf text;
    buf_init(&text, NAMES_ROOM);
    if (fs_open_dir(d->dir, false, &dir) < 0 || fs_read_file(dir, DISCOVER_FILE, &text) < 0)
        return; /* the first start */
    char *rest = text.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && d->last_count < DISCOVER_PEERS_MAX;)
        if (addr_parse(line, &d->last[d->last_count]) == 0)
            d->last_count++;
}

static int
write_file(const char *folder, const struct buf *text)
{
    AUTO(fd_close) int dir = -1;
    AUTO(fd_close) int fd = -1;
    int rc = fs_open_dir(folder, false, &dir);
    rc = rc < 0 ? rc : fs_open_at(dir, FRESH_FILE, O_WRONLY | O_CREAT | O_TRUNC, &fd);
    rc = rc < 0 ? rc : fs_write_at(fd, 0, text->data, text->len);
    rc = rc < 0 ? rc : fs_sync(fd);
    return rc < 0 ? rc : fs_rename_at(dir, FRESH_FILE, dir, DISCOVER_FILE);
}

/* What is to be written, once nobody else is writing. False: nothing new. */
static bool
take_peers(struct discover *d, struct node_addr *ret, size_t *ret_count)
{
    int64_t until_ms = clock_ms() + WRITE_MS;
    bool in_time = true;
    lock_take(&d->lock);
    while (d->writing && in_time)
        in_time = cond_wait(&d->changed, &d->lock, until_ms);
    /* Nobody heard: what is in the file is better than nothing. */
    bool fresh = d->peers_fresh && d->peers_count > 0 && !d->writing;
    *ret_count = d->peers_count;
    memcpy(ret, d->peers, d->peers_count * sizeof *ret);
    d->peers_fresh = d->peers_fresh && d->writing;
    d->writing = d->writing || fresh;
    lock_drop(&d->lock);
    return fresh;
}

/* False when there was nothing new. */
static bool
write_peers(struct discover *d)
{
    AUTO(buf_release) struct buf text;
    struct node_addr peers[DISCOVER_PEERS_MAX];
    char line[ADDR_TEXT_MAX];
    size_t count;
    buf_init(&text, NAMES_ROOM);
    if (!take_peers(d, peers, &count))
        return false;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        addr_print(&peers[i], line);
        rc = buf_printf(&text, "%s\n", line);
    }
    rc = rc < 0 ? rc : write_file(d->dir, &text);
    if (rc < 0)
        LOG(peers_file, LOG_S("dir", d->dir), LOG_S("error", err_text(rc)));
    lock_take(&d->lock);
    d->writing = false;
    cond_wake(&d->changed);
    lock_drop(&d->lock);
    return true;
}

/* ---- the thread ---- */

/* Until the time, or until the end: then false. */
static bool
rest(struct discover *d, int64_t until_ms)
{
    bool in_time = true;
    lock_take(&d->lock);
    while (!d->closing && in_time && (!d->peers_fresh || clock_ms() < d->write_ms))
        in_time = cond_wait(&d->changed, &d->lock, until_ms);
    bool goes_on = !d->closing;
    lock_drop(&d->lock);
    return goes_on;
}

static void
run(void *arg)
{
    struct discover *d = arg;
    int64_t resolve_ms = 0;
    bool goes_on = true;
    while (goes_on) {
        if (clock_ms() >= resolve_ms) {
            bool good = resolve_all(d);
            resolve_ms = clock_ms() + (good ? DISCOVER_EVERY_MS : DISCOVER_SOON_MS);
        }
        if (clock_ms() >= d->write_ms && write_peers(d))
            d->write_ms = clock_ms() + DISCOVER_FILE_EVERY_MS;
        goes_on = rest(d, resolve_ms);
    }
    leave(d);
}

/* ---- outside ---- */

static int
take_seed(struct discover *d, const char *text, struct err *e)
{
    char host[ADDR_HOST_MAX];
    struct seed *s = &d->seeds[d->seeds_count];
    bool all = text_starts(text, ALL);
    if (addr_split(all ? text + strlen(ALL) : text, host, &s->port) < 0 || host[0] == '\0' ||
        s->port == 0)
        return err_set(e, ERR_CONFIG, "p2p.seeds: \"%s\": expected HOST:PORT or dns:NAME:PORT",
                       text);
    s->all = all;
    s->host = mem_strdup(host);
    d->seeds_count++;
    return 0;
}

static int
take_seeds(struct discover *d, char *const *seeds, size_t count, struct err *e)
{
    int rc = 0;
    if (count > DISCOVER_SEEDS_MAX)
        return err_set(e, ERR_CONFIG, "p2p.seeds: at most %d", DISCOVER_SEEDS_MAX);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = take_seed(d, seeds[i], e);
    return rc;
}

/* The thread goes its own way: nobody waits for its end, since a resolver may take half a
 * minute. */
static int
start(struct discover *d, struct err *e)
{
    struct thread thread;
    atomic_store(&d->refs, 2);
    int rc = thread_start(&thread, "p2p-names", run, d);
    if (rc < 0) {
        atomic_store(&d->refs, 1);
        return err_set(e, rc, "p2p-names thread: %s", err_text(rc));
    }
    must(pthread_detach(thread.id) == 0);
    return 0;
}

int
discover_open(const char *dir, char *const *seeds, size_t count, struct discover **ret,
              struct err *e)
{
    struct discover *d = mem_zalloc(sizeof *d);
    atomic_init(&d->refs, 1);
    lock_init(&d->lock, LOCK_LEAF);
    cond_init(&d->changed);
    d->dir = mem_strdup(dir);
    read_last(d);
    int rc = take_seeds(d, seeds, count, e);
    rc = rc < 0 ? rc : start(d, e);
    if (rc < 0) {
        leave(d);
        return rc;
    }
    *ret = d;
    return 0;
}

void
discover_close(struct discover *d)
{
    if (d == NULL)
        return;
    (void)write_peers(d);
    lock_take(&d->lock);
    d->closing = true;
    cond_wake(&d->changed);
    lock_drop(&d->lock);
    leave(d);
}

bool
discover_seeds(struct discover *d, uint64_t *version, struct node_addr ret[DISCOVER_ADDRS_MAX],
               size_t *ret_count)
{
    lock_take(&d->lock);
    bool fresh = *version != d->version;
    *version = d->version;
    if (fresh) {
        memcpy(ret, d->addrs, d->addrs_count * sizeof *ret);
        *ret_count = d->addrs_count;
    }
    lock_drop(&d->lock);
    return fresh;
}

size_t
discover_last(const struct discover *d, struct node_addr ret[DISCOVER_PEERS_MAX])
{
    memcpy(ret, d->last, d->last_count * sizeof *ret);
    return d->last_count;
}

void
discover_remember(struct discover *d, const struct node_addr *peers, size_t count)
{
    if (count > DISCOVER_PEERS_MAX)
        count = DISCOVER_PEERS_MAX;
    lock_take(&d->lock);
    memcpy(d->peers, peers, count * sizeof *peers);
    d->peers_count = count;
    d->peers_fresh = true;
    cond_wake(&d->changed);
    lock_drop(&d->lock);
}
