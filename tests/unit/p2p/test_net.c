#include "tests/unit/p2p/unit.h"

#include "base/clock.h"
#include "base/text.h"
#include "p2p/net.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 5000

static struct net_heard heard;

static struct net *
net(const char *listen, bool multicast)
{
    struct net *n = NULL;
    struct err e;
    if (net_open(listen, multicast, &n, &e) < 0)
        fail_msg("%s", e.text);
    return n;
}

/* The next datagram into `heard`. */
static bool
hears(struct net *n, int wait_ms)
{
    struct pollfd polls[NET_FDS_MAX];
    int fds[NET_FDS_MAX];
    size_t count = net_fds(n, fds);
    for (size_t i = 0; i < count; i++)
        polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    if (net_next(n, &heard))
        return true;
    return poll(polls, count, wait_ms) > 0 && net_next(n, &heard);
}

static const uint8_t *
bytes(const char *text)
{
    return (const uint8_t *)text;
}

static void
a_datagram_arrives_with_the_address_of_its_sender(void **state)
{
    (void)state;
    struct net *a = net("127.0.0.1:0", false), *b = net("127.0.0.1:0", false);
    net_send(a, net_bound(b), bytes("hello"), 5);
    assert_true(hears(b, WAIT_MS));
    assert_int_equal(heard.len, 5);
    assert_memory_equal(heard.bytes, "hello", 5);
    assert_true(addr_equal(&heard.from, net_bound(a)));
    assert_false(heard.by_multicast);
    assert_false(net_next(b, &heard));
    net_close(a);
    net_close(b);
}

static void
nodes_of_both_families_reach_each_other(void **state)
{
    (void)state;
    struct net *four = net("127.0.0.1:0", false), *both = net("[::]:0", false);
    struct node_addr to;
    char text[ADDR_TEXT_MAX];
    assert_int_equal(text_printf(text, sizeof text, "127.0.0.1:%u", net_bound(both)->port), 0);
    assert_int_equal(addr_parse(text, &to), 0);
    net_send(four, &to, bytes("up"), 2);
    assert_true(hears(both, WAIT_MS));
    assert_true(addr_equal(&heard.from, net_bound(four))); /* IPv4, mapped */
    net_send(both, net_bound(four), bytes("down"), 4);
    assert_true(hears(four, WAIT_MS));
    net_close(four);
    net_close(both);
}

/* A port that is free now. */
static uint16_t
free_port(void)
{
    struct net *n = net("127.0.0.1:0", false);
    uint16_t port = net_bound(n)->port;
    net_close(n);
    return port;
}

static struct net *
net_at(const char *host, uint16_t port)
{
    char listen[ADDR_TEXT_MAX];
    assert_int_equal(text_printf(listen, sizeof listen, "%s:%u", host, port), 0);
    return net(listen, true);
}

/* qemu-user does not know the option that says out of which interface a shout goes. */
static bool
can_shout(void)
{
    struct ip_mreqn by = {.imr_ifindex = 0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool can =
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) == 0 || errno != ENOPROTOOPT;
    (void)close(fd);
    return can;
}

static void
a_shout_is_heard_by_all_and_known_as_one(void **state)
{
    (void)state;
    if (!can_shout())
        skip();
    uint16_t port = free_port();
    struct net *a = net_at("127.0.0.1", port), *b = net_at("127.0.0.2", port);
    net_shout(a, bytes("all"), 3);
    assert_true(hears(b, WAIT_MS));
    assert_true(heard.by_multicast);
    assert_memory_equal(heard.bytes, "all", 3);
    assert_true(hears(a, WAIT_MS)); /* the sender hears itself */
    net_rejoin(b);
    net_send(a, net_bound(b), bytes("one"), 3);
    assert_true(hears(b, WAIT_MS));
    assert_false(heard.by_multicast);
    net_shout(a, bytes("again"), 5);
    assert_true(hears(b, WAIT_MS)); /* joining twice took nothing away */
    net_close(a);
    net_close(b);
}

/* Do shouts of it come back to this machine? */
static bool
hears_itself(const struct net *n)
{
    int fds[NET_FDS_MAX], loops = -1;
    socklen_t len = sizeof loops;
    assert_true(net_fds(n, fds) > 0);
    assert_int_equal(getsockopt(fds[0], IPPROTO_IP, IP_MULTICAST_LOOP, &loops, &len), 0);
    return loops != 0;
}

static void
its_own_shouts_come_back_on_loopback_only(void **state)
{
    (void)state;
    if (!can_shout())
        skip();
    struct net *any = net_at("0.0.0.0", free_port()), *local = net_at("127.0.0.1", free_port());
    assert_false(hears_itself(any));
    assert_true(hears_itself(local));
    net_close(any);
    net_close(local);
}

static void
what_is_too_long_or_goes_nowhere_is_lost_without_harm(void **state)
{
    (void)state;
    struct net *a = net("127.0.0.1:0", false), *b = net("127.0.0.1:0", false);
    static uint8_t large[NET_BYTES_MAX + 1];
    struct node_addr nowhere = *net_bound(b), none = {.port = 0};
    nowhere.port = free_port();
    net_send(a, &nowhere, bytes("x"), 1); /* an ICMP answer comes back, which is not heard */
    net_send(a, &none, bytes("x"), 1);
    net_shout(a, bytes("x"), 1); /* no multicast was asked for */
    net_send(b, net_bound(a), large, sizeof large);
    net_send(b, net_bound(a), bytes("good"), 4);
    assert_true(hears(a, WAIT_MS));
    assert_int_equal(heard.len, 4);
    net_close(a);
    net_close(b);
}

static void
the_source_is_the_bound_host_or_one_that_others_can_reach(void **state)
{
    (void)state;
    struct net *one = net("127.0.0.1:0", false), *any = net("0.0.0.0:0", false);
    struct node_addr a = net_source(one), b = net_source(any);
    assert_true(addr_equal(&a, net_bound(one)));
    assert_true(addr_is_usable(&b));
    assert_int_equal(b.port, net_bound(any)->port);
    assert_true(net_is_wired(&a));
    net_close(one);
    net_close(any);
}

static void
what_cannot_be_bound_is_said(void **state)
{
    (void)state;
    struct net *n = NULL;
    struct err e = {0};
    assert_int_equal(net_open("5002", false, &n, &e), ERR_CONFIG);
    assert_string_equal(e.text, "p2p.listen: 5002: expected HOST:PORT");
    assert_true(net_open("192.0.2.1:5", false, &n, &e) < 0);
    assert_non_null(strstr(e.text, "p2p.listen: 192.0.2.1 port 5, UDP: "));
    assert_null(n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_arrives_with_the_address_of_its_sender),
        cmocka_unit_test(nodes_of_both_families_reach_each_other),
        cmocka_unit_test(a_shout_is_heard_by_all_and_known_as_one),
        cmocka_unit_test(its_own_shouts_come_back_on_loopback_only),
        cmocka_unit_test(what_is_too_long_or_goes_nowhere_is_lost_without_harm),
        cmocka_unit_test(the_source_is_the_bound_host_or_one_that_others_can_reach),
        cmocka_unit_test(what_cannot_be_bound_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
