/* Pulls over a modelled network: requests take a way's delay, bodies are flows that share links
 * fairly, uploads wait for slots as in the daemon.
 *
 *   links: 0 the site's WAN, then per node its own way to the WAN, its port out, its port in
 *
 * Invariants: every living node gets the whole blob within LIMIT_F times the bound; the blob
 * crosses the WAN at least once; no lease is given twice (the book of leases aborts). */
#include "tests/sim/pulls.h"
#include "base/mem.h"
#include "p2p/piece.h"
#include "p2p/slots.h"
#include "tests/sim/flows.h"
#include "tests/sim/world.h"
#include <stdio.h>

#define WAN_RTT_US 20000
#define BLOCK      (128u * 1024)
#define START_MS   3000
#define LIMIT_F    4
#define UPLOADS    4
#define CRIPPLED_F 500

enum { BEGIN = WORLD_OWN, WAN_BEGIN, FLOWS, LANDED, ENDED, ARRIVE, KILL, SLOWER, FASTER };

struct get {
    unsigned node;
    int peer; /* -1: WAN */
    uint32_t id, first, end;
    uint64_t at; /* bytes so far */
    int flow;    /* -1: none */
    int64_t asked_us, began_us;
    bool over;
};

struct pulls {
    const struct pulls_case *c;
    struct flows flows;
    struct digest blob;
    struct slots slots[WORLD_NODES_MAX];
    int64_t arrived_us[WORLD_NODES_MAX], done_us[WORLD_NODES_MAX];
    uint32_t prefix[WORLD_NODES_MAX];
    uint64_t prefix_area; /* sum over nodes and pieces of the time until readable, us */
    size_t gets_count, gets_cap;
    struct get *gets;
    int64_t mark_us; /* the earliest FLOWS event that is posted */
    unsigned left;
};

static uint32_t
way(unsigned node)
{
    return 1 + 3 * node;
}

static uint32_t
out(unsigned node)
{
    return 2 + 3 * node;
}

static uint32_t
in(unsigned node)
{
    return 3 + 3 * node;
}

static struct swarm *
swarm_of(struct world *w, struct pulls *d, unsigned node)
{
    return w->nodes[node].step != NULL ? step_swarm(w->nodes[node].step, &d->blob) : NULL;
}

static void
fetch(struct world *w, unsigned node, const struct plan_action *a)
{
    struct pulls *d = w->hooks.cookie;
    if (a->kind == PLAN_STOP) {
        for (size_t i = 0; i < d->gets_count; i++)
            if (d->gets[i].node == node && d->gets[i].id == a->get.id && !d->gets[i].over)
                d->gets[i].end = a->get.first;
        return;
    }
    if (d->gets_count == d->gets_cap) {
        d->gets_cap = d->gets_cap > 0 ? 2 * d->gets_cap : 1024;
        d->gets = mem_realloc(d->gets, d->gets_cap * sizeof *d->gets);
    }
    bool lan = a->get.source == SWARM_LAN;
    d->gets[d->gets_count] = (struct get){.node = node,
                                          .peer = lan ? world_node_of(w, &a->get.node) : -1,
                                          .id = a->get.id,
                                          .first = a->get.first,
                                          .end = a->get.first + a->get.count,
                                          .flow = -1,
                                          .asked_us = w->now_us};
    int64_t delay_us = lan ? world_delay_us(w) : WAN_RTT_US;
    world_post(w, w->now_us + delay_us, lan ? BEGIN : WAN_BEGIN, d->gets_count++, 0);
}

static uint64_t
get_bytes(const struct pulls *d, const struct get *g)
{
    uint64_t from = (uint64_t)g->first * piece_bytes(d->c->size);
    uint64_t to = (uint64_t)g->end * piece_bytes(d->c->size);
    return (to < d->c->size ? to : d->c->size) - from;
}

static void
end_get(struct world *w, struct pulls *d, size_t i, enum swarm_end how, unsigned busy_ms)
{
    struct get *g = &d->gets[i];
    struct swarm *s = swarm_of(w, d, g->node);
    if (g->over)
        return;
    g->over = true;
    if (s == NULL)
        return;
    swarm_end(s, g->id, how, w->now_us - g->began_us, busy_ms, world_node_ms(w, g->node));
    world_touch(w, g->node);
}

static void
start_flow(struct world *w, struct pulls *d, size_t i)
{
    struct get *g = &d->gets[i];
    uint32_t lan[] = {out((unsigned)(g->peer < 0 ? 0 : g->peer)), in(g->node), FLOWS_NO_LINK};
    uint32_t wan[] = {0, way(g->node), in(g->node)};
    uint64_t all = get_bytes(d, g);
    g->began_us = w->now_us;
    g->flow = (int)flows_add(&d->flows, g->peer < 0 ? wan : lan,
                             g->peer < 0 && all > BLOCK ? BLOCK : all, i);
}

static void
begin_lan(struct world *w, struct pulls *d, size_t i)
{
    struct get *g = &d->gets[i];
    unsigned peer = (unsigned)g->peer, wait_ms;
    struct swarm *s = swarm_of(w, d, peer);
    if (!world_alive(w, g->node))
        return;
    if (s == NULL || !swarm_holds(s, g->first)) {
        world_post(w, w->now_us + world_delay_us(w), ENDED, i, SWARM_FAILED);
        return;
    }
    switch (slots_ask(&d->slots[peer], i, SLOTS_FILL, &wait_ms)) {
    case SLOTS_START:
        start_flow(w, d, i);
        break;
    case SLOTS_WAIT:
        break;
    case SLOTS_BUSY:
        world_post(w, w->now_us + world_delay_us(w), ENDED, i, SWARM_BUSY | (uint64_t)wait_ms << 8);
        break;
    }
}

static void
upload_ended(struct world *w, struct pulls *d, unsigned peer, int64_t took_us)
{
    uint64_t next;
    while (slots_done(&d->slots[peer], (uint64_t)took_us, &next)) {
        if (w->nodes[d->gets[next].node].step != NULL && !d->gets[next].over) {
            start_flow(w, d, next);
            return;
        }
    }
}

static void
read_on(struct world *w, struct pulls *d, unsigned node)
{
    struct swarm *s = swarm_of(w, d, node);
    uint32_t *at = &d->prefix[node];
    while (*at < swarm_pieces(s) && swarm_holds(s, *at)) {
        (*at)++;
        d->prefix_area += (uint64_t)(w->now_us - d->arrived_us[node]);
    }
    swarm_cursor(s, 0, (uint64_t)*at * piece_bytes(d->c->size), world_node_ms(w, node));
    if (swarm_whole(s) && d->done_us[node] == 0) {
        d->done_us[node] = w->now_us;
        d->left--;
        world_say(w, "n%u has all", node);
    }
}

/* Was a WAN request cut at or before what it has? */
static bool
cut_off(const struct pulls *d, const struct get *g)
{
    return g->peer < 0 && (g->end <= g->first || g->at >= get_bytes(d, g));
}

static void
give_up(struct world *w, struct pulls *d, size_t i)
{
    flows_drop(&d->flows, (unsigned)d->gets[i].flow);
    end_get(w, d, i, SWARM_FAILED, 0);
}

/* A WAN request reached a mark. */
static void
wan_mark(struct world *w, struct pulls *d, size_t i)
{
    struct get *g = &d->gets[i];
    struct swarm *s = swarm_of(w, d, g->node);
    if (cut_off(d, g)) {
        give_up(w, d, i);
        return;
    }
    uint64_t piece = piece_bytes(d->c->size), all = get_bytes(d, g);
    uint64_t step = all - g->at < BLOCK ? all - g->at : BLOCK;
    int64_t now_ms = world_node_ms(w, g->node);
    g->at += step;
    swarm_progress(s, g->id, step, now_ms);
    if (g->at % piece == 0 || g->at == all) {
        swarm_piece(s, g->id, g->first + (uint32_t)((g->at - 1) / piece), now_ms);
        read_on(w, d, g->node);
    }
    if (g->at >= all) {
        flows_drop(&d->flows, (unsigned)g->flow);
        end_get(w, d, i, g->at == all ? SWARM_DONE : SWARM_FAILED, 0);
        return;
    }
    flows_mark(&d->flows, (unsigned)g->flow, all - g->at < BLOCK ? all - g->at : BLOCK);
    world_touch(w, g->node);
}

static void
reached(struct world *w, struct pulls *d, unsigned flow)
{
    size_t i = d->flows.list[flow].owner;
    struct get *g = &d->gets[i];
    if (g->peer < 0) {
        wan_mark(w, d, i);
        return;
    }
    flows_drop(&d->flows, flow);
    upload_ended(w, d, (unsigned)g->peer, w->now_us - g->began_us);
    world_post(w, w->now_us + world_delay_us(w), LANDED, i, 0);
}

static void
landed(struct world *w, struct pulls *d, size_t i)
{
    struct get *g = &d->gets[i];
    struct swarm *s = swarm_of(w, d, g->node);
    if (s == NULL || g->over)
        return;
    swarm_piece(s, g->id, g->first, world_node_ms(w, g->node));
    read_on(w, d, g->node);
    end_get(w, d, i, SWARM_DONE, 0);
}

static void
drop_flow(struct world *w, struct pulls *d, size_t i)
{
    struct get *g = &d->gets[i];
    bool flows = g->flow >= 0 && d->flows.list[g->flow].used && d->flows.list[g->flow].owner == i;
    if (!flows)
        return;
    flows_drop(&d->flows, (unsigned)g->flow);
    if (g->peer >= 0)
        upload_ended(w, d, (unsigned)g->peer, w->now_us - g->began_us);
}

static void
kill_tracker(struct world *w, struct pulls *d)
{
    int t = world_tracker(w);
    if (t < 0)
        return;
    if (d->done_us[t] == 0)
        d->left--;
    world_kill(w, (unsigned)t);
    for (size_t i = 0; i < d->gets_count; i++) {
        struct get *g = &d->gets[i];
        if (g->over || (g->node != (unsigned)t && g->peer != t))
            continue;
        drop_flow(w, d, i);
        if (g->node == (unsigned)t)
            g->over = true;
        else
            world_post(w, w->now_us + world_delay_us(w), ENDED, i, SWARM_FAILED);
    }
}

static void
arrive(struct world *w, struct pulls *d, unsigned node)
{
    if (w->nodes[node].step == NULL)
        world_start(w, node, 0);
    d->arrived_us[node] = w->now_us;
    struct swarm *s = step_open(w->nodes[node].step, world_node_ms(w, node), &d->blob, d->c->size,
                                WIRE_WANTS | WIRE_MAY_FETCH | WIRE_CLIENT | WIRE_SERVES);
    must(s != NULL);
    swarm_cursor(s, 0, 0, world_node_ms(w, node));
    world_touch(w, node);
}

static void
on_event(struct world *w, unsigned kind, uint64_t a, uint64_t b)
{
    struct pulls *d = w->hooks.cookie;
    flows_advance(&d->flows, w->now_us);
    switch (kind) {
    case BEGIN:
        begin_lan(w, d, a);
        break;
    case WAN_BEGIN:
        if (!world_alive(w, d->gets[a].node) || d->gets[a].over)
            break;
        if (cut_off(d, &d->gets[a]))
            end_get(w, d, a, SWARM_FAILED, 0);
        else
            start_flow(w, d, a);
        break;
    case LANDED:
        landed(w, d, a);
        break;
    case ENDED:
        end_get(w, d, a, (enum swarm_end)(b & 0xff), (unsigned)(b >> 8));
        break;
    case ARRIVE:
        arrive(w, d, (unsigned)a);
        break;
    case KILL:
        kill_tracker(w, d);
        break;
    case SLOWER:
        flows_rate(&d->flows, 0, d->c->wan / 5);
        break;
    case FASTER:
        flows_rate(&d->flows, 0, d->c->wan);
        break;
    default: /* FLOWS: only time passes */
        break;
    }
}

/* After every event: what reached its mark is handled, and the next mark becomes an event. */
static bool
pump(struct world *w)
{
    struct pulls *d = w->hooks.cookie;
    int flow;
    flows_advance(&d->flows, w->now_us);
    while ((flow = flows_reached(&d->flows)) >= 0)
        reached(w, d, (unsigned)flow);
    /* A request that was cut behind what it has. */
    for (size_t i = 0; i < d->flows.count; i++) {
        const struct flow *f = &d->flows.list[i];
        if (f->used && cut_off(d, &d->gets[f->owner]))
            give_up(w, d, f->owner);
    }
    if (d->mark_us <= w->now_us)
        d->mark_us = INT64_MAX;
    int64_t next_us = flows_next_us(&d->flows);
    if (next_us < d->mark_us) {
        d->mark_us = next_us > w->now_us ? next_us : w->now_us + 1;
        world_post(w, d->mark_us, FLOWS, 0, 0);
    }
    return w->broken[0] == '\0';
}

/* The fluid bound for a blob that no node of the site holds, us. */
static uint64_t
bound_us(const struct pulls_case *c)
{
    uint64_t wan = c->size * 1000000 / c->wan;
    uint64_t port = c->size * 1000000 / c->lan;
    uint64_t supply = c->nodes * c->size * 1000000 / (c->wan + c->nodes * c->lan);
    uint64_t most = wan > port ? wan : port;
    if (c->varies_ms > 0) {
        /* First varies_ms at full rate, then as long at a fifth, then full again. */
        uint64_t v = (uint64_t)c->varies_ms * 1000, full = wan;
        if (full > v)
            wan = full - v <= v / 5 ? v + (full - v) * 5 : full + v - v / 5;
        most = wan > most ? wan : most;
    }
    return most > supply ? most : supply;
}

static void
set_up(struct world *w, struct pulls *d)
{
    const struct pulls_case *c = d->c;
    digest_of(DIGEST_SHA256, "blob", 4, &d->blob);
    flows_rate(&d->flows, 0, c->wan);
    for (unsigned i = 0; i < c->nodes; i++) {
        bool slow = i % 4 == 1 && i / 4 < c->crippled;
        flows_rate(&d->flows, way(i), slow ? c->wan / CRIPPLED_F : c->lan);
        flows_rate(&d->flows, out(i), c->lan);
        flows_rate(&d->flows, in(i), c->lan);
        slots_init(&d->slots[i], UPLOADS);
        if (!c->cold)
            world_start(w, i, (uint32_t)rng_below(&w->rng, 2));
        int64_t at_ms =
            START_MS + (c->spread_ms > 0 ? (int64_t)rng_below(&w->rng, (uint64_t)c->spread_ms)
                                         : (int64_t)rng_below(&w->rng, 20));
        world_post(w, at_ms * WORLD_US, ARRIVE, i, 0);
    }
    d->left = c->nodes;
    if (c->kill_tracker_ms > 0)
        world_post(w, (START_MS + c->kill_tracker_ms) * WORLD_US, KILL, 0, 0);
    if (c->varies_ms > 0) {
        world_post(w, (START_MS + c->varies_ms) * WORLD_US, SLOWER, 0, 0);
        world_post(w, (START_MS + 2 * c->varies_ms) * WORLD_US, FASTER, 0, 0);
    }
}

static void
sum_up(struct world *w, const struct pulls *d, struct pulls_result *ret)
{
    uint64_t bound = bound_us(d->c), last = 0;
    uint64_t nodes = 0;
    *ret = (struct pulls_result){.events = w->events, .datagrams = w->datagrams, .hash = w->hash};
    for (unsigned i = 0; i < d->c->nodes; i++) {
        if (w->nodes[i].step == NULL)
            continue;
        nodes++;
        uint64_t took = d->c->spread_ms > 0
                            ? (uint64_t)(d->done_us[i] - (int64_t)START_MS * WORLD_US)
                            : (uint64_t)(d->done_us[i] - d->arrived_us[i]);
        ret->failed += d->done_us[i] == 0;
        if (d->done_us[i] > 0 && took > last)
            last = took;
    }
    if (d->c->spread_ms > 0 && (uint64_t)d->c->spread_ms * 1000 > bound)
        bound = (uint64_t)d->c->spread_ms * 1000;
    must(bound > 0 && nodes > 0);
    ret->last_ms = (int64_t)(last / 1000);
    ret->ratio_permille = (unsigned)(last * 1000 / bound);
    ret->wan_permille = (unsigned)(d->flows.moved[0] / 1000 / d->c->size);
    ret->prefix_permille =
        (unsigned)(d->prefix_area / (nodes * piece_count(d->c->size)) * 1000 / bound);
}

int
pulls_run(const struct pulls_case *c, uint64_t seed, bool traced, struct pulls_result *ret,
          char ret_broken[160])
{
    struct pulls *d = mem_zalloc(sizeof *d);
    struct world_hooks hooks = {.cookie = d, .check = pump, .event = on_event, .fetch = fetch};
    d->c = c;
    struct world *w = world_new(c->nodes, seed, &hooks);
    w->traced = traced;
    w->loss_permille = c->loss_permille;
    set_up(w, d);
    int64_t limit_ms = START_MS + c->spread_ms + 10000 + (int64_t)(bound_us(c) * LIMIT_F / 1000);
    while (d->left > 0 && world_ms(w) < limit_ms && world_run(w, world_ms(w) + 100))
        continue;
    sum_up(w, d, ret);
    if (w->broken[0] == '\0' && ret->failed > 0)
        (void)world_break(w, "%u nodes did not finish in %lld ms", ret->failed,
                          (long long)limit_ms);
    if (w->broken[0] == '\0' && c->ratio_max_permille > 0 &&
        ret->ratio_permille > c->ratio_max_permille)
        (void)world_break(w, "last node at %u/1000 of the bound, at most %u", ret->ratio_permille,
                          c->ratio_max_permille);
    if (w->broken[0] == '\0' && c->wan_max_permille > 0 && ret->wan_permille > c->wan_max_permille)
        (void)world_break(w, "%u/1000 copies over the WAN, at most %u", ret->wan_permille,
                          c->wan_max_permille);
    if (w->broken[0] == '\0' && ret->wan_permille < 999)
        (void)world_break(w, "only %u/1000 copies over the WAN", ret->wan_permille);
    if (traced)
        (void)printf("%s", buf_text(&w->trace));
    memcpy(ret_broken, w->broken, sizeof w->broken);
    mem_free(d->gets);
    mem_free(d);
    world_free(w);
    return ret_broken[0] == '\0' ? 0 : -1;
}

#define MIB  ((uint64_t)1048576)
#define MBIT ((uint64_t)125000)

static const struct pulls_case cases[] = {
    {"sixteen", 16, 256 * MIB, 100 * MBIT, 1000 * MBIT, 0, 0, 0, 0, 0, false, 1100, 1020},
    {"eight", 8, 256 * MIB, 100 * MBIT, 1000 * MBIT, 0, 0, 0, 0, 0, false, 1100, 1020},
    {"crippled", 16, 256 * MIB, 100 * MBIT, 1000 * MBIT, 4, 0, 0, 0, 0, false, 1150, 1020},
    {"lossy", 16, 256 * MIB, 100 * MBIT, 1000 * MBIT, 0, 20, 0, 0, 0, false, 1100, 1020},
    {"varying", 16, 256 * MIB, 100 * MBIT, 1000 * MBIT, 0, 0, 0, 0, 8000, false, 1150, 1020},
    {"spread", 16, 256 * MIB, 100 * MBIT, 1000 * MBIT, 0, 0, 20000, 0, 0, false, 1150, 1020},
    {"tracker-dies", 16, 256 * MIB, 100 * MBIT, 1000 * MBIT, 0, 0, 0, 8000, 0, false, 1150, 1030},
    {"no-tracker-yet", 16, 256 * MIB, 100 * MBIT, 1000 * MBIT, 0, 0, 0, 0, 0, true, 1150, 1050},
    {"small", 16, 16 * MIB, 100 * MBIT, 1000 * MBIT, 0, 0, 0, 0, 0, false, 1250, 1050},
    {"fast-wan", 32, 256 * MIB, 1000 * MBIT, 1000 * MBIT, 0, 0, 0, 0, 0, false, 1300, 1050},
    {"alone", 1, 256 * MIB, 1600 * MBIT, 10000 * MBIT, 0, 0, 0, 0, 0, false, 1150, 1010},
};

int
pulls_all(uint64_t seed, uint64_t seeds, const char *only, bool traced)
{
    int bad = 0;
    (void)printf("%-16s %8s %8s %8s %8s %9s %9s\n", "pull", "last s", "of T*", "WAN", "prefix",
                 "events", "datagrams");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (only != NULL && strcmp(only, cases[i].name) != 0)
            continue;
        for (uint64_t n = 0; n < seeds; n++) {
            struct pulls_result r;
            char broken[160];
            unsigned long long at = seed + n;
            int rc = pulls_run(&cases[i], at, traced, &r, broken);
            (void)printf("%-16s %8.2f %8.3f %8.3f %8.3f %9llu %9llu %s\n", cases[i].name,
                         (double)r.last_ms / 1000, (double)r.ratio_permille / 1000,
                         (double)r.wan_permille / 1000, (double)r.prefix_permille / 1000,
                         (unsigned long long)r.events, (unsigned long long)r.datagrams, broken);
            if (rc < 0) {
                (void)printf("again: make sim SIM=pull/%s SEED=%llu\n", cases[i].name, at);
                bad = 1;
            }
        }
    }
    return bad;
}
