/* Tracker election; the rules stand in elect.h.
 *
 * Invariants:
 *  1. role changes only along the table of legal moves.
 *  2. TRACKER means that tracker.id is this node; nobody else follows itself.
 *  3. epoch_max never falls, and a won epoch is larger than every one heard of.
 *  4. Only the tracker's own word moves heard_ms; hearsay moves patience alone, and only to where
 *     somebody heard the tracker himself, so that hearsay cannot keep a dead tracker alive. */
#include "p2p/elect.h"

#define TO(role) (1u << ELECT_##role)
static const struct {
    const char *name;
    unsigned may_go;
} roles[ELECT_ROLES] = {
    [ELECT_MEMBER] = {"member", TO(DEPUTY) | TO(CANDIDATE)},
    [ELECT_DEPUTY] = {"deputy", TO(MEMBER) | TO(CANDIDATE) | TO(TRACKER)},
    [ELECT_CANDIDATE] = {"candidate", TO(MEMBER) | TO(TRACKER)},
    [ELECT_TRACKER] = {"tracker", TO(MEMBER)},
};

static const char *const events[ELECT_EVENTS] = {
#define X(NAME, text) text,
#include "p2p/elect.def"
#undef X
};

const char *
elect_role_name(enum elect_role role)
{
    must((unsigned)role < ELECT_ROLES);
    return roles[role].name;
}

const char *
elect_event_text(enum elect_event event)
{
    must((unsigned)event < ELECT_EVENTS);
    return events[event];
}

bool
elect_may_go(enum elect_role from, enum elect_role to)
{
    must((unsigned)from < ELECT_ROLES && (unsigned)to < ELECT_ROLES);
    return (roles[from].may_go >> (unsigned)to & 1) != 0;
}

/* What others say of a tracker does not tell whether it is lone. */
static bool
same_claim(const struct elect_claim *a, const struct elect_claim *b)
{
    return a->epoch == b->epoch && a->priority == b->priority && node_equal(&a->id, &b->id);
}

int
elect_claim_compare(const struct elect_claim *a, const struct elect_claim *b)
{
    if (a->lone != b->lone && a->epoch > 0 && b->epoch > 0 && !same_claim(a, b))
        return b->lone ? 1 : -1;
    if (a->epoch != b->epoch)
        return a->epoch > b->epoch ? 1 : -1;
    if (a->priority != b->priority)
        return a->priority > b->priority ? 1 : -1;
    return node_compare(&a->id, &b->id);
}

static void
go(struct elect *e, enum elect_role to)
{
    if (e->role == to)
        return;
    must(elect_may_go(e->role, to));
    e->role = to;
}

void
elect_init(struct elect *e, const struct node_id *self, uint64_t site, uint32_t priority,
           uint64_t seed, int64_t now_ms)
{
    *e = (struct elect){.self = *self,
                        .site = site,
                        .priority = priority,
                        .role = ELECT_MEMBER,
                        .heard_ms = ELECT_NEVER,
                        .since_ms = now_ms,
                        .patient_ms = now_ms + ELECT_SILENT_MS,
                        .hold_ms = now_ms,
                        .beacon_ms = now_ms,
                        .hearsay_ms = ELECT_NEVER,
                        .asked_ms = ELECT_NEVER,
                        .unanswered_ms = ELECT_NEVER,
                        .answered_ms = ELECT_NEVER,
                        .reached_ms = ELECT_NEVER,
                        .voted_ms = ELECT_NEVER,
                        .spare_ms = now_ms,
                        .unfit_ms = now_ms,
                        .ticked_ms = now_ms};
    rng_init(&e->rng, seed);
}

/* Somebody heard the tracker at that time: nothing is done about it for a while. */
static void
believe(struct elect *e, int64_t heard_ms)
{
    if (heard_ms + ELECT_SILENT_MS > e->patient_ms) {
        e->patient_ms = heard_ms + ELECT_SILENT_MS;
        e->probed = false;
    }
}

/* ---- votes on a tracker that does not answer ---- */

void
elect_asked(struct elect *e, int64_t now_ms)
{
    if (e->unanswered_ms == ELECT_NEVER || now_ms - e->asked_ms >= ELECT_ASKS_MS)
        e->unanswered_ms = now_ms;
    e->asked_ms = now_ms;
}

void
elect_answered(struct elect *e, int64_t now_ms)
{
    e->answered_ms = now_ms;
    e->unanswered_ms = ELECT_NEVER;
}

void
elect_reached(struct elect *e, int64_t now_ms)
{
    e->reached_ms = now_ms;
}

/* What this node says of the tracker's answers: a flag, or 0. */
static uint8_t
served(const struct elect *e, int64_t now_ms)
{
    if (e->role == ELECT_TRACKER || now_ms - e->asked_ms >= ELECT_ASKS_MS)
        return 0;
    if (now_ms - e->answered_ms < ELECT_UNSERVED_MS)
        return WIRE_SERVED;
    return now_ms - e->unanswered_ms >= ELECT_UNSERVED_MS ? WIRE_UNSERVED : 0;
}

static bool
voted_out(const struct elect *e, const struct members *m, int64_t now_ms)
{
    uint8_t own = served(e, now_ms);
    unsigned with = own == WIRE_SERVED, without = own == WIRE_UNSERVED;
    if (now_ms < e->spare_ms)
        return false;
    for (size_t i = 0; i < m->count; i++) {
        const struct member *o = &m->list[i];
        bool counts = o->site == e->site && o->epoch == e->tracker.epoch && !o->is_tracker;
        with += counts && o->served == WIRE_SERVED;
        without += counts && o->served == WIRE_UNSERVED;
    }
    return without >= 2 && without > with;
}

/* Somebody was voted out. */
static void
pause_votes(struct elect *e, int64_t now_ms)
{
    bool again = e->pause_ms > 0 && now_ms - e->spare_ms < ELECT_UNFIT_MS;
    e->pause_ms = again ? 2 * e->pause_ms : ELECT_SPARE_MS;
    e->pause_ms = e->pause_ms < ELECT_UNFIT_MS ? e->pause_ms : ELECT_UNFIT_MS;
    e->spare_ms = now_ms + e->pause_ms;
}

static uint32_t
priority_of(const struct elect *e, int64_t now_ms)
{
    return now_ms < e->unfit_ms ? 0 : e->priority;
}

/* ---- rules ---- */

/* Does this node have a tracker that it need not doubt? */
static bool
settled(const struct elect *e, int64_t now_ms)
{
    return e->role == ELECT_TRACKER || (e->tracker.epoch > 0 && e->role != ELECT_CANDIDATE &&
                                        !e->probed && now_ms < e->patient_ms);
}

static void
forget_tracker(struct elect *e, int64_t patient_ms)
{
    go(e, ELECT_MEMBER);
    e->tracker = (struct elect_claim){0};
    e->deputy = node_none;
    e->heard_ms = ELECT_NEVER;
    e->patient_ms = patient_ms;
    e->probed = false;
    e->asked_ms = e->unanswered_ms = e->answered_ms = ELECT_NEVER;
}

static void
follow(struct elect *e, const struct elect_claim *claim, int64_t evidence_ms, int64_t now_ms,
       struct elect_plan *p)
{
    if (e->role == ELECT_TRACKER || elect_claim_compare(claim, &e->tracker) != 0) {
        p->event = e->role == ELECT_TRACKER ? ELECT_YIELDS : ELECT_FOLLOWS;
        p->changed = true;
        forget_tracker(e, now_ms);
        e->tracker = *claim;
        e->since_ms = now_ms;
    }
    if (e->role == ELECT_CANDIDATE)
        go(e, ELECT_MEMBER);
    e->patient_ms = evidence_ms + ELECT_SILENT_MS;
    e->probed = false;
}

static void
win(struct elect *e, int64_t now_ms, struct elect_plan *p)
{
    must(e->epoch_max < UINT32_MAX);
    bool lone = e->role == ELECT_CANDIDATE; /* a deputy was told, or found a liar */
    if (e->role == ELECT_MEMBER)
        go(e, ELECT_DEPUTY);
    go(e, ELECT_TRACKER);
    e->tracker = (struct elect_claim){++e->epoch_max, priority_of(e, now_ms), e->self, lone};
    e->deputy = node_none;
    e->since_ms = now_ms;
    e->heard_ms = now_ms;
    e->probed = false;
    e->beacon_ms = now_ms + ELECT_TRACKER_BEACON_MS;
    p->event = ELECT_WON;
    p->beacon = true;
    p->changed = true;
}

static void
stand(struct elect *e, const struct members *m, int64_t now_ms, struct elect_plan *p)
{
    unsigned rank = member_rank(m, e->site, priority_of(e, now_ms), &e->self, &e->tracker.id);
    go(e, ELECT_CANDIDATE);
    e->stand_ms = now_ms + (int64_t)rank * ELECT_STEP_MS;
    p->event = ELECT_RUNS;
    p->beacon = true;
}

static void
tick_follower(struct elect *e, const struct members *m, int64_t now_ms, struct elect_plan *p)
{
    if (now_ms < e->patient_ms || now_ms < e->hold_ms)
        return;
    if (e->tracker.epoch > 0 && !e->probed) {
        e->probed = true;
        e->patient_ms = now_ms + ELECT_PROBE_MS;
        p->event = ELECT_SUSPECTS;
        p->probe = true;
        p->probe_id = e->tracker.id;
        return;
    }
    stand(e, m, now_ms, p);
}

/* Neither stands nor stays in office. */
static void
stand_back(struct elect *e, const struct members *m, int64_t now_ms, struct elect_plan *p)
{
    if (e->role == ELECT_TRACKER) {
        *p = elect_resign(e, m, false, now_ms);
        p->event = ELECT_DOUBTS;
    } else if (e->role == ELECT_CANDIDATE) {
        go(e, ELECT_MEMBER);
        p->event = ELECT_DOUBTS;
    }
    e->hold_ms = now_ms + ELECT_HOLD_MS;
}

static void
shun_tracker(struct elect *e, int64_t now_ms, struct elect_plan *p)
{
    bool deputy = e->role == ELECT_DEPUTY;
    p->event = ELECT_SHUNS;
    p->changed = true;
    forget_tracker(e, now_ms + ELECT_YIELD_MS);
    if (deputy && now_ms >= e->hold_ms)
        win(e, now_ms, p);
}

static void
tick_role(struct elect *e, const struct members *m, int64_t now_ms, struct elect_plan *p)
{
    switch (e->role) {
    case ELECT_MEMBER:
    case ELECT_DEPUTY:
        tick_follower(e, m, now_ms, p);
        break;
    case ELECT_CANDIDATE:
        if (now_ms >= e->stand_ms)
            win(e, now_ms, p);
        break;
    case ELECT_TRACKER:
    case ELECT_ROLES:
        break;
    }
}

/* Members of a large site are heard more seldom, but for those who matter for elections. */
static unsigned
beacon_every_ms(const struct elect *e, const struct members *m)
{
    if (e->role == ELECT_TRACKER)
        return ELECT_TRACKER_BEACON_MS;
    return e->role == ELECT_MEMBER ? member_beacon_ms(m) : MEMBER_BEACON_MS;
}

void
elect_hasten(struct elect *e, int64_t now_ms)
{
    if (e->beacon_ms > now_ms + ELECT_HASTE_MS)
        e->beacon_ms = now_ms + (int64_t)rng_below(&e->rng, ELECT_HASTE_MS);
}

/* What most say of the tracker is heard in beacons: it is looked at as often as they come. */
static void
take_over(struct elect *e, const struct members *m, int64_t now_ms, struct elect_plan *p)
{
    if (e->role == ELECT_DEPUTY && now_ms >= e->hold_ms &&
        now_ms - e->reached_ms < ELECT_UNSERVED_MS && voted_out(e, m, now_ms)) {
        pause_votes(e, now_ms);
        e->voted_ms = now_ms;
        win(e, now_ms, p);
    }
}

struct elect_plan
elect_tick(struct elect *e, const struct members *m, int64_t now_ms)
{
    struct elect_plan p = {.event = ELECT_NOTHING};
    must(now_ms >= e->ticked_ms);
    /* A node that slept heard nobody: it listens before it judges. */
    if (now_ms - e->ticked_ms >= ELECT_SILENT_MS && e->role != ELECT_TRACKER &&
        e->beacon_ms <= now_ms - ELECT_SILENT_MS) {
        go(e, ELECT_MEMBER);
        e->patient_ms = now_ms + ELECT_SILENT_MS;
        e->probed = false;
    }
    e->ticked_ms = now_ms;
    if (member_doubts_itself(m, e->site)) {
        stand_back(e, m, now_ms, &p);
    } else if (member_shunned(m, &e->tracker.id)) {
        shun_tracker(e, now_ms, &p);
    }
    tick_role(e, m, now_ms, &p);
    if (now_ms >= e->beacon_ms) {
        p.beacon = true;
        take_over(e, m, now_ms, &p);
        int64_t every_ms = beacon_every_ms(e, m);
        e->beacon_ms = now_ms + (e->role == ELECT_TRACKER
                                     ? every_ms
                                     : rng_jitter(&e->rng, every_ms, ELECT_JITTER_PERCENT));
    }
    return p;
}

int64_t
elect_wake_ms(const struct elect *e)
{
    int64_t due = e->beacon_ms;
    int64_t role_ms = INT64_MAX;
    if (e->role == ELECT_CANDIDATE)
        role_ms = e->stand_ms;
    else if (e->role != ELECT_TRACKER)
        role_ms = e->patient_ms > e->hold_ms ? e->patient_ms : e->hold_ms;
    return role_ms < due ? role_ms : due;
}

/* Should a tracker that is lone hear of this node that it is followed? */
static bool
replies(struct elect *e, const struct members *m)
{
    return m->home_count <= ELECT_REPLIES ||
           rng_below(&e->rng, (uint32_t)m->home_count) < ELECT_REPLIES;
}

static void
hear_tracker(struct elect *e, const struct members *m, const struct elect_claim *claim,
             const struct wire_beacon *b, int64_t now_ms, struct elect_plan *p)
{
    int order = elect_claim_compare(claim, &e->tracker);
    if (order < 0 && settled(e, now_ms)) {
        p->reply = e->role == ELECT_TRACKER;
        return;
    }
    bool first = order > 0 || (order == 0 && e->heard_ms == ELECT_NEVER); /* by hearsay before */
    if (first && (b->flags & WIRE_VOTED) != 0) {
        pause_votes(e, now_ms);
        if (e->role == ELECT_TRACKER)
            e->unfit_ms = now_ms + ELECT_UNFIT_MS;
    }
    follow(e, claim, now_ms, now_ms, p);
    e->tracker.lone = claim->lone;
    p->reply = claim->lone && p->changed && replies(e, m);
    e->heard_ms = now_ms;
    e->deputy = b->deputy;
    go(e, node_equal(&b->deputy, &e->self) ? ELECT_DEPUTY : ELECT_MEMBER);
}

/* What another node says of its tracker. */
static void
hear_of_tracker(struct elect *e, const struct elect_claim *claim, int64_t evidence_ms,
                int64_t now_ms, struct elect_plan *p)
{
    if (now_ms - evidence_ms >= ELECT_SILENT_MS || node_equal(&claim->id, &e->self))
        return;
    int order = elect_claim_compare(claim, &e->tracker);
    if (order == 0 && e->role != ELECT_CANDIDATE) {
        believe(e, evidence_ms);
    } else if (!settled(e, now_ms)) {
        follow(e, claim, evidence_ms, now_ms, p);
    }
    /* A larger claim than ours counts from its owner's mouth only, and so does a first word. */
    if ((order > 0 || e->heard_ms == ELECT_NEVER) && e->role != ELECT_CANDIDATE &&
        now_ms - e->hearsay_ms >= ELECT_TRACKER_BEACON_MS) {
        e->hearsay_ms = now_ms;
        p->probe = true;
        p->probe_id = claim->id;
    }
}

static void
hear_candidate(struct elect *e, const struct node_id *from, uint32_t priority, int64_t now_ms,
               struct elect_plan *p)
{
    if (e->role == ELECT_CANDIDATE &&
        member_better(priority, from, priority_of(e, now_ms), &e->self)) {
        p->event = ELECT_STOPS;
        go(e, ELECT_MEMBER);
        e->patient_ms = now_ms + ELECT_YIELD_MS;
        return;
    }
    /* It should know that there is a tracker, or a better candidate. */
    p->reply = e->role == ELECT_TRACKER || e->role == ELECT_CANDIDATE ||
               now_ms - e->heard_ms < ELECT_SILENT_MS;
}

/* The node that we follow is no tracker any more: it resigned, or it started anew. */
static void
hear_abdication(struct elect *e, const struct wire_beacon *b, int64_t now_ms, struct elect_plan *p)
{
    bool mine = node_equal(&b->deputy, &e->self);
    p->event = ELECT_LOST;
    forget_tracker(e, now_ms + ELECT_YIELD_MS);
    if ((b->flags & (WIRE_RESIGNS | WIRE_LEAVES)) != 0 && mine && now_ms >= e->hold_ms)
        win(e, now_ms, p);
}

struct elect_plan
elect_hear(struct elect *e, const struct members *m, const struct node_id *from,
           const struct wire_beacon *b, int64_t now_ms)
{
    struct elect_plan p = {.event = ELECT_NOTHING};
    must(!node_equal(from, &e->self));
    if (b->site != e->site)
        return p;
    if ((e->epoch_max > 0 && b->epoch > e->epoch_max &&
         b->epoch - e->epoch_max > ELECT_EPOCH_JUMP) ||
        b->epoch > UINT32_MAX - ELECT_EPOCH_JUMP) {
        p.event = ELECT_REFUSES;
        return p;
    }
    if (b->epoch > e->epoch_max)
        e->epoch_max = b->epoch;

    if (member_shunned(m, &b->tracker) || member_shunned(m, from))
        return p;
    bool itself = node_equal(from, &b->tracker);
    struct elect_claim claim = {b->epoch, b->tracker_priority, b->tracker,
                                itself && (b->flags & WIRE_LONE) != 0};
    if (e->role == ELECT_TRACKER && !itself && same_claim(&claim, &e->tracker))
        e->tracker.lone = false;
    if (b->role == ELECT_TRACKER && itself) {
        hear_tracker(e, m, &claim, b, now_ms, &p);
        return p;
    }
    if (e->tracker.epoch > 0 && node_equal(from, &e->tracker.id))
        hear_abdication(e, b, now_ms, &p);
    if (b->epoch > 0 && !itself && b->tracker_age_ms != WIRE_AGE_NEVER)
        hear_of_tracker(e, &claim, now_ms - b->tracker_age_ms, now_ms, &p);
    if (b->role == ELECT_CANDIDATE)
        hear_candidate(e, from, b->priority, now_ms, &p);
    return p;
}

struct elect_plan
elect_resign(struct elect *e, const struct members *m, bool leaves, int64_t now_ms)
{
    struct elect_plan p = {.event = ELECT_NOTHING};
    if (e->role == ELECT_TRACKER) {
        if (!leaves && member_best(m, e->site) == NULL) {
            p.event = ELECT_STAYS;
            return p;
        }
        p.event = ELECT_RESIGNS;
        p.beacon_flags = WIRE_RESIGNS;
        p.changed = true;
        forget_tracker(e, now_ms + ELECT_HOLD_MS);
        e->hold_ms = now_ms + ELECT_HOLD_MS;
    }
    if (leaves)
        p.beacon_flags |= WIRE_LEAVES;
    p.beacon = p.beacon_flags != 0;
    return p;
}

/* How long others have to wait for the next one at most. One that is said between two regular ones,
 * by a candidate or to a newcomer, does not hasten the next. */
static uint16_t
promise_ms(const struct elect *e, const struct members *m, int64_t now_ms)
{
    int64_t every_ms = (int64_t)beacon_every_ms(e, m) * (100 + ELECT_JITTER_PERCENT) / 100;
    int64_t next_ms = e->beacon_ms - now_ms;
    return (uint16_t)(next_ms > every_ms ? next_ms : every_ms);
}

void
elect_beacon(const struct elect *e, const struct members *m, uint8_t flags, int64_t now_ms,
             struct wire_beacon *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->site = e->site;
    ret->role = (uint8_t)e->role;
    ret->flags = flags | served(e, now_ms);
    ret->priority = priority_of(e, now_ms);
    ret->every_ms = promise_ms(e, m, now_ms);
    ret->epoch = e->tracker.epoch;
    ret->tracker = e->tracker.id;
    ret->tracker_priority = e->tracker.priority;
    int64_t age_ms = now_ms - e->heard_ms;
    ret->tracker_age_ms = age_ms < WIRE_AGE_NEVER ? (uint16_t)age_ms : WIRE_AGE_NEVER;
    ret->deputy = e->deputy;
    if (e->role == ELECT_TRACKER || (flags & WIRE_RESIGNS) != 0) {
        const struct member *best = member_best(m, e->site);
        ret->deputy = best != NULL ? best->id : node_none;
        ret->tracker_age_ms = 0;
    }
    if (e->role == ELECT_TRACKER && e->tracker.lone)
        ret->flags |= WIRE_LONE;
    if (e->role == ELECT_TRACKER && now_ms - e->voted_ms < ELECT_SILENT_MS)
        ret->flags |= WIRE_VOTED;
    if ((flags & WIRE_RESIGNS) != 0) {
        ret->epoch = e->epoch_max;
        ret->tracker = e->self;
        ret->tracker_priority = e->priority;
    }
}
