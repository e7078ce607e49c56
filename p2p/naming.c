/* Questions about names and their answers. */
#include "p2p/naming.h"
#include "base/mem.h"

#define REJOIN_AGAIN_MS 200 /* the tracker itself was not heard yet */

struct asking {
    struct naming_question q;
    int64_t begun_ms;
    int64_t next_ms; /* when it is asked again; of a shout too */
    unsigned tries;
    int64_t shout_end_ms;     /* 0: not shouted */
    enum names_state before;  /* shouted: what the tracker said */
    struct names_answer best; /* the youngest value that anybody told */
};

struct naming {
    struct names_holder self; /* fixed at new */
    struct names *names;
    size_t asks_count;
    struct asking asks[NAMING_ASKS_MAX];
    size_t tells_count;
    struct wire_name_tell tells[NAMING_TELLS_MAX];
    struct names_own lately[NAMING_BATCH];     /* scratch */
    struct wire_name_tell batch[NAMING_BATCH]; /* scratch */
    int64_t learn_ms;                          /* in office: nobody is told to resolve before */
    int64_t rejoin_ms;                         /* when a new tracker is told; 0: done */
    int64_t deputy_ms;                         /* when a new deputy is told; 0: done */
    struct node_id deputy;                     /* who was seen as deputy last */
    struct rng rng;
};

struct naming *
naming_new(const struct node_id *self, const struct node_addr *addr, uint64_t seed)
{
    struct naming *n = mem_zalloc(sizeof *n);
    n->self = (struct names_holder){*self, *addr};
    n->names = names_new(&n->self);
    rng_init(&n->rng, seed);
    return n;
}

void
naming_free(struct naming *n)
{
    if (n == NULL)
        return;
    names_free(n->names);
    mem_free(n);
}

/* ---- whom to ask ---- */

static bool
in_office(const struct swarms_at *at)
{
    return at->elect->role == ELECT_TRACKER;
}

/* The tracker while there is one, NULL for this node or none. */
static const struct member *
tracker_of(const struct swarms_at *at)
{
    const struct elect *e = at->elect;
    if (e->tracker.epoch == 0 || e->role == ELECT_CANDIDATE || e->probed || in_office(at))
        return NULL;
    return member_find(at->members, &e->tracker.id);
}

static const struct member *
deputy_of(const struct swarms_at *at)
{
    if (in_office(at))
        return member_best(at->members, at->elect->site);
    return node_is_none(&at->elect->deputy) ? NULL : member_find(at->members, &at->elect->deputy);
}

/* For what one question or one record leads to. */
static bool
has_room(const struct plan *p)
{
    return p->count + 4 <= PLAN_ACTIONS_MAX && p->bytes_used + 4096 <= PLAN_BYTES_MAX;
}

/* ---- answers ---- */

static void
take_value(struct asking *a, const struct names_answer *said)
{
    if (said->known && (!a->best.known || said->value.age_ms < a->best.value.age_ms)) {
        a->best.known = true;
        a->best.value = said->value;
        a->best.holders_count = said->holders_count;
        memcpy(a->best.holders, said->holders, sizeof said->holders);
    }
}

static void
finish(struct naming *n, size_t i, enum names_state state, struct plan *p)
{
    struct plan_action *act = plan_add(p, PLAN_NAME);
    act->ask = n->asks[i].q.id;
    act->name = n->asks[i].best;
    act->name.state = state;
    n->asks[i] = n->asks[--n->asks_count];
}

static void
shout(struct asking *a, int64_t now_ms, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_WHONAMES, .whonames = {a->q.id, a->q.key}};
    plan_record(p, PLAN_SHOUT, NULL, &m);
    a->next_ms = now_ms + (a->shout_end_ms - now_ms + 1) / 2;
}

/* The tracker cannot help, or there is none. An old value is as good as what others have. */
static void
give_way(struct naming *n, const struct swarms_at *at, size_t i, enum names_state state,
         struct plan *p)
{
    struct asking *a = &n->asks[i];
    if (a->q.shout_ms <= 0 || a->best.known || at->members->count == 0) {
        finish(n, i, state, p);
        return;
    }
    a->before = state;
    a->shout_end_ms = at->now_ms + a->q.shout_ms;
    shout(a, at->now_ms, p);
}

static void
take_answer(struct naming *n, const struct swarms_at *at, size_t i, const struct names_answer *said,
            struct plan *p)
{
    struct asking *a = &n->asks[i];
    take_value(a, said);
    switch (said->state) {
    case NAMES_KNOWN:
        finish(n, i, NAMES_KNOWN, p);
        return;
    case NAMES_WAIT:
        a->tries = 0;
        a->next_ms = at->now_ms + NAMES_WAIT_MS;
        return;
    case NAMES_NONE:
    case NAMES_YOURS:
    case NAMES_FAILED:
        give_way(n, at, i, said->state, p);
        return;
    case NAMES_GONE:
    case NAMES_STATES:
        return;
    }
}

/* ---- asking ---- */

static struct names_question
question_of(const struct asking *a, int64_t now_ms)
{
    return (struct names_question){.max_age_ms = a->q.max_age_ms,
                                   .since_ms = (uint64_t)(now_ms - a->begun_ms),
                                   .may_resolve = a->q.may_resolve};
}

static void
send_ask(const struct asking *a, int64_t now_ms, const struct member *to, struct plan *p)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    struct names_question q = question_of(a, now_ms);
    m.type = WIRE_NAME_ASK;
    m.name_ask = (struct wire_name_ask){.ask = a->q.id,
                                        .key = a->q.key,
                                        .max_age_ms = q.max_age_ms,
                                        .since_ms = (uint32_t)q.since_ms,
                                        .may_resolve = q.may_resolve};
    plan_record(p, PLAN_DATAGRAM, to, &m);
}

/* As tracker or deputy. A new tracker lets nobody resolve what others are just telling it. */
static void
ask_table(struct naming *n, const struct swarms_at *at, const struct digest *key,
          const struct node_id *asker, const struct names_question *q, struct names_answer *ret)
{
    struct names_question mine = *q;
    bool learning = in_office(at) && at->now_ms < n->learn_ms;
    if (learning)
        mine.may_resolve = false;
    names_ask(n->names, key, asker, &mine, at->now_ms, ret);
    if (learning && ret->state == NAMES_NONE && q->may_resolve)
        ret->state = NAMES_WAIT;
}

/* It is this question's turn. */
static void
ask_on(struct naming *n, const struct swarms_at *at, size_t i, struct plan *p)
{
    struct asking *a = &n->asks[i];
    if (in_office(at)) {
        struct names_question q = question_of(a, at->now_ms);
        struct names_answer said;
        ask_table(n, at, &a->q.key, at->self, &q, &said);
        take_answer(n, at, i, &said, p);
        return;
    }
    const struct member *tracker = tracker_of(at), *deputy = deputy_of(at);
    bool both = tracker == NULL || a->tries > 0;
    if (a->tries == NAMING_TRIES || (tracker == NULL && deputy == NULL)) {
        give_way(n, at, i, NAMES_NONE, p);
        return;
    }
    a->tries++;
    a->next_ms = at->now_ms + NAMING_RETRY_MS;
    if (tracker != NULL)
        send_ask(a, at->now_ms, tracker, p);
    if (deputy != NULL && both)
        send_ask(a, at->now_ms, deputy, p);
}

/* What is due for one question; may end it, and then another one is at its place. */
static void
step_ask(struct naming *n, const struct swarms_at *at, size_t i, struct plan *p)
{
    struct asking *a = &n->asks[i];
    if (a->shout_end_ms > 0 && at->now_ms >= a->shout_end_ms)
        finish(n, i, a->best.known ? NAMES_KNOWN : a->before, p);
    else if (at->now_ms >= a->q.deadline_ms)
        finish(n, i, a->shout_end_ms > 0 ? a->before : NAMES_NONE, p);
    else if (at->now_ms >= a->next_ms && a->shout_end_ms > 0)
        shout(a, at->now_ms, p);
    else if (at->now_ms >= a->next_ms)
        ask_on(n, at, i, p);
}

void
naming_ask(struct naming *n, const struct swarms_at *at, const struct naming_question *q,
           struct plan *p)
{
    if (n->asks_count == NAMING_ASKS_MAX || !has_room(p)) {
        struct plan_action *act = plan_add(p, PLAN_NAME);
        act->ask = q->id;
        return;
    }
    n->asks[n->asks_count] = (struct asking){.q = *q, .begun_ms = at->now_ms};
    step_ask(n, at, n->asks_count++, p);
}

/* ---- telling ---- */

static struct wire_name_tell
tell_of(const struct digest *key, enum names_state state, const struct names_value *v)
{
    struct wire_name_tell t;
    memset(&t, 0, sizeof t);
    t.key = *key;
    t.state = (uint8_t)state;
    if (v != NULL) {
        t.digest = v->digest;
        t.size = v->size;
        t.type = v->type;
        t.age_ms = v->age_ms;
    }
    return t;
}

void
naming_tell(struct naming *n, const struct digest *key, enum names_state state,
            const struct names_value *value, int64_t now_ms)
{
    names_tell(n->names, key, &n->self, state, value, now_ms);
    if (n->tells_count == NAMING_TELLS_MAX)
        memmove(&n->tells[0], &n->tells[1], --n->tells_count * sizeof n->tells[0]);
    n->tells[n->tells_count++] = tell_of(key, state, value);
}

void
naming_hold(struct naming *n, const struct names_own *own, int64_t now_ms)
{
    names_tell(n->names, &own->key, &n->self, NAMES_KNOWN, &own->value, now_ms);
}

/* One request to the tracker, the same to the deputy. False when this plan has no room for it. */
static bool
post(const struct wire_name_tell *list, size_t count, const struct member *tracker,
     const struct member *deputy, struct plan *p)
{
    struct scribe out;
    struct wire_msg m = {.type = WIRE_NAME_TELL};
    if (count == 0 || (tracker == NULL && deputy == NULL))
        return true;
    plan_write(p, WIRE_CONTROL_MAX, &out);
    for (size_t i = 0; i < count; i++) {
        m.name_tell = list[i];
        wire_put(&out, &m);
    }
    if (out.bad)
        return false;
    struct plan_action *a =
        tracker != NULL ? plan_to(p, PLAN_POST, tracker) : plan_to(p, PLAN_COPY, deputy);
    plan_wrote(p, a, &out);
    if (tracker == NULL || deputy == NULL)
        return true;
    struct plan_action *copy = plan_to(p, PLAN_COPY, deputy);
    copy->at = a->at;
    copy->len = a->len;
    return true;
}

static bool
tell_lately(struct naming *n, const struct swarms_at *at, const struct member *tracker,
            const struct member *deputy, struct plan *p)
{
    size_t count = names_lately(n->names, at->now_ms, n->lately, NAMING_BATCH);
    /* The one used last is told last, so that it is the last to be forgotten. */
    for (size_t i = 0; i < count; i++) {
        const struct names_own *own = &n->lately[count - 1 - i];
        n->batch[i] = tell_of(&own->key, NAMES_KNOWN, &own->value);
    }
    return post(n->batch, count, tracker, deputy, p);
}

void
naming_told(struct naming *n, const struct node_id *from, const struct node_addr *addr,
            const struct wire_name_tell *m, int64_t now_ms)
{
    struct names_holder holder = {*from, *addr};
    struct names_value value = {m->digest, m->size, m->type, m->age_ms};
    if (m->state < NAMES_STATES)
        names_tell(n->names, &m->key, &holder, (enum names_state)m->state, &value, now_ms);
}

/* ---- datagrams ---- */

static void
answer(const struct member *to, uint32_t ask, const struct digest *key,
       const struct names_answer *said, struct plan *p)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_NAME;
    m.name = (struct wire_name){.ask = ask,
                                .key = *key,
                                .state = (uint8_t)said->state,
                                .known = said->known,
                                .digest = said->value.digest,
                                .size = said->value.size,
                                .type = said->value.type,
                                .age_ms = said->value.age_ms,
                                .holder = said->holders[0].node,
                                .holder_addr = said->holders[0].addr,
                                .holder2 = said->holders[1].node,
                                .holder2_addr = said->holders[1].addr,
                                .holder3 = said->holders[2].node,
                                .holder3_addr = said->holders[2].addr};
    plan_record(p, PLAN_DATAGRAM, to, &m);
}

static void
read_answer(const struct wire_name *m, struct names_answer *ret)
{
    const struct names_holder holders[NAMES_HOLDERS] = {
        {m->holder, m->holder_addr}, {m->holder2, m->holder2_addr}, {m->holder3, m->holder3_addr}};
    *ret = (struct names_answer){.state = m->state < NAMES_STATES ? (enum names_state)m->state
                                                                  : NAMES_NONE,
                                 .known = m->known != 0,
                                 .value = {m->digest, m->size, m->type, m->age_ms}};
    if (ret->state == NAMES_KNOWN && !ret->known)
        ret->state = NAMES_NONE;
    for (size_t i = 0; i < NAMES_HOLDERS; i++)
        if (!node_is_none(&holders[i].node))
            ret->holders[ret->holders_count++] = holders[i];
}

static void
hear_answer(struct naming *n, const struct swarms_at *at, const struct node_id *from,
            const struct wire_name *m, struct plan *p)
{
    size_t i = 0;
    while (i < n->asks_count &&
           (n->asks[i].q.id != m->ask || !digest_equal(&n->asks[i].q.key, &m->key)))
        i++;
    if (i == n->asks_count)
        return;
    struct asking *a = &n->asks[i];
    struct names_answer said;
    read_answer(m, &said);
    if (a->shout_end_ms > 0) {
        take_value(a, &said);
        if (a->best.known && a->q.any_will_do)
            finish(n, i, NAMES_KNOWN, p);
    } else if (node_equal(from, &at->elect->tracker.id) || node_equal(from, &at->elect->deputy)) {
        take_answer(n, at, i, &said, p);
    }
}

/* A deputy whose tracker lives tells only what is known: two that say YOURS are one too many. */
static void
hear_ask(struct naming *n, const struct swarms_at *at, const struct member *from,
         const struct wire_name_ask *m, struct plan *p)
{
    bool reads_along = !in_office(at) && tracker_of(at) != NULL;
    struct names_question q = {m->max_age_ms, m->since_ms, m->may_resolve != 0 && !reads_along};
    struct names_answer said;
    if (!in_office(at) && !node_equal(&at->elect->deputy, at->self))
        return;
    ask_table(n, at, &m->key, &from->id, &q, &said);
    if (!reads_along || said.state == NAMES_KNOWN)
        answer(from, m->ask, &m->key, &said, p);
}

void
naming_hear(struct naming *n, const struct swarms_at *at, const struct node_id *from,
            const struct wire_msg *m, struct plan *p)
{
    const struct member *who = member_find(at->members, from);
    struct names_answer said;
    if (who == NULL || who->site != at->elect->site || !has_room(p))
        return;
    if (m->type == WIRE_NAME) {
        hear_answer(n, at, from, &m->name, p);
    } else if (m->type == WIRE_NAME_ASK) {
        hear_ask(n, at, who, &m->name_ask, p);
    } else if (m->type == WIRE_WHONAMES &&
               names_mine(n->names, &m->whonames.key, at->now_ms, &said) &&
               (at->stored == NULL || at->stored(at->stored_arg, &said.value.digest) > 0)) {
        answer(who, m->whonames.ask, &m->whonames.key, &said, p);
    }
}

/* ---- what is due ---- */

static int64_t
soon_ms(struct naming *n, const struct swarms_at *at)
{
    uint64_t spread_ms = (at->members->count + 1) * SWARMS_JITTER_MS;
    return at->now_ms + 1 + (int64_t)rng_below(&n->rng, spread_ms < 500 ? spread_ms : 500);
}

void
naming_elected(struct naming *n, const struct swarms_at *at, bool was_deputy)
{
    if (in_office(at) && !was_deputy && at->members->count > 0)
        n->learn_ms = at->now_ms + SWARMS_LEARN_MS;
    n->rejoin_ms = soon_ms(n, at);
}

void
naming_gone(struct naming *n, const struct node_id *node)
{
    names_gone(n->names, node);
}

static void
tell_what_is_due(struct naming *n, const struct swarms_at *at, struct plan *p)
{
    const struct member *tracker = tracker_of(at), *deputy = deputy_of(at);
    if (deputy != NULL && !node_equal(&n->deputy, &deputy->id)) {
        n->deputy = deputy->id;
        n->deputy_ms = soon_ms(n, at);
    }
    bool to_tracker = n->rejoin_ms > 0 && at->now_ms >= n->rejoin_ms;
    bool to_deputy = n->deputy_ms > 0 && at->now_ms >= n->deputy_ms;
    if ((to_tracker || to_deputy) &&
        !tell_lately(n, at, to_tracker ? tracker : NULL, to_deputy ? deputy : NULL, p))
        return; /* with the next plan */
    if (to_tracker)
        n->rejoin_ms = tracker != NULL || in_office(at) ? 0 : at->now_ms + REJOIN_AGAIN_MS;
    if (to_deputy)
        n->deputy_ms = 0;
    if (post(n->tells, n->tells_count, tracker, deputy, p))
        n->tells_count = 0;
}

void
naming_settle(struct naming *n, const struct swarms_at *at, struct plan *p)
{
    for (size_t i = n->asks_count; i-- > 0 && has_room(p);)
        step_ask(n, at, i, p);
    if (has_room(p))
        tell_what_is_due(n, at, p);
}

static int64_t
ask_wake_ms(const struct asking *a)
{
    int64_t due_ms = a->next_ms < a->q.deadline_ms ? a->next_ms : a->q.deadline_ms;
    return a->shout_end_ms > 0 && a->shout_end_ms < due_ms ? a->shout_end_ms : due_ms;
}

int64_t
naming_wake_ms(const struct naming *n, int64_t now_ms)
{
    int64_t due_ms = n->tells_count > 0 ? now_ms : INT64_MAX;
    if (n->rejoin_ms > 0 && n->rejoin_ms < due_ms)
        due_ms = n->rejoin_ms;
    if (n->deputy_ms > 0 && n->deputy_ms < due_ms)
        due_ms = n->deputy_ms;
    for (size_t i = 0; i < n->asks_count; i++)
        if (ask_wake_ms(&n->asks[i]) < due_ms)
            due_ms = ask_wake_ms(&n->asks[i]);
    return due_ms > now_ms ? due_ms : now_ms + 1;
}

size_t
naming_count(const struct naming *n)
{
    return names_count(n->names);
}
