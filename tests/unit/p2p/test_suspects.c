/* Nodes that broke promises. */
#include "p2p/suspects.h"
#include "p2p/swarm.h"
#include "tests/unit/p2p/unit.h"

static void
each_time_it_is_believed_later_and_once_it_gave_something_at_once(void **state)
{
    (void)state;
    struct suspects s = {0};
    struct node_id one = unit_node(1), other = unit_node(2);
    assert_false(suspects_hold(&s, &one, 1000));
    suspects_add(&s, &one, 900, 1000);
    suspects_add(&s, &one, 900, 1100); /* of another blob, asked before */
    assert_int_equal(s.list[0].since_ms, 900);
    assert_true(suspects_hold(&s, &one, 1000 + SWARM_DOUBT_MS - 1));
    assert_false(suspects_hold(&s, &one, 1000 + SWARM_DOUBT_MS));
    assert_false(suspects_hold(&s, &other, 1000));
    suspects_add(&s, &one, 4000, 4000);
    assert_true(suspects_hold(&s, &one, 4000 + 2 * SWARM_DOUBT_MS - 1));
    assert_false(suspects_hold(&s, &one, 4000 + 2 * SWARM_DOUBT_MS));
    suspects_clear(&s, &other);
    suspects_clear(&s, &one);
    assert_int_equal(s.count, 0);
    suspects_add(&s, &one, 50000, 50000);
    assert_false(suspects_hold(&s, &one, 50000 + SWARM_DOUBT_MS));
}

static void
the_wait_has_a_limit(void **state)
{
    (void)state;
    struct suspects s = {0};
    struct node_id one = unit_node(1);
    int64_t now_ms = 0, most_ms = (int64_t)SWARM_DOUBT_MS << SWARM_DOUBTS_MAX;
    for (unsigned i = 0; i < 100; i++, now_ms += most_ms)
        suspects_add(&s, &one, now_ms, now_ms);
    now_ms -= most_ms;
    assert_true(suspects_hold(&s, &one, now_ms + most_ms - 1));
    assert_false(suspects_hold(&s, &one, now_ms + most_ms));
}

static void
a_full_table_forgets_the_one_that_is_asked_again_first(void **state)
{
    (void)state;
    struct suspects s = {0};
    for (int i = 0; i <= SUSPECTS_MAX; i++)
        suspects_add(&s, &(struct node_id){{1, (uint8_t)i}}, i, i);
    assert_int_equal(s.count, SUSPECTS_MAX);
    assert_false(suspects_hold(&s, &(struct node_id){{1, 0}}, 100));
    assert_true(suspects_hold(&s, &(struct node_id){{1, 1}}, 100));
    assert_true(suspects_hold(&s, &(struct node_id){{1, SUSPECTS_MAX}}, 100));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_time_it_is_believed_later_and_once_it_gave_something_at_once),
        cmocka_unit_test(the_wait_has_a_limit),
        cmocka_unit_test(a_full_table_forgets_the_one_that_is_asked_again_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
