/*
 * The piece map against a plain array of bytes. The input is a list of steps, 4 bytes each:
 *
 *   what, who, how much (16 bits)     claim near a place, fill, unclaim, cut, look
 *
 * after a first byte for the length of the blob. After each step the map must agree with the array,
 * and its claims must lie in holes of their own.
 */
#include "cache/pieces.h"
#include "tests/fuzz/fuzz.h"

#define SIZE_MAX_BYTES (5 * (uint64_t)PIECE_MIN_BYTES)
#define SIZE_STEP      5003 /* odd, so that last pieces have any length */
#define PLACE_STEP     21   /* 16 bits of it reach over the whole blob */

struct model {
    struct pieces *p;
    uint8_t *held; /* one byte per byte of the blob */
    uint64_t size, have_bytes;
};

static bool
is_hole(const struct model *m, uint64_t start, uint64_t end)
{
    return memchr(m->held + start, 1, end - start) == NULL;
}

static uint64_t
run_end(const struct model *m, uint64_t pos)
{
    if (pos >= m->size)
        return pos;
    const uint8_t *next = memchr(m->held + pos, 0, m->size - pos);
    return next == NULL ? m->size : (uint64_t)(next - m->held);
}

static void
check_claims(const struct model *m)
{
    const struct pieces *p = m->p;
    for (uint32_t i = 0; i < p->claims_count; i++) {
        const struct claim *c = &p->claims[i];
        must(c->start <= c->at && c->at < c->end && c->end <= m->size);
        must(m->held[c->at] == 0 && m->held[c->end - 1] == 0);
        must(pieces_claim_end(p, c->start) == c->end && pieces_room_end(p, c->at) == c->end);
        for (uint32_t j = 0; j < i; j++) {
            const struct claim *o = &p->claims[j];
            must(c->end <= o->at || o->end <= c->at);
            must(c->start != o->start);
        }
    }
}

static void
claim(struct model *m, uint64_t place, uint64_t most)
{
    struct gap g;
    uint32_t before = m->p->claims_count;
    if (!pieces_claim(m->p, place, most + 1, &g)) {
        must(m->p->claims_count == before);
        return;
    }
    must(g.start < g.end && g.end - g.start <= most + 1);
    must(m->p->claims_count == before + 1);
}

static void
fill(struct model *m, uint32_t who, uint64_t most)
{
    if (m->p->claims_count == 0)
        return;
    struct claim c = m->p->claims[who % m->p->claims_count];
    uint64_t len = most < c.end - c.at ? most : c.end - c.at;
    must(is_hole(m, c.at, c.at + len));
    pieces_fill(m->p, c.at, len);
    memset(m->held + c.at, 1, len);
    m->have_bytes += len;
}

static void
unclaim(struct model *m, uint32_t who)
{
    if (m->p->claims_count > 0)
        pieces_unclaim(m->p, m->p->claims[who % m->p->claims_count].start);
}

/* A stuck place is in a hole; once it is cut free and claimed it is not stuck any more. */
static void
cut(struct model *m, uint64_t place)
{
    if (!pieces_stuck(m->p, place))
        return;
    must(place < m->size && m->held[place] == 0);
    pieces_cut(m->p, place);
    struct gap g;
    if (pieces_claim(m->p, place, UINT64_MAX, &g))
        must(!pieces_stuck(m->p, place));
}

static void
step(struct model *m, const uint8_t in[4])
{
    uint64_t amount = (uint64_t)in[2] | (uint64_t)in[3] << 8;
    uint64_t place = amount * PLACE_STEP;
    switch (in[0] % 5) {
    case 0:
        claim(m, place, (uint64_t)in[1] * SIZE_STEP);
        break;
    case 1:
        fill(m, in[1], place);
        break;
    case 2:
        unclaim(m, in[1]);
        break;
    case 3:
        cut(m, place);
        break;
    default:
        must(pieces_run_end(m->p, place) == run_end(m, place));
        break;
    }
    must(m->p->have_bytes == m->have_bytes);
    must(pieces_whole(m->p) == (m->have_bytes == m->size));
    check_claims(m);
}

/* Whatever came before, the rest can be had: nothing is lost between the claims. */
static void
finish(struct model *m)
{
    struct gap g;
    while (m->p->claims_count > 0)
        unclaim(m, 0);
    while (pieces_claim(m->p, 0, UINT64_MAX, &g)) {
        must(is_hole(m, g.start, g.end));
        pieces_fill(m->p, g.start, g.end - g.start);
        memset(m->held + g.start, 1, g.end - g.start);
    }
    must(pieces_whole(m->p) && run_end(m, 0) == m->size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct model m = {.size = (uint64_t)data[0] * SIZE_STEP % SIZE_MAX_BYTES + 1};
    m.p = pieces_new(m.size);
    m.held = mem_zalloc(m.size);
    for (size_t at = 1; at + 4 <= size; at += 4)
        step(&m, data + at);
    finish(&m);
    pieces_free(m.p);
    mem_free(m.held);
    return 0;
}
