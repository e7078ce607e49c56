/* Requests that two parsers could read differently. */
#include "proxy/http/guard.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
plain_targets_pass(void **state)
{
    (void)state;
    assert_null(guard_target("/v2/"));
    assert_null(guard_target("/v2/a.b/c_d/manifests/sha256:00"));
    assert_null(guard_target("/v2/a/tags/list?ns=reg.test%3A5000&last=..%2F"));
}

static void
targets_that_could_mean_something_else_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "v2/",          "http://169.254.169.254/",
        "*",         "/v2/%2e%2e/x", "/v2/../x",
        "/v2/a%00b", "/v2/a b",      "/v2/a\tb",
        "/v2/a\x7f", "/v2/\xc3",     "/v2/a?x=\x01",
        "/v2/a?x= ", "/v2/a/..?",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (!guard_target(bad[i]))
            fail_msg("%s", bad[i]);
}

static const char *
header(const char *name, const char *value)
{
    return guard_header(name, strlen(name), value, strlen(value));
}

static void
header_names_are_tokens(void **state)
{
    (void)state;
    assert_null(header("User-Agent", "x"));
    assert_null(header("X!#$%&'*+-.^_`|~0", ""));
    assert_non_null(header("Content-Length ", "5"));
    assert_non_null(header("A B", "5"));
    assert_non_null(header("", "5"));
    assert_non_null(header("A(", "5"));
    assert_non_null(guard_header("A\0B", 3, "x", 1));
}

static void
header_values_hold_no_control_bytes(void **state)
{
    (void)state;
    assert_null(header("A", "a\tb \x80\xff"));
    assert_non_null(header("A", "a\rb"));
    assert_non_null(header("A", "a\nb"));
    assert_non_null(header("A", "\x7f"));
    assert_non_null(guard_header("A", 1, "a\0b", 3));
}

static void
hidden_bytes_of_a_header_are_seen(void **state)
{
    (void)state;
    static const char good[] = "GET / HTTP/1.1\r\nHost: a\r\nB: c\n\r\n";
    static const char zero[] = "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n";
    static const char bare[] = "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n";
    static const char folded[] = "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n";
    static const char first[] = "GET / HTTP/1.1\r\n Host: a\r\n\r\n";
    assert_null(guard_head(good, sizeof good - 1, true));
    assert_non_null(guard_head(zero, sizeof zero - 1, true));
    assert_non_null(guard_head(bare, sizeof bare - 1, true));
    assert_non_null(guard_head(folded, sizeof folded - 1, true));
    assert_non_null(guard_head(first, sizeof first - 1, true));
    /* Cut between CR and LF: more may come. */
    assert_null(guard_head("GET / HTTP/1.1\r", 15, false));
}

static void
a_complete_header_names_one_host(void **state)
{
    (void)state;
    static const char none[] = "GET / HTTP/1.1\r\nHosts: a\r\n\r\n";
    static const char one[] = "GET / HTTP/1.1\r\nA: b\r\nhOST: a\r\n\r\n";
    static const char two[] = "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n";
    assert_non_null(guard_head(none, sizeof none - 1, true));
    assert_null(guard_head(none, sizeof none - 1, false));
    assert_null(guard_head(one, sizeof one - 1, true));
    assert_non_null(guard_head(two, sizeof two - 1, true));
}

static void
a_complete_header_has_a_name_on_each_line(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
        "GET / HTTP/1.1\n\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_non_null(guard_head(bad[i], strlen(bad[i]), true));
}

static void
escapes_stay_as_they_were_sent(void **state)
{
    (void)state;
    char text[] = "/v2/%2e%2e";
    assert_int_equal(guard_keep_escapes(NULL, NULL, text), 10);
    assert_string_equal(text, "/v2/%2e%2e");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_targets_pass),
        cmocka_unit_test(targets_that_could_mean_something_else_are_refused),
        cmocka_unit_test(header_names_are_tokens),
        cmocka_unit_test(header_values_hold_no_control_bytes),
        cmocka_unit_test(hidden_bytes_of_a_header_are_seen),
        cmocka_unit_test(a_complete_header_names_one_host),
        cmocka_unit_test(a_complete_header_has_a_name_on_each_line),
        cmocka_unit_test(escapes_stay_as_they_were_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
