/* Runs a trace through a rule, and the table. */
#include "tests/sim/caches.h"
#include "base/mem.h"
#include "base/rng.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAN_BYTES_S 12.5e6 /* how long a blob is on its way; all share it then */
#define WAN_RTT_S   5

double
caches_flight_s(double bytes)
{
    return bytes / WAN_BYTES_S + WAN_RTT_S;
}

bool
site_fits(const struct site *s, unsigned node, unsigned blob)
{
    return s->used[node] + s->demand->sizes[blob] <= s->node_bytes;
}

void
site_add(struct site *s, unsigned node, unsigned blob)
{
    must(!s->has[node][blob] && site_fits(s, node, blob));
    s->has[node][blob] = true;
    s->used[node] += s->demand->sizes[blob];
    s->copies[blob]++;
}

void
site_drop(struct site *s, unsigned node, unsigned blob)
{
    must(s->has[node][blob]);
    s->has[node][blob] = false;
    s->used[node] -= s->demand->sizes[blob];
    s->copies[blob]--;
}

static void
site_init(struct site *s, const struct demand *d, double part)
{
    unsigned nodes = d->config.nodes;
    *s = (struct site){.demand = d};
    s->node_bytes = (uint64_t)(part * (double)d->catalogue_bytes / nodes);
    s->has = mem_alloc(nodes * sizeof s->has[0]);
    for (unsigned n = 0; n < nodes; n++)
        s->has[n] = mem_zalloc(d->config.blobs);
    s->used = mem_zalloc(nodes * sizeof s->used[0]);
    s->copies = mem_zalloc(d->config.blobs * sizeof s->copies[0]);
}

static void
site_release(struct site *s)
{
    for (unsigned n = 0; n < s->demand->config.nodes; n++)
        mem_free(s->has[n]);
    mem_free(s->has);
    mem_free(s->used);
    mem_free(s->copies);
}

static int
giver(const struct site *s, unsigned blob, struct rng *rng)
{
    if (s->copies[blob] == 0)
        return -1;
    uint64_t left = rng_below(rng, s->copies[blob]);
    for (unsigned n = 0; n < s->demand->config.nodes; n++)
        if (s->has[n][blob] && left-- == 0)
            return (int)n;
    return -1;
}

double
caches_run(const struct demand *d, const struct rule *r, double part_of_catalogue)
{
    struct site s;
    struct rng rng;
    double *here_s = mem_zalloc(d->config.blobs * sizeof here_s[0]); /* end of its way here */
    double wan = 0, all = 0;
    rng_init(&rng, 1);
    site_init(&s, d, part_of_catalogue);
    void *state = r->begin(&s);
    for (size_t i = 0; i < d->count; i++) {
        const struct demand_event *e = &d->events[i];
        double size = (double)d->sizes[e->blob];
        bool hit = s.has[e->node][e->blob];
        int from = hit ? -1 : giver(&s, e->blob, &rng);
        bool fetched = !hit && from < 0 && e->at_s >= here_s[e->blob];
        if (fetched)
            here_s[e->blob] = e->at_s + caches_flight_s(size);
        if (i >= d->count / 4) {
            all += size;
            wan += fetched ? size : 0;
        }
        r->asked(state, &s, e, hit, from);
    }
    r->end(state, &s);
    site_release(&s);
    mem_free(here_s);
    return wan / all;
}

/* ---- the table ---- */

static const struct rule *const rules[] = {&rule_lru,   &rule_lru_last,   &rule_gdsf, &rule_s3fifo,
                                           &rule_sieve, &rule_value_room, &rule_value};
static const double parts[] = {0.2, 0.5, 1.0};
enum { AT_20, AT_50, AT_100, PARTS };

/* The goals: bytes against those of LRU, and, where all fits, against LRU with last copy. */
static const double goals[PARTS] = {0.75, 0.65, 1.0};

static const struct {
    const char *name;
    double (*run)(const struct demand *d, double part_of_catalogue);
} bounds[] = {{"who knows all rates", bound_rates}, {"who knows the future", bound_future}};

struct row {
    double wan[PARTS];
};

static int
judge(const struct demand_config *c, const struct row *lru, const struct row *last,
      const struct row *ours)
{
    int missed = 0;
    for (int p = 0; p < PARTS; p++) {
        double against = p == AT_100 ? last->wan[p] : lru->wan[p];
        /* Where all fits hardly anything is fetched twice: a thousandth of all bytes is chance. */
        double slack = p == AT_100 ? 0.001 : 0;
        if (ours->wan[p] <= goals[p] * against + slack)
            continue;
        (void)printf("%s: goal missed at %.0f %%: %.4f, at most %.2f of %.4f\n", c->name,
                     100 * parts[p], ours->wan[p], goals[p], against);
        missed = 1;
    }
    return missed;
}

/* No rule may be below the floor: then bytes are miscounted somewhere. */
static int
check_floor(const struct row *row, const struct row *floor, const char *name)
{
    int missed = 0;
    for (int p = 0; p < PARTS; p++) {
        if (row->wan[p] >= floor->wan[p] - 1e-9)
            continue;
        (void)printf("%s: %.4f at %.0f %%, below the floor of %.4f\n", name, row->wan[p],
                     100 * parts[p], floor->wan[p]);
        missed = 1;
    }
    return missed;
}

static void
print_row(const char *name, const struct row *row, const struct row *lru)
{
    (void)printf("  %-20s", name);
    for (int p = 0; p < PARTS; p++)
        (void)printf("  %.3f (%+4.0f %%)", row->wan[p], 100 * (row->wan[p] / lru->wan[p] - 1));
    (void)printf("\n");
}

static int
table(const struct demand_config *c, uint64_t seed, uint64_t seeds, bool judged)
{
    struct row rows[ARRAY_LEN(rules)] = {{{0}}}, least[ARRAY_LEN(bounds)] = {{{0}}};
    for (uint64_t i = 0; i < seeds; i++) {
        struct demand *d = demand_new(c, seed + i);
        for (int p = 0; p < PARTS; p++) {
            for (size_t k = 0; k < ARRAY_LEN(rules); k++)
                rows[k].wan[p] += caches_run(d, rules[k], parts[p]) / (double)seeds;
            for (size_t k = 0; k < ARRAY_LEN(bounds); k++)
                least[k].wan[p] += bounds[k].run(d, parts[p]) / (double)seeds;
        }
        demand_free(d);
    }
    (void)printf("%s: %u nodes, %u blobs, Zipf %.2f, drift %.2f a day, %.0f requests a day, "
                 "%.0f %% of them roll-outs\n",
                 c->name, c->nodes, c->blobs, c->zipf, c->drift, c->per_day, 100 * c->rollouts);
    (void)printf("  %-20s  %8s  %15s  %15s\n", "WAN / asked bytes", "20 %", "50 %", "100 %");
    for (size_t k = 0; k < ARRAY_LEN(rules); k++)
        print_row(rules[k]->name, &rows[k], &rows[0]);
    for (size_t k = 0; k < ARRAY_LEN(bounds); k++)
        print_row(bounds[k].name, &least[k], &rows[0]);
    int missed = check_floor(&least[0], &least[1], bounds[0].name);
    for (size_t k = 0; k < ARRAY_LEN(rules); k++)
        missed |= check_floor(&rows[k], &least[1], rules[k]->name);
    (void)fflush(stdout);
    return missed | (judged ? judge(c, &rows[0], &rows[1], &rows[ARRAY_LEN(rows) - 1]) : 0);
}

static const struct {
    const char *name;
    size_t at;
    bool is_count;
} keys[] = {
    {"nodes", offsetof(struct demand_config, nodes), true},
    {"blobs", offsetof(struct demand_config, blobs), true},
    {"requests", offsetof(struct demand_config, requests), true},
    {"zipf", offsetof(struct demand_config, zipf), false},
    {"drift", offsetof(struct demand_config, drift), false},
    {"per-day", offsetof(struct demand_config, per_day), false},
    {"median", offsetof(struct demand_config, median), false},
    {"sigma", offsetof(struct demand_config, sigma), false},
    {"rollouts", offsetof(struct demand_config, rollouts), false},
    {"gap", offsetof(struct demand_config, gap_s), false},
};

/* One word, "name=value". */
static bool
set(struct demand_config *c, const char *word, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        size_t n = strlen(keys[i].name);
        if (n >= len || strncmp(word, keys[i].name, n) != 0 || word[n] != '=')
            continue;
        char *end;
        double x = strtod(word + n + 1, &end);
        if (end != word + len || x < 0)
            return false;
        if (keys[i].is_count)
            *(unsigned *)(void *)((char *)c + keys[i].at) = (unsigned)x;
        else
            *(double *)(void *)((char *)c + keys[i].at) = x;
        return true;
    }
    return false;
}

static int
table_of_words(const char *words, uint64_t seed, uint64_t seeds)
{
    struct demand_config c = demand_default;
    for (const char *at = words; *at != '\0';) {
        size_t len = strcspn(at, " ");
        if (len > 0 && !set(&c, at, len)) {
            (void)fprintf(stderr, "caches: %.*s: expected NAME=NUMBER, NAME one of", (int)len, at);
            for (size_t i = 0; i < ARRAY_LEN(keys); i++)
                (void)fprintf(stderr, " %s", keys[i].name);
            (void)fprintf(stderr, "\n");
            return 2;
        }
        at += len + strspn(at + len, " ");
    }
    if (c.nodes < 1 || c.blobs < 1 || c.requests < 4 || c.per_day <= 0 || c.median <= 0) {
        (void)fprintf(stderr, "caches: nodes, blobs, requests, per-day, median: too small\n");
        return 2;
    }
    c.name = "words";
    return table(&c, seed, seeds, false);
}

int
caches_all(const char *words, uint64_t seed, uint64_t seeds)
{
    if (words[0] != '\0')
        return table_of_words(words, seed, seeds);
    struct demand_config c = demand_default;
    int missed = table(&c, seed, seeds, true);
    struct demand_config flat = demand_default;
    flat.name = "flatter, larger sites";
    flat.zipf = 0.8;
    flat.nodes = 16;
    missed |= table(&flat, seed, seeds, true);
    struct demand_config steep = demand_default;
    steep.name = "steeper, few nodes";
    steep.zipf = 1.05;
    steep.nodes = 5;
    missed |= table(&steep, seed, seeds, true);
    struct demand_config deploy = demand_default;
    deploy.name = "roll-outs";
    deploy.rollouts = 0.2;
    deploy.gap_s = 120;
    deploy.requests = 20000;
    missed |= table(&deploy, seed, seeds, false);
    return missed;
}
