/* Re-hashing of stored blobs. After an unclean stop everything stored is unsure; this thread
 * passes over it at a bounded rate, so that checking never stands in the way of serving. A
 * blob that is asked for meanwhile is checked at once by the hash threads instead.
 *
 * After that it goes round all that is stored, a blob at a time, evenly over scrub_ms: disks
 * rot, and what sendfile sends is not hashed. It reads each blob in one go, because a file that
 * is open is not gone when it is evicted. */
#include "cache/scrub.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/rng.h"
#include "cache/content.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/pace.h"
#include <errno.h>

#define STEP_BYTES (256u * 1024)

bool
scrub_next(struct cache *c, enum scrub_kind kind, uint64_t *at, struct digest *ret)
{
    const struct entry *e;
    lock_take(&c->lock);
    do {
        e = index_next(&c->map, at);
    } while (e != NULL && (e->state != ENTRY_STORED || (kind == SCRUB_UNSURE && !e->unsure)));
    if (e != NULL) {
        *ret = entry_digest(e);
    }
    lock_drop(&c->lock);
    return e != NULL;
}

bool
scrub_rest(struct cache *c, struct cond *woken, int64_t wait_ms)
{
    int64_t until_ms = clock_ms() + wait_ms;
    lock_take(&c->lock);
    while (!c->checks_end && wait_ms > 0 && cond_wait(woken, &c->lock, until_ms)) {
    }
    bool going_on = !c->checks_end;
    lock_drop(&c->lock);
    return going_on;
}

/* Hashes the whole file: 0, ERR_CLOSED when the cache closes, or what the disk said. */
static int
hash_file(struct cache *c, const struct stored *file, enum scrub_kind kind, struct digest *ret)
{
    uint64_t size = file->size;
    struct digester *digester = digester_new((enum digest_alg)ret->alg);
    uint8_t *room = mem_alloc(STEP_BYTES);
    int rc = 0;
    int64_t took_ms = 0;
    for (uint64_t at = 0; at < size && rc == 0;) {
        size_t n = size - at < STEP_BYTES ? (size_t)(size - at) : STEP_BYTES;
        bool going_on = scrub_rest(c, &c->pace, kind == SCRUB_NOW ? 0 : pace_rest_ms(n, took_ms));
        int64_t begun_ms = clock_ms();
        rc = going_on ? frames_read(file->frames, file->fd, at, room, n) : ERR_CLOSED;
        if (rc == 0) {
            digester_add(digester, room, n);
            metric_add(M_scrub_bytes, n);
        }
        took_ms = clock_ms() - begun_ms;
        at += n;
    }
    digester_finish(digester, ret);
    digester_free(digester);
    mem_free(room);
    return rc;
}

/* Which file is judged: it may leave and be fetched again while it is read, and a doubt that arises
 * then is not answered by what was read. */
struct judged {
    uint64_t gen;
    uint32_t mark; /* the entry's, when the file was not opened yet */
    uint32_t read; /* that of the file which was read */
    bool packed, unsure;
};

/* Is it stored, and a check of this kind worth it? */
static bool
wanted(struct cache *c, const struct digest *d, enum scrub_kind kind, struct judged *ret)
{
    lock_take(&c->lock);
    const struct entry *e = entry_find(c, d);
    bool is = !c->checks_end && e != NULL && e->state == ENTRY_STORED &&
              (kind == SCRUB_NOW || e->blob == NULL) && (kind != SCRUB_UNSURE || e->unsure);
    if (is) {
        *ret = (struct judged){
            .gen = e->gen, .mark = e->mark, .packed = e->packed, .unsure = e->unsure};
    }
    lock_drop(&c->lock);
    return is;
}

/* Of what was unsure already only the mark tells that it was written to meanwhile. */
static bool
is_answered(const struct entry *e, const struct judged *was)
{
    return !e->unsure || (was->unsure && (e->mark == was->mark || e->mark == was->read));
}

static void
found_good(struct cache *c, const struct digest *d, const struct judged *was)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL && e->state == ENTRY_STORED && e->gen == was->gen && e->blob == NULL &&
        is_answered(e, was)) {
        entry_sure(e);
    }
    lock_drop(&c->lock);
}

/* A blob that the hash threads pass over at this moment is left to them: they find the same
 * and tell its readers. */
static void
found_bad(struct cache *c, const struct digest *d, uint64_t gen)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    bool theirs = false;
    if (e != NULL && e->blob != NULL) {
        lock_take(&e->blob->lock);
        theirs = e->blob->phase != BLOB_WHOLE;
        lock_drop(&e->blob->lock);
    }
    if (e != NULL && e->state == ENTRY_STORED && e->gen == gen && !theirs) {
        entry_doom(c, e, DOOM_QUARANTINE, M_evict_corrupt);
        metric_add(M_digest_failures, 1);
    }
    lock_drop(&c->lock);
    disk_wake(c);
}

void
scrub_read_bad(const struct blob *b)
{
    if (b->foreign) {
        content_judge(b->cache->content, &b->digest, &b->file, false);
    } else {
        found_bad(b->cache, &b->digest, b->gen);
    }
}

enum scrub_result
scrub_check(struct cache *c, const struct digest *d, enum scrub_kind kind, uint64_t *ret_bytes)
{
    AUTO(stored_close) struct stored file = {.fd = -1};
    struct judged which;
    *ret_bytes = 0;
    if (!wanted(c, d, kind, &which)) {
        return SCRUB_SKIPPED;
    }
    int rc = store_open_blob(&c->store, d, which.packed, &file);
    if (rc < 0 && rc != -EBADMSG) {
        return SCRUB_SKIPPED;
    }
    which.read = entry_mark(file.mtime_ns);
    struct digest got = {.alg = d->alg};
    if (rc == 0 && kind == SCRUB_ROUND) {
        fs_drop_cached(file.fd);
    }
    rc = rc < 0 ? rc : hash_file(c, &file, kind, &got);
    if (rc == 0 && kind == SCRUB_ROUND) {
        fs_drop_cached(file.fd); /* nobody asked for it */
    }
    if (rc == ERR_CLOSED) {
        return SCRUB_SKIPPED;
    }
    *ret_bytes = file.size;
    if (rc < 0) {
        /* Bytes that cannot be read are as bad as wrong ones: every client would be cut there. */
        (void)cache_disk_failed(c, "verify", rc);
    } else if (digest_equal(&got, d)) {
        found_good(c, d, &which);
        return SCRUB_GOOD;
    }
    found_bad(c, d, which.gen);
    return SCRUB_BAD;
}

enum scrub_result
scrub_foreign(struct cache *c, const struct digest *d, uint64_t *ret_bytes)
{
    AUTO(fd_close) int fd = -1;
    struct fs_id id, now;
    struct digest got = {.alg = d->alg};
    bool good;
    *ret_bytes = 0;
    if (content_open(c->content, d, &fd, &id, &good) < 0) {
        return SCRUB_SKIPPED;
    }
    struct stored file = {.fd = fd, .size = id.size};
    int rc = hash_file(c, &file, SCRUB_NOW, &got);
    if (rc == ERR_CLOSED || fs_id(fd, &now) < 0 || !fs_id_equal(&now, &id)) {
        return SCRUB_SKIPPED; /* containerd has deleted or changed it meanwhile */
    }
    *ret_bytes = id.size;
    good = rc == 0 && digest_equal(&got, d);
    content_judge(c->content, d, &id, good);
    if (good) {
        content_record(c->content, d, &id, fd);
        return SCRUB_GOOD;
    }
    metric_add(M_digest_failures, 1);
    return SCRUB_BAD;
}

/* Checks what is unsure, without a pause. */
static void
check_unsure(struct cache *c)
{
    struct digest d;
    for (uint64_t at = 0; scrub_next(c, SCRUB_UNSURE, &at, &d);) {
        uint64_t bytes;
        (void)scrub_check(c, &d, SCRUB_UNSURE, &bytes);
    }
}

/* How long to rest before the next blob, so that a round takes scrub_ms. */
static int64_t
rest_ms(struct cache *c)
{
    lock_take(&c->lock);
    int64_t ms = c->scrub_ms / (int64_t)(c->stored_count + 1);
    lock_drop(&c->lock);
    return ms;
}

/* What is left of a round from *at on. False when the cache closes. */
static bool
go_round(struct cache *c, uint64_t at)
{
    struct digest d;
    bool going_on = scrub_rest(c, &c->pace, rest_ms(c));
    while (going_on && scrub_next(c, SCRUB_ROUND, &at, &d)) {
        uint64_t bytes;
        (void)scrub_check(c, &d, SCRUB_ROUND, &bytes);
        going_on = scrub_rest(c, &c->pace, rest_ms(c));
    }
    return going_on;
}

static void
run(void *arg)
{
    struct cache *c = arg;
    struct rng rng;
    rng_init(&rng, (uint64_t)clock_us());
    check_unsure(c);
    /* From anywhere on: a node that is restarted often comes past every blob all the same. */
    bool going_on = go_round(c, rng_next(&rng));
    while (going_on) {
        going_on = go_round(c, 0);
    }
}

int
scrub_start(struct cache *c)
{
    return thread_start(&c->scrub_thread, "ps-scrub", run, c);
}
