#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "base/rng.h"
#include "p2p/member.h"

static struct members *
three(void)
{
    struct members *m = mem_zalloc(sizeof *m);
    member_init(m, 1);
    for (uint8_t i = 1; i <= 3; i++) {
        struct member said = {.id = unit_node(i), .site = 1, .priority = i == 1 ? 9 : 5, .seq = 1};
        assert_true(member_heard(m, &said, 100 * i));
    }
    return m;
}

static void
a_node_silent_for_three_seconds_is_buried(void **state)
{
    (void)state;
    struct members *m = three();
    struct node_id dead;
    assert_false(member_bury(m, 100 + MEMBER_DEAD_MS - 1, &dead));
    assert_true(member_bury(m, 200 + MEMBER_DEAD_MS, &dead));
    assert_int_equal(dead.bytes[0], 1);
    assert_true(member_bury(m, 200 + MEMBER_DEAD_MS, &dead));
    assert_int_equal(dead.bytes[0], 2);
    assert_false(member_bury(m, 200 + MEMBER_DEAD_MS, &dead));
    assert_int_equal(m->count, 1);
    mem_free(m);
}

/* In a large site all are said more seldom, and nobody is dead for that. */
static void
beacons_are_bounded_and_death_waits_for_them(void **state)
{
    (void)state;
    struct members *m = three();
    struct node_id dead;
    struct member said = {.site = 1, .seq = 1};
    assert_int_equal(member_beacon_ms(m), MEMBER_BEACON_MS);
    for (unsigned i = 0; i < 640; i++) {
        said.id = (struct node_id){{(uint8_t)i, (uint8_t)(i >> 8), 1}};
        said.every_ms = 10000;
        assert_true(member_heard(m, &said, 400));
    }
    assert_in_range(member_beacon_ms(m), 10000, 11000);
    for (unsigned i = 0; i < 3; i++)
        assert_true(member_bury(m, 20000, &dead));
    assert_false(member_bury(m, 30399, &dead));
    assert_true(member_bury(m, 30400, &dead));
    assert_int_equal(member_count(m, 1), 639);
    mem_free(m);
}

static void
a_node_of_another_site_is_not_counted_at_home(void **state)
{
    (void)state;
    struct members *m = three();
    struct member said = {.id = unit_node(2), .site = 7, .seq = 2};
    assert_int_equal(member_count(m, 1), 3);
    assert_true(member_heard(m, &said, 400)); /* it moved */
    assert_int_equal(member_count(m, 1), 2);
    member_move(m, 7);
    assert_int_equal(member_count(m, 7), 1);
    assert_int_equal(member_count(m, 1), 2);
    member_forget(m, &said.id);
    assert_int_equal(member_count(m, 7), 0);
    mem_free(m);
}

static void
an_older_word_of_a_node_is_not_taken(void **state)
{
    (void)state;
    struct members *m = three();
    struct node_id two = unit_node(2);
    struct member said = {.id = two, .site = 1, .priority = 7, .seq = 3};
    assert_true(member_heard(m, &said, 300));
    said.seq = 2;
    said.priority = 1;
    assert_false(member_heard(m, &said, 301));
    assert_int_equal(member_find(m, &two)->priority, 7);
    said.boot = 1;
    assert_true(member_heard(m, &said, 302));
    assert_int_equal(member_find(m, &two)->priority, 1);
    mem_free(m);
}

static void
rank_counts_the_better_nodes_of_the_site(void **state)
{
    (void)state;
    struct members *m = three();
    struct node_id self = unit_node(2), one = unit_node(1);
    assert_int_equal(member_rank(m, 1, 5, &self, &node_none), 3);
    assert_int_equal(member_rank(m, 1, 5, &self, &one), 2);
    assert_int_equal(member_rank(m, 1, 10, &self, &node_none), 1);
    assert_int_equal(member_rank(m, 2, 5, &self, &node_none), 1);
    assert_int_equal(member_best(m, 1)->id.bytes[0], 1);
    member_forget(m, &one);
    assert_int_equal(member_best(m, 1)->id.bytes[0], 3);
    assert_null(member_best(m, 2));
    mem_free(m);
}

/* The best one is kept; here it is looked for. */
static const struct member *
looked_for(const struct members *m, uint64_t site)
{
    const struct member *best = NULL;
    for (size_t i = 0; i < m->count; i++) {
        const struct member *o = &m->list[i];
        if (o->site == site && !member_shunned(m, &o->id) &&
            (best == NULL || member_better(o->priority, &o->id, best->priority, &best->id)))
            best = o;
    }
    return best;
}

static void
the_best_is_right_after_each_change(void **state)
{
    (void)state;
    struct members *m = mem_zalloc(sizeof *m);
    struct rng r;
    rng_init(&r, 1);
    member_init(m, 1);
    for (unsigned i = 0; i < 4000; i++) {
        struct member said = {.id = unit_node((uint8_t)(1 + rng_below(&r, 12))),
                              .site = 1 + (rng_below(&r, 8) == 0),
                              .priority = (uint32_t)rng_below(&r, 3),
                              .banned = i > 2000 && rng_below(&r, 4) == 0,
                              .seq = i + 1};
        if (rng_below(&r, 4) == 0)
            member_forget(m, &said.id);
        else
            assert_true(member_heard(m, &said, i));
        if (rng_below(&r, 50) == 0)
            member_move(m, 1 + rng_below(&r, 2));
        assert_ptr_equal(member_best(m, 1), looked_for(m, 1));
        assert_ptr_equal(member_best(m, 2), looked_for(m, 2));
    }
    mem_free(m);
}

static void
a_full_table_lets_nobody_in(void **state)
{
    (void)state;
    struct members *m = mem_zalloc(sizeof *m);
    struct member said = {.site = 1};
    for (unsigned i = 0; i < MEMBERS_MAX; i++) {
        said.id.bytes[0] = (uint8_t)i;
        said.id.bytes[1] = (uint8_t)(i >> 8);
        said.seq = i + 1;
        assert_true(member_heard(m, &said, 0));
    }
    said.id.bytes[2] = 1;
    assert_false(member_heard(m, &said, 0));
    mem_free(m);
}

static void
what_was_configured_outweighs_all_else(void **state)
{
    (void)state;
    assert_true(member_priority(1, false, 0, 1) >
                member_priority(0, true, MEMBER_STABLE_MS, 10000));
    assert_true(member_priority(0, true, 0, 1) > member_priority(0, false, MEMBER_STABLE_MS, 64));
    assert_true(member_priority(0, true, MEMBER_STABLE_MS, 1) > member_priority(0, true, 0, 64));
    assert_true(member_priority(0, true, 0, 8) > member_priority(0, true, 0, 4));
    assert_int_equal(member_priority(9999, true, 0, 4), member_priority(255, true, 0, 4));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_silent_for_three_seconds_is_buried),
        cmocka_unit_test(beacons_are_bounded_and_death_waits_for_them),
        cmocka_unit_test(a_node_of_another_site_is_not_counted_at_home),
        cmocka_unit_test(an_older_word_of_a_node_is_not_taken),
        cmocka_unit_test(rank_counts_the_better_nodes_of_the_site),
        cmocka_unit_test(the_best_is_right_after_each_change),
        cmocka_unit_test(a_full_table_lets_nobody_in),
        cmocka_unit_test(what_was_configured_outweighs_all_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
