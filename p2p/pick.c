/* Choices of pieces and sources. */
#include "p2p/pick.h"
#include "base/hash.h"
#include "p2p/bits.h"
#include "p2p/tuning.h"
#include <string.h>

static bool
choosable(const struct pick_pieces *p, uint32_t i)
{
    return bits_get(p->offered, i) && !bits_get(p->held, i) && !bits_get(p->asked, i);
}

/* The next such piece from `i` on; `pieces`: there is none. */
static uint32_t
next_choosable(const struct pick_pieces *p, uint32_t i)
{
    for (; i < p->pieces; i = (i | 7) + 1) {
        uint32_t at = i / 8;
        uint8_t some = (uint8_t)(p->offered[at] & ~(p->held[at] | p->asked[at])) >> i % 8;
        if (some != 0) {
            i += (uint32_t)__builtin_ctz(some);
            return i < p->pieces ? i : p->pieces;
        }
    }
    return p->pieces;
}

static int64_t
first_in_window(const struct pick_pieces *p, const struct pick_cursor *c)
{
    for (uint32_t i = c->piece; i < p->pieces && i < c->piece + PICK_WINDOW; i++)
        if (choosable(p, i) && ((c->stalled && i == c->piece) || !bits_get(p->left, i)))
            return i;
    return -1;
}

static int64_t
rarest(const struct pick_pieces *p, bool left_too, struct rng *r)
{
    uint32_t least = UINT32_MAX;
    uint64_t ties = 0;
    int64_t best = -1;
    for (uint32_t i = 0; (i = next_choosable(p, i)) < p->pieces; i++) {
        if (p->avail[i] > least || (!left_too && bits_get(p->left, i)))
            continue;
        if (p->avail[i] < least)
            ties = 0;
        least = p->avail[i];
        if (rng_below(r, ++ties) == 0)
            best = i;
    }
    return best;
}

static int64_t
lowest(const struct pick_pieces *p)
{
    uint32_t i = next_choosable(p, 0);
    return i < p->pieces ? (int64_t)i : -1;
}

int64_t
pick_piece(const struct pick_pieces *p, struct rng *r)
{
    if (tuning.in_order)
        return lowest(p);
    for (size_t i = 0; i < p->cursors_count && !tuning.rarest; i++) {
        const struct pick_cursor *c = &p->cursors[i];
        int64_t piece = first_in_window(p, c);
        if (piece >= 0 && (c->stalled || rng_below(r, 2) == 0))
            return piece;
    }
    int64_t piece = rarest(p, false, r);
    return piece < 0 && p->idle ? rarest(p, true, r) : piece;
}

bool
pick_room(const struct pick_source *s, int64_t now_ms)
{
    return s->requests < PICK_PER_PEER && rank_usable(s->rank, now_ms);
}

int
pick_source(const struct pick_source *sources, size_t count, int64_t now_ms, struct rng *r)
{
    int best = -1;
    uint64_t fastest = 0, ties = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t rate = rank_rate(sources[i].rank, now_ms);
        if (rate < fastest || !pick_room(&sources[i], now_ms))
            continue;
        if (rate > fastest)
            ties = 0;
        fastest = rate;
        if (rng_below(r, ++ties) == 0)
            best = (int)i;
    }
    return best;
}

/* The finalizer of SplitMix64. */
static uint64_t
scatter(uint64_t a)
{
    a = (a ^ a >> 30) * 0xbf58476d1ce4e5b9u;
    a = (a ^ a >> 27) * 0x94d049bb133111ebu;
    return a ^ a >> 31;
}

uint64_t
pick_hash(const struct node_id *id)
{
    uint64_t a, b;
    memcpy(&a, id->bytes, sizeof a);
    memcpy(&b, id->bytes + sizeof a, sizeof b);
    return scatter(a + 0x9e3779b97f4a7c15u * (b + 1));
}

bool
pick_near(uint64_t a, uint64_t b, size_t others)
{
    return others <= PICK_NEAR || scatter(a + b) < UINT64_MAX / others * PICK_NEAR;
}

uint64_t
pick_claim(const struct node_id *id, uint32_t piece)
{
    uint64_t a, b;
    memcpy(&a, id->bytes, sizeof a);
    memcpy(&b, id->bytes + sizeof a, sizeof b);
    return scatter((a ^ (b * 0x9e3779b97f4a7c15u)) + (piece + 1) * 0xbf58476d1ce4e5b9u);
}

uint64_t
pick_weight(const void *blob, size_t blob_len, uint32_t run, const void *node, size_t node_len)
{
    /* A fixed key: every node must come to the same owner. */
    static const uint8_t key[HASH_KEY_BYTES] = "peersync-owners";
    uint8_t of[64 + sizeof run + 16];
    must(blob_len <= 64 && node_len <= 16);
    size_t len = 0;
    memcpy(of, blob, blob_len);
    len += blob_len;
    for (unsigned i = 0; i < sizeof run; i++)
        of[len++] = (uint8_t)(run >> (8 * i));
    memcpy(of + len, node, node_len);
    return hash_keyed(key, of, len + node_len);
}
