/* Nodes pull two blobs that are popular and one that is not, then nodes die and come back.
 * Invariants:
 *
 *  1. A copy is taken from nodes of the site, one request at a time, never while a client of its
 *     node waits, and never by a node without room.
 *  2. What one node wanted is not copied, and what is popular no more often than holders left.
 *  3. In a calm network what is popular has two whole copies in the end, while a node that lives
 *     has it and another has room. */
#include "tests/sim/copies.h"
#include "base/mem.h"
#include "p2p/piece.h"
#include "tests/sim/world.h"
#include <stdio.h>

#define NODES_MAX  10
#define BLOBS      3
#define POPULAR    2 /* blobs 0 and 1; the last one is wanted by one node */
#define PULLERS    3
#define SIZE       ((uint64_t)16 * PIECE_BYTES_MIN)
#define GETS_MAX   8192
#define PULLS_MS   3000
#define DEATHS_MS  12000
#define DEATHS     6
#define RUN_MS     120000
#define FREE_BYTES (UINT64_C(1) << 30)
#define PULL_FLAGS (WIRE_WANTS | WIRE_MAY_FETCH | WIRE_CLIENT | WIRE_SERVES)
#define COPY_FLAGS (WIRE_WANTS | WIRE_SERVES | WIRE_FOR_COPY)

enum { START = WORLD_OWN, PULL, KEEP, LANDED, WORDS, KILL };

struct get {
    unsigned node, blob;
    uint64_t boot;
    uint32_t id, first, end;
    int peer; /* -1: upstream */
    bool copy;
};

struct run {
    struct world *w;
    struct rng rng;
    bool calm;
    struct digest digests[BLOBS];
    bool full[NODES_MAX];
    bool holds[NODES_MAX][BLOBS]; /* on its disk */
    bool pulls[NODES_MAX][BLOBS];
    bool copies[NODES_MAX][BLOBS];
    unsigned running[NODES_MAX]; /* requests of copies */
    size_t gets_count;
    struct get gets[GETS_MAX];
    unsigned made, left; /* copies; holders that died */
};

static struct run *
of(struct world *w)
{
    return w->hooks.cookie;
}

static unsigned
blob_of(const struct run *r, const struct digest *digest)
{
    unsigned b = 0;
    while (b < BLOBS && !digest_equal(&r->digests[b], digest))
        b++;
    must(b < BLOBS);
    return b;
}

static struct swarm *
swarm_at(struct run *r, unsigned node, unsigned blob)
{
    struct step *s = r->w->nodes[node].step;
    return s != NULL ? step_swarm(s, &r->digests[blob]) : NULL;
}

static void
open_blob(struct run *r, unsigned node, unsigned blob, uint8_t flags)
{
    struct swarm *s = step_open(r->w->nodes[node].step, world_node_ms(r->w, node),
                                &r->digests[blob], SIZE, flags);
    must(s != NULL);
    if ((flags & WIRE_CLIENT) != 0)
        swarm_cursor(s, 0, 0, world_node_ms(r->w, node));
    world_touch(r->w, node);
}

/* ---- what the nodes want done ---- */

static uint64_t
stored(struct world *w, unsigned node, const struct digest *digest)
{
    const struct run *r = of(w);
    return r->holds[node][blob_of(r, digest)] ? SIZE : 0;
}

static bool
has_room(struct world *w, unsigned node, const struct digest *digest, uint64_t size)
{
    (void)digest;
    (void)size;
    return !of(w)->full[node];
}

static void
keep(struct world *w, unsigned node, const struct plan_action *a)
{
    struct run *r = of(w);
    unsigned blob = blob_of(r, &a->blob);
    if (r->full[node])
        (void)world_break(w, "n%u has no room for a copy", node);
    if (blob >= POPULAR)
        (void)world_break(w, "n%u copies what one node wanted", node);
    world_later(r->w, 1, KEEP, node, blob);
}

static bool
has_client(const struct run *r, unsigned node)
{
    for (unsigned b = 0; b < BLOBS; b++)
        if (r->pulls[node][b])
            return true;
    return false;
}

static void
stop(struct run *r, unsigned node, unsigned blob, const struct swarm_get *s)
{
    for (size_t i = 0; i < r->gets_count; i++) {
        struct get *g = &r->gets[i];
        if (g->node == node && g->blob == blob && g->id == s->id && s->first < g->end)
            g->end = s->first > g->first ? s->first : g->first;
    }
}

static void
fetch(struct world *w, unsigned node, const struct plan_action *a)
{
    struct run *r = of(w);
    unsigned blob = blob_of(r, &a->blob);
    if (a->kind == PLAN_STOP) {
        stop(r, node, blob, &a->get);
        return;
    }
    if (a->kind == PLAN_WORDS) {
        world_later(r->w, 5, WORDS, node, blob);
        return;
    }
    must(r->gets_count < GETS_MAX);
    bool lan = a->get.source == SWARM_LAN, copy = !r->pulls[node][blob];
    if (copy && (!lan || r->running[node] > 0 || has_client(r, node)))
        (void)world_break(w, "n%u takes a copy as it must not", node);
    r->running[node] += copy;
    r->gets[r->gets_count] = (struct get){.node = node,
                                          .blob = blob,
                                          .boot = w->nodes[node].boot,
                                          .id = a->get.id,
                                          .first = a->get.first,
                                          .end = a->get.first + a->get.count,
                                          .peer = lan ? world_node_of(w, &a->get.node) : -1,
                                          .copy = copy};
    world_later(r->w, lan ? 10 : 20 * (int64_t)a->get.count, LANDED, r->gets_count++, 0);
}

/* ---- what happens ---- */

static void
whole(struct run *r, unsigned node, unsigned blob)
{
    r->made += r->copies[node][blob] && !r->pulls[node][blob];
    r->holds[node][blob] = true;
    r->pulls[node][blob] = r->copies[node][blob] = false;
    world_say(r->w, "n%u has blob %u", node, blob);
    step_leave(r->w->nodes[node].step, world_node_ms(r->w, node), &r->digests[blob]);
}

static void
tell_word(struct run *r, unsigned node, unsigned blob, uint32_t piece)
{
    const uint8_t word[ATTEST_BYTES] = {(uint8_t)(blob + 1), (uint8_t)piece};
    swarm_attest(swarm_at(r, node, blob), true, piece, word, world_node_ms(r->w, node));
}

static void
recall(struct run *r, unsigned node, unsigned blob)
{
    struct swarm *s = swarm_at(r, node, blob);
    if (s == NULL)
        return;
    for (uint32_t p = 0; p < swarm_pieces(s) && r->holds[node][blob]; p++)
        tell_word(r, node, blob, p);
    swarm_recalled(s);
    world_touch(r->w, node);
}

static void
land(struct run *r, const struct get *g)
{
    struct world *w = r->w;
    struct swarm *s = swarm_at(r, g->node, g->blob);
    if (w->nodes[g->node].step == NULL || w->nodes[g->node].boot != g->boot)
        return;
    r->running[g->node] -= g->copy;
    if (s == NULL)
        return;
    int64_t now_ms = world_node_ms(w, g->node);
    struct swarm *from = g->peer >= 0 ? swarm_at(r, (unsigned)g->peer, g->blob) : NULL;
    bool given = g->peer < 0 ||
                 (w->nodes[g->peer].step != NULL &&
                  (r->holds[g->peer][g->blob] || (from != NULL && swarm_holds(from, g->first))));
    for (uint32_t p = g->first; given && p < g->end; p++) {
        if (g->peer < 0)
            tell_word(r, g->node, g->blob, p);
        swarm_piece(s, g->id, p, now_ms);
    }
    swarm_end(s, g->id, given ? SWARM_DONE : SWARM_FAILED, 10000, 0, now_ms);
    if (swarm_whole(s) && !r->holds[g->node][g->blob])
        whole(r, g->node, g->blob);
    world_touch(w, g->node);
}

static void
start(struct run *r, unsigned node)
{
    if (r->w->nodes[node].step != NULL)
        return;
    world_start(r->w, node, (uint32_t)rng_below(&r->rng, 2));
    step_load(r->w->nodes[node].step, 0, r->full[node] ? 0 : FREE_BYTES);
}

/* In a calm run tracker and deputy stay: what both know of popularity goes with both. */
static bool
may_die(const struct run *r, unsigned node)
{
    const struct world *w = r->w;
    if (w->nodes[node].step == NULL)
        return false;
    int tracker = world_tracker(w);
    if (!r->calm || tracker < 0)
        return true;
    const struct elect *e = step_elect(w->nodes[node].step);
    return !world_is_tracker(w, node) && !node_equal(&e->deputy, &w->nodes[node].id);
}

static void
kill_node(struct run *r, unsigned node)
{
    if (!may_die(r, node))
        return;
    for (unsigned b = 0; b < BLOBS; b++) {
        r->left += r->holds[node][b];
        r->pulls[node][b] = r->copies[node][b] = false;
    }
    r->running[node] = 0;
    world_kill(r->w, node);
    if (rng_below(&r->rng, 2) == 0)
        world_later(r->w, 500 + (int64_t)rng_below(&r->rng, 20000), START, node, 0);
}

static void
on_event(struct world *w, unsigned kind, uint64_t a, uint64_t b)
{
    struct run *r = of(w);
    unsigned node = (unsigned)a;
    if (kind == START)
        start(r, node);
    else if (kind == LANDED)
        land(r, &r->gets[a]);
    else if (kind == WORDS)
        recall(r, node, (unsigned)b);
    else if (kind == KILL)
        kill_node(r, node);
    if ((kind != PULL && kind != KEEP) || w->nodes[node].step == NULL || r->holds[node][b])
        return;
    r->pulls[node][b] = r->pulls[node][b] || kind == PULL;
    r->copies[node][b] = kind == KEEP;
    if (kind == PULL || !r->pulls[node][b])
        open_blob(r, node, (unsigned)b, kind == PULL ? PULL_FLAGS : COPY_FLAGS);
}

static bool
check(struct world *w)
{
    struct run *r = of(w);
    if (r->made > r->left + POPULAR)
        return world_break(w, "%u copies were made for %u that left", r->made, r->left);
    return w->broken[0] == '\0';
}

static void
check_end(struct run *r)
{
    for (unsigned b = 0; b < POPULAR && r->calm; b++) {
        unsigned have = 0, could = 0;
        for (unsigned n = 0; n < r->w->count; n++) {
            bool lives = r->w->nodes[n].step != NULL;
            have += lives && r->holds[n][b];
            could += lives && !r->holds[n][b] && !r->full[n];
        }
        if (have == 1 && could > 0)
            (void)world_break(r->w, "blob %u has one copy in the end", b);
    }
}

static void
play(struct run *r, uint64_t seed)
{
    unsigned nodes = r->w->count;
    rng_init(&r->rng, seed ^ 0xc0b1e5);
    for (unsigned b = 0; b < BLOBS; b++)
        digest_of(DIGEST_SHA256, &b, sizeof b, &r->digests[b]);
    for (unsigned n = 0; n < nodes; n++) {
        r->full[n] = rng_below(&r->rng, 4) == 0;
        world_later(r->w, (int64_t)rng_below(&r->rng, 100), START, n, 0);
    }
    for (unsigned b = 0; b < BLOBS; b++)
        for (unsigned i = 0; i < (b < POPULAR ? PULLERS : 1); i++)
            world_later(r->w, PULLS_MS + (int64_t)rng_below(&r->rng, 5000), PULL, (b + i) % nodes,
                        b);
    for (unsigned i = 0; i < DEATHS; i++)
        world_later(r->w, DEATHS_MS + (int64_t)rng_below(&r->rng, 50000), KILL,
                    rng_below(&r->rng, nodes), 0);
    if (!r->calm)
        r->w->loss_permille = (unsigned)rng_below(&r->rng, 51);
    if (world_run(r->w, RUN_MS))
        check_end(r);
}

int
copies_all(uint64_t seed, uint64_t seeds, bool traced)
{
    uint64_t made = 0, left = 0;
    for (uint64_t i = 0; i < seeds; i++) {
        struct run *r = mem_zalloc(sizeof *r);
        struct world_hooks hooks = {.cookie = r,
                                    .check = check,
                                    .event = on_event,
                                    .fetch = fetch,
                                    .stored = stored,
                                    .room = has_room,
                                    .keep = keep};
        r->calm = (seed + i) % 2 == 0;
        r->w = world_new(4 + (unsigned)((seed + i) % (NODES_MAX - 3)), seed + i, &hooks);
        r->w->traced = traced;
        play(r, seed + i);
        bool broken = world_tell(r->w, "copies", seed + i);
        made += r->made;
        left += r->left;
        world_free(r->w);
        mem_free(r);
        if (broken)
            return 1;
    }
    (void)printf("%llu seeds: %llu copies were made, %llu left with their nodes\n",
                 (unsigned long long)seeds, (unsigned long long)made, (unsigned long long)left);
    return 0;
}
