/* The table of what was said, filled only while somebody looks. */
#include "p2p/traffic.h"
#include "base/mem.h"

struct heard {
    struct node_id node;
    int64_t heard_ms;
    struct traffic is;
};

struct traffics {
    int64_t asked_ms, told_ms;
    size_t count, room;
    struct heard *list;
};

struct traffics *
traffic_new(void)
{
    struct traffics *t = mem_zalloc(sizeof *t);
    t->asked_ms = t->told_ms = MEMBER_NEVER;
    return t;
}

void
traffic_free(struct traffics *t)
{
    if (t == NULL)
        return;
    mem_free(t->list);
    mem_free(t);
}

static struct heard *
find(const struct traffics *t, const struct node_id *node)
{
    for (size_t i = 0; i < t->count; i++)
        if (node_equal(&t->list[i].node, node))
            return &t->list[i];
    return NULL;
}

static struct heard *
place(struct traffics *t, const struct node_id *node)
{
    struct heard *known = find(t, node);
    if (known != NULL || t->count == MEMBERS_MAX)
        return known;
    if (t->count == t->room) {
        t->room = t->room == 0 ? 16 : t->room * 2;
        t->list = mem_realloc(t->list, t->room * sizeof *t->list);
    }
    t->list[t->count] = (struct heard){.node = *node};
    return &t->list[t->count++];
}

void
traffic_look(struct traffics *t, const struct members *m, uint64_t site, int64_t now_ms,
             struct plan *p)
{
    struct wire_msg ask = {.type = WIRE_TRAFFIC_ASK, .traffic_ask = {site}};
    int64_t crowds = (int64_t)(m->count / TRAFFIC_CROWD) + 1;
    if (m->count == 0 || now_ms - t->asked_ms < TRAFFIC_ASK_MS * crowds || plan_full(p))
        return;
    t->asked_ms = now_ms;
    plan_record(p, PLAN_SHOUT, NULL, &ask);
}

static void
put_flows(const struct traffic *own, struct scribe *out)
{
    for (size_t i = 0; i < own->flows_count; i++) {
        struct wire_msg m = {.type = WIRE_FLOW, .flow = {own->flows[i].from, own->flows[i].rate}};
        wire_put(out, &m);
    }
}

void
traffic_asked(struct traffics *t, const struct member *from, const struct traffic *own,
              int64_t now_ms, struct plan *p)
{
    if (now_ms - t->told_ms < TRAFFIC_TELL_MS || plan_full(p))
        return;
    t->told_ms = now_ms;
    struct wire_msg m = {.type = WIRE_TRAFFIC,
                         .traffic = {own->upstream_bytes, own->remote_bytes, own->peer_bytes,
                                     own->sent_bytes, own->upstream_rate, own->remote_rate,
                                     own->peer_rate, own->sent_rate}};
    struct scribe out;
    plan_write(p, WIRE_DATAGRAM_MAX, &out);
    wire_put(&out, &m);
    put_flows(own, &out);
    plan_wrote(p, plan_to(p, PLAN_DATAGRAM, from), &out);
}

void
traffic_hear(struct traffics *t, const struct node_id *from, const struct wire_traffic *said,
             int64_t now_ms)
{
    struct heard *h = place(t, from);
    if (h == NULL)
        return;
    h->heard_ms = now_ms;
    h->is = (struct traffic){.upstream_bytes = said->upstream_bytes,
                             .remote_bytes = said->remote_bytes,
                             .peer_bytes = said->peer_bytes,
                             .sent_bytes = said->sent_bytes,
                             .upstream_rate = said->upstream_rate,
                             .remote_rate = said->remote_rate,
                             .peer_rate = said->peer_rate,
                             .sent_rate = said->sent_rate};
}

void
traffic_hear_flow(struct traffics *t, const struct node_id *from, const struct wire_flow *said)
{
    struct heard *h = find(t, from);
    if (h == NULL || h->is.flows_count == TRAFFIC_FLOWS_MAX)
        return;
    h->is.flows[h->is.flows_count++] = (struct traffic_flow){said->from, said->rate};
}

void
traffic_gone(struct traffics *t, const struct node_id *node)
{
    struct heard *h = find(t, node);
    if (h != NULL)
        *h = t->list[--t->count];
}

const struct traffic *
traffic_of(const struct traffics *t, const struct node_id *node, int64_t now_ms,
           int64_t *ret_age_ms)
{
    const struct heard *h = find(t, node);
    if (h == NULL || now_ms - h->heard_ms > TRAFFIC_STALE_MS)
        return NULL;
    *ret_age_ms = now_ms - h->heard_ms;
    return &h->is;
}
