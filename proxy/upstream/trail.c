/* Where bytes came from. */
#include "proxy/upstream/trail.h"
#include "base/mem.h"

#define FIRST_NODE (TRAIL_MANY + 1)

struct trail {
    uint64_t size;
    uint32_t piece_bytes, pieces;
    void (*whole)(void *arg, uint32_t piece, const struct digest *sum);
    void *arg;
    unsigned nodes_count;
    struct node_id nodes[TRAIL_NODES_MAX];
    uint64_t hashed_bytes;
    bool dear;
    uint8_t *heard; /* bits: `whole` was called */
    uint8_t of[];   /* per piece: TRAIL_NONE, _REGISTRY, _MANY, or FIRST_NODE + index */
};

_Static_assert(FIRST_NODE + TRAIL_NODES_MAX <= UINT8_MAX, "an index fits");

struct trail *
trail_new(uint64_t size)
{
    must(size <= PIECE_BLOB_MAX);
    uint32_t pieces = piece_count(size);
    struct trail *t = mem_zalloc(sizeof *t + pieces);
    t->size = size;
    t->piece_bytes = piece_bytes(size);
    t->pieces = pieces;
    t->heard = mem_zalloc(BITS_BYTES(pieces));
    return t;
}

void
trail_free(struct trail *t)
{
    if (t != NULL)
        mem_free(t->heard);
    mem_free(t);
}

void
trail_put_down(struct trail_hand *h)
{
    digester_free(h->digester);
    h->digester = NULL;
}

void
trail_on_whole(struct trail *t, void (*whole)(void *arg, uint32_t piece, const struct digest *sum),
               void *arg)
{
    t->whole = whole;
    t->arg = arg;
}

uint32_t
trail_pieces(const struct trail *t)
{
    return t->pieces;
}

static uint8_t
index_of(struct trail *t, const struct node_id *node)
{
    unsigned i = 0;
    while (i < t->nodes_count && !node_equal(&t->nodes[i], node))
        i++;
    if (i == TRAIL_NODES_MAX)
        return TRAIL_MANY;
    if (i == t->nodes_count)
        t->nodes[t->nodes_count++] = *node;
    return (uint8_t)(FIRST_NODE + i);
}

static void
mark(struct trail *t, uint32_t piece, const struct node_id *from)
{
    uint8_t *of = &t->of[piece];
    if (from == NULL) {
        if (*of == TRAIL_NONE)
            *of = TRAIL_REGISTRY;
        return;
    }
    uint8_t node = index_of(t, from);
    if (*of == TRAIL_NONE || *of == TRAIL_REGISTRY)
        *of = node;
    else if (*of != node)
        *of = TRAIL_MANY;
}

static uint64_t
piece_end(const struct trail *t, uint32_t piece)
{
    uint64_t end = ((uint64_t)piece + 1) * t->piece_bytes;
    return end < t->size ? end : t->size;
}

/* Of one piece. */
static void
hash(struct trail *t, struct trail_hand *h, uint32_t piece, uint64_t pos, const void *bytes,
     size_t len)
{
    if (h->digester != NULL && h->at != pos)
        trail_put_down(h);
    if (pos == (uint64_t)piece * t->piece_bytes) {
        trail_put_down(h);
        h->digester = digester_new(DIGEST_SHA256);
    }
    if (h->digester == NULL)
        return;
    digester_add(h->digester, bytes, len);
    t->hashed_bytes += len;
    h->at = pos + len;
    if (h->at < piece_end(t, piece))
        return;
    struct digest sum;
    digester_finish(h->digester, &sum);
    trail_put_down(h);
    bits_set(t->heard, piece);
    t->whole(t->arg, piece, &sum);
}

void
trail_bytes(struct trail *t, struct trail_hand *h, struct trail_giver by, uint64_t pos,
            const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len > 0 && pos < t->size) {
        uint32_t piece = (uint32_t)(pos / t->piece_bytes);
        uint64_t room = piece_end(t, piece) - pos;
        size_t part = len < room ? len : (size_t)room;
        mark(t, piece, by.node);
        if (by.far && t->whole != NULL)
            hash(t, h, piece, pos, at, part);
        pos += part;
        at += part;
        len -= part;
    }
}

enum trail_of
trail_of(const struct trail *t, uint32_t piece, struct node_id *ret_node)
{
    must(piece < t->pieces);
    uint8_t of = t->of[piece];
    if (of < FIRST_NODE)
        return (enum trail_of)of; /* never TRAIL_NODE */
    *ret_node = t->nodes[of - FIRST_NODE];
    return TRAIL_NODE;
}

void
trail_forget(struct trail *t, uint32_t piece)
{
    must(piece < t->pieces);
    t->of[piece] = TRAIL_NONE;
    bits_clear(t->heard, piece);
}

bool
trail_is_cheap(struct trail *t, int64_t took_ms)
{
    uint64_t cheap_bytes = TRAIL_UNASKED_BYTES + (uint64_t)took_ms * TRAIL_UNASKED_BYTES_S / 1000;
    t->dear = t->dear || t->hashed_bytes > cheap_bytes;
    return !t->dear;
}

bool
trail_unheard(const struct trail *t, uint32_t piece)
{
    must(piece < t->pieces);
    return !bits_get(t->heard, piece);
}

void
trail_heard(struct trail *t, uint32_t piece)
{
    must(piece < t->pieces);
    bits_set(t->heard, piece);
}
