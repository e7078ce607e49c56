/* What is told of names. Each word goes as a datagram to tracker and deputy, TELL_TIMES times; a
 * new tracker or deputy gets what was used last by a request, twice, because a line of requests
 * that is full forgets. */
#include "p2p/naming_inside.h"

#define TELL_TIMES      3
#define TELL_AGAIN_MS   40  /* doubled after each time */
#define REJOIN_AGAIN_MS 200 /* the tracker itself was not heard yet */
#define REJOIN_LAST_MS  2000

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

static void
drop_tell(struct naming *n, size_t i)
{
    n->tells_count--;
    memmove(&n->tells[i], &n->tells[i + 1], (n->tells_count - i) * sizeof n->tells[0]);
}

void
naming_tell(struct naming *n, const struct digest *key, enum names_state state,
            const struct names_value *value, int64_t now_ms)
{
    names_tell(n->names, key, &n->self, state, value, now_ms);
    for (size_t i = n->tells_count; i-- > 0;)
        if (digest_equal(&n->tells[i].m.key, key))
            drop_tell(n, i); /* what was said before is old */
    if (n->tells_count == NAMING_TELLS_MAX)
        drop_tell(n, 0);
    n->tells[n->tells_count++] = (struct telling){
        .m = tell_of(key, state, value), .told_ms = now_ms, .next_ms = now_ms, .left = TELL_TIMES};
}

void
naming_hold(struct naming *n, const struct names_own *own, int64_t now_ms)
{
    names_tell(n->names, &own->key, &n->self, NAMES_KNOWN, &own->value, now_ms);
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

/* What is written goes to both of them. */
static void
send_both(struct plan *p, const struct scribe *out, enum plan_kind to_tracker,
          const struct member *tracker, enum plan_kind to_deputy, const struct member *deputy)
{
    struct plan_action *a = NULL;
    if (tracker != NULL) {
        a = plan_to(p, to_tracker, tracker);
        plan_wrote(p, a, out);
    }
    if (deputy == NULL)
        return;
    struct plan_action *copy = plan_to(p, to_deputy, deputy);
    if (a == NULL) {
        plan_wrote(p, copy, out);
    } else {
        copy->at = a->at;
        copy->len = a->len;
    }
}

/* ---- what was just learned ---- */

static int64_t
tells_due_ms(const struct naming *n)
{
    int64_t due_ms = INT64_MAX;
    for (size_t i = 0; i < n->tells_count; i++)
        if (n->tells[i].next_ms < due_ms)
            due_ms = n->tells[i].next_ms;
    return due_ms;
}

static void
write_tells(struct naming *n, int64_t now_ms, struct scribe *out)
{
    struct wire_msg m = {.type = WIRE_NAME_TELL};
    for (size_t i = 0; i < n->tells_count && scribe_room(out) >= WIRE_ROOM(name_tell); i++) {
        struct telling *t = &n->tells[i];
        if (now_ms < t->next_ms)
            continue;
        m.name_tell = t->m;
        m.name_tell.age_ms += (uint64_t)(now_ms - t->told_ms);
        wire_put(out, &m);
        t->left--;
        t->next_ms = now_ms + ((int64_t)TELL_AGAIN_MS << (TELL_TIMES - t->left));
    }
}

static void
send_tells(struct naming *n, const struct swarms_at *at, const struct member *tracker,
           const struct member *deputy, struct plan *p)
{
    struct scribe out;
    if (tracker == NULL && deputy == NULL) {
        n->tells_count = 0; /* a tracker that comes is told what was used last */
        return;
    }
    while (tells_due_ms(n) <= at->now_ms && naming_has_room(p)) {
        plan_write(p, WIRE_DATAGRAM_MAX, &out);
        write_tells(n, at->now_ms, &out);
        send_both(p, &out, PLAN_DATAGRAM, tracker, PLAN_DATAGRAM, deputy);
        for (size_t i = n->tells_count; i-- > 0;)
            if (n->tells[i].left == 0)
                drop_tell(n, i);
    }
}

/* ---- what a new tracker or deputy is told ---- */

static int64_t
soon_ms(struct naming *n, const struct swarms_at *at)
{
    uint64_t spread_ms = (at->members->count + 1) * SWARMS_JITTER_MS;
    return at->now_ms + 1 + (int64_t)rng_below(&n->rng, spread_ms < 500 ? spread_ms : 500);
}

void
naming_elected(struct naming *n, const struct swarms_at *at, bool was_deputy)
{
    if (naming_in_office(at) && !was_deputy && at->members->count > 0)
        n->learn_ms = at->now_ms + SWARMS_LEARN_MS;
    n->rejoin_ms = soon_ms(n, at);
    n->rejoin_last = false;
}

/* False when this plan has no room for it. */
static bool
send_lately(struct naming *n, const struct swarms_at *at, const struct member *tracker,
            const struct member *deputy, struct plan *p)
{
    struct scribe out;
    struct wire_msg m = {.type = WIRE_NAME_TELL};
    size_t count = names_lately(n->names, at->now_ms, n->lately, NAMING_BATCH);
    if (count == 0 || (tracker == NULL && deputy == NULL))
        return true;
    plan_write(p, WIRE_CONTROL_MAX, &out);
    /* The one used last is told last, so that it is the last to be forgotten. */
    while (count-- > 0) {
        m.name_tell = tell_of(&n->lately[count].key, NAMES_KNOWN, &n->lately[count].value);
        wire_put(&out, &m);
    }
    if (out.bad)
        return false;
    send_both(p, &out, PLAN_POST, tracker, PLAN_COPY, deputy);
    return true;
}

static void
rejoin(struct naming *n, const struct swarms_at *at, const struct member *tracker,
       const struct member *deputy, struct plan *p)
{
    if (deputy != NULL && !node_equal(&n->deputy, &deputy->id)) {
        n->deputy = deputy->id;
        n->deputy_ms = soon_ms(n, at);
    }
    bool to_tracker = n->rejoin_ms > 0 && at->now_ms >= n->rejoin_ms;
    bool to_deputy = n->deputy_ms > 0 && at->now_ms >= n->deputy_ms;
    if (!to_tracker && !to_deputy)
        return;
    if (!send_lately(n, at, to_tracker ? tracker : NULL, to_deputy ? deputy : NULL, p))
        return; /* with the next plan */
    if (to_deputy)
        n->deputy_ms = 0;
    if (!to_tracker)
        return;
    if (tracker == NULL && !naming_in_office(at)) {
        n->rejoin_ms = at->now_ms + REJOIN_AGAIN_MS;
    } else {
        n->rejoin_ms = n->rejoin_last ? 0 : at->now_ms + REJOIN_LAST_MS;
        n->rejoin_last = true;
    }
}

void
naming_settle_tells(struct naming *n, const struct swarms_at *at, struct plan *p)
{
    if (n->tells_count == 0 && naming_tells_wake_ms(n) > at->now_ms &&
        node_equal(&n->deputy, &at->elect->deputy))
        return; /* before both are looked for */
    const struct member *tracker = naming_tracker(at), *deputy = naming_deputy(at);
    send_tells(n, at, tracker, deputy, p);
    if (naming_has_room(p))
        rejoin(n, at, tracker, deputy, p);
}

int64_t
naming_tells_wake_ms(const struct naming *n)
{
    int64_t due_ms = tells_due_ms(n);
    if (n->rejoin_ms > 0 && n->rejoin_ms < due_ms)
        due_ms = n->rejoin_ms;
    if (n->deputy_ms > 0 && n->deputy_ms < due_ms)
        due_ms = n->deputy_ms;
    return due_ms;
}
