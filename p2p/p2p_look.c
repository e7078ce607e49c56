/* The picture of the swarm that people get. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "p2p/p2p_inside.h"
#include <stdlib.h>

static int
order_of_peers(const void *a, const void *b)
{
    const struct p2p_peer *x = a, *y = b;
    if (x->is_tracker != y->is_tracker)
        return x->is_tracker ? -1 : 1;
    return node_compare(&x->id, &y->id);
}

static int
order_of_blobs(const void *a, const void *b)
{
    const struct p2p_blob *x = a, *y = b;
    if (x->wants != y->wants)
        return x->wants ? -1 : 1;
    return memcmp(&x->digest, &y->digest, sizeof x->digest);
}

/* ---- traffic ---- */

static struct flow *
copy_flows(struct p2p *p, size_t *ret_count)
{
    struct flow *all = mem_alloc(FLOWS_MAX * sizeof *all);
    int64_t now_ms = clock_ms();
    lock_take(&p->flows_lock);
    *ret_count = flow_list(&p->flows, now_ms, all);
    lock_drop(&p->flows_lock);
    return all;
}

static int
order_of_flows(const void *a, const void *b)
{
    const struct flow *x = a, *y = b;
    return (x->rate[FLOW_IN] < y->rate[FLOW_IN]) - (x->rate[FLOW_IN] > y->rate[FLOW_IN]);
}

/* Rates of what comes are split by whom it comes from; nodes of other sites are the members that
 * are there now, so this is the p2p thread's. */
static void
sum_up(const struct p2p *p, const struct flow *flows, size_t count, struct traffic *ret)
{
    const struct members *all = step_members(p->step);
    uint64_t site = step_elect(p->step)->site;
    *ret = (struct traffic){.upstream_bytes = metric_get(M_body_upstream),
                            .remote_bytes = metric_get(M_body_remote_peer),
                            .peer_bytes = metric_get(M_body_peer),
                            .sent_bytes = metric_get(M_peer_upload)};
    for (size_t i = 0; i < count; i++) {
        const struct flow *f = &flows[i];
        const struct member *m = member_find(all, &f->node);
        ret->sent_rate += f->rate[FLOW_OUT];
        if (node_is_none(&f->node))
            ret->upstream_rate += f->rate[FLOW_IN];
        else if (m != NULL && m->site != site)
            ret->remote_rate += f->rate[FLOW_IN];
        else
            ret->peer_rate += f->rate[FLOW_IN];
        if (f->rate[FLOW_IN] > 0 && ret->flows_count < TRAFFIC_FLOWS_MAX)
            ret->flows[ret->flows_count++] = (struct traffic_flow){f->node, f->rate[FLOW_IN]};
    }
}

void
p2p_draw_traffic(void *p2p, struct traffic *ret)
{
    struct p2p *p = p2p;
    size_t count;
    struct flow *flows = copy_flows(p, &count);
    qsort(flows, count, sizeof *flows, order_of_flows);
    sum_up(p, flows, count, ret);
    mem_free(flows);
}

/* ---- the picture ---- */

/* The tracker itself names its deputy anew in each beacon. */
static struct node_id
deputy_of(const struct elect *e, const struct members *all)
{
    const struct member *best = member_best(all, e->site);
    if (e->role != ELECT_TRACKER)
        return e->deputy;
    return best != NULL ? best->id : node_none;
}

static void
draw_peers(const struct p2p *p, struct p2p_state *s)
{
    const struct elect *e = step_elect(p->step);
    const struct members *all = step_members(p->step);
    s->peers = mem_zalloc((all->count + 1) * sizeof *s->peers);
    for (size_t i = 0; i < all->count; i++) {
        const struct member *m = &all->list[i];
        struct p2p_peer *to = &s->peers[s->peers_count++];
        to->id = m->id;
        to->addr = m->addr;
        to->same_site = m->site == e->site;
        to->is_tracker = e->tracker.epoch > 0 && node_equal(&m->id, &e->tracker.id);
        to->is_deputy = node_equal(&m->id, &s->deputy);
        to->priority = m->priority;
        to->heard_ms_ago = p->now_ms - m->heard_ms;
        to->queue_ms = m->queue_ms;
        to->free_bytes = (uint64_t)m->free_mib << 20;
        const struct traffic *said = step_traffic(p->step, &m->id, p->now_ms, &to->told_ms_ago);
        to->traffic = said != NULL ? *said : (struct traffic){0};
        to->told_ms_ago = said != NULL ? to->told_ms_ago : -1;
        site_print(&p->site, m->site, to->site);
        s->multicast_works = s->multicast_works || member_by_group(m, p->now_ms);
    }
    qsort(s->peers, s->peers_count, sizeof *s->peers, order_of_peers);
}

static void
draw_blobs(const struct p2p *p, struct p2p_state *s)
{
    const struct swarm *swarm;
    size_t count = 0;
    while (step_each(p->step, count) != NULL)
        count++;
    s->blobs = mem_zalloc((count + 1) * sizeof *s->blobs);
    for (size_t i = 0; i < count && (swarm = step_each(p->step, i)) != NULL; i++) {
        struct p2p_blob *to = &s->blobs[s->blobs_count++];
        to->digest = *swarm_digest(swarm);
        to->size = swarm_size(swarm);
        to->sum = swarm_sum(swarm);
        to->wants = (swarm_has_flags(swarm) & WIRE_WANTS) != 0 && !swarm_whole(swarm);
    }
    qsort(s->blobs, s->blobs_count, sizeof *s->blobs, order_of_blobs);
}

static int
order_of_copies(const void *a, const void *b)
{
    const struct p2p_copies *x = a, *y = b;
    int order = replicas_compare(&x->are, &y->are);
    return order != 0 ? order : memcmp(&x->digest, &y->digest, sizeof x->digest);
}

static void
draw_copies(const struct p2p *p, struct p2p_state *s)
{
    const struct replicas *r = step_replicas(p->step);
    unsigned nodes = (unsigned)member_count(step_members(p->step), step_elect(p->step)->site) + 1;
    struct p2p_copies one;
    if (s->role != ELECT_TRACKER)
        return;
    s->copies = mem_zalloc(REPLICAS_MAX * sizeof *s->copies);
    for (size_t i = 0; replicas_each(r, i, p->now_ms, nodes, &one.digest, &one.are); i++)
        if (one.are.wanted > 1)
            s->copies[s->copies_count++] = one;
    qsort(s->copies, s->copies_count, sizeof *s->copies, order_of_copies);
}

static void
draw_sites(const struct p2p *p, struct p2p_state *s)
{
    const struct traffic_site *said;
    s->sites = mem_zalloc(TRAFFIC_SITES_MAX * sizeof *s->sites);
    for (size_t at = 0; (said = step_traffic_site(p->step, &at, p->now_ms)) != NULL;) {
        struct p2p_site *to = &s->sites[s->sites_count++];
        site_print(&p->site, said->is.site, to->name);
        to->told_ms_ago = p->now_ms - said->heard_ms;
        to->is = said->is;
    }
}

struct p2p_state *
p2p_draw(struct p2p *p)
{
    const struct elect *e = step_elect(p->step);
    struct p2p_state *s = mem_zalloc(sizeof *s);
    s->self = p->self;
    s->addr = p->addr;
    memcpy(s->site, p->site.name, sizeof s->site);
    s->site_from = p->site.from;
    s->role = e->role;
    s->epoch = e->tracker.epoch;
    s->priority = e->priority;
    s->deputy = deputy_of(e, step_members(p->step));
    if (e->tracker.epoch > 0) {
        s->tracker = e->tracker.id;
        s->tracker_since_ms = p->now_ms - e->since_ms;
        s->tracker_why = p->why;
    }
    int64_t reached_ms = step_reached_ms(p->step);
    s->reached_ms_ago = reached_ms == INT64_MIN ? -1 : p->now_ms - reached_ms;
    s->tracker_sum = step_tracker_sum(p->step);
    sealer_refused(&p->sealer, s->refused);
    s->names = step_names(p->step);
    draw_peers(p, s);
    draw_blobs(p, s);
    draw_copies(p, s);
    p2p_draw_traffic(p, &s->traffic);
    s->flows = copy_flows(p, &s->flows_count);
    draw_sites(p, s);
    return s;
}

void
p2p_state_release(struct p2p_state *s)
{
    mem_free(s->peers);
    mem_free(s->blobs);
    mem_free(s->copies);
    mem_free(s->flows);
    mem_free(s->sites);
    s->peers = NULL;
    s->blobs = NULL;
    s->copies = NULL;
    s->copies_count = 0;
    s->flows = NULL;
    s->sites = NULL;
    s->peers_count = s->blobs_count = s->flows_count = s->sites_count = 0;
}
