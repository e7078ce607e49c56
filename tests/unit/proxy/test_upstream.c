/* Where a registry is asked. */
#include "base/clock.h"
#include "proxy/upstream/upstream.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char empty[] = "";
static char star[] = "*";

static struct origin
origin_of(struct registry *r, const char *host)
{
    struct origin o = {.registry = r};
    (void)snprintf(o.host, sizeof o.host, "%s", host);
    (void)snprintf(o.repository, sizeof o.repository, "a/b");
    return o;
}

static void
a_configured_registry_is_asked_at_its_url(void **state)
{
    (void)state;
    char host[] = "docker.io";
    char at[] = "https://registry-1.docker.io";
    struct registry r = {.host = host, .url = at};
    struct origin o = origin_of(&r, "docker.io");
    AUTO(url_release) struct url u = {0};
    assert_int_equal(upstream_base(&o, &u), 0);
    assert_string_equal(u.host, "registry-1.docker.io");
    assert_true(u.tls);
    char broken[] = "ftp://x";
    r.url = broken;
    assert_int_equal(upstream_base(&o, &u), ERR_CONFIG);
}

static void
the_wildcard_takes_plain_names_by_https_only(void **state)
{
    (void)state;
    struct registry r = {.host = star, .url = empty};
    struct origin o = origin_of(&r, "quay.io");
    AUTO(url_release) struct url u = {0};
    assert_int_equal(upstream_base(&o, &u), 0);
    assert_string_equal(u.host, "quay.io");
    assert_true(u.tls);
    static const char *const bad[] = {"quay.io:5000", "10.0.0.1",   "[::1]",    "a/b",
                                      "u@h.io",       "2130706433", "quay.io?", ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct url none = {0};
        o = origin_of(&r, bad[i]);
        assert_int_equal(upstream_base(&o, &none), ERR_REFUSED);
    }
}

static void
a_source_is_shared_until_its_settings_change(void **state)
{
    (void)state;
    struct wire w;
    struct health h;
    struct rng rng;
    struct err e = {0};
    rng_init(&rng, 1);
    health_init(&h);
    assert_int_equal(wire_open(&w, &e), 0);
    struct upstreams *all = upstreams_new(&w, &h, &rng);
    char host[] = "r.test";
    char at[] = "http://127.0.0.1:9";
    struct registry r = {
        .host = host, .url = at, .credentials = empty, .ca = empty, .realms = empty};
    struct origin o = origin_of(&r, "r.test");
    struct source *a = NULL;
    struct source *b = NULL;
    struct source *c = NULL;
    assert_int_equal(upstream_take(all, &o, &a, &e), 0);
    assert_int_equal(upstream_take(all, &o, &b, &e), 0);
    assert_ptr_equal(a, b);
    r.auth = AUTH_PASS;
    assert_int_equal(upstream_take(all, &o, &c, &e), 0);
    assert_ptr_not_equal(a, c);
    upstream_drop(&a);
    upstream_drop(&b);
    upstream_drop(&c);
    upstreams_free(all);
    wire_close(&w);
    health_release(&h);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_configured_registry_is_asked_at_its_url),
        cmocka_unit_test(the_wildcard_takes_plain_names_by_https_only),
        cmocka_unit_test(a_source_is_shared_until_its_settings_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
