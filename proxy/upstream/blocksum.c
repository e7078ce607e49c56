/* CRC32C of one block after the other. */
#include "proxy/upstream/blocksum.h"
#include "base/hash.h"

#define HEX_DIGITS 8

static int
parse_sum(const char *text, uint32_t *ret)
{
    uint32_t sum = 0;
    for (int i = 0; i < HEX_DIGITS; i++) {
        char c = text[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && (c < 'a' || c > 'f'))
            return ERR_SYNTAX;
        sum = sum << 4 | (uint32_t)(digit ? c - '0' : c - 'a' + 10);
    }
    *ret = sum;
    return 0;
}

int
blocksum_parse(const char *text, uint64_t len, struct blocksum *ret)
{
    uint64_t count = (len + PIECE_BLOCK_BYTES - 1) / PIECE_BLOCK_BYTES;
    struct blocksum b = {.len = len, .count = (uint32_t)count};
    if (len == 0 || len > PIECE_BYTES_MAX || strlen(text) != count * HEX_DIGITS)
        return ERR_SYNTAX;
    for (uint32_t i = 0; i < b.count; i++)
        if (parse_sum(text + (size_t)i * HEX_DIGITS, &b.blocks[i]) != 0)
            return ERR_SYNTAX;
    *ret = b;
    return 0;
}

int
blocksum_add(struct blocksum *b, const void *bytes, size_t len, uint64_t *ret_good)
{
    const uint8_t *from = bytes;
    if (len > b->len - b->at)
        return ERR_LIMIT;
    while (len > 0) {
        uint64_t block = b->at / PIECE_BLOCK_BYTES;
        uint64_t end = (block + 1) * PIECE_BLOCK_BYTES;
        uint64_t left = (end < b->len ? end : b->len) - b->at;
        size_t take = len < left ? len : (size_t)left;
        b->sum = hash_crc32c_add(b->sum, from, take);
        b->at += take;
        from += take;
        len -= take;
        if (take < left)
            break;
        if (b->sum != b->blocks[block])
            return ERR_DIGEST;
        b->sum = 0;
    }
    *ret_good = b->at == b->len ? b->len : b->at / PIECE_BLOCK_BYTES * PIECE_BLOCK_BYTES;
    return 0;
}
