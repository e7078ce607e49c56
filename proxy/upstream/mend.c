/* Finds who gave wrong bytes. */
#include "proxy/upstream/mend.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "p2p/p2p.h"
#include "proxy/upstream/ordered.h"

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
    uint32_t dropped;
    unsigned rounds;
    size_t tallies_count;
    struct tally tallies[TRAIL_NODES_MAX];
    struct suspect suspects[]; /* per piece */
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
    if (f->mend == NULL || !f->mend->suspects[piece].known)
        return;
    struct suspect *s = &f->mend->suspects[piece];
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
        if (m->tallies[i].bad > m->tallies[i].good)
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

/* Marks what has to come again; how many pieces. */
static uint32_t
choose(struct fill *f, const struct digest *sums, uint8_t *bits)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < trail_pieces(f->trail); i++) {
        struct suspect s = {.sum = sums[i]};
        if (!is_doubtful(f, i, &s))
            continue;
        f->mend->suspects[i] = s;
        bits[i / 8] |= (uint8_t)(1u << i % 8);
        count++;
    }
    return count;
}

static bool
has_bit(const uint8_t *bits, uint32_t i)
{
    return (bits[i / 8] >> i % 8 & 1) != 0;
}

/* The swarm forgets the pieces and the blob: the rest comes from the registry. */
static void
leave(struct fill *f, const uint8_t *bits)
{
    for (uint32_t i = 0; i < trail_pieces(f->trail); i++) {
        if (!has_bit(bits, i))
            continue;
        trail_forget(f->trail, i);
        if (f->ordered != NULL)
            p2p_dropped(f->world->p2p, blob_digest(f->blob), i, 1);
    }
    if (f->ordered != NULL)
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
    if (count == 0) {
        fill_end(f, ERR_DIGEST, "the registry's own bytes do not match");
    } else {
        f->mend->rounds++;
        f->mend->dropped += count;
        tell(f, count);
        leave(f, bits);
        blob_drop(f->blob, bits);
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
    trail_on_whole(f->trail, on_whole, f);
    blob_set_mendable(f->blob, true);
}

void
mend_step(struct fill *f, int64_t now_ms)
{
    uint32_t pieces = trail_pieces(f->trail);
    struct digest *sums = mem_alloc(pieces * sizeof *sums);
    if (f->mend == NULL)
        f->mend = mem_zalloc(sizeof *f->mend + pieces * sizeof f->mend->suspects[0]);
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
