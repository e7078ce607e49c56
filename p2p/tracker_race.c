/* The piece that all readers wait for, when its holder brings next to nothing of it. Nobody knows
 * yet who is slow when a site pulls for the first time; taking the piece away would let a registry
 * that is slow to begin look like a slow node, again and again. So another node gets the lease and
 * the holder goes on: tracker.c leaves a single piece that its node fetches without a lease alone
 * until somebody has it. What that costs over the WAN is a part of one piece. */
#include "p2p/duty.h"
#include "p2p/tracker_inside.h"
#include "p2p/tuning.h"

#define STARVES_MS 3000 /* connections share a full WAN unequally, but not for so long */

/* Does its holder bring next to nothing, also for one that shares the WAN with the others? */
static bool
is_poor(const struct tracker *t, const struct lease *l, int64_t now_ms)
{
    uint64_t fair = t->climb.wan / (t->climb.active > 0 ? t->climb.active : 1) / LEASE_REVOKE_SLOW;
    uint64_t poor = fair > 0 && fair < CLIMB_POOR_RATE ? fair : CLIMB_POOR_RATE;
    return lease_rate(l, now_ms) < poor;
}

/* What a node brings of upstream in all its leases, which share its way there; 0, too, when none of
 * them is so old yet that it says anything. */
static uint64_t
brings(const struct tracker *t, unsigned node, int64_t now_ms)
{
    uint64_t rate = 0;
    bool old = false;
    for (size_t i = 0; i < t->blobs_count; i++) {
        const struct lease_book *book = &t->blobs[i]->book;
        for (unsigned k = 0; k < book->used; k++) {
            const struct lease *l = &book->list[k];
            if (!lease_running(l) || l->node != node || l->source != 0)
                continue;
            rate += lease_rate(l, now_ms);
            old = old || now_ms - l->granted_ms >= TRACKER_RACE_MS;
        }
    }
    return old ? rate : 0;
}

/* Is it the WAN that is slow, not the lease's holder or its connection: does the holder bring
 * enough in all blobs together, and of this one its part, or do others bring as little? */
static bool
is_wan_slow(const struct tracker *t, const struct lease *l, int64_t now_ms)
{
    uint64_t rate = brings(t, l->node, now_ms);
    bool others = false;
    if (now_ms - l->piece_ms >= STARVES_MS && lease_rate(l, now_ms) < rate / TRACKER_HOPELESS)
        return false;
    for (unsigned i = 0; i < t->nodes_count && rate < CLIMB_POOR_RATE; i++) {
        uint64_t other = i != l->node && t->nodes[i].tried ? brings(t, i, now_ms) : 0;
        if (other > LEASE_REVOKE_SLOW * rate)
            return false;
        others = others || other > 0;
    }
    return others || rate >= CLIMB_POOR_RATE;
}

/* Would the node, of which it is known what it brings, be done with the piece by now, and does its
 * holder bring next to nothing (rate, bytes/s) beside its share? Where a WAN became slow for all, a
 * fetcher still brings more: its own share of a tenth. */
static bool
is_hopeless(const struct tracker *t, const struct tracker_blob *b, const struct tracker_node *n,
            const struct lease *l, uint64_t rate, int64_t now_ms)
{
    uint64_t share = TRACKER_HOPELESS * (uint64_t)(t->climb.active > 0 ? t->climb.active : 1);
    int64_t age_ms = now_ms - l->piece_ms;
    return (uint64_t)age_ms * n->wan_rate > (uint64_t)b->book.piece_bytes * 1000 &&
           (age_ms >= LEASE_REVOKE_FULL_MS || !climb_full(&t->climb)) && rate < n->wan_rate / share;
}

bool
tracker_is_outdone(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
                   uint64_t rate, int64_t now_ms)
{
    for (size_t i = 0; i < b->entries_count; i++) {
        const struct tracker_entry *e = b->entries[i];
        if (e->node != l->node && is_hopeless(t, b, &t->nodes[e->node], l, rate, now_ms) &&
            tracker_could_fetch(t, b, e, now_ms))
            return true;
    }
    return false;
}

/* Has its holder had the first piece of the lease for long, and not brought it? */
static bool
is_late(const struct tracker_blob *b, const struct lease *l, int64_t now_ms)
{
    int64_t least_ms =
        l->first == b->race.piece && b->race.losers_count > 0 ? TRACKER_AGAIN_MS : TRACKER_RACE_MS;
    return !tuning.no_revocation && lease_running(l) && now_ms - l->piece_ms >= least_ms &&
           l->done_bytes < b->book.piece_bytes && b->holders[l->first] == 0 &&
           !lease_waits(&b->book, l);
}

/* Was it lost by its holder, and nobody has got it since? */
static bool
is_lost(const struct tracker_blob *b, uint32_t piece, int64_t now_ms)
{
    return now_ms - b->lost_ms < TRACKER_LOST_MS && b->of[piece] == 0 && b->holders[piece] == 0;
}

static uint32_t
lowest_cursor(const struct tracker_blob *b)
{
    uint64_t cursor = UINT64_MAX;
    for (size_t i = 0; i < b->entries_count; i++)
        if (tracker_wants(b->entries[i]->flags) && b->entries[i]->cursor < cursor)
            cursor = b->entries[i]->cursor;
    return cursor < b->book.size ? (uint32_t)(cursor / b->book.piece_bytes) : b->book.pieces;
}

/* The piece at the lowest cursor, when its lease is late (*ret) or was lost (*ret is NULL); else
 * the number of pieces. */
static uint32_t
awaited(struct tracker_blob *b, int64_t now_ms, struct lease **ret)
{
    bool some = now_ms - b->lost_ms < TRACKER_LOST_MS;
    for (unsigned i = 0; i < b->book.used && !some; i++)
        some = is_late(b, &b->book.list[i], now_ms);
    uint32_t piece = some ? lowest_cursor(b) : b->book.pieces;
    if (piece == b->book.pieces)
        return piece;
    *ret = b->of[piece] > 0 ? &b->book.list[b->of[piece] - 1] : NULL;
    bool late = *ret != NULL && (*ret)->first == piece && is_late(b, *ret, now_ms);
    return late || is_lost(b, piece, now_ms) ? piece : b->book.pieces;
}

bool
tracker_is_urgent(const struct tracker *t, const struct tracker_blob *b, int64_t now_ms)
{
    uint32_t piece = lowest_cursor(b);
    if (piece == b->book.pieces || b->holders[piece] > 0)
        return false;
    if (b->of[piece] == 0)
        return is_lost(b, piece, now_ms);
    const struct lease *l = &b->book.list[b->of[piece] - 1];
    return l->first == piece && l->done_bytes < b->book.piece_bytes &&
           now_ms - l->granted_ms >= TRACKER_HURRY_MS &&
           (is_poor(t, l, now_ms) || tracker_is_outdone(t, b, l, lease_rate(l, now_ms), now_ms));
}

bool
tracker_race_loser(const struct tracker_blob *b, uint32_t piece, unsigned node)
{
    const struct tracker_race *r = &b->race;
    for (unsigned i = 0; i < r->losers_count && r->piece == piece; i++)
        if (r->losers[i] == node)
            return true;
    return false;
}

void
tracker_race_forget(struct tracker_blob *b, unsigned node)
{
    struct tracker_race *r = &b->race;
    for (unsigned i = r->losers_count; i-- > 0;)
        if (r->losers[i] == node)
            r->losers[i] = r->losers[--r->losers_count];
}

/* A race reads up to a piece twice: does the site pull fewer than so many? */
static bool
pulls_fewer(const struct tracker *t, unsigned pieces, uint32_t piece_bytes)
{
    uint64_t all = 0;
    for (size_t i = 0; i < t->blobs_count; i++)
        all += t->blobs[i]->wanting > 0 ? t->blobs[i]->book.size : 0;
    return all < (uint64_t)pieces * piece_bytes;
}

/* Were so many tried that it is the WAN that is slow, not they? A race would only take from it. */
static bool
enough_tried(const struct tracker *t)
{
    unsigned tried = 0;
    for (unsigned i = 0; i < t->nodes_count && tried < TRACKER_TRIED; i++)
        tried += t->nodes[i].tried;
    return tried == TRACKER_TRIED;
}

bool
tracker_unproven(const struct tracker *t, uint32_t piece_bytes)
{
    return !enough_tried(t) && !pulls_fewer(t, TRACKER_DEAR, piece_bytes);
}

static unsigned
races_for(const struct tracker_blob *b, uint32_t piece)
{
    return b->race.piece == piece ? b->race.losers_count : 0;
}

/* May nodes of which nothing is known try the piece of that lease? */
static bool
is_open(const struct tracker *t, const struct tracker_blob *b, uint32_t piece,
        const struct lease *l, int64_t now_ms)
{
    int64_t age_ms = now_ms - l->piece_ms;
    if (age_ms < TRACKER_RACE_MS || !is_poor(t, l, now_ms) || enough_tried(t))
        return false;
    uint32_t piece_bytes = b->book.piece_bytes;
    if (pulls_fewer(t, TRACKER_CHEAP, piece_bytes) && is_wan_slow(t, l, now_ms))
        return false;
    return !pulls_fewer(t, TRACKER_DEAR, piece_bytes) ||
           (age_ms >= (int64_t)(2 * TRACKER_RACE_MS) << races_for(b, piece) &&
            !tracker_brings_soon(t, b, l, now_ms));
}

/* What is raced for. */
struct prize {
    uint32_t piece;
    const struct lease *lease; /* NULL: it was lost */
    bool open;                 /* also to nodes of which nothing is known */
};

static struct prize
prize_of(const struct tracker *t, const struct tracker_blob *b, uint32_t piece,
         const struct lease *l, int64_t now_ms)
{
    return (struct prize){piece, l, l != NULL && is_open(t, b, piece, l, now_ms)};
}

/* Should the node try the piece, of which nobody or only the holder of the lease has a part? One
 * that is busy comes by when its lease ends, and those are short now. */
static bool
may_race(const struct tracker *t, const struct tracker_blob *b, const struct tracker_entry *e,
         const struct prize *p, int64_t now_ms)
{
    unsigned races = races_for(b, p->piece);
    const struct tracker_node *n = &t->nodes[e->node];
    const struct lease *l = p->lease;
    if (b->rests > 0 || races == TRACKER_RACES_MAX || tracker_race_loser(b, p->piece, e->node) ||
        (e->end > 0 && (p->piece < e->first || p->piece >= e->end)) ||
        bits_get(e->bits, p->piece) || !tracker_could_fetch(t, b, e, now_ms) ||
        tracker_is_barren(b, e, now_ms))
        return false;
    if (l == NULL)
        return (n->wan_rate > 0 || !n->tried) && e->idle > 0 && !tracker_fetches(t, e->node);
    if (l->node == e->node || n->wan_rate == 0)
        return l->node != e->node && p->open && !n->tried;
    return (races > 0 || now_ms - l->piece_ms > tracker_time_ms(t, b, l) ||
            is_hopeless(t, b, n, l, lease_rate(l, now_ms), now_ms)) &&
           !tracker_brings_soon(t, b, l, now_ms) && tracker_is_faster(t, e, l, now_ms);
}

/* Who is to have the piece, or NULL: an idle one before one that has to end its lease first. */
static struct tracker_entry *
best_of(const struct tracker *t, const struct tracker_blob *b, uint32_t piece,
        const struct lease *l, int64_t now_ms)
{
    struct tracker_entry *best = NULL;
    struct prize prize = prize_of(t, b, piece, l, now_ms);
    for (size_t i = 0; i < b->entries_count; i++) {
        struct tracker_entry *e = b->entries[i];
        bool better = best == NULL || (e->idle > 0) > (best->idle > 0) ||
                      ((e->idle > 0) == (best->idle > 0) &&
                       t->nodes[e->node].wan_rate > t->nodes[best->node].wan_rate);
        if (better && may_race(t, b, e, &prize, now_ms))
            best = e;
    }
    return best;
}

struct tracker_entry *
tracker_racer(struct tracker *t, struct tracker_blob *b, int64_t now_ms,
              struct tracker_orders *orders)
{
    struct lease *l;
    uint32_t piece = awaited(b, now_ms, &l);
    struct tracker_entry *best = piece < b->book.pieces ? best_of(t, b, piece, l, now_ms) : NULL;
    if (best == NULL || l == NULL || l->end == l->first + 1)
        return best != NULL && best->idle > 0 ? best : NULL;
    if (l->end_wanted == l->end) /* what is behind it goes to others first */
        tracker_trim(t, b, l, l->first + 1, now_ms, orders);
    return NULL;
}

bool
tracker_race(struct tracker *t, struct tracker_blob *b, const struct tracker_entry *e,
             int64_t now_ms, uint32_t *ret_piece)
{
    struct lease *l;
    uint32_t piece = awaited(b, now_ms, &l);
    if (piece == b->book.pieces || (l != NULL && l->end > piece + 1))
        return false;
    struct prize prize = prize_of(t, b, piece, l, now_ms);
    if (!may_race(t, b, e, &prize, now_ms))
        return false;
    *ret_piece = piece;
    if (b->race.piece != piece)
        b->race = (struct tracker_race){.piece = piece};
    if (l == NULL)
        return true;
    b->race.losers[b->race.losers_count++] = l->node;
    t->sum.revocations++;
    tracker_lose(b, l, LEASE_REVOKED, now_ms);
    return true;
}

uint32_t
tracker_kept_for_racer(const struct tracker *t, struct tracker_blob *b, int64_t now_ms)
{
    struct lease *l;
    uint32_t piece = awaited(b, now_ms, &l);
    bool kept = piece < b->book.pieces && l == NULL && best_of(t, b, piece, l, now_ms) != NULL;
    return kept ? piece : b->book.pieces;
}

void
tracker_race_won(struct tracker *t, struct tracker_blob *b, const struct lease *l, int64_t now_ms)
{
    struct tracker_race *r = &b->race;
    if (l->first != r->piece)
        return;
    for (unsigned i = 0; i < r->losers_count; i++) {
        const struct tracker_entry *e = tracker_entry(b, r->losers[i]);
        /* One of them may have it by now, and may be who brings it. */
        if (r->losers[i] != l->node && e != NULL && !bits_get(e->bits, r->piece))
            tracker_strike(&t->nodes[r->losers[i]], now_ms);
    }
    r->losers_count = 0;
}

/* Has another node got the piece that the holder is at: one that raced it, or a reader that helped
 * itself? The holder takes it from the LAN then. What a node says that it has is only heard, so
 * without a race it is left to all but those whose rest others would fetch in no time. */
bool
tracker_race_lost(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
                  int64_t now_ms)
{
    uint32_t piece = l->first + (uint32_t)(l->done_bytes / b->book.piece_bytes);
    const struct tracker_entry *e = tracker_entry(b, l->node);
    if (piece >= l->end || b->holders[piece] == 0 || (e != NULL && bits_get(e->bits, piece)))
        return false;
    const struct tracker_race *r = &b->race;
    if (r->losers_count > 0 && l->first == r->piece && l->end == r->piece + 1)
        return true;
    return l->id > DUTY_OWN_IDS && now_ms - l->piece_ms >= TRACKER_RACE_MS &&
           l->done_bytes % b->book.piece_bytes < b->book.piece_bytes / 2 &&
           tracker_is_outdone(t, b, l, lease_rate(l, now_ms), now_ms);
}
