/* The front door: open and close, and who gets which blob. Looking after what is stored
 * stands in cache_look.c and scrub.c, tags and links in cache_facts.c. */
#include "cache/cache.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cache/blob.h"
#include "cache/content.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/pack.h"
#include "cache/pass.h"
#include "cache/recover.h"
#include "cache/room.h"
#include "cache/scrub.h"
#include "cache/words_inside.h"
#include <errno.h>

#define PASS_BYTES   (512u * 1024)
#define PASSES_MAX   32
#define SCRUB_MS     (INT64_C(7) * 24 * 3600 * 1000)
#define PACK_IDLE_MS 60000
#define PACK_MIN     (1024u * 1024)
/* Records that wait for the disk thread; more make it rewrite the journal instead. */
#define PENDING_BYTES (1024u * 1024)
/* Sums of sizes stay far from wrapping. */
#define LIMIT_MAX (UINT64_MAX / 8)
/* A cache_put that meets another one for the same digest waits this long for it. */
#define PUT_WAIT_MS 10000
#define PUT_TRIES   3

/* ---- the disk's health ---- */

int
cache_disk_failed(struct cache *c, const char *what, int rc)
{
    metric_add(M_store_errors, 1);
    if (!atomic_exchange(&c->degraded, true)) {
        metric_set(M_degraded, 1);
        LOG(store_error, LOG_S("dir", c->store.dir), LOG_S("call", what),
            LOG_S("error", err_text(rc)));
    }
    return rc == -ENOSPC || rc == -EDQUOT ? ERR_FULL : ERR_STORE;
}

void
cache_disk_worked(struct cache *c)
{
    if (atomic_exchange(&c->degraded, false)) {
        metric_set(M_degraded, 0);
        atomic_store(&c->stuck_ms, 0);
    }
}

/* ---- open and close ---- */

static uint64_t
limit_of(uint64_t size_bytes, unsigned size_percent, uint64_t total_bytes)
{
    uint64_t limit = size_bytes != 0 ? size_bytes : total_bytes / 100 * size_percent;
    return limit < LIMIT_MAX ? limit : LIMIT_MAX;
}

void
cache_set_limits(struct cache *c, uint64_t size_bytes, unsigned size_percent,
                 uint64_t min_free_bytes)
{
    struct fs_space space = {0};
    int rc = store_space(&c->store, &space);
    if (rc < 0) {
        (void)cache_disk_failed(c, "statvfs", rc);
    }
    lock_take(&c->lock);
    if (size_bytes != 0 || rc == 0) {
        c->limit_bytes = limit_of(size_bytes, size_percent, space.total_bytes);
    }
    c->min_free_bytes = min_free_bytes < LIMIT_MAX ? min_free_bytes : LIMIT_MAX;
    evict_limit(&c->evict, c->limit_bytes);
    metric_set(M_cache_limit, c->limit_bytes);
    lock_drop(&c->lock);
    if (c->mailbox_open) {
        disk_wake(c);
    }
}

void
cache_set_memory(struct cache *c, uint64_t bytes)
{
    lock_take(&c->lock);
    c->windows_max_bytes = bytes;
    lock_drop(&c->lock);
}

static struct cache *
cache_new(const struct cache_config *config)
{
    struct cache *c = mem_zalloc(sizeof *c);
    size_t pass_min = PASS_WRITE_MAX + HOLDBACK_BYTES;
    uint64_t pass = config->pass_bytes == 0 ? PASS_BYTES : config->pass_bytes;
    c->pass_bytes = pass > pass_min ? (size_t)pass : pass_min;
    c->passes_max = config->passes_max == 0 ? PASSES_MAX : config->passes_max;
    c->windows_max_bytes = config->memory_bytes;
    c->scrub_ms = config->scrub_ms == 0 ? SCRUB_MS : config->scrub_ms;
    c->pack_idle_ms = config->pack_idle_ms == 0 ? PACK_IDLE_MS : config->pack_idle_ms;
    c->pack_bytes_min = config->pack_bytes_min == 0 ? PACK_MIN : config->pack_bytes_min;
    c->leave_asks = config->leave_asks;
    c->store.lock_fd = -1;
    c->journal.fd = -1;
    c->next_gen = 1; /* 0: of a blob that has no file */
    c->tags = tags_new();
    lock_init(&c->lock, LOCK_CACHE);
    lock_init(&c->facts_lock, LOCK_JOURNAL);
    room_start(c);
    cond_init(&c->doomed);
    cond_init(&c->pace);
    cond_init(&c->asked_words);
    cond_init(&c->packed);
    buf_init(&c->pending, PENDING_BYTES);
    buf_init(&c->note, CACHE_NOTE_MAX);
    return c;
}

static void
forget_all(struct cache *c)
{
    lock_take(&c->lock);
    struct entry *e;
    for (uint64_t at = 0; (e = index_next(&c->map, &at)) != NULL;) {
        must(e->blob == NULL); /* somebody still holds a blob */
        entry_forget(c, e);
    }
    index_release(&c->map);
    evict_release(&c->evict);
    while (c->dooms != NULL) {
        struct doom *d = c->dooms;
        DL_DELETE(c->dooms, d);
        mem_free(d);
    }
    lock_drop(&c->lock);
}

static void
cache_free(struct cache *c)
{
    forget_all(c);
    journal_close(&c->journal);
    store_close(&c->store);
    tags_free(c->tags);
    buf_release(&c->pending);
    buf_release(&c->note);
    content_free(c->content);
    hasher_release(&c->hasher);
    cond_release(&c->doomed);
    cond_release(&c->pace);
    cond_release(&c->asked_words);
    cond_release(&c->packed);
    lock_release(&c->facts_lock);
    lock_release(&c->lock);
    mem_free(c);
}

void
cache_stop_checks(struct cache *c)
{
    lock_take(&c->lock);
    c->checks_end = true;
    cond_wake(&c->pace);
    cond_wake(&c->asked_words);
    cond_wake(&c->packed);
    lock_drop(&c->lock);
}

static void
stop_threads(struct cache *c)
{
    cache_stop_checks(c);
    content_stop(c->content);
    thread_join(&c->scrub_thread);
    thread_join(&c->words_thread);
    thread_join(&c->words_due_thread);
    thread_join(&c->pack_thread);
    hasher_stop(&c->hasher);
    lock_take(&c->lock);
    c->stopping = true;
    lock_drop(&c->lock);
    disk_stop(c);
}

static int
start(struct cache *c, const struct cache_config *config, struct err *e)
{
    int rc = store_open(&c->store, config->dir, e);
    if (rc < 0) {
        return rc;
    }
    if (c->store.trouble < 0) {
        (void)cache_disk_failed(c, "open", c->store.trouble);
    }
    cache_set_limits(c, config->size_bytes, config->size_percent, config->min_free_bytes);
    if (config->content_dir != NULL) {
        c->content =
            content_new(c, config->content_dir, config->content_owns, config->content_owns_ms);
    }
    rc = recover_start(c, e);
    if (rc < 0) {
        return rc;
    }
    rc = hasher_start(&c->hasher, config->cpus == 0 ? 1 : config->cpus, config->hash_bytes_s);
    if (rc == 0) {
        rc = disk_start(c);
    }
    if (rc == 0) {
        rc = scrub_start(c);
    }
    if (rc == 0) {
        rc = words_start(c);
    }
    if (rc == 0 && config->compress) {
        rc = pack_start(c);
    }
    if (rc == 0 && c->content != NULL) {
        rc = content_start(c->content);
    }
    if (rc < 0) {
        stop_threads(c);
        return err_set(e, rc, "start threads: %s", err_text(rc));
    }
    disk_wake(c);
    return 0;
}

int
cache_open(const struct cache_config *config, struct cache **ret, struct err *e)
{
    struct cache *c = cache_new(config);
    int rc = start(c, config, e);
    if (rc < 0) {
        err_wrap(e, "open cache");
        cache_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void
cache_close(struct cache *c)
{
    if (c == NULL) {
        return;
    }
    stop_threads(c);
    recover_mark_clean(c);
    cache_free(c);
}

/* ---- who gets which blob ---- */

/* A stored file that was opened for the next look, and which one it is. */
struct opened {
    bool absent; /* the last look found nothing stored here */
    int fd;
    struct frames *frames;
    uint64_t size, gen;
    int64_t mtime_ns;
    bool foreign; /* of containerd; the next two are for such a one */
    bool checked;
    struct fs_id id;
};

static void
opened_close(struct opened *file)
{
    fd_close(&file->fd);
    frames_free(file->frames);
    file->frames = NULL;
}

/* A blob whose file is containerd's: a JOIN while its bytes were not hashed, as an unsure one. What
 * there is of a file of ours is not needed any more. */
static struct blob *take_foreign(struct cache *c, const struct digest *d, struct opened *file,
                                 enum cache_got *ret_got) NEEDS(c->lock);
static struct blob *
take_foreign(struct cache *c, const struct digest *d, struct opened *file, enum cache_got *ret_got)
{
    struct entry *e = entry_find(c, d);
    if (e != NULL) {
        entry_doom(c, e, DOOM_PARTIAL, METRIC_COUNT);
    }
    struct blob *b = blob_new(c, d);
    b->foreign = true;
    b->file = file->id;
    if (file->checked) {
        blob_set_whole(b, file->fd, file->id.size);
    } else {
        blob_set_unsure(b, file->fd, file->id.size);
    }
    file->fd = -1;
    *ret_got = file->checked ? CACHE_HIT : CACHE_JOIN;
    entry_attach(c, entry_take(c, d), b);
    return b;
}

/* One look at the map: gives a reference and what the caller is to it, or NULL when a stored
 * file has to be opened first or a lead is not wanted. file->fd is taken when it is used. */
static struct blob *look_up(struct cache *c, const struct digest *d, bool may_lead,
                            struct opened *file, enum cache_got *ret_got) NEEDS(c->lock);
static struct blob *
look_up(struct cache *c, const struct digest *d, bool may_lead, struct opened *file,
        enum cache_got *ret_got)
{
    struct entry *e = entry_find(c, d);
    if (e != NULL && e->blob != NULL) {
        struct blob *b = e->blob;
        lock_take(&b->lock);
        *ret_got = b->phase == BLOB_WHOLE ? CACHE_HIT : CACHE_JOIN;
        lock_drop(&b->lock);
        b->refs++;
        return b;
    }
    bool stored = e != NULL && e->state == ENTRY_STORED;
    if (!stored && file->fd >= 0 && file->foreign) {
        return take_foreign(c, d, file, ret_got);
    }
    if (stored ? file->fd < 0 || file->foreign || file->size != entry_size(e) || file->gen != e->gen
               : !may_lead) {
        return NULL;
    }
    struct blob *b = blob_new(c, d);
    if (stored) {
        entry_opened(e, file->mtime_ns);
    }
    if (stored && e->unsure) {
        blob_set_unsure(b, file->fd, entry_size(e));
        *ret_got = CACHE_JOIN;
    } else if (stored) {
        blob_set_whole(b, file->fd, entry_size(e));
        *ret_got = CACHE_HIT;
    } else {
        e = entry_take(c, d);
        *ret_got = CACHE_LEAD;
    }
    if (stored) {
        b->gen = e->gen;
        b->frames = file->frames;
        file->fd = -1;
        file->frames = NULL;
    }
    entry_attach(c, e, b);
    return b;
}

/* The stored file is gone or not what the map says: it leaves, and the next look finds
 * nothing. */
static void
lose(struct cache *c, const struct digest *d, uint64_t gen, bool gone)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL && e->blob == NULL && e->state == ENTRY_STORED && e->gen == gen) {
        entry_doom(c, e, gone ? DOOM_BLOB : DOOM_QUARANTINE, gone ? METRIC_COUNT : M_evict_corrupt);
    }
    lock_drop(&c->lock);
    disk_wake(c);
}

/* Which file of it is stored. */
struct which {
    uint64_t size, gen;
    bool packed;
};

static bool
is_stored(struct cache *c, const struct digest *d, struct which *ret)
{
    lock_take(&c->lock);
    const struct entry *e = entry_find(c, d);
    bool stored = e != NULL && e->blob == NULL && e->state == ENTRY_STORED;
    if (stored) {
        *ret = (struct which){entry_size(e), e->gen, e->packed};
    }
    lock_drop(&c->lock);
    return stored;
}

/* Opens the file for the next look. A file that is gone or of another length is lost; 0 then
 * too, and the look finds nothing. -errno when this process cannot open files now. */
static int
open_stored(struct cache *c, const struct digest *d, struct opened *ret)
{
    struct which want, now;
    struct stored file = {.fd = -1};
    ret->foreign = false;
    if (!is_stored(c, d, &want)) {
        return 0;
    }
    int rc = store_open_blob(&c->store, d, want.packed, &file);
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM) {
        return rc;
    }
    if (rc == -ENOENT && is_stored(c, d, &now) && now.gen != want.gen) {
        return 0; /* it was packed meanwhile */
    }
    if (rc < 0 || file.size != want.size) {
        if (rc < 0) {
            (void)cache_disk_failed(c, "open", rc);
        }
        stored_close(&file);
        lose(c, d, want.gen, rc == -ENOENT);
        return 0;
    }
    ret->fd = file.fd;
    ret->frames = file.frames;
    ret->size = file.size;
    ret->gen = want.gen;
    ret->mtime_ns = file.mtime_ns;
    return 0;
}

/* For want of descriptors: a blob that has failed already. */
static struct blob *
failed_blob(struct cache *c, const struct digest *d, int code)
{
    struct blob *b = blob_new(c, d);
    b->phase = BLOB_FAILED;
    b->error = code;
    return b;
}

/* Looks for it in containerd's store: 0 with the file for the next look, or without one. -errno
 * when this process cannot open files now. */
static int
open_foreign(struct cache *c, const struct digest *d, struct opened *ret)
{
    opened_close(ret);
    int rc = content_open(c->content, d, &ret->fd, &ret->id, &ret->checked);
    ret->foreign = rc == 0;
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM ? rc : 0;
}

/* Opens what the next look needs: a stored file, or, when nothing is stored here, containerd's. */
static int
open_for(struct cache *c, const struct digest *d, struct opened *ret)
{
    if (ret->absent) {
        return open_foreign(c, d, ret);
    }
    opened_close(ret);
    return open_stored(c, d, ret);
}

/* One look, and what goes with it: see acquire. */
static struct blob *
look(struct cache *c, const struct digest *d, bool may_lead, bool asked_for, struct opened *file,
     enum cache_got *ret_got)
{
    lock_take(&c->lock);
    struct entry *e = entry_find(c, d);
    if (e != NULL && asked_for) {
        entry_doubt(e);
    }
    struct blob *b = look_up(c, d, may_lead, file, ret_got);
    e = entry_find(c, d);
    if (b != NULL && e != NULL && asked_for) {
        entry_asked(c, e);
    }
    file->absent = e == NULL || e->state != ENTRY_STORED;
    lock_drop(&c->lock);
    return b;
}

/* asked_for: by a client, so it counts for the blob's value. */
static struct blob *
acquire(struct cache *c, const struct digest *d, bool may_lead, bool asked_for,
        enum cache_got *ret_got)
{
    AUTO(opened_close) struct opened file = {.fd = -1};
    bool asked = c->content == NULL; /* nobody leads what containerd may have */
    for (;;) {
        struct blob *b = look(c, d, may_lead && asked, asked_for, &file, ret_got);
        if (b != NULL && b->foreign && !content_same(b)) {
            content_retire(c, d, b);
            blob_release(&b);
            continue;
        }
        if (b != NULL) {
            blob_hash(b);
            return b;
        }
        if (file.absent && asked) {
            return NULL;
        }
        asked = asked || file.absent;
        int rc = open_for(c, d, &file);
        if (rc < 0) {
            *ret_got = CACHE_JOIN;
            return failed_blob(c, d, rc);
        }
    }
}

struct blob *
cache_acquire(struct cache *c, const struct digest *d, enum cache_got *ret_got)
{
    struct blob *b = acquire(c, d, true, true, ret_got);
    must(b != NULL);
    return b;
}

struct blob *
cache_find(struct cache *c, const struct digest *d)
{
    enum cache_got got;
    return acquire(c, d, false, false, &got);
}

struct blob *
cache_lead(struct cache *c, const struct digest *d)
{
    enum cache_got got;
    struct blob *b = acquire(c, d, true, false, &got);
    if (got != CACHE_LEAD) {
        blob_release(&b);
    }
    return b;
}

int
cache_pass_through(struct cache *c, const struct digest *d, uint64_t from,
                   const struct digester *sent, struct blob *prefix, struct blob **ret)
{
    return pass_new(c, d, from, sent, prefix, ret);
}

int
cache_pass_part(struct cache *c, const struct digest *d, const struct gap *want, bool spare_only,
                struct blob **ret)
{
    return pass_new_part(c, d, want, spare_only, ret);
}

/* ---- small bodies ---- */

static int
fill_whole(struct blob *b, const uint8_t *bytes, size_t len, enum blob_source source)
{
    struct gap gap;
    int rc = blob_begin(b, len);
    while (rc == 0 && blob_claim(b, UINT64_MAX, &gap)) {
        rc = blob_write(b, gap.start, bytes + gap.start, (size_t)(gap.end - gap.start), source);
    }
    if (rc < 0) {
        blob_fail(b, rc);
    }
    return rc;
}

/* Waits until its digest is known to be right, or it has FAILED; its code. */
static int
wait_verified(struct blob *b)
{
    int64_t deadline_ms = clock_ms() + PUT_WAIT_MS;
    struct blob_state s;
    lock_take(&b->lock);
    while (b->phase < BLOB_VERIFIED && cond_wait(&b->grew, &b->lock, deadline_ms)) {
    }
    s = (struct blob_state){.phase = b->phase, .error = b->error};
    lock_drop(&b->lock);
    if (s.phase == BLOB_FAILED) {
        return s.error;
    }
    return s.phase >= BLOB_VERIFIED ? 0 : ERR_TIMEOUT;
}

int
cache_put(struct cache *c, const struct digest *d, const void *bytes, size_t len,
          enum blob_source source)
{
    struct digest got;
    digest_of((enum digest_alg)d->alg, bytes, len, &got);
    if (!digest_equal(&got, d)) {
        return ERR_DIGEST;
    }
    int rc = 0;
    for (int i = 0; i < PUT_TRIES; i++) {
        enum cache_got role;
        struct blob *b = cache_acquire(c, d, &role);
        rc = role == CACHE_LEAD ? fill_whole(b, bytes, len, source) : 0;
        if (rc == 0) {
            rc = wait_verified(b);
        }
        blob_release(&b);
        if (rc == 0 || role == CACHE_LEAD) {
            break;
        }
    }
    return rc;
}

static int
read_all(struct blob *b, uint64_t size, struct buf *ret)
{
    uint8_t step[16 * 1024];
    int rc = 0;
    for (uint64_t at = 0; at < size && rc == 0;) {
        size_t n = size - at < sizeof step ? (size_t)(size - at) : sizeof step;
        rc = frames_read(b->frames, b->fd, at, step, n);
        if (rc == 0) {
            rc = buf_add(ret, step, n);
        }
        at += n;
    }
    return rc;
}

/* All bytes are here, perhaps not hashed yet: the caller of this hashes. */
static bool
has_all(struct blob *b, uint64_t *ret_size)
{
    lock_take(&b->lock);
    bool all = b->pass == NULL && b->window == NULL && b->phase != BLOB_ASKED &&
               b->phase != BLOB_FAILED && (b->pieces == NULL || pieces_whole(b->pieces));
    *ret_size = b->size;
    lock_drop(&b->lock);
    return all;
}

int
cache_get(struct cache *c, const struct digest *d, struct buf *ret)
{
    AUTO(blob_release) struct blob *b = cache_find(c, d);
    uint64_t size;
    if (b == NULL || !has_all(b, &size)) {
        return ERR_NOT_FOUND;
    }
    if (size > ret->limit - ret->len) {
        return ERR_LIMIT;
    }
    AUTO(buf_release) struct buf body;
    buf_init(&body, (size_t)size);
    int rc = read_all(b, size, &body);
    if (rc < 0) {
        return cache_disk_failed(c, "read", rc);
    }
    struct digest got;
    digest_of((enum digest_alg)d->alg, buf_text(&body), body.len, &got);
    if (!digest_equal(&got, d)) {
        scrub_read_bad(b);
        return ERR_DIGEST;
    }
    atomic_fetch_add_explicit(&b->served_bytes, size, memory_order_relaxed);
    return body.len == 0 ? 0 : buf_add(ret, body.data, body.len);
}

/* ---- for tests ---- */

void
cache_check(struct cache *c)
{
    uint64_t used = 0, open = 0, pinned = 0, stored = 0, partial = 0, listed = 0, filling = 0,
             touched = 0;
    uint64_t packed = 0, saved = 0;
    size_t entries = 0;
    const struct entry *e;
    lock_take(&c->lock);
    for (uint64_t at = 0; (e = index_next(&c->map, &at)) != NULL; entries++) {
        bool counts = e->state != ENTRY_ABSENT;
        packed += e->packed;
        saved += e->packed ? e->plain_bytes - e->worth.size : 0;
        used += counts ? e->worth.size : 0;
        open += counts && e->blob != NULL ? e->worth.size : 0;
        pinned += counts && e->pinned ? e->worth.size : 0;
        stored += e->state == ENTRY_STORED;
        partial += e->state == ENTRY_PARTIAL;
        filling += e->blob != NULL && e->state != ENTRY_STORED && !e->blob->foreign;
        touched += e->touched && e->state == ENTRY_STORED;
        must(e->blob == NULL || e->blob->entry == e);
        must(counts || e->blob != NULL);
        must(!e->packed || e->state == ENTRY_STORED);
        must(e->state == ENTRY_STORED ||
             (e->parked != NULL) == (e->state == ENTRY_PARTIAL && e->blob == NULL) ||
             (e->blob != NULL && e->state == ENTRY_PARTIAL));
    }
    for (e = c->oldest; e != NULL; e = e->next) {
        listed++;
    }
    must(entries == c->map.count && used == c->used_bytes && open == c->open_bytes);
    must(pinned == c->pinned_bytes);
    must(filling == c->filling_count && touched == c->touched_count);
    must(packed == c->packed_count && saved == c->saved_bytes);
    must(stored == c->stored_count && partial == c->partial_count && listed == stored + partial);
    lock_drop(&c->lock);
}
