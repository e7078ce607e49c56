#include "tests/unit/p2p/unit.h"

#include "p2p/slots.h"

static struct slots
full(unsigned max)
{
    struct slots s;
    unsigned wait_ms;
    slots_init(&s, max);
    for (unsigned i = 0; i < max; i++)
        assert_int_equal(slots_ask(&s, 100 + i, 0, SLOTS_FILL, &wait_ms), SLOTS_START);
    return s;
}

static void
requests_wait_when_all_slots_are_taken(void **state)
{
    (void)state;
    struct slots s = full(2);
    unsigned wait_ms = 0;
    uint64_t next = 0;
    assert_int_equal(slots_ask(&s, 1, 0, SLOTS_FILL, &wait_ms), SLOTS_WAIT);
    assert_in_range(wait_ms, 1, SLOTS_BUSY_MS);
    assert_true(slots_done(&s, 0, 5000, &next));
    assert_int_equal(next, 1);
    assert_false(slots_done(&s, 0, 5000, &next));
    assert_int_equal(s.running, 1);
}

static void
a_reader_goes_before_a_filler_and_first_come_before_later(void **state)
{
    (void)state;
    struct slots s = full(8);
    unsigned wait_ms;
    uint64_t next;
    assert_int_equal(slots_ask(&s, 1, 0, SLOTS_BACKGROUND, &wait_ms), SLOTS_WAIT);
    assert_int_equal(slots_ask(&s, 2, 0, SLOTS_FILL, &wait_ms), SLOTS_WAIT);
    assert_int_equal(slots_ask(&s, 3, 0, SLOTS_FILL, &wait_ms), SLOTS_WAIT);
    assert_int_equal(slots_ask(&s, 4, 0, SLOTS_CURSOR, &wait_ms), SLOTS_WAIT);
    const uint64_t expected[] = {4, 2, 3, 1};
    for (size_t i = 0; i < 4; i++) {
        assert_true(slots_done(&s, 0, 1000, &next));
        assert_int_equal(next, expected[i]);
    }
}

static void
a_long_wait_is_said_instead_of_waited(void **state)
{
    (void)state;
    struct slots s = full(1);
    unsigned wait_ms = 0;
    uint64_t next;
    for (unsigned i = 0; i < 100; i++) {
        (void)slots_done(&s, 0, 1000000, &next);
        (void)slots_ask(&s, i, 0, SLOTS_FILL, &wait_ms);
    }
    assert_int_equal(slots_ask(&s, 999, 0, SLOTS_FILL, &wait_ms), SLOTS_BUSY);
    assert_true(wait_ms > 500);
    assert_int_equal(s.waiting_count, 0);
}

static void
who_leaves_the_queue_does_not_get_a_turn(void **state)
{
    (void)state;
    struct slots s = full(4);
    unsigned wait_ms;
    uint64_t next;
    assert_int_equal(slots_ask(&s, 1, 0, SLOTS_FILL, &wait_ms), SLOTS_WAIT);
    assert_int_equal(slots_ask(&s, 2, 0, SLOTS_FILL, &wait_ms), SLOTS_WAIT);
    slots_leave(&s, 1);
    assert_true(slots_done(&s, 0, 1000, &next));
    assert_int_equal(next, 2);
    assert_false(slots_done(&s, 0, 1000, &next));
}

static void
one_node_leaves_slots_to_the_others(void **state)
{
    (void)state;
    struct slots s;
    unsigned wait_ms;
    uint64_t next, who = 0;
    slots_init(&s, 9);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(slots_ask(&s, who++, 1, SLOTS_CURSOR, &wait_ms), SLOTS_START);
    assert_int_equal(slots_ask(&s, who++, 1, SLOTS_CURSOR, &wait_ms), SLOTS_BUSY);
    assert_true(wait_ms >= SLOTS_BUSY_MS);
    for (unsigned i = 0; i < SLOTS_ENOUGH; i++)
        assert_int_equal(slots_ask(&s, who++, 2, SLOTS_FILL, &wait_ms), SLOTS_START);
    assert_int_equal(slots_ask(&s, who++, 2, SLOTS_FILL, &wait_ms), SLOTS_BUSY);
    assert_int_equal(slots_ask(&s, who++, 3, SLOTS_FILL, &wait_ms), SLOTS_START);
    assert_int_equal(slots_ask(&s, 77, 6, SLOTS_FILL, &wait_ms), SLOTS_WAIT);
    /* The turn is that node's, and its end frees its slot. */
    assert_true(slots_done(&s, 1, 1000, &next));
    assert_int_equal(next, 77);
    assert_false(slots_done(&s, 6, 1000, &next));
    assert_int_equal(slots_ask(&s, who++, 6, SLOTS_FILL, &wait_ms), SLOTS_START);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_wait_when_all_slots_are_taken),
        cmocka_unit_test(a_reader_goes_before_a_filler_and_first_come_before_later),
        cmocka_unit_test(a_long_wait_is_said_instead_of_waited),
        cmocka_unit_test(who_leaves_the_queue_does_not_get_a_turn),
        cmocka_unit_test(one_node_leaves_slots_to_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
