/* The generator of traces. */
#include "tests/sim/demand.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>
#include <stdlib.h>

#define DAY_S     86400.0
#define BYTES_MIN 1e3
#define BYTES_MAX 1e10

const struct demand_config demand_default = {.name = "zipf",
                                             .nodes = 10,
                                             .blobs = 3000,
                                             .requests = 60000,
                                             .zipf = 0.9,
                                             .drift = 0.1,
                                             .per_day = 10000,
                                             .median = 8e6,
                                             .sigma = 2};

struct generator {
    const struct demand_config *c;
    struct rng rng;
    unsigned *by_rank; /* blob of each rank */
    double *up_to;     /* sum of the weights of all ranks up to this one */
    double drift_at_s; /* when the next two ranks change hands */
};

static double
part(struct rng *r) /* of 1, never 0 */
{
    return ((double)(rng_next(r) >> 11) + 1) * 0x1p-53;
}

static double
normal(struct rng *r)
{
    double a = part(r), b = part(r);
    return sqrt(-2 * log(a)) * cos(2 * M_PI * b);
}

static void
draw_sizes(struct demand *d, struct rng *r)
{
    for (unsigned i = 0; i < d->config.blobs; i++) {
        double bytes = exp(log(d->config.median) + d->config.sigma * normal(r));
        d->sizes[i] = (uint64_t)fmin(fmax(bytes, BYTES_MIN), BYTES_MAX);
        d->catalogue_bytes += d->sizes[i];
    }
}

static void
swap(unsigned *list, uint64_t a, uint64_t b)
{
    unsigned x = list[a];
    list[a] = list[b];
    list[b] = x;
}

static void
draw_ranks(struct generator *g)
{
    double sum = 0;
    for (unsigned i = 0; i < g->c->blobs; i++) {
        g->by_rank[i] = i;
        sum += pow(i + 1, -g->c->zipf);
        g->up_to[i] = sum;
    }
    for (unsigned i = g->c->blobs - 1; i > 0; i--)
        swap(g->by_rank, i, rng_below(&g->rng, i + 1));
}

static void
drift(struct demand *d, struct generator *g, double at_s)
{
    double swaps_a_day = g->c->drift * g->c->blobs / 2;
    while (swaps_a_day > 0 && at_s > g->drift_at_s) {
        /* b first: traces stay what they were. */
        uint64_t b = rng_below(&g->rng, g->c->blobs), a = rng_below(&g->rng, g->c->blobs);
        if (d->swap_count % 1024 == 0)
            d->swaps = mem_realloc(d->swaps, (d->swap_count + 1024) * sizeof d->swaps[0]);
        d->swaps[d->swap_count++] =
            (struct demand_swap){g->drift_at_s, g->by_rank[a], g->by_rank[b]};
        swap(g->by_rank, a, b);
        g->drift_at_s += DAY_S / swaps_a_day;
    }
}

static unsigned
draw_blob(struct generator *g)
{
    double x = part(&g->rng) * g->up_to[g->c->blobs - 1];
    unsigned low = 0, high = g->c->blobs - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (g->up_to[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return g->by_rank[low];
}

static int
earlier(const void *a, const void *b)
{
    const struct demand_event *x = a, *y = b;
    if (x->at_s != y->at_s)
        return x->at_s < y->at_s ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static void
draw_events(struct demand *d, struct generator *g)
{
    const struct demand_config *c = g->c;
    double at_s = 0;
    must(c->nodes > 0);
    for (unsigned i = 0; i < c->requests; i++) {
        at_s -= log(part(&g->rng)) * DAY_S / c->per_day;
        drift(d, g, at_s);
        unsigned blob = draw_blob(g), node = (unsigned)rng_below(&g->rng, c->nodes);
        unsigned asks = part(&g->rng) <= c->rollouts ? c->nodes : 1;
        for (unsigned k = 0; k < asks; k++)
            d->events[d->count++] =
                (struct demand_event){at_s + k * c->gap_s, (node + k) % c->nodes, blob};
    }
    qsort(d->events, d->count, sizeof d->events[0], earlier);
}

struct demand *
demand_new(const struct demand_config *c, uint64_t seed)
{
    struct demand *d = mem_zalloc(sizeof *d);
    struct generator g = {.c = &d->config};
    d->config = *c;
    d->sizes = mem_alloc(c->blobs * sizeof d->sizes[0]);
    d->events = mem_alloc((size_t)c->requests * c->nodes * sizeof d->events[0]);
    rng_init(&g.rng, seed);
    draw_sizes(d, &g.rng);
    g.by_rank = mem_alloc(c->blobs * sizeof g.by_rank[0]);
    g.up_to = mem_alloc(c->blobs * sizeof g.up_to[0]);
    draw_ranks(&g);
    d->weights = mem_alloc(c->blobs * sizeof d->weights[0]);
    for (unsigned i = 0; i < c->blobs; i++)
        d->weights[g.by_rank[i]] = pow(i + 1, -c->zipf);
    draw_events(d, &g);
    mem_free(g.by_rank);
    mem_free(g.up_to);
    return d;
}

void
demand_free(struct demand *d)
{
    mem_free(d->sizes);
    mem_free(d->events);
    mem_free(d->weights);
    mem_free(d->swaps);
    mem_free(d);
}
