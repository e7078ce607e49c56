/* The disk thread. It is the only one that publishes, saves piece maps and removes files, so
 * these never race: a file that was forgotten is removed before the same digest can be
 * published again.
 *
 *   each turn:  remove what is doomed, do the mail, write the journal, look after the space
 *
 * A message is a blob; its jobs are done in the order flush, save, record, publish. */
#include "cache/disk.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "cache/blob.h"
#include "cache/content.h"
#include "cache/entry.h"
#include "cache/pack.h"
#include "cache/recover.h"
#include "cache/room.h"
#include "cache/words_inside.h"
#include <errno.h>
#include <poll.h>

/* Records wait this long, so that a burst of tags costs one fsync. */
#define JOURNAL_BATCH_MS 1000
/* After a failed write of the journal or the note. */
#define RETRY_MS 10000
/* Ages, and the way out of degraded. */
#define TICK_MS 60000
/* After a file that would not go, since the disk is read-only. */
#define STUCK_MS 60000
/* A blob is in the mailbox at most once; this many blobs are not in memory at a time. */
#define MAIL_MAX 65536
/* Blobs made durable in one go, and how large one may be that others wait for. */
#define BATCH_MAX        64
#define BATCH_BLOB_BYTES (8u * 1024 * 1024)
/* What of wrong blobs is kept for people. */
#define QUARANTINE_BYTES (64u * 1024 * 1024)
#define QUARANTINE_PART  16
/* Ages noted in one go; about 4,000 blobs. */
#define FACTS_BYTES (512u * 1024)

void
disk_wake(struct cache *c)
{
    mailbox_wake(&c->mailbox);
}

/* ---- files to remove ---- */

static const char *
reason_of(enum metric m)
{
    return m == M_evict_size         ? "size"
           : m == M_evict_min_free   ? "min_free"
           : m == M_evict_containerd ? "containerd"
                                     : "gc";
}

static void
log_gone(const struct doom *d)
{
    char text[DIGEST_TEXT_MAX];
    digest_print(&d->digest, text);
    if (d->reason == METRIC_COUNT) {
        return;
    }
    metric_add(d->reason, 1);
    if (d->kind == DOOM_QUARANTINE) {
        LOG(corrupt, LOG_S("digest", text), LOG_U("bytes", d->size));
    } else {
        LOG(evicted, LOG_S("digest", text), LOG_U("bytes", d->size),
            LOG_S("reason", reason_of(d->reason)));
    }
}

/* It stands outside the cap, so it is small beside it. */
static uint64_t
quarantine_bytes(struct cache *c)
{
    lock_take(&c->lock);
    uint64_t part = c->limit_bytes / QUARANTINE_PART;
    lock_drop(&c->lock);
    return part < QUARANTINE_BYTES ? part : QUARANTINE_BYTES;
}

static int
remove_file(struct cache *c, const struct doom *d)
{
    int rc = 0;
    switch (d->kind) {
    case DOOM_PARTIAL:
        rc = store_remove_partial(&c->store, &d->digest, d->gen);
        break;
    case DOOM_BLOB:
        rc = store_remove_blob(&c->store, &d->digest);
        break;
    case DOOM_QUARANTINE:
        rc = store_quarantine_blob(&c->store, &d->digest, d->packed, quarantine_bytes(c));
        break;
    }
    if (d->kind != DOOM_PARTIAL) {
        words_remove(c, &d->digest);
    }
    return rc == -ENOENT ? 0 : rc;
}

/* A complete blob that would not go is still there: it counts again, unless it is bad. */
static void take_back(struct cache *c, const struct doom *d) NEEDS(c->lock);
static void
take_back(struct cache *c, const struct doom *d)
{
    if (d->kind == DOOM_BLOB && entry_find(c, &d->digest) == NULL) {
        struct entry *e = entry_take(c, &d->digest);
        entry_set(c, e, ENTRY_STORED, d->size);
        e->gen = d->gen;
        e->unsure = true;
        if (d->packed) {
            entry_set_packed(c, e, d->size, d->plain_bytes);
        }
    }
}

static struct doom *
first_doom(struct cache *c)
{
    lock_take(&c->lock);
    struct doom *d = c->dooms;
    lock_drop(&c->lock);
    return d;
}

static void
tell_loss(struct cache *c, const struct doom *d)
{
    lock_take(&c->lock);
    void (*lost)(void *arg, const struct digest *d, uint64_t size) = c->lost;
    void *arg = c->lost_arg;
    c->telling = lost != NULL;
    lock_drop(&c->lock);
    if (lost == NULL) {
        return;
    }
    lost(arg, &d->digest, d->size);
    lock_take(&c->lock);
    c->telling = false;
    cond_wake(&c->doomed);
    lock_drop(&c->lock);
}

/* Only this thread takes from the list, so its head stays while the file is removed. */
static void
remove_doomed(struct cache *c)
{
    struct doom *d;
    while ((d = first_doom(c)) != NULL) {
        int rc = remove_file(c, d);
        if (rc < 0) {
            /* Before it is told that the disk failed: who finds it well again takes that back. */
            atomic_store(&c->stuck_ms, rc == -EROFS ? clock_ms() + STUCK_MS : 0);
            (void)cache_disk_failed(c, "remove", rc);
            c->leftovers = c->leftovers || d->kind != DOOM_PARTIAL;
        } else {
            log_gone(d);
            if (d->kind == DOOM_QUARANTINE && d->wanted) {
                tell_loss(c, d);
            }
        }
        lock_take(&c->lock);
        if (rc < 0) {
            take_back(c, d);
        }
        DL_DELETE(c->dooms, d);
        c->dooming_bytes -= d->size;
        c->dooming_count--;
        cond_wake(&c->doomed);
        lock_drop(&c->lock);
        mem_free(d);
    }
}

void
disk_drain(struct cache *c, int64_t deadline_ms)
{
    disk_wake(c);
    lock_take(&c->lock);
    while (c->dooms != NULL && cond_wait(&c->doomed, &c->lock, deadline_ms)) {
    }
    lock_drop(&c->lock);
}

/* ---- ages ---- */

static void
fill_fact(const struct entry *e, struct record *ret)
{
    *ret = (struct record){.kind = RECORD_FACT, .digest = entry_digest(e)};
    ret->fact.size = entry_size(e);
    ret->fact.stored_wall_s = e->stored_wall_s;
    ret->fact.used_wall_s = e->worth.asked_s;
    for (int i = 0; i < BLOB_SOURCES; i++) {
        ret->fact.from_bytes[i] = e->from_bytes[i];
    }
}

/* What the journal keeps of a blob, appended. */
static int record_fact(struct cache *c, const struct entry *e, struct buf *ret) NEEDS(c->lock);
static int
record_fact(struct cache *c, const struct entry *e, struct buf *ret)
{
    struct record r;
    lock_must_hold(&c->lock);
    fill_fact(e, &r);
    int rc = record_encode(&r, ret);
    bool asked_once = evict_c(&c->evict, &e->worth, e->worth.asked_s) < 1.1;
    if (rc < 0 || (asked_once && !e->pinned)) {
        return rc; /* the fact alone says that */
    }
    room_record(c, e, &r);
    return record_encode(&r, ret);
}

/* Records of the blobs used since the last time; what does not fit waits for the next. */
static void
note_ages(struct cache *c)
{
    AUTO(buf_release) struct buf facts;
    buf_init(&facts, FACTS_BYTES);
    lock_take(&c->lock);
    /* They were used last, so they are found at once. */
    struct entry *e = c->oldest == NULL ? NULL : c->oldest->prev;
    for (; e != NULL && c->touched_count > 0; e = e->prev) {
        if (!e->touched || e->state != ENTRY_STORED) {
            continue;
        }
        if (record_fact(c, e, &facts) < 0) {
            break;
        }
        entry_set_touched(c, e, false);
    }
    lock_drop(&c->lock);
    cache_add_facts(c, &facts);
}

/* ---- jobs of one blob ---- */

/* Bytes of this file may be gone: whoever goes on with it must not. */
static void
distrust_file(struct cache *c, struct blob *b)
{
    struct blob *other = NULL;
    lock_take(&c->lock);
    struct entry *e = entry_find(c, &b->digest);
    if (e != NULL && e->state == ENTRY_PARTIAL && e->gen == b->gen) {
        /* Beside a parked file its blob is one in memory. */
        if (e->parked != NULL) {
            entry_doom(c, e, DOOM_PARTIAL, METRIC_COUNT);
        } else if (e->blob != NULL) {
            other = e->blob;
            other->refs++;
        }
    }
    lock_drop(&c->lock);
    if (other != NULL) {
        (void)blob_end_by_disk(other, "fdatasync", -EIO, true);
        blob_release(&other);
    }
}

/* What the map will say: a copy made before the sync, so that all of it is synced. */
static struct pieces *
copy_map(struct blob *b)
{
    lock_take(&b->lock);
    bool useful = !b->doomed && !b->stored && b->pieces != NULL;
    struct pieces *copy = useful ? pieces_copy(b->pieces) : NULL;
    lock_drop(&b->lock);
    return copy;
}

static void
save_map(struct cache *c, struct blob *b)
{
    struct pieces *copy = copy_map(b);
    if (copy == NULL) {
        return;
    }
    int rc = fs_sync_data(b->fd);
    if (rc < 0) {
        (void)cache_disk_failed(c, "fdatasync", rc);
        distrust_file(c, b);
    } else {
        AUTO(buf_release) struct buf map;
        buf_init(&map, sizeof(uint32_t) * ((size_t)copy->count + 64));
        rc = record_map_encode(&b->digest, copy, &map);
        must(rc == 0);
        rc = store_save_map(&c->store, &b->digest, b->gen, &map);
        if (rc < 0) {
            (void)cache_disk_failed(c, "save map", rc);
        }
    }
    pieces_free(copy);
}

/* Before anything is published: what a start on a disk in trouble could not do. */
static int
make_up(struct cache *c)
{
    int rc = store_lock(&c->store);
    return rc < 0 ? rc : recover_drop_marker(c);
}

/* The blob is durable: WHOLE. Its file was last written to at mtime_ns, before it had its name. */
static void
published(struct cache *c, struct blob *b, int64_t mtime_ns)
{
    lock_take(&c->lock);
    lock_take(&b->lock);
    struct entry *e = b->entry;
    b->phase = BLOB_WHOLE;
    b->stored = true;
    if (e != NULL) {
        entry_set(c, e, ENTRY_STORED, b->size);
        entry_add_sources(c, e, b);
        if (b->from_bytes[BLOB_FROM_PEER] > 0) {
            evict_copies(&c->evict, &e->worth, 2, room_now_s(c));
        }
        entry_note(c, e);
        e->stored_wall_s = room_now_s(c);
        e->mark = 0;
        entry_opened(e, mtime_ns);
        entry_sure(e);
    }
    cond_wake(&b->grew);
    lock_drop(&b->lock);
    lock_drop(&c->lock);
    char text[DIGEST_TEXT_MAX];
    digest_print(&b->digest, text);
    LOG(blob_stored, LOG_S("digest", text), LOG_U("bytes", b->size),
        LOG_U("upstream_bytes", b->from_bytes[BLOB_FROM_UPSTREAM]),
        LOG_U("peer_bytes", b->from_bytes[BLOB_FROM_PEER]));
}

static void
end_publish(struct cache *c, struct blob *b, const struct publishing *p)
{
    if (p->rc == 0) {
        cache_disk_worked(c);
        published(c, b, p->mtime_ns);
        words_keep(b);
        return;
    }
    /* It may already stand under its name with the folder not synced. */
    int gone = store_remove_blob(&c->store, &b->digest);
    c->leftovers = c->leftovers || (gone < 0 && gone != -ENOENT);
    (void)blob_end_by_disk(b, "publish", p->rc, true);
}

/* Verified blobs that wait to be published together; a reference to each. */
struct batch {
    struct blob *blobs[BATCH_MAX];
    size_t count;
};

static void
publish(struct cache *c, struct batch *batch)
{
    struct publishing list[BATCH_MAX];
    size_t count = batch->count;
    if (count == 0) {
        return;
    }
    remove_doomed(c);
    for (size_t i = 0; i < count; i++) {
        const struct blob *b = batch->blobs[i];
        struct fs_id file = {0}; /* not known: who opens it next has it hashed */
        (void)!fs_id(b->fd, &file);
        list[i] = (struct publishing){
            .digest = b->digest, .gen = b->gen, .fd = b->fd, .mtime_ns = file.mtime_ns};
    }
    int rc = make_up(c);
    if (rc == 0) {
        store_publish_blobs(&c->store, list, count);
    }
    for (size_t i = 0; i < count; i++) {
        if (rc == 0) {
            end_publish(c, batch->blobs[i], &list[i]);
        } else {
            (void)blob_end_by_disk(batch->blobs[i], "publish", rc, true);
        }
        blob_release(&batch->blobs[i]);
    }
    batch->count = 0;
    note_ages(c);
}

/* Takes over the reference. A large one goes alone, behind those that wait. */
static void
add_to_batch(struct cache *c, struct batch *batch, struct blob *b)
{
    bool large = b->size > BATCH_BLOB_BYTES;
    if (large || batch->count == BATCH_MAX) {
        publish(c, batch);
    }
    batch->blobs[batch->count++] = b;
    if (large) {
        publish(c, batch);
    }
}

static void
do_jobs(struct cache *c, struct blob *b, struct batch *batch)
{
    lock_take(&b->lock);
    unsigned jobs = b->jobs;
    b->jobs = 0;
    b->mailed = false;
    lock_drop(&b->lock);
    if (jobs & JOB_FLUSH) {
        fs_start_writeback(b->fd, 0, 0);
    }
    if (jobs & JOB_SAVE) {
        save_map(c, b);
    }
    if (jobs & JOB_RECORD) {
        content_record(c->content, &b->digest, &b->file, b->fd);
    }
    if (jobs & JOB_PUBLISH) {
        add_to_batch(c, batch, b);
    } else {
        blob_release(&b);
    }
}

static void
do_mail(struct cache *c)
{
    struct mail *mail = mailbox_take_all(&c->mailbox);
    struct batch batch = {.count = 0};
    while (mail != NULL) {
        struct mail *next = mail->next; /* the blob may be posted again at once */
        do_jobs(c, (struct blob *)mail, &batch);
        mail = next;
    }
    publish(c, &batch);
}

/* ---- journal ---- */

static void
dump_facts(struct cache *c, struct buf *ret)
{
    lock_take(&c->lock);
    for (const struct entry *e = c->oldest; e != NULL; e = e->next) {
        if (e->state == ENTRY_STORED && record_fact(c, e, ret) < 0) {
            break;
        }
    }
    lock_drop(&c->lock);
}

static int
rewrite_journal(struct cache *c)
{
    AUTO(buf_release) struct buf all;
    buf_init(&all, JOURNAL_MAX_BYTES / 2);
    int rc = journal_head(&all);
    if (rc < 0) {
        return rc;
    }
    lock_take(&c->facts_lock);
    tags_dump(c->tags, &all);
    buf_clear(&c->pending);
    c->rewrite = false;
    lock_drop(&c->facts_lock);
    dump_facts(c, &all);
    content_dump(c->content, &all);
    return journal_rewrite(&c->journal, &all);
}

static int
append_journal(struct cache *c)
{
    AUTO(buf_release) struct buf batch;
    lock_take(&c->facts_lock);
    batch = c->pending;
    buf_init(&c->pending, batch.limit);
    lock_drop(&c->facts_lock);
    return batch.len == 0 ? 0 : journal_append(&c->journal, &batch);
}

static void
write_journal(struct cache *c)
{
    lock_take(&c->facts_lock);
    bool rewrite = c->rewrite || journal_wants_rewrite(&c->journal);
    lock_drop(&c->facts_lock);
    int rc = make_up(c);
    if (rc == 0) {
        rc = rewrite ? rewrite_journal(c) : append_journal(c);
    }
    if (rc == 0) {
        cache_disk_worked(c);
        return;
    }
    (void)cache_disk_failed(c, "journal", rc);
    c->journal_retry_ms = clock_ms() + RETRY_MS;
    lock_take(&c->facts_lock);
    c->rewrite = true;
    lock_drop(&c->facts_lock);
}

/* When the journal has to be written next; INT64_MAX when nothing waits. */
static int64_t
journal_due_ms(struct cache *c)
{
    lock_take(&c->facts_lock);
    bool waiting = c->pending.len > 0 || c->rewrite;
    int64_t due_ms = c->pending_since_ms + JOURNAL_BATCH_MS;
    lock_drop(&c->facts_lock);
    if (!waiting) {
        return INT64_MAX;
    }
    return due_ms > c->journal_retry_ms ? due_ms : c->journal_retry_ms;
}

/* ---- the note ---- */

/* When the note has to be written; INT64_MAX when none waits. */
static int64_t
note_due_ms(struct cache *c)
{
    lock_take(&c->facts_lock);
    bool waiting = c->note.len > 0;
    lock_drop(&c->facts_lock);
    return waiting ? c->note_retry_ms : INT64_MAX;
}

/* A note that the disk did not take waits for the next try, unless a later one is there. */
static void
write_note(struct cache *c)
{
    AUTO(buf_release) struct buf note;
    lock_take(&c->facts_lock);
    note = c->note;
    buf_init(&c->note, note.limit);
    lock_drop(&c->facts_lock);
    int rc = note.len == 0 ? 0 : store_write_file(&c->store, STORE_NOTE, &note);
    if (rc == 0) {
        return;
    }
    (void)cache_disk_failed(c, "note", rc);
    c->note_retry_ms = clock_ms() + RETRY_MS;
    lock_take(&c->facts_lock);
    if (c->note.len == 0) {
        c->note = note;
        buf_init(&note, note.limit);
    }
    lock_drop(&c->facts_lock);
}

/* ---- the way out of degraded, ages ---- */

static void
tick(struct cache *c)
{
    c->tick_ms = clock_ms() + TICK_MS;
    note_ages(c);
    if (atomic_load(&c->degraded)) {
        /* The try that shows when the disk works again. */
        lock_take(&c->facts_lock);
        c->rewrite = true;
        lock_drop(&c->facts_lock);
        write_journal(c);
    }
}

/* ---- the thread ---- */

static void
sleep_until_due(struct cache *c)
{
    int64_t now_ms = clock_ms();
    int64_t due_ms = journal_due_ms(c);
    int64_t note_ms = note_due_ms(c);
    due_ms = due_ms < note_ms ? due_ms : note_ms;
    due_ms = due_ms < c->tick_ms ? due_ms : c->tick_ms;
    due_ms = due_ms < c->room_ms ? due_ms : c->room_ms;
    struct pollfd fd = {.fd = mailbox_fd(&c->mailbox), .events = POLLIN};
    if (due_ms > now_ms) {
        (void)poll(&fd, 1, (int)(due_ms - now_ms));
    }
}

static bool
turn(struct cache *c)
{
    do_mail(c);
    /* Behind the mail, which clears the event: a stop after this look wakes the next sleep. */
    lock_take(&c->lock);
    bool stopping = c->stopping;
    lock_drop(&c->lock);
    c->room_ms = room_turn(c);
    remove_doomed(c);
    pack_swap(c);
    if (clock_ms() >= c->tick_ms) {
        tick(c);
    }
    if (clock_ms() >= journal_due_ms(c)) {
        write_journal(c);
    }
    if (clock_ms() >= note_due_ms(c)) {
        write_note(c);
    }
    return !stopping;
}

static void
run(void *arg)
{
    struct cache *c = arg;
    while (turn(c)) {
        sleep_until_due(c);
    }
    note_ages(c);
    if (journal_due_ms(c) != INT64_MAX) {
        write_journal(c);
    }
    write_note(c);
}

int
disk_start(struct cache *c)
{
    int rc = mailbox_init(&c->mailbox, MAIL_MAX);
    if (rc < 0) {
        return rc;
    }
    c->mailbox_open = true;
    c->tick_ms = clock_ms() + TICK_MS;
    return thread_start(&c->disk_thread, "ps-disk", run, c);
}

void
disk_stop(struct cache *c)
{
    if (!c->mailbox_open) {
        return;
    }
    mailbox_close(&c->mailbox);
    disk_wake(c);
    thread_join(&c->disk_thread);
    do_mail(c);
    remove_doomed(c);
    mailbox_release(&c->mailbox);
    c->mailbox_open = false;
}
