/* Which connections are too slow. */
#include "base/clock.h"
#include "base/fs.h"
#include "proxy/http/conns.h"
#include "tests/unit/base/unit.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const struct conn_rules rules = {.header_ms = 10000,
                                        .idle_ms = 30000,
                                        .slow_ms = 30000,
                                        .slow_bytes = 30 * 1024,
                                        .still_ms = 60000,
                                        .mute_ms = 60000,
                                        .port = "test",
                                        .open = M_connections,
                                        .reaped = M_connections_reaped};

/* An idle connection had received 100 bytes. */
static bool
judge(struct conn_watch *w, enum conn_state state, int64_t at_ms, const struct conn_gauge *g,
      int64_t now_ms)
{
    struct conn_move move = {.state = state, .at_ms = at_ms, .received_bytes = 100};
    return conn_judge(&rules, w, &move, g, now_ms);
}

static void
a_header_has_ten_seconds(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {0};
    assert_true(judge(&w, CONN_HEADER, 1000, &g, 1000));
    assert_true(judge(&w, CONN_HEADER, 1000, &g, 10999));
    g.received_bytes = 500; /* dripping does not help */
    assert_false(judge(&w, CONN_HEADER, 1000, &g, 11000));
}

static void
an_idle_connection_has_thirty_seconds(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {.received_bytes = 100};
    assert_true(judge(&w, CONN_IDLE, 1000, &g, 1500));
    assert_true(judge(&w, CONN_IDLE, 1000, &g, 30999));
    assert_false(judge(&w, CONN_IDLE, 1000, &g, 31000));
}

static void
a_header_after_idling_has_ten_seconds_from_its_first_byte(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {.received_bytes = 100};
    assert_true(judge(&w, CONN_IDLE, 1000, &g, 1500));
    g.received_bytes = 101;
    assert_true(judge(&w, CONN_IDLE, 1000, &g, 25000));
    g.received_bytes = 102;
    assert_true(judge(&w, CONN_IDLE, 1000, &g, 34000));
    assert_false(judge(&w, CONN_IDLE, 1000, &g, 35000));
}

static void
a_header_that_begins_before_the_first_look_counts_too(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {.received_bytes = 101};
    assert_true(judge(&w, CONN_IDLE, 1000, &g, 1900));
    assert_true(judge(&w, CONN_IDLE, 1000, &g, 11000));
    assert_false(judge(&w, CONN_IDLE, 1000, &g, 11900));
}

static void
a_reader_under_one_kib_a_second_is_ended(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {.acked_bytes = 1000, .queued_bytes = 5000};
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 1000));
    g.acked_bytes += rules.slow_bytes - 1;
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 30999));
    assert_false(judge(&w, CONN_BUSY, 1000, &g, 31000));
}

static void
a_steady_reader_stays_for_ever(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {.queued_bytes = 5000};
    for (int64_t now = 1000; now < 10 * 60000; now += 1000) {
        assert_true(judge(&w, CONN_BUSY, 1000, &g, now));
        g.acked_bytes += 1100;
    }
    /* And is ended within two windows once it stops. */
    bool stays = true;
    for (int64_t now = 600000; now <= 660000; now += 1000)
        stays = stays && judge(&w, CONN_BUSY, 1000, &g, now);
    assert_false(stays);
}

static void
a_client_that_took_all_is_not_slow_when_upstream_is(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {.acked_bytes = 100, .queued_bytes = 0};
    for (int64_t now = 1000; now < 50000; now += 1000)
        assert_true(judge(&w, CONN_BUSY, 1000, &g, now));
    /* Its time starts when there is something to take. */
    g.queued_bytes = 10;
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 50000));
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 78000));
    assert_false(judge(&w, CONN_BUSY, 1000, &g, 80000));
}

static void
who_acknowledges_nothing_is_gone_and_who_takes_little_is_not(void **state)
{
    (void)state;
    struct conn_rules strict = rules;
    strict.still_ms = 4000;
    struct conn_watch w = {0};
    struct conn_move move = {.state = CONN_BUSY, .at_ms = 1000};
    struct conn_gauge g = {.acked_bytes = 100, .queued_bytes = 5000};
    for (int64_t now = 1000; now <= 28000; now += 3000) {
        g.acked_bytes++;
        assert_true(conn_judge(&strict, &w, &move, &g, now));
    }
    assert_true(conn_judge(&strict, &w, &move, &g, 30999));
    g.queued_bytes = 0; /* it has all; what is next comes when it comes */
    assert_true(conn_judge(&strict, &w, &move, &g, 34000));
    assert_true(conn_judge(&strict, &w, &move, &g, 60000));
    g.queued_bytes = 5000;
    assert_true(conn_judge(&strict, &w, &move, &g, 61000));
    assert_true(conn_judge(&strict, &w, &move, &g, 64999));
    assert_false(conn_judge(&strict, &w, &move, &g, 65000));
    /* What was not taken of the last answer does not count against the next one. */
    move.at_ms = 65000;
    assert_true(conn_judge(&strict, &w, &move, &g, 66000));
}

static void
an_answer_that_sends_nothing_for_a_minute_is_ended(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {.acked_bytes = 100, .queued_bytes = 0};
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 1000));
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 60999));
    assert_false(judge(&w, CONN_BUSY, 1000, &g, 61000));
    g.acked_bytes = 101; /* it moves again */
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 61000));
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 120999));
    assert_false(judge(&w, CONN_BUSY, 1000, &g, 121000));
}

static void
a_new_request_starts_a_new_window(void **state)
{
    (void)state;
    struct conn_watch w = {0};
    struct conn_gauge g = {.queued_bytes = 10};
    assert_true(judge(&w, CONN_BUSY, 1000, &g, 1000));
    assert_true(judge(&w, CONN_BUSY, 29000, &g, 31000));
    assert_false(judge(&w, CONN_BUSY, 29000, &g, 59000));
}

static struct sockaddr_storage
address(const char *text, uint16_t port)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        memcpy(&s, &v4, sizeof v4);
    else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
        memcpy(&s, &v6, sizeof v6);
    return s;
}

static void
addresses_are_compared_without_ports(void **state)
{
    (void)state;
    struct sockaddr_storage a = address("10.0.0.1", 1);
    struct sockaddr_storage b = address("10.0.0.1", 2);
    struct sockaddr_storage c = address("10.0.0.2", 1);
    struct sockaddr_storage d = address("fd00::1", 1);
    struct sockaddr_storage e = address("fd00::1", 2);
    struct sockaddr_storage f = address("fd00::2", 1);
    assert_true(conn_same_address(&a, &b));
    assert_false(conn_same_address(&a, &c));
    assert_false(conn_same_address(&a, &d));
    assert_true(conn_same_address(&d, &e));
    assert_false(conn_same_address(&d, &f));
}

static void
the_table_counts_and_tells_when_it_is_empty(void **state)
{
    (void)state;
    struct conns *t = conns_new(&rules);
    struct sockaddr_storage a = address("10.0.0.1", 1);
    struct sockaddr_storage b = address("10.0.0.2", 1);
    struct conn *x = conns_add(t, 1000, &a);
    struct conn *y = conns_add(t, 1001, &a);
    struct conn *z = conns_add(t, 1002, &b);
    unsigned same = 0;
    assert_int_equal(conns_count(t, &a, &same), 3);
    assert_int_equal(same, 2);
    assert_ptr_equal(conns_find(t, 1001), y);
    assert_null(conns_find(t, 999));
    assert_false(conns_wait_empty(t, clock_ms()));
    conns_remove(t, x);
    conns_remove(t, y);
    conns_remove(t, z);
    conns_remove(t, NULL);
    assert_true(conns_wait_empty(t, clock_ms()));
    conns_free(t);
}

/* libmicrohttpd may close an accepted connection and never say so. */
static void
what_never_got_its_thread_is_freed_at_the_end(void **state)
{
    (void)state;
    struct conns *t = conns_new(&rules);
    struct sockaddr_storage a = address("10.0.0.1", 1);
    assert_non_null(conns_add(t, 1000, &a));
    assert_non_null(conns_add(t, 1001, &a));
    conns_free(t);
}

static void
draining_ends_idle_connections_only(void **state)
{
    (void)state;
    int idle[2];
    int busy[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, idle), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, busy), 0);
    struct conns *t = conns_new(&rules);
    struct sockaddr_storage a = address("10.0.0.1", 1);
    struct conn *x = conns_add(t, idle[0], &a);
    struct conn *y = conns_add(t, busy[0], &a);
    conn_move(x, CONN_IDLE);
    conn_move(y, CONN_BUSY);
    conns_sweep(t, clock_ms(), true);
    char byte;
    assert_int_equal(recv(idle[1], &byte, 1, MSG_DONTWAIT), 0);
    assert_int_equal(recv(busy[1], &byte, 1, MSG_DONTWAIT), -1);
    conns_remove(t, x);
    conns_remove(t, y);
    conns_free(t);
}

static void
who_idles_longest_gives_way_and_only_as_many_as_wait(void **state)
{
    (void)state;
    int pair[3][2];
    struct conn *c[3];
    struct conns *t = conns_new(&rules);
    struct sockaddr_storage mine = address("10.0.0.1", 1);
    struct sockaddr_storage other = address("10.0.0.2", 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair[i]), 0);
        c[i] = conns_add(t, pair[i][0], i == 2 ? &other : &mine);
        conn_move(c[i], i == 0 ? CONN_BUSY : CONN_IDLE);
    }
    conns_give_way(t, &other, 1);
    conns_give_way(t, &other, 1); /* one leaves already */
    char byte;
    assert_int_equal(recv(pair[0][1], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(recv(pair[1][1], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(recv(pair[2][1], &byte, 1, MSG_DONTWAIT), 0);
    conns_give_way(t, NULL, 2);
    conns_give_way(t, NULL, 3); /* the one that is left is busy */
    assert_int_equal(recv(pair[0][1], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(recv(pair[1][1], &byte, 1, MSG_DONTWAIT), 0);
    for (int i = 0; i < 3; i++) {
        conns_remove(t, c[i]);
        fd_close(&pair[i][0]);
        fd_close(&pair[i][1]);
    }
    conns_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_ten_seconds),
        cmocka_unit_test(an_idle_connection_has_thirty_seconds),
        cmocka_unit_test(a_header_after_idling_has_ten_seconds_from_its_first_byte),
        cmocka_unit_test(a_header_that_begins_before_the_first_look_counts_too),
        cmocka_unit_test(a_reader_under_one_kib_a_second_is_ended),
        cmocka_unit_test(a_steady_reader_stays_for_ever),
        cmocka_unit_test(a_client_that_took_all_is_not_slow_when_upstream_is),
        cmocka_unit_test(who_acknowledges_nothing_is_gone_and_who_takes_little_is_not),
        cmocka_unit_test(an_answer_that_sends_nothing_for_a_minute_is_ended),
        cmocka_unit_test(a_new_request_starts_a_new_window),
        cmocka_unit_test(addresses_are_compared_without_ports),
        cmocka_unit_test(the_table_counts_and_tells_when_it_is_empty),
        cmocka_unit_test(what_never_got_its_thread_is_freed_at_the_end),
        cmocka_unit_test(draining_ends_idle_connections_only),
        cmocka_unit_test(who_idles_longest_gives_way_and_only_as_many_as_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
