/* The piece map: what is held, who may fetch what, and when a reader is stuck. */
#include "base/rng.h"
#include "cache/pieces.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#define KIB   1024ull
#define MIB   (1024 * KIB)
#define PIECE (256 * KIB)

static void
piece_size_follows_the_blob_size_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(pieces_piece_bytes(0), 256 * KIB);
    assert_int_equal(pieces_piece_bytes(64 * MIB), 256 * KIB);
    assert_int_equal(pieces_piece_bytes(64 * MIB + 1), 512 * KIB);
    assert_int_equal(pieces_piece_bytes(256 * MIB), 1 * MIB);
    assert_int_equal(pieces_piece_bytes(1024 * MIB), 4 * MIB);
    assert_int_equal(pieces_piece_bytes(UINT64_C(1) << 40), 4 * MIB);
}

static void
an_empty_blob_is_whole_and_has_no_gap(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(0);
    struct gap gap;
    assert_true(pieces_whole(p));
    assert_false(pieces_claim(p, 0, UINT64_MAX, &gap));
    assert_int_equal(pieces_run_end(p, 0), 0);
    pieces_free(p);
}

static void
one_claim_may_take_the_whole_rest(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(3 * PIECE + 5);
    struct gap gap, other;
    assert_true(pieces_claim(p, 0, UINT64_MAX, &gap));
    assert_int_equal(gap.start, 0);
    assert_int_equal(gap.end, 3 * PIECE + 5);
    assert_false(pieces_claim(p, 0, UINT64_MAX, &other));
    pieces_fill(p, 0, 3 * PIECE + 5);
    assert_true(pieces_whole(p));
    assert_int_equal(p->claims_count, 0);
    pieces_free(p);
}

static void
a_returned_claim_continues_at_the_byte_that_is_missing(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(4 * PIECE);
    struct gap gap;
    assert_true(pieces_claim(p, 0, UINT64_MAX, &gap));
    pieces_fill(p, 0, PIECE + 7);
    pieces_unclaim(p, gap.start);
    assert_int_equal(pieces_claim_end(p, gap.start), gap.start);
    assert_true(pieces_claim(p, 0, UINT64_MAX, &gap));
    assert_int_equal(gap.start, PIECE + 7);
    assert_int_equal(gap.end, 4 * PIECE);
    pieces_free(p);
}

static void
claims_never_share_a_piece(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(4 * PIECE);
    struct gap first, second;
    assert_true(pieces_claim(p, 0, 100, &first));
    assert_int_equal(first.end, 100);
    assert_true(pieces_claim(p, 0, 100, &second));
    assert_int_equal(second.start, PIECE);
    pieces_fill(p, 0, 100);
    assert_true(pieces_claim(p, 0, 100, &first));
    assert_int_equal(first.start, 100);
    pieces_free(p);
}

static void
runs_cross_pieces_and_end_at_the_first_hole(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(4 * PIECE);
    struct gap gap;
    assert_true(pieces_claim(p, 2 * PIECE, PIECE, &gap));
    pieces_fill(p, 2 * PIECE, PIECE);
    assert_true(pieces_claim(p, 0, PIECE + 9, &gap));
    pieces_fill(p, 0, PIECE + 9);
    assert_int_equal(pieces_run_end(p, 0), PIECE + 9);
    assert_int_equal(pieces_run_end(p, PIECE + 9), PIECE + 9);
    assert_int_equal(pieces_run_end(p, 2 * PIECE + 1), 3 * PIECE);
    assert_int_equal(pieces_run_end(p, 3 * PIECE), 3 * PIECE);
    assert_true(pieces_claim(p, 0, UINT64_MAX, &gap));
    assert_int_equal(gap.start, PIECE + 9);
    assert_int_equal(gap.end, 2 * PIECE);
    pieces_free(p);
}

static void
nothing_may_land_outside_a_claim(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(4 * PIECE);
    struct gap gap;
    assert_int_equal(pieces_room_end(p, 0), 0);
    assert_true(pieces_claim(p, 0, 2 * PIECE, &gap));
    assert_int_equal(pieces_room_end(p, 0), 2 * PIECE);
    assert_int_equal(pieces_room_end(p, 5), 5);
    pieces_fill(p, 0, 5);
    assert_int_equal(pieces_room_end(p, 5), 2 * PIECE);
    pieces_free(p);
}

static void
a_reader_is_stuck_where_no_claim_comes_soon(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(64 * PIECE);
    struct gap gap;
    assert_true(pieces_stuck(p, 0));
    assert_true(pieces_claim(p, 0, UINT64_MAX, &gap));
    assert_false(pieces_stuck(p, 0));
    assert_false(pieces_stuck(p, 3 * PIECE - 1));
    assert_true(pieces_stuck(p, 3 * PIECE));
    pieces_fill(p, 0, PIECE);
    assert_false(pieces_stuck(p, 3 * PIECE));
    assert_false(pieces_stuck(p, 0));
    assert_false(pieces_stuck(p, 64 * PIECE));
    pieces_free(p);
}

static void
a_cut_frees_the_piece_of_the_reader_and_all_behind(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(64 * PIECE);
    struct gap first, second;
    assert_true(pieces_claim(p, 0, UINT64_MAX, &first));
    pieces_cut(p, 40 * PIECE + 3);
    assert_int_equal(pieces_claim_end(p, first.start), 40 * PIECE);
    assert_true(pieces_claim(p, 40 * PIECE + 3, UINT64_MAX, &second));
    assert_int_equal(second.start, 40 * PIECE);
    assert_int_equal(second.end, 64 * PIECE);
    pieces_cut(p, 40 * PIECE);
    assert_int_equal(pieces_claim_end(p, second.start), 64 * PIECE);
    pieces_free(p);
}

static void
the_number_of_claims_is_bounded(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(200 * PIECE);
    struct gap gap;
    for (int i = 0; i < PIECES_CLAIMS_MAX; i++) {
        assert_true(pieces_claim(p, 0, PIECE, &gap));
    }
    assert_false(pieces_claim(p, 0, PIECE, &gap));
    pieces_free(p);
}

static void
a_restored_map_must_fit_its_pieces(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(2 * PIECE + 10);
    const uint32_t good[] = {PIECE, 0, 10};
    const uint32_t over[] = {PIECE, 0, 11};
    assert_int_equal(pieces_restore(p, over, 3), ERR_SYNTAX);
    assert_int_equal(pieces_restore(p, good, 2), ERR_SYNTAX);
    assert_int_equal(p->have_bytes, 0);
    assert_int_equal(pieces_restore(p, good, 3), 0);
    assert_int_equal(p->have_bytes, PIECE + 10);
    assert_int_equal(p->prefix, 1);
    assert_int_equal(pieces_run_end(p, 2 * PIECE), 2 * PIECE + 10);
    pieces_free(p);
}

/* Model: one byte per unit of 64 KiB. Random claims, fills and returns must agree with it. */
static void
a_claim_within_bounds_goes_on_where_a_piece_stopped(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(8 * PIECE);
    struct gap gap;
    assert_true(pieces_claim_in(p, 2 * PIECE, 4 * PIECE, &gap));
    assert_int_equal(gap.start, 2 * PIECE);
    assert_int_equal(gap.end, 4 * PIECE);
    pieces_fill(p, 2 * PIECE, PIECE + 9);
    assert_false(pieces_claim_in(p, 2 * PIECE, 4 * PIECE, &gap)); /* another has it */
    pieces_unclaim(p, 2 * PIECE);
    assert_true(pieces_claim_in(p, 0, 2 * PIECE, &gap));
    assert_true(pieces_claim_in(p, 2 * PIECE, 4 * PIECE, &gap));
    assert_int_equal(gap.start, 3 * PIECE + 9);
    assert_int_equal(gap.end, 4 * PIECE);
    pieces_fill(p, 3 * PIECE + 9, PIECE - 9);
    assert_false(pieces_claim_in(p, 2 * PIECE, 4 * PIECE, &gap)); /* nothing lacks */
    pieces_free(p);
}

static void
a_claim_within_bounds_ends_at_what_is_held(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(7 * PIECE + 5);
    struct gap gap;
    assert_true(pieces_claim_in(p, 3 * PIECE, 4 * PIECE, &gap));
    pieces_fill(p, 3 * PIECE, PIECE);
    assert_true(pieces_claim_in(p, 0, 7 * PIECE + 5, &gap));
    assert_int_equal(gap.start, 0);
    assert_int_equal(gap.end, 3 * PIECE);
    assert_true(pieces_claim_in(p, 0, 7 * PIECE + 5, &gap));
    assert_int_equal(gap.start, 4 * PIECE);
    assert_int_equal(gap.end, 7 * PIECE + 5);
    pieces_free(p);
}

static void
a_claim_may_end_within_a_piece(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(8 * PIECE);
    struct gap gap;
    assert_true(pieces_claim_in(p, 2 * PIECE, 2 * PIECE + 1024, &gap));
    assert_int_equal(gap.start, 2 * PIECE);
    assert_int_equal(gap.end, 2 * PIECE + 1024);
    pieces_fill(p, 2 * PIECE, 1024);
    assert_false(pieces_claim_in(p, 2 * PIECE, 2 * PIECE + 1024, &gap)); /* nothing lacks */
    assert_false(pieces_claim_in(p, 2 * PIECE, 2 * PIECE + 1000, &gap));
    assert_true(pieces_claim_in(p, 2 * PIECE, 3 * PIECE, &gap));
    assert_int_equal(gap.start, 2 * PIECE + 1024);
    assert_int_equal(gap.end, 3 * PIECE);
    pieces_free(p);
}

static void
a_claim_can_be_made_to_end_earlier(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(8 * PIECE);
    struct gap gap, behind;
    assert_true(pieces_claim_in(p, 0, 8 * PIECE, &gap));
    pieces_fill(p, 0, PIECE + 1);
    pieces_cut_claim(p, 0, 9 * PIECE);
    assert_int_equal(pieces_claim_end(p, 0), 8 * PIECE);
    pieces_cut_claim(p, 0, 3 * PIECE);
    assert_int_equal(pieces_claim_end(p, 0), 3 * PIECE);
    assert_true(pieces_claim_in(p, 3 * PIECE, 4 * PIECE, &behind));
    pieces_cut_claim(p, 0, PIECE);
    assert_int_equal(pieces_claim_end(p, 0), 0); /* it was past that: nothing is left */
    assert_int_equal(pieces_room_end(p, PIECE + 1), PIECE + 1);
    pieces_free(p);
}

static void
held_bits_name_whole_pieces_only(void **state)
{
    (void)state;
    struct pieces *p = pieces_new(9 * PIECE + 5);
    struct gap gap;
    uint8_t bits[2] = {0};
    assert_true(pieces_claim_in(p, PIECE, 3 * PIECE, &gap));
    pieces_fill(p, PIECE, 2 * PIECE - 1);
    assert_true(pieces_claim_in(p, 9 * PIECE, 9 * PIECE + 5, &gap));
    pieces_fill(p, 9 * PIECE, 5);
    pieces_held_bits(p, bits);
    assert_int_equal(bits[0], 1 << 1);
    assert_int_equal(bits[1], 1 << 1);
    pieces_free(p);
}

static void
random_use_agrees_with_a_plain_model(void **state)
{
    (void)state;
    enum { UNIT = 65536, UNITS = 67 };
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        char held[UNITS] = {0};
        struct pieces *p = pieces_new((uint64_t)UNITS * UNIT);
        struct gap gap;
        while (
            pieces_claim(p, rng_below(&rng, UNITS) * UNIT, (1 + rng_below(&rng, 9)) * UNIT, &gap) ||
            pieces_claim(p, 0, UINT64_MAX, &gap)) {
            uint64_t units = rng_below(&rng, (gap.end - gap.start) / UNIT + 1);
            for (uint64_t i = 0; i < units; i++) {
                uint64_t pos = gap.start + i * UNIT;
                assert_int_equal(held[pos / UNIT], 0);
                held[pos / UNIT] = 1;
                pieces_fill(p, pos, UNIT);
            }
            pieces_unclaim(p, gap.start);
            uint64_t have = 0;
            for (uint64_t i = 0; i < UNITS; i++) {
                have += held[i] ? UNIT : 0;
                assert_int_equal(pieces_run_end(p, i * UNIT) > i * UNIT, held[i]);
            }
            assert_int_equal(p->have_bytes, have);
        }
        assert_true(pieces_whole(p));
        pieces_free(p);
    }
}

/* Orders of a swarm, one after the other: from where a piece begins, to anywhere. */
static void
random_claims_within_bounds_agree_with_a_plain_model(void **state)
{
    (void)state;
    enum { UNIT = 65536, UNITS = 67, PER_PIECE = PIECE / UNIT };
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct rng rng;
        rng_init(&rng, seed);
        char held[UNITS + 1] = {0};
        struct pieces *p = pieces_new((uint64_t)UNITS * UNIT);
        while (!pieces_whole(p)) {
            struct gap gap;
            uint64_t from = rng_below(&rng, p->count) * PER_PIECE, first = from;
            uint64_t to = from + 1 + rng_below(&rng, UNITS - from);
            while (first < to && held[first])
                first++;
            bool found = pieces_claim_in(p, from * UNIT, to * UNIT, &gap);
            assert_int_equal(found, first < to);
            if (!found)
                continue;
            assert_int_equal(gap.start, first * UNIT);
            assert_in_range(gap.end, gap.start + 1, to * UNIT);
            uint64_t units = rng_below(&rng, (gap.end - gap.start) / UNIT + 1);
            for (uint64_t i = first; i < first + units; i++) {
                assert_int_equal(held[i], 0);
                held[i] = 1;
                pieces_fill(p, i * UNIT, UNIT);
            }
            pieces_unclaim(p, gap.start);
        }
        pieces_free(p);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(piece_size_follows_the_blob_size_within_bounds),
        cmocka_unit_test(an_empty_blob_is_whole_and_has_no_gap),
        cmocka_unit_test(one_claim_may_take_the_whole_rest),
        cmocka_unit_test(a_returned_claim_continues_at_the_byte_that_is_missing),
        cmocka_unit_test(claims_never_share_a_piece),
        cmocka_unit_test(runs_cross_pieces_and_end_at_the_first_hole),
        cmocka_unit_test(nothing_may_land_outside_a_claim),
        cmocka_unit_test(a_reader_is_stuck_where_no_claim_comes_soon),
        cmocka_unit_test(a_cut_frees_the_piece_of_the_reader_and_all_behind),
        cmocka_unit_test(the_number_of_claims_is_bounded),
        cmocka_unit_test(a_restored_map_must_fit_its_pieces),
        cmocka_unit_test(a_claim_within_bounds_goes_on_where_a_piece_stopped),
        cmocka_unit_test(a_claim_within_bounds_ends_at_what_is_held),
        cmocka_unit_test(a_claim_may_end_within_a_piece),
        cmocka_unit_test(a_claim_can_be_made_to_end_earlier),
        cmocka_unit_test(held_bits_name_whole_pieces_only),
        cmocka_unit_test(random_use_agrees_with_a_plain_model),
        cmocka_unit_test(random_claims_within_bounds_agree_with_a_plain_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
