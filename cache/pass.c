/* A blob that passes through memory when the disk cannot take it.
 *
 *   fetch thread -> pass_write -> [ base ... end )  -> pass_read -> client
 *                                  ring of cap bytes      |
 *                                                         '-> SHA, in the reader's thread
 *
 * When the last byte is in the window, the reader hashes what it has not read yet and only
 * then reads on: nothing of the tail leaves before the digest is right.
 *
 * Invariants:
 *  1. base <= end <= base + cap; only the reader moves base, only the writer end.
 *  2. digester has seen exactly the bytes before base, until it is gone (VERIFIED, FAILED); a part
 *     has none. */
#include "cache/pass.h"
#include "base/log.h"
#include "cache/blob.h"
#include "cache/window.h"
#include <string.h>

/* Copied out in one go to be hashed outside the lock; lives on a thread's stack. */
#define STEP_BYTES (16u * 1024)

struct pass {
    /* fixed at birth */
    size_t cap;
    uint64_t to; /* CACHE_SIZE_UNKNOWN: to the end of the blob, which is proven; else a part */

    /* blob->lock */
    uint8_t *ring; /* bytes at position x stand at x % cap */
    uint64_t base, end;
    uint64_t limit;       /* what comes ends here; from pass_begin on */
    uint64_t claim_end;   /* 0: not claimed */
    size_t refused_bytes; /* the writer waits for this much room; 0: it does not */

    /* reader's thread */
    struct digester *digester;
};

/* Hashes the first `from` bytes of the file of an earlier try. False when they cannot be had:
 * then everything comes again and the reader skips. */
static bool
hash_prefix(struct blob *prefix, uint64_t from, struct digester *digester)
{
    lock_take(&prefix->lock);
    bool held =
        prefix->pieces != NULL && !prefix->distrusted && pieces_run_end(prefix->pieces, 0) >= from;
    lock_drop(&prefix->lock);
    if (!held) {
        return false;
    }
    return blob_hash_again(prefix, 0, from, digester) == 0;
}

/* Goes on where the prefix knows the state of the digest. */
static void
begin_at(struct pass *p, struct blob *prefix, uint64_t from)
{
    uint64_t start = from;
    struct digester *state = window_state(prefix, from, &start);
    if (state == NULL && prefix->window == NULL && hash_prefix(prefix, from, p->digester)) {
        p->base = p->end = from;
        return;
    }
    digester_free(p->digester);
    p->digester = state != NULL ? state : digester_new((enum digest_alg)prefix->digest.alg);
    p->base = p->end = state != NULL ? start : 0;
}

static bool
take_place(struct cache *c, unsigned max)
{
    lock_take(&c->lock);
    bool free = c->passes < max;
    c->passes += free;
    lock_drop(&c->lock);
    return free;
}

/* Of bytes from `from` to `to`, without a digester. */
static struct blob *
new_blob(struct cache *c, const struct digest *d, uint64_t from, uint64_t to)
{
    struct blob *b = blob_new(c, d);
    struct pass *p = mem_zalloc(sizeof *p);
    p->cap = c->pass_bytes;
    p->base = p->end = from;
    p->to = to;
    b->pass = p;
    return b;
}

int
pass_new_part(struct cache *c, const struct digest *d, const struct gap *want, bool spare_only,
              struct blob **ret)
{
    must(want->start < want->end && want->end != CACHE_SIZE_UNKNOWN);
    if (!take_place(c, spare_only ? c->passes_max / 2 : c->passes_max)) {
        return ERR_FULL;
    }
    *ret = new_blob(c, d, want->start, want->end);
    return 0;
}

int
pass_new(struct cache *c, const struct digest *d, uint64_t from, const struct digester *sent,
         struct blob *prefix, struct blob **ret)
{
    if (!take_place(c, c->passes_max)) {
        return ERR_FULL;
    }
    struct blob *b = new_blob(c, d, sent != NULL ? from : 0, CACHE_SIZE_UNKNOWN);
    struct pass *p = b->pass;
    p->digester = sent != NULL ? digester_copy(sent) : digester_new((enum digest_alg)d->alg);
    if (sent == NULL && prefix != NULL && from > 0) {
        must(digest_equal(&prefix->digest, d));
        begin_at(p, prefix, from);
    }
    *ret = b;
    return 0;
}

void
pass_free(struct blob *b)
{
    if (b->pass == NULL) {
        return;
    }
    struct cache *c = b->cache;
    lock_take(&c->lock);
    must(c->passes > 0);
    c->passes--;
    lock_drop(&c->lock);
    digester_free(b->pass->digester);
    mem_free(b->pass->ring);
    mem_free(b->pass);
    b->pass = NULL;
}

int
pass_begin(struct blob *b, uint64_t size)
{
    struct pass *p = b->pass;
    int rc = 0;
    lock_take(&b->lock);
    if (b->phase == BLOB_FAILED) {
        rc = b->error;
    } else if (b->phase != BLOB_ASKED) {
        rc = b->size == size ? 0 : ERR_SIZE;
    } else if (size < p->end || (p->to != CACHE_SIZE_UNKNOWN && p->to > size)) {
        rc = ERR_SIZE;
    } else {
        p->ring = mem_alloc(p->cap);
        b->size = size;
        p->limit = p->to < size ? p->to : size;
        b->phase = BLOB_FILLING;
        cond_wake(&b->grew);
    }
    lock_drop(&b->lock);
    return rc;
}

bool
pass_claim(struct blob *b, uint64_t max_bytes, struct gap *ret)
{
    struct pass *p = b->pass;
    lock_take(&b->lock);
    bool free = b->phase == BLOB_FILLING && p->claim_end == 0 && p->end < p->limit;
    if (free) {
        p->claim_end = p->limit - p->end < max_bytes ? p->limit : p->end + max_bytes;
        *ret = (struct gap){p->end, p->claim_end};
    }
    lock_drop(&b->lock);
    return free;
}

void
pass_unclaim(struct blob *b)
{
    lock_take(&b->lock);
    b->pass->claim_end = 0;
    lock_drop(&b->lock);
}

uint64_t
pass_claim_limit(struct blob *b)
{
    lock_take(&b->lock);
    uint64_t end = b->pass->claim_end;
    lock_drop(&b->lock);
    return end;
}

/* Copies between the ring and plain memory, in at most two parts. */
static void
ring_put(struct pass *p, uint64_t pos, const uint8_t *bytes, size_t len)
{
    size_t at = (size_t)(pos % p->cap);
    size_t first = p->cap - at < len ? p->cap - at : len;
    memcpy(p->ring + at, bytes, first);
    memcpy(p->ring, bytes + first, len - first);
}

static void
ring_get(const struct pass *p, uint64_t pos, uint8_t *ret, size_t len)
{
    size_t at = (size_t)(pos % p->cap);
    size_t first = p->cap - at < len ? p->cap - at : len;
    memcpy(ret, p->ring + at, first);
    memcpy(ret + first, p->ring, len - first);
}

static int write_locked(struct blob *b, uint64_t pos, const void *bytes, size_t len) NEEDS(b->lock);
static int
write_locked(struct blob *b, uint64_t pos, const void *bytes, size_t len)
{
    struct pass *p = b->pass;
    lock_must_hold(&b->lock);
    if (b->phase != BLOB_FILLING) {
        return b->phase == BLOB_FAILED ? b->error : 0;
    }
    must(p->claim_end != 0 && pos == p->end && len <= PASS_WRITE_MAX);
    if (len > p->claim_end - pos) {
        len = (size_t)(p->claim_end - pos);
    }
    if (p->base + p->cap - p->end < len) {
        p->refused_bytes = len;
        return ERR_AGAIN;
    }
    ring_put(p, pos, bytes, len);
    p->end += len;
    if (p->end == p->claim_end) {
        p->claim_end = 0;
    }
    cond_wake(&b->grew);
    return 0;
}

int
pass_write(struct blob *b, uint64_t pos, const void *bytes, size_t len, enum blob_source source)
{
    lock_take(&b->lock);
    uint64_t before = b->pass->end;
    int rc = write_locked(b, pos, bytes, len);
    b->from_bytes[source] += b->pass->end - before;
    lock_drop(&b->lock);
    return rc;
}

/* Ends it and tells the writer, who may be waiting for room. */
static void
end_with(struct blob *b, enum blob_phase phase, int code)
{
    void (*wake)(void *arg) = NULL;
    lock_take(&b->lock);
    void *arg = b->wake_arg;
    if (b->phase < BLOB_VERIFIED) {
        b->phase = phase;
        b->error = code;
        b->verified = phase == BLOB_VERIFIED;
        wake = b->wake;
        cond_wake(&b->grew);
    }
    lock_drop(&b->lock);
    if (wake != NULL) {
        wake(arg);
    }
}

void
pass_fail(struct blob *b, int code)
{
    end_with(b, BLOB_FAILED, code);
}

void
pass_left_alone(struct blob *b)
{
    lock_take(&b->cache->lock);
    bool alone = b->refs == 2;
    lock_drop(&b->cache->lock);
    lock_take(&b->lock);
    bool complete = b->phase == BLOB_FILLING && b->pass->end == b->pass->limit;
    lock_drop(&b->lock);
    if (alone && !complete) {
        pass_fail(b, ERR_CLOSED);
    }
}

uint64_t
pass_readable_locked(const struct blob *b, uint64_t pos)
{
    const struct pass *p = b->pass;
    if (pos < p->base || pos >= p->end) {
        return pos;
    }
    uint64_t end = p->end;
    uint64_t tail = blob_tail_start(b->size);
    bool part = p->to != CACHE_SIZE_UNKNOWN;
    if (!part && !b->verified && end > tail) {
        end = tail > pos ? tail : pos;
    }
    return end;
}

uint64_t
pass_have_bytes_locked(const struct blob *b)
{
    const struct pass *p = b->pass;
    if (b->size == CACHE_SIZE_UNKNOWN) {
        return p->end;
    }
    return p->end + (b->size - p->limit); /* as if it were all */
}

/* The reader is done with what stands before pos. */
static void
move_base(struct blob *b, uint64_t pos)
{
    struct pass *p = b->pass;
    void (*wake)(void *arg) = NULL;
    lock_take(&b->lock);
    must(pos >= p->base && pos <= p->end);
    p->base = pos;
    void *arg = b->wake_arg;
    if (p->refused_bytes != 0 && p->base + p->cap - p->end >= p->refused_bytes) {
        p->refused_bytes = 0;
        wake = b->wake;
    }
    lock_drop(&b->lock);
    if (wake != NULL) {
        wake(arg);
    }
}

/* Copies up to STEP_BYTES of [pos, min(end, limit)) and hashes them; returns how many. */
static size_t
hash_step(struct blob *b, uint64_t pos, uint64_t limit)
{
    uint8_t step[STEP_BYTES];
    struct pass *p = b->pass;
    lock_take(&b->lock);
    uint64_t end = p->end < limit ? p->end : limit;
    uint64_t left = end > pos ? end - pos : 0;
    size_t n = left < sizeof step ? (size_t)left : sizeof step;
    if (n > 0) {
        ring_get(p, pos, step, n);
    }
    lock_drop(&b->lock);
    if (p->digester != NULL) {
        digester_add(p->digester, step, n);
    }
    return n;
}

/* Drops what the reader skips: everything before pos. */
static void
skip_to(struct blob *b, uint64_t pos)
{
    size_t n;
    while ((n = hash_step(b, b->pass->base, pos)) > 0) {
        move_base(b, b->pass->base + n);
    }
}

/* Once the last byte is in the window: hashes the rest of it and decides. */
static void
verify_if_complete(struct blob *b)
{
    struct pass *p = b->pass;
    lock_take(&b->lock);
    bool complete = b->phase == BLOB_FILLING && p->end == b->size;
    lock_drop(&b->lock);
    if (!complete || p->digester == NULL) {
        return;
    }
    uint64_t at = p->base;
    size_t n;
    while ((n = hash_step(b, at, b->size)) > 0) {
        at += n;
    }
    struct digest got;
    digester_finish(p->digester, &got);
    digester_free(p->digester);
    p->digester = NULL;
    if (digest_equal(&got, &b->digest)) {
        end_with(b, BLOB_VERIFIED, 0);
        return;
    }
    char text[DIGEST_TEXT_MAX];
    digest_print(&b->digest, text);
    metric_add(M_digest_failures, 1);
    LOG(digest_mismatch, LOG_S("digest", text), LOG_U("bytes", b->size));
    end_with(b, BLOB_FAILED, ERR_DIGEST);
}

/* True when blob_wait has something to return for. */
static bool settled_locked(const struct blob *b, uint64_t pos) NEEDS(b->lock);
static bool
settled_locked(const struct blob *b, uint64_t pos)
{
    if (b->phase == BLOB_ASKED) {
        return false;
    }
    return pos == UINT64_MAX || b->phase == BLOB_FAILED || pass_readable_locked(b, pos) > pos ||
           (b->phase == BLOB_VERIFIED && pos >= b->size);
}

/* True when the reader itself can move things on: bytes to skip, or all to be hashed. */
static bool has_work_locked(const struct blob *b, uint64_t pos) NEEDS(b->lock);
static bool
has_work_locked(const struct blob *b, uint64_t pos)
{
    const struct pass *p = b->pass;
    if (pos == UINT64_MAX) {
        return false;
    }
    return (p->base < pos && p->base < p->end) ||
           (b->phase == BLOB_FILLING && p->end == b->size && p->digester != NULL);
}

void
pass_wait(struct blob *b, uint64_t pos, int64_t deadline_ms)
{
    bool waiting = true;
    while (waiting) {
        if (pos != UINT64_MAX) {
            skip_to(b, pos);
            verify_if_complete(b);
        }
        lock_take(&b->lock);
        waiting = !settled_locked(b, pos);
        if (waiting && !has_work_locked(b, pos)) {
            waiting = cond_wait(&b->grew, &b->lock, deadline_ms);
        }
        lock_drop(&b->lock);
    }
}

int64_t
pass_read(struct blob *b, uint64_t pos, void *ret, size_t len)
{
    struct pass *p = b->pass;
    skip_to(b, pos);
    verify_if_complete(b);
    lock_take(&b->lock);
    uint64_t end = pass_readable_locked(b, pos);
    size_t n = end - pos < len ? (size_t)(end - pos) : len;
    if (n > 0) {
        ring_get(p, pos, ret, n);
    }
    lock_drop(&b->lock);
    if (n == 0) {
        return 0;
    }
    if (p->digester != NULL) {
        digester_add(p->digester, ret, n);
    }
    move_base(b, pos + n);
    return (int64_t)n;
}
