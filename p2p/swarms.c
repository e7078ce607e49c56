/* Joins the blobs of a node with its tracker, which may be itself. */
#include "p2p/swarms.h"
#include "base/err.h"
#include "base/mem.h"

struct swarms {
    size_t count;
    struct swarm *swarms[SWARMS_MAX];
    struct tracker *tracker;
    int64_t learn_ms;   /* no grants before */
    int64_t rejoin_ms;  /* when all blobs are announced to a new tracker; 0: done */
    int64_t tracked_ms; /* last tick of the tracker's table */
    int64_t settled_ms; /* last time when there was a tracker */
    struct rng rng;
};

struct swarms *
swarms_new(uint64_t seed)
{
    struct swarms *x = mem_zalloc(sizeof *x);
    x->tracker = tracker_new();
    x->settled_ms = INT64_MIN;
    rng_init(&x->rng, seed);
    return x;
}

void
swarms_free(struct swarms *x)
{
    if (x == NULL)
        return;
    for (size_t i = 0; i < x->count; i++)
        swarm_free(x->swarms[i]);
    tracker_free(x->tracker);
    mem_free(x);
}

struct swarm *
swarms_find(struct swarms *x, const struct digest *digest)
{
    for (size_t i = 0; i < x->count; i++)
        if (digest_equal(swarm_digest(x->swarms[i]), digest))
            return x->swarms[i];
    return NULL;
}

struct swarm *
swarms_open(struct swarms *x, const struct digest *digest, uint64_t size, uint8_t flags,
            int64_t now_ms)
{
    struct swarm *s = swarms_find(x, digest);
    if (s != NULL) {
        swarm_flags(s, flags);
        return s;
    }
    if (x->count == SWARMS_MAX)
        return NULL;
    s = swarm_new(digest, size, flags, now_ms);
    x->swarms[x->count++] = s;
    return s;
}

void
swarms_close(struct swarms *x, const struct digest *digest)
{
    for (size_t i = 0; i < x->count; i++) {
        if (digest_equal(swarm_digest(x->swarms[i]), digest)) {
            swarm_free(x->swarms[i]);
            x->swarms[i] = x->swarms[--x->count];
            return;
        }
    }
}

static bool
has_tracker(const struct elect *e)
{
    return e->tracker.epoch > 0 && e->role != ELECT_CANDIDATE && !e->probed;
}

static bool
in_office(const struct swarms_at *at)
{
    return at->elect->role == ELECT_TRACKER;
}

void
swarms_elected(struct swarms *x, const struct swarms_at *at, bool was_deputy)
{
    bool office = in_office(at);
    tracker_office(x->tracker, office ? at->elect->tracker.epoch : 0);
    if (office && !was_deputy)
        x->learn_ms = at->now_ms + SWARMS_LEARN_MS;
    uint64_t spread_ms = (at->members->count + 1) * SWARMS_JITTER_MS;
    x->rejoin_ms = at->now_ms + (int64_t)rng_below(&x->rng, spread_ms < 500 ? spread_ms : 500);
}

void
swarms_gone(struct swarms *x, const struct node_id *node)
{
    tracker_gone(x->tracker, node);
    for (size_t i = 0; i < x->count; i++)
        swarm_gone(x->swarms[i], node);
}

/* ---- orders of the tracker ---- */

static void
obey(struct swarms *x, const struct wire_trim *t, struct plan *p)
{
    struct swarm *s = swarms_find(x, &t->digest);
    uint32_t get, end;
    if (s == NULL || !swarm_trimmed(s, t, &get, &end) || plan_full(p))
        return;
    struct plan_action *a = plan_add(p, PLAN_STOP);
    a->blob = t->digest;
    a->get.id = get;
    a->get.first = end;
}

static void
give_orders(struct swarms *x, const struct swarms_at *at, const struct tracker_orders *orders,
            struct plan *p)
{
    for (size_t i = 0; i < orders->count && !plan_full(p); i++) {
        const struct tracker_order *o = &orders->list[i];
        if (node_equal(&o->node, at->self)) {
            obey(x, &o->trim, p);
            continue;
        }
        const struct member *m = member_find(at->members, &o->node);
        struct wire_msg msg = {.type = WIRE_TRIM, .trim = o->trim};
        if (m != NULL)
            plan_record(p, PLAN_DATAGRAM, m, &msg);
    }
}

void
swarms_hear(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
            const struct wire_msg *m, struct plan *p)
{
    const struct member *who = member_find(at->members, from);
    if (m->type == WIRE_HAVE && who != NULL) {
        struct swarm *s = swarms_find(x, &m->have.digest);
        if (s != NULL)
            swarm_have(s, from, &who->addr, &m->have);
        tracker_have(x->tracker, from, &m->have);
    } else if (m->type == WIRE_TRIM && node_equal(from, &at->elect->tracker.id)) {
        obey(x, &m->trim, p);
    }
}

/* ---- announcements: to others ---- */

static void
write_announcement(struct swarm *s, int64_t now_ms, struct scribe *out)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_BLOB;
    swarm_announce(s, now_ms, &m.blob);
    wire_put(out, &m);
    m.type = WIRE_FETCHING;
    size_t at = 0;
    while (swarm_report(s, &at, &m.fetching))
        wire_put(out, &m);
    swarm_told(s);
}

static void
post(struct swarms *x, const struct swarms_at *at, struct swarm *s, struct plan *p)
{
    const struct member *to = member_find(at->members, &at->elect->tracker.id);
    const struct member *deputy = member_find(at->members, &at->elect->deputy);
    (void)x;
    if (to == NULL)
        return;
    struct scribe out;
    plan_write(p, WIRE_CONTROL_MAX, &out);
    write_announcement(s, at->now_ms, &out);
    struct plan_action *a = plan_to(p, PLAN_POST, to);
    plan_wrote(p, a, &out);
    if (deputy == NULL || plan_full(p))
        return;
    struct plan_action *copy = plan_to(p, PLAN_COPY, deputy);
    copy->at = a->at;
    copy->len = a->len;
}

/* ---- announcements: to this node as tracker ---- */

static void
take_own(struct swarms *x, const struct swarms_at *at, struct swarm *s, struct plan *p)
{
    struct tracker_orders orders = {.count = 0};
    struct wire_blob blob;
    struct wire_fetching fetching;
    struct wire_grant grant;
    struct wire_peer peer;
    swarm_announce(s, at->now_ms, &blob);
    tracker_blob(x->tracker, at->self, at->addr, &blob, at->now_ms, &orders);
    size_t i = 0;
    while (swarm_report(s, &i, &fetching))
        tracker_fetching(x->tracker, at->self, &fetching, at->now_ms, &orders);
    swarm_told(s);
    swarm_taken(s);
    while (at->now_ms >= x->learn_ms &&
           tracker_grant(x->tracker, at->self, &blob.digest, at->now_ms, &grant, &orders))
        swarm_granted(s, &grant);
    i = 0;
    while (tracker_peer(x->tracker, at->self, &blob.digest, at->now_ms, &i, &peer))
        swarm_peer(s, &peer);
    give_orders(x, at, &orders, p);
}

#define PEER_ROOM (WIRE_CONTROL_MAX - 4096) /* grants and trims come first and always fit */

/* Grants, then peers as far as there is room. */
static void
write_answer(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
             const struct digest *digest, struct tracker_orders *orders, struct scribe *out)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_TAKEN;
    m.taken.digest = *digest;
    wire_put(out, &m);
    memset(&m, 0, sizeof m);
    m.type = WIRE_GRANT;
    while (at->now_ms >= x->learn_ms &&
           tracker_grant(x->tracker, from, digest, at->now_ms, &m.grant, orders))
        wire_put(out, &m);
    memset(&m, 0, sizeof m);
    m.type = WIRE_PEER;
    size_t i = 0;
    while (scribe_len(out) < PEER_ROOM - WIRE_BITS_MAX &&
           tracker_peer(x->tracker, from, digest, at->now_ms, &i, &m.peer))
        wire_put(out, &m);
}

int
swarms_request(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
               const struct node_addr *addr, struct cursor *body, struct plan *p)
{
    struct tracker_orders orders = {.count = 0};
    struct wire_msg m;
    struct digest blob;
    bool any = false;
    int rc;
    while ((rc = wire_next(body, &m)) == 1) {
        if (m.type == WIRE_BLOB) {
            tracker_blob(x->tracker, from, addr, &m.blob, at->now_ms, &orders);
            blob = m.blob.digest;
            any = true;
        } else if (m.type == WIRE_FETCHING) {
            tracker_fetching(x->tracker, from, &m.fetching, at->now_ms, &orders);
        }
    }
    if (rc < 0)
        return rc;
    struct scribe out;
    plan_write(p, WIRE_CONTROL_MAX, &out);
    if (any && in_office(at))
        write_answer(x, at, from, &blob, &orders, &out);
    plan_wrote(p, plan_add(p, PLAN_REPLY), &out);
    give_orders(x, at, &orders, p);
    return 0;
}

int
swarms_reply(struct swarms *x, const struct swarms_at *at, struct cursor *body)
{
    struct wire_msg m;
    int rc;
    while ((rc = wire_next(body, &m)) == 1) {
        struct swarm *s;
        if (m.type == WIRE_GRANT && (s = swarms_find(x, &m.grant.digest)) != NULL)
            swarm_granted(s, &m.grant);
        else if (m.type == WIRE_TAKEN && (s = swarms_find(x, &m.taken.digest)) != NULL)
            swarm_taken(s);
        else if (m.type == WIRE_PEER && (s = swarms_find(x, &m.peer.digest)) != NULL &&
                 !node_equal(&m.peer.node, at->self))
            swarm_peer(s, &m.peer);
    }
    return rc;
}

/* ---- what is due ---- */

static void
settle_swarm(struct swarms *x, const struct swarms_at *at, struct swarm *s, struct plan *p)
{
    struct swarm_moment moment = {at->now_ms, at->now_ms - x->settled_ms, at->members, at->self,
                                  &x->rng};
    struct swarm_get get;
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    if (has_tracker(at->elect) && swarm_announce_due(s, at->now_ms)) {
        if (in_office(at))
            take_own(x, at, s, p);
        else
            post(x, at, s, p);
    }
    while (p->count + 4 < PLAN_ACTIONS_MAX && swarm_next(s, &moment, &get)) {
        struct plan_action *a = plan_add(p, PLAN_GET);
        a->blob = *swarm_digest(s);
        a->get = get;
        a->node = get.node;
        a->addr = get.addr;
    }
    m.type = WIRE_HAVE;
    while (p->count + 4 < PLAN_ACTIONS_MAX && swarm_take_have(s, at->now_ms, &m.have)) {
        tracker_have(x->tracker, at->self, &m.have);
        plan_record(p, PLAN_SHOUT, NULL, &m);
    }
}

#define TRACK_MS 50

void
swarms_settle(struct swarms *x, const struct swarms_at *at, struct plan *p)
{
    if (x->settled_ms == INT64_MIN || has_tracker(at->elect))
        x->settled_ms = at->now_ms;
    bool rejoin = x->rejoin_ms > 0 && at->now_ms >= x->rejoin_ms;
    if (rejoin)
        x->rejoin_ms = 0;
    for (size_t i = 0; i < x->count && p->count + 8 < PLAN_ACTIONS_MAX; i++) {
        if (rejoin)
            swarm_announce_now(x->swarms[i]);
        settle_swarm(x, at, x->swarms[i], p);
    }
    if (at->now_ms - x->tracked_ms >= TRACK_MS) {
        struct tracker_orders orders = {.count = 0};
        x->tracked_ms = at->now_ms;
        tracker_tick(x->tracker, at->now_ms, &orders);
        give_orders(x, at, &orders, p);
    }
}

int64_t
swarms_wake_ms(const struct swarms *x, int64_t now_ms)
{
    int64_t due_ms = tracker_wake_ms(x->tracker, now_ms);
    if (x->rejoin_ms > 0 && x->rejoin_ms < due_ms)
        due_ms = x->rejoin_ms;
    for (size_t i = 0; i < x->count; i++) {
        int64_t mine_ms = swarm_wake_ms(x->swarms[i]);
        if (mine_ms < due_ms)
            due_ms = mine_ms;
    }
    return due_ms > now_ms ? due_ms : now_ms + 1;
}

struct tracker_sum
swarms_sum(const struct swarms *x)
{
    return tracker_sum(x->tracker);
}
