/* Words about the pieces of a blob. */
#include "p2p/attest.h"
#include "base/mem.h"
#include <string.h>

/* Bits among speakers: this node, and all whose place another took. They count as one speaker where
 * no other says the same, as any of them may come back and say it again. */
#define SELF   1u
#define FORMER ((uint64_t)1 << (ATTEST_SPEAKERS_MAX - 1))
#define PLACES (ATTEST_SPEAKERS_MAX - 2)

/* Bits: speakers that read the piece in the registry, and those that only have it. */
struct saying {
    uint8_t word[ATTEST_BYTES];
    uint64_t readers, havers;
};

struct attest {
    uint32_t pieces;
    unsigned speakers_count; /* without this node: the i-th has bit i + 1 */
    struct node_id speakers[PLACES];
    unsigned last_taken;                    /* the last place that another speaker took */
    uint64_t readers;                       /* speakers that read some piece */
    uint8_t wrong[ATTEST_SPEAKERS_MAX];     /* per speaker: pieces of which it said a wrong word */
    uint64_t liars;                         /* speakers that are not believed any more */
    unsigned doubts;                        /* how often the digest was wrong */
    uint8_t confirmed[ATTEST_SPEAKERS_MAX]; /* per speaker: pieces, since they are doubted */
    uint64_t trusted;                       /* speakers of whom enough are */
    unsigned verdicts;
    uint8_t run[ATTEST_RUN_MAX * ATTEST_BYTES];
    struct about {
        uint64_t wrong;     /* speakers that said a wrong word */
        uint64_t confirmed; /* that are counted */
        struct saying *sayings;
        uint8_t count, lies;
    } about[];
};

struct attest *
attest_new(uint32_t pieces)
{
    struct attest *a = mem_zalloc(sizeof *a + pieces * sizeof a->about[0]);
    a->pieces = pieces;
    return a;
}

void
attest_free(struct attest *a)
{
    for (uint32_t i = 0; a != NULL && i < a->pieces; i++)
        mem_free(a->about[i].sayings);
    mem_free(a);
}

static struct saying *
place(struct about *o, const uint8_t *word)
{
    for (uint8_t i = 0; i < o->count; i++)
        if (memcmp(o->sayings[i].word, word, ATTEST_BYTES) == 0)
            return &o->sayings[i];
    if (o->count == ATTEST_SAYINGS_MAX)
        return NULL;
    o->sayings = mem_realloc(o->sayings, (o->count + 1u) * sizeof o->sayings[0]);
    struct saying *s = &o->sayings[o->count++];
    *s = (struct saying){.readers = 0};
    memcpy(s->word, word, ATTEST_BYTES);
    return s;
}

static void
say(struct about *o, uint64_t bit, bool read, const uint8_t *word)
{
    for (uint8_t i = 0; i < o->count; i++)
        if ((o->sayings[i].readers & bit) != 0 || (!read && (o->sayings[i].havers & bit) != 0))
            return;
    for (uint8_t i = 0; i < o->count; i++) /* who has read it now knows better */
        o->sayings[i].havers &= ~bit;
    struct saying *s = place(o, word);
    if (s != NULL && read)
        s->readers |= bit;
    else if (s != NULL)
        s->havers |= bit;
}

/* ---- places ---- */

/* Its words stay, without it. */
static void
leave_word(struct about *o, uint64_t bit)
{
    for (uint8_t i = 0; i < o->count; i++) {
        struct saying *s = &o->sayings[i];
        bool read = (s->readers & bit) != 0, had = (s->havers & bit) != 0;
        s->readers &= ~bit;
        s->havers &= ~bit;
        if (read || had)
            say(o, FORMER, read, s->word);
    }
    o->wrong &= ~bit;
    o->confirmed &= ~bit;
}

/* The place of one that said no wrong word, and has read nothing unless `readers`; PLACES: none. */
static unsigned
find_place(const struct attest *a, bool readers)
{
    for (unsigned n = 1; n <= PLACES; n++) {
        unsigned i = (a->last_taken + n) % PLACES;
        uint64_t bit = (uint64_t)1 << (i + 1);
        if (a->wrong[i + 1] == 0 && (a->liars & bit) == 0 && (readers || (a->readers & bit) == 0))
            return i;
    }
    return PLACES;
}

static unsigned
take_place(struct attest *a, bool read)
{
    unsigned i = find_place(a, false);
    if (i == PLACES && read)
        i = find_place(a, true);
    if (i == PLACES)
        return i;
    uint64_t bit = (uint64_t)1 << (i + 1);
    for (uint32_t p = 0; p < a->pieces; p++)
        leave_word(&a->about[p], bit);
    a->confirmed[i + 1] = 0;
    a->trusted &= ~bit;
    a->readers &= ~bit;
    a->last_taken = i;
    a->verdicts++;
    return i;
}

/* `needed`: it says what nobody did. 0: there is no place. */
static uint64_t
bit_of(struct attest *a, const struct node_id *speaker, bool read, bool needed)
{
    unsigned i = 0;
    while (i < a->speakers_count && !node_equal(&a->speakers[i], speaker))
        i++;
    if (i == PLACES && (!needed || (i = take_place(a, read)) == PLACES))
        return 0;
    a->speakers_count += i == a->speakers_count;
    a->speakers[i] = *speaker;
    uint64_t bit = (uint64_t)1 << (i + 1);
    a->readers |= read ? bit : 0;
    return bit;
}

/* Has nobody said of one of the pieces what it is, or, of a reader, nobody who read it? */
static bool
is_needed(const struct attest *a, bool read, uint32_t first, uint32_t count)
{
    for (uint32_t p = first; p < first + count; p++) {
        uint64_t said = 0;
        for (uint8_t i = 0; i < a->about[p].count; i++)
            said |= a->about[p].sayings[i].readers | (read ? 0 : a->about[p].sayings[i].havers);
        if (said == 0)
            return true;
    }
    return false;
}

/* ---- what is right ---- */

static unsigned
votes_of(uint64_t speakers)
{
    unsigned named = (unsigned)__builtin_popcountll(speakers & ~FORMER);
    return named > 0 ? named : (speakers & FORMER) != 0;
}

static const struct saying *
own(const struct about *o)
{
    for (uint8_t i = 0; i < o->count; i++)
        if ((o->sayings[i].readers & SELF) != 0)
            return &o->sayings[i];
    return NULL;
}

/* Of those who read the piece, or of those who have it: the word that most say; NULL: nobody says
 * one, or (tied) as many say another. */
static const struct saying *
most(const struct attest *a, const struct about *o, bool read, bool *ret_tied, unsigned *ret_votes)
{
    const struct saying *best = NULL;
    unsigned votes = 0;
    *ret_tied = false;
    for (uint8_t i = 0; i < o->count; i++) {
        const struct saying *s = &o->sayings[i];
        unsigned mine = votes_of((read ? s->readers : s->havers) & ~a->liars);
        if (mine == 0 || mine < votes)
            continue;
        *ret_tied = mine == votes;
        best = s;
        votes = mine;
    }
    *ret_votes = votes;
    return *ret_tied ? NULL : best;
}

/* The word that is right as far as can be known: our own, or one that several have read; or NULL.
 */
static const struct saying *
settled(const struct attest *a, const struct about *o)
{
    const struct saying *s = own(o);
    bool tied;
    unsigned votes = 2;
    if (s == NULL)
        s = most(a, o, true, &tied, &votes);
    return votes < 2 ? NULL : s;
}

/* Who said the right word is trusted after a few. */
static void
confirm(struct attest *a, struct about *o, const struct saying *right)
{
    uint64_t fresh = right->readers & ~o->confirmed & ~FORMER;
    if (a->doubts != 1 || votes_of(right->readers) < 2)
        return;
    o->confirmed |= fresh;
    for (; fresh != 0; fresh &= fresh - 1) {
        unsigned at = (unsigned)__builtin_ctzll(fresh);
        if (++a->confirmed[at] != ATTEST_TRUST)
            continue;
        a->trusted |= (uint64_t)1 << at;
        a->verdicts++;
    }
}

/* Who said another word than the right one is found out, and after a few not believed. */
static void
judge(struct attest *a, struct about *o)
{
    const struct saying *right = settled(a, o);
    if (right != NULL)
        confirm(a, o, right);
    for (uint8_t i = 0; right != NULL && i < o->count; i++) {
        uint64_t wrong = o->sayings[i].readers & ~o->wrong & ~FORMER;
        if (&o->sayings[i] == right)
            continue;
        o->wrong |= wrong;
        for (; wrong != 0; wrong &= wrong - 1) {
            unsigned at = (unsigned)__builtin_ctzll(wrong);
            if (++a->wrong[at] != ATTEST_WRONG_MAX)
                continue;
            a->liars |= (uint64_t)1 << at;
            a->verdicts++;
        }
    }
}

void
attest_hear(struct attest *a, const struct node_id *speaker, bool read, uint32_t first,
            const struct wire_bits *words)
{
    uint32_t count = words->len / ATTEST_BYTES;
    if (count == 0 || first >= a->pieces || count > a->pieces - first)
        return;
    uint64_t bit = bit_of(a, speaker, read, is_needed(a, read, first, count));
    if (bit == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        say(&a->about[first + i], bit, read, words->bytes + (size_t)i * ATTEST_BYTES);
        judge(a, &a->about[first + i]);
    }
}

void
attest_own(struct attest *a, bool read, uint32_t piece, const uint8_t word[ATTEST_BYTES])
{
    must(piece < a->pieces);
    say(&a->about[piece], SELF, read, word);
    judge(a, &a->about[piece]);
}

bool
attest_liar(const struct attest *a, size_t *at, struct node_id *ret)
{
    while (*at < a->speakers_count) {
        size_t i = (*at)++;
        if ((a->liars >> (i + 1) & 1) == 0)
            continue;
        *ret = a->speakers[i];
        return true;
    }
    return false;
}

void
attest_forget(struct attest *a, const struct node_id *speaker)
{
    a->liars |= bit_of(a, speaker, true, true);
    a->verdicts++;
}

void
attest_doubt(struct attest *a)
{
    a->doubts++;
    a->trusted = 0;
    memset(a->confirmed, 0, sizeof a->confirmed);
}

unsigned
attest_verdicts(const struct attest *a)
{
    return a->verdicts;
}

void
attest_lied(struct attest *a, uint32_t piece)
{
    must(piece < a->pieces);
    if (a->about[piece].lies < ATTEST_LIES_MAX)
        a->about[piece].lies++;
}

/* Too few say it while words are doubted. */
static bool
is_doubtful(const struct attest *a, const struct saying *s)
{
    uint64_t readers = s->readers & ~a->liars;
    return a->doubts > 0 && votes_of(readers) < 2 && (readers & (a->trusted | SELF)) == 0;
}

enum attest_state
attest_of(const struct attest *a, uint32_t piece, uint8_t ret[ATTEST_BYTES])
{
    must(piece < a->pieces);
    const struct about *o = &a->about[piece];
    const struct saying *s = own(o);
    bool tied = false;
    unsigned votes = 2;
    if (s == NULL)
        s = most(a, o, true, &tied, &votes);
    if (s == NULL && !tied)
        s = most(a, o, false, &tied, &votes);
    if (tied || (s != NULL && (is_doubtful(a, s) || (votes < 2 && o->lies == ATTEST_LIES_MAX))))
        return ATTEST_DISPUTED;
    if (s == NULL)
        return ATTEST_NONE;
    if (ret != NULL)
        memcpy(ret, s->word, ATTEST_BYTES);
    return ATTEST_WORD;
}

/* What this node says of the piece when it is asked for what it `read`, or for the rest. */
static bool
known(const struct attest *a, bool read, uint32_t piece, uint8_t ret[ATTEST_BYTES])
{
    const struct saying *s = own(&a->about[piece]);
    if (s != NULL && read)
        memcpy(ret, s->word, ATTEST_BYTES);
    return read ? s != NULL : s == NULL && attest_of(a, piece, ret) == ATTEST_WORD;
}

bool
attest_run(struct attest *a, const struct digest *blob, bool read, uint32_t *at, uint32_t end,
           struct wire_attest *ret)
{
    uint32_t count = 0;
    end = end < a->pieces ? end : a->pieces;
    while (*at < end && !known(a, read, *at, a->run))
        (*at)++;
    *ret = (struct wire_attest){.digest = *blob, .first = *at, .read = read};
    while (*at < end && count < ATTEST_RUN_MAX &&
           known(a, read, *at, a->run + (size_t)count * ATTEST_BYTES)) {
        (*at)++;
        count++;
    }
    ret->words = (struct wire_bits){a->run, (uint16_t)(count * ATTEST_BYTES)};
    return count > 0;
}
