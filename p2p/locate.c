/* Answers to a question of a person. */
#include "p2p/locate.h"
#include "base/mem.h"
#include "p2p/piece.h"

struct locate *
locate_new(const struct digest *blobs, size_t count, int64_t now_ms)
{
    must(count <= LOCATE_BLOBS_MAX);
    struct locate *l = mem_zalloc(sizeof *l + count * sizeof l->blobs[0]);
    l->since_ms = now_ms;
    l->count = count;
    for (size_t i = 0; i < count; i++)
        l->blobs[i].digest = blobs[i];
    return l;
}

void
locate_free(struct locate *l)
{
    mem_free(l);
}

struct locate_blob *
locate_find(struct locate *l, const struct digest *blob)
{
    for (size_t i = 0; i < l->count; i++)
        if (digest_equal(&l->blobs[i].digest, blob))
            return &l->blobs[i];
    return NULL;
}

void
locate_note(struct locate_blob *b, const struct locate_holder *is)
{
    size_t i = 0;
    while (i < b->count && !node_equal(&b->holders[i].node, &is->node))
        i++;
    if (is->held == 0 && i < b->count)
        b->holders[i] = b->holders[--b->count];
    if (is->held == 0 || i == LOCATE_HOLDERS_MAX)
        return;
    b->holders[i] = *is;
    if (i == b->count)
        b->count++;
}

void
locate_hear(struct locate *l, struct locate_holder who, const struct wire_ihave *said)
{
    struct locate_blob *b = locate_find(l, &said->digest);
    if (b == NULL || said->size == 0 || said->size > PIECE_BLOB_MAX)
        return;
    who.pieces = piece_count(said->size);
    who.held = 0;
    for (uint32_t i = 0; i < who.pieces; i++)
        who.held += said->held.len == 0 || wire_bit(&said->held, i);
    locate_note(b, &who);
}

void
locate_hear_wanted(struct locate *l, const struct wire_copies_wanted *said)
{
    struct locate_blob *b = locate_find(l, &said->digest);
    if (b != NULL)
        b->wanted = said->copies;
}
