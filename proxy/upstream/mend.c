/* Finds who gave wrong bytes. */
#include "proxy/upstream/mend.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "p2p/p2p.h"
#include "proxy/upstream/ordered.h"

#define LATE_PIECES 64 /* looked at in a turn */

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
    size_t tallies_count;
    struct tally tallies[TRAIL_NODES_MAX];
    struct suspect suspects[]; /* by piece */
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

/* A piece that came from outside of the site. */
static void
on_whole(void *arg, uint32_t piece, const struct digest *sum)
{
    struct fill *f = arg;
    struct node_id from;
    bool read = trail_of(f->trail, piece, &from) == TRAIL_REGISTRY;
    blob_word(f->blob, (uint64_t)piece * piece_bytes(f->size), sum->bytes);
    p2p_attest(f->world->p2p, blob_digest(f->blob), read, piece, sum->bytes, 1);
    if (!read || f->mend == NULL || !f->mend->suspects[piece].known)
        return;
    struct suspect *s = &f->mend->suspects[piece];
    tally(f->mend, &s->node, digest_equal(&s->sum, sum));
    s->known = false;
}

void
mend_ban(struct fill_world *w, const struct node_id *node, int64_t now_ms)
{
    int64_t until_ms = 0;
    char text[2 * sizeof node->bytes + 1];
    if (!bans_add(&w->bans, node, now_ms, &until_ms))
        return;
    text_hex(text, node->bytes, sizeof node->bytes);
    metric_add(M_peers_banned, 1);
    LOG(peer_banned, LOG_S("node", text),
        LOG_S("until", until_ms == INT64_MAX ? "this node starts again" : "ten minutes from now"));
    p2p_ban(w->p2p, node, until_ms == INT64_MAX ? INT64_MAX : BAN_MS);
}

static void
ban_liars(struct fill *f, int64_t now_ms)
{
    const struct mend *m = f->mend;
    for (size_t i = 0; i < m->tallies_count; i++)
        if (m->tallies[i].bad >= LIAR_PIECES && m->tallies[i].bad > LIAR_SHARE * m->tallies[i].good)
            mend_ban(f->world, &m->tallies[i].node, now_ms);
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

/* The pieces are missing again, for the swarm too, which finds out who lied and brings them once
 * more. The last time the registry says them. */
static void
take_back(struct fill *f, const uint8_t *bits, int64_t now_ms)
{
    bool again = f->ordered != NULL && f->mend->rounds < BLOB_REPAIRS_MAX;
    if (again)
        p2p_doubt(f->world->p2p, blob_digest(f->blob));
    for (uint32_t i = 0; i < trail_pieces(f->trail); i++) {
        if (!has_bit(bits, i))
            continue;
        trail_forget(f->trail, i);
        if (f->ordered != NULL)
            p2p_dropped(f->world->p2p, blob_digest(f->blob), i, 1);
    }
    if (again)
        ordered_again(f, now_ms);
    else
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
mend_watch(struct fill *f, int64_t now_ms)
{
    if (f->trail != NULL)
        return;
    f->trail = trail_new(f->size);
    mend_listen(f, now_ms);
    blob_set_mendable(f->blob, true);
}

/* 0, or it cannot be read. */
static int
hash_held(const struct fill *f, uint64_t start, uint64_t end, struct digest *ret)
{
    AUTO(fd_close) int fd = -1;
    size_t len = (size_t)(end - start);
    int rc = blob_held_fd(f->blob, start, len, &fd);
    if (rc < 0)
        return rc;
    void *room = mem_alloc(len);
    rc = fs_read_at(fd, start, room, len);
    if (rc == 0)
        digest_of(DIGEST_SHA256, room, len, ret);
    mem_free(room);
    return rc;
}

/* Pieces that were not hashed on their way: no other node was there then, the request broke within,
 * or they were here before. One a turn. */
static void
hear_late(struct fill *f, int64_t now_ms)
{
    struct digest sum;
    for (unsigned n = 0; n < LATE_PIECES; n++) {
        uint32_t piece = f->unheard_at++ % trail_pieces(f->trail);
        uint64_t start = (uint64_t)piece * piece_bytes(f->size);
        uint64_t end = start + piece_bytes(f->size);
        end = end < f->size ? end : f->size;
        if (!trail_unheard(f->trail, piece) || blob_held_end(f->blob, start) < end)
            continue;
        trail_heard(f->trail, piece);
        if (hash_held(f, start, end, &sum) == 0)
            on_whole(f, piece, &sum);
        wire_wake_at(f->world->wire, now_ms);
        return;
    }
}

void
mend_listen(struct fill *f, int64_t now_ms)
{
    bool asked = f->mend != NULL || p2p_others(f->world->p2p) > 0;
    bool hears = asked || trail_is_cheap(f->trail, now_ms - f->begun_ms);
    trail_on_whole(f->trail, hears ? on_whole : NULL, f);
    if (asked && f->ordered != NULL)
        hear_late(f, now_ms);
}

void
mend_step(struct fill *f, int64_t now_ms)
{
    uint32_t pieces = trail_pieces(f->trail);
    if (f->mend == NULL)
        f->mend = mem_zalloc(sizeof *f->mend + pieces * sizeof f->mend->suspects[0]);
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
