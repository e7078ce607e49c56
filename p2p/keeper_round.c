/* Decides which nodes may let a blob go: all that want to but one, when none stays anyway. */
#include "base/mem.h"
#include "p2p/keeper_inside.h"
#include "p2p/pick.h"

/* Nobody is heard of it any more. */
#define ROUND_END_MS (KEEPER_FRESH_MS + KEEPER_PROMISE_MS)

static struct keeper_round *
find(struct keeper *k, const struct digest *digest, bool alone)
{
    for (size_t i = 0; i < k->rounds_count; i++)
        if (k->rounds[i]->alone == alone && digest_equal(&k->rounds[i]->digest, digest))
            return k->rounds[i];
    return NULL;
}

/* The node's row, perhaps a new one; NULL: no place. */
static struct keeper_who *
row(struct keeper_round *r, const struct node_id *node, const struct node_addr *addr)
{
    size_t i = 0;
    while (i < r->count && !node_equal(&r->who[i].node, node))
        i++;
    if (i == KEEPER_WHO_MAX)
        return NULL;
    if (i == r->count) {
        r->who[r->count++] = (struct keeper_who){.node = *node};
    }
    r->who[i].addr = *addr;
    return &r->who[i];
}

/* ---- the question to the site ---- */

static void
note_self(struct keeper *k, const struct swarms_at *at, struct keeper_round *r, struct plan *p)
{
    struct wire_copies_ask asked = {r->digest, r->ask, r->alone};
    enum wire_copy state;
    struct keeper_who *self;
    if (!r->alone && keeper_says(k, at, at->self, &asked, p, &state) &&
        (self = row(r, at->self, at->addr)) != NULL)
        self->here = true;
}

/* Asks the site anew; who was allowed to go is remembered. */
static void
ask(struct keeper *k, const struct swarms_at *at, struct keeper_round *r, struct plan *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->count; i++) {
        struct keeper_who *w = &r->who[i];
        w->here = w->wants = w->answered = false;
        if (w->leaves_ms > at->now_ms)
            r->who[kept++] = *w;
    }
    r->count = kept;
    r->asked_ms = r->again_ms = at->now_ms;
    r->ask = ++k->last_ask;
    r->decided = false;
    note_self(k, at, r, p);
}

void
keeper_round_hear(struct keeper *k, const struct swarms_at *at, const struct member *who,
                  const struct wire_copies *said)
{
    for (int alone = 0; alone < 2; alone++) {
        struct keeper_round *r = find(k, &said->digest, alone == 1);
        struct keeper_who *w;
        if (r != NULL && r->ask == said->ask && at->now_ms - r->asked_ms <= KEEPER_FRESH_MS &&
            (w = row(r, &who->id, &who->addr)) != NULL)
            w->here = true;
    }
}

/* ---- the decision ---- */

/* A wish is no sign of a copy: it may have waited for a decider that stood still, and the node has
 * let go meanwhile. Who still wants to says so when the site is asked. */
static bool
counts(const struct keeper_who *w, int64_t now_ms)
{
    return w->here && w->leaves_ms <= now_ms;
}

static unsigned
others(const struct keeper_round *r, const struct keeper_who *but, int64_t now_ms)
{
    unsigned n = 0;
    for (size_t i = 0; i < r->count; i++)
        n += &r->who[i] != but && counts(&r->who[i], now_ms);
    return n;
}

static uint64_t
weight(const struct keeper_round *r, const struct keeper_who *w)
{
    return pick_weight(r->digest.bytes, digest_len(&r->digest), 0, w->node.bytes,
                       sizeof w->node.bytes);
}

/* Is it the first of those that count? */
static bool
is_first(const struct keeper_round *r, const struct keeper_who *w, int64_t now_ms)
{
    for (size_t i = 0; i < r->count; i++)
        if (&r->who[i] != w && counts(&r->who[i], now_ms) && weight(r, &r->who[i]) > weight(r, w))
            return false;
    return true;
}

/* Who is not a member is this node itself, or gone. */
static bool
is_shown(const struct keeper_booked *b, const struct members *m, int64_t now_ms)
{
    const struct member *who = member_find(m, &b->node);
    return now_ms - b->at_ms >= KEEPER_BOOKED_MS &&
           (who == NULL || who->heard_ms - b->at_ms >= KEEPER_STEP_MS);
}

static uint64_t
booked(const struct keeper *k, const struct node_id *node, const struct members *m, int64_t now_ms)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < KEEPER_BOOKED_MAX; i++)
        if (node_equal(&k->booked[i].node, node) && !is_shown(&k->booked[i], m, now_ms))
            bytes += k->booked[i].bytes;
    return bytes;
}

static bool
may_take(const struct keeper_round *r, const struct node_id *node, int64_t now_ms)
{
    for (size_t i = 0; i < r->count; i++)
        if ((r->who[i].here || r->who[i].wants || r->who[i].leaves_ms > now_ms) &&
            node_equal(&r->who[i].node, node))
            return false;
    for (size_t i = 0; i < r->refused_count; i++)
        if (node_equal(&r->refused[i], node))
            return false;
    return true;
}

/* The node with the most room for it, if there is one. */
static bool
find_taker(struct keeper *k, const struct swarms_at *at, struct keeper_round *r,
           struct node_id *ret, struct node_addr *ret_addr)
{
    uint64_t most = 0;
    for (size_t i = 0; i <= at->members->count; i++) {
        bool self = i == at->members->count;
        const struct member *m = &at->members->list[self ? 0 : i];
        const struct node_id *id = self ? at->self : &m->id;
        uint64_t room = self ? k->room : (uint64_t)m->free_mib << 20;
        uint64_t taken = booked(k, id, at->members, at->now_ms);
        if ((!self && m->site != at->elect->site) || room < taken + r->size ||
            room - taken <= most || !may_take(r, id, at->now_ms))
            continue;
        most = room - taken;
        *ret = *id;
        *ret_addr = self ? *at->addr : m->addr;
    }
    return most > 0;
}

static void
book(struct keeper *k, struct keeper_round *r, const struct node_id *node, int64_t now_ms)
{
    k->booked[k->booked_next++ % KEEPER_BOOKED_MAX] =
        (struct keeper_booked){*node, r->size, now_ms};
    r->refused[r->refused_count++] = *node;
}

/* A move that came to nothing. */
static void
unbook(struct keeper *k, const struct keeper_who *w, uint64_t bytes)
{
    if (w->answer.what != PARTING_MOVES)
        return;
    for (size_t i = 0; i < KEEPER_BOOKED_MAX; i++)
        if (node_equal(&k->booked[i].node, &w->answer.to) && k->booked[i].bytes == bytes)
            k->booked[i].bytes = 0;
}

/* The last copy: it moves, or its value decides. */
static void
decide_last(struct keeper *k, const struct swarms_at *at, struct keeper_round *r,
            struct keeper_who *w)
{
    w->answer.what = PARTING_LAST;
    if (r->refused_count < KEEPER_MOVES && find_taker(k, at, r, &w->answer.to, &w->to_addr)) {
        w->answer.what = PARTING_MOVES;
        book(k, r, &w->answer.to, at->now_ms);
    }
}

static void
decide_one(struct keeper *k, const struct swarms_at *at, struct keeper_round *r,
           struct keeper_who *w)
{
    unsigned copies = others(r, w, at->now_ms);
    w->answer = (struct parting){.digest = r->digest, .copies = copies, .what = PARTING_GO};
    w->answered = true;
    if (copies == 0) {
        decide_last(k, at, r, w);
    } else if (r->alone && is_first(r, w, at->now_ms)) {
        w->answer.what = PARTING_KEEP;
    }
    if (w->answer.what != PARTING_KEEP)
        w->leaves_ms = at->now_ms + KEEPER_PROMISE_MS;
}

static void
tell(struct keeper *k, const struct swarms_at *at, const struct keeper_who *w, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_EVICT_ANSWER};
    if (node_equal(&w->node, at->self)) {
        keeper_answered(k, at, &w->answer, w->ask, &w->to_addr, p);
        return;
    }
    const struct member *to = member_find(at->members, &w->node);
    m.evict_answer = (struct wire_evict_answer){
        w->answer.digest,           w->ask,       (uint8_t)w->answer.what,
        (uint16_t)w->answer.copies, w->answer.to, w->to_addr};
    if (to != NULL && keeper_has_room(p))
        plan_record(p, PLAN_DATAGRAM, to, &m);
}

/* The first in order is asked last: it stays when all want to go. */
static void
decide(struct keeper *k, const struct swarms_at *at, struct keeper_round *r, struct plan *p)
{
    r->decided = true;
    for (int last = 0; last < 2; last++) {
        for (size_t i = 0; i < r->count; i++) {
            struct keeper_who *w = &r->who[i];
            if (!w->wants || w->answered || (last == 0 && is_first(r, w, at->now_ms)))
                continue;
            decide_one(k, at, r, w);
            tell(k, at, w, p);
        }
    }
}

/* ---- the front ---- */

static struct keeper_round *
begin(struct keeper *k, const struct digest *digest, uint64_t size, bool alone)
{
    if (k->rounds_count == KEEPER_ROUNDS_MAX)
        return NULL;
    struct keeper_round *r = mem_zalloc(sizeof *r);
    r->digest = *digest;
    r->size = size;
    r->alone = alone;
    r->asked_ms = INT64_MIN / 2;
    k->rounds[k->rounds_count++] = r;
    return r;
}

void
keeper_round_want(struct keeper *k, const struct swarms_at *at, const struct member *who,
                  const struct wire_evict_intent *said, bool alone, struct plan *p)
{
    const struct node_id *node = who != NULL ? &who->id : at->self;
    struct keeper_round *r = find(k, &said->digest, alone);
    if (r == NULL && (r = begin(k, &said->digest, said->size, alone)) == NULL)
        return;
    if (at->now_ms - r->asked_ms > KEEPER_FRESH_MS)
        ask(k, at, r, p);
    struct keeper_who *w = row(r, node, who != NULL ? &who->addr : at->addr);
    if (w == NULL)
        return;
    if (w->answered && w->ask == said->ask)
        tell(k, at, w, p);
    if ((w->answered || w->leaves_ms > 0) && (int32_t)(said->ask - w->ask) <= 0)
        return; /* answered already, or on its way for long */
    /* It may have been let go, or named a taker in vain: it is here all the same. */
    unbook(k, w, r->size);
    w->leaves_ms = 0;
    w->wants = true;
    w->answered = false;
    w->ask = said->ask;
    if (r->decided)
        decide(k, at, r, p);
}

static void
ask_again(const struct keeper_round *r, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_COPIES_ASK, .copies_ask = {r->digest, r->ask, r->alone}};
    plan_record(p, PLAN_SHOUT, NULL, &m);
}

void
keeper_round_settle(struct keeper *k, const struct swarms_at *at, struct plan *p)
{
    for (size_t i = k->rounds_count; i-- > 0;) {
        struct keeper_round *r = k->rounds[i];
        if (r->again_ms <= at->now_ms && keeper_has_room(p)) {
            bool first = r->again_ms == r->asked_ms;
            r->again_ms = first ? at->now_ms + KEEPER_AGAIN_MS : INT64_MAX;
            ask_again(r, p);
        }
        if (!r->decided && at->now_ms - r->asked_ms >= KEEPER_ROUND_MS && keeper_has_room(p))
            decide(k, at, r, p);
        if (at->now_ms - r->asked_ms < ROUND_END_MS)
            continue;
        mem_free(r);
        k->rounds[i] = k->rounds[--k->rounds_count];
    }
}

int64_t
keeper_round_wake_ms(const struct keeper *k, int64_t now_ms)
{
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i < k->rounds_count; i++) {
        const struct keeper_round *r = k->rounds[i];
        int64_t own_ms = r->asked_ms + (r->decided ? ROUND_END_MS : KEEPER_ROUND_MS);
        own_ms = r->again_ms < own_ms ? r->again_ms : own_ms;
        due_ms = own_ms < due_ms ? own_ms : due_ms;
    }
    return due_ms > now_ms ? due_ms : now_ms + 1;
}
