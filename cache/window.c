/* Blobs in memory.
 *
 * Invariants:
 *  1. first <= end <= pieces; first only rises. The file holds bytes of [first, end) only.
 *  2. pieces tells what has arrived; what stands before `first` is gone all the same.
 *  3. What is before `first` was hashed; states[] has an entry for each piece from the one where
 *     hashing began here up to `first`.
 *  4. A hole is made after `first` has passed it: who reads without the lock looks at `first` again
 *     before it believes what it read. */
#include "cache/window.h"
#include "base/clock.h"
#include "cache/blob.h"
#include <string.h>

#define STATE_BYTES 512 /* about, of one state of a digest */

struct window {
    /* fixed at birth */
    uint64_t charged_bytes;
    uint32_t length; /* pieces of the window */

    /* blob->lock */
    uint32_t first, end; /* pieces */
    uint32_t hashed;     /* pieces below it were hashed */
    bool refused;        /* the writer waits for room */
    struct digester **states;
};

static uint64_t
start_of(const struct blob *b, uint32_t piece)
{
    uint64_t start = (uint64_t)piece * b->pieces->piece_bytes;
    return start < b->size ? start : b->size;
}

/* Of a window that begins at `first`, of a blob of `count` pieces. */
static uint32_t
end_for(const struct window *w, uint32_t first, uint32_t count)
{
    return count - first < w->length ? count : first + w->length;
}

static uint32_t
piece_of(const struct blob *b, uint64_t pos)
{
    return (uint32_t)(pos / b->pieces->piece_bytes);
}

/* The lowest place of a reader; READER_LEFT: there is none. */
static uint64_t slowest(const struct blob *b) NEEDS(b->lock);
static uint64_t
slowest(const struct blob *b)
{
    uint64_t low = READER_LEFT;
    lock_must_hold(&b->lock);
    for (unsigned i = 0; i < BLOB_READERS_MAX; i++) {
        low = b->readers[i] < low ? b->readers[i] : low;
    }
    return low;
}

/* ---- life ---- */

static bool
charge(struct cache *c, uint64_t bytes)
{
    lock_take(&c->lock);
    bool free = bytes <= c->windows_max_bytes && c->windows_bytes <= c->windows_max_bytes - bytes;
    c->windows_bytes += free ? bytes : 0;
    lock_drop(&c->lock);
    return free;
}

static void
give_back(struct cache *c, uint64_t bytes)
{
    lock_take(&c->lock);
    must(c->windows_bytes >= bytes);
    c->windows_bytes -= bytes;
    lock_drop(&c->lock);
}

static void
window_discard(struct cache *c, struct window *w)
{
    give_back(c, w->charged_bytes);
    mem_free(w);
}

static struct window *
window_new(struct cache *c, uint64_t size)
{
    uint32_t piece_bytes = pieces_piece_bytes(size);
    uint32_t length = WINDOW_BYTES / piece_bytes;
    length = length > WINDOW_PIECES_MIN ? length : WINDOW_PIECES_MIN;
    uint64_t bytes = (uint64_t)length * piece_bytes;
    bytes = (bytes < size ? bytes : size) + size / piece_bytes * STATE_BYTES;
    if (!charge(c, bytes)) {
        return NULL;
    }
    struct window *w = mem_zalloc(sizeof *w);
    w->charged_bytes = bytes;
    w->length = length;
    return w;
}

/* What a window begins with: where, and what there is of it. */
struct opening {
    uint32_t first, end;
    struct digester *state; /* at the start of that piece; NULL: nothing was hashed yet */
    struct pieces *pieces;
    int fd;
};

static void
opening_release(struct opening *o)
{
    fd_close(&o->fd);
    pieces_free(o->pieces);
    digester_free(o->state);
}

/* Hands all of it to the blob, even to one that has failed meanwhile: blob_free sees to it. */
static int
adopt(struct blob *b, struct window *w, struct opening *o)
{
    uint32_t count = o->pieces->count;
    w->states = mem_zalloc((count + 1) * sizeof(struct digester *));
    w->first = w->hashed = o->first;
    w->end = o->end;
    lock_take(&b->lock);
    bool asked = b->phase == BLOB_ASKED;
    int rc = asked ? 0 : b->error;
    b->window = w;
    b->pieces = o->pieces;
    b->fd = o->fd;
    if (o->state != NULL) {
        w->states[o->first] = digester_copy(o->state);
        b->digester = o->state;
        b->hashed_bytes = (uint64_t)o->first * o->pieces->piece_bytes;
    }
    if (asked) {
        b->size = o->pieces->size;
        b->phase = BLOB_FILLING;
        cond_wake(&b->grew);
    }
    lock_drop(&b->lock);
    *o = (struct opening){.fd = -1};
    return rc;
}

int
window_begin(struct blob *b, uint64_t size)
{
    AUTO(opening_release) struct opening o = {.fd = -1};
    struct window *w = window_new(b->cache, size);
    if (w == NULL) {
        return ERR_FULL;
    }
    if (fs_open_memory(size, &o.fd) < 0) {
        window_discard(b->cache, w);
        return ERR_FULL;
    }
    o.pieces = pieces_new(size);
    o.end = end_for(w, 0, o.pieces->count);
    return adopt(b, w, &o);
}

/* The first piece for those who read a file that is whole up to `held`: a little behind the
 * slowest, but with room for what comes. */
static uint32_t
first_for(struct blob *readers_of, uint64_t held, const struct window *w, uint32_t piece_bytes)
{
    lock_take(&readers_of->lock);
    uint64_t low = slowest(readers_of);
    lock_drop(&readers_of->lock);
    uint32_t front = (uint32_t)(held / piece_bytes), behind = w->length / WINDOW_BEHIND;
    uint32_t at = low < held ? (uint32_t)(low / piece_bytes) : front;
    uint32_t least = front > w->length / 2 ? front - w->length / 2 : 0;
    at = at > behind ? at - behind : 0;
    return at > least ? at : least;
}

/* The first `len` bytes of a piece, from one file to the other. */
static int
bring_piece(int from_fd, int to_fd, uint64_t pos, uint32_t len, uint8_t *room)
{
    int rc = fs_read_at(from_fd, pos, room, len);
    return rc < 0 ? rc : fs_write_at(to_fd, pos, room, len);
}

/* What the file holds of the window comes along; what it holds behind that has to come again. */
static int
bring(const struct blob *failed, struct opening *o)
{
    const struct pieces *p = failed->pieces;
    uint32_t *filled = mem_zalloc(p->count * sizeof filled[0]);
    uint8_t *room = mem_alloc(p->piece_bytes);
    int rc = 0;
    for (uint32_t i = 0; i < o->end && rc == 0; i++) {
        filled[i] = i < o->first ? pieces_piece_len(p, i) : p->filled[i];
        if (i >= o->first && filled[i] > 0) {
            rc = bring_piece(failed->fd, o->fd, (uint64_t)i * p->piece_bytes, filled[i], room);
        }
    }
    if (rc == 0) {
        rc = pieces_restore(o->pieces, filled, p->count);
    }
    mem_free(room);
    mem_free(filled);
    return rc;
}

int
window_take_over(struct blob *b, struct blob *failed)
{
    AUTO(opening_release) struct opening o = {.fd = -1};
    const struct pieces *p = failed->pieces; /* of a blob that FAILED: they stay as they are */
    struct window *w = window_new(b->cache, p->size);
    if (w == NULL) {
        return ERR_FULL;
    }
    o.pieces = pieces_new(p->size);
    o.first = first_for(failed, pieces_run_end(p, 0), w, p->piece_bytes);
    o.end = end_for(w, o.first, p->count);
    o.state = digester_new((enum digest_alg)b->digest.alg);
    int rc = blob_hash_again(failed, 0, (uint64_t)o.first * p->piece_bytes, o.state);
    if (rc == 0) {
        rc = fs_open_memory(p->size, &o.fd);
    }
    if (rc == 0) {
        rc = bring(failed, &o);
    }
    if (rc < 0) {
        window_discard(b->cache, w);
        return ERR_FULL;
    }
    return adopt(b, w, &o);
}

void
window_free(struct blob *b)
{
    struct window *w = b->window;
    if (w == NULL) {
        return;
    }
    for (uint32_t i = 0; i <= b->pieces->count; i++) {
        digester_free(w->states[i]);
    }
    mem_free(w->states);
    window_discard(b->cache, w);
    b->window = NULL;
}

/* ---- looks ---- */

uint64_t
window_start_locked(const struct blob *b)
{
    return start_of(b, b->window->first);
}

uint64_t
window_end_locked(const struct blob *b)
{
    return start_of(b, b->window->end);
}

void
window_hide_locked(const struct blob *b, uint8_t *bits)
{
    for (uint32_t i = 0; i < b->window->first; i++) {
        bits[i / 8] &= (uint8_t) ~(1u << i % 8);
    }
}

bool
window_is_behind_locked(const struct blob *b, uint64_t pos)
{
    const struct window *w = b->window;
    return pos < b->size && (pos < start_of(b, w->first) || pos > start_of(b, w->end));
}

void
window_refused_locked(struct blob *b)
{
    if (!b->window->refused) {
        b->window->refused = true;
        cond_wake(&b->grew); /* whoever waits for more is held up from now on */
    }
}

/* ---- moving on ---- */

/* [*ret_start, *ret_end) is to be punched. True when the writer is to be woken. */
static bool slide_locked(struct blob *b, uint64_t *ret_start, uint64_t *ret_end) NEEDS(b->lock);
static bool
slide_locked(struct blob *b, uint64_t *ret_start, uint64_t *ret_end)
{
    struct window *w = b->window;
    uint64_t low = slowest(b);
    *ret_start = *ret_end = 0;
    if (low == READER_LEFT || b->phase == BLOB_FAILED) {
        return false;
    }
    uint32_t at = piece_of(b, low), behind = w->length / WINDOW_BEHIND;
    uint32_t first = at > behind ? at - behind : 0;
    first = first < w->hashed ? first : w->hashed;
    if (first <= w->first) {
        return false;
    }
    *ret_start = start_of(b, w->first);
    *ret_end = start_of(b, first);
    w->first = first;
    w->end = end_for(w, first, b->pieces->count);
    bool wake = w->refused;
    w->refused = false;
    cond_wake(&b->grew); /* who was left behind must hear of it */
    return wake;
}

void
window_slide(struct blob *b)
{
    uint64_t start, end;
    lock_take(&b->lock);
    bool wake = slide_locked(b, &start, &end);
    void (*call)(void *arg) = b->wake;
    void *arg = b->wake_arg;
    lock_drop(&b->lock);
    if (end > start && fs_punch(b->fd, start, end - start) < 0) {
        return; /* it only takes more memory than it should until the blob goes */
    }
    if (wake && call != NULL) {
        call(arg);
    }
}

int64_t
window_hold(struct blob *b, uint64_t pos, int64_t since_ms)
{
    int64_t due_ms = since_ms + WINDOW_HOLD_MS;
    lock_take(&b->lock);
    const struct window *w = b->window;
    bool stands = b->phase == BLOB_FILLING && w->end < b->pieces->count &&
                  (w->refused || pos >= start_of(b, w->end));
    bool due = stands && clock_ms() >= due_ms;
    for (unsigned i = 0; due && i < BLOB_READERS_MAX; i++) {
        uint64_t *at = &b->readers[i];
        if (*at < READER_LEFT && piece_of(b, *at) + w->length / 2 < piece_of(b, pos)) {
            *at = READER_LEFT;
        }
    }
    lock_drop(&b->lock);
    if (due) {
        window_slide(b);
    }
    return stands && !due ? due_ms : INT64_MAX;
}

void
window_hashed(struct blob *b, uint64_t end)
{
    struct window *w = b->window;
    uint32_t piece = piece_of(b, end);
    if (end % b->pieces->piece_bytes != 0) {
        return;
    }
    struct digester *state = digester_copy(b->digester);
    lock_take(&b->lock);
    must(w->states[piece] == NULL);
    w->states[piece] = state;
    w->hashed = piece;
    lock_drop(&b->lock);
    window_slide(b);
}

/* ---- for those who leave it ---- */

struct digester *
window_state(struct blob *b, uint64_t pos, uint64_t *ret_start)
{
    struct digester *state = NULL;
    lock_take(&b->lock);
    uint32_t piece = b->window != NULL && pos < b->size ? piece_of(b, pos) : 0;
    if (piece > 0 && b->window->states[piece] != NULL) {
        state = digester_copy(b->window->states[piece]);
        *ret_start = start_of(b, piece);
    }
    lock_drop(&b->lock);
    return state;
}

/* All of it arrived and is not gone. */
static bool
is_here(struct blob *b, uint64_t pos, uint64_t len)
{
    lock_take(&b->lock);
    bool here = b->phase != BLOB_FAILED && pos <= b->size && len <= b->size - pos &&
                pos >= start_of(b, b->window->first);
    for (uint64_t at = pos; here && at < pos + len;) {
        uint64_t end = pieces_run_end(b->pieces, at);
        here = end > at;
        at = end;
    }
    lock_drop(&b->lock);
    return here;
}

int
window_copy(struct blob *b, uint64_t pos, uint64_t len, int *ret_fd)
{
    AUTO(fd_close) int fd = -1;
    if (!is_here(b, pos, len)) {
        return ERR_NOT_FOUND;
    }
    int rc = blob_copy(b, pos, len, &fd);
    if (rc < 0) {
        return rc;
    }
    if (!is_here(b, pos, len)) {
        return ERR_NOT_FOUND; /* it became a hole meanwhile */
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}
