/* How much comes, span by span. */
#include "proxy/upstream/gather.h"

bool
gather_look(struct gather *g, uint64_t came_bytes, int64_t now_us)
{
    int64_t span_us = now_us - g->since_us;
    g->bytes += came_bytes;
    if (span_us >= GATHER_SPAN_US) {
        g->flood = g->bytes >= GATHER_BYTES * (uint64_t)(span_us / GATHER_US);
        g->since_us = now_us;
        g->bytes = 0;
    }
    return came_bytes > 0 && came_bytes < GATHER_BYTES && !g->flood;
}
