/* How a blob is cut: every node must come to the same answer from its size alone. */
#ifndef P2P_PIECE_H
#define P2P_PIECE_H

#include "p2p/wire.h"

#define PIECE_BYTES_MIN (256u * 1024)
#define PIECE_BYTES_MAX (4u * 1024 * 1024)
#define PIECE_BLOB_MAX  ((uint64_t)WIRE_PIECES_MAX * PIECE_BYTES_MAX)
#define PIECE_WANTED    256

/* GET PIECE_PATH<digest>: of one blob at a node's peer port, what a Range header of the form
 * "bytes=START-LAST" names, at most PIECE_BYTES_MAX. PIECE_AUTH signs "GET PATH RANGE", RANGE as
 * that header has it; "GET PATH" when there is none. All of a small stored blob, e.g. a manifest,
 * is at PIECE_MANIFEST_PATH<digest>. PIECE_CRC in a 206: the CRC32C of each PIECE_BLOCK_BYTES of
 * the body counted from its start, the last one shorter: 8 lower-case hex digits a block, joined.
 * PIECE_CRC in a request, PIECE_CRC_NONE: who asks knows what the piece hashes to, and needs none.
 * PIECE_BUSY in a 503: milliseconds. PIECE_CLASS: cursor, fill or background. PIECE_ACCEPT, zstd:
 * the body may be one zstd frame of the same range, of 256 KiB of history and piece_packed_max()
 * bytes at most; then the answer has PIECE_CODING, zstd. Range and checksums are of the bytes
 * themselves in any case. */
#define PIECE_PATH          "/p2p/v1/blob/"
#define PIECE_MANIFEST_PATH "/p2p/v1/manifest/"
#define PIECE_AUTH          "Ps-Auth"
#define PIECE_CLASS         "Ps-Class"
#define PIECE_CRC           "Ps-Crc32c"
#define PIECE_CRC_NONE      "none"
#define PIECE_BUSY          "Ps-Busy-Ms"
#define PIECE_ACCEPT        "Ps-Accept"
#define PIECE_CODING        "Ps-Coding"
#define PIECE_ZSTD          "zstd"
#define PIECE_BLOCK_BYTES   (128u * 1024)
#define PIECE_BLOCKS_MAX    (PIECE_BYTES_MAX / PIECE_BLOCK_BYTES)

static inline uint32_t
piece_bytes(uint64_t size)
{
    uint64_t bytes = PIECE_BYTES_MIN;
    while (bytes < PIECE_BYTES_MAX && bytes * PIECE_WANTED < size)
        bytes *= 2;
    return (uint32_t)bytes;
}

/* Of a range of len bytes: a frame of bytes that only seemed to shrink is a little longer. */
static inline uint64_t
piece_packed_max(uint64_t len)
{
    return len + len / 64 + 128;
}

/* Of a blob of at most PIECE_BLOB_MAX bytes. */
static inline uint32_t
piece_count(uint64_t size)
{
    uint32_t bytes = piece_bytes(size);
    return (uint32_t)(size / bytes + (size % bytes != 0));
}

#endif
