/* Joins the blobs of a node with its tracker, which may be itself. */
#include "base/mem.h"
#include "p2p/swarms_inside.h"

struct swarms *
swarms_new(uint64_t seed)
{
    struct swarms *x = mem_zalloc(sizeof *x);
    x->tracker = tracker_new();
    x->settled_ms = INT64_MIN;
    x->copy.settle_ms = INT64_MAX;
    rng_init(&x->rng, seed);
    return x;
}

void
swarms_free(struct swarms *x)
{
    if (x == NULL)
        return;
    for (size_t i = 0; i < x->count; i++)
        swarm_free(x->list[i].swarm);
    tracker_free(x->tracker);
    mem_free(x);
}

struct swarms_one *
swarms_one(struct swarms *x, const struct digest *digest)
{
    for (size_t i = 0; i < x->count; i++)
        if (digest_equal(swarm_digest(x->list[i].swarm), digest))
            return &x->list[i];
    return NULL;
}

struct swarm *
swarms_find(struct swarms *x, const struct digest *digest)
{
    struct swarms_one *o = swarms_one(x, digest);
    return o != NULL ? o->swarm : NULL;
}

static void
drop(struct swarms *x, struct swarms_one *o)
{
    swarm_free(o->swarm);
    *o = x->list[--x->count];
}

/* Open only to serve others: nothing of it is wanted here (any more). */
static bool
seeds(const struct swarms_one *o)
{
    return (swarm_has_flags(o->swarm) & WIRE_WANTS) == 0 || swarm_whole(o->swarm);
}

/* The blob that was asked for least lately among those that are only served goes; false: none. */
static bool
make_room(struct swarms *x)
{
    struct swarms_one *oldest = NULL;
    for (size_t i = 0; i < x->count; i++)
        if (seeds(&x->list[i]) && (oldest == NULL || x->list[i].used_ms < oldest->used_ms))
            oldest = &x->list[i];
    if (oldest != NULL)
        drop(x, oldest);
    return oldest != NULL;
}

const struct swarm *
swarms_each(const struct swarms *x, size_t i)
{
    return i < x->count ? x->list[i].swarm : NULL;
}

struct swarm *
swarms_open(struct swarms *x, const struct digest *digest, uint64_t size, uint8_t flags,
            int64_t now_ms)
{
    struct swarms_one *o = swarms_one(x, digest);
    if (o != NULL) {
        o->leaves = false;
        swarm_flags(o->swarm, flags);
        return o->swarm;
    }
    if (x->count == SWARMS_MAX && !make_room(x))
        return NULL;
    o = &x->list[x->count++];
    *o = (struct swarms_one){.swarm = swarm_new(digest, size, flags, now_ms), .used_ms = now_ms};
    return o->swarm;
}

void
swarms_leave(struct swarms *x, const struct digest *digest, int64_t now_ms)
{
    struct swarms_one *o = swarms_one(x, digest);
    if (o == NULL)
        return;
    o->used_ms = now_ms;
    if (swarm_whole(o->swarm)) {
        swarm_flags(o->swarm, WIRE_SERVES);
        return;
    }
    swarm_leave(o->swarm);
    o->leaves = true;
}

void
swarms_elected(struct swarms *x, const struct swarms_at *at, bool was_deputy)
{
    bool office = swarms_in_office(at);
    tracker_office(x->tracker, office ? at->elect->tracker.epoch : 0);
    if (office && !was_deputy && member_count(at->members, at->elect->site) > 0)
        x->learn_ms = at->now_ms + SWARMS_LEARN_MS;
    uint64_t spread_ms = (at->members->count + 1) * SWARMS_JITTER_MS;
    x->rejoin_ms = at->now_ms + (int64_t)rng_below(&x->rng, spread_ms < 500 ? spread_ms : 500);
}

void
swarms_gone(struct swarms *x, const struct node_id *node)
{
    tracker_gone(x->tracker, node);
    suspects_clear(&x->suspects, node);
    for (size_t i = 0; i < x->count; i++)
        swarm_gone(x->list[i].swarm, node);
}

bool
swarms_banned(const struct swarms *x, const struct node_id *node, int64_t now_ms)
{
    return bans_hold(&x->bans, node, now_ms);
}

void
swarms_ban(struct swarms *x, const struct node_id *node, int64_t until_ms)
{
    bans_set(&x->bans, node, until_ms);
    for (size_t i = 0; i < x->count; i++)
        swarm_ban(x->list[i].swarm, node);
    tracker_gone(x->tracker, node);
}

static bool
gave(const struct swarms *x, const struct node_id *node, int64_t since_ms)
{
    for (size_t i = 0; i < x->count; i++)
        if (swarm_gave(x->list[i].swarm, node, since_ms))
            return true;
    return false;
}

void
swarms_unmet(struct swarms *x, const struct node_id *node, int64_t now_ms)
{
    /* Who gave something may have lost a packet: its pieces will tell. */
    if (suspects_hold(&x->suspects, node, now_ms) || gave(x, node, now_ms - SWARMS_GAVE_MS))
        return;
    suspects_add(&x->suspects, node, now_ms, now_ms);
    for (size_t i = 0; i < x->count; i++) {
        swarm_forget(x->list[i].swarm, node);
        swarm_announce_now(x->list[i].swarm);
    }
}

/* ---- what is due ---- */

/* Room that what one blob needs now may take. */
static bool
has_room(const struct plan *p)
{
    return p->count + 8 < PLAN_ACTIONS_MAX && plan_room(p) >= WIRE_DATAGRAM_MAX;
}

/* What pieces hash to, before others hear that they are here. */
static void
tell_words(struct swarm *s, struct plan *p)
{
    for (int read = 1; read >= 0; read--) {
        struct wire_msg m;
        uint32_t at = 0;
        memset(&m, 0, sizeof m);
        m.type = WIRE_ATTEST;
        while (has_room(p) && swarm_take_words(s, read == 1, &at, &m.attest))
            plan_record(p, PLAN_SHOUT, NULL, &m);
    }
    if (has_room(p))
        swarm_told_words(s);
}

/* Who said wrong words is asked for nothing. */
static void
judge(struct swarms *x, const struct swarms_at *at, const struct swarm *s, struct plan *p)
{
    struct node_id node;
    size_t i = 0;
    while (has_room(p) && swarm_liar(s, &i, &node)) {
        if (bans_hold(&x->bans, &node, at->now_ms))
            continue;
        swarms_ban(x, &node, at->now_ms + BAN_MS);
        plan_add(p, PLAN_LIAR)->node = node;
    }
}

/* Who gives nothing of one blob, nor of any other, is not asked for any. */
static void
suspect(struct swarms *x, struct swarm *s, int64_t now_ms)
{
    struct node_id node;
    int64_t since_ms;
    size_t at = 0;
    while (swarm_suspect(s, &at, &node, &since_ms)) {
        if (gave(x, &node, since_ms - SWARM_DOUBT_MS))
            continue;
        suspects_add(&x->suspects, &node, since_ms, now_ms);
        for (size_t i = 0; i < x->count; i++)
            if (x->list[i].swarm != s)
                swarm_forget(x->list[i].swarm, &node);
    }
    for (size_t i = x->suspects.count; i-- > 0;)
        if (gave(x, &x->suspects.list[i].node, x->suspects.list[i].since_ms))
            suspects_clear(&x->suspects, &x->suspects.list[i].node);
}

/* In a large site what came from a peer is told to those that may ask this node for it. */
static void
tell_peers(const struct swarms_at *at, const struct swarm *s, const struct wire_msg *m,
           struct plan *p)
{
    struct plan_action *first = NULL;
    const struct node_id *id;
    size_t i = 0;
    while (has_room(p) && (id = swarm_lacking(s, &i)) != NULL) {
        const struct member *to = member_find(at->members, id);
        if (to == NULL)
            continue;
        if (first == NULL) {
            plan_record(p, PLAN_DATAGRAM, to, m);
            first = &p->actions[p->count - 1];
            continue;
        }
        struct plan_action *a = plan_to(p, PLAN_DATAGRAM, to);
        a->at = first->at;
        a->len = first->len;
    }
}

static void
tell_have(struct swarms *x, const struct swarms_at *at, struct swarm *s, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_HAVE};
    bool to_all;
    while (p->count + SWARM_PEERS_MAX + 8 < PLAN_ACTIONS_MAX && has_room(p) &&
           swarm_take_have(s, at->now_ms, &m.have, &to_all)) {
        tracker_have(x->tracker, at->self, &m.have);
        if (to_all)
            plan_record(p, PLAN_SHOUT, NULL, &m);
        else
            tell_peers(at, s, &m, p);
    }
}

/* Asks all who has it, unless so many others did that the tracker knows. */
static void
shout(const struct swarms *x, const struct swarms_at *at, struct swarm *s,
      const struct swarm_moment *moment, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_WHOHAS, .whohas = {*swarm_digest(s)}};
    if (!has_room(p) || !swarm_shout_due(s, moment))
        return;
    if (swarms_tracked(at->elect) && questions_suffice(&x->questions, swarm_digest(s), at->now_ms))
        return;
    if (!wire_is_request(swarm_has_flags(s)))
        m = (struct wire_msg){.type = WIRE_COPY_ASK, .copy_ask = {*swarm_digest(s), 1}};
    plan_record(p, PLAN_SHOUT, NULL, &m);
}

static void
settle_swarm(struct swarms *x, const struct swarms_at *at, struct swarms_one *o, struct plan *p)
{
    struct swarm *s = o->swarm;
    struct swarm_moment moment = {
        at->now_ms, at->now_ms - x->settled_ms, at->members, at->self, at->elect->site, &x->rng};
    struct swarm_get get;
    struct wire_msg m;
    shout(x, at, s, &moment, p);
    if (swarms_in_office(at) && swarm_announce_due(s, at->now_ms))
        swarms_take_own(x, at, s, p);
    if (has_room(p))
        swarms_ask_words(at, s, p);
    bool rests = swarms_copy_rests(x, s, at->now_ms);
    swarm_rest(s, rests);
    while (has_room(p) && !rests && swarm_next(s, &moment, &get)) {
        struct plan_action *a = plan_add(p, PLAN_GET);
        a->blob = *swarm_digest(s);
        a->get = get;
        a->node = get.node;
        a->addr = get.addr;
    }
    tell_words(s, p);
    tell_have(x, at, s, p);
    memset(&m, 0, sizeof m);
    m.type = WIRE_WINDOW;
    if (has_room(p) && swarm_take_window(s, at->now_ms, &m.window))
        plan_record(p, PLAN_SHOUT, NULL, &m);
    judge(x, at, s, p);
    suspect(x, s, at->now_ms);
}

/* Has its last word been said, or did nobody ask for it for long? */
static bool
is_over(const struct swarms_one *o, const struct swarms_at *at)
{
    if (o->leaves)
        return !swarms_tracked(at->elect) || swarm_announced_ms(o->swarm) > 0;
    return seeds(o) && at->now_ms - o->used_ms >= SWARMS_SEED_MS;
}

#define TRACK_MS 50

void
swarms_settle(struct swarms *x, const struct swarms_at *at, struct plan *p)
{
    if (x->settled_ms == INT64_MIN || swarms_tracked(at->elect))
        x->settled_ms = at->now_ms;
    tracker_company(x->tracker, at->members->count > 0);
    bool rejoin = x->rejoin_ms > 0 && at->now_ms >= x->rejoin_ms;
    if (rejoin)
        x->rejoin_ms = 0;
    for (size_t i = 0; i < x->count; i++) {
        if (rejoin)
            swarm_announce_now(x->list[i].swarm);
        settle_swarm(x, at, &x->list[i], p);
        if (!seeds(&x->list[i]))
            x->list[i].used_ms = at->now_ms;
    }
    if (!swarms_in_office(at) && swarms_tracked(at->elect))
        swarms_post(x, at, p);
    for (size_t i = x->count; i-- > 0;)
        if (is_over(&x->list[i], at))
            drop(x, &x->list[i]);
    if (swarms_in_office(at) && has_room(p))
        swarms_ask_sites(x, at, p);
    if (at->now_ms - x->tracked_ms >= TRACK_MS) {
        struct tracker_orders orders = {.count = 0};
        x->tracked_ms = at->now_ms;
        tracker_tick(x->tracker, at->now_ms, &orders);
        swarms_give_orders(x, at, &orders, p);
        swarms_preseed(x, at, p);
        swarms_copy_settle(x, at, p);
    }
}

int64_t
swarms_wake_ms(const struct swarms *x, int64_t now_ms)
{
    int64_t due_ms = tracker_wake_ms(x->tracker, now_ms);
    if (x->copy.settle_ms < due_ms)
        due_ms = x->copy.settle_ms;
    if (x->rejoin_ms > 0 && x->rejoin_ms < due_ms)
        due_ms = x->rejoin_ms;
    for (size_t i = 0; i < x->count; i++) {
        int64_t mine_ms = swarm_wake_ms(x->list[i].swarm);
        if (mine_ms < due_ms)
            due_ms = mine_ms;
    }
    return due_ms > now_ms ? due_ms : now_ms + 1;
}

const struct replicas *
swarms_replicas(const struct swarms *x)
{
    return tracker_replicas(x->tracker);
}

struct tracker_sum
swarms_sum(const struct swarms *x)
{
    return tracker_sum(x->tracker);
}
