/* Which requests take the proxy. */
#include "proxy/upstream/proxyenv.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *
proxy_for(const char *none, const char *text)
{
    static char http[] = "http://p:1", https[] = "http://p:2";
    AUTO(url_release) struct url u = {0};
    char list[256];
    (void)snprintf(list, sizeof list, "%s", none);
    struct proxyenv p = {.http = http, .https = https, .none = list};
    assert_int_equal(url_parse(text, &u), 0);
    return proxyenv_for(&p, &u);
}

static void
the_scheme_picks_the_proxy(void **state)
{
    (void)state;
    assert_string_equal(proxy_for("", "http://a.b/"), "http://p:1");
    assert_string_equal(proxy_for("", "https://a.b/"), "http://p:2");
}

static void
exceptions_are_names_suffixes_addresses_and_ranges(void **state)
{
    (void)state;
    static const char *const direct[][2] = {
        {"*", "http://a.b/"},
        {"a.b", "http://a.b/"},
        {"x, a.b", "http://a.b/"},
        {"b", "http://a.b/"},
        {".b", "http://a.b/"},
        {"*.b", "http://a.b/"},
        {"A.B:8080", "http://a.b/"},
        {"10.0.0.1", "http://10.0.0.1:5000/"},
        {"10.0.0.0/8", "http://10.9.8.7/"},
        {"10.0.0.0/15", "http://10.1.8.7/"},
        {"::1", "http://[::1]/"},
        {"[::1]:80", "http://[::1]/"},
        {"fd00::/8", "http://[fd12::1]/"},
    };
    static const char *const proxied[][2] = {
        {"", "http://a.b/"},
        {"a.b", "http://xa.b/"},
        {"xa.b", "http://a.b/"},
        {"10.0.0.0/15", "http://10.2.8.7/"},
        {"fd00::/8", "http://[fe12::1]/"},
        {"10.0.0.0/x", "http://10.0.0.0/"},
    };
    for (size_t i = 0; i < ARRAY_LEN(direct); i++)
        assert_string_equal(proxy_for(direct[i][0], direct[i][1]), "");
    for (size_t i = 0; i < ARRAY_LEN(proxied); i++)
        assert_string_equal(proxy_for(proxied[i][0], proxied[i][1]), "http://p:1");
}

static void
both_spellings_of_the_environment_count(void **state)
{
    (void)state;
    struct proxyenv p;
    (void)unsetenv("http_proxy");
    (void)unsetenv("all_proxy");
    (void)unsetenv("ALL_PROXY");
    (void)unsetenv("no_proxy");
    (void)setenv("HTTP_PROXY", "http://upper:1", 1);
    (void)setenv("https_proxy", "http://lower:2", 1);
    (void)setenv("HTTPS_PROXY", "http://upper:2", 1);
    (void)setenv("NO_PROXY", "a.b", 1);
    proxyenv_read(&p);
    assert_string_equal(p.http, "http://upper:1");
    assert_string_equal(p.https, "http://lower:2");
    assert_string_equal(p.none, "a.b");
    proxyenv_release(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scheme_picks_the_proxy),
        cmocka_unit_test(exceptions_are_names_suffixes_addresses_and_ranges),
        cmocka_unit_test(both_spellings_of_the_environment_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
