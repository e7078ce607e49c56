/* Re-hashing of stored blobs. After an unclean stop everything stored is unsure; this thread
 * passes over it at a bounded rate, so that checking never stands in the way of serving. A
 * blob that is asked for meanwhile is checked at once by the hash threads instead. */
#include "cache/scrub.h"
#include "base/clock.h"
#include "base/fs.h"
#include "cache/disk.h"
#include "cache/entry.h"

#define STEP_BYTES    (256u * 1024)
#define SCRUB_BYTES_S (32u * 1024 * 1024) /* 2 to 4 % of one core, a disk's small change */

size_t
scrub_list(struct cache *c, bool unsure_only, struct digest **ret)
{
    size_t count = 0;
    lock_take(&c->lock);
    struct digest *list = mem_alloc((c->stored_count + 1) * sizeof *list);
    for (const struct entry *e = c->oldest; e != NULL; e = e->next) {
        if (e->state == ENTRY_STORED && (e->unsure || !unsure_only)) {
            list[count++] = e->digest;
        }
    }
    lock_drop(&c->lock);
    *ret = list;
    return count;
}

/* False when the cache closes. */
static bool
pause_ms(struct cache *c, int64_t wait_ms)
{
    int64_t until_ms = clock_ms() + wait_ms;
    lock_take(&c->lock);
    while (!c->checks_end && wait_ms > 0 && cond_wait(&c->pace, &c->lock, until_ms)) {
    }
    bool going_on = !c->checks_end;
    lock_drop(&c->lock);
    return going_on;
}

/* Hashes the whole file: 0, ERR_CLOSED when the cache closes, or what the disk said. */
static int
hash_file(struct cache *c, int fd, uint64_t size, bool slowly, struct digest *ret)
{
    struct digester *digester = digester_new((enum digest_alg)ret->alg);
    uint8_t *room = mem_alloc(STEP_BYTES);
    int rc = 0;
    for (uint64_t at = 0; at < size && rc == 0;) {
        size_t n = size - at < STEP_BYTES ? (size_t)(size - at) : STEP_BYTES;
        bool going_on = pause_ms(c, slowly ? (int64_t)n * 1000 / SCRUB_BYTES_S : 0);
        rc = going_on ? fs_read_at(fd, at, room, n) : ERR_CLOSED;
        if (rc == 0) {
            digester_add(digester, room, n);
            metric_add(M_scrub_bytes, n);
        }
        at += n;
    }
    digester_finish(digester, ret);
    digester_free(digester);
    mem_free(room);
    return rc;
}

/* Is it stored, and for a slow check still worth it? */
static bool
wanted(struct cache *c, const struct digest *d, bool slowly)
{
    lock_take(&c->lock);
    const struct entry *e = entry_find(c, d);
    bool is = !c->checks_end && e != NULL && e->state == ENTRY_STORED &&
              (!slowly || (e->unsure && e->blob == NULL));
    lock_drop(&c->lock);
    return is;
}

static void
found_good(struct cache *c, const struct digest *d)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL && e->state == ENTRY_STORED && e->blob == NULL) {
        e->unsure = false;
    }
    lock_drop(&c->lock);
}

/* A blob that the hash threads pass over at this moment is left to them: they find the same
 * and tell its readers. */
void
scrub_found_bad(struct cache *c, const struct digest *d)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    bool theirs = false;
    if (e != NULL && e->blob != NULL) {
        lock_take(&e->blob->lock);
        theirs = e->blob->phase != BLOB_WHOLE;
        lock_drop(&e->blob->lock);
    }
    if (e != NULL && e->state == ENTRY_STORED && !theirs) {
        entry_doom(c, e, DOOM_QUARANTINE, M_evict_corrupt);
        metric_add(M_digest_failures, 1);
    }
    lock_drop(&c->lock);
    disk_wake(c);
}

enum scrub_result
scrub_check(struct cache *c, const struct digest *d, bool slowly, uint64_t *ret_bytes)
{
    AUTO(fd_close) int fd = -1;
    uint64_t size = 0;
    *ret_bytes = 0;
    if (!wanted(c, d, slowly) || store_open_blob(&c->store, d, &fd, &size) < 0) {
        return SCRUB_SKIPPED;
    }
    struct digest got = {.alg = d->alg};
    int rc = hash_file(c, fd, size, slowly, &got);
    if (rc == ERR_CLOSED) {
        return SCRUB_SKIPPED;
    }
    *ret_bytes = size;
    if (rc < 0) {
        /* Bytes that cannot be read are as bad as wrong ones: every client would be cut there. */
        (void)cache_disk_failed(c, "verify", rc);
    } else if (digest_equal(&got, d)) {
        found_good(c, d);
        return SCRUB_GOOD;
    }
    scrub_found_bad(c, d);
    return SCRUB_BAD;
}

static void
run(void *arg)
{
    struct cache *c = arg;
    struct digest *list = NULL;
    size_t count = scrub_list(c, true, &list);
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes;
        (void)scrub_check(c, &list[i], true, &bytes);
    }
    mem_free(list);
}

int
scrub_start(struct cache *c)
{
    return thread_start(&c->scrub_thread, "ps-scrub", run, c);
}
