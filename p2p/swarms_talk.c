/* Announcements to the tracker, their answers, and what this node answers as tracker. */
#include "base/err.h"
#include "p2p/swarms_inside.h"
#include "p2p/tuning.h"
#include <string.h>

/* Those who gave nothing of this blob, and those who give nothing of any. */
static bool
next_doubt(const struct swarms *x, const struct swarm *s, int64_t now_ms, size_t *peer,
           size_t *suspect, struct wire_doubt *ret)
{
    if (swarm_doubt(s, now_ms, peer, ret))
        return true;
    while (*suspect < x->suspects.count) {
        const struct suspect *one = &x->suspects.list[(*suspect)++];
        *ret = (struct wire_doubt){*swarm_digest(s), one->node};
        if (now_ms < one->until_ms)
            return true;
    }
    return false;
}

static void
write_announcement(const struct swarms *x, struct swarm *s, int64_t now_ms, struct scribe *out)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_BLOB;
    swarm_announce(s, now_ms, &m.blob);
    wire_put(out, &m);
    m.type = WIRE_WINDOW;
    if (swarm_tell_window(s, &m.window))
        wire_put(out, &m);
    m.type = WIRE_FETCHING;
    size_t at = 0;
    while (swarm_report(s, &at, &m.fetching))
        wire_put(out, &m);
    m.type = WIRE_DOUBT;
    size_t suspect = at = 0;
    while (next_doubt(x, s, now_ms, &at, &suspect, &m.doubt))
        wire_put(out, &m);
    swarm_told(s);
}

/* A blob's announcement at its largest, with doubts about all, and a peer's bits. */
#define ANNOUNCE_ROOM \
    (WIRE_BITS_MAX + 1024 + (SWARM_PEERS_MAX + SUSPECTS_MAX) * (sizeof(struct wire_doubt) + 3))
#define ANSWER_ROOM 512 /* for what a blob gets besides peers */

/* Those that are due now, and those that are nearly, in one request. */
void
swarms_post(struct swarms *x, const struct swarms_at *at, struct plan *p)
{
    struct scribe out;
    bool due = false;
    for (size_t i = 0; i < x->count && !due; i++)
        due = swarm_announce_due(x->list[i].swarm, at->now_ms);
    if (!due)
        return;
    const struct member *to = member_find(at->members, &at->elect->tracker.id);
    const struct member *deputy = member_find(at->members, &at->elect->deputy);
    if (to == NULL || p->count + 2 > PLAN_ACTIONS_MAX || plan_room(p) < ANNOUNCE_ROOM)
        return;
    plan_write(p, WIRE_CONTROL_MAX, &out);
    for (size_t i = 0; i < x->count && scribe_room(&out) >= ANNOUNCE_ROOM; i++)
        if (swarm_announce_due(x->list[i].swarm, at->now_ms) ||
            swarm_announce_near(x->list[i].swarm, at->now_ms))
            write_announcement(x, x->list[i].swarm, at->now_ms, &out);
    struct plan_action *a = plan_to(p, PLAN_POST, to);
    plan_wrote(p, a, &out);
    if (deputy == NULL || tuning.no_deputy)
        return;
    struct plan_action *copy = plan_to(p, PLAN_COPY, deputy);
    copy->at = a->at;
    copy->len = a->len;
}

/* ---- announcements: to this node as tracker ---- */

void
swarms_take_own(struct swarms *x, const struct swarms_at *at, struct swarm *s, struct plan *p)
{
    struct tracker_orders orders = {.count = 0};
    struct wire_blob blob;
    struct wire_window window;
    struct wire_fetching fetching;
    struct wire_doubt doubt;
    struct wire_grant grant;
    struct wire_peer peer;
    swarm_announce(s, at->now_ms, &blob);
    tracker_blob(x->tracker, at->self, at->addr, &blob, at->now_ms, &orders);
    if (swarm_tell_window(s, &window))
        tracker_window(x->tracker, at->self, &window);
    size_t i = 0;
    while (swarm_report(s, &i, &fetching))
        tracker_fetching(x->tracker, at->self, &fetching, at->now_ms, &orders);
    size_t suspect = i = 0;
    while (next_doubt(x, s, at->now_ms, &i, &suspect, &doubt))
        tracker_doubt(x->tracker, at->self, &doubt, at->now_ms);
    swarm_told(s);
    if (tracker_knows(x->tracker, &blob.digest, blob.size))
        swarm_taken(s, at->now_ms);
    while (at->now_ms >= x->learn_ms &&
           tracker_grant(x->tracker, at->self, &blob.digest, at->now_ms, &grant, &orders))
        swarm_granted(s, &grant);
    i = 0;
    while (tracker_peer(x->tracker, at->self, &blob.digest, at->now_ms, &i, &peer))
        if (swarms_believes(x, &peer.node, at->now_ms))
            swarm_peer(s, &peer);
    swarms_give_orders(x, at, &orders, p);
}

/* That it was read, and grants. */
static void
write_grants(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
             const struct wire_blob *said, struct tracker_orders *orders, struct scribe *out)
{
    struct wire_msg m;
    const struct digest *digest = &said->digest;
    memset(&m, 0, sizeof m);
    if (!tracker_knows(x->tracker, digest, said->size))
        return; /* no place in the table, or not in that size: the node helps itself */
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

/* Grants for all blobs of the request first, then peers as far as there is room. */
static void
write_answer(struct swarms *x, const struct swarms_at *at, const struct node_id *from,
             const struct cursor *body, struct tracker_orders *orders, struct scribe *out)
{
    struct wire_msg m;
    struct cursor c = *body;
    while (wire_next(&c, &m) == 1 && scribe_room(out) >= ANSWER_ROOM)
        if (m.type == WIRE_BLOB)
            write_grants(x, at, from, &m.blob, orders, out);
    c = *body;
    while (wire_next(&c, &m) == 1)
        if (m.type == WIRE_BLOB) {
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
        bool banned = bans_hold(&x->bans, from, at->now_ms);
        if (banned && m.type == WIRE_FETCHING)
            tracker_stop(x->tracker, from, &m.fetching, &orders);
        else if (banned)
            continue;
        else if (m.type == WIRE_BLOB)
            tracker_blob(x->tracker, from, addr, &m.blob, at->now_ms, &orders);
        else if (m.type == WIRE_WINDOW)
            tracker_window(x->tracker, from, &m.window);
        else if (m.type == WIRE_FETCHING)
            tracker_fetching(x->tracker, from, &m.fetching, at->now_ms, &orders);
        else if (m.type == WIRE_DOUBT)
            tracker_doubt(x->tracker, from, &m.doubt, at->now_ms);
    }
    if (rc < 0)
        return rc;
    struct scribe out;
    plan_write(p, WIRE_CONTROL_MAX, &out);
    if (swarms_in_office(at))
        write_answer(x, at, from, &all, &orders, &out);
    plan_wrote(p, plan_add(p, PLAN_REPLY), &out);
    swarms_give_orders(x, at, &orders, p);
    return 0;
}

int
swarms_reply(struct swarms *x, const struct swarms_at *at, struct cursor *body)
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
                 swarms_believes(x, &m.peer.node, at->now_ms))
            swarm_peer(s, &m.peer);
    }
    return rc;
}
