/* Elections under faults drawn from a seed, and the traces that some must give. */
#ifndef TESTS_SIM_ELECTIONS_H
#define TESTS_SIM_ELECTIONS_H

#include "base/must.h"

#define TAKEOVERS_MS 4000

/* What many seeds showed. */
struct elections_sum {
    unsigned seeds;
    uint64_t events, elections;
    unsigned takeovers; /* a tracker's death in a calm network */
    unsigned takeovers_ms_count[TAKEOVERS_MS];
    uint64_t lossy_ms; /* time in which datagrams were lost and nothing else was wrong */
    unsigned lossy_elections;
};

/* Runs one seed with those faults whose bit is set. 0, or -1 and a sentence in ret_broken. */
int elections_run(uint64_t seed, uint64_t keep, bool traced, struct elections_sum *sum,
                  char ret_broken[160], uint64_t *ret_hash);
unsigned elections_faults(uint64_t seed); /* how many faults the seed draws, at most 64 */
int elections_traces(void);               /* the scripted ones; 0 when each is as expected */

#endif
