/* All rules hold. */
#include "p2p/tuning.h"

struct tuning tuning;
