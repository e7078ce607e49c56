/* The table of what was said, filled only while somebody looks. */
#include "p2p/traffic.h"
#include "base/mem.h"

struct heard {
    struct node_id node;
    int64_t heard_ms;
    struct traffic is;
};

struct traffics {
    int64_t asked_ms, told_ms, sums_told_ms;
    int64_t sites_ms;  /* when other sites were asked */
    int64_t gather_ms; /* when this site was asked, for another one */
    size_t count, room;
    struct heard *list;
    size_t sites_count;
    struct traffic_site sites[TRAFFIC_SITES_MAX];
};

struct traffics *
traffic_new(void)
{
    struct traffics *t = mem_zalloc(sizeof *t);
    t->asked_ms = t->told_ms = t->sums_told_ms = t->sites_ms = t->gather_ms = MEMBER_NEVER;
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

/* Is a question due that was asked at *at_ms? Then it is asked now. */
static bool
is_due(int64_t *at_ms, int64_t every_ms, const struct members *m, int64_t now_ms)
{
    int64_t crowds = (int64_t)(m->count / TRAFFIC_CROWD) + 1;
    if (now_ms - *at_ms < every_ms * crowds)
        return false;
    *at_ms = now_ms;
    return true;
}

/* By way of its own tracker, which knows those of other sites; who has none asks them itself. */
static void
ask_sites(struct traffics *t, const struct members *m, const struct member *tracker, int64_t now_ms,
          struct plan *p)
{
    struct wire_msg ask = {.type = WIRE_SUMS_ASK, .sums_ask = {m->home}};
    if (plan_full(p) || !is_due(&t->sites_ms, TRAFFIC_SITES_MS, m, now_ms))
        return;
    if (tracker != NULL) {
        plan_record(p, PLAN_DATAGRAM, tracker, &ask);
        return;
    }
    for (size_t i = 0; i < m->count && !plan_full(p); i++)
        if (m->list[i].is_tracker && m->list[i].site != m->home)
            plan_record(p, PLAN_DATAGRAM, &m->list[i], &ask);
}

void
traffic_look(struct traffics *t, const struct members *m, const struct member *tracker,
             int64_t now_ms, struct plan *p)
{
    struct wire_msg ask = {.type = WIRE_TRAFFIC_ASK, .traffic_ask = {m->home}};
    if (m->count == 0 || plan_full(p) || !is_due(&t->asked_ms, TRAFFIC_ASK_MS, m, now_ms))
        return;
    plan_record(p, PLAN_SHOUT, NULL, &ask);
    ask_sites(t, m, tracker, now_ms, p);
}

/* May this node answer now, as it did at *told_ms? It does. */
static bool
may_tell(int64_t *told_ms, int64_t now_ms, const struct plan *p)
{
    if (now_ms - *told_ms < TRAFFIC_TELL_MS || plan_full(p))
        return false;
    *told_ms = now_ms;
    return true;
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
    if (!may_tell(&t->told_ms, now_ms, p))
        return;
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

static void
add_up(const struct traffic *t, struct wire_site_sums *sum)
{
    sum->told++;
    sum->wan_bytes += t->upstream_bytes + t->remote_bytes;
    sum->wan_rate += t->upstream_rate + t->remote_rate;
    sum->lan_bytes += t->peer_bytes;
    sum->lan_rate += t->peer_rate;
}

/* What this tracker knows of its site. */
static struct wire_site_sums
sums_of(const struct traffics *t, const struct members *m, const struct traffic *own,
        int64_t now_ms)
{
    struct wire_site_sums sums = {.site = m->home, .nodes = (uint16_t)(m->home_count + 1)};
    add_up(own, &sums);
    for (size_t i = 0; i < t->count; i++)
        if (now_ms - t->list[i].heard_ms <= TRAFFIC_STALE_MS)
            add_up(&t->list[i].is, &sums);
    return sums;
}

void
traffic_sums_asked(struct traffics *t, const struct members *m, const struct member *from,
                   const struct traffic *own, int64_t now_ms, struct plan *p)
{
    struct wire_msg ask = {.type = WIRE_TRAFFIC_ASK, .traffic_ask = {m->home}};
    struct wire_msg sums = {.type = WIRE_SITE_SUMS, .site_sums = sums_of(t, m, own, now_ms)};
    if (!may_tell(&t->sums_told_ms, now_ms, p))
        return;
    plan_record(p, PLAN_DATAGRAM, from, &sums);
    if (!plan_full(p) && is_due(&t->gather_ms, TRAFFIC_SITES_MS, m, now_ms))
        plan_record(p, PLAN_SHOUT, NULL, &ask);
}

void
traffic_relay(struct traffics *t, const struct members *m, const struct member *from,
              int64_t now_ms, struct plan *p)
{
    const struct traffic_site *said;
    struct scribe out;
    size_t at = 0;
    if (!may_tell(&t->sums_told_ms, now_ms, p))
        return;
    said = traffic_site_next(t, &at, now_ms);
    while (said != NULL && !plan_full(p)) {
        plan_write(p, WIRE_DATAGRAM_MAX, &out);
        for (; said != NULL && scribe_room(&out) >= WIRE_ROOM(site_sums);
             said = traffic_site_next(t, &at, now_ms)) {
            struct wire_msg msg = {.type = WIRE_SITE_SUMS, .site_sums = said->is};
            wire_put(&out, &msg);
        }
        plan_wrote(p, plan_to(p, PLAN_DATAGRAM, from), &out);
    }
    ask_sites(t, m, NULL, now_ms, p);
}

/* Of too many sites the one that was heard longest ago gives way. */
static struct traffic_site *
site_place(struct traffics *t, uint64_t site)
{
    struct traffic_site *oldest = t->sites;
    for (size_t i = 0; i < t->sites_count; i++) {
        if (t->sites[i].is.site == site)
            return &t->sites[i];
        if (t->sites[i].heard_ms < oldest->heard_ms)
            oldest = &t->sites[i];
    }
    return t->sites_count < TRAFFIC_SITES_MAX ? &t->sites[t->sites_count++] : oldest;
}

void
traffic_site_hear(struct traffics *t, const struct wire_site_sums *said, int64_t now_ms)
{
    *site_place(t, said->site) = (struct traffic_site){now_ms, *said};
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

const struct traffic_site *
traffic_site_next(const struct traffics *t, size_t *at, int64_t now_ms)
{
    for (; *at < t->sites_count; ++*at)
        if (now_ms - t->sites[*at].heard_ms <= TRAFFIC_STALE_MS)
            return &t->sites[(*at)++];
    return NULL;
}
