/* What a site knows of tags, under loss and with trackers that die. */
#ifndef TESTS_SIM_NAMINGS_H
#define TESTS_SIM_NAMINGS_H

#include "base/must.h"

/* `seeds` runs from `seed` on; every other one is calm. 0, or 1 when an invariant broke. */
int namings_all(uint64_t seed, uint64_t seeds, bool traced);

#endif
