/* Packing at rest. The pack thread writes and checks the new file, the disk thread swaps the two,
 * because it is the only one that names and removes files:
 *
 *   partial/HEX.GEN.zst     written, synced, read back: its frames hash to the digest
 *   FORMAT                  says that packed blobs may be here: an older program refuses the folder
 *   blobs/../HEX.zst        named, the folder synced; a crash here leaves both files, both right
 *   the map                 the entry is packed, of a new generation: who opened the old file for a
 *                           look looks again
 *   blobs/../HEX            removed
 *
 * A blob that somebody opened meanwhile keeps its file, and the new one goes. */
#include "cache/pack.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/zstd.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/format.h"
#include "cache/recover.h"
#include "cache/room.h"
#include "cache/scrub.h"
#include <errno.h>

#define STEP_BYTES (256u * 1024)
/* Times as long as a step took: a quarter of one processor at most. */
#define REST 3
/* Of the plain file; what shrinks to less than this part is kept, in thousandths. */
#define WORTH_PERMILLE ZSTD_WORTH

static bool
rest(void *arg, size_t bytes, int64_t took_ms)
{
    struct cache *c = arg;
    (void)bytes;
    return scrub_rest(c, &c->packed, took_ms * REST);
}

/* ---- which ---- */

static bool is_wanted(const struct cache *c, const struct entry *e) NEEDS(c->lock);
static bool
is_wanted(const struct cache *c, const struct entry *e)
{
    bool idle = room_now_s(c) - e->worth.asked_s >= (uint32_t)(c->pack_idle_ms / 1000);
    return e->state == ENTRY_STORED && !e->packed && !e->plain && !e->unsure && e->blob == NULL &&
           !e->worth.twin && idle && e->worth.size >= c->pack_bytes_min &&
           e->worth.size <= (uint64_t)FRAMES_MAX * FRAME_BYTES;
}

static bool
next_wanted(struct cache *c, uint64_t *at, struct packing *ret)
{
    const struct entry *e;
    lock_take(&c->lock);
    do {
        e = index_next(&c->map, at);
    } while (e != NULL && !is_wanted(c, e));
    if (e != NULL) {
        *ret = (struct packing){.digest = entry_digest(e),
                                .gen = e->gen,
                                .name = c->next_gen++,
                                .plain_bytes = e->worth.size,
                                .fd = -1};
    }
    lock_drop(&c->lock);
    return e != NULL;
}

/* The same file as when it was chosen, and nobody has it open. */
static struct entry *still(struct cache *c, const struct packing *p) NEEDS(c->lock);
static struct entry *
still(struct cache *c, const struct packing *p)
{
    struct entry *e = entry_find(c, &p->digest);
    return e != NULL && e->gen == p->gen && is_wanted(c, e) ? e : NULL;
}

static void
leave_plain(struct cache *c, const struct packing *p)
{
    lock_take(&c->lock);
    struct entry *e = still(c, p);
    if (e != NULL) {
        e->plain = true;
    }
    lock_drop(&c->lock);
}

/* ---- the new file ---- */

/* Room for it is free: nothing leaves for this. */
static bool
reserve(struct cache *c, uint64_t bytes)
{
    struct fs_space space;
    if (store_space(&c->store, &space) < 0 || cache_files_lacking(&space) > 0) {
        return false;
    }
    lock_take(&c->lock);
    bool fits = c->used_bytes + bytes <= c->limit_bytes && c->min_free_bytes <= space.free_bytes &&
                bytes <= space.free_bytes - c->min_free_bytes;
    c->packing_bytes = fits ? bytes : 0;
    lock_drop(&c->lock);
    return fits;
}

static void
give_back(struct cache *c)
{
    lock_take(&c->lock);
    c->packing_bytes = 0;
    lock_drop(&c->lock);
}

/* What was written hashes to the digest. ERR_DIGEST, ERR_CLOSED, -errno. */
static int
check(struct cache *c, const struct packing *p)
{
    struct frames *f = NULL;
    int rc = frames_open(p->fd, &f);
    if (rc < 0) {
        return rc;
    }
    struct digest got;
    struct digester *digester = digester_new((enum digest_alg)p->digest.alg);
    uint8_t *room = mem_alloc(STEP_BYTES);
    int64_t took_ms = 0;
    size_t n;
    for (uint64_t at = 0; at < p->plain_bytes && rc == 0; at += n) {
        bool going_on = scrub_rest(c, &c->packed, took_ms * REST);
        int64_t begun_ms = clock_ms();
        n = p->plain_bytes - at < STEP_BYTES ? (size_t)(p->plain_bytes - at) : STEP_BYTES;
        rc = going_on ? frames_read(f, p->fd, at, room, n) : ERR_CLOSED;
        if (rc == 0) {
            digester_add(digester, room, n);
        }
        took_ms = clock_ms() - begun_ms;
    }
    digester_finish(digester, &got);
    digester_free(digester);
    mem_free(room);
    frames_free(f);
    return rc < 0 || digest_equal(&got, &p->digest) ? rc : ERR_DIGEST;
}

static int
write_file(struct cache *c, int from, struct packing *p, uint64_t max_bytes)
{
    int rc = store_create_packed(&c->store, &p->digest, p->name, &p->fd);
    if (rc == 0) {
        rc = fs_reserve(p->fd, max_bytes, NULL);
    }
    if (rc == 0) {
        int64_t bytes = frames_pack(from, p->plain_bytes, p->fd, max_bytes, rest, c);
        rc = bytes < 0 ? (int)bytes : fs_sync(p->fd);
        p->bytes = bytes < 0 ? 0 : (uint64_t)bytes;
    }
    return rc < 0 ? rc : check(c, p);
}

/* Leaves the swap to the disk thread, which ends behind this one. */
static int
swap(struct cache *c, struct packing *p)
{
    int rc = format_set(&c->store, FORMAT_PACKED);
    if (rc < 0) {
        return rc;
    }
    lock_take(&c->lock);
    must(c->packing == NULL);
    c->packing = p;
    lock_drop(&c->lock);
    disk_wake(c);
    lock_take(&c->lock);
    while (!p->done) {
        (void)cond_wait(&c->packed, &c->lock, INT64_MAX);
    }
    lock_drop(&c->lock);
    return p->rc;
}

static int
make(struct cache *c, const struct stored *from, struct packing *p)
{
    uint64_t max_bytes = p->plain_bytes / 1000 * WORTH_PERMILLE;
    if (!reserve(c, max_bytes)) {
        return ERR_FULL;
    }
    int rc = write_file(c, from->fd, p, max_bytes);
    rc = rc < 0 ? rc : swap(c, p);
    if (rc < 0 && p->fd >= 0) {
        (void)!store_drop_packed(&c->store, &p->digest, p->name); /* else the next start does */
    }
    fd_close(&p->fd);
    give_back(c);
    return rc;
}

/* ---- one blob ---- */

static void
tell(const struct packing *p)
{
    char text[DIGEST_TEXT_MAX];
    digest_print(&p->digest, text);
    LOG(blob_packed, LOG_S("digest", text), LOG_U("bytes", p->plain_bytes),
        LOG_U("packed_bytes", p->bytes));
}

static void
pack(struct cache *c, struct packing *p)
{
    AUTO(stored_close) struct stored from = {.fd = -1};
    if (store_open_blob(&c->store, &p->digest, false, &from) < 0 || from.size != p->plain_bytes) {
        return; /* it has just left, or the next request finds out */
    }
    unsigned permille = zstd_sample(from.fd, 0, from.size);
    if (permille >= WORTH_PERMILLE) {
        if (permille <= 1000) {
            leave_plain(c, p);
        }
        return;
    }
    uint64_t bytes;
    int rc = make(c, &from, p);
    if (rc == 0) {
        tell(p);
    } else if (rc == ERR_LIMIT) {
        leave_plain(c, p); /* the sample was luckier than the rest */
    } else if (rc == ERR_DIGEST) {
        (void)scrub_check(c, &p->digest, SCRUB_NOW, &bytes);
        leave_plain(c, p);
    } else if (rc != ERR_CLOSED && rc != ERR_FULL && rc != ERR_AGAIN) {
        (void)cache_disk_failed(c, "pack", rc);
    }
}

/* ---- the swap: disk thread ---- */

static bool
may_swap(struct cache *c, const struct packing *p)
{
    lock_take(&c->lock);
    bool may = still(c, p) != NULL;
    lock_drop(&c->lock);
    return may;
}

/* It has its name: the entry is that file from now on, unless it was opened or left meanwhile. */
static bool
take_over(struct cache *c, const struct packing *p)
{
    lock_take(&c->lock);
    struct entry *e = still(c, p);
    if (e != NULL) {
        e->gen = c->next_gen++;
        entry_set_packed(c, e, p->bytes, p->plain_bytes);
    }
    lock_drop(&c->lock);
    return e != NULL;
}

static int
swap_files(struct cache *c, const struct packing *p)
{
    if (!may_swap(c, p)) {
        return ERR_AGAIN;
    }
    int rc = recover_drop_marker(c);
    rc = rc < 0 ? rc : store_publish_packed(&c->store, &p->digest, p->name, p->fd);
    bool taken = rc == 0 && take_over(c, p);
    int gone = store_remove_copy(&c->store, &p->digest, !taken);
    if (gone < 0 && gone != -ENOENT) {
        (void)cache_disk_failed(c, "remove", gone);
        c->leftovers = true;
    }
    return rc < 0 || taken ? rc : ERR_AGAIN;
}

void
pack_swap(struct cache *c)
{
    lock_take(&c->lock);
    struct packing *p = c->packing;
    lock_drop(&c->lock);
    if (p == NULL) {
        return;
    }
    int rc = swap_files(c, p);
    lock_take(&c->lock);
    c->packing = NULL;
    p->rc = rc;
    p->done = true;
    cond_wake(&c->packed);
    lock_drop(&c->lock);
}

/* ---- the thread ---- */

static void
run(void *arg)
{
    struct cache *c = arg;
    struct packing p;
    thread_lower(); /* best effort */
    do {
        for (uint64_t at = 0; scrub_rest(c, &c->packed, 0) && next_wanted(c, &at, &p);) {
            pack(c, &p);
        }
    } while (scrub_rest(c, &c->packed, c->pack_idle_ms));
}

int
pack_start(struct cache *c)
{
    return thread_start(&c->pack_thread, "ps-pack", run, c);
}
