/* The piece map of one blob.
 *
 *   piece     0          1          2          3          4
 *             |##########|##########|####------|----------|#####-----|
 *   filled     all        all        4          0          5
 *   claims                                ^at----------end
 *
 * Invariants:
 *  1. A piece is held from its first byte up to filled[i]; have_bytes is their sum.
 *  2. Claims do not share a piece, so only the holder of a claim can move filled[].
 *  3. claim.at is the first missing byte of its piece.
 *  4. Pieces below `prefix` are held whole, piece `prefix` is not.
 */
#include "cache/pieces.h"
#include "base/mem.h"
#include "base/must.h"
#include <string.h>

/* Pieces a claim may be away from a reader and still count as coming. */
#define SOON_PIECES 2
/* Pieces of a blob of middle size: swarm rules want 128 and more per image. */
#define PIECES_WANTED 256

uint32_t
pieces_piece_bytes(uint64_t size)
{
    uint64_t bytes = PIECE_MIN_BYTES;
    while (bytes < PIECE_MAX_BYTES && bytes * PIECES_WANTED < size) {
        bytes *= 2;
    }
    return (uint32_t)bytes;
}

struct pieces *
pieces_new(uint64_t size)
{
    uint32_t piece_bytes = pieces_piece_bytes(size);
    uint64_t count = size / piece_bytes + (size % piece_bytes != 0);
    must(count <= UINT32_MAX);

    struct pieces *p = mem_zalloc(sizeof *p + (size_t)count * sizeof p->filled[0]);
    p->size = size;
    p->piece_bytes = piece_bytes;
    p->count = (uint32_t)count;
    return p;
}

struct pieces *
pieces_new_held(uint64_t size)
{
    struct pieces *p = pieces_new(size);
    for (uint32_t i = 0; i < p->count; i++) {
        p->filled[i] = pieces_piece_len(p, i);
    }
    p->prefix = p->count;
    p->have_bytes = size;
    return p;
}

struct pieces *
pieces_copy(const struct pieces *p)
{
    size_t bytes = sizeof *p + p->count * sizeof p->filled[0];
    struct pieces *copy = mem_alloc(bytes);
    memcpy(copy, p, bytes);
    copy->claims_count = 0;
    return copy;
}

void
pieces_free(struct pieces *p)
{
    mem_free(p);
}

static uint64_t
piece_start(const struct pieces *p, uint32_t piece)
{
    return (uint64_t)piece * p->piece_bytes;
}

static uint32_t
piece_of(const struct pieces *p, uint64_t pos)
{
    return (uint32_t)(pos / p->piece_bytes);
}

uint32_t
pieces_piece_len(const struct pieces *p, uint32_t piece)
{
    must(piece < p->count);
    uint64_t rest = p->size - piece_start(p, piece);
    return rest < p->piece_bytes ? (uint32_t)rest : p->piece_bytes;
}

static bool
piece_held(const struct pieces *p, uint32_t piece)
{
    return p->filled[piece] == pieces_piece_len(p, piece);
}

static void
advance_prefix(struct pieces *p)
{
    while (p->prefix < p->count && piece_held(p, p->prefix)) {
        p->prefix++;
    }
}

uint64_t
pieces_run_end(const struct pieces *p, uint64_t pos)
{
    if (pos >= p->size) {
        return pos;
    }
    uint32_t i = piece_of(p, pos);
    if (i < p->prefix) {
        i = p->prefix;
    } else if (pos - piece_start(p, i) >= p->filled[i]) {
        return pos;
    }
    while (i < p->count && piece_held(p, i)) {
        i++;
    }
    return i == p->count ? p->size : piece_start(p, i) + p->filled[i];
}

bool
pieces_whole(const struct pieces *p)
{
    return p->have_bytes == p->size;
}

static bool
piece_claimed(const struct pieces *p, uint32_t piece)
{
    for (uint32_t i = 0; i < p->claims_count; i++) {
        const struct claim *c = &p->claims[i];
        if (piece_of(p, c->at) <= piece && piece <= piece_of(p, c->end - 1)) {
            return true;
        }
    }
    return false;
}

/* End of the gap that begins in `piece`: pieces behind it join while they are empty. */
static uint64_t
gap_end(const struct pieces *p, uint32_t piece, uint64_t start, uint64_t max_bytes)
{
    uint64_t end = piece_start(p, piece) + pieces_piece_len(p, piece);
    for (uint32_t i = piece + 1; i < p->count && end - start < max_bytes; i++) {
        if (p->filled[i] != 0 || piece_claimed(p, i)) {
            break;
        }
        end += pieces_piece_len(p, i);
    }
    return end - start > max_bytes ? start + max_bytes : end;
}

/* The first piece at or behind that of `near` with bytes that lack and nobody fetches; p->count:
 * there is none. */
static uint32_t
free_piece(const struct pieces *p, uint64_t near)
{
    if (p->claims_count == PIECES_CLAIMS_MAX || near >= p->size) {
        return p->count;
    }
    uint32_t i = piece_of(p, near);
    if (i < p->prefix) {
        i = p->prefix;
    }
    while (i < p->count && (piece_held(p, i) || piece_claimed(p, i))) {
        i++;
    }
    return i;
}

static void
claim_from(struct pieces *p, uint32_t piece, uint64_t max_bytes, struct gap *ret)
{
    uint64_t start = piece_start(p, piece) + p->filled[piece];
    uint64_t end = gap_end(p, piece, start, max_bytes);
    p->claims[p->claims_count++] = (struct claim){start, start, end};
    *ret = (struct gap){start, end};
}

bool
pieces_claim(struct pieces *p, uint64_t near, uint64_t max_bytes, struct gap *ret)
{
    must(max_bytes > 0);
    uint32_t i = free_piece(p, near);
    if (i < p->count) {
        claim_from(p, i, max_bytes, ret);
    }
    return i < p->count;
}

bool
pieces_claim_in(struct pieces *p, uint64_t start, uint64_t end, struct gap *ret)
{
    uint32_t i = free_piece(p, start);
    bool found = i < p->count && piece_start(p, i) + p->filled[i] < end;
    if (found) {
        claim_from(p, i, end - piece_start(p, i) - p->filled[i], ret);
    }
    return found;
}

static void
drop_claim(struct pieces *p, uint32_t index)
{
    p->claims[index] = p->claims[--p->claims_count];
}

void
pieces_unclaim(struct pieces *p, uint64_t start)
{
    for (uint32_t i = 0; i < p->claims_count; i++) {
        if (p->claims[i].start == start) {
            drop_claim(p, i);
            return;
        }
    }
}

uint64_t
pieces_claim_end(const struct pieces *p, uint64_t start)
{
    for (uint32_t i = 0; i < p->claims_count; i++) {
        if (p->claims[i].start == start) {
            return p->claims[i].end;
        }
    }
    return start;
}

uint64_t
pieces_room_end(const struct pieces *p, uint64_t pos)
{
    for (uint32_t i = 0; i < p->claims_count; i++) {
        if (p->claims[i].at == pos) {
            return p->claims[i].end;
        }
    }
    return pos;
}

/* Moves filled[] of the pieces that [pos, pos + len) touches; pos is where they end. */
static void
fill_pieces(struct pieces *p, uint64_t pos, uint64_t len)
{
    while (len > 0) {
        uint32_t i = piece_of(p, pos);
        must(pos == piece_start(p, i) + p->filled[i]);
        uint64_t room = pieces_piece_len(p, i) - p->filled[i];
        uint64_t take = len < room ? len : room;
        p->filled[i] += (uint32_t)take;
        p->have_bytes += take;
        pos += take;
        len -= take;
    }
}

void
pieces_fill(struct pieces *p, uint64_t pos, uint64_t len)
{
    uint32_t i = 0;
    while (i < p->claims_count && p->claims[i].at != pos) {
        i++;
    }
    must(i < p->claims_count);
    struct claim *c = &p->claims[i];
    must(len <= c->end - c->at);

    fill_pieces(p, pos, len);
    c->at += len;
    if (c->at == c->end) {
        drop_claim(p, i);
    }
    advance_prefix(p);
    must(p->have_bytes <= p->size);
}

void
pieces_drop(struct pieces *p, uint32_t piece)
{
    must(piece < p->count && piece_held(p, piece));
    p->have_bytes -= p->filled[piece];
    p->filled[piece] = 0;
    if (p->prefix > piece) {
        p->prefix = piece;
    }
}

bool
pieces_stuck(const struct pieces *p, uint64_t pos)
{
    if (pos >= p->size || pieces_run_end(p, pos) > pos) {
        return false;
    }
    uint32_t piece = piece_of(p, pos);
    for (uint32_t i = 0; i < p->claims_count; i++) {
        const struct claim *c = &p->claims[i];
        uint32_t at = piece_of(p, c->at);
        if (at <= piece && piece <= piece_of(p, c->end - 1) && piece - at <= SOON_PIECES) {
            return false;
        }
    }
    return true;
}

void
pieces_cut(struct pieces *p, uint64_t pos)
{
    uint32_t piece = piece_of(p, pos);
    for (uint32_t i = 0; i < p->claims_count; i++) {
        struct claim *c = &p->claims[i];
        if (piece_of(p, c->at) < piece && piece <= piece_of(p, c->end - 1)) {
            c->end = piece_start(p, piece);
            return;
        }
    }
}

void
pieces_cut_claim(struct pieces *p, uint64_t start, uint64_t end)
{
    for (uint32_t i = 0; i < p->claims_count; i++) {
        struct claim *c = &p->claims[i];
        if (c->start != start) {
            continue;
        }
        if (end <= c->at) {
            drop_claim(p, i);
        } else if (end < c->end) {
            c->end = end;
        }
        return;
    }
}

void
pieces_held_bits(const struct pieces *p, uint8_t *bits)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (piece_held(p, i)) {
            bits[i / 8] |= (uint8_t)(1u << i % 8);
        }
    }
}

int
pieces_restore(struct pieces *p, const uint32_t *filled, uint32_t count)
{
    if (count != p->count) {
        return ERR_SYNTAX;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (filled[i] > pieces_piece_len(p, i)) {
            return ERR_SYNTAX;
        }
    }
    p->have_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        p->filled[i] = filled[i];
        p->have_bytes += filled[i];
    }
    p->prefix = 0;
    advance_prefix(p);
    return 0;
}
