/* Finds who gave wrong bytes. */
#include "proxy/upstream/mend.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "p2p/p2p.h"
#include "proxy/upstream/ordered.h"

/* From the question to the tracker to its answer; a client waits for its tail meanwhile. */
#define WORDS_MS 1000

/* Wrong pieces for each right one. In the lab nodes that passed on what two liars of eight had
 * given them had up to three wrong of five; liars gave nothing else. */
#define LIAR_SHARE  3
#define LIAR_PIECES 2 /* one wrong piece may be all that a node had to pass on */

/* A piece that was dropped: what it was, and whose. */
struct suspect {
    bool known; /* one node gave it */
    struct node_id node;
    struct digest sum;
};

struct tally {
    struct node_id node;
    unsigned good, bad;
};

struct mend {
    unsigned rounds;
    int64_t asked_ms; /* for words; 0: not yet */
    size_t tallies_count;
    struct tally tallies[TRAIL_NODES_MAX];
    struct piece {
        struct suspect suspect;
        bool has_word;
        uint8_t word[ATTEST_BYTES];
    } pieces[];
};

/* ---- judgement ---- */

static void
tally(struct mend *m, const struct node_id *node, bool good)
{
    size_t i = 0;
    while (i < m->tallies_count && !node_equal(&m->tallies[i].node, node))
        i++;
    if (i == TRAIL_NODES_MAX)
        return;
    if (i == m->tallies_count)
        m->tallies[m->tallies_count++] = (struct tally){.node = *node};
    m->tallies[i].good += good;
    m->tallies[i].bad += !good;
}

/* The registry's own bytes of a piece. */
static void
on_whole(void *arg, uint32_t piece, const struct digest *sum)
{
    struct fill *f = arg;
    p2p_attest(f->world->p2p, blob_digest(f->blob), piece, sum->bytes);
    if (f->mend == NULL || !f->mend->pieces[piece].suspect.known)
        return;
    struct suspect *s = &f->mend->pieces[piece].suspect;
    tally(f->mend, &s->node, digest_equal(&s->sum, sum));
    s->known = false;
}

static void
ban(struct fill *f, const struct tally *t, int64_t now_ms)
{
    int64_t until_ms = 0;
    char node[2 * sizeof t->node.bytes + 1];
    if (!bans_add(&f->world->bans, &t->node, now_ms, &until_ms))
        return;
    text_hex(node, t->node.bytes, sizeof t->node.bytes);
    metric_add(M_peers_banned, 1);
    LOG(peer_banned, LOG_S("node", node), LOG_U("wrong_pieces", t->bad),
        LOG_U("right_pieces", t->good),
        LOG_S("until", until_ms == INT64_MAX ? "this node starts again" : "ten minutes from now"));
    p2p_ban(f->world->p2p, &t->node, until_ms == INT64_MAX ? INT64_MAX : BAN_MS);
}

static void
ban_liars(struct fill *f, int64_t now_ms)
{
    const struct mend *m = f->mend;
    for (size_t i = 0; i < m->tallies_count; i++)
        if (m->tallies[i].bad >= LIAR_PIECES && m->tallies[i].bad > LIAR_SHARE * m->tallies[i].good)
            ban(f, &m->tallies[i], now_ms);
}

/* ---- a round ---- */

static bool
is_doubtful(const struct fill *f, uint32_t piece, struct suspect *ret)
{
    enum trail_of of = trail_of(f->trail, piece, &ret->node);
    ret->known = of == TRAIL_NODE;
    return of != TRAIL_REGISTRY;
}

/* In the first round, when there is a word for the piece: is it as the word says? */
static bool
is_vouched(struct fill *f, uint32_t piece, struct suspect *s)
{
    const struct piece *p = &f->mend->pieces[piece];
    if (f->mend->rounds > 0 || !p->has_word)
        return false;
    bool good = memcmp(p->word, s->sum.bytes, ATTEST_BYTES) == 0;
    if (s->known)
        tally(f->mend, &s->node, good);
    s->known = false;
    return good;
}

/* Marks what has to come again; how many pieces. */
static uint32_t
choose(struct fill *f, const struct digest *sums, uint8_t *bits)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < trail_pieces(f->trail); i++) {
        struct suspect s = {.sum = sums[i]};
        if (!is_doubtful(f, i, &s) || is_vouched(f, i, &s))
            continue;
        f->mend->pieces[i].suspect = s;
        bits[i / 8] |= (uint8_t)(1u << i % 8);
        count++;
    }
    return count;
}

/* Words for all pieces that need one are here, or will not come. */
static bool
has_words(struct fill *f, int64_t now_ms)
{
    struct suspect s;
    struct mend *m = f->mend;
    if (f->ordered == NULL || m->rounds > 0)
        return true;
    if (m->asked_ms == 0) {
        m->asked_ms = now_ms;
        ordered_wary(f);
    }
    if (now_ms - m->asked_ms >= WORDS_MS)
        return true;
    for (uint32_t i = 0; i < trail_pieces(f->trail); i++)
        if (!m->pieces[i].has_word && is_doubtful(f, i, &s))
            return false;
    return true;
}

static bool
has_bit(const uint8_t *bits, uint32_t i)
{
    return (bits[i / 8] >> i % 8 & 1) != 0;
}

/* The pieces are missing again, for the swarm too. With words for some of them it brings them
 * once more, else the rest comes from the registry. */
static void
take_back(struct fill *f, const uint8_t *bits, int64_t now_ms)
{
    bool words = false;
    for (uint32_t i = 0; i < trail_pieces(f->trail); i++) {
        if (!has_bit(bits, i))
            continue;
        trail_forget(f->trail, i);
        words = words || f->mend->pieces[i].has_word;
        if (f->ordered != NULL)
            p2p_dropped(f->world->p2p, blob_digest(f->blob), i, 1);
    }
    if (f->ordered != NULL && words && f->mend->rounds == 1)
        ordered_again(f, now_ms);
    else if (f->ordered != NULL)
        ordered_close(f, true);
    f->claimable = true;
    f->retry_ms = 0;
}

static void
tell(const struct fill *f, uint32_t count)
{
    char digest[DIGEST_TEXT_MAX];
    digest_print(blob_digest(f->blob), digest);
    LOG(blob_mend, LOG_S("digest", digest), LOG_U("pieces", count),
        LOG_U("of", trail_pieces(f->trail)), LOG_U("round", f->mend->rounds));
}

static void
drop(struct fill *f, const struct digest *sums, int64_t now_ms)
{
    uint8_t *bits = mem_zalloc(BITS_BYTES(trail_pieces(f->trail)));
    uint32_t count = choose(f, sums, bits);
    f->mend->rounds++;
    if (count == 0) { /* all as the words say: then these are wrong */
        f->mend->tallies_count = 0;
        f->mend->rounds++;
        count = choose(f, sums, bits);
    }
    if (count == 0) {
        fill_end(f, ERR_DIGEST, "the registry's own bytes do not match");
    } else {
        tell(f, count);
        blob_drop(f->blob, bits);
        take_back(f, bits, now_ms);
        ban_liars(f, now_ms);
        fill_start_patience(f, now_ms);
    }
    mem_free(bits);
}

void
mend_watch(struct fill *f)
{
    if (f->trail != NULL)
        return;
    f->trail = trail_new(f->size);
    mend_listen(f);
    blob_set_mendable(f->blob, true);
}

void
mend_listen(struct fill *f)
{
    bool asked = f->mend != NULL || p2p_others(f->world->p2p) > 0;
    trail_on_whole(f->trail, asked ? on_whole : NULL, f);
}

static void
begin(struct fill *f)
{
    if (f->mend == NULL)
        f->mend = mem_zalloc(sizeof *f->mend + trail_pieces(f->trail) * sizeof f->mend->pieces[0]);
}

void
mend_words(struct fill *f, uint32_t first, uint32_t count, const uint8_t *words)
{
    uint32_t pieces = trail_pieces(f->trail);
    if (first >= pieces || count > pieces - first)
        return;
    begin(f);
    for (uint32_t i = 0; i < count; i++) {
        struct piece *p = &f->mend->pieces[first + i];
        p->has_word = true;
        memcpy(p->word, words + (size_t)i * ATTEST_BYTES, ATTEST_BYTES);
    }
}

const uint8_t *
mend_word(const struct fill *f, const struct gap *gap)
{
    if (f->mend == NULL || gap->start % piece_bytes(f->size) != 0)
        return NULL;
    uint64_t end = gap->start + piece_bytes(f->size);
    const struct piece *p = &f->mend->pieces[gap->start / piece_bytes(f->size)];
    return p->has_word && gap->end == (end < f->size ? end : f->size) ? p->word : NULL;
}

void
mend_over(struct fill *f, const struct run *r, int64_t now_ms)
{
    /* Of pieces that were wrong here many nodes have the same wrong ones, yet. */
    bool again = f->mend != NULL && f->mend->rounds > 0;
    if ((!r->vouched && !r->lied) || (r->lied && again))
        return;
    tally(f->mend, &r->call.source->node, r->vouched);
    ban_liars(f, now_ms);
}

void
mend_step(struct fill *f, int64_t now_ms)
{
    uint32_t pieces = trail_pieces(f->trail);
    f->world->wary = true;
    begin(f);
    if (!has_words(f, now_ms))
        return;
    struct digest *sums = mem_alloc(pieces * sizeof *sums);
    if (blob_sums(f->blob, sums, pieces))
        drop(f, sums, now_ms);
    mem_free(sums);
}

void
mend_settle(struct fill *f, int64_t now_ms)
{
    if (f->mend != NULL)
        ban_liars(f, now_ms);
}

void
mend_free(struct fill *f)
{
    trail_free(f->trail);
    mem_free(f->mend);
    f->trail = NULL;
    f->mend = NULL;
}
