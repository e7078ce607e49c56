/* How a blob is cut: every node must come to the same answer from its size alone. */
#ifndef P2P_PIECE_H
#define P2P_PIECE_H

#include "p2p/wire.h"

#define PIECE_BYTES_MIN (256u * 1024)
#define PIECE_BYTES_MAX (4u * 1024 * 1024)
#define PIECE_BLOB_MAX  ((uint64_t)WIRE_PIECES_MAX * PIECE_BYTES_MAX)
#define PIECE_WANTED    256

static inline uint32_t
piece_bytes(uint64_t size)
{
    uint64_t bytes = PIECE_BYTES_MIN;
    while (bytes < PIECE_BYTES_MAX && bytes * PIECE_WANTED < size)
        bytes *= 2;
    return (uint32_t)bytes;
}

/* Of a blob of at most PIECE_BLOB_MAX bytes. */
static inline uint32_t
piece_count(uint64_t size)
{
    uint32_t bytes = piece_bytes(size);
    return (uint32_t)(size / bytes + (size % bytes != 0));
}

#endif
