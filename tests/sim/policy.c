/* Policies of other systems, as far as their documents say what they are: models, not those
 * products. Bodies are flows as in model.c; there is no protocol, no processor and no disk.
 *
 * kraken     An origin in the cloud stores the whole blob first. Pieces of 4 MiB, rarest first;
 *            peers of any site, up to 50 of those that announced themselves 3 s ago or earlier, 10
 *            connections with 3 requests each, and the origin; after 16 s a piece is asked for
 *            elsewhere, too. The client gets the blob once it is whole.
 * dragonfly  Blobs of 4 MiB or less come from the registry. Pieces of size/500, 4 to 64 MiB. The
 *            first node goes to the registry; another one has 3 parents, the least loaded of 15
 *            random ones that came before it, and asks them for 8 pieces at a time; without parent
 *            for 2 s it goes to the registry. A connection for each piece. */
#include "tests/sim/policy.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/sim/flows.h"
#include <stdio.h>
#include <string.h>

#define NODES_MAX  256
#define PIECES_MAX 1024
#define TICK_US    20000
#define MIB        ((uint64_t)1024 * 1024)
#define REGISTRY   (-1)
#define REQUESTS   32 /* of one node for one blob */
#define BLOBS_WIDE 3
#define CRIPPLED_F 100

/* Published defaults (docs of the projects, 2026). */
#define KRAKEN_PEERS       50
#define KRAKEN_CONNECTIONS 10
#define KRAKEN_PIPELINE    3
#define KRAKEN_ANNOUNCE_US 3000000
#define KRAKEN_PIECE       (4 * MIB)
#define KRAKEN_TIMEOUT_US  16000000
#define DRAGON_SMALL       (4 * MIB)
#define DRAGON_CANDIDATES  15
#define DRAGON_PARENTS     3
#define DRAGON_WIDE        8
#define DRAGON_ALONE_US    2000000

struct request {
    bool used, late;  /* late: the piece may be asked for elsewhere, too */
    int source, flow; /* flow -1: the request is on its way */
    uint32_t piece;
    int64_t begun_us, starts_us;
};

struct copy { /* of one blob on one node */
    bool asked, done;
    int64_t asked_us;
    uint32_t held;
    uint8_t has[PIECES_MAX], wanted[PIECES_MAX];
    struct request requests[REQUESTS];
    int sources[KRAKEN_CONNECTIONS];
    unsigned sources_count;
    int64_t sources_us; /* when they were drawn */
};

struct run {
    const struct pulls_case *c;
    bool dragonfly;
    struct rng rng;
    struct flows flows;
    unsigned nodes, blobs;
    struct copy *copies; /* [node][blob] */
    int64_t arrive_us[NODES_MAX], done_us[NODES_MAX];
    unsigned uploads[NODES_MAX];
};

static struct copy *
copy_of(const struct run *r, unsigned node, unsigned blob)
{
    return &r->copies[node * r->blobs + blob];
}

static unsigned
site_of(const struct run *r, unsigned node)
{
    return node / r->c->nodes;
}

/* Links: per site its WAN in and out, then per node its way to the WAN, its port out and in, then
 * the registry. */
static uint32_t
port(const struct run *r, unsigned node, unsigned which)
{
    return 2 * r->c->sites + 3 * node + which;
}

static uint64_t
piece_size(const struct run *r, unsigned blob)
{
    uint64_t piece = KRAKEN_PIECE;
    while (r->dragonfly && piece < 64 * MIB && piece < r->c->sizes[blob] / 500)
        piece *= 2;
    return piece;
}

static uint32_t
pieces_of(const struct run *r, unsigned blob)
{
    uint64_t piece = piece_size(r, blob);
    return (uint32_t)((r->c->sizes[blob] + piece - 1) / piece);
}

static bool
holds(const struct run *r, int source, unsigned blob, uint32_t piece)
{
    if (source != REGISTRY)
        return copy_of(r, (unsigned)source, blob)->has[piece] != 0;
    /* Kraken's origin hands out only what it has stored whole. */
    return r->dragonfly || r->flows.now_us >= (int64_t)(r->c->sizes[blob] * 1000000 / r->c->lan);
}

/* ---- who is asked ---- */

static bool
is_known(const struct run *r, unsigned node, unsigned other, unsigned blob)
{
    const struct copy *o = copy_of(r, other, blob);
    if (other == node || !o->asked)
        return false;
    if (r->dragonfly) /* parents came before their children: no circles */
        return o->asked_us < copy_of(r, node, blob)->asked_us ||
               (o->asked_us == copy_of(r, node, blob)->asked_us && other < node) || o->done;
    return r->flows.now_us - o->asked_us >= KRAKEN_ANNOUNCE_US || o->done;
}

static void
draw_sources(struct run *r, unsigned node, unsigned blob)
{
    struct copy *x = copy_of(r, node, blob);
    unsigned most = r->dragonfly ? DRAGON_CANDIDATES : KRAKEN_PEERS;
    unsigned keep = r->dragonfly ? DRAGON_PARENTS : KRAKEN_CONNECTIONS;
    int pool[NODES_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < r->nodes; i++)
        if (is_known(r, node, i, blob))
            pool[count++] = (int)i;
    for (unsigned i = 0; i + 1 < count; i++) { /* shuffled */
        unsigned j = i + (unsigned)rng_below(&r->rng, count - i);
        int swap = pool[i];
        pool[i] = pool[j];
        pool[j] = swap;
    }
    count = count < most ? count : most;
    x->sources_count = 0;
    x->sources_us = r->flows.now_us;
    while (x->sources_count < keep && count > 0) {
        unsigned best = 0; /* Dragonfly takes the least loaded, Kraken any */
        for (unsigned i = 1; i < count && r->dragonfly; i++)
            if (r->uploads[pool[i]] < r->uploads[pool[best]])
                best = i;
        x->sources[x->sources_count++] = pool[best];
        pool[best] = pool[--count];
    }
}

static unsigned
asked_of(const struct copy *x, int source)
{
    unsigned count = 0;
    for (unsigned i = 0; i < REQUESTS; i++)
        count += x->requests[i].used && x->requests[i].source == source;
    return count;
}

static struct request *
free_request(struct copy *x)
{
    for (unsigned i = 0; i < REQUESTS; i++)
        if (!x->requests[i].used)
            return &x->requests[i];
    return NULL;
}

static void
ask(struct run *r, unsigned node, unsigned blob, int source, uint32_t piece)
{
    struct copy *x = copy_of(r, node, blob);
    struct request *q = free_request(x);
    bool far = source == REGISTRY || site_of(r, (unsigned)source) != site_of(r, node);
    int64_t trip_us = far ? r->c->rtt_ms * 1000 : 500;
    if (q == NULL)
        return;
    x->wanted[piece] = 1;
    *q = (struct request){.used = true,
                          .source = source,
                          .flow = -1,
                          .piece = piece,
                          .begun_us = r->flows.now_us,
                          .starts_us = r->flows.now_us + trip_us * (r->dragonfly ? 2 : 1)};
}

/* How many nodes have it: the rarest goes first. */
static unsigned
copies_of(const struct run *r, const struct copy *x, unsigned blob, uint32_t piece)
{
    unsigned count = 0;
    for (unsigned i = 0; i < x->sources_count; i++)
        count += holds(r, x->sources[i], blob, piece);
    return count;
}

static int64_t
next_piece(struct run *r, struct copy *x, unsigned blob, int source)
{
    int64_t best = -1;
    unsigned least = UINT32_MAX, ties = 0;
    for (uint32_t p = 0; p < pieces_of(r, blob); p++) {
        if (x->has[p] || x->wanted[p] || !holds(r, source, blob, p))
            continue;
        unsigned count = r->dragonfly ? p : copies_of(r, x, blob, p);
        ties = count < least ? 1 : ties + (count == least);
        if (count < least || (count == least && rng_below(&r->rng, ties) == 0))
            best = p;
        least = count < least ? count : least;
    }
    return best;
}

static void
kraken(struct run *r, unsigned node, unsigned blob)
{
    struct copy *x = copy_of(r, node, blob);
    if (x->sources_us == 0 || r->flows.now_us - x->sources_us >= KRAKEN_ANNOUNCE_US)
        draw_sources(r, node, blob);
    for (unsigned i = 0; i <= x->sources_count; i++) {
        int source = i < x->sources_count ? x->sources[i] : REGISTRY;
        for (int64_t p; asked_of(x, source) < KRAKEN_PIPELINE && free_request(x) != NULL &&
                        (p = next_piece(r, x, blob, source)) >= 0;)
            ask(r, node, blob, source, (uint32_t)p);
    }
}

static void
dragonfly(struct run *r, unsigned node, unsigned blob)
{
    struct copy *x = copy_of(r, node, blob);
    if (x->sources_us == 0 || x->sources_count == 0)
        draw_sources(r, node, blob);
    bool first = true;
    for (unsigned i = 0; i < r->nodes; i++)
        first = first && !is_known(r, node, i, blob);
    bool alone = x->sources_count == 0 && r->flows.now_us - x->asked_us >= DRAGON_ALONE_US;
    bool source = r->c->sizes[blob] <= DRAGON_SMALL || first || alone;
    unsigned open = 0;
    for (unsigned i = 0; i < REQUESTS; i++)
        open += x->requests[i].used;
    for (bool more = true; more && open < DRAGON_WIDE;) {
        more = false;
        for (unsigned i = 0; i < (source ? 1 : x->sources_count) && open < DRAGON_WIDE; i++) {
            int from = source ? REGISTRY : x->sources[i];
            int64_t p = next_piece(r, x, blob, from);
            if (p < 0)
                continue;
            ask(r, node, blob, from, (uint32_t)p);
            open++;
            more = true;
        }
    }
}

/* ---- bodies ---- */

static void
start(struct run *r, unsigned node, unsigned blob, struct request *q)
{
    bool far = q->source == REGISTRY || site_of(r, (unsigned)q->source) != site_of(r, node);
    uint32_t links[FLOWS_PER_FLOW] = {port(r, node, 2), FLOWS_NO_LINK, FLOWS_NO_LINK, FLOWS_NO_LINK,
                                      FLOWS_NO_LINK};
    uint64_t piece = piece_size(r, blob), at = q->piece * piece, size = r->c->sizes[blob];
    if (q->source != REGISTRY)
        links[1] = port(r, (unsigned)q->source, 1);
    else if (r->c->registry > 0)
        links[1] = 2 * r->c->sites + 3 * r->nodes;
    if (far) {
        links[2] = 2 * site_of(r, node);
        links[3] = port(r, node, 0);
    }
    if (far && q->source != REGISTRY)
        links[4] = 2 * site_of(r, (unsigned)q->source) + 1;
    q->flow = (int)flows_add(&r->flows, 0, links, size - at < piece ? size - at : piece, 0);
    if (q->source != REGISTRY)
        r->uploads[q->source]++;
}

static void
finish(struct run *r, struct copy *x, struct request *q)
{
    flows_drop(&r->flows, (unsigned)q->flow);
    if (q->source != REGISTRY)
        r->uploads[q->source]--;
    x->held += !x->has[q->piece];
    x->has[q->piece] = 1;
    q->used = false;
}

static void
look(struct run *r, unsigned node, unsigned blob)
{
    struct copy *x = copy_of(r, node, blob);
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct request *q = &x->requests[i];
        if (!q->used)
            continue;
        if (q->flow < 0 && q->starts_us <= r->flows.now_us)
            start(r, node, blob, q);
        else if (!r->dragonfly && !q->late && r->flows.now_us - q->begun_us > KRAKEN_TIMEOUT_US) {
            q->late = true; /* what still comes is taken */
            x->wanted[q->piece] = 0;
        }
    }
    if (r->dragonfly)
        dragonfly(r, node, blob);
    else
        kraken(r, node, blob);
}

/* Every flow's owner is looked for: there are some hundred at most. */
static void
landed(struct run *r, int flow)
{
    for (unsigned i = 0; i < r->nodes * r->blobs; i++)
        for (unsigned k = 0; k < REQUESTS; k++) {
            struct request *q = &r->copies[i].requests[k];
            if (q->used && q->flow == flow) {
                finish(r, &r->copies[i], q);
                return;
            }
        }
    must(false);
}

/* ---- a node's image ---- */

static void
pull(struct run *r, unsigned node)
{
    unsigned open = 0, done = 0;
    for (unsigned b = 0; b < r->blobs; b++) {
        struct copy *x = copy_of(r, node, b);
        if (!x->asked && open < BLOBS_WIDE) {
            x->asked = true;
            x->asked_us = r->flows.now_us;
        }
        if (x->asked && !x->done)
            look(r, node, b);
        x->done = x->held == pieces_of(r, b);
        open += x->asked && !x->done;
        done += x->done;
    }
    if (done == r->blobs && r->done_us[node] == 0)
        r->done_us[node] = r->flows.now_us;
}

static void
set_rates(struct run *r)
{
    const struct pulls_case *c = r->c;
    int64_t now_ms = r->flows.now_us / 1000;
    for (unsigned s = 0; s < c->sites; s++) {
        uint64_t rate = c->wan;
        for (unsigned i = 0; i < PULLS_MISHAPS; i++) {
            const struct pulls_mishap *m = &c->mishaps[i];
            if (m->kind == PULLS_WAN && m->at_ms <= now_ms && (m->a == s || m->a == PULLS_ALL))
                rate = c->wan * m->b / 1000;
        }
        for (unsigned k = 0; k < 2; k++)
            if (r->flows.links[2 * s + k].rate != rate)
                flows_rate(&r->flows, 2 * s + k, rate);
    }
}

static void
set_up(struct run *r)
{
    const struct pulls_case *c = r->c;
    flows_init(&r->flows, 2 * c->sites + 3 * r->nodes + 1, 1, false);
    flows_rate(&r->flows, 2 * c->sites + 3 * r->nodes, c->registry);
    for (unsigned n = 0; n < r->nodes; n++) {
        unsigned in_site = n % c->nodes;
        bool warm = in_site < c->warm && (c->warm_sites == 0 || site_of(r, n) < c->warm_sites);
        bool slow = in_site >= 1 && in_site < 1 + c->crippled;
        flows_rate(&r->flows, port(r, n, 0), slow ? c->wan / CRIPPLED_F : c->lan);
        flows_rate(&r->flows, port(r, n, 1), c->lan);
        flows_rate(&r->flows, port(r, n, 2), c->lan);
        r->arrive_us[n] = (int64_t)n * c->spread_ms * 1000 / r->nodes;
        for (unsigned b = 0; b < r->blobs && warm; b++) {
            struct copy *x = copy_of(r, n, b);
            x->asked = x->done = true;
            x->held = pieces_of(r, b);
            memset(x->has, 1, x->held);
        }
    }
}

static bool
tick(struct run *r)
{
    bool all = true;
    set_rates(r);
    for (unsigned n = 0; n < r->nodes; n++)
        if (r->arrive_us[n] <= r->flows.now_us && r->done_us[n] == 0) {
            pull(r, n);
            all = all && r->done_us[n] != 0;
        } else
            all = all && r->done_us[n] != 0;
    return all;
}

static void
say_wan(struct run *r)
{
    (void)printf("wan %.2f", (double)r->flows.now_us / 1e6);
    for (unsigned s = 0; s < r->c->sites; s++)
        (void)printf(" %llu", (unsigned long long)flows_moved(&r->flows, 2 * s));
    (void)printf("\n");
}

int
policy_run(const struct pulls_case *c, bool is_dragonfly, uint64_t seed, int64_t limit_ms)
{
    struct run *r = mem_zalloc(sizeof *r);
    *r = (struct run){.c = c, .dragonfly = is_dragonfly, .nodes = c->sites * c->nodes};
    while (r->blobs < PULLS_BLOBS && c->sizes[r->blobs] > 0)
        r->blobs++;
    r->copies = mem_zalloc((size_t)r->nodes * r->blobs * sizeof *r->copies);
    rng_init(&r->rng, seed);
    set_up(r);
    int64_t next_us = 0, said_us = 0;
    for (bool over = false; !over && r->flows.now_us < limit_ms * 1000;) {
        over = tick(r);
        next_us += TICK_US;
        for (int64_t due_us; (due_us = flows_next_us(&r->flows, 0)) <= next_us;) {
            flows_advance(&r->flows, due_us);
            for (int flow; (flow = flows_reached(&r->flows, 0)) >= 0;)
                landed(r, flow);
        }
        flows_advance(&r->flows, next_us);
        if (r->flows.now_us - said_us >= 500000 || over) {
            said_us = r->flows.now_us;
            say_wan(r);
        }
    }
    for (unsigned n = 0; n < r->nodes; n++)
        (void)printf("node %u %u %.3f\n", n, site_of(r, n), (double)r->done_us[n] / 1e6);
    flows_release(&r->flows);
    mem_free(r->copies);
    mem_free(r);
    return 0;
}
