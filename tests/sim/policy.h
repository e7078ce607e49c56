/* Policies of other systems over the same links: models with published constants (policy.c). */
#ifndef TESTS_SIM_POLICY_H
#define TESTS_SIM_POLICY_H

#include "tests/sim/pulls.h"

/* Prints `wan SECONDS BYTES...` (into each site so far) and `node N SITE SECONDS` (0: not done by
 * the limit, or warm and with nothing to do). */
int policy_run(const struct pulls_case *c, bool is_dragonfly, uint64_t seed, int64_t limit_ms);

#endif
