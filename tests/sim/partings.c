/* Three, eight or sixteen nodes with disks of very unequal size pull images, all at one moment, and
 * let go of what is worth least (the daemon's evict.c) as the site allows (its keeper.c), while
 * datagrams are lost or late, nodes and trackers die, stand still or resign, and the site falls
 * apart and heals. The disk of a node that dies comes back with it. Invariants, looked at after
 * every event:
 *
 *  1. A blob that leaves a node since others hold it (PARTING_GO) is on another disk of the site,
 * unless a node that was told that it has the last copy (PARTING_LAST) let it go since that was
 * asked. So of the last two holders never both go, whatever is lost, and into however many parts
 * the site falls.
 *  2. Where the network did not change since, it is on a disk of its own part of the site. Nobody
 *     knows of copies in other parts: one that is the last in a part counts as the last.
 *  3. "There is no other node" is told to nobody who has heard others for long.
 *  4. In a calm network nobody lets the last copy go for want of room, while another node had room
 * to spare for it: it moves there. Each wish is answered in time. */
#include "tests/sim/partings.h"
#include "base/mem.h"
#include "cache/evict.h"
#include "cache/leave.h"
#include "tests/sim/world.h"
#include <math.h>
#include <stdio.h>

#define NODES_MAX    16
#define BLOBS_MAX    96
#define MIB          (UINT64_C(1) << 20)
#define SIZES        6 /* 1 to 6 MiB */
#define CACHE_MIN    (8 * MIB)
#define HIGH_PERCENT 90
#define LOW_PERCENT  85
#define MARGIN_MS    1000 /* a word is used up before the site counts this copy again */
#define LAST_MS      1500 /* then who has the last copy asks once more */
#define ASK_MS       2000
#define ANSWER_MS    (KEEPER_ASKS * KEEPER_ASK_MS + KEEPER_ROUND_MS)
#define LOOK_MS      100
#define TRIES        15 /* to find room, LOOK_MS each; then a blob passes through */
#define PULLS_MS     4000
#define ROUND_MS     2500 /* from one image to the next */
#define FAULTS       10
#define RUN_MS       30000
#define SETTLE_MS    5000                      /* after a fault: all know each other */
#define BOOKED_MS    (KEEPER_BOOKED_MS + 1000) /* and a beacon */
#define ROOMY_MS     (BOOKED_MS + 2000)        /* then the tracker knows of room */
#define TAKES_MS     300                       /* then what was to move there has begun to */

enum { START = WORLD_OWN, IMAGE, PULL, CAME, LOOK, ASK, JUDGE, FAULT };
enum fault { DIES, TRACKER_DIES, RESIGNS, STOPS, PARTS, HEALS, DEAF, LOSSY, LATE, FAULTS_END };

struct copy {
    struct evict_blob worth; /* first: evict.c gives it back */
    bool held, comes, told_last;
    enum cache_leave state;
    bool unshared;       /* MAY, since there is no other node */
    int64_t until_ms;    /* of its node's clock */
    int64_t asked_ms;    /* ASKED: of the world */
    int64_t said_ms;     /* MAY: of the world */
    int64_t let_last_ms; /* when it went as the last one */
};

struct node {
    struct evict evict;
    uint64_t limit, used;        /* bytes; also of what comes */
    int64_t short_ms[SIZES + 1]; /* when so many MiB were not free */
    int64_t took_ms;             /* when others' copies were last taken over, */
    uint64_t took;               /* and how much of late: the tracker may count that twice */
    struct copy copies[BLOBS_MAX];
};

struct run {
    struct world *w;
    struct rng rng;
    bool calm, one_way;
    int64_t fault_ms; /* the last one */
    unsigned blobs, went, moved, last, stayed;
    struct digest digests[BLOBS_MAX];
    uint64_t sizes[BLOBS_MAX];
    struct node nodes[NODES_MAX];
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
    while (b < r->blobs && !digest_equal(&r->digests[b], digest))
        b++;
    must(b < r->blobs);
    return b;
}

static uint64_t
name_of(unsigned blob)
{
    return (blob + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint32_t
now_s(const struct run *r)
{
    return (uint32_t)(world_ms(r->w) / 1000) + 1;
}

static bool
same_part(const struct run *r, unsigned a, unsigned b)
{
    return !world_is_cut(r->w, a, b) && !world_is_cut(r->w, b, a);
}

static bool
settled(const struct run *r)
{
    return !r->one_way && r->w->loss_permille == 0 && r->w->jitter_us < WORLD_US &&
           world_ms(r->w) - r->fault_ms >= SETTLE_MS;
}

/* ---- a node's cache, as cache/room.c and leaving.c have it ---- */

static uint64_t
spare(const struct node *n)
{
    uint64_t low = n->limit / 100 * LOW_PERCENT;
    return low > n->used ? low - n->used : 0;
}

static void
tell_room(struct run *r, unsigned node)
{
    struct node *n = &r->nodes[node];
    for (unsigned mib = 0; mib <= SIZES; mib++)
        if (spare(n) < mib * MIB)
            n->short_ms[mib] = world_ms(r->w);
    if (r->w->nodes[node].step != NULL)
        step_load(r->w->nodes[node].step, 0, n->evict.spare_bytes + spare(n));
}

static void
set_state(struct run *r, unsigned node, struct copy *c, enum cache_leave state)
{
    c->state = state;
    evict_hold(&r->nodes[node].evict, &c->worth,
               state == CACHE_LEAVE_ASKED || state == CACHE_LEAVE_MOVES ||
                   state == CACHE_LEAVE_KEEP,
               now_s(r));
}

static void
expire(struct run *r, unsigned node)
{
    for (unsigned b = 0; b < r->blobs; b++) {
        struct copy *c = &r->nodes[node].copies[b];
        if (c->held && c->state != CACHE_LEAVE_UNASKED && c->until_ms <= world_node_ms(r->w, node))
            set_state(r, node, c, CACHE_LEAVE_UNASKED);
    }
}

static bool
may_leave(const struct copy *c)
{
    return c->state == CACHE_LEAVE_MAY || c->state == CACHE_LEAVE_LAST;
}

/* Of disks in the site, or in the part of a node; has a last one been let go there since? */
static unsigned
count(const struct run *r, unsigned blob, int part_of, int64_t since_ms, bool *ret_let_last)
{
    unsigned held = 0;
    *ret_let_last = false;
    for (unsigned i = 0; i < r->w->count; i++) {
        const struct copy *c = &r->nodes[i].copies[blob];
        if (part_of >= 0 && !same_part(r, (unsigned)part_of, i))
            continue;
        held += c->held;
        *ret_let_last = *ret_let_last || c->let_last_ms >= since_ms;
    }
    return held;
}

/* Invariants 1 and 2; it has gone. */
static void
judge_gone(struct run *r, unsigned node, unsigned blob)
{
    const struct copy *c = &r->nodes[node].copies[blob];
    int64_t asked_ms = c->said_ms - KEEPER_LATE_MS;
    bool let_last;
    if (count(r, blob, -1, asked_ms, &let_last) == 0 && !let_last)
        (void)world_break(r->w, "blob %u left the site with n%u, others were said to hold it", blob,
                          node);
    bool same_net = !r->one_way && r->fault_ms + KEEPER_PROMISE_MS < asked_ms;
    if (same_net && count(r, blob, (int)node, asked_ms, &let_last) == 0 && !let_last)
        (void)world_break(r->w, "blob %u left the part of n%u, others were said to hold it", blob,
                          node);
}

static void
let_go(struct run *r, unsigned node, struct copy *c)
{
    struct node *n = &r->nodes[node];
    unsigned blob = (unsigned)(c - n->copies);
    bool last = c->state == CACHE_LEAVE_LAST || c->unshared;
    world_say(r->w, "n%u lets blob %u go%s", node, blob, last ? ", the last one" : "");
    c->held = false;
    evict_remove(&n->evict, &c->worth, name_of(blob));
    n->used -= r->sizes[blob];
    c->state = CACHE_LEAVE_UNASKED;
    if (last) {
        c->let_last_ms = world_ms(r->w);
        r->last++;
    } else {
        r->went++;
        judge_gone(r, node, blob);
    }
}

static void
ask(struct run *r, unsigned node, struct copy *c)
{
    set_state(r, node, c, CACHE_LEAVE_ASKED);
    c->until_ms = world_node_ms(r->w, node) + ASK_MS;
    c->asked_ms = world_ms(r->w);
    world_later(r->w, 0, ASK, node, (uint64_t)(c - r->nodes[node].copies));
}

/* What is worth least leaves, or the site is asked about it, until so much is free or will be. */
static void
evict(struct run *r, unsigned node, uint64_t need)
{
    struct node *n = &r->nodes[node];
    struct evict_blob *list[EVICT_CHOOSE_MAX];
    uint64_t bytes, comes = 0;
    for (unsigned b = 0; b < r->blobs; b++)
        if (n->copies[b].held &&
            (n->copies[b].state == CACHE_LEAVE_ASKED || n->copies[b].state == CACHE_LEAVE_MOVES))
            comes += r->sizes[b];
    if (need <= comes)
        return;
    evict_settle(&n->evict, now_s(r));
    size_t found = evict_choose(&n->evict, need - comes, (double)INFINITY, list, &bytes);
    for (size_t i = 0; i < found; i++) {
        struct copy *c = (struct copy *)(void *)list[i];
        if (may_leave(c))
            let_go(r, node, c);
        else
            ask(r, node, c);
    }
}

static void
look(struct run *r, unsigned node, uint64_t size)
{
    struct node *n = &r->nodes[node];
    uint64_t low = n->limit / 100 * LOW_PERCENT;
    uint64_t need = n->used > n->limit / 100 * HIGH_PERCENT ? n->used - low : 0;
    if (n->used + size > n->limit && n->used + size - n->limit > need)
        need = n->used + size - n->limit;
    expire(r, node);
    evict(r, node, need);
    tell_room(r, node);
}

static void
begin(struct run *r, unsigned node, unsigned blob, int64_t takes_ms)
{
    r->nodes[node].copies[blob].comes = true;
    r->nodes[node].used += r->sizes[blob];
    tell_room(r, node);
    world_later(r->w, takes_ms, CAME, node, r->w->nodes[node].boot << 8 | blob);
}

static void
came(struct run *r, unsigned node, unsigned blob)
{
    struct node *n = &r->nodes[node];
    struct copy *c = &n->copies[blob];
    bool ignored;
    unsigned others = count(r, blob, -1, 0, &ignored);
    c->comes = false;
    c->held = true;
    c->told_last = false;
    c->worth = (struct evict_blob){.size = r->sizes[blob], .copies = others > 0 ? 2 : 1};
    c->state = CACHE_LEAVE_UNASKED;
    evict_add(&n->evict, &c->worth, name_of(blob), now_s(r));
    evict_asked(&n->evict, &c->worth, EVICT_SELF, now_s(r));
    world_say(r->w, "n%u stores blob %u", node, blob);
    look(r, node, 0);
}

/* ---- what the keeper asks, and says ---- */

static bool
holds(struct world *w, unsigned node, const struct digest *digest)
{
    struct run *r = of(w);
    return r->nodes[node].copies[blob_of(r, digest)].held;
}

static bool
offer(struct world *w, unsigned node, const struct digest *digest, struct parting_offer *ret)
{
    struct run *r = of(w);
    *ret = (struct parting_offer){
        .digest = *digest, .size = r->sizes[blob_of(r, digest)], .place_len = 3, .place = "a/b"};
    return holds(w, node, digest);
}

/* Room for it: free, or held by what others have, too, and which is asked about. */
static enum parting_taken
take(struct world *w, unsigned node, const struct parting_offer *o)
{
    struct run *r = of(w);
    unsigned blob = blob_of(r, &o->digest);
    struct node *n = &r->nodes[node];
    if (n->copies[blob].held)
        return PARTING_STORED;
    if (n->copies[blob].comes)
        return PARTING_COMING;
    if (spare(n) >= o->size) {
        n->took = (world_ms(w) - n->took_ms > BOOKED_MS ? 0 : n->took) + o->size;
        n->took_ms = world_ms(w);
        begin(r, node, blob, 100 + (int64_t)rng_below(&r->rng, 400));
        return PARTING_COMING;
    }
    if (spare(n) + n->evict.spare_bytes < o->size || n->limit / 100 * LOW_PERCENT < o->size)
        return PARTING_REFUSED;
    expire(r, node);
    evict(r, node, o->size - spare(n));
    tell_room(r, node);
    return PARTING_COMING;
}

/* Invariant 4, some time after the node was told: the room may be for another that moves there. */
static void
judge_last(struct run *r, unsigned node, unsigned blob)
{
    unsigned mib = (unsigned)(r->sizes[blob] / MIB);
    for (unsigned i = 0; i < r->w->count && settled(r); i++) {
        const struct node *n = &r->nodes[i];
        uint64_t took = world_ms(r->w) - n->took_ms > BOOKED_MS ? 0 : n->took;
        if (spare(n) >= r->sizes[blob] + took && i != node && world_alive(r->w, i) &&
            same_part(r, node, i) && !n->copies[blob].held && !n->copies[blob].comes &&
            world_ms(r->w) - n->short_ms[mib] > ROOMY_MS + TAKES_MS)
            (void)world_break(r->w, "n%u might drop the last blob %u, n%u had room", node, blob, i);
    }
}

/* Invariant 3. */
static void
judge_alone(struct run *r, unsigned node)
{
    for (unsigned i = 0; i < r->w->count && settled(r); i++)
        if (i != node && world_alive(r->w, i) && same_part(r, node, i))
            (void)world_break(r->w, "n%u is told that it is alone, n%u is there", node, i);
}

static void
take_word(struct run *r, unsigned node, struct copy *c, const struct parting *said)
{
    static const enum cache_leave states[] = {[PARTING_GO] = CACHE_LEAVE_MAY,
                                              [PARTING_KEEP] = CACHE_LEAVE_KEEP,
                                              [PARTING_MOVES] = CACHE_LEAVE_MOVES,
                                              [PARTING_LAST] = CACHE_LEAVE_LAST};
    enum cache_leave state = states[said->what];
    bool last = said->what == PARTING_LAST;
    int64_t for_ms = said->for_ms;
    if (said->what != PARTING_KEEP)
        evict_copies(&r->nodes[node].evict, &c->worth, said->copies + 1, now_s(r));
    if (state == CACHE_LEAVE_MAY || last)
        for_ms -= MARGIN_MS;
    if (last && !c->told_last) {
        state = CACHE_LEAVE_KEEP;
        for_ms = LAST_MS;
    } else if (last) {
        world_later(r->w, TAKES_MS, JUDGE, node, (unsigned)(c - r->nodes[node].copies));
    }
    c->told_last = last;
    c->unshared = said->what == PARTING_GO && said->copies == 0;
    if (c->unshared)
        judge_alone(r, node);
    c->until_ms = world_node_ms(r->w, node) + for_ms;
    c->said_ms = world_ms(r->w);
    r->moved += said->what == PARTING_GO && !node_is_none(&said->to);
    r->stayed += said->what == PARTING_KEEP;
    set_state(r, node, c, state);
}

static void
parting(struct world *w, unsigned node, const struct parting *said)
{
    static const char *const names[] = {[PARTING_GO] = "may go",
                                        [PARTING_KEEP] = "stays",
                                        [PARTING_MOVES] = "moves",
                                        [PARTING_LAST] = "is the last"};
    struct run *r = of(w);
    unsigned blob = blob_of(r, &said->digest);
    struct copy *c = &r->nodes[node].copies[blob];
    bool in_time = world_ms(w) - c->asked_ms <= ANSWER_MS + ANSWER_MS / 50 + 10;
    world_say(w, "n%u: blob %u %s, %u others", node, blob, names[said->what], said->copies);
    if (!c->held || c->state == CACHE_LEAVE_UNASKED)
        return;
    if (c->state == CACHE_LEAVE_ASKED && r->calm && !in_time)
        (void)world_break(w, "n%u: the answer on blob %u comes late", node, blob);
    take_word(r, node, c, said);
    world_later(r->w, (int64_t)rng_below(&r->rng, LOOK_MS), LOOK, node, 0);
}

/* ---- what happens ---- */

/* All nodes pull the same two blobs, and each some of its own. */
static void
pull_images(struct run *r)
{
    unsigned first = (unsigned)rng_below(&r->rng, r->blobs);
    for (unsigned node = 0; node < r->w->count; node++) {
        unsigned own = (unsigned)rng_below(&r->rng, r->blobs);
        for (unsigned i = 0; i < 2; i++) {
            world_later(r->w, 0, PULL, node, (first + i) % r->blobs);
            world_later(r->w, (int64_t)rng_below(&r->rng, 50), PULL, node, (own + i) % r->blobs);
        }
    }
    world_later(r->w, ROUND_MS, IMAGE, 0, 0);
}

/* `what`: the blob, and how often there was no room for it. */
static void
pull(struct run *r, unsigned node, uint64_t what)
{
    unsigned blob = (unsigned)what & 255, tries = (unsigned)(what >> 8);
    struct node *n = &r->nodes[node];
    struct copy *c = &n->copies[blob];
    if (c->held && tries == 0)
        evict_asked(&n->evict, &c->worth, EVICT_SELF, now_s(r));
    if (c->held || c->comes)
        return;
    look(r, node, r->sizes[blob]);
    if (n->used + r->sizes[blob] <= n->limit)
        begin(r, node, blob, 20 + (int64_t)rng_below(&r->rng, 200));
    else if (tries < TRIES)
        world_later(r->w, LOOK_MS, PULL, node, (uint64_t)(tries + 1) << 8 | blob);
}

static void
start(struct run *r, unsigned node)
{
    if (r->w->nodes[node].step != NULL)
        return;
    r->fault_ms = world_ms(r->w);
    world_start(r->w, node, (uint32_t)rng_below(&r->rng, 3));
    tell_room(r, node);
}

/* What was said of its blobs, and what was coming, goes with it. */
static void
dies(struct run *r, unsigned node)
{
    struct node *n = &r->nodes[node];
    if (r->w->nodes[node].step == NULL)
        return;
    for (unsigned b = 0; b < r->blobs; b++) {
        struct copy *c = &n->copies[b];
        n->used -= c->comes ? r->sizes[b] : 0;
        c->comes = c->told_last = false;
        if (c->held)
            set_state(r, node, c, CACHE_LEAVE_UNASKED);
    }
    world_kill(r->w, node);
    world_later(r->w, 50 + (int64_t)rng_below(&r->rng, rng_below(&r->rng, 2) == 0 ? 500 : 8000),
                START, node, 0);
}

static void
falls_apart(struct run *r, unsigned mask)
{
    world_say(r->w, "parts %x", mask);
    for (unsigned i = 0; i < r->w->count; i++)
        for (unsigned j = 0; j < r->w->count; j++)
            world_cut(r->w, i, j, (mask >> i & 1) != (mask >> j & 1));
    r->one_way = false;
}

static void
happen(struct run *r, enum fault what)
{
    struct world *w = r->w;
    unsigned node = (unsigned)rng_below(&r->rng, w->count), bits = (unsigned)rng_next(&r->rng);
    int tracker = world_tracker(w);
    r->fault_ms = world_ms(w);
    if (what == DIES) {
        dies(r, node);
    } else if (what == TRACKER_DIES && tracker >= 0) {
        dies(r, (unsigned)tracker);
    } else if (what == RESIGNS && tracker >= 0) {
        world_resign(w, (unsigned)tracker);
    } else if (what == STOPS && world_alive(w, node)) {
        world_pause(w, node, 100 + bits % 4000);
        r->fault_ms += 100 + bits % 4000;
    } else if (what == PARTS) {
        falls_apart(r, bits);
    } else if (what == HEALS) {
        world_say(w, "heals");
        world_mend(w);
        r->one_way = false;
        w->loss_permille = 0;
        w->jitter_us = 300;
    } else if (what == DEAF) {
        world_say(w, "n%u does not hear n%u", node, bits % w->count);
        world_cut(w, bits % w->count, node, bits % w->count != node);
        r->one_way = true;
    } else if (what == LOSSY) {
        w->loss_permille = bits % 451;
        world_say(w, "loses %u of 1000", w->loss_permille);
    } else if (what == LATE) {
        w->jitter_us = (int64_t)(bits % 3 == 0 ? 2000 : 400) * WORLD_US;
        world_say(w, "datagrams take up to %lld ms", (long long)w->jitter_us / WORLD_US);
    }
}

/* What a node does by itself waits while it stands still; what a dead one would do is not done. */
static bool
is_able(struct run *r, unsigned kind, unsigned node, uint64_t what)
{
    const struct world_node *n = &r->w->nodes[node];
    if (kind == START || n->step == NULL)
        return kind == START;
    if (n->paused_until_us > r->w->now_us)
        world_post(r->w, n->paused_until_us, kind, node, what);
    return n->paused_until_us <= r->w->now_us;
}

static void
on_event(struct world *w, unsigned kind, uint64_t a, uint64_t what)
{
    struct run *r = of(w);
    unsigned node = (unsigned)a, blob = (unsigned)what & 255;
    if (kind == IMAGE) {
        pull_images(r);
    } else if (kind == FAULT) {
        happen(r, (enum fault)a);
    } else if (kind == JUDGE) {
        judge_last(r, node, blob);
    } else if (!is_able(r, kind, node, what)) {
        return;
    } else if (kind == START) {
        start(r, node);
    } else if (kind == PULL) {
        pull(r, node, what);
    } else if (kind == CAME && what >> 8 == w->nodes[node].boot) {
        came(r, node, blob);
    } else if (kind == LOOK) {
        look(r, node, 0);
    } else if (kind == ASK && r->nodes[node].copies[blob].state == CACHE_LEAVE_ASKED) {
        world_part(w, node, &r->digests[blob], r->sizes[blob]);
    }
}

static bool
check(struct world *w)
{
    return w->broken[0] == '\0';
}

/* ---- runs ---- */

/* Disks of very unequal size, for half of all bytes to twice as much. */
static void
build(struct run *r, unsigned nodes)
{
    uint64_t bytes = 0, shares[NODES_MAX], sum = 0;
    for (unsigned b = 0; b < r->blobs; b++) {
        digest_of(DIGEST_SHA256, &b, sizeof b, &r->digests[b]);
        bytes += r->sizes[b] = (1 + rng_below(&r->rng, SIZES)) * MIB;
    }
    bytes = bytes * (2 + rng_below(&r->rng, 7)) / 4;
    for (unsigned n = 0; n < nodes; n++)
        sum += shares[n] = UINT64_C(1) << rng_below(&r->rng, 5);
    for (unsigned n = 0; n < nodes; n++) {
        struct node *x = &r->nodes[n];
        x->limit = bytes * shares[n] / sum;
        x->limit = x->limit > CACHE_MIN ? x->limit : CACHE_MIN;
        evict_init(&x->evict, 1);
        evict_limit(&x->evict, x->limit);
        for (unsigned b = 0; b < r->blobs; b++)
            x->copies[b].let_last_ms = -1;
    }
}

static void
play(struct run *r)
{
    for (unsigned n = 0; n < r->w->count; n++)
        world_later(r->w, (int64_t)rng_below(&r->rng, 100), START, n, 0);
    for (unsigned n = 0; n < r->w->count; n++)
        for (int64_t ms = PULLS_MS; ms < RUN_MS; ms += LOOK_MS)
            world_later(r->w, ms + (int64_t)rng_below(&r->rng, LOOK_MS), LOOK, n, 0);
    world_later(r->w, PULLS_MS, IMAGE, 0, 0);
    for (unsigned i = 0; i < FAULTS && !r->calm; i++)
        world_later(r->w, PULLS_MS + (int64_t)rng_below(&r->rng, RUN_MS - PULLS_MS), FAULT,
                    rng_below(&r->rng, FAULTS_END), 0);
    (void)world_run(r->w, RUN_MS);
}

/* Whether something broke. */
static bool
run_one(uint64_t seed, bool traced, struct run *sum, uint64_t *ret_hash)
{
    static const unsigned sites[] = {3, 8, 16};
    struct run *r = mem_zalloc(sizeof *r);
    struct world_hooks hooks = {.cookie = r,
                                .check = check,
                                .event = on_event,
                                .holds = holds,
                                .offer = offer,
                                .take = take,
                                .parting = parting};
    unsigned nodes = sites[seed / 3 % 3];
    r->calm = seed % 3 == 0;
    r->blobs = 6 * nodes;
    rng_init(&r->rng, seed ^ 0x9a271);
    build(r, nodes);
    r->w = world_new(nodes, seed, &hooks);
    r->w->traced = traced;
    r->w->queues = true;
    play(r);
    bool broken = world_tell(r->w, "partings", seed);
    sum->went += r->went;
    sum->moved += r->moved;
    sum->last += r->last;
    sum->stayed += r->stayed;
    *ret_hash = r->w->hash;
    for (unsigned n = 0; n < nodes; n++)
        evict_release(&r->nodes[n].evict);
    world_free(r->w);
    mem_free(r);
    return broken;
}

int
partings_all(uint64_t seed, uint64_t seeds, bool traced)
{
    struct run *sum = mem_zalloc(2 * sizeof *sum);
    uint64_t hash, again;
    bool broken = false;
    for (uint64_t i = 0; i < seeds && !broken; i++) {
        broken = run_one(seed + i, traced, &sum[0], &hash);
        if (broken || i % 100 != 1)
            continue;
        broken = run_one(seed + i, false, &sum[1], &again) || again != hash;
        if (again != hash)
            (void)printf("seed %llu does not repeat itself\n", (unsigned long long)(seed + i));
    }
    if (!broken)
        (void)printf(
            "%llu seeds: %u copies went as others stay, %u of them moved; %u last ones went "
            "for want of room; %u times one had to stay\n",
            (unsigned long long)seeds, sum->went, sum->moved, sum->last, sum->stayed);
    mem_free(sum);
    return broken;
}
