/* Elections under faults. Invariants, looked at after every event:
 *
 *  1. SETTLE_MS after the last fault each component has exactly one tracker, and all follow it.
 *  2. From then on nobody else wins: no flapping, no displacement by a better newcomer.
 *  3. A tracker that dies in a calm network has a successor within TAKEOVER_MS.
 *  4. The epochs that one incarnation of a node wins only rise.
 * And counted: elections without need while up to 10 % of the datagrams are lost. */
#include "tests/sim/elections.h"
#include "base/mem.h"
#include "tests/sim/world.h"
#include <stdio.h>

#define FAULTS_MAX  12
#define SETTLE_MS   4000
#define TAKEOVER_MS 1500
#define LAST_MS     60000 /* of faults */

enum fault_kind {
    KILL,
    KILL_TRACKER,
    KILL_PAIR,
    START,
    SPLIT,
    HEAL,
    LOSSY,
    ONE_WAY,
    PAUSE,
    RESIGN,
    KINDS
};

struct fault {
    int64_t at_ms;
    enum fault_kind kind;
    unsigned a, b;
};

struct drama {
    struct fault faults[FAULTS_MAX];
    unsigned count;
    int64_t calm_from_ms; /* last fault: invariants 1, 2 hold SETTLE_MS later */
    bool partial;         /* some pairs hear each other one way only */
    int64_t orphaned_ms;  /* the tracker of a calm network died; -1 */
    uint32_t won[WORLD_NODES_MAX];
    struct elections_sum *sum;
};

static void
draw(struct drama *d, uint64_t seed, unsigned *ret_nodes)
{
    struct rng r;
    rng_init(&r, seed ^ 0x5eed);
    *ret_nodes = 2 + (unsigned)rng_below(&r, 11);
    d->count = 1 + (unsigned)rng_below(&r, FAULTS_MAX);
    int64_t at_ms = 2000;
    for (unsigned i = 0; i < d->count; i++) {
        /* Some follow at once, some come in a calm network. */
        at_ms += rng_below(&r, 3) == 0 ? (int64_t)rng_below(&r, 800)
                                       : SETTLE_MS + (int64_t)rng_below(&r, 3000);
        d->faults[i] =
            (struct fault){at_ms, (enum fault_kind)rng_below(&r, KINDS),
                           (unsigned)rng_below(&r, *ret_nodes), (unsigned)rng_below(&r, 1 << 16)};
    }
}

unsigned
elections_faults(uint64_t seed)
{
    struct drama d = {0};
    unsigned nodes;
    draw(&d, seed, &nodes);
    return d.count;
}

static bool
calm(const struct world *w, const struct drama *d)
{
    return !d->partial && w->loss_permille == 0 && world_ms(w) >= d->calm_from_ms + SETTLE_MS;
}

/* As calm, but for datagrams that are lost. */
static bool
lossy(const struct world *w, const struct drama *d)
{
    return !d->partial && w->loss_permille > 0 && world_ms(w) >= d->calm_from_ms + SETTLE_MS;
}

static void
kill_one(struct world *w, struct drama *d, unsigned node)
{
    if (!world_alive(w, node))
        return;
    /* Somebody must be left on its side. */
    unsigned left = 0;
    for (unsigned i = 0; i < w->count; i++)
        if (i != node && world_alive(w, i) && !w->cut[node][i])
            left++;
    if (calm(w, d) && world_is_tracker(w, node) && left > 0)
        d->orphaned_ms = world_ms(w);
    world_kill(w, node);
}

static void
split(struct world *w, unsigned bits)
{
    world_say(w, "split %x", bits & ((1u << w->count) - 1));
    for (unsigned i = 0; i < w->count; i++)
        for (unsigned j = 0; j < w->count; j++)
            w->cut[i][j] = (bits >> i & 1) != (bits >> j & 1);
}

static void
kill_best(struct world *w, struct drama *d, unsigned many)
{
    int t = world_tracker(w);
    if (t < 0)
        return;
    struct node_id deputy = step_elect(w->nodes[t].step)->deputy;
    const struct member *best = member_best(step_members(w->nodes[t].step), 1);
    if (best != NULL)
        deputy = best->id;
    kill_one(w, d, (unsigned)t);
    int next = world_node_of(w, &deputy);
    if (many > 1 && next >= 0 && world_alive(w, (unsigned)next)) {
        kill_one(w, d, (unsigned)next);
        bool left = false;
        for (unsigned i = 0; i < w->count; i++)
            left |= world_alive(w, i) && !w->cut[t][i];
        if (!left)
            d->orphaned_ms = -1;
    }
}

static void
happen(struct world *w, struct drama *d, const struct fault *f)
{
    bool was_orphan = d->orphaned_ms >= 0;
    if (lossy(w, d))
        d->sum->lossy_ms += (uint64_t)(world_ms(w) - d->calm_from_ms - SETTLE_MS);
    switch (f->kind) {
    case KILL:
        kill_one(w, d, f->a);
        break;
    case KILL_TRACKER:
        kill_best(w, d, 1);
        break;
    case KILL_PAIR:
        kill_best(w, d, 2);
        break;
    case START:
        d->won[f->a] = w->nodes[f->a].step == NULL ? 0 : d->won[f->a];
        if (w->nodes[f->a].step == NULL)
            world_start(w, f->a, w->nodes[f->a].priority + f->b % 2);
        break;
    case SPLIT:
        split(w, f->b);
        d->partial = false;
        break;
    case HEAL:
        world_say(w, "heals");
        memset(w->cut, 0, sizeof w->cut);
        d->partial = false;
        w->loss_permille = 0;
        break;
    case LOSSY:
        w->loss_permille = f->b % 101;
        world_say(w, "loses %u of 1000", w->loss_permille);
        break;
    case ONE_WAY: {
        unsigned to = f->b % w->count;
        world_say(w, "nothing from n%u to n%u", f->a, to);
        w->cut[f->a][to] = f->a != to;
        d->partial = true;
        break;
    }
    case PAUSE:
        if (world_alive(w, f->a))
            world_pause(w, f->a, 100 + f->b % 4000);
        break;
    case RESIGN:
        if (world_tracker(w) >= 0 && world_alive(w, (unsigned)world_tracker(w)))
            world_resign(w, (unsigned)world_tracker(w));
        break;
    case KINDS:
        break;
    }
    if (was_orphan && f->kind != LOSSY)
        d->orphaned_ms = -1; /* too much at once to say how fast it must be */
    int64_t pause_ms = f->kind == PAUSE ? 100 + f->b % 4000 : 0;
    if (d->calm_from_ms < world_ms(w) + pause_ms) /* an earlier pause may last longer */
        d->calm_from_ms = world_ms(w) + pause_ms;
}

static void
on_event(struct world *w, unsigned kind, uint64_t a, uint64_t b)
{
    struct drama *d = w->hooks.cookie;
    (void)kind;
    (void)b;
    happen(w, d, &d->faults[a]);
}

static void
on_elected(struct world *w, unsigned node, const struct plan_action *a)
{
    struct drama *d = w->hooks.cookie;
    if (a->event != ELECT_WON)
        return;
    uint32_t epoch = step_elect(w->nodes[node].step)->tracker.epoch;
    d->sum->elections++;
    if (lossy(w, d))
        d->sum->lossy_elections++;
    if (epoch <= d->won[node] && w->broken[0] == '\0')
        (void)world_break(w, "n%u won epoch %u after epoch %u", node, epoch, d->won[node]);
    d->won[node] = epoch;
    if (calm(w, d) && d->orphaned_ms < 0)
        (void)world_break(w, "n%u won epoch %u in a calm network", node, epoch);
    if (d->orphaned_ms >= 0) {
        int64_t took_ms = world_ms(w) - d->orphaned_ms;
        if (took_ms < 4000) {
            d->sum->takeovers++;
            d->sum->takeovers_ms_count[took_ms]++;
        }
        d->orphaned_ms = -1;
    }
}

static bool
same_side(const struct world *w, unsigned a, unsigned b)
{
    return !w->cut[a][b] && !w->cut[b][a];
}

static bool
one_tracker(struct world *w, unsigned side_of)
{
    int tracker = -1;
    for (unsigned i = 0; i < w->count; i++) {
        if (!world_alive(w, i) || !same_side(w, side_of, i) || !world_is_tracker(w, i))
            continue;
        if (tracker >= 0)
            return world_break(w, "n%d and n%u are both tracker", tracker, i);
        tracker = (int)i;
    }
    if (tracker < 0)
        return world_break(w, "no tracker on the side of n%u", side_of);
    for (unsigned i = 0; i < w->count; i++) {
        if (!world_alive(w, i) || !same_side(w, side_of, i))
            continue;
        const struct elect *e = step_elect(w->nodes[i].step);
        if (!node_equal(&e->tracker.id, &w->nodes[tracker].id))
            return world_break(w, "n%u does not follow n%d", i, tracker);
    }
    return true;
}

static bool
check(struct world *w)
{
    struct drama *d = w->hooks.cookie;
    if (w->broken[0] != '\0')
        return false;
    if (d->orphaned_ms >= 0 && w->loss_permille == 0 && world_ms(w) - d->orphaned_ms > TAKEOVER_MS)
        return world_break(w, "no tracker %d ms after the last one died", TAKEOVER_MS);
    if (!calm(w, d))
        return true;
    for (unsigned i = 0; i < w->count; i++)
        if (world_alive(w, i) && !one_tracker(w, i))
            return false;
    return true;
}

int
elections_run(uint64_t seed, uint64_t keep, bool traced, struct elections_sum *sum,
              char ret_broken[160], uint64_t *ret_hash)
{
    struct drama d = {.orphaned_ms = -1, .sum = sum};
    unsigned nodes;
    draw(&d, seed, &nodes);
    struct world_hooks hooks = {
        .cookie = &d, .check = check, .elected = on_elected, .event = on_event};
    struct world *w = world_new(nodes, seed, &hooks);
    w->traced = traced;
    for (unsigned i = 0; i < nodes; i++)
        world_start(w, i, (uint32_t)rng_below(&w->rng, 3));
    int64_t last_ms = 0;
    for (unsigned i = 0; i < d.count; i++) {
        last_ms = d.faults[i].at_ms;
        if ((keep >> i & 1) != 0)
            world_post(w, last_ms * WORLD_US, WORLD_OWN, i, 0);
    }
    /* In the end all is well again: what is alive must agree. */
    bool good = world_run(w, last_ms + SETTLE_MS);
    if (good) {
        memset(w->cut, 0, sizeof w->cut);
        w->loss_permille = 0;
        d.partial = false;
        d.calm_from_ms = world_ms(w);
        world_say(w, "all heals");
        good = world_run(w, last_ms + (int64_t)4 * SETTLE_MS);
    }
    sum->seeds++;
    sum->events += w->events;
    *ret_hash = w->hash;
    memcpy(ret_broken, w->broken, sizeof w->broken);
    if (traced)
        (void)printf("%s", buf_text(&w->trace));
    if (traced && !good)
        (void)printf("[%lld] BROKEN: %s\n", (long long)world_ms(w), w->broken);
    world_free(w);
    return good ? 0 : -1;
}
