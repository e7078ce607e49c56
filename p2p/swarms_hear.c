/* What datagrams say of blobs, in this site and between sites, and the tracker's orders. */
#include "p2p/swarms_inside.h"
#include <string.h>

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
    a->get.lease = t->lease;
    a->why = t->why;
}

static void
nudged(struct swarms *x, const struct digest *digest)
{
    struct swarm *s = swarms_find(x, digest);
    if (s != NULL)
        swarm_announce_now(s);
}

static void
give_order(struct swarms *x, const struct swarms_at *at, const struct tracker_order *o,
           struct plan *p)
{
    const struct member *m = member_find(at->members, &o->node);
    struct wire_msg msg;
    memset(&msg, 0, sizeof msg);
    if (node_equal(&o->node, at->self)) {
        if (o->nudge)
            nudged(x, &o->trim.digest);
        else
            obey(x, &o->trim, p);
        return;
    }
    if (o->nudge)
        msg = (struct wire_msg){.type = WIRE_NUDGE, .nudge = {o->trim.digest}};
    else
        msg = (struct wire_msg){.type = WIRE_TRIM, .trim = o->trim};
    if (m != NULL)
        plan_record(p, PLAN_DATAGRAM, m, &msg);
}

void
swarms_give_orders(struct swarms *x, const struct swarms_at *at,
                   const struct tracker_orders *orders, struct plan *p)
{
    for (size_t i = 0; i < orders->count && !plan_full(p); i++)
        give_order(x, at, &orders->list[i], p);
}

struct swarms_one *
swarms_open_seed(struct swarms *x, const struct swarms_at *at, const struct digest *digest)
{
    uint64_t size = at->stored != NULL ? at->stored(at->stored_arg, digest) : 0;
    if (size == 0 || size > PIECE_BLOB_MAX)
        return NULL;
    struct swarm *s = swarms_open(x, digest, size, WIRE_SERVES, at->now_ms);
    for (uint32_t p = 0; s != NULL && p < swarm_pieces(s); p++)
        swarm_hold(s, p);
    return s != NULL ? swarms_one(x, digest) : NULL;
}

static void
hear_whohas(struct swarms *x, const struct swarms_at *at, const struct member *who,
            const struct digest *digest, struct plan *p)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_IHAVE;
    swarms_copy_disturb(x, at->now_ms);
    questions_heard(&x->questions, digest, at->now_ms);
    if (at->heard != NULL)
        at->heard(at->stored_arg, digest);
    struct swarms_one *o = swarms_one(x, digest);
    if (o == NULL)
        o = swarms_open_seed(x, at, digest);
    enum swarm_tell how = swarms_tracked(at->elect) ? SWARM_TELL_WHOLE : SWARM_TELL_PARTLY;
    if (o == NULL || plan_full(p) || !swarm_tell_held(o->swarm, how, &m.ihave))
        return;
    o->used_ms = at->now_ms;
    plan_record(p, PLAN_DATAGRAM, who, &m);
}

/* Its last copy in the site shall come here: it has all of it. */
static void
hear_take(struct swarms *x, const struct swarms_at *at, const struct member *who,
          const struct wire_take *t)
{
    struct wire_ihave all = {.digest = t->digest, .size = t->size};
    struct swarm *s = swarms_find(x, &t->digest);
    if (s != NULL)
        swarm_ihave(s, &who->id, &who->addr, &all, at->now_ms);
}

static void
hear_have(struct swarms *x, const struct swarms_at *at, const struct member *who,
          const struct wire_have *have)
{
    struct swarms_one *o = swarms_one(x, &have->digest);
    if (o != NULL && swarms_believes(x, &who->id, at->now_ms)) {
        o->used_ms = at->now_ms;
        swarm_have(o->swarm, &who->id, &who->addr, have);
    }
    tracker_have(x->tracker, &who->id, have);
}

static void
hear_window(struct swarms *x, const struct member *who, const struct wire_window *said)
{
    struct swarm *s = swarms_find(x, &said->digest);
    if (s != NULL)
        swarm_peer_window(s, &who->id, said->first);
    tracker_window(x->tracker, &who->id, said);
}

/* ---- words about pieces ---- */

void
swarms_ask_words(const struct swarms_at *at, struct swarm *s, struct plan *p)
{
    struct wire_msg m = {.type = WIRE_ASK_WORDS};
    const struct node_id *id = NULL;
    if (!swarm_asks_words(s, at->now_ms, &m.ask_words, &id))
        return;
    const struct member *to = member_find(at->members, id);
    if (to != NULL)
        plan_record(p, PLAN_DATAGRAM, to, &m);
}

static void
hear_words(struct swarms *x, const struct swarms_at *at, const struct member *who,
           const struct wire_attest *said)
{
    struct swarm *s = swarms_find(x, &said->digest);
    if (s != NULL && !bans_hold(&x->bans, &who->id, at->now_ms))
        swarm_words(s, &who->id, said->read == 1, said->first, &said->words, at->now_ms);
}

/* All that is known here, and an end; what must be brought from the disk, or is hashed now since it
 * was here before, is told to all when it comes. Who is asked may have said that it stores the blob
 * without serving it yet (swarms_copy.c), or serve it no more: an end alone would doubt it. */
static void
answer_words(struct swarms *x, const struct swarms_at *at, const struct member *who,
             const struct wire_ask_words *asked, struct plan *p)
{
    struct swarms_one *o = swarms_one(x, &asked->digest);
    if (o == NULL)
        o = swarms_open_seed(x, at, &asked->digest);
    if (o != NULL)
        o->used_ms = at->now_ms;
    struct swarm *s = o != NULL ? o->swarm : NULL;
    struct wire_msg m = {.type = WIRE_ATTEST};
    bool told = false;
    for (int read = 1; s != NULL && read >= 0; read--) {
        uint32_t from = 0;
        for (; !plan_full(p) && swarm_tell_words(s, asked, read == 1, &from, &m.attest);
             told = true)
            plan_record(p, PLAN_DATAGRAM, who, &m);
    }
    if (s != NULL && !told && !plan_full(p) && swarm_recalls(s))
        plan_add(p, PLAN_WORDS)->blob = asked->digest;
    if (s != NULL && !told && (swarm_is_recalling(s) || swarm_wants(s)))
        return;
    m.attest = (struct wire_attest){.digest = asked->digest, .first = asked->first};
    if (!plan_full(p))
        plan_record(p, PLAN_DATAGRAM, who, &m);
}

/* ---- other sites ---- */

static void
tell_site(const struct swarms_at *at, const struct node_id *to, const struct wire_site_have *have,
          struct plan *p)
{
    const struct member *m = member_find(at->members, to);
    struct wire_msg msg = {.type = WIRE_SITE_HAVE, .site_have = *have};
    if (m != NULL && !plan_full(p))
        plan_record(p, PLAN_DATAGRAM, m, &msg);
}

/* The tracker of another site asks for a blob. */
static void
hear_site_ask(struct swarms *x, const struct swarms_at *at, const struct member *who,
              const struct digest *digest, struct plan *p)
{
    struct wire_site_have have;
    struct wire_msg m = {.type = WIRE_COPY_ASK, .copy_ask = {*digest, 1}};
    if (!swarms_in_office(at))
        return;
    if (tracker_holder(x->tracker, digest, &have)) {
        tell_site(at, &who->id, &have, p);
        return;
    }
    const struct swarms_one *o = swarms_one(x, digest);
    if (o == NULL)
        o = swarms_open_seed(x, at, digest);
    if (o != NULL && swarm_whole(o->swarm)) {
        have = (struct wire_site_have){*digest, swarm_size(o->swarm), *at->self, *at->addr};
        tell_site(at, &who->id, &have, p);
    } else if (sites_wait(&x->sites, digest, &who->id, at->now_ms) && !plan_full(p)) {
        plan_record(p, PLAN_SHOUT, NULL, &m);
    }
}

static void
hear_ihave(struct swarms *x, const struct swarms_at *at, const struct member *who,
           const struct wire_ihave *said, struct plan *p)
{
    struct swarm *s = swarms_find(x, &said->digest);
    struct wire_site_have have = {said->digest, said->size, who->id, who->addr};
    struct node_id asker;
    if (said->held.len == 0)
        replicas_held(tracker_replicas(x->tracker), &said->digest, &who->id);
    if (s != NULL)
        swarm_ihave(s, &who->id, &who->addr, said, at->now_ms);
    while (said->held.len == 0 && sites_found(&x->sites, &said->digest, at->now_ms, &asker))
        tell_site(at, &asker, &have, p);
}

/* The next tracker of another site at or behind *at; NULL: no more. */
static const struct member *
next_far(const struct swarms_at *x, size_t *at)
{
    while (*at < x->members->count) {
        const struct member *m = &x->members->list[(*at)++];
        if (m->is_tracker && m->site != x->elect->site)
            return m;
    }
    return NULL;
}

static void
tell_far(const struct swarms_at *at, const struct wire_msg *m, struct plan *p)
{
    const struct member *to;
    size_t i = 0;
    while (!plan_full(p) && (to = next_far(at, &i)) != NULL)
        plan_record(p, PLAN_DATAGRAM, to, m);
}

/* Asks the trackers of other sites for what nobody here has. */
void
swarms_ask_sites(struct swarms *x, const struct swarms_at *at, struct plan *p)
{
    struct digest digest;
    size_t from = 0;
    if (at->members->count == member_count(at->members, at->elect->site))
        return;
    while (!plan_full(p) && tracker_asks(x->tracker, at->now_ms, &from, &digest)) {
        struct wire_msg m = {.type = WIRE_SITE_ASK, .site_ask = {digest}};
        tell_far(at, &m, p);
    }
}

/* Tells other sites what is pulled here, one blob at a time, and takes what most of them pull. */
void
swarms_preseed(struct swarms *x, const struct swarms_at *at, struct plan *p)
{
    struct preseed *s = tracker_preseed(x->tracker);
    struct wire_msg m = {.type = WIRE_SITE_PULLS};
    struct wire_site_pulls *pulls = &m.site_pulls;
    size_t i = 0, sites = 0;
    if (!at->preseed || !swarms_in_office(at))
        return;
    while (next_far(at, &i) != NULL)
        sites++;
    if (sites > 0 && preseed_tell(s, at->now_ms, &pulls->digest, &pulls->size))
        tell_far(at, &m, p);
    while (preseed_due(s, sites, at->now_ms, &pulls->digest, &pulls->size))
        replicas_seed(tracker_replicas(x->tracker), &pulls->digest, pulls->size, at->now_ms);
}

static void
hear_far(struct swarms *x, const struct swarms_at *at, const struct member *who,
         const struct wire_msg *m, struct plan *p)
{
    struct tracker_orders orders = {.count = 0};
    if (m->type == WIRE_SITE_ASK)
        hear_site_ask(x, at, who, &m->site_ask.digest, p);
    else if (m->type == WIRE_SITE_HAVE && swarms_in_office(at))
        tracker_remote(x->tracker, &m->site_have, who->site, at->now_ms, &orders);
    else if (m->type == WIRE_SITE_PULLS && swarms_in_office(at) && who->is_tracker)
        preseed_heard(tracker_preseed(x->tracker), &m->site_pulls.digest, m->site_pulls.size,
                      who->site, at->now_ms);
    swarms_give_orders(x, at, &orders, p);
}

void
swarms_hear(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
            const struct wire_msg *m, struct plan *p)
{
    const struct member *who = member_find(at->members, from);
    if (who == NULL)
        return;
    if (who->site != at->elect->site)
        hear_far(x, at, who, m, p);
    else if (swarms_copy_hear(x, at, who, m, p))
        return;
    else if (m->type == WIRE_HAVE)
        hear_have(x, at, who, &m->have);
    else if (m->type == WIRE_WINDOW)
        hear_window(x, who, &m->window);
    else if (m->type == WIRE_WHOHAS)
        hear_whohas(x, at, who, &m->whohas.digest, p);
    else if (m->type == WIRE_IHAVE && swarms_believes(x, from, at->now_ms))
        hear_ihave(x, at, who, &m->ihave, p);
    else if (m->type == WIRE_TAKE && swarms_believes(x, from, at->now_ms))
        hear_take(x, at, who, &m->take);
    else if (m->type == WIRE_ATTEST)
        hear_words(x, at, who, &m->attest);
    else if (m->type == WIRE_ASK_WORDS)
        answer_words(x, at, who, &m->ask_words, p);
    else if (m->type == WIRE_TRIM && node_equal(from, &at->elect->tracker.id))
        obey(x, &m->trim, p);
    else if (m->type == WIRE_NUDGE && node_equal(from, &at->elect->tracker.id))
        nudged(x, &m->nudge.digest);
}
