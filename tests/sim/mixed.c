#include "tests/sim/pulls.h"
int
pulls_mixed(uint64_t seed, uint64_t seeds, uint64_t keep, bool one)
{
    (void)seed;
    (void)seeds;
    (void)keep;
    (void)one;
    return 0;
}
