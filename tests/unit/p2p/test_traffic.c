#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/step.h"

static struct plan plan;

/* What node n carries: n MB from the registry, and a flow from each of nine nodes. */
static void
carried(void *arg, struct traffic *ret)
{
    uint8_t n = *(uint8_t *)arg;
    *ret = (struct traffic){.upstream_bytes = n * 1000000u, .peer_rate = 7};
    for (uint8_t i = 0; i < TRAFFIC_FLOWS_MAX; i++)
        ret->flows[ret->flows_count++] = (struct traffic_flow){unit_node(i), i};
}

static struct step *
node(uint8_t *n, uint64_t site)
{
    struct step_config c = {.self = unit_node(*n),
                            .addr = {.port = *n},
                            .site = site,
                            .priority = *n,
                            .seed = *n,
                            .carried = carried,
                            .carried_arg = n};
    return step_new(&c, 0);
}

/* Gives the bodies of the last plan to the other one; how many there were. */
static size_t
carry(uint8_t from, struct step *to, int64_t now_ms, uint64_t *seq)
{
    struct plan *told = mem_alloc(sizeof *told);
    *told = plan;
    plan_clear(&plan);
    size_t count = told->count;
    for (size_t i = 0; i < count; i++) {
        struct step_from who = {unit_node(from), 1, ++*seq, false};
        const struct plan_action *a = &told->actions[i];
        assert_int_equal(step_datagram(to, now_ms, &who, told->bytes + a->at, a->len, &plan), 0);
    }
    mem_free(told);
    return count;
}

static uint8_t one = 1, two = 2;
static uint64_t seq_one, seq_two;

static void
meet(struct step *a, struct step *b)
{
    plan_clear(&plan);
    step_beacon(a, 0, &plan);
    (void)carry(one, b, 0, &seq_one);
    plan_clear(&plan);
    step_beacon(b, 0, &plan);
    (void)carry(two, a, 0, &seq_two);
    plan_clear(&plan);
}

static void
who_looks_asks_and_hears_at_the_next_look(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 1);
    struct node_id other = unit_node(2);
    int64_t age_ms;
    meet(a, b);
    assert_null(step_traffic(a, &other, 0, &age_ms));
    step_look_traffic(a, 0, &plan);
    assert_int_equal(carry(one, b, 10, &seq_one), 1);
    assert_int_equal(carry(two, a, 20, &seq_two), 1);
    const struct traffic *said = step_traffic(a, &other, 50, &age_ms);
    assert_non_null(said);
    assert_int_equal(age_ms, 30);
    assert_int_equal(said->upstream_bytes, 2000000);
    assert_int_equal(said->peer_rate, 7);
    assert_int_equal(said->flows_count, TRAFFIC_FLOWS_MAX);
    assert_int_equal(said->flows[3].rate, 3);
    assert_null(step_traffic(a, &other, 20 + TRAFFIC_STALE_MS + 1, &age_ms));
    step_free(a);
    step_free(b);
}

static void
looking_often_asks_seldom(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 1);
    meet(a, b);
    step_look_traffic(a, 0, &plan);
    step_look_traffic(a, TRAFFIC_ASK_MS - 1, &plan);
    assert_int_equal(plan.count, 1);
    step_look_traffic(a, TRAFFIC_ASK_MS, &plan);
    assert_int_equal(plan.count, 2);
    step_free(a);
    step_free(b);
}

static void
another_site_says_nothing(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 9);
    meet(a, b);
    step_look_traffic(a, 0, &plan);
    (void)carry(one, b, 10, &seq_one);
    assert_int_equal(plan.count, 0);
    step_free(a);
    step_free(b);
}

static void
alone_nobody_is_asked(void **state)
{
    (void)state;
    struct step *a = node(&one, 1);
    plan_clear(&plan);
    step_look_traffic(a, 0, &plan);
    assert_int_equal(plan.count, 0);
    step_free(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_looks_asks_and_hears_at_the_next_look),
        cmocka_unit_test(looking_often_asks_seldom),
        cmocka_unit_test(another_site_says_nothing),
        cmocka_unit_test(alone_nobody_is_asked),
    };
    return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}
