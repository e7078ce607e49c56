/* The copies that a site keeps of what is popular, while its nodes come and go. */
#ifndef TESTS_SIM_COPIES_H
#define TESTS_SIM_COPIES_H

#include "base/must.h"

/* `seeds` runs from `seed` on; every other one is calm. 0, or 1 when an invariant broke. */
int copies_all(uint64_t seed, uint64_t seeds, bool traced);

#endif
