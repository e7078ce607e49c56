/* What the swarm is told of a fill: what this node may do and has, what comes, who waits. */
#include "base/mem.h"
#include "proxy/upstream/ordered_inside.h"

#define PROGRESS_MS 20 /* between two notes of a request, but for whole pieces */
#define CURSORS_MS  50 /* between two looks at where readers wait */

void
ordered_want(struct fill *f)
{
    struct ordered *w = f->ordered;
    uint8_t *held = mem_zalloc(BITS_BYTES(piece_count(f->size)));
    blob_held_bits(f->blob, held);
    p2p_want(w->p2p, blob_digest(f->blob), f->size, w->flags, held);
    mem_free(held);
}

void
ordered_tell_window(struct fill *f)
{
    struct ordered *w = f->ordered;
    struct gap kept;
    if (!blob_window(f->blob, &kept) ||
        (kept.start == w->window.start && kept.end == w->window.end))
        return;
    w->window = kept;
    p2p_window(w->p2p, blob_digest(f->blob), (uint32_t)(kept.start / w->piece_bytes),
               (uint32_t)((kept.end + w->piece_bytes - 1) / w->piece_bytes));
}

void
ordered_tell_pieces(struct fill *f, struct order *o)
{
    uint64_t held = blob_held_end(f->blob, ordered_piece_start(f, o->piece));
    while (ordered_piece_start(f, o->piece) < o->end &&
           ordered_piece_start(f, o->piece + 1) <= held)
        p2p_piece(f->ordered->p2p, blob_digest(f->blob), o->id, o->piece++);
}

void
ordered_tell_progress(struct fill *f, struct order *o, int64_t now_ms, bool last)
{
    const struct run *r = *o->run;
    uint64_t fresh = r->got_bytes - o->told_bytes;
    if (fresh == 0)
        return;
    bool crossed = r->gap.start >= ordered_piece_start(f, o->piece + 1);
    if (!last && !crossed && now_ms - o->told_ms < PROGRESS_MS) {
        wire_wake_at(f->world->wire, o->told_ms + PROGRESS_MS);
        return;
    }
    p2p_progress(f->ordered->p2p, blob_digest(f->blob), o->id, fresh);
    o->told_bytes = r->got_bytes;
    o->told_ms = now_ms;
    if (crossed || last)
        ordered_tell_pieces(f, o);
}

void
ordered_tell_cursors(struct fill *f, int64_t now_ms, bool woken)
{
    struct ordered *w = f->ordered;
    uint64_t at[PICK_CURSORS_MAX];
    if (!woken && now_ms - w->cursors_ms < CURSORS_MS) {
        wire_wake_at(f->world->wire, w->cursors_ms + CURSORS_MS);
        return;
    }
    w->cursors_ms = now_ms;
    wire_wake_at(f->world->wire, now_ms + CURSORS_MS);
    /* Nobody who waits now may wait again soon, not before where he was. */
    size_t count = blob_cursors(f->blob, at, PICK_CURSORS_MAX);
    bool same = count == w->cursors_count && memcmp(at, w->cursors, count * sizeof at[0]) == 0;
    if (count == 0 || same)
        return;
    memcpy(w->cursors, at, count * sizeof at[0]);
    w->cursors_count = count;
    p2p_cursors(w->p2p, blob_digest(f->blob), at, count);
}
