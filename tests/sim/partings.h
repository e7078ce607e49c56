/* Caches that let go of blobs all at once: what becomes of the last copy in the site. */
#ifndef TESTS_SIM_PARTINGS_H
#define TESTS_SIM_PARTINGS_H

#include "base/must.h"

/* `seeds` runs from `seed` on; every third one is calm. 0, or 1 when an invariant broke. */
int partings_all(uint64_t seed, uint64_t seeds, bool traced);

#endif
