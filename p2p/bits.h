/* Sets of pieces as bytes, bit 0 of byte 0 first: as they travel, as they are kept. */
#ifndef P2P_BITS_H
#define P2P_BITS_H

#include "base/must.h"
#include <string.h>

#define BITS_BYTES(count) (((size_t)(count) + 7) / 8)

static inline bool
bits_get(const uint8_t *bits, uint32_t i)
{
    return (bits[i / 8] >> (i % 8) & 1) != 0;
}

static inline void
bits_set(uint8_t *bits, uint32_t i)
{
    bits[i / 8] |= (uint8_t)(1u << i % 8);
}

static inline void
bits_clear(uint8_t *bits, uint32_t i)
{
    bits[i / 8] &= (uint8_t) ~(1u << i % 8);
}

static inline void
bits_add(uint8_t *to, const uint8_t *from, size_t bytes)
{
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t)) {
        uint64_t a, b;
        memcpy(&a, to, sizeof a);
        memcpy(&b, from, sizeof b);
        a |= b;
        memcpy(to, &a, sizeof a);
        to += sizeof a;
        from += sizeof b;
    }
    while (bytes-- > 0)
        *to++ |= *from++;
}

/* Are all of a in b, too? */
static inline bool
bits_within(const uint8_t *a, const uint8_t *b, size_t bytes)
{
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t)) {
        uint64_t x, y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        if ((x & ~y) != 0)
            return false;
        a += sizeof x;
        b += sizeof y;
    }
    for (; bytes > 0; bytes--)
        if ((*a++ & ~*b++) != 0)
            return false;
    return true;
}

#endif
