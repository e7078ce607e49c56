/* Whole pulls: N nodes of a site want one blob, over a thin WAN and a LAN. */
#ifndef TESTS_SIM_PULLS_H
#define TESTS_SIM_PULLS_H

#include "base/must.h"

struct pulls_case {
    const char *name;
    unsigned nodes;
    uint64_t size;
    uint64_t wan, lan;       /* bytes/s of the site's WAN, of each node's port */
    unsigned crippled;       /* nodes whose way to the WAN is 500 times slower */
    unsigned loss_permille;  /* of datagrams */
    int64_t spread_ms;       /* arrivals are spread over it */
    int64_t kill_tracker_ms; /* after the start; 0: no */
    int64_t varies_ms;       /* the WAN goes to a fifth for that long, after as long; 0: no */
    bool cold;               /* nodes start and pull at once, before there is a tracker */
    unsigned ratio_max_permille, wan_max_permille; /* what must hold */
};

struct pulls_result {
    unsigned ratio_permille;  /* last node against T* */
    unsigned wan_permille;    /* WAN bytes against the blob */
    unsigned prefix_permille; /* mean time until a reader gets a byte, against T* */
    int64_t last_ms;
    unsigned failed; /* living nodes that did not finish */
    uint64_t events, datagrams, hash;
};

/* 0, or -1 and a sentence. */
int pulls_run(const struct pulls_case *c, uint64_t seed, bool traced, struct pulls_result *ret,
              char ret_broken[160]);
int pulls_all(uint64_t seed, uint64_t seeds, const char *only, bool traced);

#endif
