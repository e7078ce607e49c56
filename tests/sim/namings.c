/* Nodes ask each other for tags that move upstream. Invariants:
 *
 *  1. A question is answered once, at its deadline at the latest, while its node lives.
 *  2. What is called KNOWN is what upstream had when it was young, and no older than it says.
 *  3. In a calm network one node resolves a tag in an interval, and everybody else is answered.
 *
 * The registry of this world: every TAG_MOVES_MS each tag stands for something else. */
#include "tests/sim/namings.h"
#include "base/mem.h"
#include "tests/sim/world.h"
#include <stdio.h>

#define NODES_MAX    24
#define TAGS         6
#define ASKS_MAX     8192
#define RUN_MS       40000
#define WARM_MS      3000 /* until the first tracker has been told what there is */
#define TAG_MOVES_MS 3000
#define YOUNG_MS     5000
#define PATIENCE_MS  2300
#define TICK_MS      10 /* a timer may be that late: clocks differ by one part in a hundred */

enum { ASK = WORLD_OWN, RESOLVED, TOOK, KILL, START };

struct ask {
    unsigned node, tag;
    uint64_t boot;
    int64_t begun_ms;            /* of the world */
    bool shouts, answered, over; /* over: the node knows the tag now, or gave up */
    struct names_value took;     /* KNOWN */
};

struct run {
    struct world *w;
    struct rng rng;
    bool calm;
    size_t asks_count;
    struct ask asks[ASKS_MAX];
    int64_t resolved_ms[TAGS]; /* calm: when upstream was asked last */
    unsigned known, resolved;
};

static struct run *
of(struct world *w)
{
    return w->hooks.cookie;
}

static struct digest
key_of(unsigned tag)
{
    struct digest d;
    digest_of(DIGEST_SHA256, &tag, sizeof tag, &d);
    return d;
}

static uint64_t
version_at(int64_t ms)
{
    return ms < 0 ? 0 : (uint64_t)ms / TAG_MOVES_MS;
}

/* ---- a node asks ---- */

/* A node has one question about a tag at a time (proxy/api/flight). */
static bool
is_asking(const struct run *r, unsigned node, unsigned tag)
{
    for (size_t i = 0; i < r->asks_count; i++) {
        const struct ask *a = &r->asks[i];
        if (a->node == node && a->tag == tag && a->boot == r->w->nodes[node].boot && !a->over)
            return true;
    }
    return false;
}

static void
ask(struct run *r, unsigned node)
{
    unsigned tag = (unsigned)rng_below(&r->rng, TAGS);
    struct world *w = r->w;
    world_later(r->w, 20 + (int64_t)rng_below(&r->rng, 1500), ASK, node, 0);
    if (!world_alive(w, node) || r->asks_count == ASKS_MAX || is_asking(r, node, tag))
        return;
    struct ask *a = &r->asks[r->asks_count];
    *a = (struct ask){.node = node,
                      .tag = tag,
                      .boot = w->nodes[node].boot,
                      .begun_ms = world_ms(w),
                      .shouts = !r->calm && rng_below(&r->rng, 4) == 0};
    struct naming_question q = {.id = (uint32_t)r->asks_count++,
                                .key = key_of(a->tag),
                                .max_age_ms = YOUNG_MS,
                                .deadline_ms = world_node_ms(w, node) + PATIENCE_MS,
                                .shout_ms = a->shouts ? 20 : 0,
                                .may_resolve = true};
    world_ask_name(w, node, &q);
}

/* The tag as upstream had it, told with the age that the node knows. */
static void
tell(struct run *r, struct ask *a, enum names_state state, uint64_t version, uint64_t age_ms)
{
    a->over = true;
    struct digest key = key_of(a->tag);
    struct names_value v = {.size = version, .age_ms = age_ms};
    digest_of(DIGEST_SHA256, &version, sizeof version, &v.digest);
    step_name_tell(r->w->nodes[a->node].step, world_node_ms(r->w, a->node), &key, state, &v);
    world_touch(r->w, a->node);
}

static bool
is_true(struct run *r, const struct ask *a, const struct names_value *v)
{
    int64_t now_ms = world_ms(r->w), age_ms = (int64_t)v->age_ms;
    int64_t slack_ms = age_ms / 25 + 2 * TICK_MS; /* clocks of two nodes, the age rounded */
    if (v->size < version_at(now_ms - age_ms - slack_ms) ||
        v->size > version_at(now_ms - age_ms + slack_ms))
        return world_break(r->w, "n%u: tag %u is called %llu at age %lld", a->node, a->tag,
                           (unsigned long long)v->size, (long long)age_ms);
    return true;
}

static void
judge_known(struct run *r, const struct ask *a, const struct names_value *v)
{
    int64_t waited_ms = world_ms(r->w) - a->begun_ms;
    int64_t young_ms = waited_ms > YOUNG_MS ? waited_ms : YOUNG_MS;
    r->known++;
    if (is_true(r, a, v) && !a->shouts && (int64_t)v->age_ms > young_ms + young_ms / 25 + TICK_MS)
        (void)world_break(r->w, "n%u: tag %u of age %lld is called young", a->node, a->tag,
                          (long long)v->age_ms);
}

static void
resolve(struct run *r, const struct ask *a, enum names_state state)
{
    int64_t now_ms = world_ms(r->w);
    int64_t since_ms = now_ms - r->resolved_ms[a->tag];
    if (r->calm && state != NAMES_YOURS)
        (void)world_break(r->w, "n%u: nobody helps with tag %u in a calm network", a->node, a->tag);
    else if (r->calm && since_ms < YOUNG_MS - YOUNG_MS / 25)
        (void)world_break(r->w, "n%u: tag %u is resolved again after %lld ms", a->node, a->tag,
                          (long long)since_ms);
    r->resolved_ms[a->tag] = now_ms;
    r->resolved++;
    bool slow = !r->calm && rng_below(&r->rng, 10) == 0;
    world_later(r->w, slow ? 3000 : 20 + (int64_t)rng_below(&r->rng, 400), RESOLVED,
                (uint64_t)(a - r->asks), 0);
}

/* What follows happens in an event of its own: the plan is still being carried out. */
static void
named(struct world *w, unsigned node, const struct plan_action *act)
{
    struct run *r = of(w);
    struct ask *a = &r->asks[act->ask];
    world_say(w, "n%u tag %u: answer %u", node, a->tag, (unsigned)act->name.state);
    bool late = world_ms(w) - a->begun_ms > PATIENCE_MS + PATIENCE_MS / 25 + TICK_MS;
    if (a->answered || a->node != node || a->boot != w->nodes[node].boot || late) {
        (void)world_break(w, "n%u is answered %s", node, late ? "late" : "twice");
        return;
    }
    a->answered = true;
    if (act->name.state != NAMES_KNOWN) {
        resolve(r, a, act->name.state);
        return;
    }
    judge_known(r, a, &act->name.value);
    a->took = act->name.value;
    world_later(r->w, 0, TOOK, act->ask, 0);
}

static void
hear_upstream(struct run *r, struct ask *a)
{
    bool fails = !r->calm && rng_below(&r->rng, 5) == 0;
    tell(r, a, fails ? NAMES_FAILED : NAMES_KNOWN, version_at(world_ms(r->w)), 0);
}

/* ---- what happens ---- */

static void
kill_tracker(struct run *r)
{
    int node = world_tracker(r->w);
    world_later(r->w, 4000 + (int64_t)rng_below(&r->rng, 4000), KILL, 0, 0);
    if (node < 0)
        return;
    world_kill(r->w, (unsigned)node);
    world_later(r->w, 3500, START, (uint64_t)node, 0);
}

static bool
same_life(const struct run *r, const struct ask *a)
{
    return r->w->nodes[a->node].step != NULL && r->w->nodes[a->node].boot == a->boot;
}

static void
on_event(struct world *w, unsigned kind, uint64_t x, uint64_t y)
{
    struct run *r = of(w);
    struct ask *a = &r->asks[x];
    (void)y;
    if (kind == ASK)
        ask(r, (unsigned)x);
    else if (kind == KILL)
        kill_tracker(r);
    else if (kind == START)
        world_start(w, (unsigned)x, 1);
    else if (same_life(r, a) && kind == RESOLVED)
        hear_upstream(r, a);
    else if (same_life(r, a) && kind == TOOK)
        tell(r, a, NAMES_KNOWN, a->took.size, a->took.age_ms);
}

static bool
check(struct world *w)
{
    return w->broken[0] == '\0';
}

/* Everybody who lives still has its answer. */
static void
check_end(struct run *r)
{
    for (size_t i = 0; i < r->asks_count; i++) {
        const struct ask *a = &r->asks[i];
        if (!a->answered && same_life(r, a) && world_ms(r->w) - a->begun_ms > 2 * PATIENCE_MS)
            (void)world_break(r->w, "n%u was never answered", a->node);
    }
}

static void
play(struct run *r, uint64_t seed)
{
    rng_init(&r->rng, seed ^ 0x5eed);
    for (unsigned i = 0; i < TAGS; i++)
        r->resolved_ms[i] = -YOUNG_MS;
    for (unsigned i = 0; i < r->w->count; i++) {
        world_later(r->w, (int64_t)rng_below(&r->rng, 100), START, i, 0);
        world_later(r->w, WARM_MS, ASK, i, 0);
    }
    if (!r->calm) {
        r->w->loss_permille = (unsigned)rng_below(&r->rng, 101);
        world_later(r->w, WARM_MS + 2000, KILL, 0, 0);
    }
    if (world_run(r->w, RUN_MS))
        check_end(r);
}

int
namings_all(uint64_t seed, uint64_t seeds, bool traced)
{
    uint64_t known = 0, resolved = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        struct run *r = mem_zalloc(sizeof *r);
        struct world_hooks hooks = {.cookie = r, .check = check, .event = on_event, .named = named};
        r->calm = (seed + i) % 2 == 0;
        r->w = world_new(2 + (unsigned)((seed + i) % (NODES_MAX - 1)), seed + i, &hooks);
        r->w->traced = traced;
        play(r, seed + i);
        bool broken = world_tell(r->w, "names", seed + i);
        known += r->known;
        resolved += r->resolved;
        world_free(r->w);
        mem_free(r);
        if (broken)
            return 1;
    }
    (void)printf("%llu seeds: %llu questions known in the site, %llu asked upstream\n",
                 (unsigned long long)seeds, (unsigned long long)known,
                 (unsigned long long)resolved);
    return 0;
}
