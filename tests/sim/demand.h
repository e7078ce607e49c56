/* What the nodes of a site ask for: a seeded trace of requests for blobs. Popularity is Zipf's,
 * ranks change hands as days go by (drift), sizes are log-normal. Some requests are roll-outs: all
 * nodes ask for one blob, one after the other. */
#ifndef TESTS_SIM_DEMAND_H
#define TESTS_SIM_DEMAND_H

#include "base/must.h"

struct demand_config {
    const char *name;
    unsigned nodes, blobs, requests;
    double zipf;     /* exponent */
    double drift;    /* ranks that change hands in a day, as a share of all */
    double per_day;  /* requests, roll-outs counted once */
    double median;   /* bytes */
    double sigma;    /* of the logarithm of sizes */
    double rollouts; /* share of requests that begin one */
    double gap_s;    /* between two nodes of a roll-out */
};

struct demand_event {
    double at_s;
    unsigned node, blob;
};

/* Two blobs change ranks. */
struct demand_swap {
    double at_s;
    unsigned a, b;
};

struct demand {
    struct demand_config config;
    uint64_t *sizes;          /* of config.blobs */
    uint64_t catalogue_bytes; /* their sum */
    size_t count;
    struct demand_event *events; /* in order of time */
    double *weights;             /* of each blob at the start: requests are in proportion to them */
    size_t swap_count;
    struct demand_swap *swaps; /* in order of time; weights change hands with the ranks */
};

/* Ten nodes, 3,000 blobs, Zipf 0.9, 8 MB and sigma 2, 10,000 requests a day for six days, a tenth
 * of the ranks a day. */
extern const struct demand_config demand_default;

struct demand *demand_new(const struct demand_config *c, uint64_t seed);
void demand_free(struct demand *d);

#endif
