/* The checksums that go with bytes for another node: against accidents, not against liars. */
#ifndef PROXY_SUMS_H
#define PROXY_SUMS_H

#include "base/must.h"
#include "p2p/p2p.h"

#define SUMS_TEXT_MAX (PIECE_BLOCKS_MAX * 8 + 1)

/* Of [pos, pos + len) of a file, at most PIECE_BYTES_MAX: the value of PIECE_CRC. 0 or -errno. */
CHECKED int sums_print(int fd, uint64_t pos, size_t len, char ret_text[SUMS_TEXT_MAX]);

#endif
