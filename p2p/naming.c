/* Questions about names and their answers. */
#include "base/mem.h"
#include "p2p/naming_inside.h"

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

bool
naming_in_office(const struct swarms_at *at)
{
    return at->elect->role == ELECT_TRACKER;
}

const struct member *
naming_tracker(const struct swarms_at *at)
{
    const struct elect *e = at->elect;
    if (e->tracker.epoch == 0 || e->role == ELECT_CANDIDATE || e->probed || naming_in_office(at))
        return NULL;
    return member_find(at->members, &e->tracker.id);
}

const struct member *
naming_deputy(const struct swarms_at *at)
{
    if (naming_in_office(at))
        return member_best(at->members, at->elect->site);
    return node_is_none(&at->elect->deputy) ? NULL : member_find(at->members, &at->elect->deputy);
}

bool
naming_has_room(const struct plan *p)
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

/* Addresses change; what a node says of itself is newer than what somebody noted. */
static void
finish(struct naming *n, const struct swarms_at *at, size_t i, enum names_state state,
       struct plan *p)
{
    struct plan_action *act = plan_add(p, PLAN_NAME);
    act->ask = n->asks[i].q.id;
    act->name = n->asks[i].best;
    act->name.state = state;
    for (size_t j = 0; j < act->name.holders_count; j++) {
        const struct member *m = member_find(at->members, &act->name.holders[j].node);
        if (m != NULL)
            act->name.holders[j].addr = m->addr;
    }
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
    bool alone = member_best(at->members, at->elect->site) == NULL;
    if (a->q.shout_ms <= 0 || a->best.known || alone) {
        finish(n, at, i, state, p);
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
        finish(n, at, i, NAMES_KNOWN, p);
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
    bool learning = naming_in_office(at) && at->now_ms < n->learn_ms;
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
    if (naming_in_office(at)) {
        struct names_question q = question_of(a, at->now_ms);
        struct names_answer said;
        ask_table(n, at, &a->q.key, at->self, &q, &said);
        take_answer(n, at, i, &said, p);
        return;
    }
    const struct member *tracker = naming_tracker(at), *deputy = naming_deputy(at);
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
        finish(n, at, i, a->best.known ? NAMES_KNOWN : a->before, p);
    else if (at->now_ms >= a->q.deadline_ms)
        finish(n, at, i, a->shout_end_ms > 0 ? a->before : NAMES_NONE, p);
    else if (at->now_ms >= a->next_ms && a->shout_end_ms > 0)
        shout(a, at->now_ms, p);
    else if (at->now_ms >= a->next_ms)
        ask_on(n, at, i, p);
}

void
naming_ask(struct naming *n, const struct swarms_at *at, const struct naming_question *q,
           struct plan *p)
{
    if (n->asks_count == NAMING_ASKS_MAX || !naming_has_room(p)) {
        struct plan_action *act = plan_add(p, PLAN_NAME);
        act->ask = q->id;
        return;
    }
    n->asks[n->asks_count] = (struct asking){.q = *q, .begun_ms = at->now_ms};
    step_ask(n, at, n->asks_count++, p);
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
            finish(n, at, i, NAMES_KNOWN, p);
    } else if (node_equal(from, &at->elect->tracker.id) || node_equal(from, &at->elect->deputy)) {
        take_answer(n, at, i, &said, p);
    }
}

/* A deputy whose tracker lives tells only what is known: two that say YOURS are one too many. */
static void
hear_ask(struct naming *n, const struct swarms_at *at, const struct member *from,
         const struct wire_name_ask *m, struct plan *p)
{
    bool reads_along = !naming_in_office(at) && naming_tracker(at) != NULL;
    struct names_question q = {m->max_age_ms, m->since_ms, m->may_resolve != 0 && !reads_along};
    struct names_answer said;
    if (!naming_in_office(at) && !node_equal(&at->elect->deputy, at->self))
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
    if (who == NULL || who->site != at->elect->site || !naming_has_room(p))
        return;
    if (m->type == WIRE_NAME_TELL) {
        naming_told(n, from, &who->addr, &m->name_tell, at->now_ms);
    } else if (m->type == WIRE_NAME) {
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

void
naming_gone(struct naming *n, const struct node_id *node)
{
    names_gone(n->names, node);
}

void
naming_settle(struct naming *n, const struct swarms_at *at, struct plan *p)
{
    for (size_t i = n->asks_count; i-- > 0 && naming_has_room(p);)
        step_ask(n, at, i, p);
    if (naming_has_room(p))
        naming_settle_tells(n, at, p);
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
    int64_t due_ms = naming_tells_wake_ms(n);
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
