/* One blob in memory, as its readers see it: references, waiting, reading. How it is filled
 * and ends stands in blob_fill.c; the phases stand in cache.h.
 *
 *   0            hashed          held prefix                    tail_start     size
 *   |==============|===============|------|======|----------------|..............|
 *    readable, verified so far      readable runs wherever bytes    only when
 *                                   are held                        verified
 *
 * Invariants:
 *  1. The phase only rises. fd, size and gen are set once, before FILLING or WHOLE.
 *  2. Bytes that are held never change: a write lands only at the front of a claim.
 *  3. pieces is there in FILLING and FAILED only; VERIFIED and WHOLE hold everything.
 *  4. hashing and mailed each stand for one reference. */
#include "cache/blob.h"
#include "base/clock.h"
#include "base/fs.h"
#include "cache/content.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/pass.h"
#include "cache/window.h"
#include "cache/words_inside.h"
#include <errno.h>
#include <fcntl.h>

/* What a socket may hold of a file that the client has not acknowledged, and some more. */
#define DOUBT_BYTES (8u * 1024 * 1024)
#define STEP_BYTES  (256u * 1024)

struct blob *
blob_new(struct cache *c, const struct digest *d)
{
    struct blob *b = mem_zalloc(sizeof *b);
    b->cache = c;
    b->digest = *d;
    b->refs = 1;
    b->fd = -1;
    b->size = CACHE_SIZE_UNKNOWN;
    for (unsigned i = 0; i < BLOB_READERS_MAX; i++) {
        b->readers[i] = READER_NONE;
    }
    lock_init(&b->lock, LOCK_BLOB);
    cond_init(&b->grew);
    return b;
}

void
blob_set_whole(struct blob *b, int fd, uint64_t size)
{
    b->fd = fd;
    b->size = size;
    b->stored = b->verified = true;
    b->phase = BLOB_WHOLE;
}

void
blob_set_unsure(struct blob *b, int fd, uint64_t size)
{
    b->fd = fd;
    b->size = size;
    b->stored = true;
    b->pieces = pieces_new_held(size);
    b->phase = BLOB_FILLING;
}

static void
blob_free(struct blob *b)
{
    must(b->entry == NULL && !b->mailed && !b->hashing);
    pass_free(b);
    window_free(b);
    pieces_free(b->pieces);
    digester_free(b->digester);
    mem_free(b->spoilt);
    mem_free(b->sums);
    words_free(b->words);
    fd_close(&b->fd);
    frames_free(b->frames);
    cond_release(&b->grew);
    lock_release(&b->lock);
    mem_free(b);
}

struct blob *
blob_ref(struct blob *b)
{
    lock_take(&b->cache->lock);
    must(b->refs > 0);
    b->refs++;
    lock_drop(&b->cache->lock);
    return b;
}

/* Nothing more will come of it, and nothing is to be saved. */
static bool
is_final(struct blob *b)
{
    lock_take(&b->lock);
    bool final = b->phase >= BLOB_WHOLE || (b->phase == BLOB_VERIFIED && b->window != NULL);
    lock_drop(&b->lock);
    return final;
}

static enum blob_phase
phase_now(struct blob *b)
{
    lock_take(&b->lock);
    enum blob_phase phase = b->phase;
    lock_drop(&b->lock);
    return phase;
}

/* Gives up one reference; ret_left tells how many there are after it. False: this is the last
 * one of a blob that nobody will complete any more, which has to be ended first. */
static bool
drop_ref(struct blob *b, unsigned *ret_left)
{
    struct cache *c = b->cache;
    lock_take(&c->lock);
    must(b->refs > 0);
    bool last = b->refs == 1;
    if (last && b->entry != NULL && !is_final(b)) {
        lock_drop(&c->lock);
        return false;
    }
    *ret_left = --b->refs;
    if (last && b->entry != NULL) {
        struct entry *e = b->entry;
        if (b->foreign || b->window != NULL) {
            entry_untie(c, e);
        } else {
            entry_detach(c, e);
        }
    }
    lock_drop(&c->lock);
    return true;
}

void
blob_release(struct blob **b)
{
    struct blob *mine = *b;
    unsigned left;
    *b = NULL;
    if (mine == NULL) {
        return;
    }
    if (mine->pass != NULL) {
        pass_left_alone(mine);
    }
    while (!drop_ref(mine, &left)) {
        blob_end(mine, ERR_CLOSED, FATE_KEEP);
    }
    if (left == 0) {
        blob_free(mine);
    }
}

const struct digest *
blob_digest(const struct blob *b)
{
    return &b->digest;
}

void
blob_set_waker(struct blob *b, void (*wake)(void *arg), void *arg)
{
    lock_take(&b->lock);
    b->wake = wake;
    b->wake_arg = arg;
    lock_drop(&b->lock);
}

uint64_t
blob_tail_start(uint64_t size)
{
    return size > HOLDBACK_BYTES ? size - HOLDBACK_BYTES : 0;
}

/* The window has moved on beyond it. */
static bool is_gone_locked(const struct blob *b, uint64_t pos) NEEDS(b->lock);
static bool
is_gone_locked(const struct blob *b, uint64_t pos)
{
    return b->window != NULL && pos < window_start_locked(b);
}

/* True when the byte at pos may be read; ret_end is the end of that run, or pos. */
static bool readable_locked(const struct blob *b, uint64_t pos, uint64_t *ret_end) NEEDS(b->lock);
static bool
readable_locked(const struct blob *b, uint64_t pos, uint64_t *ret_end)
{
    uint64_t end = pos;
    if (b->pass != NULL) {
        end = pass_readable_locked(b, pos);
    } else if (b->distrusted || b->size == CACHE_SIZE_UNKNOWN || pos >= b->size ||
               is_gone_locked(b, pos)) {
        end = pos;
    } else if (b->pieces == NULL) {
        end = b->size;
    } else {
        end = pieces_run_end(b->pieces, pos);
        uint64_t tail = blob_tail_start(b->size);
        if (!b->verified && end > tail) {
            end = tail > pos ? tail : pos;
        }
    }
    *ret_end = end;
    return end > pos;
}

static void look_locked(const struct blob *b, uint64_t pos, struct blob_state *ret) NEEDS(b->lock);
static void
look_locked(const struct blob *b, uint64_t pos, struct blob_state *ret)
{
    *ret =
        (struct blob_state){.phase = b->phase, .size = b->size, .error = b->error, .sick = b->sick};
    (void)readable_locked(b, pos, &ret->readable);
    ret->behind = b->window != NULL && pos != UINT64_MAX && window_is_behind_locked(b, pos);
    if (b->pass != NULL) {
        ret->have_bytes = pass_have_bytes_locked(b);
    } else if (b->pieces != NULL) {
        ret->have_bytes = b->pieces->have_bytes;
    } else if (b->phase == BLOB_VERIFIED || b->phase == BLOB_WHOLE) {
        ret->have_bytes = b->size;
    }
}

void
blob_look(struct blob *b, uint64_t pos, struct blob_state *ret)
{
    lock_take(&b->lock);
    look_locked(b, pos, ret);
    lock_drop(&b->lock);
}

static bool
worth_returning(const struct blob_state *s, uint64_t pos)
{
    if (s->behind) {
        return true;
    }
    switch (s->phase) {
    case BLOB_ASKED:
        return false;
    case BLOB_FILLING:
        return pos == UINT64_MAX || s->readable > pos;
    case BLOB_VERIFIED:
        return pos >= s->size || s->readable > pos;
    case BLOB_WHOLE:
    case BLOB_FAILED:
        return true;
    }
    never("phase out of range");
}

static bool add_cursor(struct blob *b, uint64_t pos) NEEDS(b->lock);
static bool
add_cursor(struct blob *b, uint64_t pos)
{
    lock_must_hold(&b->lock);
    if (pos == UINT64_MAX || b->cursors_count == CURSORS_MAX) {
        return false;
    }
    b->cursors[b->cursors_count++] = pos;
    return true;
}

static void drop_cursor(struct blob *b, uint64_t pos) NEEDS(b->lock);
static void
drop_cursor(struct blob *b, uint64_t pos)
{
    lock_must_hold(&b->lock);
    for (unsigned i = 0; i < b->cursors_count; i++) {
        if (b->cursors[i] == pos) {
            b->cursors[i] = b->cursors[--b->cursors_count];
            return;
        }
    }
}

static bool nobody_comes(const struct blob *b, uint64_t pos) NEEDS(b->lock);
static bool
nobody_comes(const struct blob *b, uint64_t pos)
{
    lock_must_hold(&b->lock);
    return b->phase == BLOB_FILLING && b->pass == NULL && b->wake != NULL &&
           pieces_stuck(b->pieces, pos);
}

/* One wait. Until then a slower reader may hold the window up. False: the deadline has passed. */
static bool wait_once(struct blob *b, uint64_t pos, int64_t since_ms, int64_t deadline_ms)
    NEEDS(b->lock);
static bool
wait_once(struct blob *b, uint64_t pos, int64_t since_ms, int64_t deadline_ms)
{
    int64_t due_ms = deadline_ms;
    if (b->window != NULL && pos != UINT64_MAX) {
        struct blob_state s;
        lock_drop(&b->lock);
        int64_t hold_ms = window_hold(b, pos, since_ms);
        lock_take(&b->lock);
        due_ms = hold_ms < due_ms ? hold_ms : due_ms;
        look_locked(b, pos, &s);
        if (worth_returning(&s, pos)) {
            return true;
        }
    }
    return cond_wait(&b->grew, &b->lock, due_ms) || due_ms < deadline_ms;
}

void
blob_wait(struct blob *b, uint64_t pos, int64_t deadline_ms, struct blob_state *ret)
{
    bool told = false;
    int64_t since_ms = clock_ms();
    if (b->pass != NULL) {
        pass_wait(b, pos, deadline_ms);
        blob_look(b, pos, ret);
        return;
    }
    lock_take(&b->lock);
    bool registered = add_cursor(b, pos);
    look_locked(b, pos, ret);
    while (!worth_returning(ret, pos)) {
        if (!told && nobody_comes(b, pos)) {
            void (*wake)(void *arg) = b->wake;
            void *arg = b->wake_arg;
            told = true;
            lock_drop(&b->lock);
            wake(arg);
            lock_take(&b->lock);
        } else if (!wait_once(b, pos, since_ms, deadline_ms)) {
            break;
        }
        look_locked(b, pos, ret);
    }
    look_locked(b, pos, ret);
    if (registered) {
        drop_cursor(b, pos);
    }
    lock_drop(&b->lock);
}

int
blob_enter(struct blob *b, uint64_t pos)
{
    int place = -1;
    lock_take(&b->lock);
    for (int i = 0; i < BLOB_READERS_MAX && place < 0; i++) {
        if (b->readers[i] == READER_NONE) {
            b->readers[i] = pos;
            place = i;
        }
    }
    lock_drop(&b->lock);
    return place;
}

static void
set_place(struct blob *b, int place, uint64_t pos)
{
    if (place < 0) {
        return;
    }
    lock_take(&b->lock);
    bool window = b->window != NULL;
    if (b->readers[place] < READER_LEFT || pos == READER_NONE) {
        b->readers[place] = pos;
    }
    lock_drop(&b->lock);
    if (window) {
        window_slide(b);
    }
}

void
blob_reader_at(struct blob *b, int place, uint64_t pos)
{
    set_place(b, place, pos);
}

void
blob_leave(struct blob *b, int place)
{
    set_place(b, place, READER_NONE);
}

unsigned
blob_readers(struct blob *b)
{
    unsigned count = 0;
    lock_take(&b->lock);
    for (int i = 0; i < BLOB_READERS_MAX; i++) {
        count += b->readers[i] < READER_LEFT;
    }
    lock_drop(&b->lock);
    return count;
}

/* A stored file that cannot be read any more is of no use to the next client either. */
static int
read_failed(struct blob *b, int rc)
{
    struct cache *c = b->cache;
    if (b->foreign) {
        content_judge(c->content, &b->digest, &b->file, false);
        return ERR_STORE;
    }
    lock_take(&c->lock);
    if (b->entry != NULL && b->entry->state == ENTRY_STORED && phase_now(b) == BLOB_WHOLE) {
        entry_doom(c, b->entry, DOOM_QUARANTINE, M_evict_corrupt);
    }
    lock_drop(&c->lock);
    disk_wake(c);
    return cache_disk_failed(c, "read", rc);
}

/* What was read just now was perhaps a hole already. */
static bool
is_gone(struct blob *b, uint64_t pos)
{
    lock_take(&b->lock);
    bool gone = is_gone_locked(b, pos);
    lock_drop(&b->lock);
    return gone;
}

int64_t
blob_read(struct blob *b, uint64_t pos, void *ret, size_t len)
{
    if (b->pass != NULL) {
        return pass_read(b, pos, ret, len);
    }
    uint64_t end;
    lock_take(&b->lock);
    bool readable = readable_locked(b, pos, &end);
    lock_drop(&b->lock);
    if (!readable || len == 0) {
        return 0;
    }
    size_t n = end - pos < len ? (size_t)(end - pos) : len;
    int rc = frames_read(b->frames, b->fd, pos, ret, n);
    if (rc < 0) {
        return read_failed(b, rc);
    }
    if (is_gone(b, pos)) {
        return 0;
    }
    if (b->foreign && !content_unaltered(b)) {
        return ERR_STORE; /* after the read: who writes changes the times first */
    }
    atomic_fetch_add_explicit(&b->served_bytes, n, memory_order_relaxed);
    return (int64_t)n;
}

int
blob_hash_again(const struct blob *b, uint64_t start, uint64_t end, struct digester *d)
{
    uint8_t *room = mem_alloc(STEP_BYTES);
    int rc = b->pass != NULL || b->window != NULL || b->fd < 0 ? ERR_NOT_FOUND : 0;
    for (uint64_t at = start; at < end && rc == 0;) {
        uint64_t step_end = (at / STEP_BYTES + 1) * STEP_BYTES; /* a frame at a time */
        size_t n = (size_t)((step_end < end ? step_end : end) - at);
        rc = frames_read(b->frames, b->fd, at, room, n);
        if (rc == 0) {
            digester_add(d, room, n);
        }
        at += n;
    }
    mem_free(room);
    return rc;
}

bool
blob_same_file(const struct blob *a, const struct blob *b)
{
    return a->pass == NULL && a->window == NULL && !a->foreign && b->pass == NULL &&
           b->window == NULL && !b->foreign && a->gen == b->gen;
}

bool
blob_in_memory(struct blob *b)
{
    lock_take(&b->lock);
    bool memory = b->pass != NULL || b->window != NULL;
    lock_drop(&b->lock);
    return memory;
}

static int
share_fd(const struct blob *b, int *ret_fd)
{
    /* Shares the offset with b->fd, which nobody uses: all reads here say where. */
    int fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    *ret_fd = fd;
    return 0;
}

int
blob_open_fd(struct blob *b, int *ret_fd)
{
    if (b->pass != NULL || b->frames != NULL || b->foreign || phase_now(b) != BLOB_WHOLE) {
        return ERR_NOT_FOUND;
    }
    return share_fd(b, ret_fd);
}

int
blob_copy(const struct blob *b, uint64_t pos, uint64_t len, int *ret_fd)
{
    AUTO(fd_close) int fd = -1;
    int rc = fs_open_memory(b->size, &fd);
    uint8_t *room = mem_alloc(STEP_BYTES);
    for (uint64_t at = pos; at < pos + len && rc == 0;) {
        uint64_t step_end = (at / STEP_BYTES + 1) * STEP_BYTES; /* a frame at a time */
        size_t n = (size_t)((step_end < pos + len ? step_end : pos + len) - at);
        rc = frames_read(b->frames, b->fd, at, room, n);
        if (rc == 0) {
            rc = fs_write_at(fd, at, room, n);
        }
        at += n;
    }
    mem_free(room);
    if (rc == 0) {
        *ret_fd = fd;
        fd = -1;
    }
    return rc;
}

bool
blob_is_packed(const struct blob *b)
{
    return b->frames != NULL;
}

/* Unpacks it to a file in memory. */
static int
unpack(struct blob *b, uint64_t pos, uint64_t len, int *ret_fd)
{
    int rc = blob_copy(b, pos, len, ret_fd);
    return rc == -EBADMSG || rc == -EIO ? read_failed(b, rc) : rc;
}

int
blob_held_fd(struct blob *b, uint64_t pos, uint64_t len, int *ret_fd)
{
    lock_take(&b->lock);
    bool window = b->window != NULL;
    bool held = b->pass == NULL && !b->distrusted && b->size != CACHE_SIZE_UNKNOWN &&
                b->phase != BLOB_FAILED && pos <= b->size && len <= b->size - pos;
    for (uint64_t at = pos; held && b->pieces != NULL && at < pos + len;) {
        uint64_t end = pieces_run_end(b->pieces, at);
        held = end > at;
        at = end;
    }
    lock_drop(&b->lock);
    if (window) {
        return window_copy(b, pos, len, ret_fd);
    }
    if (held && b->frames != NULL) {
        return unpack(b, pos, len, ret_fd);
    }
    return held ? share_fd(b, ret_fd) : ERR_NOT_FOUND;
}

void
blob_doubt(struct blob *b, uint64_t pos)
{
    if (b->pass != NULL || phase_now(b) != BLOB_WHOLE || pos >= b->size) {
        return;
    }
    uint8_t *room = mem_alloc(STEP_BYTES);
    uint64_t end = b->size - pos > DOUBT_BYTES ? pos + DOUBT_BYTES : b->size;
    int rc = 0;
    while (pos < end && rc == 0) {
        size_t n = end - pos < STEP_BYTES ? (size_t)(end - pos) : STEP_BYTES;
        rc = frames_read(b->frames, b->fd, pos, room, n);
        pos += n;
    }
    mem_free(room);
    if (rc < 0) {
        (void)read_failed(b, rc);
    }
}
