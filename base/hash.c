/* SipHash-1-3 (Aumasson, Bernstein 2012). */
#include "base/hash.h"
#include "base/rng.h"
#include <pthread.h>
#include <string.h>

static uint8_t table_key[HASH_KEY_BYTES];
static pthread_once_t key_drawn = PTHREAD_ONCE_INIT;

static void
draw_key(void)
{
    rng_secret(table_key, sizeof(table_key));
}

static uint64_t
rotate(uint64_t v, unsigned bits)
{
    return v << bits | v >> (64 - bits);
}

/* Up to 8 bytes, little-endian. */
static uint64_t
load(const uint8_t *b, size_t n)
{
    uint64_t v = 0;

    for (size_t i = n; i > 0; i--)
        v = v << 8 | b[i - 1];
    return v;
}

static void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static void
sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

uint64_t
hash_keyed(const uint8_t key[HASH_KEY_BYTES], const void *bytes, size_t len)
{
    uint64_t k0 = load(key, 8);
    uint64_t k1 = load(key + 8, 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    const uint8_t *b = bytes;
    size_t whole = len & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8)
        sip_word(v, load(b + i, 8));
    uint64_t rest = len % 8 == 0 ? 0 : load(b + whole, len % 8);
    sip_word(v, rest | (uint64_t)len << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
hash_bytes(const void *bytes, size_t len)
{
    must(pthread_once(&key_drawn, draw_key) == 0);
    return hash_keyed(table_key, bytes, len);
}
