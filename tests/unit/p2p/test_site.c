#include "tests/unit/p2p/unit.h"

#include "p2p/addr.h"
#include "p2p/site.h"
#include <arpa/inet.h>

static const char routes[] =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth1\t00000000\t0102A8C0\t0003\t0\t0\t200\t00000000\t0\t0\t0\n"
    "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";

static const char arp[] =
    "IP address       HW type     Flags       HW address            Mask     Device\n"
    "192.168.1.9      0x1         0x2         02:00:00:00:00:09     *        eth0\n"
    "192.168.1.1      0x1         0x2         02:00:00:00:00:77     *        eth1\n"
    "192.168.1.1      0x1         0x2         00:16:3e:aa:bb:01     *        eth0\n"
    "192.168.1.7      0x1         0x0         00:00:00:00:00:00     *        eth0\n";

static uint32_t
ip(const char *text)
{
    struct in_addr a;
    assert_int_equal(inet_pton(AF_INET, text, &a), 1);
    return a.s_addr;
}

static void
the_gateway_is_that_of_the_best_default_route(void **state)
{
    (void)state;
    uint32_t gateway;
    char dev[16];
    assert_true(site_read_route(routes, &gateway, dev));
    assert_string_equal(dev, "eth0");
    assert_int_equal(gateway, ip("192.168.1.1"));
}

static void
without_a_default_route_there_is_no_gateway(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "Iface\tDestination\n", "eth0\t0001A8C0\t0101A8C0\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
        "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"};
    uint32_t gateway;
    char dev[16];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(site_read_route(texts[i], &gateway, dev));
}

static void
a_mac_is_that_of_the_address_on_its_interface(void **state)
{
    (void)state;
    static const uint8_t right[6] = {0x00, 0x16, 0x3e, 0xaa, 0xbb, 0x01};
    uint8_t mac[6];
    assert_true(site_read_arp(arp, ip("192.168.1.1"), "eth0", mac));
    assert_memory_equal(mac, right, sizeof right);
    assert_false(site_read_arp(arp, ip("192.168.1.7"), "eth0", mac)); /* asked, not answered */
    assert_false(site_read_arp(arp, ip("192.168.1.8"), "eth0", mac));
    assert_false(site_read_arp("", ip("192.168.1.1"), "eth0", mac));
}

static struct site
site_at(const char *name, const char *addr)
{
    struct site s;
    struct node_addr a;
    assert_int_equal(addr_parse(addr, &a), 0);
    site_open(name, &a, &s);
    return s;
}

static void
a_configured_site_is_its_name(void **state)
{
    (void)state;
    struct site a = site_at("berlin", "127.0.0.1:5"), b = site_at("berlin", "127.0.0.9:6");
    struct site c = site_at("bonn", "127.0.0.1:5");
    assert_true(a.id == b.id);
    assert_true(a.id != c.id);
    assert_true((a.id & SITE_AUTO) == 0);
    assert_string_equal(a.name, "berlin");
    assert_string_equal(a.from, "configuration");
}

static void
nodes_of_one_network_without_gateway_are_one_site(void **state)
{
    (void)state;
    struct site a = site_at("auto", "127.0.0.1:5"), b = site_at("auto", "127.7.0.9:6");
    assert_true(a.id == b.id);
    assert_true((a.id & SITE_AUTO) != 0);
    assert_string_equal(a.from, "network");
    assert_string_equal(a.name, b.name);
}

static void
who_hears_a_smaller_site_by_multicast_is_in_it(void **state)
{
    (void)state;
    struct site a = site_at("auto", "127.0.0.1:5"), named = site_at("bonn", "127.0.0.1:5");
    assert_false(site_heard(&a, a.id));
    assert_false(site_heard(&a, UINT64_MAX));
    assert_true(site_heard(&a, SITE_AUTO | 5));
    assert_true(a.id == (SITE_AUTO | 5));
    assert_string_equal(a.name, "auto-000000000005");
    assert_string_equal(a.from, "multicast");
    assert_true(site_heard(&a, named.id)); /* a name rules */
    assert_false(site_heard(&named, 0));   /* and is ruled by none */
}

static void
a_gateway_rules_a_network(void **state)
{
    (void)state;
    struct site network = site_at("auto", "127.0.0.1:5");
    struct site gateway = {.id = SITE_AUTO | 9, .from = "gateway"};
    assert_true((network.id & SITE_NETWORK) != 0);
    assert_false(site_heard(&gateway, SITE_AUTO | SITE_NETWORK | 1));
    assert_true(site_heard(&network, gateway.id));
}

static void
a_node_that_got_its_network_late_is_in_the_site_of_that(void **state)
{
    (void)state;
    struct site s = site_at("auto", "127.0.0.1:5"), named = site_at("bonn", "127.0.0.1:5");
    struct node_addr here, there;
    assert_int_equal(addr_parse("127.0.0.1:5", &here), 0);
    assert_int_equal(addr_parse("198.51.100.7:5", &there), 0);
    uint64_t before = s.id;
    assert_false(site_again(&s, &here));
    bool changed = false;
    for (unsigned i = 0; i <= SITE_TRIES && !changed; i++)
        changed = site_again(&s, &there);
    assert_true(changed);
    assert_true(s.id != before);
    assert_false(site_again(&named, &there));
}

static void
another_site_has_a_name_for_people(void **state)
{
    (void)state;
    struct site a = site_at("bonn", "127.0.0.1:5");
    char name[SITE_NAME_MAX];
    site_print(&a, a.id, name);
    assert_string_equal(name, "bonn");
    site_print(&a, SITE_AUTO | 0xabc, name);
    assert_string_equal(name, "auto-000000000abc");
    site_print(&a, 0xabc, name);
    assert_string_equal(name, "named-000000000abc");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gateway_is_that_of_the_best_default_route),
        cmocka_unit_test(without_a_default_route_there_is_no_gateway),
        cmocka_unit_test(a_mac_is_that_of_the_address_on_its_interface),
        cmocka_unit_test(a_configured_site_is_its_name),
        cmocka_unit_test(nodes_of_one_network_without_gateway_are_one_site),
        cmocka_unit_test(who_hears_a_smaller_site_by_multicast_is_in_it),
        cmocka_unit_test(a_gateway_rules_a_network),
        cmocka_unit_test(a_node_that_got_its_network_late_is_in_the_site_of_that),
        cmocka_unit_test(another_site_has_a_name_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
