/* One simulated pull from its first arrival to its last byte, and what it is measured by.
 *
 * Invariants: every living node gets the whole image within LIMIT_F times the bound (where ports
 * are slow, SLOW_LIMIT_F times what such a port takes on top); the image crosses a WAN at least
 * once; no lease is given twice (the book of leases aborts); a node that may not fetch does not,
 * and no node asks twice for a piece (model.c). */
#include "tests/sim/pulls.h"
#include "base/mem.h"
#include "tests/sim/model.h"
#include <stdio.h>

#define LIMIT_F      4
#define SLOW_F       1000 /* of which a slow port has one */
#define SLOW_LIMIT_F 2    /* of what such a port takes */

void
pulls_draw(struct pulls_case *c, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed);
    unsigned low = c->varies, most = c->varies_most > 0 ? c->varies_most : 1000, i = 0;
    while (i < PULLS_MISHAPS && c->mishaps[i].kind != PULLS_NONE)
        i++;
    for (int64_t at_ms = 1; low > 0 && i < PULLS_MISHAPS; i++) {
        c->mishaps[i] =
            (struct pulls_mishap){at_ms, PULLS_WAN, PULLS_ALL,
                                  low + (uint32_t)rng_below(&r, (most > low ? most - low : 0) + 1)};
        at_ms += c->varies_ms / 10 + (int64_t)rng_below(&r, (uint64_t)c->varies_ms * 9 / 10 + 1);
    }
    c->varies = 0;
}

uint64_t
pulls_image(const struct pulls_case *c)
{
    uint64_t bytes = 0;
    for (unsigned b = 0; b < PULLS_BLOBS; b++)
        bytes += c->sizes[b];
    return bytes;
}

uint64_t
pulls_slow_port(const struct pulls_case *c)
{
    return c->port > 0 ? c->port : c->lan / SLOW_F;
}

/* The smallest T at which the site's WAN has carried so many bytes, us. */
static uint64_t
wan_us(const struct pulls_case *c, unsigned site, uint64_t bytes)
{
    uint64_t us = 0, rate = c->wan;
    for (unsigned i = 0; i < PULLS_MISHAPS; i++) {
        const struct pulls_mishap *m = &c->mishaps[i];
        if (m->kind != PULLS_WAN || (m->a != site && m->a != PULLS_ALL))
            continue;
        uint64_t until_us = (uint64_t)m->at_ms * 1000;
        uint64_t moved = rate * (until_us - us) / 1000000;
        if (rate > 0 && moved >= bytes)
            break;
        bytes -= moved;
        us = until_us;
        rate = c->wan * m->b / 1000;
    }
    return us + bytes * 1000000 / (rate > 0 ? rate : 1);
}

uint64_t
pulls_bound_us(const struct pulls_case *c, unsigned site)
{
    uint64_t image = pulls_image(c);
    uint64_t most = image * 1000000 / c->lan;
    uint64_t supply = c->nodes * image / 1000 * 1000000 / ((c->wan + c->nodes * c->lan) / 1000);
    bool is_warm = c->warm > 0 && (c->warm_sites == 0 || site < c->warm_sites);
    uint64_t wan = is_warm ? 0 : wan_us(c, site, image);
    most = wan > most ? wan : most;
    return most > supply ? most : supply;
}

/* The same for one node, which cannot begin before it is there. */
static uint64_t
node_bound_us(const struct world *w, const struct model *d, unsigned node, int64_t start_us)
{
    uint64_t site_us = pulls_bound_us(d->c, w->nodes[node].site);
    uint64_t own_us =
        (uint64_t)(d->nodes[node].arrived_us - start_us) + pulls_image(d->c) * 1000000 / d->c->lan;
    return own_us > site_us ? own_us : site_us;
}

static void
sum_node(const struct world *w, const struct model *d, unsigned node, int64_t start_us,
         struct pulls_result *ret)
{
    const struct model_node *n = &d->nodes[node];
    if (!n->counts)
        return;
    if (n->done_us == 0) {
        ret->failed++;
        return;
    }
    if (n->slow)
        return;
    int64_t took_us = n->done_us - start_us;
    unsigned ratio = (unsigned)((uint64_t)took_us * 1000 / node_bound_us(w, d, node, start_us));
    ret->ratio_permille = ratio > ret->ratio_permille ? ratio : ret->ratio_permille;
    ret->last_ms = took_us / 1000 > ret->last_ms ? took_us / 1000 : ret->last_ms;
    for (unsigned b = 0; b < d->blobs; b++) {
        int64_t first_ms = (n->readers[b].first_us - n->readers[b].asked_us) / 1000;
        ret->first_ms = first_ms > ret->first_ms ? first_ms : ret->first_ms;
    }
}

static int64_t
first_arrival_us(const struct model *d)
{
    int64_t least = INT64_MAX;
    for (unsigned i = 0; i < model_total(d->c); i++)
        if (d->nodes[i].arrived_us > 0 && d->nodes[i].arrived_us < least)
            least = d->nodes[i].arrived_us;
    return least;
}

/* From the first arrival on. */
static void
sum_messages(const struct world *w, struct pulls_result *ret)
{
    uint64_t said = 0, heard = 0, us = (uint64_t)(w->now_us - w->counted_us);
    for (unsigned i = 0; i < w->count; i++) {
        said += w->nodes[i].said_bytes;
        heard += w->nodes[i].heard_bytes;
        uint64_t ppht = (uint64_t)w->nodes[i].tracker_ns * 100 / (us + 1);
        ret->tracker_ppht = ppht > ret->tracker_ppht ? ppht : ret->tracker_ppht;
    }
    ret->said_bytes_s = said * 1000000 / us / w->count;
    ret->heard_bytes_s = heard * 1000000 / us / w->count;
}

static void
sum_up(const struct world *w, struct model *d, struct pulls_result *ret)
{
    uint64_t image = pulls_image(d->c), nodes = 0;
    int64_t start_us = first_arrival_us(d);
    flows_advance(&d->flows, w->now_us);
    *ret =
        (struct pulls_result){.events = w->events,
                              .datagrams = w->datagrams,
                              .hash = w->hash,
                              .bound_ms = (int64_t)(pulls_bound_us(d->c, d->c->sites - 1) / 1000),
                              .stall_ms = d->stall_us / 1000};
    for (unsigned i = 0; i < model_total(d->c); i++) {
        sum_node(w, d, i, start_us, ret);
        nodes += d->nodes[i].done_us > 0;
        if (w->nodes[i].step != NULL)
            ret->revocations += (unsigned)step_tracker_sum(w->nodes[i].step).revocations;
        ret->lan_bytes += flows_moved(&d->flows, 2 * d->c->sites + 3 * i + 2);
    }
    for (unsigned s = 0; s < d->c->sites; s++) {
        uint64_t moved = flows_moved(&d->flows, model_wan(s));
        unsigned permille = (unsigned)(moved * 1000 / image);
        ret->wan_permille = permille > ret->wan_permille ? permille : ret->wan_permille;
        ret->wan_bytes += moved;
    }
    ret->lan_bytes -= ret->wan_bytes;
    sum_messages(w, ret);
    if (nodes > 0)
        ret->prefix_permille = (unsigned)(d->prefix_area / nodes * 1024 / image * 1000 /
                                          pulls_bound_us(d->c, d->c->sites - 1));
}

static bool
judge(struct world *w, const struct pulls_case *c, const struct pulls_result *r, int64_t limit_ms)
{
    if (w->broken[0] != '\0')
        return false;
    if (r->failed > 0)
        return world_break(w, "%u nodes did not finish in %lld ms", r->failed, (long long)limit_ms);
    if (c->ratio_max_permille > 0 && r->ratio_permille > c->ratio_max_permille)
        return world_break(w, "last node at %u/1000 of the bound, at most %u", r->ratio_permille,
                           c->ratio_max_permille);
    if (c->wan_max_permille > 0 && r->wan_permille > c->wan_max_permille)
        return world_break(w, "%u/1000 copies over the WAN, at most %u", r->wan_permille,
                           c->wan_max_permille);
    if (c->warm == 0 && r->wan_permille < 999)
        return world_break(w, "only %u/1000 copies over the WAN", r->wan_permille);
    if (c->first_max_ms > 0 && r->first_ms > c->first_max_ms)
        return world_break(w, "first byte after %lld ms, at most %lld", (long long)r->first_ms,
                           (long long)c->first_max_ms);
    if (c->stall_max_ms > 0 && r->stall_ms > c->stall_max_ms)
        return world_break(w, "a client waited %lld ms for bytes, at most %lld",
                           (long long)r->stall_ms, (long long)c->stall_max_ms);
    return true;
}

/* By type of record, of a mean node. */
static void
tell_heard(const struct world *w)
{
    static const char *const names[WORLD_RECORDS] = {
        [0] = "empty answers",
#define RECORD(name, NAME, number) [number] = #name,
#define END(name)
#include "p2p/wire.def"
    };
    uint64_t us = (uint64_t)(w->now_us - w->counted_us);
    for (unsigned i = 0; i < WORLD_RECORDS; i++)
        if (w->heard_by[i] > 0)
            (void)printf("hears %-14s %8llu B/s\n", names[i],
                         (unsigned long long)(w->heard_by[i] * 1000000 / us / w->count));
}

static void
tell_nodes(const struct world *w, struct model *d)
{
    int64_t start_us = first_arrival_us(d);
    (void)printf("%-6s %5s %10s %10s %10s\n", "node", "site", "arrives s", "first s", "done s");
    for (unsigned i = 0; i < model_total(d->c); i++) {
        const struct model_node *n = &d->nodes[i];
        (void)printf("n%-5u %5u %10.3f %10.3f %10.3f%s\n", i, w->nodes[i].site,
                     (double)(n->arrived_us - start_us) / 1e6,
                     (double)(n->readers[0].first_us - n->readers[0].asked_us) / 1e6,
                     n->done_us > 0 ? (double)(n->done_us - start_us) / 1e6 : 0.0,
                     w->nodes[i].step == NULL ? " died"
                     : n->counts              ? ""
                                              : " does not count");
    }
    for (unsigned s = 0; s < d->c->sites; s++)
        (void)printf("site %u: %llu bytes over its WAN\n", s,
                     (unsigned long long)flows_moved(&d->flows, model_wan(s)));
}

void
pulls_tell(const struct pulls_case *c, const struct pulls_result *r)
{
    (void)printf(
        "sum sites=%u nodes=%u bound_ms=%lld last_ms=%lld ratio=%.3f copies=%.3f failed=%u "
        "first_ms=%lld stall_ms=%lld said_bytes_s=%llu heard_bytes_s=%llu "
        "tracker_percent=%.2f revocations=%u events=%llu\n",
        c->sites, c->nodes, (long long)r->bound_ms, (long long)r->last_ms,
        (double)r->ratio_permille / 1000, (double)r->wan_permille / 1000, r->failed,
        (long long)r->first_ms, (long long)r->stall_ms, (unsigned long long)r->said_bytes_s,
        (unsigned long long)r->heard_bytes_s, (double)r->tracker_ppht / 1000, r->revocations,
        (unsigned long long)r->events);
}

int
pulls_run(const struct pulls_case *c, uint64_t seed, uint64_t keep, bool traced, bool told,
          struct pulls_result *ret, char ret_broken[160])
{
    struct model *d = mem_alloc(sizeof *d);
    model_init(d, c, keep);
    struct world_hooks hooks = model_hooks(d);
    struct world *w = world_new(model_total(c), seed, &hooks);
    w->traced = traced;
    w->timed = true;
    model_set_up(w, d);
    int64_t limit_ms = MODEL_START_MS + c->spread_ms + c->late_ms + 10000 +
                       (int64_t)(pulls_bound_us(c, c->sites - 1) * LIMIT_F / 1000);
    if (c->slow > 0)
        limit_ms += (int64_t)(pulls_image(c) * SLOW_LIMIT_F * 1000 / pulls_slow_port(c));
    (void)world_run(w, MODEL_START_MS - 1);
    world_count_anew(w);
    while (d->left > 0 && world_ms(w) < limit_ms && world_run(w, world_ms(w) + 100))
        continue;
    sum_up(w, d, ret);
    (void)judge(w, c, ret, limit_ms);
    if (traced)
        (void)printf("%s", buf_text(&w->trace));
    if (told && w->count <= WORLD_SMALL)
        tell_nodes(w, d);
    if (told)
        tell_heard(w);
    memcpy(ret_broken, w->broken, sizeof w->broken);
    model_release(d);
    mem_free(d);
    world_free(w);
    return ret_broken[0] == '\0' ? 0 : -1;
}
