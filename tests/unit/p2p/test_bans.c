/* Nodes that gave wrong bytes. */
#include "p2p/bans.h"
#include "tests/unit/p2p/unit.h"

static void
the_first_ban_ends_and_the_second_does_not(void **state)
{
    (void)state;
    struct bans b = {0};
    struct node_id liar = {{1}}, other = {{2}};
    int64_t until_ms = 0;
    assert_false(bans_hold(&b, &liar, 1000));
    assert_true(bans_add(&b, &liar, 1000, &until_ms));
    assert_int_equal(until_ms, 1000 + BAN_MS);
    assert_false(bans_add(&b, &liar, 2000, &until_ms));
    assert_true(bans_hold(&b, &liar, 1000 + BAN_MS - 1));
    assert_false(bans_hold(&b, &other, 2000));
    assert_false(bans_hold(&b, &liar, 1000 + BAN_MS));
    assert_true(bans_add(&b, &liar, 2000 + BAN_MS, &until_ms));
    assert_int_equal(until_ms, INT64_MAX);
    assert_true(bans_hold(&b, &liar, INT64_MAX - 1));
}

static void
a_full_table_forgets_the_one_that_ends_first(void **state)
{
    (void)state;
    struct bans b = {0};
    int64_t until_ms = 0;
    for (int i = 0; i <= BANS_MAX; i++)
        assert_true(bans_add(&b, &(struct node_id){{1, (uint8_t)i}}, i, &until_ms));
    assert_int_equal(b.count, BANS_MAX);
    assert_false(bans_hold(&b, &(struct node_id){{1, 0}}, 100));
    assert_true(bans_hold(&b, &(struct node_id){{1, 1}}, 100));
    assert_true(bans_hold(&b, &(struct node_id){{1, BANS_MAX}}, 100));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_ban_ends_and_the_second_does_not),
        cmocka_unit_test(a_full_table_forgets_the_one_that_ends_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
