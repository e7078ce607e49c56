/* Checksums of a body from another node, block by block. */
#include "base/hash.h"
#include "proxy/upstream/blocksum.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#define LEN (2 * PIECE_BLOCK_BYTES + 1000)

static uint8_t body[LEN];

static void
sums_of(uint8_t *bytes, char ret[25])
{
    for (size_t i = 0; i < LEN; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    for (unsigned i = 0; i < 3; i++)
        (void)snprintf(
            ret + (size_t)i * 8, 9, "%08x",
            hash_crc32c(bytes + (size_t)i * PIECE_BLOCK_BYTES, i < 2 ? PIECE_BLOCK_BYTES : 1000));
}

static void
bytes_are_good_when_their_block_is_whole(void **state)
{
    (void)state;
    char sums[25];
    struct blocksum b;
    uint64_t good = 9;
    sums_of(body, sums);
    assert_int_equal(blocksum_parse(sums, LEN, &b), 0);
    assert_int_equal(blocksum_add(&b, body, PIECE_BLOCK_BYTES - 1, &good), 0);
    assert_int_equal(good, 0);
    assert_int_equal(blocksum_add(&b, body + PIECE_BLOCK_BYTES - 1, PIECE_BLOCK_BYTES, &good), 0);
    assert_int_equal(good, PIECE_BLOCK_BYTES);
    assert_int_equal(blocksum_add(&b, body + 2 * PIECE_BLOCK_BYTES - 1, 1000, &good), 0);
    assert_int_equal(good, 2 * PIECE_BLOCK_BYTES);
    assert_int_equal(blocksum_add(&b, body + LEN - 1, 1, &good), 0);
    assert_int_equal(good, LEN);
    assert_int_equal(blocksum_add(&b, body, 1, &good), ERR_LIMIT);
}

static void
a_wrong_bit_is_found_at_the_end_of_its_block(void **state)
{
    (void)state;
    char sums[25];
    struct blocksum b;
    uint64_t good = 0;
    sums_of(body, sums);
    assert_int_equal(blocksum_parse(sums, LEN, &b), 0);
    body[PIECE_BLOCK_BYTES + 5] ^= 4;
    assert_int_equal(blocksum_add(&b, body, 2 * PIECE_BLOCK_BYTES - 1, &good), 0);
    assert_int_equal(good, PIECE_BLOCK_BYTES);
    assert_int_equal(blocksum_add(&b, body + 2 * PIECE_BLOCK_BYTES - 1, 1, &good), ERR_DIGEST);
}

static void
there_is_one_checksum_for_each_block(void **state)
{
    (void)state;
    struct blocksum b;
    char many[PIECE_BLOCKS_MAX * 8 + 9];
    memset(many, 'a', sizeof many - 1);
    many[sizeof many - 1] = '\0';
    assert_int_equal(blocksum_parse(many, PIECE_BYTES_MAX + 1, &b), ERR_SYNTAX);
    assert_int_equal(blocksum_parse(many + 8, PIECE_BYTES_MAX, &b), 0);
    assert_int_equal(blocksum_parse("", 0, &b), ERR_SYNTAX);
    assert_int_equal(blocksum_parse("", 5, &b), ERR_SYNTAX);
    assert_int_equal(blocksum_parse("0123abc", 5, &b), ERR_SYNTAX);
    assert_int_equal(blocksum_parse("0123ABCD", 5, &b), ERR_SYNTAX);
    assert_int_equal(blocksum_parse("0123abcd0", 5, &b), ERR_SYNTAX);
    assert_int_equal(blocksum_parse("0123abcd", 5, &b), 0);
    assert_int_equal(b.blocks[0], 0x0123abcd);
    assert_int_equal(blocksum_parse("0123abcd", UINT64_MAX, &b), ERR_SYNTAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_good_when_their_block_is_whole),
        cmocka_unit_test(a_wrong_bit_is_found_at_the_end_of_its_block),
        cmocka_unit_test(there_is_one_checksum_for_each_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
