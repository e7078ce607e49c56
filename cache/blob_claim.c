/* What the fetcher asks of a blob: which run to fetch next, where readers wait, what is here. */
#include "cache/blob.h"
#include "cache/pass.h"
#include "cache/window.h"
#include <string.h>

/* The lowest place where a reader waits and nobody comes. */
static bool stuck_cursor(const struct blob *b, uint64_t *ret_pos) NEEDS(b->lock);
static bool
stuck_cursor(const struct blob *b, uint64_t *ret_pos)
{
    lock_must_hold(&b->lock);
    bool found = false;
    for (unsigned i = 0; i < b->cursors_count; i++) {
        uint64_t pos = b->cursors[i];
        if ((!found || pos < *ret_pos) && pieces_stuck(b->pieces, pos)) {
            *ret_pos = pos;
            found = true;
        }
    }
    return found;
}

bool
blob_claim(struct blob *b, uint64_t max_bytes, struct gap *ret)
{
    if (b->pass != NULL) {
        return pass_claim(b, max_bytes, ret);
    }
    bool found = false;
    uint64_t pos = 0;
    lock_take(&b->lock);
    if (b->phase == BLOB_FILLING && !b->stored) {
        if (stuck_cursor(b, &pos)) {
            pieces_cut(b->pieces, pos);
        }
        found = pieces_claim(b->pieces, pos, max_bytes, ret) ||
                pieces_claim(b->pieces, 0, max_bytes, ret);
    }
    lock_drop(&b->lock);
    return found;
}

bool
blob_claim_in(struct blob *b, uint64_t start, uint64_t end, struct gap *ret)
{
    bool found = false;
    lock_take(&b->lock);
    bool open = b->pass == NULL && b->phase == BLOB_FILLING && !b->stored;
    if (open && (b->window == NULL || start < window_end_locked(b))) {
        found = pieces_claim_in(b->pieces, start, end, ret);
    }
    lock_drop(&b->lock);
    return found;
}

void
blob_claim_cut(struct blob *b, const struct gap *g, uint64_t end)
{
    lock_take(&b->lock);
    if (b->pieces != NULL) {
        pieces_cut_claim(b->pieces, g->start, end);
    }
    lock_drop(&b->lock);
}

void
blob_unclaim(struct blob *b, const struct gap *g)
{
    if (b->pass != NULL) {
        pass_unclaim(b);
        return;
    }
    lock_take(&b->lock);
    if (b->pieces != NULL) {
        pieces_unclaim(b->pieces, g->start);
    }
    lock_drop(&b->lock);
}

uint64_t
blob_claim_limit(struct blob *b, const struct gap *g)
{
    if (b->pass != NULL) {
        return pass_claim_limit(b);
    }
    lock_take(&b->lock);
    uint64_t end = b->pieces == NULL ? g->start : pieces_claim_end(b->pieces, g->start);
    lock_drop(&b->lock);
    return end;
}

size_t
blob_cursors(struct blob *b, uint64_t *ret, size_t max)
{
    size_t count = 0;
    lock_take(&b->lock);
    for (unsigned i = 0; i < b->cursors_count; i++) {
        uint64_t pos = b->cursors[i];
        size_t at = count;
        while (at > 0 && ret[at - 1] > pos) {
            at--;
        }
        if (at == max || (at > 0 && ret[at - 1] == pos)) {
            continue;
        }
        count += count < max;
        memmove(ret + at + 1, ret + at, (count - at - 1) * sizeof ret[0]);
        ret[at] = pos;
    }
    lock_drop(&b->lock);
    return count;
}

bool
blob_passes(const struct blob *b)
{
    return b->pass != NULL;
}

bool
blob_window(struct blob *b, struct gap *ret)
{
    lock_take(&b->lock);
    bool has = b->window != NULL;
    if (has) {
        *ret = (struct gap){window_start_locked(b), window_end_locked(b)};
    }
    lock_drop(&b->lock);
    return has;
}

/* All bytes are here and the map of pieces is gone. */
static bool is_complete(const struct blob *b) NEEDS(b->lock);
static bool
is_complete(const struct blob *b)
{
    return b->phase == BLOB_VERIFIED || b->phase == BLOB_WHOLE;
}

uint64_t
blob_held_end(struct blob *b, uint64_t pos)
{
    uint64_t end = pos;
    lock_take(&b->lock);
    if (b->pieces != NULL && b->phase == BLOB_FILLING) {
        end = pieces_run_end(b->pieces, pos);
    } else if (is_complete(b) && pos < b->size) {
        end = b->size;
    }
    lock_drop(&b->lock);
    return end;
}

void
blob_held_bits(struct blob *b, uint8_t *bits)
{
    lock_take(&b->lock);
    if (b->pieces != NULL && (b->phase == BLOB_FILLING || b->window != NULL)) {
        pieces_held_bits(b->pieces, bits);
        if (b->window != NULL) {
            window_hide_locked(b, bits);
        }
    } else if (is_complete(b)) {
        uint32_t piece_bytes = pieces_piece_bytes(b->size);
        for (uint64_t i = 0; i * piece_bytes < b->size; i++) {
            bits[i / 8] |= (uint8_t)(1u << i % 8);
        }
    }
    lock_drop(&b->lock);
}
