/* Who may read what. */
#include "proxy/api/access.h"
#include "tests/unit/base/unit.h"

#define STALE_S 86400

static void
public_links_do_not_expire(void **state)
{
    (void)state;
    assert_int_equal(access_judge(AUTH_PUBLIC, false, 0, STALE_S), ACCESS_ASK);
    assert_int_equal(access_judge(AUTH_PUBLIC, true, 0, STALE_S), ACCESS_YES);
    assert_int_equal(access_judge(AUTH_PUBLIC, true, 1ll << 40, STALE_S), ACCESS_YES);
    assert_int_equal(access_judge(AUTH_PUBLIC, true, -100, STALE_S), ACCESS_YES);
}

static void
links_of_the_node_are_asked_again_and_outlive_an_outage(void **state)
{
    (void)state;
    assert_int_equal(access_judge(AUTH_NODE, false, 0, STALE_S), ACCESS_ASK);
    assert_int_equal(access_judge(AUTH_NODE, true, 300, STALE_S), ACCESS_YES);
    assert_int_equal(access_judge(AUTH_NODE, true, 301, STALE_S), ACCESS_ASK_ELSE_YES);
    assert_int_equal(access_judge(AUTH_NODE, true, STALE_S, STALE_S), ACCESS_ASK_ELSE_YES);
    assert_int_equal(access_judge(AUTH_NODE, true, STALE_S + 1, STALE_S), ACCESS_ASK);
    assert_int_equal(access_judge(AUTH_NODE, true, -1, STALE_S), ACCESS_ASK_ELSE_YES);
}

static void
grants_of_a_client_end_with_the_outage_rule_of_none(void **state)
{
    (void)state;
    assert_int_equal(access_judge(AUTH_PASS, true, 0, STALE_S), ACCESS_YES);
    assert_int_equal(access_judge(AUTH_PASS, true, 301, STALE_S), ACCESS_ASK);
    assert_int_equal(access_judge(AUTH_PASS, true, -1, STALE_S), ACCESS_ASK);
    assert_int_equal(access_judge(AUTH_PASS, false, 0, STALE_S), ACCESS_ASK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_links_do_not_expire),
        cmocka_unit_test(links_of_the_node_are_asked_again_and_outlive_an_outage),
        cmocka_unit_test(grants_of_a_client_end_with_the_outage_rule_of_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
