/* The hash threads.
 *
 * A blob is in the queue, in one thread's hands, or neither; `hashing` stands for the first
 * two and for one reference. A thread hashes at most a slice before the next blob gets its
 * turn, so that a manifest does not wait for a layer. */
#include "cache/hasher.h"
#include "base/digest.h"
#include "base/fs.h"
#include "cache/blob.h"
#include "cache/pace.h"
#include "cache/window.h"

/* What to do next for the blob in hands. */
enum turn { TURN_HASH, TURN_AGAIN, TURN_IDLE, TURN_DONE };

void
hasher_push(struct hasher *h, struct blob *b)
{
    lock_take(&h->lock);
    bool stopping = h->stopping;
    if (!stopping) {
        b->hash_next = NULL;
        *h->last = b;
        h->last = &b->hash_next;
        cond_wake(&h->more);
    }
    lock_drop(&h->lock);
    if (stopping) {
        lock_take(&b->lock);
        b->hashing = false;
        lock_drop(&b->lock);
        blob_release(&b);
    }
}

static struct blob *
pop(struct hasher *h)
{
    lock_take(&h->lock);
    while (h->first == NULL && !h->stopping) {
        (void)cond_wait(&h->more, &h->lock, INT64_MAX);
    }
    struct blob *b = h->first;
    if (b != NULL) {
        h->first = b->hash_next;
        if (h->first == NULL) {
            h->last = &h->first;
        }
    }
    lock_drop(&h->lock);
    return b;
}

/* Where the blob stands, whose turn is over or not; ret_end bounds the next step. */
static enum turn
next_turn(struct blob *b, bool over, uint64_t *ret_end)
{
    enum turn turn = TURN_HASH;
    lock_take(&b->lock);
    if (b->phase != BLOB_FILLING || b->sick) {
        turn = TURN_IDLE;
    } else if (b->hashed_bytes == b->size) {
        turn = TURN_DONE;
    } else {
        *ret_end = blob_hash_end_locked(b);
        if (*ret_end == b->hashed_bytes) {
            turn = TURN_IDLE;
        } else if (over) {
            turn = TURN_AGAIN;
        }
    }
    /* In one go with the look, so that a write after it queues the blob anew. */
    b->hashing = turn != TURN_IDLE;
    lock_drop(&b->lock);
    return turn;
}

static void
judge(struct blob *b)
{
    struct digest got;
    digester_finish(b->digester, &got);
    if (digest_equal(&got, &b->digest)) {
        blob_verified(b);
    } else if (blob_mend(b)) {
        return;
    } else {
        blob_end(b, ERR_DIGEST, b->stored ? FATE_QUARANTINE : FATE_DROP);
    }
    /* Only now: as long as the phase is FILLING, nobody else may queue it. */
    lock_take(&b->lock);
    b->hashing = false;
    lock_drop(&b->lock);
}

static int
hash_step(struct blob *b, uint64_t end, uint8_t *room)
{
    if (b->window != NULL) { /* each piece by itself */
        uint64_t piece_bytes = pieces_piece_bytes(b->size);
        uint64_t piece_end = (b->hashed_bytes / piece_bytes + 1) * piece_bytes;
        end = piece_end < end ? piece_end : end;
    }
    uint64_t left = end - b->hashed_bytes;
    size_t n = left < HASH_STEP_BYTES ? (size_t)left : HASH_STEP_BYTES;
    int rc = frames_read(b->frames, b->fd, b->hashed_bytes, room, n);
    if (rc == 0) {
        digester_add(b->digester, room, n);
        b->hashed_bytes += n;
        if (b->window != NULL) {
            window_hashed(b, b->hashed_bytes);
        }
    }
    return rc;
}

/* One slice of the blob; takes over its reference. */
static void
work(struct hasher *h, struct blob *b, uint8_t *room)
{
    uint64_t end = 0, over = b->hashed_bytes + pace_slice_bytes(h->bytes_s);
    if (b->digester == NULL) {
        b->digester = digester_new((enum digest_alg)b->digest.alg);
    }
    enum turn turn;
    while ((turn = next_turn(b, b->hashed_bytes >= over, &end)) == TURN_HASH) {
        int rc = hash_step(b, end, room);
        if (rc < 0) {
            blob_end_by_disk(b, "read back", rc, false);
        }
    }
    if (turn == TURN_AGAIN) {
        hasher_push(h, b);
        return;
    }
    if (turn == TURN_DONE) {
        judge(b);
    }
    blob_release(&b);
}

static void
run(void *arg)
{
    struct hasher *h = arg;
    uint8_t *room = mem_alloc(HASH_STEP_BYTES);
    struct blob *b;
    while ((b = pop(h)) != NULL) {
        work(h, b, room);
    }
    mem_free(room);
}

int
hasher_start(struct hasher *h, unsigned cpus, uint64_t bytes_s)
{
    unsigned threads = pace_threads(bytes_s, cpus);
    must(threads <= HASHER_THREADS_MAX);
    lock_init(&h->lock, LOCK_HASHER);
    cond_init(&h->more);
    h->last = &h->first;
    h->bytes_s = bytes_s;
    h->started = true;
    int rc = 0;
    while (h->count < threads && rc == 0) {
        rc = thread_start(&h->threads[h->count], "ps-hash", run, h);
        h->count += rc == 0;
    }
    return rc;
}

void
hasher_stop(struct hasher *h)
{
    if (!h->started) {
        return;
    }
    lock_take(&h->lock);
    h->stopping = true;
    struct blob *b = h->first;
    h->first = NULL;
    h->last = &h->first;
    cond_wake(&h->more);
    lock_drop(&h->lock);
    while (b != NULL) {
        struct blob *next = b->hash_next;
        lock_take(&b->lock);
        b->hashing = false;
        lock_drop(&b->lock);
        blob_release(&b);
        b = next;
    }
    while (h->count > 0) {
        thread_join(&h->threads[--h->count]);
    }
}

void
hasher_release(struct hasher *h)
{
    if (h->started) {
        must(h->count == 0 && h->first == NULL);
        cond_release(&h->more);
        lock_release(&h->lock);
    }
}
