/* How fast this floor hashes, by what SHA-256 costs here. Pure. A core with instructions for it
 * hashes 1,000 to 2,000 MB/s, one of a small board without them 50 to 200. */
#ifndef CACHE_PACE_H
#define CACHE_PACE_H

#include "base/must.h"

/* Hash threads for so many processors (at least 1), a core of which hashes so many bytes a second.
 */
unsigned pace_threads(uint64_t hash_bytes_s, unsigned cpus);
/* What a hash thread hashes of one blob before the next one has its turn. */
size_t pace_slice_bytes(uint64_t hash_bytes_s);
/* How long a check that nobody waits for rests behind a step of so many bytes that took so long. */
int64_t pace_rest_ms(size_t step_bytes, int64_t took_ms);

#endif
