#include "tests/unit/p2p/unit.h"

#include "p2p/sites.h"

static void
an_answer_goes_to_all_who_wait_for_it_once(void **state)
{
    (void)state;
    struct sites s = {.count = 0};
    struct digest d = unit_blob(1), other = unit_blob(2);
    struct node_id one = unit_node(1), two = unit_node(2), found;
    assert_true(sites_wait(&s, &d, &one, 0)); /* only the first makes us ask */
    assert_false(sites_wait(&s, &d, &two, 0));
    assert_false(sites_wait(&s, &d, &one, 0));
    assert_false(sites_found(&s, &other, 10, &found));
    assert_true(sites_found(&s, &d, 10, &found));
    assert_true(sites_found(&s, &d, 10, &found));
    assert_false(sites_found(&s, &d, 10, &found));
}

static void
who_waited_too_long_is_not_answered(void **state)
{
    (void)state;
    struct sites s = {.count = 0};
    struct digest d = unit_blob(1);
    struct node_id one = unit_node(1), found;
    assert_true(sites_wait(&s, &d, &one, 0));
    assert_false(sites_found(&s, &d, SITES_ANSWER_MS, &found));
    assert_true(sites_wait(&s, &d, &one, SITES_ANSWER_MS));
}

static void
the_oldest_question_makes_room(void **state)
{
    (void)state;
    struct sites s = {.count = 0};
    struct node_id one = unit_node(1), found;
    for (unsigned i = 0; i <= SITES_ASKS_MAX; i++) {
        struct digest d = unit_blob((uint8_t)i);
        assert_true(sites_wait(&s, &d, &one, 0));
    }
    struct digest first = unit_blob(0), second = unit_blob(1);
    assert_false(sites_found(&s, &first, 1, &found));
    assert_true(sites_found(&s, &second, 1, &found));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_goes_to_all_who_wait_for_it_once),
        cmocka_unit_test(who_waited_too_long_is_not_answered),
        cmocka_unit_test(the_oldest_question_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
