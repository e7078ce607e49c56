/* The picture of a site as JSON. */
#include "proxy/report_site.h"
#include "base/mem.h"
#include "base/metric.h"
#include "proxy/report_swarm.h"
#include <stdlib.h>

struct sums {
    uint64_t wan, wan_rate, lan, lan_rate, told, here;
};

struct edge {
    struct node_id from, to;
    uint64_t rate;
};

/* All flows that are known: this node's own and what the others told. */
struct picture {
    struct sums sums;
    size_t count, room;
    struct edge *edges;
};

static void
add_edge(struct picture *p, const struct node_id *from, const struct node_id *to, uint64_t rate)
{
    for (size_t i = 0; i < p->count; i++)
        if (node_equal(&p->edges[i].from, from) && node_equal(&p->edges[i].to, to))
            return; /* both ends say so */
    if (p->count == p->room) {
        p->room = p->room ? 2 * p->room : 64;
        p->edges = mem_realloc(p->edges, p->room * sizeof *p->edges);
    }
    p->edges[p->count++] = (struct edge){*from, *to, rate};
}

static int
faster(const void *a, const void *b)
{
    const struct edge *x = a, *y = b;
    return (x->rate < y->rate) - (x->rate > y->rate);
}

static void
add_traffic(const struct traffic *t, cJSON *to)
{
    json_add_u64(to, "upstream_bytes", t->upstream_bytes);
    json_add_u64(to, "remote_bytes", t->remote_bytes);
    json_add_u64(to, "peer_bytes", t->peer_bytes);
    json_add_u64(to, "sent_bytes", t->sent_bytes);
    json_add_u64(to, "upstream_bytes_s", t->upstream_rate);
    json_add_u64(to, "remote_bytes_s", t->remote_rate);
    json_add_u64(to, "peer_bytes_s", t->peer_rate);
    json_add_u64(to, "sent_bytes_s", t->sent_rate);
}

static void
sum_up(const struct traffic *t, const struct node_id *node, struct picture *p)
{
    struct sums *s = &p->sums;
    s->told++;
    s->wan += t->upstream_bytes + t->remote_bytes;
    s->wan_rate += t->upstream_rate + t->remote_rate;
    s->lan += t->peer_bytes;
    s->lan_rate += t->peer_rate;
    for (size_t i = 0; i < t->flows_count; i++)
        if (t->flows[i].rate > 0)
            add_edge(p, &t->flows[i].from, node, t->flows[i].rate);
}

static cJSON *
node(const struct node_id *id, const struct node_addr *addr, const char *site, const char *role)
{
    cJSON *one = cJSON_CreateObject();
    char text[IDENTITY_TEXT_MAX], address[ADDR_TEXT_MAX];
    identity_print(id, text);
    addr_print(addr, address);
    report_add_text(one, "id", text);
    report_add_text(one, "address", address);
    report_add_text(one, "site", site);
    report_add_text(one, "role", role);
    return one;
}

static void
add_self(const struct p2p_state *s, cJSON *list, struct picture *p)
{
    bool deputy = node_equal(&s->self, &s->deputy);
    cJSON *one = node(&s->self, &s->addr, s->site, deputy ? "deputy" : elect_role_name(s->role));
    cJSON_AddBoolToObject(one, "same_site", true);
    cJSON_AddBoolToObject(one, "self", true);
    json_add_u64(one, "told_ms_ago", 0);
    add_traffic(&s->traffic, one);
    sum_up(&s->traffic, &s->self, p);
    p->sums.here++;
    cJSON_AddItemToArray(list, one);
}

static void
add_peer(const struct p2p_peer *m, cJSON *list, struct picture *p)
{
    cJSON *one = node(&m->id, &m->addr, m->site,
                      m->is_tracker  ? "tracker"
                      : m->is_deputy ? "deputy"
                                     : "member");
    cJSON_AddBoolToObject(one, "same_site", m->same_site);
    cJSON_AddBoolToObject(one, "self", false);
    p->sums.here += m->same_site;
    if (m->told_ms_ago >= 0) {
        json_add_u64(one, "told_ms_ago", (uint64_t)m->told_ms_ago);
        add_traffic(&m->traffic, one);
        sum_up(&m->traffic, &m->id, p);
    } else {
        cJSON_AddNullToObject(one, "told_ms_ago");
    }
    cJSON_AddItemToArray(list, one);
}

static void
add_end(cJSON *to, const char *key, const struct node_id *id)
{
    char text[IDENTITY_TEXT_MAX];
    identity_print(id, text);
    report_add_text(to, key, node_is_none(id) ? "upstream" : text);
}

static void
add_edges(struct picture *p, cJSON *to)
{
    cJSON *list = cJSON_AddArrayToObject(to, "flows");
    if (p->count > 0)
        qsort(p->edges, p->count, sizeof *p->edges, faster);
    for (size_t i = 0; i < p->count; i++) {
        cJSON *one = cJSON_CreateObject();
        add_end(one, "from", &p->edges[i].from);
        add_end(one, "to", &p->edges[i].to);
        json_add_u64(one, "bytes_s", p->edges[i].rate);
        cJSON_AddItemToArray(list, one);
    }
}

static void
add_sum(cJSON *to, const char *key, uint64_t bytes, uint64_t rate)
{
    cJSON *one = cJSON_AddObjectToObject(to, key);
    json_add_u64(one, "bytes", bytes);
    json_add_u64(one, "bytes_s", rate);
}

static void
add_sums(const struct sums *s, cJSON *to)
{
    add_sum(to, "wan", s->wan, s->wan_rate);
    add_sum(to, "lan", s->lan, s->lan_rate);
    json_add_u64(to, "told", s->told);
    json_add_u64(to, "nodes_here", s->here);
}

/* What this node sends: who gets it may be of another site, or of an older version. */
static void
add_own_flows(const struct p2p_state *s, struct picture *p)
{
    for (size_t i = 0; i < s->flows_count; i++) {
        const struct flow *f = &s->flows[i];
        if (f->rate[FLOW_IN] > 0)
            add_edge(p, &f->node, &s->self, f->rate[FLOW_IN]);
        if (f->rate[FLOW_OUT] > 0 && !node_is_none(&f->node))
            add_edge(p, &s->self, &f->node, f->rate[FLOW_OUT]);
    }
}

/* Of other sites their trackers give sums. */
static void
add_sites(const struct p2p_state *s, cJSON *to)
{
    cJSON *list = cJSON_AddArrayToObject(to, "sites");
    for (size_t i = 0; i < s->sites_count; i++) {
        const struct p2p_site *site = &s->sites[i];
        cJSON *one = cJSON_CreateObject();
        report_add_text(one, "site", site->name);
        json_add_u64(one, "told_ms_ago", (uint64_t)site->told_ms_ago);
        add_sum(one, "wan", site->is.wan_bytes, site->is.wan_rate);
        add_sum(one, "lan", site->is.lan_bytes, site->is.lan_rate);
        json_add_u64(one, "told", site->is.told);
        json_add_u64(one, "nodes", site->is.nodes);
        cJSON_AddItemToArray(list, one);
    }
}

/* A node without a swarm, or whose swarm does not answer: its own counters are all there is. */
static cJSON *
alone(const struct report *r, const char *reason)
{
    cJSON *doc = cJSON_CreateObject();
    cJSON_AddBoolToObject(doc, "alone", true);
    report_add_text(doc, "reason", reason);
    struct transfer_info *infos = mem_alloc(REPORT_TRANSFERS_MAX * sizeof *infos);
    size_t count = r->fetch ? fetch_list(r->fetch, infos, REPORT_TRANSFERS_MAX) : 0;
    struct sums s = {.wan = metric_get(M_body_upstream) + metric_get(M_body_remote_peer),
                     .lan = metric_get(M_body_peer),
                     .told = 1,
                     .here = 1};
    for (size_t i = 0; i < count; i++)
        s.wan_rate += infos[i].rate_bytes_s;
    mem_free(infos);
    add_sums(&s, doc);
    return doc;
}

cJSON *
report_site(const struct report *r)
{
    AUTO(p2p_state_release) struct p2p_state s = {0};
    char room[REPORT_SWARM_ALONE_MAX];
    struct picture p = {0};
    if (!r->p2p)
        return alone(r, report_swarm_alone(r->settings, room));
    if (p2p_watch(r->p2p, &s))
        return alone(r, "the swarm's thread does not answer");
    cJSON *doc = cJSON_CreateObject();
    cJSON_AddBoolToObject(doc, "alone", false);
    report_add_text(doc, "reason", "");
    char id[IDENTITY_TEXT_MAX];
    identity_print(&s.self, id);
    report_add_text(doc, "self", id);
    report_add_text(doc, "site", s.site);
    cJSON *list = cJSON_AddArrayToObject(doc, "nodes");
    add_self(&s, list, &p);
    for (size_t i = 0; i < s.peers_count; i++)
        add_peer(&s.peers[i], list, &p);
    add_own_flows(&s, &p);
    add_edges(&p, doc);
    add_sums(&p.sums, doc);
    add_sites(&s, doc);
    mem_free(p.edges);
    return doc;
}
