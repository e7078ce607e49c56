/* Where bytes came from. */
#include "proxy/upstream/trail.h"
#include "tests/unit/base/unit.h"
#include <string.h>

#define PIECE (256u * 1024)
#define SIZE  (3u * PIECE + 1000)

static const struct node_id a = {{1}}, b = {{2}};
static const struct trail_giver registry = {NULL, true}, peer_a = {&a, false}, peer_b = {&b, false};
static uint8_t body[SIZE];

struct told {
    unsigned count;
    uint32_t piece;
    struct digest sum;
};

static void
tell(void *arg, uint32_t piece, const struct digest *sum)
{
    struct told *t = arg;
    t->count++;
    t->piece = piece;
    t->sum = *sum;
}

static void
a_piece_is_of_the_registry_of_a_node_or_of_many(void **state)
{
    (void)state;
    struct trail *t = trail_new(SIZE);
    struct trail_hand h = {0};
    struct node_id who = node_none;
    assert_int_equal(trail_pieces(t), 4);
    assert_int_equal(trail_of(t, 0, &who), TRAIL_NONE);
    trail_bytes(t, &h, registry, 0, body, PIECE);
    assert_int_equal(trail_of(t, 0, &who), TRAIL_REGISTRY);
    trail_bytes(t, &h, peer_a, PIECE, body, PIECE + 5); /* into the next one */
    assert_int_equal(trail_of(t, 1, &who), TRAIL_NODE);
    assert_true(node_equal(&who, &a));
    trail_bytes(t, &h, registry, 2 * PIECE + 5, body, 10);
    assert_int_equal(trail_of(t, 2, &who), TRAIL_NODE);
    trail_bytes(t, &h, peer_b, 2 * PIECE + 15, body, 10);
    assert_int_equal(trail_of(t, 2, &who), TRAIL_MANY);
    trail_bytes(t, &h, registry, 3 * PIECE, body, 10);
    trail_bytes(t, &h, peer_b, 3 * PIECE + 10, body, 990);
    assert_int_equal(trail_of(t, 3, &who), TRAIL_NODE);
    assert_true(node_equal(&who, &b));
    trail_forget(t, 3);
    assert_int_equal(trail_of(t, 3, &who), TRAIL_NONE);
    trail_free(t);
}

static void
more_nodes_than_are_counted_are_many(void **state)
{
    (void)state;
    struct trail *t = trail_new(SIZE);
    struct trail_hand h = {0};
    struct node_id who;
    for (unsigned i = 0; i < TRAIL_NODES_MAX; i++)
        trail_bytes(t, &h, (struct trail_giver){&(struct node_id){{9, (uint8_t)i}}, false}, 0, body,
                    1);
    trail_bytes(t, &h, peer_a, PIECE, body, 1);
    assert_int_equal(trail_of(t, 1, &who), TRAIL_MANY);
    trail_free(t);
}

/* Unasked words cost a bounded share of a processor, or none are made any more. */
static void
words_for_nobody_are_cheap(void **state)
{
    (void)state;
    static uint8_t bytes[256 * 1024];
    struct trail *t = trail_new(64u << 20);
    struct trail_hand h = {0};
    struct told told = {0};
    trail_on_whole(t, tell, &told);
    uint64_t at = 0;
    for (; at < TRAIL_UNASKED_BYTES; at += sizeof bytes)
        trail_bytes(t, &h, registry, at, bytes, sizeof bytes);
    assert_true(trail_is_cheap(t, 0));
    trail_bytes(t, &h, registry, at, bytes, sizeof bytes);
    assert_true(trail_is_cheap(t, 21)); /* 258 KiB more */
    for (at += sizeof bytes; at < 2 * TRAIL_UNASKED_BYTES; at += sizeof bytes)
        trail_bytes(t, &h, registry, at, bytes, sizeof bytes);
    assert_true(trail_is_cheap(t, 667));
    assert_false(trail_is_cheap(t, 666));
    assert_false(trail_is_cheap(t, 60000)); /* what was left out is not made up for */
    trail_put_down(&h);
    trail_free(t);
}

static void
whole_pieces_of_the_registry_are_hashed(void **state)
{
    (void)state;
    struct trail *t = trail_new(SIZE);
    struct trail_hand h = {0};
    struct told told = {0};
    struct digest want;
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (uint8_t)(i * 7 >> 3);
    trail_on_whole(t, tell, &told);
    for (size_t at = 0; at < SIZE; at += 1000) /* over all borders */
        trail_bytes(t, &h, registry, at, body + at, SIZE - at < 1000 ? SIZE - at : 1000);
    assert_int_equal(told.count, 4);
    assert_int_equal(told.piece, 3);
    digest_of(DIGEST_SHA256, body + 3 * PIECE, 1000, &want);
    assert_true(digest_equal(&told.sum, &want));
    trail_put_down(&h);
    trail_free(t);
}

static void
a_piece_of_which_a_part_is_anothers_is_not_hashed(void **state)
{
    (void)state;
    struct trail *t = trail_new(SIZE);
    struct trail_hand h = {0};
    struct told told = {0};
    trail_on_whole(t, tell, &told);
    trail_bytes(t, &h, registry, 5, body, PIECE - 5); /* not from its start */
    trail_bytes(t, &h, registry, PIECE, body, 10);
    trail_bytes(t, &h, registry, PIECE + 20, body, PIECE - 20); /* a hole */
    trail_bytes(t, &h, peer_a, 2 * PIECE, body, PIECE);         /* a node's */
    assert_int_equal(told.count, 0);
    trail_put_down(&h);
    trail_free(t);
}

static void
a_piece_that_nobody_listened_to_in_part_is_not_told(void **state)
{
    (void)state;
    struct trail *t = trail_new(SIZE);
    struct trail_hand h = {0};
    struct told told = {0};
    trail_on_whole(t, tell, &told);
    trail_bytes(t, &h, registry, 0, body, 100);
    trail_on_whole(t, NULL, NULL);
    trail_bytes(t, &h, registry, 100, body + 100, 100);
    trail_on_whole(t, tell, &told);
    trail_bytes(t, &h, registry, 200, body + 200, PIECE - 200);
    assert_int_equal(told.count, 0);
    trail_bytes(t, &h, registry, PIECE, body, PIECE);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.piece, 1);
    assert_int_equal(trail_of(t, 0, &(struct node_id){{0}}), TRAIL_REGISTRY);
    trail_put_down(&h);
    trail_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_is_of_the_registry_of_a_node_or_of_many),
        cmocka_unit_test(more_nodes_than_are_counted_are_many),
        cmocka_unit_test(words_for_nobody_are_cheap),
        cmocka_unit_test(whole_pieces_of_the_registry_are_hashed),
        cmocka_unit_test(a_piece_of_which_a_part_is_anothers_is_not_hashed),
        cmocka_unit_test(a_piece_that_nobody_listened_to_in_part_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
