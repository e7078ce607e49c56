/* The caches of a site under a trace of requests, with the product's own rule of eviction
 * (cache/evict.c) and others to compare it with. Counted: bytes over the WAN against bytes that
 * were asked for, behind a quarter of the trace, which warms the caches.
 *
 * A node that lacks a blob takes it from one that has it, else over the WAN; while it arrives
 * there all others share it, whatever the rule. */
#ifndef TESTS_SIM_CACHES_H
#define TESTS_SIM_CACHES_H

#include "tests/sim/demand.h"

struct site {
    const struct demand *demand;
    uint64_t node_bytes; /* of each cache */
    bool **has;          /* [node][blob] */
    uint64_t *used;      /* [node] */
    unsigned *copies;    /* [blob] */
};

bool site_fits(const struct site *s, unsigned node, unsigned blob);
void site_add(struct site *s, unsigned node, unsigned blob);
void site_drop(struct site *s, unsigned node, unsigned blob);

/* A rule that keeps or drops blobs. `from`: the node that gave it, -1: none (hit, or the WAN). */
struct rule {
    const char *name;
    void *(*begin)(struct site *s);
    void (*asked)(void *state, struct site *s, const struct demand_event *e, bool hit, int from);
    void (*end)(void *state, struct site *s);
};

extern const struct rule rule_lru, rule_lru_last, rule_gdsf, rule_s3fifo, rule_sieve,
    rule_value_room, rule_value;

/* WAN bytes / bytes asked for. */
double caches_run(const struct demand *d, const struct rule *r, double part_of_catalogue);

/* How long a fetch over the WAN takes, when all share the blob on its way. */
double caches_flight_s(double bytes);

/* What no rule can know, for one cache as large as all of the site's (caches_bound.c); no blob that
 * is larger than a node's cache is kept. Who knows every rate of requests, but not when they come,
 * keeps what is asked for most (of roll-outs it knows nothing). And the least that any rule could
 * reach that knows the future. */
double bound_rates(const struct demand *d, double part_of_catalogue);
double bound_future(const struct demand *d, double part_of_catalogue);
/* The table of make sim-cache; words: name=value of demand_config, or nothing. 0, or 1 when a goal
 * is missed. */
int caches_all(const char *words, uint64_t seed, uint64_t seeds);

#endif
