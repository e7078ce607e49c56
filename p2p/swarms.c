/* Joins the blobs of a node with its tracker, which may be itself. */
#include "p2p/swarms.h"
#include "base/err.h"
#include "base/mem.h"
#include "p2p/piece.h"
#include "p2p/sites.h"

struct one {
    struct swarm *swarm;
    int64_t used_ms; /* last time when somebody else asked for it or got a piece of it */
    bool leaves;     /* closed after one last announcement */
};

struct swarms {
    struct bans bans;
    size_t count;
    struct one list[SWARMS_MAX];
    struct tracker *tracker;
    struct attest *attest;
    int64_t learn_ms;   /* no grants before */
    int64_t rejoin_ms;  /* when all blobs are announced to a new tracker; 0: done */
    int64_t tracked_ms; /* last tick of the tracker's table */
    int64_t settled_ms; /* last time when there was a tracker */
    struct sites sites;
    struct rng rng;
};

struct swarms *
swarms_new(uint64_t seed)
{
    struct swarms *x = mem_zalloc(sizeof *x);
    x->tracker = tracker_new();
    x->attest = attest_new();
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
        swarm_free(x->list[i].swarm);
    tracker_free(x->tracker);
    attest_free(x->attest);
    mem_free(x);
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

static struct one *
find(struct swarms *x, const struct digest *digest)
{
    for (size_t i = 0; i < x->count; i++)
        if (digest_equal(swarm_digest(x->list[i].swarm), digest))
            return &x->list[i];
    return NULL;
}

struct swarm *
swarms_find(struct swarms *x, const struct digest *digest)
{
    struct one *o = find(x, digest);
    return o != NULL ? o->swarm : NULL;
}

static void
drop(struct swarms *x, struct one *o)
{
    swarm_free(o->swarm);
    *o = x->list[--x->count];
}

/* Open only to serve others. */
static bool
seeds(const struct one *o)
{
    return (swarm_has_flags(o->swarm) & WIRE_WANTS) == 0;
}

/* The blob that was asked for least lately among those that are only served goes; false: none. */
static bool
make_room(struct swarms *x)
{
    struct one *oldest = NULL;
    for (size_t i = 0; i < x->count; i++)
        if (seeds(&x->list[i]) && (oldest == NULL || x->list[i].used_ms < oldest->used_ms))
            oldest = &x->list[i];
    if (oldest != NULL)
        drop(x, oldest);
    return oldest != NULL;
}

const struct swarm *
swarms_each(const struct swarms *x, size_t i)
{
    return i < x->count ? x->list[i].swarm : NULL;
}

struct swarm *
swarms_open(struct swarms *x, const struct digest *digest, uint64_t size, uint8_t flags,
            int64_t now_ms)
{
    struct one *o = find(x, digest);
    if (o != NULL) {
        o->leaves = false;
        swarm_flags(o->swarm, flags);
        return o->swarm;
    }
    if (x->count == SWARMS_MAX && !make_room(x))
        return NULL;
    o = &x->list[x->count++];
    *o = (struct one){.swarm = swarm_new(digest, size, flags, now_ms), .used_ms = now_ms};
    return o->swarm;
}

void
swarms_leave(struct swarms *x, const struct digest *digest, int64_t now_ms)
{
    struct one *o = find(x, digest);
    if (o == NULL)
        return;
    o->used_ms = now_ms;
    if (swarm_whole(o->swarm)) {
        swarm_flags(o->swarm, WIRE_SERVES);
        return;
    }
    swarm_leave(o->swarm);
    o->leaves = true;
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
        swarm_gone(x->list[i].swarm, node);
}

void
swarms_ban(struct swarms *x, const struct node_id *node, int64_t until_ms)
{
    bans_set(&x->bans, node, until_ms);
    for (size_t i = 0; i < x->count; i++)
        swarm_gone(x->list[i].swarm, node);
    tracker_gone(x->tracker, node);
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

static void
give_orders(struct swarms *x, const struct swarms_at *at, const struct tracker_orders *orders,
            struct plan *p)
{
    for (size_t i = 0; i < orders->count && !plan_full(p); i++)
        give_order(x, at, &orders->list[i], p);
}

/* What is stored here whole, and was not in use, is served from now on. */
static struct one *
open_seed(struct swarms *x, const struct swarms_at *at, const struct digest *digest)
{
    uint64_t size = at->stored != NULL ? at->stored(at->stored_arg, digest) : 0;
    if (size == 0 || size > PIECE_BLOB_MAX)
        return NULL;
    struct swarm *s = swarms_open(x, digest, size, WIRE_SERVES, at->now_ms);
    for (uint32_t p = 0; s != NULL && p < swarm_pieces(s); p++)
        swarm_hold(s, p);
    return s != NULL ? find(x, digest) : NULL;
}

static void
hear_whohas(struct swarms *x, const struct swarms_at *at, const struct member *who,
            const struct digest *digest, struct plan *p)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_IHAVE;
    struct one *o = find(x, digest);
    if (o == NULL)
        o = open_seed(x, at, digest);
    if (o == NULL || plan_full(p) || !swarm_tell_held(o->swarm, !has_tracker(at->elect), &m.ihave))
        return;
    o->used_ms = at->now_ms;
    plan_record(p, PLAN_DATAGRAM, who, &m);
}

static void
hear_have(struct swarms *x, const struct swarms_at *at, const struct member *who,
          const struct wire_have *have)
{
    struct one *o = find(x, &have->digest);
    if (o != NULL && !bans_hold(&x->bans, &who->id, at->now_ms)) {
        o->used_ms = at->now_ms;
        swarm_have(o->swarm, &who->id, &who->addr, have);
    }
    tracker_have(x->tracker, &who->id, have);
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
    struct wire_msg m = {.type = WIRE_WHOHAS, .whohas = {*digest}};
    if (!in_office(at))
        return;
    if (tracker_holder(x->tracker, digest, &have)) {
        tell_site(at, &who->id, &have, p);
        return;
    }
    const struct one *o = find(x, digest);
    if (o == NULL)
        o = open_seed(x, at, digest);
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
    if (s != NULL)
        swarm_ihave(s, &who->id, &who->addr, said, at->now_ms);
    while (said->held.len == 0 && sites_found(&x->sites, &said->digest, at->now_ms, &asker))
        tell_site(at, &asker, &have, p);
}

/* Asks the trackers of other sites for what nobody here has. */
static void
ask_sites(struct swarms *x, const struct swarms_at *at, struct plan *p)
{
    struct digest digest;
    size_t from = 0;
    if (at->members->count == member_count(at->members, at->elect->site))
        return;
    while (!plan_full(p) && tracker_asks(x->tracker, at->now_ms, &from, &digest)) {
        struct wire_msg m = {.type = WIRE_SITE_ASK, .site_ask = {digest}};
        for (size_t i = 0; i < at->members->count && !plan_full(p); i++) {
            const struct member *to = &at->members->list[i];
            if (to->is_tracker && to->site != at->elect->site)
                plan_record(p, PLAN_DATAGRAM, to, &m);
        }
    }
}

static void
hear_far(struct swarms *x, const struct swarms_at *at, const struct member *who,
         const struct wire_msg *m, struct plan *p)
{
    struct tracker_orders orders = {.count = 0};
    if (m->type == WIRE_SITE_ASK)
        hear_site_ask(x, at, who, &m->site_ask.digest, p);
    else if (m->type == WIRE_SITE_HAVE && in_office(at))
        tracker_remote(x->tracker, &m->site_have, who->site, at->now_ms, &orders);
    give_orders(x, at, &orders, p);
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
    else if (m->type == WIRE_HAVE)
        hear_have(x, at, who, &m->have);
    else if (m->type == WIRE_WHOHAS)
        hear_whohas(x, at, who, &m->whohas.digest, p);
    else if (m->type == WIRE_IHAVE && !bans_hold(&x->bans, from, at->now_ms))
        hear_ihave(x, at, who, &m->ihave, p);
    else if (m->type == WIRE_TRIM && node_equal(from, &at->elect->tracker.id))
        obey(x, &m->trim, p);
    else if (m->type == WIRE_NUDGE && node_equal(from, &at->elect->tracker.id))
        nudged(x, &m->nudge.digest);
}

/* ---- words about pieces ---- */

void
swarms_attest(struct swarms *x, const struct digest *digest, uint32_t piece,
              const uint8_t word[ATTEST_BYTES])
{
    attest_own(x->attest, digest, piece, word);
}

static void
hear_words(const struct wire_attested *said, struct plan *p)
{
    struct scribe out;
    if (plan_full(p) || plan_room(p) < said->words.len)
        return;
    plan_write(p, said->words.len, &out);
    scribe_bytes(&out, said->words.bytes, said->words.len);
    struct plan_action *a = plan_add(p, PLAN_WORDS);
    a->blob = said->digest;
    a->get.first = said->first;
    plan_wrote(p, a, &out);
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
    m.type = WIRE_DOUBT;
    at = 0;
    while (swarm_doubt(s, &at, &m.doubt))
        wire_put(out, &m);
    swarm_told(s);
}

/* A blob's announcement at its largest, with doubts about all, and a peer's bits. */
#define ANNOUNCE_ROOM (WIRE_BITS_MAX + 1024 + SWARM_PEERS_MAX * (sizeof(struct wire_doubt) + 3))
#define ANSWER_ROOM   512 /* for what a blob gets besides peers */

/* Those that are due now, and those that are nearly, in one request. */
static void
post(struct swarms *x, const struct swarms_at *at, struct plan *p)
{
    const struct member *to = member_find(at->members, &at->elect->tracker.id);
    const struct member *deputy = member_find(at->members, &at->elect->deputy);
    struct scribe out;
    bool due = false;
    for (size_t i = 0; i < x->count && !due; i++)
        due = swarm_announce_due(x->list[i].swarm, at->now_ms);
    if (!due || to == NULL || p->count + 2 > PLAN_ACTIONS_MAX || plan_room(p) < ANNOUNCE_ROOM)
        return;
    plan_write(p, WIRE_CONTROL_MAX, &out);
    for (size_t i = 0; i < x->count && scribe_room(&out) >= ANNOUNCE_ROOM; i++)
        if (swarm_announce_due(x->list[i].swarm, at->now_ms) ||
            swarm_announce_near(x->list[i].swarm, at->now_ms))
            write_announcement(x->list[i].swarm, at->now_ms, &out);
    attest_say(x->attest, &out);
    struct plan_action *a = plan_to(p, PLAN_POST, to);
    plan_wrote(p, a, &out);
    if (deputy == NULL)
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
    struct wire_doubt doubt;
    struct wire_grant grant;
    struct wire_peer peer;
    swarm_announce(s, at->now_ms, &blob);
    tracker_blob(x->tracker, at->self, at->addr, &blob, at->now_ms, &orders);
    size_t i = 0;
    while (swarm_report(s, &i, &fetching))
        tracker_fetching(x->tracker, at->self, &fetching, at->now_ms, &orders);
    i = 0;
    while (swarm_doubt(s, &i, &doubt))
        tracker_doubt(x->tracker, at->self, &doubt, at->now_ms);
    swarm_told(s);
    swarm_taken(s, at->now_ms);
    while (at->now_ms >= x->learn_ms &&
           tracker_grant(x->tracker, at->self, &blob.digest, at->now_ms, &grant, &orders))
        swarm_granted(s, &grant);
    i = 0;
    while (tracker_peer(x->tracker, at->self, &blob.digest, at->now_ms, &i, &peer))
        if (!bans_hold(&x->bans, &peer.node, at->now_ms))
            swarm_peer(s, &peer);
    struct wire_attested words;
    uint32_t piece = 0;
    while ((blob.flags & WIRE_WARY) != 0 && attest_next(x->attest, &blob.digest, &piece, &words))
        hear_words(&words, p);
    give_orders(x, at, &orders, p);
}

/* That it was read, and grants. */
static void
write_grants(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
             const struct digest *digest, struct tracker_orders *orders, struct scribe *out)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    if (!tracker_knows(x->tracker, digest))
        return; /* no place in the table: the node helps itself */
    m.type = WIRE_TAKEN;
    m.taken.digest = *digest;
    wire_put(out, &m);
    memset(&m, 0, sizeof m);
    m.type = WIRE_GRANT;
    while (at->now_ms >= x->learn_ms && scribe_room(out) >= ANSWER_ROOM &&
           tracker_grant(x->tracker, from, digest, at->now_ms, &m.grant, orders))
        wire_put(out, &m);
}

static void
write_peers(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
            const struct digest *digest, struct scribe *out)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_PEER;
    size_t i = 0;
    while (scribe_room(out) >= ANNOUNCE_ROOM &&
           tracker_peer(x->tracker, from, digest, at->now_ms, &i, &m.peer))
        wire_put(out, &m);
}

static void
write_words(struct swarms *x, const struct digest *digest, struct scribe *out)
{
    struct wire_msg m;
    uint32_t piece = 0;
    memset(&m, 0, sizeof m);
    m.type = WIRE_ATTESTED;
    while (scribe_room(out) >= ANNOUNCE_ROOM && attest_next(x->attest, digest, &piece, &m.attested))
        wire_put(out, &m);
}

/* Grants for all blobs of the request first, then peers as far as there is room. */
static void
write_answer(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
             const struct cursor *body, struct tracker_orders *orders, struct scribe *out)
{
    struct wire_msg m;
    struct cursor c = *body;
    while (wire_next(&c, &m) == 1 && scribe_room(out) >= ANSWER_ROOM)
        if (m.type == WIRE_BLOB)
            write_grants(x, at, from, &m.blob.digest, orders, out);
    c = *body;
    while (wire_next(&c, &m) == 1)
        if (m.type == WIRE_BLOB) {
            if ((m.blob.flags & WIRE_WARY) != 0)
                write_words(x, &m.blob.digest, out);
            write_peers(x, at, from, &m.blob.digest, out);
            if (at->now_ms >= x->learn_ms)
                tracker_nudge(x->tracker, &m.blob.digest, at->now_ms, orders);
        }
}

int
swarms_request(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
               const struct node_addr *addr, struct cursor *body, struct plan *p)
{
    struct tracker_orders orders = {.count = 0};
    struct cursor all = *body;
    struct wire_msg m;
    int rc;
    while ((rc = wire_next(body, &m)) == 1) {
        if (bans_hold(&x->bans, from, at->now_ms))
            continue;
        if (m.type == WIRE_BLOB)
            tracker_blob(x->tracker, from, addr, &m.blob, at->now_ms, &orders);
        else if (m.type == WIRE_FETCHING)
            tracker_fetching(x->tracker, from, &m.fetching, at->now_ms, &orders);
        else if (m.type == WIRE_DOUBT)
            tracker_doubt(x->tracker, from, &m.doubt, at->now_ms);
        else if (m.type == WIRE_ATTEST)
            attest_hear(x->attest, &m.attest.digest, m.attest.first, &m.attest.words);
    }
    if (rc < 0)
        return rc;
    struct scribe out;
    plan_write(p, WIRE_CONTROL_MAX, &out);
    if (in_office(at))
        write_answer(x, at, from, &all, &orders, &out);
    plan_wrote(p, plan_add(p, PLAN_REPLY), &out);
    give_orders(x, at, &orders, p);
    return 0;
}

int
swarms_reply(struct swarms *x, const struct swarms_at *at, struct cursor *body, struct plan *p)
{
    struct wire_msg m;
    int rc;
    while ((rc = wire_next(body, &m)) == 1) {
        struct swarm *s;
        if (m.type == WIRE_GRANT && (s = swarms_find(x, &m.grant.digest)) != NULL)
            swarm_granted(s, &m.grant);
        else if (m.type == WIRE_TAKEN && (s = swarms_find(x, &m.taken.digest)) != NULL)
            swarm_taken(s, at->now_ms);
        else if (m.type == WIRE_PEER && (s = swarms_find(x, &m.peer.digest)) != NULL &&
                 !node_equal(&m.peer.node, at->self) &&
                 !bans_hold(&x->bans, &m.peer.node, at->now_ms))
            swarm_peer(s, &m.peer);
        else if (m.type == WIRE_ATTESTED && swarms_find(x, &m.attested.digest) != NULL)
            hear_words(&m.attested, p);
    }
    return rc;
}

/* ---- what is due ---- */

/* Room that what one blob needs now may take. */
static bool
has_room(const struct plan *p)
{
    return p->count + 8 < PLAN_ACTIONS_MAX && plan_room(p) >= WIRE_DATAGRAM_MAX;
}

static void
settle_swarm(struct swarms *x, const struct swarms_at *at, struct one *o, struct plan *p)
{
    struct swarm *s = o->swarm;
    struct swarm_moment moment = {
        at->now_ms, at->now_ms - x->settled_ms, at->members, at->self, at->elect->site, &x->rng};
    struct swarm_get get;
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    if (has_room(p) && swarm_shout_due(s, &moment)) {
        m = (struct wire_msg){.type = WIRE_WHOHAS, .whohas = {*swarm_digest(s)}};
        plan_record(p, PLAN_SHOUT, NULL, &m);
    }
    if (in_office(at) && swarm_announce_due(s, at->now_ms))
        take_own(x, at, s, p);
    while (has_room(p) && swarm_next(s, &moment, &get)) {
        struct plan_action *a = plan_add(p, PLAN_GET);
        a->blob = *swarm_digest(s);
        a->get = get;
        a->node = get.node;
        a->addr = get.addr;
    }
    memset(&m, 0, sizeof m);
    m.type = WIRE_HAVE;
    while (has_room(p) && swarm_take_have(s, at->now_ms, &m.have)) {
        tracker_have(x->tracker, at->self, &m.have);
        plan_record(p, PLAN_SHOUT, NULL, &m);
    }
}

/* Has its last word been said, or did nobody ask for it for long? */
static bool
is_over(const struct one *o, const struct swarms_at *at)
{
    if (o->leaves)
        return !has_tracker(at->elect) || swarm_announced_ms(o->swarm) > 0;
    return seeds(o) && at->now_ms - o->used_ms >= SWARMS_SEED_MS;
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
    for (size_t i = 0; i < x->count; i++) {
        if (rejoin)
            swarm_announce_now(x->list[i].swarm);
        settle_swarm(x, at, &x->list[i], p);
    }
    if (in_office(at))
        attest_hush(x->attest);
    else if (has_tracker(at->elect))
        post(x, at, p);
    for (size_t i = x->count; i-- > 0;)
        if (is_over(&x->list[i], at))
            drop(x, &x->list[i]);
    if (in_office(at) && has_room(p))
        ask_sites(x, at, p);
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
        int64_t mine_ms = swarm_wake_ms(x->list[i].swarm);
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
