/* Elections under faults. Invariants, looked at after every event:
 *
 *  1. SETTLE_MS after the last fault each component has exactly one tracker, all follow it, and
 *     the best of the others, nobody else, is deputy.
 *  2. From then on nobody else stands or wins: no flapping, no displacement by a better newcomer.
 *  3. A tracker that dies in a calm network has one successor, within TAKEOVER_MS, and it is the
 *     best node that is left; one that resigns is followed at once by its deputy.
 *  4. The epochs that one incarnation of a node wins only rise, and by one over all that were won.
 *  5. Who had a tracker asks it, and waits ELECT_PROBE_MS, before it stands.
 *  6. Who resigned wins nothing for ELECT_HOLD_MS.
 *  7. A beacon with an epoch out of reach changes nothing.
 *  8. A tracker yields to a larger (epoch, priority, id) only, a lone one to any that is not, and
 *     no other to a lone one.
 *  9. A node that alone does not hear the tracker makes nobody win.
 * 10. A node that alone hears all too late, or nothing, takes no office: nobody else follows it,
 * and nobody else stands. And counted: elections without need while up to 10 % of the datagrams are
 * lost. tests/sim/mutate breaks the rules of elect.h one by one and sees which of these notices. */
#include "tests/sim/elections.h"
#include "base/mem.h"
#include "tests/sim/world.h"
#include <stdio.h>

#define FAULTS_MAX  12
#define SETTLE_MS   4000
#define TAKEOVER_MS 1500
#define HANDOVER_MS 10 /* a beacon, and the clocks' milliseconds */
#define NEVER_MS    (INT64_MIN / 2)
#define LAST_MS     60000 /* of faults */
#define LATE_MS     3500  /* more than a queue at a port holds */

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
    LIE,  /* `a` claims an epoch out of reach */
    DEAF, /* `a` does not hear the tracker */
    LATE, /* `a` hears all late: its port is thin, and full */
    KINDS
};

struct fault {
    int64_t at_ms;
    enum fault_kind kind;
    unsigned a, b;
};

#define NODES_MAX 128

struct drama {
    struct fault faults[FAULTS_MAX];
    unsigned count;
    int64_t calm_from_ms; /* last fault: invariants 1, 2 hold SETTLE_MS later */
    bool partial;         /* some pairs hear each other one way only */
    int64_t orphaned_ms;  /* the tracker of a calm network died; -1 */
    int64_t resigned_ms;  /* it gave its office up; -1 */
    int heir;             /* who must follow it, -1: nobody knows */
    bool followed;        /* it does; then nobody else may win before the next fault */
    bool deaf;            /* all that is wrong is that one node does not hear the tracker */
    int late;             /* all that is wrong, or was, is that this node hears late; -1 */
    uint32_t won_max;     /* over all nodes */
    struct incarnation {
        uint32_t won;
        bool lone;                       /* as tracker, before the event that is looked at */
        int64_t suspects_ms, resigns_ms; /* by its own clock */
    } nodes[NODES_MAX];
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
        if (i != node && world_alive(w, i) && !world_is_cut(w, node, i))
            left++;
    if (calm(w, d) && world_is_tracker(w, node) && left > 0)
        d->orphaned_ms = world_ms(w);
    world_kill(w, node);
}

static bool
same_side(const struct world *w, unsigned a, unsigned b)
{
    return !world_is_cut(w, a, b) && !world_is_cut(w, b, a);
}

/* The best living node on the side of another, but for that one; -1: none. */
static int
best_beside(const struct world *w, unsigned node)
{
    int best = -1;
    for (unsigned i = 0; i < w->count; i++) {
        const struct world_node *n = &w->nodes[i];
        if (i == node || !world_alive(w, i) || !same_side(w, node, i))
            continue;
        if (best < 0 ||
            member_better(n->priority, &n->id, w->nodes[best].priority, &w->nodes[best].id))
            best = (int)i;
    }
    return best;
}

static void
split(struct world *w, unsigned bits)
{
    world_say(w, "split %x", bits & ((1u << w->count) - 1));
    for (unsigned i = 0; i < w->count; i++)
        for (unsigned j = 0; j < w->count; j++)
            world_cut(w, i, j, (bits >> i & 1) != (bits >> j & 1));
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
            left |= world_alive(w, i) && !world_is_cut(w, t, i);
        if (!left)
            d->orphaned_ms = -1;
    }
    d->heir = best_beside(w, (unsigned)t);
}

static void
resign(struct world *w, struct drama *d)
{
    int t = world_tracker(w);
    if (t < 0 || !world_alive(w, (unsigned)t))
        return;
    int heir = best_beside(w, (unsigned)t);
    if (calm(w, d) && heir >= 0) {
        d->heir = heir;
        d->resigned_ms = world_ms(w);
    }
    world_resign(w, (unsigned)t);
}

/* A broken node shouts that it is tracker of an epoch that nobody can have come to. */
static void
lie(struct world *w, const struct fault *f)
{
    const struct world_node *n = &w->nodes[f->a];
    if (n->step == NULL)
        return;
    world_say(w, "n%u lies", f->a);
    for (unsigned to = 0; to < w->count; to++) {
        struct wire_msg m;
        memset(&m, 0, sizeof m);
        m.type = WIRE_BEACON;
        m.beacon.site = 1;
        m.beacon.role = ELECT_TRACKER;
        m.beacon.priority = n->priority;
        m.beacon.tracker = n->id;
        m.beacon.tracker_priority = n->priority;
        /* Who knows no epoch yet must believe any but the last ones. */
        uint32_t known = w->nodes[to].step != NULL ? step_elect(w->nodes[to].step)->epoch_max : 0;
        m.beacon.epoch = known == 0 ? UINT32_MAX - f->b % ELECT_EPOCH_JUMP
                                    : known + ELECT_EPOCH_JUMP + 1 + f->b % 1000;
        if (to != f->a)
            world_record(w, f->a, to, &m);
    }
}

static void
make_deaf(struct world *w, struct drama *d, unsigned node)
{
    int t = world_tracker(w);
    unsigned others = 0;
    for (unsigned i = 0; i < w->count; i++)
        others += i != node && (int)i != t && world_alive(w, i) && same_side(w, node, i);
    if (t < 0 || (unsigned)t == node || !same_side(w, node, (unsigned)t))
        return;
    d->deaf = calm(w, d) && others > 0 && world_alive(w, node) && world_alive(w, (unsigned)t);
    world_say(w, "n%u does not hear n%d", node, t);
    world_cut(w, t, node, true);
    d->partial = true;
}

static void
make_late(struct world *w, struct drama *d, unsigned node, int64_t late_ms)
{
    int t = world_tracker(w);
    if (!world_alive(w, node) || t < 0)
        return;
    if (calm(w, d) && w->cuts == NULL && (unsigned)t != node)
        d->late = (int)node;
    world_late(w, node, late_ms);
    d->partial = true;
}

/* How long what is at full ports still comes. */
static int64_t
latest_ms(const struct world *w)
{
    int64_t us = 0;
    for (unsigned i = 0; i < w->count; i++)
        us = w->nodes[i].late_us > us ? w->nodes[i].late_us : us;
    return us / WORLD_US;
}

static void
happen(struct world *w, struct drama *d, const struct fault *f)
{
    bool was_orphan = d->orphaned_ms >= 0;
    int64_t pause_ms = f->kind == PAUSE ? 100 + f->b % 4000 : latest_ms(w);
    if (f->kind == LIE) { /* is no fault: nothing must come of it */
        lie(w, f);
        return;
    }
    d->deaf = false;
    d->late = f->kind == HEAL ? d->late : -1;
    d->followed = false;
    d->resigned_ms = -1;
    d->heir = -1;
    if (lossy(w, d))
        d->sum->lossy_ms += (uint64_t)(world_ms(w) - d->calm_from_ms - SETTLE_MS);
    switch (f->kind) {
    case KILL:
        kill_one(w, d, f->a);
        d->heir = best_beside(w, f->a);
        break;
    case KILL_TRACKER:
        kill_best(w, d, 1);
        break;
    case KILL_PAIR:
        kill_best(w, d, 2);
        break;
    case START:
        if (w->nodes[f->a].step == NULL) {
            d->nodes[f->a] = (struct incarnation){0, false, NEVER_MS, NEVER_MS};
            world_start(w, f->a, w->nodes[f->a].priority + f->b % 2);
        }
        break;
    case SPLIT:
        world_mend(w);
        split(w, f->b);
        d->partial = false;
        break;
    case HEAL:
        world_say(w, "heals");
        world_mend(w);
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
        world_cut(w, f->a, to, f->a != to);
        d->partial = true;
        break;
    }
    case PAUSE:
        if (world_alive(w, f->a))
            world_pause(w, f->a, 100 + f->b % 4000);
        break;
    case RESIGN:
        resign(w, d);
        break;
    case DEAF:
        make_deaf(w, d, f->a);
        break;
    case LATE:
        make_late(w, d, f->a, 300 + f->b % LATE_MS);
        break;
    case LIE:
    case KINDS:
        break;
    }
    if (was_orphan && f->kind != LOSSY)
        d->orphaned_ms = -1;                      /* too much at once to say how fast it must be */
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

/* What one incarnation may do at all. */
static void
judge_win(struct world *w, struct drama *d, unsigned node)
{
    struct incarnation *n = &d->nodes[node];
    uint32_t epoch = step_elect(w->nodes[node].step)->tracker.epoch;
    if (epoch <= n->won)
        (void)world_break(w, "n%u won epoch %u after epoch %u", node, epoch, n->won);
    else if (epoch > d->won_max + 1)
        (void)world_break(w, "n%u won epoch %u, the last was %u", node, epoch, d->won_max);
    else if (world_node_ms(w, node) - n->resigns_ms < ELECT_HOLD_MS)
        (void)world_break(w, "n%u won %lld ms after it resigned", node,
                          (long long)(world_node_ms(w, node) - n->resigns_ms));
    else if (d->deaf)
        (void)world_break(w, "n%u won because one node does not hear the tracker", node);
    else if (d->followed)
        (void)world_break(w, "n%u won, too", node);
    n->won = epoch;
    d->won_max = epoch > d->won_max ? epoch : d->won_max;
}

static void
on_won(struct world *w, struct drama *d, unsigned node)
{
    bool due = d->orphaned_ms >= 0 || d->resigned_ms >= 0;
    d->sum->elections++;
    if (lossy(w, d))
        d->sum->lossy_elections++;
    judge_win(w, d, node);
    if (calm(w, d) && !due)
        (void)world_break(w, "n%u won in a calm network", node);
    if (due && d->heir >= 0 && (int)node != d->heir)
        (void)world_break(w, "n%u won, the best is n%d", node, d->heir);
    d->followed = due && w->loss_permille == 0;
    if (d->orphaned_ms >= 0 && world_ms(w) - d->orphaned_ms < TAKEOVERS_MS) {
        d->sum->takeovers++;
        d->sum->takeovers_ms_count[world_ms(w) - d->orphaned_ms]++;
    }
    d->orphaned_ms = -1;
    d->resigned_ms = -1;
}

/* Is what a tracker yields to larger than what it won? Compared here once more, on purpose. */
static bool
larger(const struct world *w, const struct elect_claim *claim, unsigned node,
       const struct incarnation *was)
{
    const struct world_node *n = &w->nodes[node];
    if (claim->lone != was->lone)
        return was->lone;
    if (claim->epoch != was->won)
        return claim->epoch > was->won;
    if (claim->priority != n->priority)
        return claim->priority > n->priority;
    return memcmp(claim->id.bytes, n->id.bytes, sizeof n->id.bytes) > 0;
}

static bool
probes(const struct world *w, const struct node_id *tracker)
{
    for (size_t i = 0; i < w->plan.count; i++) {
        const struct plan_action *a = &w->plan.actions[i];
        if (a->kind == PLAN_DATAGRAM && node_equal(&a->node, tracker) &&
            w->plan.bytes[a->at] == WIRE_PROBE)
            return true;
    }
    return false;
}

static bool
is_of_office(enum elect_event event)
{
    return event == ELECT_RUNS || event == ELECT_WON || event == ELECT_FOLLOWS ||
           event == ELECT_YIELDS || event == ELECT_LOST;
}

static void
on_elected(struct world *w, unsigned node, const struct plan_action *a)
{
    struct drama *d = w->hooks.cookie;
    struct incarnation *n = &d->nodes[node];
    const struct elect *e = step_elect(w->nodes[node].step);
    int64_t own_ms = world_node_ms(w, node);
    if (w->broken[0] != '\0')
        return;
    if (d->late >= 0 && (int)node != d->late && is_of_office(a->event))
        (void)world_break(w, "n%u %s, as n%d hears late", node, elect_event_text(a->event),
                          d->late);
    else if (a->event == ELECT_WON) {
        on_won(w, d, node);
    } else if (a->event == ELECT_YIELDS) {
        if (!larger(w, &e->tracker, node, n))
            (void)world_break(w, "n%u yields to a smaller claim", node);
    } else if (a->event == ELECT_RESIGNS) {
        n->resigns_ms = own_ms;
    } else if (a->event == ELECT_SUSPECTS) {
        n->suspects_ms = own_ms;
        if (member_find(step_members(w->nodes[node].step), &e->tracker.id) != NULL &&
            !probes(w, &e->tracker.id))
            (void)world_break(w, "n%u does not ask the tracker", node);
    } else if (a->event == ELECT_RUNS) {
        if (e->tracker.epoch > 0 && own_ms - n->suspects_ms < ELECT_PROBE_MS)
            (void)world_break(w, "n%u stands, and did not wait for its tracker's word", node);
        if (calm(w, d) && d->orphaned_ms < 0)
            (void)world_break(w, "n%u stands in a calm network", node);
    }
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
    int deputy = best_beside(w, (unsigned)tracker);
    for (unsigned i = 0; i < w->count; i++) {
        if (!world_alive(w, i) || !same_side(w, side_of, i))
            continue;
        const struct elect *e = step_elect(w->nodes[i].step);
        if (!node_equal(&e->tracker.id, &w->nodes[tracker].id))
            return world_break(w, "n%u does not follow n%d", i, tracker);
        if ((e->role == ELECT_DEPUTY) != ((int)i == deputy))
            return world_break(w, "n%u is %s, n%d is the best beside n%d", i,
                               elect_role_name(e->role), deputy, tracker);
    }
    return true;
}

static bool
check(struct world *w)
{
    struct drama *d = w->hooks.cookie;
    for (unsigned i = 0; i < w->count; i++)
        d->nodes[i].lone = world_is_tracker(w, i) && step_elect(w->nodes[i].step)->tracker.lone;
    if (w->broken[0] != '\0')
        return false;
    if (d->orphaned_ms >= 0 && w->loss_permille == 0 && world_ms(w) - d->orphaned_ms > TAKEOVER_MS)
        return world_break(w, "no tracker %d ms after the last one died", TAKEOVER_MS);
    if (d->resigned_ms >= 0 && world_ms(w) - d->resigned_ms > HANDOVER_MS)
        return world_break(w, "no tracker %d ms after the last one resigned", HANDOVER_MS);
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
    struct drama d = {.orphaned_ms = -1, .resigned_ms = -1, .heir = -1, .late = -1, .sum = sum};
    unsigned nodes;
    draw(&d, seed, &nodes);
    for (unsigned i = 0; i < nodes; i++)
        d.nodes[i] = (struct incarnation){0, false, NEVER_MS, NEVER_MS};
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
        d.calm_from_ms = world_ms(w) + latest_ms(w);
        world_mend(w);
        w->loss_permille = 0;
        d.partial = false;
        d.deaf = false;
        d.followed = false;
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
