/* CRC32C (RFC 3720, appendix B.4) of records on disk and of what peers send each other: by the
 * processor's own instruction where it has one, else eight bytes a step by tables (Kounavis and
 * Berry 2005). */
#include "base/hash.h"
#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

#if defined(__x86_64__)
#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t
add_fast(uint32_t crc, const uint8_t *b, size_t len)
{
    uint64_t wide = crc, word = 0;
    for (; len >= sizeof word; len -= sizeof word, b += sizeof word) {
        memcpy(&word, b, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    while (len-- > 0)
        crc = _mm_crc32_u8(crc, *b++);
    return crc;
}

static bool
is_fast(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#else
static uint32_t
add_fast(uint32_t crc, const uint8_t *b, size_t len)
{
    (void)b;
    (void)len;
    return crc;
}

static bool
is_fast(void)
{
    return false;
}
#endif

static uint32_t tables[8][256];
static pthread_once_t tables_made = PTHREAD_ONCE_INIT;

static void
make_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? POLYNOMIAL : 0);
        tables[0][i] = crc;
    }
    for (int n = 1; n < 8; n++)
        for (uint32_t i = 0; i < 256; i++)
            tables[n][i] = tables[n - 1][i] >> 8 ^ tables[0][tables[n - 1][i] & 255];
}

static uint32_t
add_by_tables(uint32_t crc, const uint8_t *b, size_t len)
{
    for (; len >= 8; len -= 8, b += 8) {
        crc ^= (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        crc = tables[7][crc & 255] ^ tables[6][crc >> 8 & 255] ^ tables[5][crc >> 16 & 255] ^
              tables[4][crc >> 24] ^ tables[3][b[4]] ^ tables[2][b[5]] ^ tables[1][b[6]] ^
              tables[0][b[7]];
    }
    while (len-- > 0)
        crc = crc >> 8 ^ tables[0][(crc ^ *b++) & 255];
    return crc;
}

uint32_t
hash_crc32c_plain(uint32_t before, const void *bytes, size_t len)
{
    must(pthread_once(&tables_made, make_tables) == 0);
    return ~add_by_tables(~before, bytes, len);
}

uint32_t
hash_crc32c_add(uint32_t before, const void *bytes, size_t len)
{
    if (is_fast())
        return ~add_fast(~before, bytes, len);
    return hash_crc32c_plain(before, bytes, len);
}

uint32_t
hash_crc32c(const void *bytes, size_t len)
{
    return hash_crc32c_add(0, bytes, len);
}
