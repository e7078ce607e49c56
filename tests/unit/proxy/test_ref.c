/* The grammar of names and references. */
#include "base/err.h"
#include "proxy/api/ref.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int
parse(const char *text, struct ref *ret)
{
    return ref_parse(text, strlen(text), ret);
}

static void
a_tag_is_read_as_a_tag(void **state)
{
    (void)state;
    static const char *const tags[] = {"latest", "1.36", "v1.2.3-rc_1", "_x", "A"};
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        struct ref r;
        assert_int_equal(parse(tags[i], &r), 0);
        assert_false(r.by_digest);
        assert_string_equal(r.tag, tags[i]);
    }
}

static void
what_cannot_be_a_tag_is_not_found(void **state)
{
    (void)state;
    char long_tag[REF_TAG_MAX + 1];
    memset(long_tag, 'a', REF_TAG_MAX);
    long_tag[REF_TAG_MAX] = 0;
    const char *const bad[] = {"", ".INVALID_MANIFEST_NAME", "-x", "a b", "a%20", "a/b", long_tag};
    struct ref r;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i], &r), ERR_NOT_FOUND);
    long_tag[REF_TAG_MAX - 1] = 0;
    assert_int_equal(parse(long_tag, &r), 0);
}

static void
a_digest_is_read_and_printed_back(void **state)
{
    (void)state;
    char text[REF_TEXT_MAX];
    struct ref r;
    assert_int_equal(parse("sha256:" HEX64, &r), 0);
    assert_true(r.by_digest);
    ref_print(&r, text);
    assert_string_equal(text, "sha256:" HEX64);
    assert_int_equal(parse("sha512:" HEX64 HEX64, &r), 0);
    ref_print(&r, text);
    assert_string_equal(text, "sha512:" HEX64 HEX64);
}

static void
a_malformed_digest_is_a_syntax_error(void **state)
{
    (void)state;
    static const char *const bad[] = {"sha256:totallywrong", "sha256:",      "md5:" HEX64, ":",
                                      "sha256:" HEX64 "0",   "SHA256:" HEX64};
    struct ref r;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i], &r), ERR_SYNTAX);
}

static void
repository_names_follow_the_spec(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool good;
    } table[] = {
        {"busybox", true},
        {"library/busybox", true},
        {"a.b/c__d/e---f", true},
        {"a_b", true},
        {"", false},
        {"/a", false},
        {"a/", false},
        {"a//b", false},
        {"a..b", false},
        {"a___b", false},
        {"A", false},
        {"-a", false},
        {"a-", false},
        {"a/.b", false},
        {"a%2fb", false},
        {"a:5/b", false},
        {"a._b", false},
        {"a b", false},
        {"a\x80", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (ref_is_name(table[i].name, strlen(table[i].name)) != table[i].good)
            fail_msg("%s", table[i].name);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_read_as_a_tag),
        cmocka_unit_test(what_cannot_be_a_tag_is_not_found),
        cmocka_unit_test(a_digest_is_read_and_printed_back),
        cmocka_unit_test(a_malformed_digest_is_a_syntax_error),
        cmocka_unit_test(repository_names_follow_the_spec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
