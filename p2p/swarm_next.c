/* What a node asks for next, and where. */
#include "p2p/swarm_inside.h"
#include "p2p/tuning.h"
#include <string.h>

static struct swarm_run *
free_get(struct swarm *s)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++)
        if (s->gets[i].id == 0)
            return &s->gets[i];
    return NULL;
}

static void
start(struct swarm *s, struct swarm_run *g, int peer, uint32_t first, uint32_t end,
      struct swarm_get *ret)
{
    *g = (struct swarm_run){.id = ++s->get_ids, .peer = peer, .first = first, .end = end};
    for (uint32_t p = first; p < end; p++)
        if (!swarm_done(s, p))
            bits_set(s->asked, p);
    *ret = (struct swarm_get){.id = g->id,
                              .source = peer < 0 ? SWARM_WAN : SWARM_LAN,
                              .first = first,
                              .count = end - first};
    if (peer < 0)
        return;
    struct swarm_link *p = &s->peers[peer];
    p->requests++;
    s->lan_gets++;
    ret->node = p->id;
    ret->addr = p->addr;
    g->has_word = ret->has_word = attest_of(s->attest, first, ret->word) == ATTEST_WORD;
}

static bool
next_wan(struct swarm *s, int64_t now_ms, struct swarm_get *ret)
{
    struct duty *a;
    /* Of what is ready a sip is the first. */
    while ((a = duty_ready(&s->duties)) != NULL && (a->sip > 0 || s->wan_gets < DUTY_WAN_GETS)) {
        struct swarm_run *g = free_get(s);
        if (g == NULL)
            return false;
        /* Pieces that came by another way meanwhile are not fetched again. */
        while (a->first + 1 < a->end && swarm_done(s, a->first))
            a->first++;
        if (swarm_done(s, a->first)) {
            duty_needless(a);
            s->announced_ms -= SWARM_ANNOUNCE_MS;
            continue;
        }
        start(s, g, -1, a->first, a->sip > 0 ? a->first : a->end, ret);
        g->is_sip = a->sip > 0;
        *(g->is_sip ? &s->sips : &s->wan_gets) += 1;
        ret->count = a->end - a->first;
        ret->node = a->node;
        ret->addr = a->addr;
        ret->lease = a->lease;
        ret->sip = a->sip;
        duty_run(a, g->id, now_ms);
        return true;
    }
    return false;
}

/* A reader that waits for so long stands still. On a thin LAN a piece takes longer than that alone.
 */
static int64_t
stall_ms(const struct swarm *s)
{
    int64_t ms = (int64_t)(s->lan_took_us / 1000) * SWARM_STALL_PIECES;
    if (ms > SWARM_RESCUE_MS)
        return SWARM_RESCUE_MS;
    return ms > SWARM_STALL_MS ? ms : SWARM_STALL_MS;
}

static void
fill_pick(const struct swarm *s, int64_t now_ms, struct pick_pieces *ret)
{
    ret->pieces = s->pieces;
    ret->held = s->held;
    ret->asked = s->asked;
    ret->offered = s->offered;
    ret->avail = s->avail;
    ret->left = s->left;
    ret->idle = s->lan_gets == 0;
    ret->cursors_count = 0;
    for (size_t i = 0; i < PICK_CURSORS_MAX; i++) {
        const struct cursor_at *c = &s->cursors[i];
        if (c->used && c->pos < s->size)
            ret->cursors[ret->cursors_count++] = (struct pick_cursor){
                (uint32_t)(c->pos / s->piece_bytes), now_ms - c->moved_ms >= stall_ms(s)};
    }
}

static bool
shares(const struct swarm *s, const struct swarm_link *p)
{
    int64_t ms = (int64_t)(s->lan_took_us / 1000) * SWARM_SHARES_PIECES;
    return p->held > 0 && p->held < s->pieces &&
           s->now_ms - p->grew_ms < (ms > SWARM_SHARES_MS ? ms : SWARM_SHARES_MS);
}

/* Is the piece this node's to take from who has all, among those that have some of the blob? */
static bool
owns(const struct swarm *s, const struct node_id *self, uint32_t piece)
{
    uint64_t mine = pick_claim(self, piece);
    for (size_t i = 0; i < s->peers_count; i++)
        if (shares(s, &s->peers[i]) && pick_claim(&s->peers[i].id, piece) > mine)
            return false;
    return true;
}

/* A few nodes that have all are spared by the many that share: each piece should leave them once,
 * and come from those who took it after that. */
static void
divide(struct swarm *s, const struct node_id *self)
{
    unsigned whole = 0;
    if (!s->crowd_stale && s->now_ms - s->crowd_ms < SWARM_SHARES_MS)
        return;
    s->crowd_stale = false;
    s->crowd_ms = s->now_ms;
    s->crowd = 1;
    for (size_t i = 0; i < s->peers_count; i++) {
        whole += s->peers[i].held == s->pieces;
        s->crowd += shares(s, &s->peers[i]);
    }
    s->scarce = s->crowd >= (whole == 1 ? SWARM_CROWD_LONE : SWARM_CROWD * whole) ? whole : 0;
    memset(s->owned, 0, BITS_BYTES(s->pieces));
    for (uint32_t p = 0; p < s->pieces && s->scarce > 0; p++)
        if (owns(s, self, p))
            bits_set(s->owned, p);
}

/* In the end some have none of their own while others have several: whoever is free helps, though
 * a piece may leave twice, so that those who have all go on giving as fast as they can. Where few
 * share they leave nothing any more then: one of them may be slow, and the rest hangs on it. */
static void
fill_left(struct swarm *s)
{
    uint32_t own = 0, left = 0;
    memset(s->left, 0, BITS_BYTES(s->pieces));
    for (uint32_t p = 0; p < s->pieces && s->scarce > 0; p++) {
        if (s->avail[p] > s->scarce || bits_get(s->held, p) || bits_get(s->asked, p))
            continue;
        own += bits_get(s->owned, p);
        left += !bits_get(s->owned, p);
        if (!bits_get(s->owned, p))
            bits_set(s->left, p);
    }
    if (own == 0 && (left <= s->crowd || s->crowd < SWARM_CROWD * s->scarce))
        memset(s->left, 0, BITS_BYTES(s->pieces));
}

/* Is this a peer that has all, and shall give only what nobody else has? */
static bool
spares(const struct swarm *s, const struct swarm_link *p)
{
    return p->held == s->pieces && s->lan_gets > 0 && s->scarce > 0;
}

/* Should the piece come from somebody else than this peer? */
static bool
spared(const struct swarm *s, const struct swarm_link *p, uint32_t piece)
{
    return spares(s, p) && s->avail[piece] > s->scarce;
}

/* What can be asked for now: pieces of peers that have room. One that is spared gives only some of
 * what it has. */
static void
fill_offered(struct swarm *s, int64_t now_ms)
{
    size_t bytes = BITS_BYTES(s->pieces);
    memset(s->offered, 0, bytes);
    for (size_t i = 0; i < s->peers_count; i++) {
        const struct swarm_link *p = &s->peers[i];
        const struct pick_source as = {&p->rank, p->requests};
        if (p->held == 0 || !pick_room(&as, now_ms))
            continue;
        if (!spares(s, p))
            bits_add(s->offered, p->bits, bytes);
        for (uint32_t k = 0; spares(s, p) && k < s->pieces; k++)
            if (!spared(s, p, k))
                bits_set(s->offered, k);
    }
    for (size_t i = 0; i < bytes; i++)
        s->offered[i] &= s->worded[i];
    for (uint32_t k = 0; (s->first > 0 || s->end < s->pieces) && k < s->pieces; k++)
        if (!swarm_in_window(s, k))
            bits_clear(s->offered, k);
}

static int
source_of(struct swarm *s, uint32_t piece, int64_t now_ms, struct rng *r)
{
    struct pick_source sources[SWARM_PEERS_MAX];
    int index[SWARM_PEERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < s->peers_count; i++) {
        struct swarm_link *p = &s->peers[i];
        if (!bits_get(p->bits, piece) || spared(s, p, piece))
            continue;
        index[count] = (int)i;
        sources[count++] = (struct pick_source){&p->rank, p->requests};
    }
    int at = pick_source(sources, count, now_ms, r);
    return at < 0 ? -1 : index[at];
}

/* Has a peer something that is neither here nor asked for? */
static bool
has_news(const struct swarm *s, const struct swarm_link *p)
{
    for (size_t i = 0; i < BITS_BYTES(s->pieces); i++)
        if ((p->bits[i] & s->worded[i] & ~(s->held[i] | s->asked[i])) != 0)
            return true;
    return false;
}

/* When a peer that was busy may be asked again: then there may be something. Where pieces are left
 * to others, what can be asked for depends on how long readers wait, too. */
static int64_t
look_again_ms(const struct swarm *s, int64_t now_ms)
{
    int64_t first_ms = INT64_MAX;
    for (size_t i = 0; i < s->peers_count; i++) {
        int64_t ms = s->peers[i].rank.blocked_until_ms;
        if (ms > now_ms && ms < first_ms && has_news(s, &s->peers[i]))
            first_ms = ms;
    }
    return s->scarce > 0 ? 0 : first_ms;
}

/* What comes from the WAN is new to all, and must not share this node's port with too much that
 * many have. */
static unsigned
lan_gets_max(const struct swarm *s)
{
    if ((s->flags & WIRE_FOR_COPY) != 0)
        return SWARM_COPY_GETS;
    return s->wan_gets > 0 ? SWARM_LAN_BESIDE : SWARM_LAN_GETS;
}

static bool
next_lan(struct swarm *s, const struct swarm_moment *at, struct swarm_get *ret)
{
    int64_t now_ms = at->now_ms;
    struct rng *r = at->rng;
    struct swarm_run *g = free_get(s);
    if (g == NULL || s->lan_gets >= lan_gets_max(s) || now_ms < s->lan_ms)
        return false;
    struct pick_pieces p;
    divide(s, at->self);
    fill_left(s);
    fill_offered(s, now_ms);
    fill_pick(s, now_ms, &p);
    int64_t piece = pick_piece(&p, r);
    int peer = piece < 0 ? -1 : source_of(s, (uint32_t)piece, now_ms, r);
    s->lan_ms = piece < 0 ? look_again_ms(s, now_ms) : 0;
    if (peer < 0)
        return false;
    start(s, g, peer, (uint32_t)piece, (uint32_t)piece + 1, ret);
    return true;
}

/* How many of those that live come before this node for the run: its owner has rank 0. */
static unsigned
rank_for(const struct swarm *s, const struct swarm_moment *at, uint32_t run)
{
    size_t len = digest_len(&s->digest);
    const struct node_id *self = at->self;
    uint64_t mine = pick_weight(s->digest.bytes, len, run, self->bytes, sizeof self->bytes);
    unsigned rank = 0;
    for (size_t i = 0; i < at->members->count; i++) {
        const struct node_id *o = &at->members->list[i].id;
        if (at->members->list[i].site != at->site)
            continue;
        rank += pick_weight(s->digest.bytes, len, run, o->bytes, sizeof o->bytes) > mine;
    }
    return rank;
}

static bool
missing(const struct swarm *s, uint32_t piece)
{
    return s->avail[piece] == 0 && swarm_in_window(s, piece) && !bits_get(s->held, piece) &&
           !bits_get(s->asked, piece);
}

/* Without a tracker: the first run of ours of which nobody has anything. */
static bool
take_own_run(struct swarm *s, const struct swarm_moment *now)
{
    for (uint32_t first = 0; first < s->pieces; first += SWARM_RUN) {
        uint32_t at = first, end;
        while (at < s->pieces && at < first + SWARM_RUN && !missing(s, at))
            at++;
        if (at == s->pieces || at == first + SWARM_RUN || rank_for(s, now, first / SWARM_RUN) != 0)
            continue;
        for (end = at; end < s->pieces && end < first + SWARM_RUN && missing(s, end);)
            end++;
        return duty_take(&s->duties, at, end - at, false);
    }
    return false;
}

static int64_t
turn_ms(const struct swarm *s, const struct swarm_moment *at, uint32_t piece)
{
    int64_t ms = (int64_t)rank_for(s, at, piece) * SWARM_RESCUE_TURN_MS;
    return ms < SWARM_RESCUE_LAST_MS ? ms : SWARM_RESCUE_LAST_MS;
}

/* How long a reader waits for the piece before it is taken without a lease. */
static int64_t
patience_ms(const struct swarm *s, const struct swarm_moment *at, uint32_t piece)
{
    bool tracked = at->now_ms - s->taken_ms < SWARM_TRUST_MS + swarm_announce_every_ms(s);
    bool failed = s->lan_failed == piece && at->now_ms - s->lan_failed_ms < SWARM_RESCUE_MS;
    /* A piece that others have, and that does not come, the tracker takes for done. */
    return tracked && s->avail[piece] == 0 && !failed ? SWARM_PATIENT_MS : SWARM_RESCUE_MS;
}

/* Whose piece nobody had at the last decision lacks it until now: a peer that has it told since. */
static void
note_lacks(struct swarm *s)
{
    for (size_t i = 0; i < PICK_CURSORS_MAX; i++) {
        struct cursor_at *c = &s->cursors[i];
        if (!c->used)
            continue;
        if (c->lacks)
            c->lacked_ms = s->now_ms;
        c->lacks = swarm_lacks_at(s, c->pos);
    }
}

/* Since when a reader waits for the piece. One that a peer has at last comes from there now: those
 * that waited long for it must not all ask upstream at that moment. */
static int64_t
waits_since_ms(const struct swarm *s, const struct cursor_at *c)
{
    return swarm_lacks_at(s, c->pos) ? c->moved_ms : c->lacked_ms;
}

/* Where in its piece a sip for the reader ends; 0: a sip is no help. */
static uint32_t
sip_end(const struct swarm *s, const struct cursor_at *c)
{
    uint32_t at = (uint32_t)(c->pos % s->piece_bytes);
    bool sips = at < SWARM_SIPS_MAX * SWARM_SIP_BYTES &&
                swarm_piece_len(s, (uint32_t)(c->pos / s->piece_bytes)) > SWARM_SIP_PIECE;
    return sips ? at + SWARM_SIP_BYTES : 0;
}

/* Is the piece asked of the registry or another site, so that its bytes come one after the other?
 */
static bool
asked_wan(const struct swarm *s, uint32_t piece)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++) {
        const struct swarm_run *g = &s->gets[i];
        if (g->id != 0 && g->peer < 0 && !g->is_sip && piece >= g->first && piece < g->end)
            return true;
    }
    return false;
}

/* So long a reader waits for its first byte. The sips of a site begin one after the other: the
 * answers to all at once are more than a thin WAN has a queue for, and what TCP loses of a new
 * connection it repeats late. */
static int64_t
first_ms(const struct swarm *s, const struct node_id *self, uint32_t piece, bool can_sip)
{
    size_t len = digest_len(&s->digest);
    uint64_t at = pick_weight(s->digest.bytes, len, piece, self->bytes, sizeof self->bytes);
    return SWARM_FIRST_MS - (can_sip ? (int64_t)(at % SWARM_SPREAD_MS) : 0);
}

/* What a reader gets of its piece straight from upstream now. On a thin WAN a piece that the
 * tracker has fetched is on its way for long, and for much longer if each node reads all of it,
 * too. */
enum rescue { RESCUE_NOTHING, RESCUE_SIP, RESCUE_PIECE };
static enum rescue
rescue_for(const struct swarm *s, const struct swarm_moment *at, const struct cursor_at *c)
{
    uint32_t piece = (uint32_t)(c->pos / s->piece_bytes);
    int64_t waited_ms = at->now_ms - waits_since_ms(s, c);
    int64_t patient_ms = patience_ms(s, at, piece);
    bool can_sip = sip_end(s, c) > 0, asked = bits_get(s->asked, piece);
    /* Without any byte its client would give us up soon, and fetch all of it alone. It shall not
     * depend on one peer, which may be slow: of what is asked of it nothing counts before all of
     * the piece is here. */
    bool last = c->fresh && waited_ms >= SWARM_STALL_MS &&
                at->now_ms - c->moved_ms >= first_ms(s, at->self, piece, can_sip);
    if (asked && (!last || asked_wan(s, piece)))
        return RESCUE_NOTHING;
    /* Its turn takes a hash of each member. */
    bool due = !asked && waited_ms >= patient_ms && waited_ms >= patient_ms + turn_ms(s, at, piece);
    bool all = !can_sip || (due && patient_ms < SWARM_PATIENT_MS);
    if (all && !asked && (due || last) && s->wan_gets == 0)
        return RESCUE_PIECE;
    return can_sip && (last || (due && !all)) && !duty_sips(&s->duties) ? RESCUE_SIP
                                                                        : RESCUE_NOTHING;
}

/* A reader that stands still for long gets its piece straight from upstream. When all readers of
 * the site stand at one piece, one node after the other tries, not all at once. Beside a lease, or
 * what a peer is asked for, there is only a sip. */
static void
take_rescue(struct swarm *s, const struct swarm_moment *at)
{
    if (at->now_ms - s->rescue_ms < SWARM_RESCUE_MS)
        return;
    for (size_t i = 0; i < PICK_CURSORS_MAX; i++) {
        const struct cursor_at *c = &s->cursors[i];
        if (!c->used || c->pos >= s->size || at->now_ms - c->moved_ms < SWARM_RESCUE_MS)
            continue;
        uint32_t piece = (uint32_t)(c->pos / s->piece_bytes);
        enum rescue how = swarm_done(s, piece) ? RESCUE_NOTHING : rescue_for(s, at, c);
        if (how == RESCUE_NOTHING)
            continue;
        if (how == RESCUE_SIP ? duty_sip(&s->duties, piece, sip_end(s, c))
                              : duty_take(&s->duties, piece, 1, false))
            s->rescue_ms = at->now_ms;
        return;
    }
}

/* Nodes say different words of a piece, or who had it gave another one, or words are doubted: it is
 * read from upstream until most agree. Each node takes those for which it comes first, and when
 * nothing was found out for a while those for which it comes later. */
static bool
take_disputed(struct swarm *s, const struct swarm_moment *at)
{
    int64_t first_ms = INT64_MAX;
    uint32_t first = 0;
    for (uint32_t p = 0; p < s->pieces && s->disputes + s->lies > 0 && first_ms > 0; p++) {
        if (!swarm_is_disputed(s, p) || !swarm_in_window(s, p) || bits_get(s->held, p) ||
            bits_get(s->asked, p))
            continue;
        int64_t ms = turn_ms(s, at, p);
        if (ms < first_ms) {
            first_ms = ms;
            first = p;
        }
    }
    return first_ms <= at->now_ms - s->disputed_ms && duty_take(&s->duties, first, 1, true);
}

bool
swarm_next(struct swarm *s, const struct swarm_moment *at, struct swarm_get *ret)
{
    s->others = member_count(at->members, at->site);
    s->now_ms = at->now_ms;
    note_lacks(s);
    if (!swarm_wants(s))
        return false;
    bool may_sip = (s->flags & WIRE_MAY_FETCH) != 0 && free_get(s) != NULL;
    /* Between two leases: a node that always has the next one would else never come to it. */
    bool may_take = may_sip && s->wan_gets == 0;
    if (may_sip && !(may_take && take_disputed(s, at)))
        take_rescue(s, at);
    if (next_wan(s, at->now_ms, ret) || next_lan(s, at, ret))
        return true;
    return may_take && (tuning.no_leases || at->orphan_ms >= SWARM_ORPHAN_MS) &&
           take_own_run(s, at) && next_wan(s, at->now_ms, ret);
}
