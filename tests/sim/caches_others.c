/* Rules to compare with, each node for itself as their papers say, by bytes: LRU, LRU that keeps
 * the site's last copies, GDSF (cost 1), S3-FIFO (NSDI's authors: 10 % small queue, ghosts of 90
 * %), SIEVE. Reads of other nodes count as uses in LRU, as they did in this daemon. */
#include "base/hash.h"
#include "tests/sim/caches.h"
#include <math.h>

struct item {
    struct item *prev, *next;
    unsigned blob;
    unsigned count; /* uses; SIEVE: visited */
    bool in_main;   /* S3-FIFO */
    double key;     /* GDSF */
};

struct queue {
    struct item *first; /* the next to leave */
    uint64_t bytes;
};

struct others {
    struct item *items;   /* [node * blobs + blob] */
    struct queue *queues; /* per node: all, or S3-FIFO's small one */
    struct queue *mains, *ghosts;
    struct item *ghost_items;
    struct item **hands; /* SIEVE */
    double *inflation;   /* GDSF */
};

static void *
begin(struct site *s)
{
    unsigned nodes = s->demand->config.nodes, blobs = s->demand->config.blobs;
    struct others *o = mem_zalloc(sizeof *o);
    o->items = mem_zalloc((size_t)nodes * blobs * sizeof o->items[0]);
    o->ghost_items = mem_zalloc((size_t)nodes * blobs * sizeof o->items[0]);
    o->queues = mem_zalloc(nodes * sizeof o->queues[0]);
    o->mains = mem_zalloc(nodes * sizeof o->queues[0]);
    o->ghosts = mem_zalloc(nodes * sizeof o->queues[0]);
    o->hands = mem_zalloc(nodes * sizeof(struct item *));
    o->inflation = mem_zalloc(nodes * sizeof o->inflation[0]);
    for (size_t i = 0; i < (size_t)nodes * blobs; i++)
        o->items[i].blob = o->ghost_items[i].blob = (unsigned)(i % blobs);
    return o;
}

static void
end(void *state, struct site *s)
{
    struct others *o = state;
    (void)s;
    mem_free(o->items);
    mem_free(o->ghost_items);
    mem_free(o->queues);
    mem_free(o->mains);
    mem_free(o->ghosts);
    mem_free(o->hands);
    mem_free(o->inflation);
    mem_free(o);
}

static struct item *
item_of(struct others *o, const struct site *s, unsigned node, unsigned blob)
{
    return &o->items[(size_t)node * s->demand->config.blobs + blob];
}

static void
append(const struct site *s, struct queue *q, struct item *i)
{
    DL_APPEND(q->first, i);
    q->bytes += s->demand->sizes[i->blob];
}

static void
take_out(const struct site *s, struct queue *q, struct item *i)
{
    DL_DELETE(q->first, i);
    q->bytes -= s->demand->sizes[i->blob];
}

static void
evict(struct site *s, struct queue *q, unsigned node, struct item *i)
{
    take_out(s, q, i);
    site_drop(s, node, i->blob);
}

/* A cache without room is not empty. */
static struct item *
some(struct item *i)
{
    must(i != NULL);
    return i;
}

static bool
may_fit(const struct site *s, unsigned blob)
{
    return s->demand->sizes[blob] <= s->node_bytes;
}

/* ---- LRU ---- */

static void
lru_used(struct others *o, const struct site *s, unsigned node, unsigned blob)
{
    struct item *i = item_of(o, s, node, blob);
    take_out(s, &o->queues[node], i);
    append(s, &o->queues[node], i);
}

static void
lru(void *state, struct site *s, const struct demand_event *e, bool hit, int from)
{
    struct others *o = state;
    struct queue *q = &o->queues[e->node];
    if (hit)
        lru_used(o, s, e->node, e->blob);
    if (from >= 0)
        lru_used(o, s, (unsigned)from, e->blob);
    if (hit || !may_fit(s, e->blob))
        return;
    while (!site_fits(s, e->node, e->blob))
        evict(s, q, e->node, some(q->first));
    append(s, q, item_of(o, s, e->node, e->blob));
    site_add(s, e->node, e->blob);
}

/* Copies that others have, too, leave first; a last one only for a blob that nobody has. */
static void
lru_last(void *state, struct site *s, const struct demand_event *e, bool hit, int from)
{
    struct others *o = state;
    struct queue *q = &o->queues[e->node];
    struct item *i, *next;
    bool fits = may_fit(s, e->blob);
    if (!hit && fits)
        DL_FOREACH_SAFE(q->first, i, next)
        {
            if (site_fits(s, e->node, e->blob))
                break;
            if (s->copies[i->blob] > 1)
                evict(s, q, e->node, i);
        }
    if (!hit && fits && !site_fits(s, e->node, e->blob) && s->copies[e->blob] > 0)
        lru_used(o, s, (unsigned)from, e->blob);
    else
        lru(state, s, e, hit, from);
}

/* ---- GDSF: frequency / size, aged by what leaves ---- */

static void
gdsf_key(struct others *o, const struct site *s, unsigned node, struct item *i)
{
    i->key = o->inflation[node] + (double)i->count / (double)s->demand->sizes[i->blob];
}

static void
gdsf(void *state, struct site *s, const struct demand_event *e, bool hit, int from)
{
    struct others *o = state;
    struct queue *q = &o->queues[e->node];
    struct item *i = item_of(o, s, e->node, e->blob), *least, *x;
    (void)from;
    if (!hit && !may_fit(s, e->blob))
        return;
    while (!hit && !site_fits(s, e->node, e->blob)) {
        least = q->first;
        DL_FOREACH(q->first, x)
        least = x->key < least->key ? x : least;
        least = some(least);
        o->inflation[e->node] = least->key;
        evict(s, q, e->node, least);
    }
    i->count = hit ? i->count + 1 : 1;
    gdsf_key(o, s, e->node, i);
    if (!hit) {
        append(s, q, i);
        site_add(s, e->node, e->blob);
    }
}

/* ---- S3-FIFO ---- */

static void
s3_remember(struct others *o, const struct site *s, unsigned node, unsigned blob)
{
    struct queue *ghosts = &o->ghosts[node];
    struct item *g = &o->ghost_items[(size_t)node * s->demand->config.blobs + blob];
    if (g->count == 0)
        append(s, ghosts, g);
    g->count = 1;
    while (ghosts->bytes > s->node_bytes / 10 * 9) {
        ghosts->first->count = 0;
        take_out(s, ghosts, ghosts->first);
    }
}

static void
s3_evict_small(struct others *o, struct site *s, unsigned node)
{
    struct queue *small = &o->queues[node];
    struct item *i = small->first;
    if (i->count <= 1) {
        evict(s, small, node, i);
        s3_remember(o, s, node, i->blob);
        return;
    }
    take_out(s, small, i);
    i->count = 0;
    i->in_main = true;
    append(s, &o->mains[node], i);
}

static void
s3_evict_main(struct others *o, struct site *s, unsigned node)
{
    struct queue *q = &o->mains[node];
    struct item *i = q->first;
    must(i != NULL); /* there is no room, so something is in it */
    if (i->count == 0) {
        evict(s, q, node, i);
        return;
    }
    i->count--;
    take_out(s, q, i);
    append(s, q, i);
}

static void
s3fifo(void *state, struct site *s, const struct demand_event *e, bool hit, int from)
{
    struct others *o = state;
    struct item *i = item_of(o, s, e->node, e->blob);
    struct item *g = &o->ghost_items[(size_t)e->node * s->demand->config.blobs + e->blob];
    struct queue *small = &o->queues[e->node], *main = &o->mains[e->node];
    (void)from;
    if (hit)
        i->count = i->count < 3 ? i->count + 1 : 3;
    if (hit || !may_fit(s, e->blob))
        return;
    while (!site_fits(s, e->node, e->blob)) {
        if (small->first != NULL && (small->bytes >= s->node_bytes / 10 || main->first == NULL))
            s3_evict_small(o, s, e->node);
        else
            s3_evict_main(o, s, e->node);
    }
    i->count = 0;
    i->in_main = g->count > 0;
    if (i->in_main) {
        g->count = 0;
        take_out(s, &o->ghosts[e->node], g);
    }
    append(s, i->in_main ? main : small, i);
    site_add(s, e->node, e->blob);
}

/* ---- SIEVE: a hand goes from the oldest to the newest and spares what was visited ---- */

static void
sieve(void *state, struct site *s, const struct demand_event *e, bool hit, int from)
{
    struct others *o = state;
    struct queue *q = &o->queues[e->node];
    struct item *i = item_of(o, s, e->node, e->blob), **hand = &o->hands[e->node];
    (void)from;
    if (hit)
        i->count = 1;
    if (hit || !may_fit(s, e->blob))
        return;
    while (!site_fits(s, e->node, e->blob)) {
        struct item *at = some(*hand != NULL ? *hand : q->first);
        *hand = at->next;
        if (at->count == 0)
            evict(s, q, e->node, at);
        at->count = 0;
    }
    i->count = 0;
    append(s, q, i);
    site_add(s, e->node, e->blob);
}

const struct rule rule_lru = {"LRU", begin, lru, end};
const struct rule rule_lru_last = {"LRU, last copy kept", begin, lru_last, end};
const struct rule rule_gdsf = {"GDSF", begin, gdsf, end};
const struct rule rule_s3fifo = {"S3-FIFO", begin, s3fifo, end};
const struct rule rule_sieve = {"SIEVE", begin, sieve, end};
