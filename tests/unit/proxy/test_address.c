/* Addresses by kind, and what each rule lets through. */
#include "proxy/upstream/address.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
kinds_follow_the_special_purpose_registries(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        enum address_kind kind;
    } cases[] = {
        {"1.1.1.1", ADDRESS_PUBLIC},         {"9.255.255.255", ADDRESS_PUBLIC},
        {"11.0.0.0", ADDRESS_PUBLIC},        {"172.15.255.255", ADDRESS_PUBLIC},
        {"172.32.0.0", ADDRESS_PUBLIC},      {"2606:4700::1", ADDRESS_PUBLIC},
        {"10.0.0.0", ADDRESS_PRIVATE},       {"10.255.255.255", ADDRESS_PRIVATE},
        {"127.0.0.1", ADDRESS_PRIVATE},      {"172.16.0.1", ADDRESS_PRIVATE},
        {"172.31.255.255", ADDRESS_PRIVATE}, {"192.168.1.1", ADDRESS_PRIVATE},
        {"100.64.0.1", ADDRESS_PRIVATE},     {"::1", ADDRESS_PRIVATE},
        {"fd00::1", ADDRESS_PRIVATE},        {"169.254.169.254", ADDRESS_LINK_LOCAL},
        {"fe80::1", ADDRESS_LINK_LOCAL},     {"0.0.0.0", ADDRESS_SPECIAL},
        {"224.0.0.1", ADDRESS_SPECIAL},      {"255.255.255.255", ADDRESS_SPECIAL},
        {"192.0.2.1", ADDRESS_SPECIAL},      {"::", ADDRESS_SPECIAL},
        {"ff02::1", ADDRESS_SPECIAL},        {"2001:db8::1", ADDRESS_SPECIAL},
        {"nonsense", ADDRESS_SPECIAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (address_kind_text(cases[i].ip) != cases[i].kind)
            fail_msg("%s", cases[i].ip);
}

static void
ipv4_inside_ipv6_is_judged_as_ipv4(void **state)
{
    (void)state;
    assert_int_equal(address_kind_text("::ffff:127.0.0.1"), ADDRESS_PRIVATE);
    assert_int_equal(address_kind_text("::ffff:169.254.169.254"), ADDRESS_LINK_LOCAL);
    assert_int_equal(address_kind_text("64:ff9b::a9fe:a9fe"), ADDRESS_LINK_LOCAL);
    assert_int_equal(address_kind_text("2002:7f00:1::"), ADDRESS_PRIVATE);
    assert_int_equal(address_kind_text("::ffff:1.1.1.1"), ADDRESS_PUBLIC);
}

static void
rules_let_through_less_and_less(void **state)
{
    (void)state;
    assert_true(address_allowed(ADDRESS_LINK_LOCAL, ADDRESS_RULE_ANY));
    assert_true(address_allowed(ADDRESS_PRIVATE, ADDRESS_RULE_NEAR));
    assert_false(address_allowed(ADDRESS_LINK_LOCAL, ADDRESS_RULE_NEAR));
    assert_false(address_allowed(ADDRESS_SPECIAL, ADDRESS_RULE_NEAR));
    assert_false(address_allowed(ADDRESS_PRIVATE, ADDRESS_RULE_PUBLIC));
    assert_true(address_allowed(ADDRESS_PUBLIC, ADDRESS_RULE_PUBLIC));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_follow_the_special_purpose_registries),
        cmocka_unit_test(ipv4_inside_ipv6_is_judged_as_ipv4),
        cmocka_unit_test(rules_let_through_less_and_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
