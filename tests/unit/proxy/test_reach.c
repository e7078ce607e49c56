#include "tests/unit/base/unit.h"

#include "proxy/upstream/peer.h"
#include "proxy/upstream/reach.h"

static const struct node_id one = {.bytes = {1}}, two = {.bytes = {2}};

/* Failures of both nodes in turn from then on, up to and with that time. */
static void
fail_both(struct reach *r, int64_t from_ms, int64_t to_ms)
{
    for (int64_t at = from_ms; at <= to_ms; at += 500)
        reach_failed(r, (at - from_ms) % 1000 == 0 ? &one : &two, at);
}

static void
failures_of_two_nodes_are_a_wall_where_nobody_ever_answered(void **state)
{
    (void)state;
    struct reach r = {0};
    assert_false(reach_look(&r, 5, 0));
    fail_both(&r, 1000, 2500);
    assert_false(reach_look(&r, 5, 2999));
    fail_both(&r, 3000, 3000);
    assert_true(reach_look(&r, 5, 3000));
    assert_false(reach_look(&r, 0, 3000));
}

static void
one_answer_makes_all_forgotten(void **state)
{
    (void)state;
    struct reach r = {0};
    fail_both(&r, 0, 5000);
    assert_true(reach_look(&r, 5, 5000));
    reach_answered(&r);
    assert_false(reach_look(&r, 5, 5000));
    fail_both(&r, 5500, 7000);
    assert_false(reach_look(&r, 5, 7000));
}

#define DEAD_MS 3000 /* the silence after which a node is not heard any more */

static void
a_lan_that_is_out_is_no_wall(void **state)
{
    (void)state;
    struct reach r = {0};
    reach_answered(&r);
    fail_both(&r, 1000, 1000 + DEAD_MS + PEER_HEAD_MS);
    assert_false(reach_look(&r, 5, r.last_ms));
    assert_false(reach_look(&r, 0, r.last_ms));
    fail_both(&r, 7000, 12500);
    assert_false(reach_look(&r, 5, 12500));
    fail_both(&r, 13000, 13000);
    assert_true(reach_look(&r, 5, 13000));
}

static void
one_dead_node_among_several_is_no_wall(void **state)
{
    (void)state;
    struct reach r = {0};
    for (int64_t at = 0; at < 10000; at += 100)
        reach_failed(&r, &one, at);
    assert_false(reach_look(&r, 2, 10000));
    assert_true(reach_look(&r, 1, 10000));
}

static void
after_a_while_it_is_tried_again_and_one_failure_is_enough(void **state)
{
    (void)state;
    struct reach r = {0};
    fail_both(&r, 0, 3000);
    assert_true(reach_look(&r, 5, 3000 + REACH_AGAIN_MS - 1));
    assert_false(reach_look(&r, 5, 3000 + REACH_AGAIN_MS));
    reach_failed(&r, &one, 40000);
    assert_true(reach_look(&r, 5, 40000));
    reach_failed(&r, &one, 40001 + REACH_OLD_MS);
    assert_false(reach_look(&r, 5, 40001 + REACH_OLD_MS));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_of_two_nodes_are_a_wall_where_nobody_ever_answered),
        cmocka_unit_test(a_lan_that_is_out_is_no_wall),
        cmocka_unit_test(one_answer_makes_all_forgotten),
        cmocka_unit_test(one_dead_node_among_several_is_no_wall),
        cmocka_unit_test(after_a_while_it_is_tried_again_and_one_failure_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
