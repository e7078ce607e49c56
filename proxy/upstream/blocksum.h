/* The checksums that a peer sends along with a body, checked as it comes. Pure. */
#ifndef PROXY_BLOCKSUM_H
#define PROXY_BLOCKSUM_H

#include "p2p/p2p.h"

struct blocksum {
    uint64_t len;                      /* of the body */
    uint64_t at;                       /* bytes seen */
    uint32_t sum;                      /* of the block at work so far */
    uint32_t count;                    /* 0: nothing is checked */
    uint32_t blocks[PIECE_BLOCKS_MAX]; /* as announced */
};

/* PIECE_CRC of a body of len bytes: 0, or ERR_SYNTAX when it is not one sum for each block. */
CHECKED int blocksum_parse(const char *text, uint64_t len, struct blocksum *ret);
/* The next bytes of the body. ret_good: how many of all bytes so far are in blocks that are whole
 * and right. 0, or ERR_DIGEST at a block that is wrong; ERR_LIMIT: more bytes than announced. */
CHECKED int blocksum_add(struct blocksum *b, const void *bytes, size_t len, uint64_t *ret_good);

#endif
