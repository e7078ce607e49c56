/* Who fetches what over the WAN: grants, trims, revocations, and how many fetch at a time. */
#include "p2p/duty.h"
#include "p2p/tracker_inside.h"
#include "p2p/tuning.h"
#include <string.h>

/* Bits of the nodes that have leases of the blob; returns how many they are. */
static unsigned
fetchers(const struct tracker_blob *b, uint8_t ret[BITS_BYTES(TRACKER_NODES_MAX)])
{
    unsigned n = 0;
    memset(ret, 0, BITS_BYTES(TRACKER_NODES_MAX));
    for (unsigned i = 0; i < b->book.used; i++) {
        const struct lease *l = &b->book.list[i];
        if (!lease_running(l) || bits_get(ret, l->node))
            continue;
        bits_set(ret, l->node);
        n++;
    }
    return n;
}

static bool
may_upstream(const struct tracker_blob *b, const struct tracker_entry *e, int64_t now_ms)
{
    return (e->flags & WIRE_MAY_FETCH) != 0 && now_ms >= b->rest_ms;
}

/* In quarantine or not. */
static bool
has_source(const struct tracker *t, const struct tracker_blob *b, const struct tracker_entry *e,
           int64_t now_ms)
{
    return tracker_takes(t, e) && now_ms >= t->nodes[e->node].pause_ms &&
           (may_upstream(b, e, now_ms) || tracker_has_remote(t, b, now_ms));
}

bool
tracker_could_fetch(const struct tracker *t, const struct tracker_blob *b,
                    const struct tracker_entry *e, int64_t now_ms)
{
    return now_ms >= t->nodes[e->node].free_ms && has_source(t, b, e, now_ms);
}

/* Should the idle node o get the place that the node e asks for? */
static bool
goes_before(const struct tracker *t, const struct tracker_entry *o, const struct tracker_entry *e,
            bool runs)
{
    uint64_t other = t->nodes[o->node].wan_rate, mine = t->nodes[e->node].wan_rate;
    if (runs)
        return other / TRACKER_FASTER > mine;
    if (other != mine)
        return other > mine;
    bool tried = t->nodes[o->node].tried;
    return tried != t->nodes[e->node].tried ? !tried : o->node < e->node;
}

bool
tracker_fetches(const struct tracker *t, unsigned node)
{
    for (size_t i = 0; i < t->blobs_count; i++)
        for (unsigned k = 0; k < t->blobs[i]->book.used; k++)
            if (lease_running(&t->blobs[i]->book.list[k]) && t->blobs[i]->book.list[k].node == node)
                return true;
    return false;
}

/* How many nodes have leases of the blob. */
static unsigned
fetching(const struct tracker_blob *b)
{
    uint8_t which[BITS_BYTES(TRACKER_NODES_MAX)];
    return fetchers(b, which);
}

/* The same of all other blobs: they share one WAN. */
static unsigned
fetching_others(const struct tracker *t, const struct tracker_blob *b)
{
    unsigned n = 0;
    for (size_t i = 0; i < t->blobs_count; i++)
        n += t->blobs[i] != b ? fetching(t->blobs[i]) : 0;
    return n;
}

/* How many may fetch at a time. */
static unsigned
places(const struct tracker *t, const struct tracker_blob *b, int64_t now_ms)
{
    return b->rests > 0 ? 1 : climb_limit(&t->climb, b->book.piece_bytes, now_ms);
}

bool
tracker_has_other(const struct tracker *t, const struct tracker_blob *b, unsigned node,
                  int64_t now_ms)
{
    for (size_t i = 0; i < b->entries_count; i++)
        if (b->entries[i]->node != node && tracker_could_fetch(t, b, b->entries[i], now_ms))
            return true;
    return false;
}

/* The site's best is in quarantine: a slow way beats none, and a client waits. */
static bool
is_last_resort(const struct tracker *t, const struct tracker_blob *b, const struct tracker_entry *e,
               int64_t now_ms)
{
    return has_source(t, b, e, now_ms) && fetching(b) == 0 &&
           !tracker_has_other(t, b, e->node, now_ms);
}

/* Those that fetch the blob, without one node, whose rate is known; the others in ret_unknown. */
static unsigned
count_fetchers(const struct tracker *t, const struct tracker_blob *b, unsigned except,
               const uint8_t *fetch, int64_t now_ms, unsigned *ret_unknown)
{
    unsigned known = *ret_unknown = 0;
    for (unsigned node = 0; node < t->nodes_count; node++) {
        if (fetch[node / 8] == 0) {
            node |= 7;
            continue;
        }
        const struct tracker_entry *o = bits_get(fetch, node) ? tracker_entry(b, node) : NULL;
        if (node == except || o == NULL || !tracker_could_fetch(t, b, o, now_ms))
            continue;
        *(t->nodes[node].wan_rate > 0 ? &known : ret_unknown) += 1;
    }
    return known;
}

/* Is there a place for the node among those that fetch? None for one that keeps from the others
 * what it has, as long as somebody else can fetch. One of unknown speed at most, once two that are
 * known fetch the blob. Each blob has one fetcher, however many there are of others. */
static bool
may_fetch(const struct tracker *t, const struct tracker_blob *b, const struct tracker_entry *e,
          int64_t now_ms)
{
    if (!tracker_could_fetch(t, b, e, now_ms))
        return is_last_resort(t, b, e, now_ms);
    uint8_t fetch[BITS_BYTES(TRACKER_NODES_MAX)];
    (void)fetchers(b, fetch);
    unsigned before = 0, unknown;
    unsigned known = count_fetchers(t, b, e->node, fetch, now_ms, &unknown);
    unsigned limit = places(t, b, now_ms), here = known + unknown;
    unsigned all = here + fetching_others(t, b);
    if (here > 0 && all >= limit)
        return false; /* the usual answer, before all are looked at */
    bool runs = bits_get(fetch, e->node), better = false;
    for (size_t i = 0; i < b->entries_count; i++) {
        const struct tracker_entry *o = b->entries[i];
        if (o == e || !tracker_could_fetch(t, b, o, now_ms))
            continue;
        bool barren = tracker_is_barren(b, o, now_ms);
        better = better || !barren;
        if (!bits_get(fetch, o->node) && o->idle > 0 && !barren)
            before += goes_before(t, o, e, runs);
    }
    if (better && tracker_is_barren(b, e, now_ms))
        return false;
    if (t->nodes[e->node].wan_rate == 0 && known >= 2 && unknown >= 1)
        return false;
    return here + before == 0 || all + before < limit;
}

static bool
piece_free(const struct tracker_blob *b, uint32_t p)
{
    return b->of[p] == 0 && b->holders[p] == 0;
}

/* What only a node has that does not count, since it serves nobody or is doubted, is free, but not
 * for itself. */
static bool
free_to(const struct tracker_blob *b, const struct tracker_entry *e, uint32_t p)
{
    return piece_free(b, p) && (e == NULL || !bits_get(e->bits, p));
}

static uint32_t
window_end(const struct tracker_blob *b, const struct tracker_entry *e)
{
    return e->end > 0 ? e->end : b->book.pieces;
}

/* The lowest free piece at or behind the lowest cursor, else before it, of those that somebody
 * wants now, without one; `pieces` when none. `to`: free to that node; NULL: to anybody. */
static uint32_t
lowest_free(const struct tracker *t, const struct tracker_blob *b, const struct tracker_entry *to,
            uint32_t but)
{
    uint64_t cursor = UINT64_MAX;
    uint32_t first = b->book.pieces, end = 0;
    for (size_t i = 0; i < b->entries_count; i++) {
        const struct tracker_entry *e = b->entries[i];
        if (!tracker_takes(t, e))
            continue;
        cursor = e->cursor < cursor ? e->cursor : cursor;
        first = e->first < first ? e->first : first;
        end = window_end(b, e) > end ? window_end(b, e) : end;
    }
    uint32_t from = cursor < b->book.size ? (uint32_t)(cursor / b->book.piece_bytes) : 0;
    for (uint32_t i = 0; i < b->book.pieces; i++) {
        uint32_t p = (from + i) % b->book.pieces;
        if (p >= first && p < end && p != but && free_to(b, to, p))
            return p;
    }
    return b->book.pieces;
}

/* The same for a node: one that has no place for all takes the lowest in its window. */
static uint32_t
free_for(const struct tracker *t, const struct tracker_blob *b, const struct tracker_entry *e,
         uint32_t but)
{
    if (e->end == 0)
        return lowest_free(t, b, e, but);
    uint64_t cursor = e->cursor / b->book.piece_bytes;
    for (uint32_t p = cursor < e->end && cursor > e->first ? (uint32_t)cursor : e->first;
         p < e->end; p++)
        if (p != but && free_to(b, e, p))
            return p;
    return b->book.pieces;
}

/* Of a lease of the only node that wants the blob. Alone in the site it gets all in one plain
 * request. With company, as much as was granted before: cutting a long request when a second node
 * comes wastes what is on the way, and most who come at all come at once. */
static uint64_t
solo_bytes(const struct tracker *t, const struct tracker_blob *b)
{
    uint64_t before = (uint64_t)b->granted_pieces * b->book.piece_bytes;
    if (!t->company)
        return b->book.size;
    return before > LEASE_FIRST_BYTES ? before : LEASE_FIRST_BYTES;
}

/* How many will fetch the blob at a time: no more than can. */
static unsigned
sharers(const struct tracker *t, const struct tracker_blob *b, int64_t now_ms)
{
    unsigned most = places(t, b, now_ms), n = 0;
    for (size_t i = 0; i < b->entries_count && n < most; i++)
        n += tracker_could_fetch(t, b, b->entries[i], now_ms);
    return n > 0 ? n : 1;
}

/* Of a lease among several fetchers: some time of work, and a part of what is left, so that all
 * end at about the same time and no lease has to be split. */
static uint64_t
shared_bytes(const struct tracker *t, const struct tracker_blob *b, unsigned node, int64_t now_ms)
{
    uint64_t most_ms = tracker_is_urgent(t, b, now_ms) ? TRACKER_SHORT_MS : LEASE_MS;
    uint64_t bytes = t->nodes[node].wan_rate * most_ms / 1000, left = 0;
    for (uint32_t p = 0; p < b->book.pieces; p++)
        left += piece_free(b, p) ? b->book.piece_bytes : 0;
    left /= (uint64_t)LEASE_SHARES * sharers(t, b, now_ms);
    bytes = bytes < left ? bytes : left;
    return bytes < LEASE_BYTES_MAX ? bytes : LEASE_BYTES_MAX;
}

static uint32_t
run_length(const struct tracker *t, const struct tracker_blob *b, const struct tracker_entry *e,
           uint32_t first, int64_t now_ms)
{
    uint64_t bytes = shared_bytes(t, b, e->node, now_ms);
    if (b->wanting == 1 && b->remotes_count == 0)
        bytes = solo_bytes(t, b);
    uint32_t most = (uint32_t)(bytes / b->book.piece_bytes), count = 1;
    while (count < most && first + count < window_end(b, e) && free_to(b, e, first + count))
        count++;
    return count;
}

/* Nothing is free: the longest lease gives its tail away, once its holder has agreed. */
static void
split_longest(struct tracker *t, struct tracker_blob *b, unsigned node, int64_t now_ms,
              struct tracker_orders *orders)
{
    uint32_t end;
    struct lease *l = lease_longest(&b->book, node, now_ms, &end);
    if (l == NULL)
        return;
    t->sum.trims++;
    tracker_trim(t, b, l, end, now_ms, orders);
}

bool
tracker_grant(struct tracker *t, const struct node_id *node, const struct digest *digest,
              int64_t now_ms, struct wire_grant *ret, struct tracker_orders *orders)
{
    struct tracker_blob *b = tracker_find(t, digest);
    int at = tracker_node(t, node);
    struct tracker_entry *e = b != NULL && at >= 0 ? tracker_entry(b, (unsigned)at) : NULL;
    if (tuning.no_leases || t->epoch == 0 || e == NULL || e->idle == 0)
        return false;
    uint32_t first;
    bool races = tracker_race(t, b, e, now_ms, &first);
    if (!races && !may_fetch(t, b, e, now_ms))
        return false;
    bool busy = !races && tracker_fetches(t, (unsigned)at);
    uint32_t but = busy ? tracker_kept_for_racer(t, b, now_ms) : b->book.pieces;
    if (!races)
        first = free_for(t, b, e, but);
    if (first == b->book.pieces) {
        if (e->end == 0)
            split_longest(t, b, (unsigned)at, now_ms, orders);
        return false;
    }
    uint32_t count = races ? 1 : run_length(t, b, e, first, now_ms);
    bool upstream = may_upstream(b, e, now_ms);
    int source = tracker_choose(t, b, upstream, now_ms, (uint64_t)count * b->book.piece_bytes);
    if (source == TRACKER_NOWHERE)
        return false;
    uint64_t rate = t->nodes[at].wan_rate;
    struct lease *l = lease_grant(&b->book, (unsigned)at, first, count, rate, now_ms);
    if (l == NULL)
        return false;
    l->id = t->epoch << 16 | (++t->lease_ids & 0xffff);
    e->idle--;
    t->nodes[at].tried = true;
    b->granted_pieces += count;
    t->sum.grants++;
    *ret = (struct wire_grant){.digest = *digest,
                               .epoch = t->epoch,
                               .lease = l->id,
                               .first = first,
                               .count = count,
                               .source = WIRE_UPSTREAM,
                               .expiry_ms = (uint32_t)(l->expiry_ms - now_ms)};
    if (source == TRACKER_UPSTREAM)
        return true;
    const struct tracker_remote *r = &b->remotes[source];
    l->source = r->source;
    ret->source = WIRE_REMOTE_SITE;
    ret->node = r->node;
    ret->addr = r->addr;
    return true;
}

/* Of those that wait for a lease the best one that was not told lately, or NULL. */
static struct tracker_entry *
best_idle(const struct tracker *t, const struct tracker_blob *b, int64_t now_ms)
{
    struct tracker_entry *best = NULL;
    uint32_t lowest = lowest_free(t, b, NULL, b->book.pieces);
    uint8_t fetch[BITS_BYTES(TRACKER_NODES_MAX)];
    (void)fetchers(b, fetch);
    for (size_t i = 0; i < b->entries_count; i++) {
        struct tracker_entry *e = b->entries[i];
        uint32_t piece = e->end == 0 && e->counts ? lowest : free_for(t, b, e, b->book.pieces);
        if (e->idle > 0 && tracker_could_fetch(t, b, e, now_ms) && !bits_get(fetch, e->node) &&
            now_ms - e->nudged_ms >= TRACKER_NUDGE_MS && piece < b->book.pieces &&
            (best == NULL || goes_before(t, e, best, false)))
            best = e;
    }
    return best;
}

/* Those that were told of a place and have not come yet. */
static unsigned
expected(const struct tracker_blob *b, int64_t now_ms)
{
    unsigned n = 0;
    uint8_t fetch[BITS_BYTES(TRACKER_NODES_MAX)];
    (void)fetchers(b, fetch);
    for (size_t i = 0; i < b->entries_count; i++) {
        const struct tracker_entry *e = b->entries[i];
        n += now_ms - e->nudged_ms < TRACKER_NUDGE_MS && !bits_get(fetch, e->node);
    }
    return n;
}

static void
nudge(const struct tracker *t, const struct tracker_blob *b, struct tracker_entry *e,
      int64_t now_ms, struct tracker_orders *orders)
{
    if (orders->count == TRACKER_ORDERS_MAX)
        return;
    e->nudged_ms = now_ms;
    orders->list[orders->count++] = (struct tracker_order){
        .node = t->nodes[e->node].id, .nudge = true, .trim = {.digest = b->digest}};
}

void
tracker_nudge(struct tracker *t, const struct digest *digest, int64_t now_ms,
              struct tracker_orders *orders)
{
    struct tracker_blob *b = tracker_find(t, digest);
    if (t->epoch == 0 || b == NULL)
        return;
    unsigned limit = places(t, b, now_ms);
    unsigned active = fetching(b), others = fetching_others(t, b);
    if ((active > 0 && active + others >= limit) ||
        lowest_free(t, b, NULL, b->book.pieces) == b->book.pieces)
        return;
    active += expected(b, now_ms);
    for (; (active == 0 || active + others < limit) && orders->count < TRACKER_ORDERS_MAX;
         active++) {
        struct tracker_entry *e = best_idle(t, b, now_ms);
        if (e == NULL)
            return;
        nudge(t, b, e, now_ms, orders);
    }
}

/* ---- time ---- */

/* What a piece takes when all that fetch now share the WAN alike. */
static uint64_t
fair_ms(const struct tracker *t, const struct tracker_blob *b)
{
    uint64_t wan = t->climb.wan;
    return wan > 0 ? (uint64_t)b->book.piece_bytes * 1000 * t->climb.active / wan : 0;
}

/* How old a piece is before it can be too slow: some times what it takes when all that fetch now
 * share the WAN alike. */
static int64_t
patience_ms(const struct tracker *t, const struct tracker_blob *b)
{
    int64_t least_ms = climb_full(&t->climb) ? LEASE_REVOKE_FULL_MS : LEASE_REVOKE_MS;
    if (t->climb.wan == 0)
        return least_ms;
    int64_t wait_ms = (int64_t)(TRACKER_FAIR_F * fair_ms(t, b));
    return wait_ms > least_ms ? wait_ms : least_ms;
}

int64_t
tracker_time_ms(const struct tracker *t, const struct tracker_blob *b, const struct lease *l)
{
    int64_t most_ms = patience_ms(t, b);
    if (l->done_bytes >= TRACKER_SIGN_BYTES || t->climb.wan == 0)
        return most_ms;
    int64_t wait_ms = (int64_t)(TRACKER_FAIR_F * fair_ms(t, b));
    wait_ms = wait_ms > TRACKER_SIGN_MS ? wait_ms : TRACKER_SIGN_MS;
    return wait_ms < most_ms ? wait_ms : most_ms;
}

bool
tracker_is_faster(const struct tracker *t, const struct tracker_entry *e, const struct lease *l,
                  int64_t now_ms)
{
    /* Who was alone at work would share the WAN now. */
    unsigned share = LEASE_REVOKE_SLOW * (t->climb.active > 0 ? t->climb.active : 1);
    return e->node != l->node && t->nodes[e->node].wan_rate / share > lease_rate(l, now_ms);
}

/* Nobody else gets anything of this blob, all places or all pieces are taken, and somebody who
 * wants it is known to be much faster than the holder: when only slow nodes fetch, there is nobody
 * at work to compare them with. Who loses its lease is out for a while, so that on a WAN that is
 * slow for all the last holder keeps its own. */
static bool
holds_up(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
         int64_t now_ms)
{
    uint64_t rate = lease_rate(l, now_ms), left = lease_bytes(&b->book, l) - l->done_bytes;
    if (lease_waits(&b->book, l) || now_ms - l->piece_ms <= tracker_time_ms(t, b, l) ||
        left * 1000 <= rate * LEASE_REVOKE_MS ||
        (lowest_free(t, b, NULL, b->book.pieces) < b->book.pieces &&
         fetching(b) + fetching_others(t, b) < places(t, b, now_ms)))
        return false;
    for (size_t i = 0; i < b->entries_count; i++) {
        const struct tracker_entry *e = b->entries[i];
        if (tracker_could_fetch(t, b, e, now_ms) && tracker_is_faster(t, e, l, now_ms))
            return true;
    }
    return false;
}

/* What all bring together is no measure where only a hopeless one is at work, or one whose bytes
 * have ceased to come. */
bool
tracker_brings_soon(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
                    int64_t now_ms)
{
    uint64_t begun = l->done_bytes % b->book.piece_bytes;
    uint32_t piece = l->first + (uint32_t)(l->done_bytes / b->book.piece_bytes);
    if (l->source != 0 || begun == 0 || piece >= l->end)
        return false;
    uint64_t left = lease_piece_len(&b->book, piece) - begun;
    uint64_t age_ms = (uint64_t)(now_ms - l->piece_ms);
    return left * age_ms / begun <= TRACKER_SOON_F * (TRACKER_BEGIN_MS + fair_ms(t, b)) &&
           (age_ms <= TRACKER_SOON_F * TRACKER_BEGIN_MS ||
            !tracker_is_outdone(t, b, l, begun * 1000 / age_ms, now_ms));
}

/* Could anybody fetch for the others? */
static bool
has_better(const struct tracker *t, const struct tracker_blob *b, int64_t now_ms)
{
    for (size_t i = 0; i < b->entries_count; i++)
        if (tracker_could_fetch(t, b, b->entries[i], now_ms) &&
            !tracker_is_barren(b, b->entries[i], now_ms))
            return true;
    return false;
}

/* What the holder fetches the others would not get. What it took for itself is left to it. */
static bool
fetches_in_vain(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
                int64_t now_ms)
{
    const struct tracker_entry *e = tracker_entry(b, l->node);
    return e != NULL && l->id > DUTY_OWN_IDS && tracker_is_barren(b, e, now_ms) &&
           has_better(t, b, now_ms);
}

/* Its holder goes on announcing the blob and says nothing of the lease: the grant was lost, or the
 * node has begun anew. */
static bool
is_forgotten(const struct tracker_blob *b, const struct lease *l)
{
    const struct tracker_entry *e = tracker_entry(b, l->node);
    return e != NULL && e->announced_ms - l->reported_ms >= LEASE_SILENT_MS;
}

/* Its holder brought its share before, and others have something else to do: that it brings little
 * now is the queue of the WAN, in which a connection stands still for a second or two. */
static bool
is_trusted(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
           int64_t now_ms)
{
    uint64_t share = t->climb.wan / (t->climb.active > 0 ? t->climb.active : 1);
    return l->source == 0 && now_ms - l->piece_ms <= TRACKER_SOON_F * TRACKER_BEGIN_MS &&
           t->climb.wan > 0 && t->nodes[l->node].wan_rate * LEASE_REVOKE_SLOW >= share &&
           lowest_free(t, b, NULL, b->book.pieces) < b->book.pieces;
}

static enum lease_verdict
verdict(const struct tracker *t, const struct tracker_blob *b, struct lease *l, int64_t now_ms)
{
    enum lease_verdict v = lease_judge(&b->book, l, patience_ms(t, b), now_ms);
    if (v == LEASE_KEEP && holds_up(t, b, l, now_ms))
        v = LEASE_SLOW;
    return v;
}

/* The lease stays. The order to shorten it goes by datagram, and those are lost. */
static void
keep(const struct tracker *t, const struct tracker_blob *b, struct lease *l, uint32_t end,
     int64_t now_ms, struct tracker_orders *orders)
{
    end = end < l->end_wanted ? end : l->end_wanted;
    if (end < l->end && (end < l->end_wanted || now_ms - l->trimmed_ms >= LEASE_TRIM_MS))
        tracker_trim(t, b, l, end, now_ms, orders);
}

static void
judge(struct tracker *t, struct tracker_blob *b, struct lease *l, int64_t now_ms,
      struct tracker_orders *orders)
{
    bool lost = tracker_race_lost(t, b, l, now_ms);
    if (lost || fetches_in_vain(t, b, l, now_ms)) {
        tracker_order(t, b, l, 0, lost ? WIRE_DOUBLE : WIRE_DOUBTED, orders);
        t->sum.revocations++;
        tracker_lose(b, l, LEASE_REVOKED, now_ms);
        return;
    }
    static const uint8_t why[] = {
        [LEASE_SLOW] = WIRE_SLOW, [LEASE_SILENT] = WIRE_SILENT, [LEASE_OVERDUE] = WIRE_EXPIRED};
    enum lease_verdict v = verdict(t, b, l, now_ms);
    bool alone = v != LEASE_KEEP && !tracker_has_other(t, b, l->node, now_ms);
    if (v == LEASE_SILENT && alone && is_forgotten(b, l)) {
        t->sum.expiries++;
        tracker_lose(b, l, LEASE_EXPIRED, now_ms);
        return;
    }
    if (v == LEASE_KEEP || alone) {
        keep(t, b, l, l->end, now_ms, orders);
        return;
    }
    if ((v == LEASE_SLOW || v == LEASE_OVERDUE) &&
        (is_trusted(t, b, l, now_ms) || tracker_brings_soon(t, b, l, now_ms))) {
        uint32_t next = l->first + (uint32_t)(l->done_bytes / b->book.piece_bytes) + 1;
        keep(t, b, l, v == LEASE_OVERDUE ? next : l->end, now_ms, orders);
        return;
    }
    tracker_order(t, b, l, 0, (enum wire_trim_why)why[v], orders);
    if (v == LEASE_OVERDUE)
        t->sum.expiries++;
    else
        t->sum.revocations++;
    if (l->source == 0 || v == LEASE_SILENT)
        tracker_strike(&t->nodes[l->node], now_ms);
    else
        tracker_remote_failed(t, b, l->source, now_ms);
    tracker_lose(b, l, v == LEASE_OVERDUE ? LEASE_EXPIRED : LEASE_REVOKED, now_ms);
}

/* Who fetches now, and in pieces of what size. */
static void
measure(struct tracker *t, int64_t now_ms)
{
    unsigned active = 0;
    uint32_t piece_bytes = 1;
    for (size_t i = 0; i < t->blobs_count; i++) {
        const struct tracker_blob *b = t->blobs[i];
        unsigned mine = fetching(b);
        active += mine;
        if (mine > 0 && b->book.piece_bytes > piece_bytes)
            piece_bytes = b->book.piece_bytes;
    }
    t->climb.unproven = tracker_unproven(t, piece_bytes);
    climb_tick(&t->climb, now_ms, active, piece_bytes);
}

void
tracker_tick(struct tracker *t, int64_t now_ms, struct tracker_orders *orders)
{
    if (t->epoch != 0) {
        for (size_t i = 0; i < t->blobs_count; i++) {
            for (unsigned k = 0; k < t->blobs[i]->book.used; k++)
                if (lease_running(&t->blobs[i]->book.list[k]))
                    judge(t, t->blobs[i], &t->blobs[i]->book.list[k], now_ms, orders);
            struct tracker_entry *racer = tracker_racer(t, t->blobs[i], now_ms, orders);
            if (racer != NULL)
                nudge(t, t->blobs[i], racer, now_ms, orders);
            tracker_nudge(t, &t->blobs[i]->digest, now_ms, orders);
        }
        measure(t, now_ms);
    }
    tracker_forget_old(t, now_ms);
}

#define TICK_MS 50 /* a revocation may be that late */

int64_t
tracker_wake_ms(const struct tracker *t, int64_t now_ms)
{
    return t->blobs_count > 0 ? now_ms + TICK_MS : INT64_MAX;
}
