#include "tests/unit/p2p/unit.h"

#include "p2p/bits.h"
#include "p2p/pick.h"

#define PIECES 64u

static uint8_t held[8], asked[8], offered[8], left[8];
static uint16_t avail[PIECES];

static struct pick_pieces
pieces(void)
{
    memset(held, 0, sizeof held);
    memset(asked, 0, sizeof asked);
    memset(offered, 0xff, sizeof offered);
    memset(left, 0, sizeof left);
    for (unsigned i = 0; i < PIECES; i++)
        avail[i] = 3;
    return (struct pick_pieces){.pieces = PIECES,
                                .held = held,
                                .asked = asked,
                                .offered = offered,
                                .left = left,
                                .avail = avail};
}

static struct rng
seeded(void)
{
    struct rng r;
    rng_init(&r, 1);
    return r;
}

static void
the_rarest_piece_is_chosen(void **state)
{
    (void)state;
    struct pick_pieces p = pieces();
    struct rng r = seeded();
    avail[40] = 1;
    assert_int_equal(pick_piece(&p, &r), 40);
    bits_set(asked, 40);
    avail[41] = 2;
    assert_int_equal(pick_piece(&p, &r), 41);
    bits_set(held, 41);
    bits_clear(offered, 42);
    avail[42] = 1;
    assert_int_not_equal(pick_piece(&p, &r), 42);
}

static void
a_piece_that_is_left_to_another_node_is_taken_when_idle_or_stalled(void **state)
{
    (void)state;
    struct pick_pieces p = pieces();
    struct rng r = seeded();
    memset(left, 0xff, sizeof left);
    bits_clear(left, 9);
    assert_int_equal(pick_piece(&p, &r), 9);
    bits_set(asked, 9);
    assert_int_equal(pick_piece(&p, &r), -1);
    p.idle = true;
    assert_true(pick_piece(&p, &r) >= 0);
    p.idle = false;
    p.cursors_count = 1;
    p.cursors[0] = (struct pick_cursor){20, true};
    assert_int_equal(pick_piece(&p, &r), 20);
    bits_set(held, 20); /* what comes behind it is left to the other */
    assert_int_equal(pick_piece(&p, &r), -1);
}

static void
ties_are_broken_at_random(void **state)
{
    (void)state;
    struct pick_pieces p = pieces();
    struct rng r = seeded();
    uint64_t seen = 0;
    for (unsigned i = 0; i < 2000; i++)
        seen |= (uint64_t)1 << pick_piece(&p, &r);
    assert_true(seen == UINT64_MAX);
}

static void
a_reader_gets_half_of_the_choices_and_all_when_it_stands(void **state)
{
    (void)state;
    struct pick_pieces p = pieces();
    struct rng r = seeded();
    p.cursors_count = 1;
    p.cursors[0] = (struct pick_cursor){10, false};
    bits_set(held, 10);
    avail[50] = 1;
    unsigned ordered = 0;
    for (unsigned i = 0; i < 1000; i++) {
        int64_t piece = pick_piece(&p, &r);
        assert_true(piece == 11 || piece == 50);
        ordered += piece == 11;
    }
    assert_in_range(ordered, 400, 600);
    p.cursors[0].stalled = true;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(pick_piece(&p, &r), 11);
}

static void
nothing_is_chosen_where_nothing_is_offered(void **state)
{
    (void)state;
    struct pick_pieces p = pieces();
    struct rng r = seeded();
    memset(offered, 0, sizeof offered);
    assert_int_equal(pick_piece(&p, &r), -1);
}

static void
the_fastest_source_that_has_room_is_asked(void **state)
{
    (void)state;
    struct rank fast, slow;
    struct rng r = seeded();
    rank_init(&fast);
    rank_init(&slow);
    rank_good(&fast, 0, 1000000, 10000);
    rank_good(&slow, 0, 1000000, 100000);
    struct pick_source s[] = {{&slow, 0}, {&fast, 0}};
    assert_int_equal(pick_source(s, 2, 0, &r), 1);
    s[1] = (struct pick_source){&fast, PICK_PER_PEER};
    assert_int_equal(pick_source(s, 2, 0, &r), 0);
    rank_block(&slow, 100);
    assert_int_equal(pick_source(s, 2, 0, &r), -1);
    assert_int_equal(pick_source(s, 0, 0, &r), -1);
}

static void
of_sources_alike_each_is_asked(void **state)
{
    (void)state;
    struct rank alike[3];
    struct rng r = seeded();
    unsigned times[3] = {0};
    struct pick_source s[3];
    for (unsigned i = 0; i < 3; i++) {
        rank_init(&alike[i]);
        s[i] = (struct pick_source){&alike[i], 0};
    }
    for (unsigned i = 0; i < 300; i++)
        times[pick_source(s, 3, 0, &r)]++;
    for (unsigned i = 0; i < 3; i++)
        assert_in_range(times[i], 60, 140);
}

static void
owners_by_hash_are_the_same_everywhere_and_spread(void **state)
{
    (void)state;
    unsigned owned[4] = {0};
    for (uint32_t run = 0; run < 400; run++) {
        unsigned best = 0;
        uint64_t most = 0;
        for (uint8_t n = 0; n < 4; n++) {
            uint64_t weight = pick_weight("blob", 4, run, &n, 1);
            if (weight >= most) {
                most = weight;
                best = n;
            }
        }
        owned[best]++;
    }
    for (unsigned n = 0; n < 4; n++)
        assert_in_range(owned[n], 70, 130);
    assert_true(pick_weight("blob", 4, 1, "n", 1) == pick_weight("blob", 4, 1, "n", 1));
}

static void
neighbours_are_mutual_and_about_as_many_in_any_large_swarm(void **state)
{
    (void)state;
    for (size_t nodes = 100; nodes <= 1000; nodes += 300) {
        size_t pairs = 0;
        for (uint32_t i = 0; i < nodes; i++)
            for (uint32_t k = 0; k < i; k++) {
                struct node_id a = {{(uint8_t)i, (uint8_t)(i >> 8)}};
                struct node_id b = {{(uint8_t)k, (uint8_t)(k >> 8)}};
                bool near = pick_near(pick_hash(&a), pick_hash(&b), nodes - 1);
                assert_true(near == pick_near(pick_hash(&b), pick_hash(&a), nodes - 1));
                pairs += near;
            }
        assert_in_range(2 * pairs / nodes, PICK_NEAR * 9 / 10, PICK_NEAR * 11 / 10);
    }
    assert_true(pick_near(1, UINT64_MAX, PICK_NEAR));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rarest_piece_is_chosen),
        cmocka_unit_test(a_piece_that_is_left_to_another_node_is_taken_when_idle_or_stalled),
        cmocka_unit_test(ties_are_broken_at_random),
        cmocka_unit_test(a_reader_gets_half_of_the_choices_and_all_when_it_stands),
        cmocka_unit_test(nothing_is_chosen_where_nothing_is_offered),
        cmocka_unit_test(the_fastest_source_that_has_room_is_asked),
        cmocka_unit_test(of_sources_alike_each_is_asked),
        cmocka_unit_test(neighbours_are_mutual_and_about_as_many_in_any_large_swarm),
        cmocka_unit_test(owners_by_hash_are_the_same_everywhere_and_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
