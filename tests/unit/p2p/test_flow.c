#include "tests/unit/p2p/unit.h"

#include "p2p/flow.h"

static struct flows all;
static struct flow got[FLOWS_MAX];

static const struct flow *
of(uint8_t node, int64_t now_ms)
{
    struct node_id id = unit_node(node);
    size_t count = flow_list(&all, now_ms, got);
    for (size_t i = 0; i < count; i++)
        if (node_equal(&got[i].node, &id))
            return &got[i];
    never("no such flow");
}

static void
totals_grow_and_the_rate_is_that_of_the_last_second(void **state)
{
    (void)state;
    struct node_id id = unit_node(1);
    all = (struct flows){0};
    for (int64_t ms = 0; ms < 3000; ms += 100)
        flow_note(&all, &id, FLOW_IN, 1000, ms);
    assert_int_equal(of(1, 3000)->bytes[FLOW_IN], 30000);
    assert_int_equal(of(1, 3000)->rate[FLOW_IN], 10000);
    assert_int_equal(of(1, 3000)->rate[FLOW_OUT], 0);
    /* Silence is seen after a window. */
    assert_int_equal(of(1, 4000)->rate[FLOW_IN], 0);
    assert_int_equal(of(1, 4000)->bytes[FLOW_IN], 30000);
}

static void
both_ways_of_one_node_are_one_flow(void **state)
{
    (void)state;
    struct node_id id = unit_node(2);
    all = (struct flows){0};
    flow_note(&all, &id, FLOW_IN, 5, 0);
    flow_note(&all, &id, FLOW_OUT, 7, 1);
    assert_int_equal(flow_list(&all, 2, got), 1);
    assert_int_equal(got[0].bytes[FLOW_IN], 5);
    assert_int_equal(got[0].bytes[FLOW_OUT], 7);
}

static void
in_a_full_table_the_longest_silent_goes(void **state)
{
    (void)state;
    all = (struct flows){0};
    for (unsigned i = 0; i < FLOWS_MAX + 1; i++) {
        struct node_id id = {{(uint8_t)i, (uint8_t)(i >> 8), 1}};
        flow_note(&all, &id, FLOW_IN, 1, i == 0 ? 1000 : i); /* the first spoke last */
    }
    struct node_id first = {{0, 0, 1}}, second = {{1, 0, 1}};
    bool has_first = false, has_second = false;
    assert_int_equal(flow_list(&all, 1001, got), FLOWS_MAX);
    for (size_t i = 0; i < FLOWS_MAX; i++) {
        has_first = has_first || node_equal(&got[i].node, &first);
        has_second = has_second || node_equal(&got[i].node, &second);
    }
    assert_true(has_first);
    assert_false(has_second);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_grow_and_the_rate_is_that_of_the_last_second),
        cmocka_unit_test(both_ways_of_one_node_are_one_flow),
        cmocka_unit_test(in_a_full_table_the_longest_silent_goes),
    };
    return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
