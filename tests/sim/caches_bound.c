/* How few bytes could cross the WAN: what a rule would do that knows the rates of the generator,
 * and a floor below every rule, also one that knows all requests to come. */
#include "base/mem.h"
#include "tests/sim/caches.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double
bytes_of(const struct demand *d, unsigned blob)
{
    return (double)d->sizes[blob];
}

static double
largest(const struct demand *d, double part)
{
    return part * (double)d->catalogue_bytes / d->config.nodes;
}

/* ---- who knows the rates ---- */

struct pool {
    const struct demand *d;
    double *rates; /* [blob] now, in any unit */
    bool *here;
    double free;
    size_t swaps_done;
};

static void
follow(struct pool *p, double at_s)
{
    const struct demand *d = p->d;
    for (; p->swaps_done < d->swap_count && d->swaps[p->swaps_done].at_s < at_s; p->swaps_done++) {
        const struct demand_swap *s = &d->swaps[p->swaps_done];
        double rate = p->rates[s->a];
        p->rates[s->a] = p->rates[s->b];
        p->rates[s->b] = rate;
    }
}

/* The coldest one here; -1: none. */
static int
coldest(const struct pool *p)
{
    int least = -1;
    for (unsigned i = 0; i < p->d->config.blobs; i++)
        if (p->here[i] && (least < 0 || p->rates[i] < p->rates[least]))
            least = (int)i;
    return least;
}

/* Room by what is asked for less than `blob`, or nothing changes. */
static bool
make_room(struct pool *p, unsigned blob)
{
    unsigned out[1024];
    size_t count = 0;
    double need = bytes_of(p->d, blob), free = p->free;
    while (free < need) {
        int i = coldest(p);
        if (i < 0 || count == ARRAY_LEN(out) || p->rates[i] >= p->rates[blob])
            break;
        p->here[i] = false;
        free += bytes_of(p->d, (unsigned)i);
        out[count++] = (unsigned)i;
    }
    for (size_t k = 0; free < need && k < count; k++)
        p->here[out[k]] = true;
    p->free = free < need ? p->free : free;
    return free >= need;
}

double
bound_rates(const struct demand *d, double part)
{
    struct pool p = {.d = d, .free = part * (double)d->catalogue_bytes};
    double *here_s = mem_zalloc(d->config.blobs * sizeof here_s[0]);
    double wan = 0, all = 0;
    p.here = mem_zalloc(d->config.blobs);
    p.rates = mem_alloc(d->config.blobs * sizeof p.rates[0]);
    memcpy(p.rates, d->weights, d->config.blobs * sizeof p.rates[0]);
    for (size_t i = 0; i < d->count; i++) {
        const struct demand_event *e = &d->events[i];
        double size = bytes_of(d, e->blob);
        bool fetched = !p.here[e->blob] && e->at_s >= here_s[e->blob];
        follow(&p, e->at_s);
        all += i >= d->count / 4 ? size : 0;
        wan += i >= d->count / 4 && fetched ? size : 0;
        if (fetched)
            here_s[e->blob] = e->at_s + caches_flight_s(size);
        if (!p.here[e->blob] && size <= largest(d, part) && make_room(&p, e->blob)) {
            p.here[e->blob] = true;
            p.free -= size;
        }
    }
    mem_free(p.rates);
    mem_free(p.here);
    mem_free(here_s);
    return wan / all;
}

/* ---- who knows the future ---- */

/* From one request for a blob to the next: what is kept for it, and what that saves. */
struct span {
    double lasts_s, bytes;
};

static int
shorter(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return (x->lasts_s > y->lasts_s) - (x->lasts_s < y->lasts_s);
}

/* PFOO-L (Berger, Beckmann, Harchol-Balter: Practical bounds on optimal caching with variable
 * object sizes, 2018): the cache's bytes times the time of the trace are dealt out to the spans
 * that save most for them, and no moment is looked at by itself. A byte saves as much as another,
 * so the shortest spans come first. What arrives just then is shared, so a span is shorter by that.
 */
double
bound_future(const struct demand *d, double part)
{
    struct span *spans = mem_alloc(d->count * sizeof spans[0]);
    double *last_s = mem_zalloc(d->config.blobs * sizeof last_s[0]);
    double from_s = d->events[d->count / 4].at_s, all = 0, saved = 0;
    double left = part * (double)d->catalogue_bytes * (d->events[d->count - 1].at_s - from_s);
    size_t count = 0;
    for (size_t i = 0; i < d->count; i++) {
        const struct demand_event *e = &d->events[i];
        double size = bytes_of(d, e->blob), flight_s = caches_flight_s(size);
        double begins_s = fmax(last_s[e->blob] + flight_s, from_s);
        bool kept = size <= largest(d, part) || e->at_s <= last_s[e->blob] + flight_s;
        all += i >= d->count / 4 ? size : 0;
        if (i >= d->count / 4 && last_s[e->blob] > 0 && kept)
            spans[count++] = (struct span){fmax(e->at_s - begins_s, 0), size};
        last_s[e->blob] = e->at_s;
    }
    qsort(spans, count, sizeof spans[0], shorter);
    for (size_t i = 0; i < count && left > 0; i++) {
        double cost = spans[i].lasts_s * spans[i].bytes;
        saved += spans[i].bytes * (cost > left ? left / cost : 1);
        left -= cost;
    }
    mem_free(spans);
    mem_free(last_s);
    return 1 - saved / all;
}
