/* How a blob in memory is filled, becomes verified and durable, or ends.
 *
 *   fetch thread      blob_begin  -> room in the accounts, partial file, FILLING
 *                     blob_claim, blob_write, ...
 *   hash threads      blob_verified                 VERIFIED    -> mail to the disk thread
 *   disk thread       publishes (disk.c)            WHOLE
 *   any of them       blob_end                      FAILED      -> file parked or doomed
 *
 * A partial file belongs to one blob at a time. It is parked in the entry when its blob ends
 * and taken up by the next blob_begin; a write that is still at the disk then (`writing`)
 * forbids that, because it could land on bytes that the next one has checked. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cache/blob.h"
#include "cache/content.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/pass.h"
#include "cache/room.h"
#include "cache/window.h"
#include "cache/words_inside.h"
#include <errno.h>

/* Progress between two saves of the piece map: what a crash may cost. */
#define SAVE_BYTES (64u * 1024 * 1024)
/* Progress between two hints to write dirty pages, so that the last fsync is short. */
#define FLUSH_BYTES (8u * 1024 * 1024)
/* The file system may need evicted files really gone before it can reserve. */
#define DRAIN_MS 1000

/* ---- begin ---- */

/* What blob_begin works with between the accounts and the file. */
struct beginning {
    uint64_t size, gen;
    struct pieces *pieces; /* of the partial file that is continued, or NULL */
    uint64_t promised_bytes;
    int fd;
};

/* Takes up the parked file of the same size; drops one of another. */
static void take_parked(struct cache *c, struct entry *e, struct beginning *w) NEEDS(c->lock);
static void
take_parked(struct cache *c, struct entry *e, struct beginning *w)
{
    lock_must_hold(&c->lock);
    if (e->state == ENTRY_PARTIAL && entry_size(e) == w->size) {
        w->pieces = e->parked;
        w->gen = e->gen;
        e->parked = NULL;
    } else if (e->state == ENTRY_PARTIAL) {
        struct digest d = entry_digest(e);
        entry_doom_partial(c, &d, e->gen, e->worth.size);
        entry_set(c, e, ENTRY_ABSENT, 0);
    }
}

/* So much of the file system's free bytes is its own, though they are still free: it cannot keep
 * them for the file. */
static void
promise(struct cache *c, struct beginning *w, uint64_t bytes)
{
    atomic_fetch_add(&c->promised_bytes, bytes - w->promised_bytes);
    w->promised_bytes = bytes;
}

static int
reserve_account(struct blob *b, uint64_t free_bytes, struct beginning *w)
{
    struct cache *c = b->cache;
    bool reserves = c->store.reserves;
    int rc = 0;
    lock_take(&c->lock);
    struct entry *e = b->entry;
    if (e == NULL) {
        rc = ERR_CLOSED; /* somebody failed it meanwhile */
    } else {
        take_parked(c, e, w);
        uint64_t held = w->pieces != NULL ? w->pieces->have_bytes : 0;
        rc = w->pieces == NULL ? room_make(c, &b->digest, w->size, free_bytes)
             : reserves        ? 0 /* it has its room since it began */
                               : room_go_on(c, &b->digest, w->size, held, free_bytes);
        promise(c, w, rc == 0 && !reserves ? w->size - held : 0);
        if (rc < 0 && w->pieces != NULL) {
            e->parked = w->pieces; /* it may go on later, or leave for others */
            w->pieces = NULL;
        }
        if (w->pieces == NULL && rc == 0) {
            e->gen = w->gen = c->next_gen++;
        }
        if (rc == 0) {
            entry_set(c, e, ENTRY_PARTIAL, w->size);
        }
    }
    lock_drop(&c->lock);
    disk_wake(c);
    return rc;
}

/* True when the parked file is there and as long as it has to be. */
static bool
open_parked(struct blob *b, struct beginning *w)
{
    uint64_t size;
    if (store_open_partial(&b->cache->store, &b->digest, w->gen, &w->fd, &size) < 0) {
        return false;
    }
    if (size != w->size) {
        fd_close(&w->fd);
    }
    return size == w->size;
}

static int
make_file(struct blob *b, struct beginning *w)
{
    int rc = w->fd >= 0 ? 0 : store_create_partial(&b->cache->store, &b->digest, w->gen, &w->fd);
    return rc < 0 ? rc : fs_reserve(w->fd, w->size, NULL);
}

static int
create_file(struct blob *b, struct beginning *w)
{
    int rc = make_file(b, w);
    if (rc == -ENOSPC || rc == -EDQUOT) {
        disk_drain(b->cache, clock_ms() + DRAIN_MS);
        rc = make_file(b, w);
    }
    return rc;
}

/* The parked file was taken from the entry and turned out to be gone: a new one. */
static void
start_clean(struct blob *b, struct beginning *w)
{
    struct cache *c = b->cache;
    pieces_free(w->pieces);
    w->pieces = NULL;
    lock_take(&c->lock);
    entry_doom_partial(c, &b->digest, w->gen, 0);
    promise(c, w, c->store.reserves ? 0 : w->size);
    w->gen = c->next_gen++;
    if (b->entry != NULL) {
        b->entry->gen = w->gen;
    }
    lock_drop(&c->lock);
}

static int
begin_file(struct blob *b, struct beginning *w)
{
    struct fs_space space;
    int rc = store_space(&b->cache->store, &space);
    if (rc < 0) {
        return rc;
    }
    rc = reserve_account(b, space.free_bytes, w);
    if (rc < 0) {
        return rc;
    }
    if (w->pieces != NULL && open_parked(b, w)) {
        return 0;
    }
    if (w->pieces != NULL) {
        start_clean(b, w);
    }
    return create_file(b, w);
}

/* Hands the file to the blob. When somebody has failed it meanwhile, nobody else would end the
 * file: its code. */
static int
adopt(struct blob *b, struct beginning *w)
{
    struct cache *c = b->cache;
    int rc = 0;
    lock_take(&c->lock);
    lock_take(&b->lock);
    b->gen = w->gen;
    b->fd = w->fd;
    b->pieces = w->pieces != NULL ? w->pieces : pieces_new(w->size);
    b->saved_bytes = b->flushed_bytes = b->pieces->have_bytes;
    if (c->tell_words != NULL && b->pieces->count > 1) {
        b->words = words_new(w->size);
    }
    if (b->phase == BLOB_ASKED) {
        b->size = w->size;
        b->promised_bytes = w->promised_bytes;
        b->phase = BLOB_FILLING;
        cond_wake(&b->grew);
    } else if (b->phase == BLOB_FAILED) {
        b->doomed = true;
        entry_doom_partial(c, &b->digest, w->gen, 0);
        rc = b->error;
        promise(c, w, 0);
    }
    lock_drop(&b->lock);
    lock_drop(&c->lock);
    return rc;
}

/* It did not come to a file that can be filled: what there is of it goes, but for what stayed
 * parked. */
static void
give_up(struct blob *b, struct beginning *w)
{
    struct cache *c = b->cache;
    pieces_free(w->pieces);
    fd_close(&w->fd);
    promise(c, w, 0);
    lock_take(&c->lock);
    struct entry *e = b->entry;
    if (e != NULL && e->state == ENTRY_PARTIAL && e->parked == NULL) {
        entry_doom_partial(c, &b->digest, e->gen, e->worth.size);
        entry_set(c, e, ENTRY_ABSENT, 0);
    }
    lock_drop(&c->lock);
    disk_wake(c);
}

/* The disk cannot take it (-errno, or ERR_FULL): 0 when it is FILLING all the same, in memory; else
 * it FAILS. */
static int
begin_in_memory(struct blob *b, uint64_t size, int rc)
{
    char text[DIGEST_TEXT_MAX];
    digest_print(&b->digest, text);
    int code = rc == ERR_FULL ? rc : cache_disk_failed(b->cache, "begin", rc);
    if (code == ERR_FULL) {
        metric_add(M_store_full, 1);
    }
    lock_take(&b->lock);
    bool may = b->may_window && size > 0 && size <= WINDOW_BLOB_MAX;
    lock_drop(&b->lock);
    if (may && window_begin(b, size) == 0) {
        metric_add(M_windows_opened, 1);
        LOG(store_window, LOG_S("digest", text), LOG_U("bytes", size),
            LOG_S("why", err_text(code)));
        blob_hash(b);
        return 0;
    }
    if (rc == ERR_FULL) {
        LOG(store_full, LOG_S("digest", text));
    }
    blob_end(b, code, FATE_DROP);
    return code;
}

void
blob_set_shared(struct blob *b, bool may)
{
    lock_take(&b->lock);
    b->may_window = may && b->pass == NULL;
    lock_drop(&b->lock);
}

/* May it wait longer for what the site says of the blobs that have to leave for it? */
static bool
waits_for_room(struct blob *b, bool patient)
{
    int64_t now_ms = clock_ms();
    lock_take(&b->lock);
    if (b->room_ms == 0) {
        b->room_ms = now_ms + CACHE_ROOM_WAIT_MS;
    }
    bool waits = patient && now_ms < b->room_ms;
    lock_drop(&b->lock);
    return waits;
}

static int
begin(struct blob *b, uint64_t size, bool patient)
{
    if (b->pass != NULL) {
        return pass_begin(b, size);
    }
    lock_take(&b->lock);
    enum blob_phase phase = b->phase;
    int rc = phase == BLOB_FAILED ? b->error : b->size == size ? 0 : ERR_SIZE;
    if (phase == BLOB_ASKED) {
        b->told_size = size; /* known, though nothing may come of it */
    }
    lock_drop(&b->lock);
    if (phase != BLOB_ASKED) {
        return rc;
    }
    if (size >= CACHE_SIZE_UNKNOWN / 4) {
        return begin_in_memory(b, size, ERR_FULL); /* sums of sizes must not wrap */
    }

    struct beginning w = {.size = size, .fd = -1};
    rc = begin_file(b, &w);
    if (rc == ERR_AGAIN && waits_for_room(b, patient)) {
        return ERR_AGAIN;
    }
    rc = rc == ERR_AGAIN ? ERR_FULL : rc;
    if (rc < 0) {
        give_up(b, &w);
        return rc == ERR_CLOSED ? rc : begin_in_memory(b, size, rc);
    }
    rc = adopt(b, &w);
    if (rc < 0) {
        disk_wake(b->cache);
        return rc;
    }
    cache_disk_worked(b->cache);
    blob_hash(b);
    return 0;
}

int
blob_begin(struct blob *b, uint64_t size)
{
    return begin(b, size, false);
}

int
blob_begin_patiently(struct blob *b, uint64_t size)
{
    return begin(b, size, true);
}

/* ---- hand over to the other threads ---- */

uint64_t
blob_hash_end_locked(const struct blob *b)
{
    uint64_t end = pieces_run_end(b->pieces, b->hashed_bytes);
    return end == b->size ? end : end - end % HASH_STEP_BYTES;
}

/* True when the hash threads could do something now. */
static bool hash_due(const struct blob *b) NEEDS(b->lock);
static bool
hash_due(const struct blob *b)
{
    lock_must_hold(&b->lock);
    if (b->phase != BLOB_FILLING || b->hashing || b->sick) {
        return false;
    }
    return blob_hash_end_locked(b) > b->hashed_bytes || b->hashed_bytes == b->size;
}

void
blob_hash(struct blob *b)
{
    lock_take(&b->lock);
    bool push = hash_due(b);
    b->hashing = b->hashing || push;
    lock_drop(&b->lock);
    if (push) {
        hasher_push(&b->cache->hasher, blob_ref(b));
    }
}

/* Asks the disk thread; jobs of one blob are done in the order of enum blob_job. */
static int
mail(struct blob *b, unsigned jobs)
{
    lock_take(&b->lock);
    bool post = !b->mailed;
    b->mailed = true;
    b->jobs |= jobs;
    lock_drop(&b->lock);
    if (!post) {
        return 0;
    }
    struct blob *mine = blob_ref(b);
    int rc = mailbox_post(&b->cache->mailbox, &b->mail);
    if (rc < 0) {
        lock_take(&b->lock);
        b->mailed = false;
        b->jobs = 0;
        lock_drop(&b->lock);
        blob_release(&mine);
    }
    return rc;
}

/* A blob that was stored already and only re-hashed is WHOLE at once. */
static bool
verify_locked(struct blob *b)
{
    struct cache *c = b->cache;
    lock_take(&c->lock);
    lock_take(&b->lock);
    bool live = b->phase == BLOB_FILLING;
    if (live) {
        b->verified = true;
        b->phase = b->stored ? BLOB_WHOLE : BLOB_VERIFIED;
        if (b->window == NULL) {
            pieces_free(b->pieces);
            b->pieces = NULL;
        }
        if (b->stored && b->entry != NULL) {
            entry_sure(b->entry);
        }
        cond_wake(&b->grew);
    }
    bool publish = live && !b->stored && b->window == NULL;
    lock_drop(&b->lock);
    lock_drop(&c->lock);
    return publish;
}

void
blob_verified(struct blob *b)
{
    if (b->foreign) {
        content_judge(b->cache->content, &b->digest, &b->file, true);
    }
    if (verify_locked(b) && mail(b, JOB_PUBLISH) < 0) {
        blob_end(b, ERR_CLOSED, FATE_DROP);
    }
    if (b->foreign) {
        int rc = mail(b, JOB_RECORD); /* it syncs, which no hash thread waits for */
        (void)rc;                     /* not recorded: the next start hashes it again */
    }
}

/* ---- write ---- */

/* How much of [pos, pos + len) may go to the file now, or the code of a blob that failed, or
 * ERR_AGAIN. */
static int64_t
start_write(struct blob *b, uint64_t pos, size_t len)
{
    int64_t take = 0;
    lock_take(&b->lock);
    if (b->phase == BLOB_FAILED) {
        take = b->error;
    } else if (b->phase == BLOB_FILLING) {
        uint64_t room = pieces_room_end(b->pieces, pos) - pos;
        take = room < len ? (int64_t)room : (int64_t)len;
        if (b->window != NULL && pos + (uint64_t)take > window_end_locked(b)) {
            window_refused_locked(b);
            take = ERR_AGAIN;
        }
        b->writing += take > 0;
    }
    lock_drop(&b->lock);
    return take;
}

/* So many of the bytes that were promised to it are written, or will not be. */
static void keep_promise_locked(struct blob *b, uint64_t bytes) NEEDS(b->lock);
static void
keep_promise_locked(struct blob *b, uint64_t bytes)
{
    lock_must_hold(&b->lock);
    bytes = bytes < b->promised_bytes ? bytes : b->promised_bytes;
    b->promised_bytes -= bytes;
    atomic_fetch_sub(&b->cache->promised_bytes, bytes);
}

/* Notes what landed; returns the jobs that are due for the disk thread. */
static unsigned
end_write(struct blob *b, uint64_t pos, uint64_t landed, enum blob_source source)
{
    unsigned jobs = 0;
    lock_take(&b->lock);
    b->writing--;
    if (landed > 0 && b->phase == BLOB_FILLING) {
        pieces_fill(b->pieces, pos, landed);
        keep_promise_locked(b, landed);
        b->from_bytes[source] += landed;
        uint64_t have = b->pieces->have_bytes;
        bool on_disk = b->window == NULL;
        if (on_disk && have - b->saved_bytes >= SAVE_BYTES) {
            b->saved_bytes = have;
            jobs |= JOB_SAVE;
        }
        if (on_disk && have - b->flushed_bytes >= FLUSH_BYTES) {
            b->flushed_bytes = have;
            jobs |= JOB_FLUSH;
        }
        cond_wake(&b->grew);
    }
    lock_drop(&b->lock);
    return jobs;
}

int
blob_write(struct blob *b, uint64_t pos, const void *bytes, size_t len, enum blob_source source)
{
    if (b->pass != NULL) {
        return pass_write(b, pos, bytes, len, source);
    }
    int64_t take = start_write(b, pos, len);
    if (take <= 0) {
        return (int)take;
    }
    int rc = fs_write_at(b->fd, pos, bytes, (size_t)take);
    unsigned jobs = end_write(b, pos, rc < 0 ? 0 : (uint64_t)take, source);
    if (rc < 0 && b->window != NULL) {
        blob_end(b, ERR_FULL, FATE_DROP);
        return ERR_FULL;
    }
    if (rc < 0) {
        return blob_end_by_disk(b, "write", rc, false);
    }
    blob_hash(b);
    if (jobs != 0) {
        /* Both are for speed and for the next start: without room they are left out. */
        rc = mail(b, jobs);
        (void)rc;
    }
    return 0;
}

/* ---- the end ---- */

/* What becomes of the file and the entry of a blob that fails. */
static bool settle_entry(struct cache *c, struct blob *b, enum blob_fate fate) NEEDS(c->lock)
    NEEDS(b->lock);
static bool
settle_entry(struct cache *c, struct blob *b, enum blob_fate fate)
{
    struct entry *e = b->entry;
    if (e == NULL) {
        return false;
    }
    if (b->foreign || b->window != NULL) {
        entry_untie(c, e);
        return false;
    }
    if (b->stored) {
        if (fate == FATE_KEEP) {
            entry_detach(c, e);
        } else {
            entry_doom(c, e, DOOM_QUARANTINE, M_evict_corrupt);
        }
        return false;
    }
    if (b->fd < 0) {
        entry_untie(c, e); /* nothing on disk, or a parked file */
        return false;
    }
    bool park = fate == FATE_KEEP && !b->sick && b->writing == 0 && b->pieces != NULL &&
                b->pieces->have_bytes > 0;
    if (park) {
        e->parked = pieces_copy(b->pieces);
        entry_set(c, e, ENTRY_PARTIAL, entry_parked_bytes(c, e->parked));
        entry_add_sources(c, e, b);
        entry_detach(c, e);
    } else {
        b->doomed = true;
        entry_doom(c, e, DOOM_PARTIAL, METRIC_COUNT);
    }
    return park;
}

static void
log_end(const struct blob *b, int code, uint64_t have_bytes)
{
    char text[DIGEST_TEXT_MAX];
    digest_print(&b->digest, text);
    if (code == ERR_DIGEST) {
        metric_add(M_digest_failures, 1);
        LOG(digest_mismatch, LOG_S("digest", text), LOG_U("bytes", have_bytes));
    } else if (code != ERR_LATER) {
        LOG(blob_failed, LOG_S("digest", text), LOG_S("error", err_text(code)),
            LOG_U("have_bytes", have_bytes));
    }
}

void
blob_end(struct blob *b, int code, enum blob_fate fate)
{
    struct cache *c = b->cache;
    bool park = false, ended = false;
    uint64_t have_bytes = 0;
    lock_take(&c->lock);
    lock_take(&b->lock);
    if (b->phase != BLOB_WHOLE && b->phase != BLOB_FAILED) {
        ended = true;
        park = settle_entry(c, b, fate);
        have_bytes = b->pieces == NULL ? 0 : b->pieces->have_bytes;
        keep_promise_locked(b, b->promised_bytes);
        b->phase = BLOB_FAILED;
        b->error = code;
        cond_wake(&b->grew);
    }
    lock_drop(&b->lock);
    lock_drop(&c->lock);
    if (!ended) {
        return;
    }
    log_end(b, code, have_bytes);
    if (b->foreign && fate != FATE_KEEP) {
        content_judge(c->content, &b->digest, &b->file, false);
    }
    if (park) {
        int rc = mail(b, JOB_SAVE);
        (void)rc; /* the next start then finds an older map, or none */
    }
    disk_wake(c);
}

int
blob_end_by_disk(struct blob *b, const char *what, int rc, bool lost)
{
    /* A file of containerd says nothing about our disk. */
    int code = b->foreign ? ERR_STORE : cache_disk_failed(b->cache, what, rc);
    if (code == ERR_FULL) {
        metric_add(M_store_full, 1);
    }
    if (lost) {
        lock_take(&b->lock);
        b->distrusted = true;
        lock_drop(&b->lock);
    }
    blob_end(b, code, FATE_DROP);
    return code;
}

void
blob_fail(struct blob *b, int code)
{
    if (b->pass != NULL) {
        pass_fail(b, code);
        return;
    }
    lock_take(&b->lock);
    bool late = b->phase >= BLOB_VERIFIED;
    bool sick = b->sick;
    lock_drop(&b->lock);
    if (!late) {
        blob_end(b, sick ? ERR_DIGEST : code, FATE_KEEP);
    }
}
