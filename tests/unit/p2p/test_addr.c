#include "tests/unit/p2p/unit.h"

#include "p2p/addr.h"
#include <netinet/in.h>

static struct node_addr
parse(const char *text)
{
    struct node_addr a;
    assert_int_equal(addr_parse(text, &a), 0);
    return a;
}

static void
text_comes_back_as_it_was(void **state)
{
    (void)state;
    static const char *const texts[] = {"10.1.2.3:5002", "[fd00::1]:5002", "[::1]:1",
                                        "255.255.255.255:65535"};
    char text[ADDR_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct node_addr a = parse(texts[i]);
        addr_print(&a, text);
        assert_string_equal(text, texts[i]);
    }
}

static void
what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",          "10.1.2.3",       "10.1.2.3:",   "10.1.2:5",
                                        "host:5002", "10.1.2.3:65536", "fd00::1:502", "[10.1.2.3:5",
                                        "[fd00::1]", "10.1.2.3:-1",    ":5002"};
    struct node_addr a;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(addr_parse(texts[i], &a), ERR_SYNTAX);
}

static void
host_and_port_are_split(void **state)
{
    (void)state;
    char host[ADDR_HOST_MAX];
    uint16_t port;
    assert_int_equal(addr_split("seed.example:5002", host, &port), 0);
    assert_string_equal(host, "seed.example");
    assert_int_equal(port, 5002);
    assert_int_equal(addr_split("[fd00::1]:7", host, &port), 0);
    assert_string_equal(host, "fd00::1");
    assert_int_equal(addr_split(":0", host, &port), 0);
    assert_string_equal(host, "");
    assert_int_equal(addr_split("a:b:5", host, &port), ERR_SYNTAX);
    assert_int_equal(addr_split("a", host, &port), ERR_SYNTAX);
    char long_name[ADDR_HOST_MAX + 8];
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name + ADDR_HOST_MAX, ":5", 3);
    assert_int_equal(addr_split(long_name, host, &port), ERR_SYNTAX);
}

static void
ipv4_is_one_address_in_both_families(void **state)
{
    (void)state;
    struct node_addr a = parse("10.1.2.3:5002"), back;
    struct sockaddr_storage at;
    socklen_t len;
    assert_true(addr_to(&a, AF_INET, &at, &len));
    assert_int_equal(len, sizeof(struct sockaddr_in));
    assert_true(addr_of((struct sockaddr *)&at, &back));
    assert_true(addr_equal(&a, &back));
    assert_true(addr_to(&a, AF_INET6, &at, &len));
    assert_int_equal(len, sizeof(struct sockaddr_in6));
    assert_true(addr_of((struct sockaddr *)&at, &back));
    assert_true(addr_equal(&a, &back));
    struct node_addr six = parse("[fd00::1]:5002");
    assert_false(addr_to(&six, AF_INET, &at, &len));
}

static void
an_address_of_one_link_or_another_family_is_none(void **state)
{
    (void)state;
    struct node_addr a;
    struct sockaddr_in6 link = {.sin6_family = AF_INET6};
    link.sin6_addr.s6_addr[0] = 0xfe;
    link.sin6_addr.s6_addr[1] = 0x80;
    assert_false(addr_of((struct sockaddr *)&link, &a));
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(addr_of(&other, &a));
}

static void
only_what_one_node_can_have_is_usable(void **state)
{
    (void)state;
    static const char *const good[] = {"10.1.2.3:5002", "127.0.0.1:1", "[fd00::1]:5"};
    static const char *const bad[] = {"10.1.2.3:0",  "0.0.0.0:5", "224.0.0.1:5",
                                      "[ff15::1]:5", "[::]:5",    "255.255.255.255:5"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct node_addr a = parse(good[i]);
        assert_true(addr_is_usable(&a));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct node_addr a = parse(bad[i]);
        assert_false(addr_is_usable(&a));
    }
}

static void
a_network_is_what_the_mask_leaves(void **state)
{
    (void)state;
    struct node_addr a = parse("10.1.2.3:5"), b = parse("10.1.9.9:7"), c = parse("10.2.2.3:5");
    struct node_addr mask = parse("255.255.0.0:0"), six = parse("[fd00::1]:5");
    assert_true(addr_same_net(&a, &b, &mask));
    assert_false(addr_same_net(&a, &c, &mask));
    assert_false(addr_same_net(&a, &six, &mask));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back_as_it_was),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(host_and_port_are_split),
        cmocka_unit_test(ipv4_is_one_address_in_both_families),
        cmocka_unit_test(an_address_of_one_link_or_another_family_is_none),
        cmocka_unit_test(only_what_one_node_can_have_is_usable),
        cmocka_unit_test(a_network_is_what_the_mask_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
