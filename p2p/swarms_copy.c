/* Copies of what is popular: as tracker this node orders them, as any other it takes one.
 *
 * An order holds for COPY_ORDER_MS and is repeated, so that a copy stops by itself when the tracker
 * has gone or clients of the site want bytes. A copy is taken piece by piece, one request at a
 * time, and rests while a client of this node waits for bytes or any node of the site has just
 * opened a blob. */
#include "p2p/swarms_inside.h"

#define COPY_ORDER_MS 3000
#define COPY_REST_MS  2000 /* after another node has asked who has a blob */
#define COPY_LOOK_MS  50   /* between two looks of the tracker */
#define COPY_BEGIN_MS 5000 /* between an order and the blob in the swarm, at most */

/* ---- the node that takes one ---- */

static bool
has_clients(const struct swarms *x)
{
    for (size_t i = 0; i < x->count; i++) {
        const struct swarm *s = x->list[i].swarm;
        uint8_t flags = swarm_has_flags(s);
        if ((flags & (WIRE_WANTS | WIRE_CLIENT)) == (WIRE_WANTS | WIRE_CLIENT) && !swarm_sated(s))
            return true;
    }
    return false;
}

static bool
copies(const struct swarm *s)
{
    return s != NULL && (swarm_has_flags(s) & WIRE_FOR_COPY) != 0;
}

bool
swarms_copy_rests(const struct swarms *x, const struct swarm *s, int64_t now_ms)
{
    return copies(s) && (now_ms >= x->copy.until_ms || now_ms < x->copy.rest_ms || has_clients(x));
}

void
swarms_copy_disturb(struct swarms *x, int64_t now_ms)
{
    x->copy.rest_ms = now_ms + COPY_REST_MS;
}

/* Is the copy that was ordered last under way, or about to be? */
static bool
is_taking(struct swarms *x, int64_t now_ms)
{
    const struct swarm *s = swarms_find(x, &x->copy.digest);
    return copies(s) ? !swarm_whole(s) : now_ms < x->copy.begins_ms;
}

static enum wire_copy_state
take(struct swarms *x, const struct swarms_at *at, const struct wire_copy_take *said,
     struct plan *p)
{
    struct swarms_copy *c = &x->copy;
    bool same = digest_equal(&c->digest, &said->digest);
    const struct swarm *s = swarms_find(x, &said->digest);
    if (at->stored != NULL && at->stored(at->stored_arg, &said->digest) == said->size)
        return WIRE_COPY_HELD;
    if (same && (copies(s) || is_taking(x, at->now_ms))) {
        c->until_ms = at->now_ms + COPY_ORDER_MS;
        return WIRE_COPY_RUNS;
    }
    bool wanted = s != NULL && (swarm_has_flags(s) & WIRE_WANTS) != 0;
    if (is_taking(x, at->now_ms) || has_clients(x) || wanted || plan_full(p))
        return WIRE_COPY_BUSY;
    if (said->size > PIECE_BLOB_MAX || at->room == NULL ||
        !at->room(at->stored_arg, &said->digest, said->size, said->copies))
        return WIRE_COPY_REFUSED;
    c->digest = said->digest;
    c->until_ms = at->now_ms + COPY_ORDER_MS;
    c->begins_ms = at->now_ms + COPY_BEGIN_MS;
    struct plan_action *a = plan_add(p, PLAN_KEEP);
    a->blob = said->digest;
    a->size = said->size;
    return WIRE_COPY_RUNS;
}

static struct wire_copy_say
answer(struct swarms *x, const struct swarms_at *at, const struct wire_copy_take *said,
       struct plan *p)
{
    struct wire_copy_say say = {.digest = said->digest};
    say.state = (uint8_t)take(x, at, said, p);
    const struct swarm *s = swarms_find(x, &said->digest);
    if (s != NULL)
        say.held_bytes = (uint64_t)swarm_sum(s).held * piece_bytes(said->size);
    return say;
}

/* ---- the tracker ---- */

static void
give(struct swarms *x, const struct swarms_at *at, const struct replicas_act *act, struct plan *p)
{
    struct replicas *r = tracker_replicas(x->tracker);
    struct wire_msg m = {.type = WIRE_COPY_ASK, .copy_ask = {act->digest, 0}};
    if (act->what == REPLICAS_ASK) {
        plan_record(p, PLAN_SHOUT, NULL, &m);
        if (at->stored != NULL && at->stored(at->stored_arg, &act->digest) == act->size)
            replicas_held(r, &act->digest, at->self);
        return;
    }
    struct wire_copy_take take = {act->digest, act->size, (uint8_t)act->copies};
    const struct member *to = member_find(at->members, &act->node);
    if (node_equal(&act->node, at->self)) {
        struct wire_copy_say say = answer(x, at, &take, p);
        replicas_said(r, at->self, &say, at->now_ms);
    } else if (to != NULL) {
        m = (struct wire_msg){.type = WIRE_COPY_TAKE, .copy_take = take};
        plan_record(p, PLAN_DATAGRAM, to, &m);
    }
}

void
swarms_copy_settle(struct swarms *x, const struct swarms_at *at, struct plan *p)
{
    struct replicas_site site = {.now_ms = at->now_ms,
                                 .quiet = tracker_quiet(x->tracker),
                                 .site = at->elect->site,
                                 .members = at->members,
                                 .self = at->self,
                                 .free_mib = at->free_mib};
    struct replicas_act act;
    x->copy.settle_ms = INT64_MAX;
    if (!swarms_in_office(at))
        return;
    while (!plan_full(p) && replicas_next(tracker_replicas(x->tracker), &site, &act))
        give(x, at, &act, p);
    int64_t wake_ms = replicas_wake_ms(tracker_replicas(x->tracker));
    int64_t least_ms = at->now_ms + COPY_LOOK_MS;
    x->copy.settle_ms = wake_ms > least_ms ? wake_ms : least_ms;
}

unsigned
swarms_wanted(const struct swarms *x, const struct swarms_at *at, const struct digest *digest)
{
    unsigned nodes = (unsigned)member_count(at->members, at->elect->site) + 1;
    if (!swarms_in_office(at))
        return 0;
    return replicas_wanted(tracker_replicas(x->tracker), digest, at->now_ms, nodes);
}

/* ---- datagrams ---- */

/* How what is in the swarm answers. Where copies are counted only what is stored is one: what is
 * whole in memory goes with its pull. */
static enum swarm_tell
tell_how(const struct swarms_at *at, const struct wire_copy_ask *said, const struct swarm *s,
         uint64_t stored)
{
    if (said->takes == 0 && swarm_whole(s) && stored != swarm_size(s))
        return SWARM_TELL_BY_PIECES;
    return swarms_tracked(at->elect) ? SWARM_TELL_WHOLE : SWARM_TELL_PARTLY;
}

/* What is in the swarm answers as to a client's question. Else what is stored is said without a
 * place in the swarm, unless the asker will want pieces. */
static void
hear_ask(struct swarms *x, const struct swarms_at *at, const struct member *who,
         const struct wire_copy_ask *said, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_IHAVE};
    uint64_t stored = at->stored != NULL ? at->stored(at->stored_arg, &said->digest) : 0;
    struct swarms_one *o = swarms_one(x, &said->digest);
    if (o == NULL && said->takes == 1)
        o = swarms_open_seed(x, at, &said->digest);
    if (o != NULL && said->takes == 1)
        o->used_ms = at->now_ms;
    if (o == NULL || !swarm_tell_held(o->swarm, tell_how(at, said, o->swarm, stored), &m.ihave))
        m.ihave = (struct wire_ihave){.digest = said->digest, .size = stored};
    if (m.ihave.size > 0 && !plan_full(p))
        plan_record(p, PLAN_DATAGRAM, who, &m);
    unsigned wanted = swarms_wanted(x, at, &said->digest);
    m = (struct wire_msg){.type = WIRE_COPIES_WANTED,
                          .copies_wanted = {said->digest, (uint16_t)wanted}};
    if (wanted > 0 && said->takes == 0 && who->site == at->elect->site && !plan_full(p))
        plan_record(p, PLAN_DATAGRAM, who, &m);
}

bool
swarms_copy_hear(struct swarms *x, const struct swarms_at *at, const struct member *who,
                 const struct wire_msg *m, struct plan *p)
{
    struct wire_msg say = {.type = WIRE_COPY_SAY};
    bool from_tracker = node_equal(&who->id, &at->elect->tracker.id);
    if (m->type == WIRE_COPY_ASK) {
        hear_ask(x, at, who, &m->copy_ask, p);
    } else if (m->type == WIRE_COPY_TAKE && from_tracker && !plan_full(p)) {
        say.copy_say = answer(x, at, &m->copy_take, p);
        plan_record(p, PLAN_DATAGRAM, who, &say);
    } else if (m->type == WIRE_COPY_SAY) {
        replicas_said(tracker_replicas(x->tracker), &who->id, &m->copy_say, at->now_ms);
    } else {
        return false;
    }
    return true;
}
