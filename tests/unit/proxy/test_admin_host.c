#include "tests/unit/base/unit.h"

#include "proxy/admin_host.h"
#include <stdio.h>

static void
addresses_and_own_names_are_ours(void **state)
{
    (void)state;
    static const char *const ours[] = {
        "127.0.0.1:5001", "127.0.0.1",      "10.9.8.7:80",           "[::1]:5001",
        "[fe80::1]",      "localhost",      "edge-1.localhost:5001", "LocalHost:5001",
        "node.test",      "NODE.test:5001",
    };
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (!admin_host_is_ours(ours[i], "node.test:5001"))
            fail_msg("%s is ours", ours[i]);
}

static void
the_machine_is_ours_with_and_without_its_domain(void **state)
{
    (void)state;
    char own[300], text[320];
    assert_int_equal(gethostname(own, sizeof own), 0);
    assert_true(admin_host_is_ours(own, "127.0.0.1:5001"));
    (void)snprintf(text, sizeof text, "%s:5001", own);
    assert_true(admin_host_is_ours(text, "127.0.0.1:5001"));
}

static void
what_somebody_else_could_point_here_is_not(void **state)
{
    (void)state;
    static const char *const others[] = {
        "evil.example",
        "evil.example:5001",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        ":5001",
        "[::1",
        "evillocalhost",
        "1.2.3",
        ".localhost",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (admin_host_is_ours(others[i], "127.0.0.1:5001"))
            fail_msg("%s is not ours", others[i]);
    assert_false(admin_host_is_ours(NULL, "127.0.0.1:5001"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_and_own_names_are_ours),
        cmocka_unit_test(the_machine_is_ours_with_and_without_its_domain),
        cmocka_unit_test(what_somebody_else_could_point_here_is_not),
    };
    return cmocka_run_group_tests_name("admin_host", tests, NULL, NULL);
}
