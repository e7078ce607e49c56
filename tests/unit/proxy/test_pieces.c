/* Cache and swarm know nothing of each other and must cut a blob in the same way. */
#include "base/rng.h"
#include "cache/pieces.h"
#include "p2p/piece.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

static void
agree(uint64_t size)
{
    assert_int_equal(pieces_piece_bytes(size), piece_bytes(size));
    struct pieces *p = pieces_new(size);
    assert_int_equal(p->count, piece_count(size));
    pieces_free(p);
}

static void
cache_and_swarm_cut_a_blob_in_the_same_way(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 1);
    agree(1);
    for (uint64_t size = 64; size < PIECE_BLOB_MAX; size *= 2)
        for (uint64_t by = 0; by < 3; by++)
            agree(size + by - 1);
    for (int i = 0; i < 2000; i++)
        agree(1 + rng_below(&rng, UINT64_C(1) << (10 + i % 24)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_and_swarm_cut_a_blob_in_the_same_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
