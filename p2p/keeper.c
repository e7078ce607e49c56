/* What this node wants to let go, what it says when others do, and copies on their way. */
#include "p2p/keeper.h"
#include "base/mem.h"
#include "p2p/keeper_inside.h"
#include <string.h>

struct keeper *
keeper_new(const struct keeper_ops *ops)
{
    struct keeper *k = mem_zalloc(sizeof *k);
    k->ops = *ops;
    return k;
}

void
keeper_free(struct keeper *k)
{
    if (k == NULL)
        return;
    for (size_t i = 0; i < k->rounds_count; i++)
        mem_free(k->rounds[i]);
    mem_free(k);
}

void
keeper_room(struct keeper *k, uint64_t bytes)
{
    k->room = bytes;
}

static struct keeper_want *
find(struct keeper *k, const struct digest *digest)
{
    for (size_t i = 0; i < k->wants_count; i++)
        if (digest_equal(&k->wants[i].digest, digest))
            return &k->wants[i];
    return NULL;
}

static void
drop(struct keeper *k, struct keeper_want *w)
{
    *w = k->wants[--k->wants_count];
}

static void
answer(const struct parting *said, struct plan *p)
{
    plan_add(p, PLAN_PARTING)->parting = *said;
}

static void
keep(struct plan *p, const struct digest *digest, int64_t for_ms)
{
    struct parting said = {.digest = *digest, .what = PARTING_KEEP, .for_ms = for_ms};
    answer(&said, p);
}

/* ---- promises ---- */

static int64_t
promised_ms(struct keeper *k, const struct digest *digest, int64_t now_ms)
{
    for (size_t i = k->promises_count; i-- > 0;) {
        if (k->promises[i].until_ms <= now_ms)
            k->promises[i] = k->promises[--k->promises_count];
        else if (digest_equal(&k->promises[i].digest, digest))
            return k->promises[i].until_ms - now_ms;
    }
    return 0;
}

/* False: there is no place for one more. */
static bool
promise(struct keeper *k, const struct digest *digest, int64_t now_ms)
{
    size_t i = 0;
    (void)promised_ms(k, digest, now_ms);
    while (i < k->promises_count && !digest_equal(&k->promises[i].digest, digest))
        i++;
    if (i == KEEPER_PROMISES_MAX)
        return false;
    k->promises_count += i == k->promises_count;
    k->promises[i] = (struct keeper_promise){*digest, now_ms + KEEPER_PROMISE_MS};
    return true;
}

/* ---- wishes ---- */

/* Asks anew, of whoever decides now. */
static void
start(struct keeper *k, const struct swarms_at *at, struct keeper_want *w, bool alone)
{
    w->state = KEEPER_ASKING;
    w->ask = ++k->last_ask;
    w->alone = alone || at->elect->tracker.epoch == 0 || at->elect->role == ELECT_CANDIDATE;
    w->intends = false;
    w->decider = at->elect->tracker.id;
    w->asks = 0;
    w->first_ms = w->next_ms = at->now_ms;
}

void
keeper_want(struct keeper *k, const struct swarms_at *at, const struct digest *digest,
            uint64_t size, struct plan *p)
{
    struct parting alone = {.digest = *digest, .what = PARTING_GO, .for_ms = KEEPER_GO_MS};
    int64_t left_ms = promised_ms(k, digest, at->now_ms);
    struct keeper_want *w = find(k, digest);
    if (w != NULL && w->state == KEEPER_MOVING)
        return; /* its end will be told */
    bool listens = at->elect->tracker.epoch == 0 && member_count(at->members, at->elect->site) == 0;
    if (left_ms > 0 || listens || (w == NULL && k->wants_count == KEEPER_WANTS_MAX)) {
        keep(p, digest, left_ms > 0 ? left_ms : KEEPER_FRESH_MS);
        return;
    }
    if (w == NULL)
        w = &k->wants[k->wants_count++];
    *w = (struct keeper_want){.digest = *digest, .size = size};
    if (member_count(at->members, at->elect->site) > 0) {
        start(k, at, w, false);
        return;
    }
    w->state = KEEPER_GONE;
    w->next_ms = at->now_ms + KEEPER_GO_MS;
    answer(&alone, p);
}

static void
gone(struct keeper_want *w, const struct swarms_at *at, struct parting *said, struct plan *p)
{
    w->state = KEEPER_GONE;
    w->next_ms = at->now_ms + KEEPER_GO_MS;
    said->for_ms = KEEPER_GO_MS;
    answer(said, p);
}

static void
move(struct keeper *k, const struct swarms_at *at, struct keeper_want *w, struct parting *said,
     const struct node_addr *to_addr, struct plan *p)
{
    struct parting_offer offer;
    if (k->ops.offer == NULL || !k->ops.offer(k->ops.arg, &w->digest, &offer)) {
        said->what = PARTING_LAST; /* nobody else may have it */
        gone(w, at, said, p);
        return;
    }
    w->state = KEEPER_MOVING;
    w->moves++;
    w->first_ms = w->next_ms = w->heard_ms = at->now_ms;
    w->to = said->to;
    w->to_addr = *to_addr;
    said->for_ms = KEEPER_MOVE_MS;
    answer(said, p);
}

void
keeper_answered(struct keeper *k, const struct swarms_at *at, const struct parting *said,
                uint32_t ask, const struct node_addr *to_addr, struct plan *p)
{
    struct keeper_want *w = find(k, &said->digest);
    struct parting word = *said;
    if (w == NULL || w->state != KEEPER_ASKING || w->ask != ask ||
        at->now_ms - w->first_ms > KEEPER_LATE_MS)
        return;
    /* Others heard that it is here, and rest on that: without a tracker only the order decides. */
    if (word.what == PARTING_KEEP || (word.copies == 0 && w->intends)) {
        keep(p, &w->digest, word.what == PARTING_KEEP ? KEEPER_LONG_MS : KEEPER_PROMISE_MS);
        drop(k, w);
    } else if (word.what == PARTING_MOVES) {
        move(k, at, w, &word, to_addr, p);
    } else {
        gone(w, at, &word, p);
    }
}

/* ---- wishes of others ---- */

bool
keeper_says(struct keeper *k, const struct swarms_at *at, const struct node_id *decider,
            const struct wire_copies_ask *asked, struct plan *p, enum wire_copy *ret)
{
    struct keeper_want *w = find(k, &asked->digest);
    *ret = WIRE_HOLDS;
    if (k->ops.holds == NULL || !k->ops.holds(k->ops.arg, &asked->digest) ||
        (w != NULL && w->state != KEEPER_ASKING))
        return false;
    bool same = w != NULL && w->alone == (asked->alone != 0) &&
                (w->alone || node_equal(&w->decider, decider));
    if (same) {
        *ret = WIRE_INTENDS;
        w->intends = w->alone;
        return true;
    }
    if (!promise(k, &asked->digest, at->now_ms))
        return false;
    if (w != NULL) {
        keep(p, &w->digest, KEEPER_PROMISE_MS);
        drop(k, w);
    }
    return true;
}

static void
hear_ask(struct keeper *k, const struct swarms_at *at, const struct member *who,
         const struct wire_copies_ask *asked, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_COPIES};
    enum wire_copy state;
    if (!keeper_says(k, at, &who->id, asked, p, &state))
        return;
    m.copies = (struct wire_copies){asked->digest, asked->ask, (uint8_t)state};
    plan_record(p, PLAN_DATAGRAM, who, &m);
}

static void
hear_answer(struct keeper *k, const struct swarms_at *at, const struct member *who,
            const struct wire_evict_answer *a, struct plan *p)
{
    const struct keeper_want *w = find(k, &a->digest);
    struct parting said = {.digest = a->digest, .copies = a->copies, .to = a->node};
    said.what = a->what <= PARTING_LAST ? (enum parting_what)a->what : PARTING_KEEP;
    if (w != NULL && !w->alone && node_equal(&who->id, &w->decider))
        keeper_answered(k, at, &said, a->ask, &a->addr, p);
}

/* Another node's last copy shall come here. */
static void
hear_take(struct keeper *k, const struct swarms_at *at, const struct member *who,
          const struct wire_take *t, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_TOOK};
    struct parting_offer o = {.digest = t->digest,
                              .size = t->size,
                              .requests = t->requests,
                              .asked_s = t->asked_s,
                              .place_len = t->place.len};
    enum parting_taken taken = PARTING_REFUSED;
    if (t->place.len < PARTING_PLACE_MAX && k->ops.take != NULL && find(k, &t->digest) == NULL) {
        memcpy(o.place, t->place.bytes, t->place.len);
        taken = k->ops.take(k->ops.arg, &o);
    }
    /* The other one lets it go now. */
    if (taken == PARTING_STORED && !promise(k, &t->digest, at->now_ms))
        taken = PARTING_COMING;
    m.took = (struct wire_took){t->digest, (uint8_t)taken};
    plan_record(p, PLAN_DATAGRAM, who, &m);
}

/* The next question to `to` is overdue: this node stood still, and what waits for it is old. */
static bool
stood_still(const struct keeper_want *w, int64_t now_ms)
{
    return now_ms - w->next_ms > KEEPER_LATE_MS - KEEPER_STEP_MS;
}

/* Who has stored it promises to keep it for KEEPER_PROMISE_MS; a word that may be older than that
 * is not believed, and comes again. */
static void
hear_took(struct keeper *k, const struct swarms_at *at, const struct member *who,
          const struct wire_took *t, struct plan *p)
{
    struct keeper_want *w = find(k, &t->digest);
    struct parting said = {.digest = t->digest, .what = PARTING_GO, .copies = 1, .to = who->id};
    if (w == NULL || w->state != KEEPER_MOVING || !node_equal(&w->to, &who->id))
        return;
    w->heard_ms = at->now_ms;
    if (t->state == PARTING_STORED && (w->late || stood_still(w, at->now_ms)))
        return;
    if (t->state == PARTING_STORED) {
        gone(w, at, &said, p);
    } else if (t->state == PARTING_REFUSED && w->moves < KEEPER_MOVES) {
        start(k, at, w, false);
    } else if (t->state == PARTING_REFUSED) {
        said.what = PARTING_LAST;
        said.copies = 0;
        gone(w, at, &said, p);
    }
}

void
keeper_hear(struct keeper *k, const struct swarms_at *at, const struct member *who,
            const struct wire_msg *m, struct plan *p)
{
    if (!keeper_has_room(p))
        return; /* as if it was lost: it comes again */
    if (m->type == WIRE_EVICT_INTENT && at->elect->role == ELECT_TRACKER)
        keeper_round_want(k, at, who, &m->evict_intent, false, p);
    else if (m->type == WIRE_COPIES_ASK)
        hear_ask(k, at, who, &m->copies_ask, p);
    else if (m->type == WIRE_COPIES)
        keeper_round_hear(k, at, who, &m->copies);
    else if (m->type == WIRE_EVICT_ANSWER)
        hear_answer(k, at, who, &m->evict_answer, p);
    else if (m->type == WIRE_TAKE)
        hear_take(k, at, who, &m->take, p);
    else if (m->type == WIRE_TOOK)
        hear_took(k, at, who, &m->took, p);
}

void
keeper_elected(struct keeper *k, const struct swarms_at *at)
{
    for (size_t i = 0; i < k->wants_count; i++)
        if (k->wants[i].state == KEEPER_ASKING)
            start(k, at, &k->wants[i], false);
}

/* ---- what is due ---- */

static void
offer(struct keeper *k, const struct swarms_at *at, struct keeper_want *w, struct plan *p)
{
    struct parting_offer o;
    struct wire_msg m = {.type = WIRE_TAKE};
    struct member to = {.id = w->to, .addr = w->to_addr};
    bool late =
        at->now_ms - w->heard_ms >= KEEPER_SILENT_MS || at->now_ms - w->first_ms >= KEEPER_MOVE_MS;
    if (late || !k->ops.offer(k->ops.arg, &w->digest, &o)) {
        keep(p, &w->digest, KEEPER_FAILED_MS);
        drop(k, w);
        return;
    }
    w->late = stood_still(w, at->now_ms);
    w->next_ms = at->now_ms + KEEPER_STEP_MS;
    m.take = (struct wire_take){
        w->digest, o.size, o.requests, o.asked_s, {(const uint8_t *)o.place, o.place_len}};
    plan_record(p, PLAN_DATAGRAM, &to, &m);
}

/* Decided here: as tracker, or alone. */
static void
ask_self(struct keeper *k, const struct swarms_at *at, struct keeper_want *w, struct plan *p)
{
    struct wire_evict_intent said = {w->digest, w->ask, w->size};
    bool alone = w->alone;
    w->next_ms = at->now_ms + KEEPER_LATE_MS;
    if (w->asks++ > 0) {
        keep(p, &w->digest, KEEPER_FRESH_MS); /* no place for it */
        drop(k, w);
        return;
    }
    keeper_round_want(k, at, NULL, &said, alone, p);
}

/* False: it stays for the tracker. */
static bool
settle_one(struct keeper *k, const struct swarms_at *at, struct keeper_want *w, struct plan *p)
{
    bool mine = w->alone || node_equal(&w->decider, at->self);
    if (w->state == KEEPER_GONE) {
        drop(k, w);
    } else if (w->state == KEEPER_MOVING) {
        offer(k, at, w, p);
    } else if (mine) {
        ask_self(k, at, w, p);
    } else if (w->asks == KEEPER_ASKS || member_find(at->members, &w->decider) == NULL) {
        start(k, at, w, true);
        ask_self(k, at, w, p);
    } else {
        return false;
    }
    return true;
}

/* What the tracker is asked now, as much as one datagram holds. */
static void
ask_tracker(struct keeper *k, const struct swarms_at *at, struct plan *p)
{
    const struct member *to = NULL;
    struct wire_msg m = {.type = WIRE_EVICT_INTENT};
    struct scribe out;
    plan_write(p, WIRE_DATAGRAM_MAX, &out);
    for (size_t i = 0; i < k->wants_count && scribe_room(&out) >= WIRE_ROOM(evict_intent); i++) {
        struct keeper_want *w = &k->wants[i];
        if (w->state != KEEPER_ASKING || w->next_ms > at->now_ms || w->alone ||
            (to == NULL && (to = member_find(at->members, &w->decider)) == NULL) ||
            !node_equal(&to->id, &w->decider))
            continue;
        m.evict_intent = (struct wire_evict_intent){w->digest, w->ask, w->size};
        wire_put(&out, &m);
        w->asks++;
        w->next_ms = at->now_ms + KEEPER_ASK_MS;
    }
    if (to != NULL)
        plan_wrote(p, plan_to(p, PLAN_DATAGRAM, to), &out);
}

void
keeper_settle(struct keeper *k, const struct swarms_at *at, struct plan *p)
{
    bool tracker = false;
    for (size_t i = k->wants_count; i-- > 0 && keeper_has_room(p);)
        if (k->wants[i].next_ms <= at->now_ms)
            tracker = !settle_one(k, at, &k->wants[i], p) || tracker;
    if (tracker && keeper_has_room(p))
        ask_tracker(k, at, p);
    keeper_round_settle(k, at, p);
}

int64_t
keeper_wake_ms(const struct keeper *k, int64_t now_ms)
{
    int64_t due_ms = keeper_round_wake_ms(k, now_ms);
    for (size_t i = 0; i < k->wants_count; i++)
        due_ms = k->wants[i].next_ms < due_ms ? k->wants[i].next_ms : due_ms;
    return due_ms > now_ms ? due_ms : now_ms + 1;
}
