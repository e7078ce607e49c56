/* CRC32C (RFC 3720, appendix B.4) of records on disk and of what peers send each other: by the
 * processor's own instruction where it has one, else eight bytes a step by tables (Kounavis and
 * Berry 2005). The instruction takes three clocks and a new one can begin with each, so three lanes
 * of bytes go side by side and are joined: the CRC of what came first, moved over as many zeros as
 * came after it. */
#include "base/hash.h"
#include <pthread.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */
#define LANE       4096        /* bytes */

static uint32_t tables[8][256];
static uint32_t over_lane[4][256]; /* by each byte of a CRC: what LANE zeros make of it */
static bool has_instruction;
static pthread_once_t made = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
#include <nmmintrin.h>
#define WITH_CRC           __attribute__((target("sse4.2")))
#define ADD_WORD(crc, w)   ((uint32_t)_mm_crc32_u64(crc, w))
#define ADD_BYTE(crc, b)   _mm_crc32_u8(crc, b)
#define FIND_INSTRUCTION() __builtin_cpu_supports("sse4.2")
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#define WITH_CRC           __attribute__((target("+crc")))
#define ADD_WORD(crc, w)   __crc32cd(crc, w)
#define ADD_BYTE(crc, b)   __crc32cb(crc, b)
#define HWCAP_BIT_CRC32    (1ul << 7)
#define FIND_INSTRUCTION() ((getauxval(AT_HWCAP) & HWCAP_BIT_CRC32) != 0)
#else
#define WITH_CRC
#define ADD_WORD(crc, w)   ((void)(w), crc) /* never called */
#define ADD_BYTE(crc, b)   ((void)(b), crc)
#define FIND_INSTRUCTION() false
#endif

static uint64_t
word_at(const uint8_t *b)
{
    uint64_t word;
    memcpy(&word, b, sizeof word);
    return word;
}

static uint32_t
move_over_lane(uint32_t crc)
{
    return over_lane[0][crc & 255] ^ over_lane[1][crc >> 8 & 255] ^ over_lane[2][crc >> 16 & 255] ^
           over_lane[3][crc >> 24];
}

WITH_CRC static uint32_t
add_fast(uint32_t crc, const uint8_t *b, size_t len)
{
    for (; len >= (size_t)3 * LANE; len -= (size_t)3 * LANE, b += (size_t)3 * LANE) {
        uint32_t second = 0, third = 0;
        for (size_t i = 0; i < LANE; i += sizeof(uint64_t)) {
            crc = ADD_WORD(crc, word_at(b + i));
            second = ADD_WORD(second, word_at(b + LANE + i));
            third = ADD_WORD(third, word_at(b + (size_t)2 * LANE + i));
        }
        crc = move_over_lane(move_over_lane(crc) ^ second) ^ third;
    }
    for (; len >= sizeof(uint64_t); len -= sizeof(uint64_t), b += sizeof(uint64_t))
        crc = ADD_WORD(crc, word_at(b));
    while (len-- > 0)
        crc = ADD_BYTE(crc, *b++);
    return crc;
}

/* The CRC of two is that of one and that of the other, added: 32 of one bit make all. */
static void
make_over_lane(void)
{
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = 1u << bit;
        for (int i = 0; i < LANE; i++)
            crc = crc >> 8 ^ tables[0][crc & 255];
        for (int n = 0; n < 256; n++)
            if ((n >> bit % 8 & 1) != 0)
                over_lane[bit / 8][n] ^= crc;
    }
}

static void
make(void)
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
    has_instruction = FIND_INSTRUCTION();
    if (has_instruction)
        make_over_lane();
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
    must(pthread_once(&made, make) == 0);
    return ~add_by_tables(~before, bytes, len);
}

uint32_t
hash_crc32c_add(uint32_t before, const void *bytes, size_t len)
{
    must(pthread_once(&made, make) == 0);
    return ~(has_instruction ? add_fast(~before, bytes, len) : add_by_tables(~before, bytes, len));
}

uint32_t
hash_crc32c(const void *bytes, size_t len)
{
    return hash_crc32c_add(0, bytes, len);
}
