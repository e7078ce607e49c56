/* Joins the rooms: reads messages, lets the rooms decide, writes their decisions as actions. */
#include "p2p/step.h"
#include "base/err.h"
#include "base/mem.h"

/* In a larger site the next beacon must do, soon: greetings would come in a storm. */
#define GREET_MAX 64

struct step {
    struct step_config config; /* fixed at new */
    struct elect elect;
    struct members members;
    struct swarms *swarms;
    uint16_t queue_ms; /* load, as beacons tell it */
    uint32_t free_mib;
    struct naming *naming;
    struct keeper *keeper;
    struct locate *locate; /* the question of a person, or NULL */
    struct traffics *traffics;
    int64_t reached_ms; /* last control request of another node; INT64_MIN: none */
    int64_t knocked_ms; /* last one that was made because of a KNOCK; INT64_MIN / 2: none */
};

struct step *
step_new(const struct step_config *c, int64_t now_ms)
{
    struct step *s = mem_zalloc(sizeof *s);
    s->config = *c;
    s->reached_ms = INT64_MIN;
    s->knocked_ms = INT64_MIN / 2;
    elect_init(&s->elect, &c->self, c->site, c->priority, c->seed, now_ms);
    member_init(&s->members, c->site);
    s->swarms = swarms_new(c->seed + 1);
    s->naming = naming_new(&c->self, &c->addr, c->seed + 2);
    s->keeper = keeper_new(&c->keeper);
    s->traffics = traffic_new();
    return s;
}

void
step_free(struct step *s)
{
    if (s == NULL)
        return;
    swarms_free(s->swarms);
    naming_free(s->naming);
    keeper_free(s->keeper);
    locate_free(s->locate);
    traffic_free(s->traffics);
    mem_free(s);
}

static struct swarms_at
at(const struct step *s, int64_t now_ms)
{
    return (struct swarms_at){.now_ms = now_ms,
                              .self = &s->config.self,
                              .addr = &s->config.addr,
                              .elect = &s->elect,
                              .members = &s->members,
                              .stored = s->config.stored,
                              .heard = s->config.heard,
                              .room = s->config.room,
                              .free_mib = s->free_mib,
                              .preseed = s->config.preseed,
                              .stored_arg = s->config.stored_arg};
}

const struct elect *
step_elect(const struct step *s)
{
    return &s->elect;
}

const struct members *
step_members(const struct step *s)
{
    return &s->members;
}

static void
beacon_of(const struct step *s, uint8_t flags, int64_t now_ms, struct wire_msg *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->type = WIRE_BEACON;
    elect_beacon(&s->elect, &s->members, flags, now_ms, &ret->beacon);
    ret->beacon.addr = s->config.addr;
    ret->beacon.queue_ms = s->queue_ms;
    ret->beacon.free_mib = s->free_mib;
}

static void
send_beacon(const struct step *s, struct plan *p, const struct member *to, uint8_t flags,
            int64_t now_ms)
{
    struct wire_msg m;
    beacon_of(s, flags, now_ms, &m);
    plan_record(p, to != NULL ? PLAN_DATAGRAM : PLAN_SHOUT, to, &m);
}

static void
carry_out(struct step *s, const struct elect_plan *e, const struct node_id *from, int64_t now_ms,
          bool was_deputy, struct plan *p)
{
    const struct member *to;
    struct swarms_at here = at(s, now_ms);
    if (e->event != ELECT_NOTHING)
        plan_add(p, PLAN_ELECTED)->event = e->event;
    if (e->changed) {
        swarms_elected(s->swarms, &here, was_deputy);
        naming_elected(s->naming, &here, was_deputy);
        keeper_elected(s->keeper, &here);
    }
    if (e->beacon)
        send_beacon(s, p, NULL, e->beacon_flags, now_ms);
    if (e->reply && (to = member_find(&s->members, from)) != NULL)
        send_beacon(s, p, to, 0, now_ms);
    if (e->probe && (to = member_find(&s->members, &e->probe_id)) != NULL) {
        struct wire_msg m = {.type = WIRE_PROBE, .probe = {(uint64_t)now_ms}};
        plan_record(p, PLAN_DATAGRAM, to, &m);
    }
}

static void
forget(struct step *s, const struct node_id *node)
{
    swarms_gone(s->swarms, node);
    naming_gone(s->naming, node);
    traffic_gone(s->traffics, node);
}

static void
settle(struct step *s, const struct swarms_at *here, struct plan *p)
{
    size_t i = p->count;
    swarms_settle(s->swarms, here, p);
    naming_settle(s->naming, here, p);
    keeper_settle(s->keeper, here, p);
    for (; i < p->count; i++)
        if (p->actions[i].kind == PLAN_POST)
            elect_asked(&s->elect, here->now_ms);
}

void
step_tick(struct step *s, int64_t now_ms, struct plan *p)
{
    struct node_id dead;
    while (member_bury(&s->members, now_ms, &dead))
        forget(s, &dead);
    bool deputy = node_equal(&s->elect.deputy, &s->config.self);
    struct elect_plan e = elect_tick(&s->elect, &s->members, now_ms);
    carry_out(s, &e, &node_none, now_ms, deputy, p);
    struct swarms_at here = at(s, now_ms);
    settle(s, &here, p);
}

int64_t
step_wake_ms(const struct step *s)
{
    int64_t elect_ms = elect_wake_ms(&s->elect);
    int64_t swarms_ms = swarms_wake_ms(s->swarms, s->elect.ticked_ms);
    int64_t naming_ms = naming_wake_ms(s->naming, s->elect.ticked_ms);
    int64_t keeper_ms = keeper_wake_ms(s->keeper, s->elect.ticked_ms);
    int64_t first_ms = elect_ms < swarms_ms ? elect_ms : swarms_ms;
    first_ms = first_ms < naming_ms ? first_ms : naming_ms;
    return first_ms < keeper_ms ? first_ms : keeper_ms;
}

/* In a large site a newcomer hears of its neighbours soon: that costs the others the same in a site
 * of any size. */
static bool
knows_soon(const struct step *s, const struct member *newcomer)
{
    return newcomer->site == s->elect.site &&
           pick_near(pick_hash(&s->config.self), pick_hash(&newcomer->id), s->members.home_count);
}

static void
hear_beacon(struct step *s, int64_t now_ms, const struct step_from *from,
            const struct wire_beacon *b, struct plan *p)
{
    struct member said = {.id = from->node,
                          .addr = b->addr,
                          .site = b->site,
                          .boot = from->boot,
                          .seq = from->seq,
                          .priority = b->priority,
                          .epoch = b->epoch,
                          .served = b->flags & (WIRE_SERVED | WIRE_UNSERVED),
                          .is_tracker = b->role == ELECT_TRACKER,
                          .every_ms = b->every_ms,
                          .queue_ms = b->queue_ms,
                          .free_mib = b->free_mib,
                          .banned = swarms_banned(s->swarms, &from->node, now_ms)};
    const struct member *before = member_find(&s->members, &from->node);
    said.group_ms = from->by_multicast ? now_ms : before != NULL ? before->group_ms : MEMBER_NEVER;
    bool newcomer = before == NULL || before->boot != from->boot;
    if (!member_heard(&s->members, &said, now_ms))
        return;
    /* It should know all nodes at once, not after a round of regular beacons, or its neighbours. */
    if (newcomer && s->members.count <= GREET_MAX)
        send_beacon(s, p, member_find(&s->members, &from->node), 0, now_ms);
    else if (newcomer && knows_soon(s, &said))
        elect_hasten(&s->elect, now_ms);
    bool deputy = node_equal(&s->elect.deputy, &s->config.self);
    struct elect_plan e = elect_hear(&s->elect, &s->members, &from->node, b, now_ms);
    carry_out(s, &e, &from->node, now_ms, deputy, p);
    if ((b->flags & WIRE_LEAVES) != 0) {
        forget(s, &from->node);
        member_forget(&s->members, &from->node);
    }
}

static void
hear_probe(struct step *s, int64_t now_ms, const struct step_from *from, uint64_t echo,
           struct plan *p)
{
    const struct member *to = member_find(&s->members, &from->node);
    if (to == NULL)
        return;
    struct wire_msg ack, beacon;
    memset(&ack, 0, sizeof ack);
    ack.type = WIRE_PROBE_ACK;
    ack.probe_ack.echo = echo;
    beacon_of(s, 0, now_ms, &beacon);
    struct scribe out;
    plan_write(p, WIRE_DATAGRAM_MAX, &out);
    wire_put(&out, &ack);
    wire_put(&out, &beacon);
    plan_wrote(p, plan_to(p, PLAN_DATAGRAM, to), &out);
}

/* A control request that wants nothing but to arrive. */
static void
hear_knock(struct step *s, int64_t now_ms, const struct step_from *from, uint64_t echo,
           struct plan *p)
{
    const struct member *to = member_find(&s->members, &from->node);
    struct wire_msg ack = {.type = WIRE_PROBE_ACK, .probe_ack = {echo}};
    if (to == NULL || now_ms - s->knocked_ms < STEP_KNOCK_MS || plan_full(p))
        return;
    s->knocked_ms = now_ms;
    plan_record(p, PLAN_COPY, to, &ack);
}

/* What is asked by somebody who looks at this site, or at others. */
static void
hear_traffic_ask(struct step *s, int64_t now_ms, const struct member *who, const struct wire_msg *m,
                 struct plan *p)
{
    struct traffic own = {0};
    bool same = who->site == s->elect.site;
    if (s->config.carried == NULL)
        return;
    s->config.carried(s->config.carried_arg, &own);
    if (m->type == WIRE_TRAFFIC_ASK && m->traffic_ask.site == s->elect.site)
        traffic_asked(s->traffics, who, &own, now_ms, p);
    else if (m->type == WIRE_SUMS_ASK && s->elect.role == ELECT_TRACKER && !same)
        traffic_sums_asked(s->traffics, &s->members, who, &own, now_ms, p);
    else if (m->type == WIRE_SUMS_ASK && s->elect.role == ELECT_TRACKER)
        traffic_relay(s->traffics, &s->members, who, now_ms, p);
}

/* Of a site its own nodes are believed, and what this site's tracker passes on. */
static bool
may_say_sums(const struct step *s, const struct member *who, uint64_t site)
{
    return site != s->elect.site &&
           (who->site == site || node_equal(&who->id, &s->elect.tracker.id));
}

static bool
is_of_traffic(enum wire_type type)
{
    return type == WIRE_TRAFFIC_ASK || type == WIRE_TRAFFIC || type == WIRE_FLOW ||
           type == WIRE_SUMS_ASK || type == WIRE_SITE_SUMS;
}

static void
hear_traffic(struct step *s, int64_t now_ms, const struct step_from *from, const struct wire_msg *m,
             struct plan *p)
{
    const struct member *who = member_find(&s->members, &from->node);
    if (who == NULL)
        return;
    if (m->type == WIRE_TRAFFIC)
        traffic_hear(s->traffics, &from->node, &m->traffic, now_ms);
    else if (m->type == WIRE_FLOW)
        traffic_hear_flow(s->traffics, &from->node, &m->flow);
    else if (m->type == WIRE_SITE_SUMS && may_say_sums(s, who, m->site_sums.site))
        traffic_site_hear(s->traffics, &m->site_sums, now_ms);
    else if (m->type == WIRE_TRAFFIC_ASK || m->type == WIRE_SUMS_ASK)
        hear_traffic_ask(s, now_ms, who, m, p);
}

/* Answers to the question of a person. */
static void
hear_located(struct step *s, const struct member *who, const struct wire_msg *m)
{
    struct locate_holder is = {who->id, who->addr, who->site == s->elect.site, 0, 0};
    if (m->type == WIRE_IHAVE)
        locate_hear(s->locate, is, &m->ihave);
    else if (m->type == WIRE_COPIES_WANTED && node_equal(&who->id, &s->elect.tracker.id))
        locate_hear_wanted(s->locate, &m->copies_wanted);
}

static void
hear_others(struct step *s, const struct swarms_at *here, const struct node_id *from,
            const struct wire_msg *m, struct plan *p)
{
    const struct member *who = member_find(&s->members, from);
    if (who != NULL && who->site == here->elect->site)
        keeper_hear(s->keeper, here, who, m, p);
    if (who != NULL && s->locate != NULL)
        hear_located(s, who, m);
    swarms_hear(s->swarms, here, from, m, p);
}

/* Room for all that one record may cause without asking for room itself: an event, a greeting and
 * three datagrams. What is behind such a record is as if it was lost. */
static bool
takes_more(const struct plan *p)
{
    return p->count + 6 <= PLAN_ACTIONS_MAX && plan_room(p) >= (size_t)2 * WIRE_DATAGRAM_MAX;
}

int
step_datagram(struct step *s, int64_t now_ms, const struct step_from *from, const uint8_t *body,
              size_t len, struct plan *p)
{
    struct swarms_at here = at(s, now_ms);
    struct cursor c;
    struct wire_msg m;
    int rc;
    cursor_init(&c, body, len);
    if (node_equal(&from->node, &s->config.self))
        return 0; /* our own multicast */
    while ((rc = wire_next(&c, &m)) == 1 && takes_more(p)) {
        if (m.type == WIRE_BEACON)
            hear_beacon(s, now_ms, from, &m.beacon, p);
        else if (m.type == WIRE_PROBE)
            hear_probe(s, now_ms, from, m.probe.echo, p);
        else if (m.type == WIRE_KNOCK)
            hear_knock(s, now_ms, from, m.knock.echo, p);
        else if (m.type == WIRE_NAME || m.type == WIRE_NAME_ASK || m.type == WIRE_WHONAMES ||
                 m.type == WIRE_NAME_TELL)
            naming_hear(s->naming, &here, &from->node, &m, p);
        else if (is_of_traffic(m.type))
            hear_traffic(s, now_ms, from, &m, p);
        else
            hear_others(s, &here, &from->node, &m, p);
    }
    settle(s, &here, p);
    return rc < 0 ? rc : 0;
}

void
step_resign(struct step *s, int64_t now_ms, bool leaves, struct plan *p)
{
    struct elect_plan e = elect_resign(&s->elect, &s->members, leaves, now_ms);
    carry_out(s, &e, &node_none, now_ms, false, p);
}

/* A fault of the body is told by who reads the other records. */
static void
take_tells(struct step *s, int64_t now_ms, const struct member *from, struct cursor c)
{
    struct wire_msg m;
    while (wire_next(&c, &m) == 1)
        if (m.type == WIRE_NAME_TELL)
            naming_told(s->naming, &from->id, &from->addr, &m.name_tell, now_ms);
}

int
step_request(struct step *s, int64_t now_ms, const struct step_from *from, const uint8_t *body,
             size_t len, struct plan *p)
{
    const struct member *m = member_find(&s->members, &from->node);
    struct swarms_at here = at(s, now_ms);
    struct cursor c;
    cursor_init(&c, body, len);
    if (m == NULL)
        return ERR_NOT_FOUND; /* it was not heard yet: it asks again */
    s->reached_ms = now_ms;
    elect_reached(&s->elect, now_ms);
    take_tells(s, now_ms, m, c);
    int rc = swarms_request(s->swarms, &here, &from->node, &m->addr, &c, p);
    settle(s, &here, p);
    return rc;
}

int
step_reply(struct step *s, int64_t now_ms, const uint8_t *body, size_t len, struct plan *p)
{
    struct swarms_at here = at(s, now_ms);
    struct cursor c;
    cursor_init(&c, body, len);
    elect_answered(&s->elect, now_ms);
    int rc = swarms_reply(s->swarms, &here, &c);
    settle(s, &here, p);
    return rc;
}

struct swarm *
step_open(struct step *s, int64_t now_ms, const struct digest *digest, uint64_t size, uint8_t flags)
{
    return swarms_open(s->swarms, digest, size, flags, now_ms);
}

void
step_leave(struct step *s, int64_t now_ms, const struct digest *digest)
{
    swarms_leave(s->swarms, digest, now_ms);
}

struct swarm *
step_swarm(struct step *s, const struct digest *digest)
{
    return swarms_find(s->swarms, digest);
}

static void
note_known(const struct step *s, struct locate_blob *to)
{
    struct locate_holder h = {0};
    const struct swarm *swarm = swarms_find(s->swarms, &to->digest);
    for (size_t i = 0; swarm != NULL && swarm_other(swarm, i, &h.node, &h.addr, &h.held); i++) {
        const struct member *who = member_find(&s->members, &h.node);
        h.same_site = who != NULL && who->site == s->elect.site;
        h.pieces = swarm_pieces(swarm);
        locate_note(to, &h);
    }
}

int
step_locate(struct step *s, int64_t now_ms, const struct digest *blobs, size_t count,
            struct plan *p)
{
    if (s->locate != NULL && now_ms - s->locate->since_ms < STEP_LOCATE_MS)
        return ERR_BUSY;
    struct swarms_at here = at(s, now_ms);
    locate_free(s->locate);
    s->locate = locate_new(blobs, count, now_ms);
    for (size_t i = 0; i < count; i++) {
        struct wire_msg m = {.type = WIRE_COPY_ASK, .copy_ask = {blobs[i], 0}};
        note_known(s, &s->locate->blobs[i]);
        s->locate->blobs[i].wanted = swarms_wanted(s->swarms, &here, &blobs[i]);
        if (s->members.count > 0 && !plan_full(p))
            plan_record(p, PLAN_SHOUT, NULL, &m);
    }
    return 0;
}

struct locate *
step_located(struct step *s)
{
    struct locate *l = s->locate;
    s->locate = NULL;
    return l;
}

void
step_look_traffic(struct step *s, int64_t now_ms, struct plan *p)
{
    const struct member *tracker =
        s->elect.role == ELECT_TRACKER ? NULL : member_find(&s->members, &s->elect.tracker.id);
    traffic_look(s->traffics, &s->members, tracker, now_ms, p);
}

const struct traffic *
step_traffic(const struct step *s, const struct node_id *node, int64_t now_ms, int64_t *ret_age_ms)
{
    return traffic_of(s->traffics, node, now_ms, ret_age_ms);
}

const struct traffic_site *
step_traffic_site(const struct step *s, size_t *at, int64_t now_ms)
{
    return traffic_site_next(s->traffics, at, now_ms);
}

unsigned
step_knock(struct step *s, int64_t now_ms, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_KNOCK, .knock = {(uint64_t)now_ms}};
    unsigned asked = 0;
    for (int same = 1; same >= 0; same--) {
        for (size_t i = 0; i < s->members.count && asked < STEP_KNOCKS && !plan_full(p); i++) {
            const struct member *to = &s->members.list[i];
            if ((to->site == s->elect.site) != (same == 1))
                continue;
            plan_record(p, PLAN_DATAGRAM, to, &m);
            asked++;
        }
    }
    return asked;
}

int64_t
step_reached_ms(const struct step *s)
{
    return s->reached_ms;
}

const struct swarm *
step_each(const struct step *s, size_t i)
{
    return swarms_each(s->swarms, i);
}

void
step_ban(struct step *s, int64_t now_ms, const struct node_id *node, int64_t wait_ms)
{
    swarms_ban(s->swarms, node, wait_ms < INT64_MAX - now_ms ? now_ms + wait_ms : INT64_MAX);
}

void
step_unmet(struct step *s, int64_t now_ms, const struct node_id *node)
{
    swarms_unmet(s->swarms, node, now_ms);
}

void
step_load(struct step *s, unsigned queue_ms, uint64_t free_bytes)
{
    uint64_t free_mib = free_bytes >> 20;
    s->queue_ms = queue_ms < UINT16_MAX ? (uint16_t)queue_ms : UINT16_MAX;
    s->free_mib = free_mib < UINT32_MAX ? (uint32_t)free_mib : UINT32_MAX;
    keeper_room(s->keeper, free_bytes);
}

void
step_part(struct step *s, int64_t now_ms, const struct digest *digest, uint64_t size,
          struct plan *p)
{
    struct swarms_at here = at(s, now_ms);
    keeper_want(s->keeper, &here, digest, size, p);
}

void
step_beacon(const struct step *s, int64_t now_ms, struct plan *p)
{
    send_beacon(s, p, NULL, 0, now_ms);
}

void
step_moved(struct step *s, const struct node_addr *addr)
{
    s->config.addr = *addr;
}

void
step_site(struct step *s, uint64_t site, int64_t now_ms)
{
    bool deputy = node_equal(&s->elect.deputy, &s->config.self);
    s->config.site = site;
    s->config.seed++;
    member_move(&s->members, site);
    elect_init(&s->elect, &s->config.self, site, s->config.priority, s->config.seed, now_ms);
    struct swarms_at here = at(s, now_ms);
    swarms_elected(s->swarms, &here, deputy);
}

bool
step_priority(struct step *s, uint32_t priority)
{
    if (s->elect.role == ELECT_TRACKER || s->elect.role == ELECT_CANDIDATE)
        return false;
    s->config.priority = s->elect.priority = priority;
    return true;
}

const struct replicas *
step_replicas(const struct step *s)
{
    return swarms_replicas(s->swarms);
}

struct tracker_sum
step_tracker_sum(const struct step *s)
{
    return swarms_sum(s->swarms);
}

void
step_name_ask(struct step *s, int64_t now_ms, const struct naming_question *q, struct plan *p)
{
    struct swarms_at here = at(s, now_ms);
    naming_ask(s->naming, &here, q, p);
}

void
step_name_tell(struct step *s, int64_t now_ms, const struct digest *key, enum names_state state,
               const struct names_value *value)
{
    naming_tell(s->naming, key, state, value, now_ms);
}

void
step_name_hold(struct step *s, int64_t now_ms, const struct names_own *own)
{
    naming_hold(s->naming, own, now_ms);
}

size_t
step_names(const struct step *s)
{
    return naming_count(s->naming);
}
