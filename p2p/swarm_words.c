/* What the pieces of a blob hash to: what this node tells, asks and believes. */
#include "p2p/swarm_inside.h"
#include <string.h>

static void
set_bit(uint8_t *bits, uint32_t i, bool on)
{
    if (on)
        bits_set(bits, i);
    else
        bits_clear(bits, i);
}

static void
renew(struct swarm *s, uint32_t piece, int64_t now_ms)
{
    enum attest_state is = attest_of(s->attest, piece, NULL);
    bool before = bits_get(s->disputed, piece), disputed = is == ATTEST_DISPUTED;
    if (is == ATTEST_WORD && !bits_get(s->worded, piece))
        s->lan_ms = 0;
    set_bit(s->worded, piece, is == ATTEST_WORD);
    if (before || disputed)
        s->disputed_ms = now_ms;
    if (before == disputed)
        return;
    set_bit(s->disputed, piece, disputed);
    s->disputes += disputed;
    s->disputes -= before;
}

/* A speaker may be believed no more: other pieces look different too. */
static void
renew_all(struct swarm *s, int64_t now_ms)
{
    for (uint32_t p = 0; p < s->pieces; p++)
        renew(s, p, now_ms);
}

/* Of eight pieces those that somebody has and that lack a word before they are asked for. */
static uint8_t
unworded(const struct swarm *s, size_t byte)
{
    uint8_t done = s->held[byte] | s->asked[byte] | s->worded[byte] | s->disputed[byte];
    return s->somewhere[byte] & (uint8_t)~done;
}

static bool
lacks_word(const struct swarm *s, uint32_t piece)
{
    return swarm_in_window(s, piece) && (unworded(s, piece / 8) >> piece % 8 & 1) != 0;
}

void
swarm_attest(struct swarm *s, bool read, uint32_t piece, const uint8_t word[ATTEST_BYTES],
             int64_t now_ms)
{
    must(piece < s->pieces);
    unsigned before = attest_verdicts(s->attest);
    attest_own(s->attest, read, piece, word);
    if (s->recall == RECALL_RUNS)
        s->recall = RECALL_TOLD;
    s->unsaid_count += !bits_get(s->unsaid, piece);
    bits_set(s->unsaid, piece);
    if (attest_verdicts(s->attest) > before)
        renew_all(s, now_ms);
    else
        renew(s, piece, now_ms);
}

void
swarm_words(struct swarm *s, const struct node_id *from, bool read, uint32_t first,
            const struct wire_bits *words, int64_t now_ms)
{
    uint32_t count = words->len / ATTEST_BYTES;
    unsigned before = attest_verdicts(s->attest);
    struct swarm_link *speaker = swarm_find_peer(s, from);
    if (count == 0) /* the end of an answer; it may have overtaken the words */
        s->words_ms = now_ms - SWARM_WORDS_MS + SWARM_HAVE_MS;
    bool heard = true;
    attest_hear(s->attest, from, read, first, words);
    if (attest_verdicts(s->attest) > before)
        renew_all(s, now_ms);
    for (uint32_t i = 0; i < count && first < s->pieces && i < s->pieces - first; i++) {
        bool lacked = lacks_word(s, first + i);
        renew(s, first + i, now_ms);
        heard = heard && !lacks_word(s, first + i);
        if (lacked && !lacks_word(s, first + i))
            s->words_asks = 0;
    }
    /* Who says what cannot be used is asked less than the others, as if it said nothing. */
    if (speaker != NULL && (count == 0 || heard))
        speaker->words_asks = count > 0 ? 0 : speaker->words_asks * SWARM_WORDS_ASKS;
}

/* What others have is heard anew: they have dropped pieces, too. */
void
swarm_doubt_words(struct swarm *s, int64_t now_ms)
{
    for (size_t i = 0; i < s->peers_count; i++)
        swarm_gone(s, &s->peers[i].id);
    attest_doubt(s->attest);
    renew_all(s, now_ms);
}

bool
swarm_recalls(struct swarm *s)
{
    if (s->recall != RECALL_NOT_YET || !swarm_whole(s))
        return false;
    s->recall = RECALL_RUNS;
    return true;
}

void
swarm_recalled(struct swarm *s)
{
    s->recall = s->recall == RECALL_TOLD ? RECALL_OVER : RECALL_NOT_YET;
}

bool
swarm_is_recalling(const struct swarm *s)
{
    return s->recall == RECALL_RUNS || s->recall == RECALL_TOLD;
}

static bool
gives_lies(const struct swarm_link *p)
{
    return p->wrong >= SWARM_LIES_MIN && p->wrong > SWARM_LIES_SHARE * p->right;
}

bool
swarm_liar(const struct swarm *s, size_t *at, struct node_id *ret)
{
    if (s->wrong == 0 && attest_verdicts(s->attest) == 0)
        return false;
    while (*at < s->peers_count) {
        const struct swarm_link *p = &s->peers[(*at)++];
        if (!gives_lies(p))
            continue;
        *ret = p->id;
        return true;
    }
    size_t speaker = *at - s->peers_count;
    bool found = attest_liar(s->attest, &speaker, ret);
    *at = s->peers_count + speaker;
    return found;
}

void
swarm_ban(struct swarm *s, const struct node_id *node)
{
    swarm_gone(s, node);
    attest_forget(s->attest, node);
    renew_all(s, s->now_ms);
}

void
swarm_lied(struct swarm *s, uint32_t piece, int64_t now_ms)
{
    attest_lied(s->attest, piece);
    renew(s, piece, now_ms);
    if (bits_get(s->lied, piece))
        return;
    bits_set(s->lied, piece);
    s->lies++;
    s->disputed_ms = now_ms;
}

bool
swarm_is_disputed(const struct swarm *s, uint32_t piece)
{
    return bits_get(s->disputed, piece) || (bits_get(s->lied, piece) && s->avail[piece] == 0);
}

/* ---- told ---- */

bool
swarm_take_words(struct swarm *s, bool read, uint32_t *at, struct wire_attest *ret)
{
    while (s->unsaid_count > 0 && *at < s->pieces) {
        uint32_t end = *at;
        while (end < s->pieces && bits_get(s->unsaid, end))
            end++;
        if (end == *at)
            (*at)++;
        else if (attest_run(s->attest, &s->digest, read, at, end, ret))
            return true;
    }
    return false;
}

void
swarm_told_words(struct swarm *s)
{
    if (s->unsaid_count > 0)
        memset(s->unsaid, 0, BITS_BYTES(s->pieces));
    s->unsaid_count = 0;
}

bool
swarm_tell_words(struct swarm *s, const struct wire_ask_words *asked, bool read, uint32_t *at,
                 struct wire_attest *ret)
{
    uint32_t count = asked->count < SWARM_WORDS_MAX ? asked->count : SWARM_WORDS_MAX;
    if (asked->first >= s->pieces || asked->first > UINT32_MAX - count)
        return false;
    if (*at < asked->first)
        *at = asked->first;
    return attest_run(s->attest, &s->digest, read, at, asked->first + count, ret);
}

/* ---- asked ---- */

/* Of those that have the piece who was asked least in vain. */
static struct swarm_link *
holder(struct swarm *s, uint32_t piece)
{
    struct swarm_link *best = NULL;
    for (size_t i = 0; i < s->peers_count; i++)
        if (bits_get(s->peers[i].bits, piece) &&
            (best == NULL || s->peers[i].words_asks < best->words_asks))
            best = &s->peers[i];
    return best;
}

/* Who was asked and cannot say what its pieces hash to is not believed to have them. True: somebody
 * is not any more. */
static bool
disbelieve_mute(struct swarm *s, int64_t now_ms)
{
    bool all = s->words_asks >= SWARM_WORDS_ASKS, any = false;
    for (size_t i = 0; i < s->peers_count; i++) {
        struct swarm_link *p = &s->peers[i];
        if (p->words_asks == 0 || (!all && p->words_asks < SWARM_WORDS_ASKS))
            continue;
        p->words_asks = 0;
        swarm_disbelieve(s, p, now_ms);
        any = true;
    }
    if (all)
        s->words_asks = 0;
    return any;
}

/* [first, end) is the first run that lacks words. */
static bool
lacking(struct swarm *s, uint32_t *ret_first, uint32_t *ret_end)
{
    uint32_t at = 0;
    while (at < s->pieces && unworded(s, at / 8) == 0)
        at += 8;
    while (at < s->pieces && !lacks_word(s, at))
        at = unworded(s, at / 8) == 0 ? (at | 7) + 1 : at + 1;
    at = at < s->pieces ? at : s->pieces;
    *ret_first = at;
    while (at < s->pieces && at - *ret_first < SWARM_WORDS_MAX && lacks_word(s, at))
        at++;
    *ret_end = at;
    return at > *ret_first;
}

bool
swarm_asks_words(struct swarm *s, int64_t now_ms, struct wire_ask_words *ret,
                 const struct node_id **ret_to)
{
    uint32_t first, end;
    s->lacks_words = swarm_wants(s) && lacking(s, &first, &end);
    if (!s->lacks_words || now_ms - s->words_ms < SWARM_WORDS_MS)
        return false;
    if (disbelieve_mute(s, now_ms) && !(s->lacks_words = lacking(s, &first, &end)))
        return false;
    struct swarm_link *to = holder(s, first);
    must(to != NULL);
    to->words_asks++;
    s->words_asks++;
    *ret_to = &to->id;
    *ret = (struct wire_ask_words){s->digest, first, end - first};
    s->words_ms = now_ms;
    return true;
}
