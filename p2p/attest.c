/* Words about pieces. */
#include "p2p/attest.h"
#include "base/mem.h"
#include "p2p/piece.h"

#define GROW       64  /* pieces at a time */
#define SAY_RECORD 128 /* bytes of a record besides its words */

struct about {
    struct digest blob;
    uint64_t used; /* order of last use */
    uint32_t room; /* pieces that the next two have places for */
    uint8_t *known;
    uint8_t (*words)[ATTEST_BYTES];
};

struct said {
    struct digest blob;
    uint32_t piece;
    uint8_t word[ATTEST_BYTES];
};

struct attest {
    size_t count;
    struct about list[ATTEST_BLOBS_MAX];
    uint64_t uses;
    size_t said_count;
    struct said said[ATTEST_SAID_MAX];
};

struct attest *
attest_new(void)
{
    return mem_zalloc(sizeof(struct attest));
}

static void
forget(struct about *o)
{
    mem_free(o->known);
    mem_free(o->words);
    memset(o, 0, sizeof *o);
}

void
attest_free(struct attest *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->count; i++)
        forget(&a->list[i]);
    mem_free(a);
}

static const struct about *
find(const struct attest *a, const struct digest *blob)
{
    for (size_t i = 0; i < a->count; i++)
        if (digest_equal(&a->list[i].blob, blob))
            return &a->list[i];
    return NULL;
}

static struct about *
place(struct attest *a, const struct digest *blob)
{
    struct about *o = &a->list[0];
    for (size_t i = 0; i < a->count; i++) {
        if (digest_equal(&a->list[i].blob, blob))
            return &a->list[i];
        if (a->list[i].used < o->used)
            o = &a->list[i];
    }
    if (a->count < ATTEST_BLOBS_MAX)
        o = &a->list[a->count++];
    forget(o);
    o->blob = *blob;
    return o;
}

static void
make_room(struct about *o, uint32_t pieces)
{
    if (pieces <= o->room)
        return;
    uint32_t room = (pieces + GROW - 1) / GROW * GROW;
    o->known = mem_realloc(o->known, room);
    o->words = mem_realloc(o->words, (size_t)room * sizeof o->words[0]);
    memset(o->known + o->room, 0, room - o->room);
    o->room = room;
}

void
attest_hear(struct attest *a, const struct digest *blob, uint32_t first,
            const struct wire_bits *words)
{
    uint32_t count = words->len / ATTEST_BYTES;
    if (count == 0 || first >= WIRE_PIECES_MAX || count > WIRE_PIECES_MAX - first)
        return;
    struct about *o = place(a, blob);
    o->used = ++a->uses;
    make_room(o, first + count);
    for (uint32_t i = 0; i < count; i++) {
        if (o->known[first + i])
            continue;
        o->known[first + i] = 1;
        memcpy(o->words[first + i], words->bytes + (size_t)i * ATTEST_BYTES, ATTEST_BYTES);
    }
}

bool
attest_next(const struct attest *a, const struct digest *blob, uint32_t *at,
            struct wire_attested *ret)
{
    const struct about *o = find(a, blob);
    if (o == NULL)
        return false;
    uint32_t first = *at;
    while (first < o->room && !o->known[first])
        first++;
    uint32_t end = first;
    while (end < o->room && o->known[end] && end - first < ATTEST_RUN_MAX)
        end++;
    *at = end;
    if (end == first)
        return false;
    ret->digest = *blob;
    ret->first = first;
    ret->words =
        (struct wire_bits){o->words[first], (uint16_t)((size_t)(end - first) * ATTEST_BYTES)};
    return true;
}

void
attest_own(struct attest *a, const struct digest *blob, uint32_t piece,
           const uint8_t word[ATTEST_BYTES])
{
    struct wire_bits one = {word, ATTEST_BYTES};
    attest_hear(a, blob, piece, &one);
    if (a->said_count == ATTEST_SAID_MAX)
        return;
    struct said *s = &a->said[a->said_count++];
    s->blob = *blob;
    s->piece = piece;
    memcpy(s->word, word, ATTEST_BYTES);
}

void
attest_hush(struct attest *a)
{
    a->said_count = 0;
}

static bool
follows(const struct said *before, const struct said *s)
{
    return s->piece == before->piece + 1 && digest_equal(&s->blob, &before->blob);
}

void
attest_say(struct attest *a, struct scribe *out)
{
    uint8_t run[ATTEST_RUN_MAX * ATTEST_BYTES];
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_ATTEST;
    size_t i = 0;
    while (i < a->said_count && scribe_room(out) >= SAY_RECORD + sizeof run) {
        const struct said *first = &a->said[i];
        size_t n = 0;
        do {
            memcpy(run + n * ATTEST_BYTES, a->said[i].word, ATTEST_BYTES);
            n++;
            i++;
        } while (i < a->said_count && n < ATTEST_RUN_MAX && follows(&a->said[i - 1], &a->said[i]));
        m.attest.digest = first->blob;
        m.attest.first = first->piece;
        m.attest.words = (struct wire_bits){run, (uint16_t)(n * ATTEST_BYTES)};
        wire_put(out, &m);
    }
    memmove(a->said, a->said + i, (a->said_count - i) * sizeof a->said[0]);
    a->said_count -= i;
}
