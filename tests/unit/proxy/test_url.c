/* URLs: what they are taken apart into, and which are refused. */
#include "base/err.h"
#include "proxy/upstream/url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
parts_are_found_and_normalised(void **state)
{
    (void)state;
    AUTO(url_release) struct url u = {0};
    assert_int_equal(url_parse("https://Registry.Example/v2/a?b=c#frag", &u), 0);
    assert_true(u.tls);
    assert_string_equal(u.host, "registry.example");
    assert_int_equal(u.port, 443);
    assert_null(strchr(u.text, '#'));
    AUTO(url_release) struct url six = {0};
    assert_int_equal(url_parse("http://[::1]:5000/", &six), 0);
    assert_false(six.tls);
    assert_string_equal(six.host, "[::1]");
    assert_int_equal(six.port, 5000);
    assert_true(url_is_literal(&six));
}

static void
users_other_schemes_and_control_bytes_are_refused(void **state)
{
    (void)state;
    struct url u = {0};
    assert_int_equal(url_parse("https://user@host/", &u), ERR_REFUSED);
    assert_int_equal(url_parse("https://user:pw@host/", &u), ERR_REFUSED);
    assert_int_equal(url_parse("file:///etc/passwd", &u), ERR_REFUSED);
    assert_int_equal(url_parse("gopher://host/", &u), ERR_REFUSED);
    assert_int_equal(url_parse("https://host/a\r\nX: y", &u), ERR_SYNTAX);
    assert_int_equal(url_parse("host/path", &u), ERR_SYNTAX);
    assert_int_equal(url_parse("", &u), ERR_SYNTAX);
    assert_int_equal(url_parse("https://host:99999/", &u), ERR_SYNTAX);
}

static void
every_spelling_of_an_ipv4_address_is_a_literal(void **state)
{
    (void)state;
    static const char *const urls[] = {"http://127.0.0.1/", "http://127.1/", "http://2130706433/",
                                       "http://0x7f000001/", "http://0177.0.0.1/"};
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        AUTO(url_release) struct url u = {0};
        assert_int_equal(url_parse(urls[i], &u), 0);
        assert_true(url_is_literal(&u));
        assert_string_equal(u.host, "127.0.0.1");
    }
}

static void
locations_are_resolved_against_their_base(void **state)
{
    (void)state;
    AUTO(url_release) struct url base = {0};
    assert_int_equal(url_parse("https://r.example/v2/a/blobs/x", &base), 0);
    static const char *const cases[][2] = {
        {"/other?x=1", "https://r.example/other?x=1"},
        {"https://cdn.example/b", "https://cdn.example/b"},
        {"//cdn.example/b", "https://cdn.example/b"},
        {"y", "https://r.example/v2/a/blobs/y"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(url_release) struct url to = {0};
        assert_int_equal(url_join(&base, cases[i][0], &to), 0);
        assert_string_equal(to.text, cases[i][1]);
    }
    struct url bad = {0};
    assert_int_equal(url_join(&base, "ftp://x/", &bad), ERR_REFUSED);
}

static void
a_host_that_changes_when_it_is_read_again_is_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {"http://1%35/", "http://0x7f%2e1/", "http://a%2565/"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        struct url u = {0};
        assert_int_equal(url_parse(hosts[i], &u), ERR_SYNTAX);
    }
    AUTO(url_release) struct url good = {0};
    assert_int_equal(url_parse("https://a/b%2fc?d=%2565", &good), 0);
}

static void
an_origin_is_scheme_host_and_port(void **state)
{
    (void)state;
    static const char *const others[] = {"http://a/", "https://b/", "https://a:444/"};
    AUTO(url_release) struct url a = {0};
    AUTO(url_release) struct url same = {0};
    assert_int_equal(url_parse("https://a/x", &a), 0);
    assert_int_equal(url_parse("https://A:443/y", &same), 0);
    assert_true(url_same_origin(&a, &same));
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        AUTO(url_release) struct url other = {0};
        assert_int_equal(url_parse(others[i], &other), 0);
        assert_false(url_same_origin(&a, &other));
    }
}

static void
plain_dns_names_have_no_port_address_or_odd_letter(void **state)
{
    (void)state;
    assert_true(url_is_dns_name("quay.io"));
    assert_true(url_is_dns_name("a-b.example.co"));
    assert_false(url_is_dns_name("quay.io:443"));
    assert_false(url_is_dns_name("10.0.0.1"));
    assert_false(url_is_dns_name("2130706433"));
    assert_false(url_is_dns_name("0x7f.1"));
    assert_false(url_is_dns_name("[::1]"));
    assert_false(url_is_dns_name("a..b"));
    assert_false(url_is_dns_name("-a.b"));
    assert_false(url_is_dns_name("a b.c"));
    assert_false(url_is_dns_name("user@host.x"));
    assert_false(url_is_dns_name(""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_found_and_normalised),
        cmocka_unit_test(users_other_schemes_and_control_bytes_are_refused),
        cmocka_unit_test(every_spelling_of_an_ipv4_address_is_a_literal),
        cmocka_unit_test(locations_are_resolved_against_their_base),
        cmocka_unit_test(a_host_that_changes_when_it_is_read_again_is_refused),
        cmocka_unit_test(an_origin_is_scheme_host_and_port),
        cmocka_unit_test(plain_dns_names_have_no_port_address_or_odd_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
