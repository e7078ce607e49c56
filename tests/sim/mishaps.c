/* What goes wrong in a pull. */
#include "tests/sim/model.h"

static const char *const names[PULLS_KINDS] = {
    [PULLS_NONE] = "nothing",
    [PULLS_DIES] = "node dies",
    [PULLS_TRACKER_DIES] = "tracker dies",
    [PULLS_PAIR_DIES] = "tracker and deputy die",
    [PULLS_SHARE_DIES] = "nodes die",
    [PULLS_WAN] = "wan",
    [PULLS_PARTS] = "lan parts",
    [PULLS_MEETS] = "lan meets",
    [PULLS_DISK_FULL] = "disk full",
    [PULLS_STOPS] = "node stops",
    [PULLS_DEAF] = "trackers are deaf",
    [PULLS_MUTE] = "tracker answers nobody",
};

const char *
mishaps_name(enum pulls_mishap_kind kind)
{
    must((unsigned)kind < PULLS_KINDS);
    return names[kind];
}

static void
die(struct world *w, struct model *d, unsigned node)
{
    if (node >= model_total(d->c) || w->nodes[node].step == NULL)
        return;
    model_excuse(d, node);
    world_kill(w, node);
    model_cut(w, d, node, 0, WORLD_US);
}

static int
tracker_of(const struct world *w, unsigned site)
{
    for (unsigned i = 0; i < w->count; i++)
        if (w->nodes[i].site == site && world_is_tracker(w, i))
            return (int)i;
    return -1;
}

static void
tracker_dies(struct world *w, struct model *d, unsigned site, bool deputy)
{
    int t = tracker_of(w, site);
    if (t < 0)
        return;
    const struct member *best = member_best(step_members(w->nodes[t].step), 1 + site);
    int next = best != NULL ? world_node_of(w, &best->id) : -1;
    die(w, d, (unsigned)t);
    if (deputy && next >= 0)
        die(w, d, (unsigned)next);
}

static void
share_dies(struct world *w, struct model *d, unsigned percent)
{
    unsigned many = model_total(d->c) * percent / 100;
    while (many > 0) {
        unsigned node = (unsigned)rng_below(&w->rng, model_total(d->c));
        if (w->nodes[node].step == NULL || d->nodes[node].warm)
            continue;
        die(w, d, node);
        many--;
    }
}

static void
wan_changes(struct world *w, struct model *d, const struct pulls_mishap *m)
{
    for (unsigned s = 0; s < d->c->sites; s++) {
        if (m->a != s && m->a != PULLS_ALL)
            continue;
        world_say(w, "wan of site %u at %u/1000", s, m->b);
        flows_rate(&d->flows, model_wan(s), d->c->wan * m->b / 1000);
        flows_rate(&d->flows, model_wan(s) + 1, d->c->wan * m->b / 1000);
    }
}

static void
stops(struct world *w, struct model *d, unsigned node, uint32_t for_ms)
{
    if (node >= model_total(d->c) || !world_alive(w, node))
        return;
    world_pause(w, node, for_ms);
    model_cut(w, d, node, (int64_t)for_ms * WORLD_US, MODEL_STALL_US);
}

static void
parts(struct world *w, struct model *d, uint32_t bits)
{
    world_say(w, "lan parts %x", bits);
    for (unsigned i = 0; i < w->count; i++)
        for (unsigned j = 0; j < w->count; j++)
            world_cut(w, i, j, (bits >> (i % 32) & 1) != (bits >> (j % 32) & 1));
    model_part(w, d);
}

/* What it has on its disk stays there, but nothing is added: its client reads past it. */
static void
disk_full(struct world *w, struct model *d, unsigned node)
{
    if (node >= model_total(d->c) || w->nodes[node].step == NULL || d->nodes[node].warm ||
        d->nodes[node].liar)
        return;
    world_say(w, "n%u has a full disk", node);
    model_excuse(d, node);
    d->nodes[node].full = true;
    for (unsigned b = 0; b < d->nodes[node].opened; b++) {
        struct swarm *s = step_swarm(w->nodes[node].step, &d->digests[b]);
        if (s != NULL)
            swarm_flags(s, WIRE_WANTS | WIRE_CLIENT);
    }
    model_cut(w, d, node, 0, WORLD_US);
    world_touch(w, node);
}

static void
turns_mute(struct world *w, unsigned site)
{
    int t = tracker_of(w, site == PULLS_ALL ? 0 : site);
    if (t < 0)
        return;
    world_say(w, "n%d answers nobody", t);
    w->nodes[t].mute = true;
}

void
mishaps_happen(struct world *w, struct model *d, const struct pulls_mishap *m)
{
    switch (m->kind) {
    case PULLS_DIES:
        die(w, d, m->a);
        break;
    case PULLS_TRACKER_DIES:
        tracker_dies(w, d, m->a, false);
        break;
    case PULLS_PAIR_DIES:
        tracker_dies(w, d, m->a, true);
        break;
    case PULLS_SHARE_DIES:
        share_dies(w, d, m->a);
        break;
    case PULLS_WAN:
        wan_changes(w, d, m);
        break;
    case PULLS_PARTS:
        parts(w, d, m->a);
        break;
    case PULLS_MEETS:
        world_say(w, "lan meets");
        world_mend(w);
        break;
    case PULLS_DISK_FULL:
        disk_full(w, d, m->a);
        break;
    case PULLS_STOPS:
        stops(w, d, m->a, m->b);
        break;
    case PULLS_DEAF:
        world_say(w, "trackers hear no requests");
        w->deaf = true;
        break;
    case PULLS_MUTE:
        turns_mute(w, m->a);
        break;
    case PULLS_NONE:
    case PULLS_KINDS:
        break;
    }
}
