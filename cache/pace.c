#include "cache/pace.h"

#define SLOW_BYTES_S (500u << 20) /* no core with instructions for it is slower */
#define THREADS_MAX  4            /* of fast cores: more than any LAN brings */
#define THREADS_SLOW 16           /* HASHER_THREADS_MAX */

#define TURNS_S   256 /* slices a second: 4 ms each */
#define SLICE_MIN (256u << 10)
#define SLICE_MAX (4u << 20)

#define CHECK_BYTES_S (32u << 20) /* 2 to 4 % of a fast core, a disk's small change */
/* Times as long as a step took: of a slow core, or a slow disk, a tenth is the most. */
#define CHECK_REST 9

unsigned
pace_threads(uint64_t hash_bytes_s, unsigned cpus)
{
    must(cpus > 0);
    if (hash_bytes_s >= SLOW_BYTES_S || cpus <= 2) {
        return cpus < THREADS_MAX ? cpus : THREADS_MAX;
    }
    /* Each layer needs a core of its own; one is left to what moves the bytes. */
    return cpus - 1 < THREADS_SLOW ? cpus - 1 : THREADS_SLOW;
}

size_t
pace_slice_bytes(uint64_t hash_bytes_s)
{
    uint64_t bytes = hash_bytes_s / TURNS_S;
    return bytes < SLICE_MIN ? SLICE_MIN : bytes > SLICE_MAX ? SLICE_MAX : (size_t)bytes;
}

int64_t
pace_rest_ms(size_t step_bytes, int64_t took_ms)
{
    int64_t by_rate = (int64_t)step_bytes * 1000 / CHECK_BYTES_S, by_rest = took_ms * CHECK_REST;
    return by_rest > by_rate ? by_rest : by_rate;
}
