/* Listening sockets. */
#include "base/fs.h"
#include "proxy/api/server.h"
#include "tests/unit/base/unit.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
both_families_listen_on_a_free_port(void **state)
{
    (void)state;
    static const char *const addresses[] = {"127.0.0.1:0", "[::1]:0", ":0"};
    static const char *const hosts[] = {"127.0.0.1:", "[::1]:", ":"};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        AUTO(fd_close) int fd = -1;
        char text[SERVER_ADDRESS_MAX];
        struct err e = {0};
        if (server_listen(addresses[i], &fd, &e) < 0)
            fail_msg("%s", e.text);
        assert_int_equal(server_address(fd, text), 0);
        assert_non_null(strstr(text, hosts[i]));
        assert_string_not_equal(strrchr(text, ':'), ":0");
    }
}

static void
all_addresses_are_those_of_both_families(void **state)
{
    (void)state;
    AUTO(fd_close) int fd = -1;
    AUTO(fd_close) int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[SERVER_ADDRESS_MAX];
    struct err e = {0};
    assert_int_equal(server_listen(":0", &fd, &e), 0);
    assert_int_equal(server_address(fd, text), 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtoul(strrchr(text, ':') + 1, NULL, 10)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof to), 0);
}

static void
a_taken_port_is_named_in_the_error(void **state)
{
    (void)state;
    AUTO(fd_close) int fd = -1;
    AUTO(fd_close) int second = -1;
    char text[SERVER_ADDRESS_MAX];
    struct err e = {0};
    assert_int_equal(server_listen("127.0.0.1:0", &fd, &e), 0);
    assert_int_equal(server_address(fd, text), 0);
    assert_int_equal(server_listen(text, &second, &e), -EADDRINUSE);
    assert_non_null(strstr(e.text, text));
    assert_int_equal(second, -1);
}

static void
what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "5000", "a:", "a:x", "a:70000", "a:-1", "a:123456789"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int fd = -1;
        struct err e = {0};
        assert_true(server_listen(bad[i], &fd, &e) < 0);
        assert_int_equal(fd, -1);
    }
}

static void
a_socket_that_was_not_passed_is_not_found(void **state)
{
    (void)state;
    int fd = -1;
    assert_true(server_passed(&fd) < 0);
    assert_int_equal(setenv("LISTEN_PID", "1", 1), 0);
    assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
    assert_true(server_passed(&fd) < 0);
    assert_null(getenv("LISTEN_FDS"));
    assert_int_equal(fd, -1);
}

static void
a_passed_socket_is_taken_once(void **state)
{
    (void)state;
    AUTO(fd_close) int made = -1;
    struct err e = {0};
    assert_int_equal(server_listen("127.0.0.1:0", &made, &e), 0);
    assert_int_equal(dup2(made, 3), 3);
    char pid[16];
    (void)snprintf(pid, sizeof pid, "%d", (int)getpid());
    assert_int_equal(setenv("LISTEN_PID", pid, 1), 0);
    assert_int_equal(setenv("LISTEN_FDS", "1", 1), 0);
    int fd = -1;
    assert_int_equal(server_passed(&fd), 0);
    assert_int_equal(fd, 3);
    assert_true(server_passed(&fd) < 0);
    if (made == 3)
        made = -1;
    fd_close(&fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_families_listen_on_a_free_port),
        cmocka_unit_test(all_addresses_are_those_of_both_families),
        cmocka_unit_test(a_taken_port_is_named_in_the_error),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_socket_that_was_not_passed_is_not_found),
        cmocka_unit_test(a_passed_socket_is_taken_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
