/* Links to the next page. */
#include "base/err.h"
#include "proxy/api/pagelink.h"
#include "tests/unit/base/unit.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int
rewrite(const char *target, const char *link, char *ret)
{
    struct route r;
    assert_int_equal(route_parse(target, &r), REASON_NONE);
    return pagelink_rewrite(link, &r, ret);
}

static void
the_query_is_kept_and_the_way_back_is_ours(void **state)
{
    (void)state;
    char link[PAGELINK_MAX];
    assert_int_equal(
        rewrite("/v2/a/tags/list?n=2", "</v2/a/tags/list?last=x%2Fy&n=2>; rel=\"next\"", link), 0);
    assert_string_equal(link, "</v2/a/tags/list?last=x%2Fy&n=2>; rel=\"next\"");
    assert_int_equal(rewrite("/v2/a/tags/list?ns=reg.test:5000",
                             "<https://other.test/v2/a/tags/list?n=2>; rel=next", link),
                     0);
    assert_string_equal(link, "</v2/a/tags/list?n=2&ns=reg.test:5000>; rel=\"next\"");
    assert_int_equal(rewrite("/v2/reg.test/a/referrers/" DIGEST, "<?p=2>; rel=\"next\"", link), 0);
    assert_string_equal(link, "</v2/reg.test/a/referrers/" DIGEST "?p=2>; rel=\"next\"");
}

static void
what_is_no_next_link_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "</v2/a/tags/list>; rel=\"next\"",
        "</v2/a/tags/list?>; rel=\"next\"",
        "</v2/a/tags/list?n=2; rel=\"next\"",
        "</v2/a/tags/list?n=2>; rel=\"prev\"",
        "</v2/a/tags/list?n=\r\nX: y>; rel=\"next\"",
        "</v2/a/tags/list?n=<2>; rel=\"next\"",
    };
    char link[PAGELINK_MAX];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (rewrite("/v2/a/tags/list", bad[i], link) != ERR_SYNTAX)
            fail_msg("%s", bad[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_query_is_kept_and_the_way_back_is_ours),
        cmocka_unit_test(what_is_no_next_link_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
