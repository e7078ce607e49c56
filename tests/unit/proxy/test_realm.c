/* Who may be asked for a token. */
#include "proxy/upstream/realm.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool
allowed(const char *registry, const char *realm, const char *list)
{
    AUTO(url_release) struct url a = {0};
    AUTO(url_release) struct url b = {0};
    assert_int_equal(url_parse(registry, &a), 0);
    assert_int_equal(url_parse(realm, &b), 0);
    return realm_allowed(&a, &b, list);
}

static void
the_registrys_own_host_and_domain_are_allowed(void **state)
{
    (void)state;
    assert_true(allowed("https://registry-1.docker.io", "https://auth.docker.io/token", ""));
    assert_true(allowed("https://quay.io", "https://quay.io/v2/auth", ""));
    assert_true(allowed("https://r.example.co.uk", "https://auth.example.co.uk/t", ""));
    assert_true(allowed("http://10.0.0.1:5000", "http://10.0.0.1:5001/token", ""));
}

static void
strangers_are_refused_also_below_one_public_suffix(void **state)
{
    (void)state;
    assert_false(allowed("https://registry-1.docker.io", "https://evil.example/token", ""));
    assert_false(allowed("https://a.co.uk", "https://b.co.uk/t", ""));
    assert_false(allowed("https://me.github.io", "https://you.github.io/t", ""));
    assert_false(allowed("https://docker.io", "https://notdocker.io/t", ""));
    assert_false(allowed("https://10.0.0.1", "https://10.0.0.2/t", ""));
    assert_false(allowed("https://r.example.com", "https://169.254.169.254/t", ""));
}

static void
plain_http_is_for_registries_with_a_plain_url_only(void **state)
{
    (void)state;
    assert_false(allowed("https://quay.io", "http://quay.io/auth", ""));
    assert_false(allowed("https://quay.io", "http://quay.io/auth", "quay.io"));
    assert_true(allowed("http://r.local", "https://r.local/auth", ""));
}

static void
listed_hosts_are_allowed_by_whole_name(void **state)
{
    (void)state;
    assert_true(allowed("https://r.a.com", "https://auth.b.com/t", "x.com, auth.b.com"));
    assert_true(allowed("https://r.a.com", "https://Auth.B.com/t", "auth.b.com"));
    assert_false(allowed("https://r.a.com", "https://xauth.b.com/t", "auth.b.com"));
    assert_false(allowed("https://r.a.com", "https://b.com/t", "auth.b.com"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_registrys_own_host_and_domain_are_allowed),
        cmocka_unit_test(strangers_are_refused_also_below_one_public_suffix),
        cmocka_unit_test(plain_http_is_for_registries_with_a_plain_url_only),
        cmocka_unit_test(listed_hosts_are_allowed_by_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
