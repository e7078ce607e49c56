#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/plan.h"

static void
actions_keep_their_order_and_their_bytes(void **state)
{
    (void)state;
    struct plan *p = mem_alloc(sizeof *p);
    plan_clear(p);
    struct member to = {.id = unit_node(4), .addr = {.port = 9}};
    struct wire_msg probe = {.type = WIRE_PROBE, .probe = {77}}, m;
    plan_record(p, PLAN_SHOUT, NULL, &probe);
    probe.probe.echo = 78;
    plan_record(p, PLAN_DATAGRAM, &to, &probe);
    assert_int_equal(p->count, 2);
    assert_int_equal(p->actions[0].kind, PLAN_SHOUT);
    assert_int_equal(p->actions[1].addr.port, 9);
    for (size_t i = 0; i < 2; i++) {
        struct cursor c;
        cursor_init(&c, p->bytes + p->actions[i].at, p->actions[i].len);
        assert_int_equal(wire_next(&c, &m), 1);
        assert_int_equal(m.probe.echo, 77 + i);
    }
    plan_clear(p);
    assert_int_equal(p->count, 0);
    mem_free(p);
}

static void
a_plan_says_when_it_is_full(void **state)
{
    (void)state;
    struct plan *p = mem_alloc(sizeof *p);
    plan_clear(p);
    for (unsigned i = 0; i < PLAN_ACTIONS_MAX; i++) {
        assert_false(plan_full(p));
        plan_add(p, PLAN_REPLY);
    }
    assert_true(plan_full(p));
    mem_free(p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_keep_their_order_and_their_bytes),
        cmocka_unit_test(a_plan_says_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
