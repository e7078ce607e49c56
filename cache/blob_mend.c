/* A blob whose digest is wrong although somebody may find out which bytes are to blame.
 *
 *   FILLING, all held --digest wrong--> sick --blob_drop--> FILLING, some missing --> ...
 *                                        `--blob_fail, nobody holds it--> FAILED, file removed
 *
 * While it is sick nothing changes: its tail is held back, its readers wait. The hash thread that
 * found the wrong digest also hashes each piece, so that the fetcher can compare them. */
#include "base/fs.h"
#include "cache/blob.h"
#include "cache/words_inside.h"
#include <string.h>

#define STEP_BYTES (256u * 1024)

/* Of one piece of the file. 0 or -errno. */
static int
hash_piece(const struct blob *b, uint64_t start, uint64_t end, uint8_t *room, struct digest *ret)
{
    struct digester *d = digester_new(DIGEST_SHA256);
    int rc = 0;
    for (uint64_t at = start; at < end && rc == 0;) {
        size_t n = end - at < STEP_BYTES ? (size_t)(end - at) : STEP_BYTES;
        rc = frames_read(b->frames, b->fd, at, room, n);
        if (rc == 0) {
            digester_add(d, room, n);
        }
        at += n;
    }
    if (rc == 0) {
        digester_finish(d, ret);
    }
    digester_free(d);
    return rc;
}

static bool
is_mendable(struct blob *b)
{
    lock_take(&b->lock);
    bool yes = b->mendable && !b->stored && b->wake != NULL && b->phase == BLOB_FILLING &&
               b->repairs < BLOB_REPAIRS_MAX;
    lock_drop(&b->lock);
    return yes;
}

/* Wakes the fetcher; false when there is none any more. */
static bool
fall_sick(struct blob *b, struct digest *sums)
{
    lock_take(&b->lock);
    bool sick = b->mendable && b->wake != NULL && b->phase == BLOB_FILLING;
    void (*wake)(void *arg) = b->wake;
    void *arg = b->wake_arg;
    if (sick) {
        mem_free(b->sums);
        b->sums = sums;
        b->sick = true;
        b->hashing = false;
    }
    lock_drop(&b->lock);
    if (sick) {
        wake(arg);
    }
    return sick;
}

bool
blob_mend(struct blob *b)
{
    if (!is_mendable(b)) {
        return false;
    }
    uint32_t piece_bytes = pieces_piece_bytes(b->size);
    uint64_t count = (b->size + piece_bytes - 1) / piece_bytes;
    struct digest *sums = mem_zalloc((size_t)count * sizeof sums[0]);
    uint8_t *room = mem_alloc(STEP_BYTES);
    int rc = 0;
    for (uint64_t i = 0; i < count && rc == 0; i++) {
        uint64_t start = i * piece_bytes;
        uint64_t end = b->size - start < piece_bytes ? b->size : start + piece_bytes;
        rc = hash_piece(b, start, end, room, &sums[i]);
    }
    mem_free(room);
    bool sick = rc == 0 && fall_sick(b, sums);
    if (!sick) {
        mem_free(sums);
    }
    return sick;
}

void
blob_set_mendable(struct blob *b, bool on)
{
    lock_take(&b->lock);
    b->mendable = on && b->pass == NULL && b->window == NULL;
    lock_drop(&b->lock);
}

bool
blob_sums(struct blob *b, struct digest *ret, size_t max)
{
    lock_take(&b->lock);
    bool sick = b->sick && b->phase == BLOB_FILLING && max >= b->pieces->count;
    if (sick) {
        memcpy(ret, b->sums, b->pieces->count * sizeof ret[0]);
    }
    lock_drop(&b->lock);
    return sick;
}

/* Readers that were given a byte of these pieces must not be given another. */
static void spoil(struct blob *b, const uint8_t *bits) NEEDS(b->lock);
static void
spoil(struct blob *b, const uint8_t *bits)
{
    if (b->spoilt == NULL) {
        b->spoilt = mem_zalloc(b->pieces->count);
    }
    b->repairs++;
    for (uint32_t i = 0; i < b->pieces->count; i++) {
        if ((bits[i / 8] >> i % 8 & 1) == 0) {
            continue;
        }
        pieces_drop(b->pieces, i);
        if (b->words != NULL) {
            words_drop(b->words, i);
        }
        b->spoilt[i] = (uint8_t)b->repairs;
    }
}

void
blob_drop(struct blob *b, const uint8_t *bits)
{
    lock_take(&b->lock);
    bool sick = b->sick && b->phase == BLOB_FILLING;
    if (sick) {
        spoil(b, bits);
        b->saved_bytes = b->flushed_bytes = b->pieces->have_bytes;
        digester_free(b->digester);
        b->digester = NULL;
        b->hashed_bytes = 0;
        b->sick = false;
        cond_wake(&b->grew);
    }
    lock_drop(&b->lock);
    if (sick) {
        blob_hash(b);
    }
}

unsigned
blob_repairs(struct blob *b)
{
    lock_take(&b->lock);
    unsigned repairs = b->repairs;
    lock_drop(&b->lock);
    return repairs;
}

bool
blob_spoilt(struct blob *b, uint64_t start, uint64_t end, unsigned *since)
{
    bool spoilt = false;
    lock_take(&b->lock);
    if (b->repairs != *since && b->spoilt != NULL && end > start) {
        uint32_t piece_bytes = pieces_piece_bytes(b->size);
        for (uint64_t i = start / piece_bytes; i <= (end - 1) / piece_bytes; i++) {
            spoilt = spoilt || b->spoilt[i] > *since;
        }
    }
    *since = b->repairs;
    lock_drop(&b->lock);
    return spoilt;
}
