/* Request targets, and the registry that they name. */
#include "proxy/api/route.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void
every_endpoint_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        enum route_kind kind;
        const char *name;
    } table[] = {
        {"/v2/", ROUTE_PING, ""},
        {"/v2", ROUTE_PING, ""},
        {"/v2/library/busybox/manifests/latest", ROUTE_MANIFEST, "library/busybox"},
        {"/v2/a/manifests/" DIGEST, ROUTE_MANIFEST, "a"},
        {"/v2/a/b/c/blobs/" DIGEST, ROUTE_BLOB, "a/b/c"},
        {"/v2/a/tags/list", ROUTE_TAGS, "a"},
        {"/v2/a/referrers/" DIGEST, ROUTE_REFERRERS, "a"},
        {"/v2/manifests/blobs/manifests/tags", ROUTE_MANIFEST, "manifests/blobs"},
        {"/v2/reg.test:5000/a/manifests/v1", ROUTE_MANIFEST, "reg.test:5000/a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct route r;
        if (route_parse(table[i].target, &r) != REASON_NONE || r.kind != table[i].kind)
            fail_msg("%s", table[i].target);
        assert_string_equal(r.name, table[i].name);
    }
}

static void
a_wrong_target_has_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        enum reason why;
    } table[] = {
        {"/", REASON_no_route},
        {"/v1/", REASON_no_route},
        {"/v2x", REASON_no_route},
        {"/v2/_catalog", REASON_no_route},
        {"/v2/a/b/c", REASON_no_route},
        {"/v2/manifests/latest", REASON_no_route},
        {"/v2/a/tags/all", REASON_no_route},
        {"/v2/a/manifests/sha256:totallywrong", REASON_digest_invalid},
        {"/v2/a/blobs/latest", REASON_digest_invalid},
        {"/v2/a/blobs/sha256:12", REASON_digest_invalid},
        {"/v2/a/referrers/latest", REASON_digest_invalid},
        {"/v2/a/manifests/.INVALID_MANIFEST_NAME", REASON_tag_invalid},
        {"/v2/a/manifests/", REASON_tag_invalid},
        {"/v2/?ns=a.test&ns=b.test", REASON_malformed},
        {"/v2/?ns=", REASON_malformed},
        {"/v2/?ns=a%2", REASON_malformed},
        {"/v2/?ns=a%00b", REASON_malformed},
        {"/v2/?ns=a/b", REASON_malformed},
        {"/v2/?ns=a%252e", REASON_malformed},
        {"/v2/?ns=*", REASON_malformed},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct route r;
        enum reason why = route_parse(table[i].target, &r);
        if (why != table[i].why)
            fail_msg("%s: %d", table[i].target, why);
    }
}

static void
ns_is_decoded_once_and_taken_out_of_the_query(void **state)
{
    (void)state;
    struct route r;
    assert_int_equal(route_parse("/v2/a/tags/list?n=5&ns=Reg.Test%3A5000&last=x%2Fy", &r),
                     REASON_NONE);
    assert_string_equal(r.ns, "reg.test:5000");
    assert_string_equal(r.query, "n=5&last=x%2Fy");
    assert_int_equal(route_parse("/v2/a/tags/list?nsx=1", &r), REASON_NONE);
    assert_string_equal(r.ns, "");
    assert_string_equal(r.query, "nsx=1");
}

static void
long_queries_and_names_are_refused(void **state)
{
    (void)state;
    char target[4096];
    struct route r;
    memset(target, 'a', sizeof target);
    memcpy(target, "/v2/a/tags/list?", 16);
    target[16 + ROUTE_QUERY_MAX] = 0;
    assert_int_equal(route_parse(target, &r), REASON_target_long);
    memset(target, 'a', sizeof target);
    memcpy(target, "/v2/", 4);
    memcpy(target + 4 + ROUTE_NAME_MAX, "/tags/list", sizeof "/tags/list");
    assert_int_equal(route_parse(target, &r), REASON_name_invalid);
}

/* docker.io, reg.test:5000 and localhost are configured; the rest only with a wildcard. */
static bool
is_configured(void *arg, const char *host, bool exact)
{
    const bool *wildcard = arg;
    if (strcmp(host, "docker.io") == 0 || strcmp(host, "reg.test:5000") == 0 ||
        strcmp(host, "localhost") == 0)
        return true;
    return *wildcard && !exact;
}

static enum reason
locate(const char *target, bool wildcard, struct place *ret, struct route *r)
{
    assert_int_equal(route_parse(target, r), REASON_NONE);
    return route_place(r, "docker.io", is_configured, &wildcard, ret);
}

static void
three_ways_name_the_registry(void **state)
{
    (void)state;
    static const struct {
        const char *target, *host, *repository;
    } table[] = {
        {"/v2/library/busybox/tags/list", "docker.io", "library/busybox"},
        {"/v2/a/tags/list?ns=reg.test:5000", "reg.test:5000", "a"},
        {"/v2/a/tags/list?ns=reg.test%3A5000", "reg.test:5000", "a"},
        {"/v2/reg.test:5000/a/b/tags/list", "reg.test:5000", "a/b"},
        {"/v2/docker.io/library/x/tags/list", "docker.io", "library/x"},
        {"/v2/localhost/x/tags/list", "localhost", "x"},
        {"/v2/docker.io/library/x/tags/list?ns=docker.io", "docker.io", "library/x"},
        {"/v2/other.test/x/tags/list?ns=docker.io", "docker.io", "other.test/x"},
        {"/v2/docker.io/tags/list", "docker.io", "docker.io"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct route r;
        struct place p;
        if (locate(table[i].target, false, &p, &r) != REASON_NONE)
            fail_msg("%s", table[i].target);
        assert_string_equal(p.host, table[i].host);
        assert_string_equal(p.repository, table[i].repository);
    }
}

static void
a_registry_is_never_guessed(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        enum reason why;
    } table[] = {
        {"/v2/a/tags/list?ns=other.test", REASON_registry_unknown},
        {"/v2/a/tags/list?ns=169.254.169.254", REASON_registry_unknown},
        {"/v2/other.test/a/tags/list", REASON_registry_unknown},
        {"/v2/other:80/a/tags/list", REASON_registry_unknown},
        {"/v2/reg.test:5000/a/tags/list?ns=docker.io", REASON_registry_ambiguous},
        {"/v2/Library/a/tags/list", REASON_name_invalid},
        {"/v2/a//b/tags/list", REASON_name_invalid},
        {"/v2/a:b/tags/list", REASON_name_invalid},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct route r;
        struct place p;
        enum reason why = locate(table[i].target, false, &p, &r);
        if (why != table[i].why)
            fail_msg("%s: %d", table[i].target, why);
    }
}

static void
without_a_default_registry_it_has_to_be_named(void **state)
{
    (void)state;
    bool wildcard = true;
    struct route r;
    struct place p;
    assert_int_equal(route_parse("/v2/a/tags/list", &r), REASON_NONE);
    assert_int_equal(route_place(&r, "", is_configured, &wildcard, &p), REASON_registry_unknown);
}

static void
a_wildcard_opens_hosts_but_makes_nothing_ambiguous(void **state)
{
    (void)state;
    struct route r;
    struct place p;
    assert_int_equal(locate("/v2/other.test/a/tags/list", true, &p, &r), REASON_NONE);
    assert_string_equal(p.host, "other.test");
    assert_int_equal(locate("/v2/other.test/a/tags/list?ns=docker.io", true, &p, &r), REASON_NONE);
    assert_string_equal(p.host, "docker.io");
    assert_string_equal(p.repository, "other.test/a");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endpoint_is_found),
        cmocka_unit_test(a_wrong_target_has_its_reason),
        cmocka_unit_test(ns_is_decoded_once_and_taken_out_of_the_query),
        cmocka_unit_test(long_queries_and_names_are_refused),
        cmocka_unit_test(three_ways_name_the_registry),
        cmocka_unit_test(a_registry_is_never_guessed),
        cmocka_unit_test(without_a_default_registry_it_has_to_be_named),
        cmocka_unit_test(a_wildcard_opens_hosts_but_makes_nothing_ambiguous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
