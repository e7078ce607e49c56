/* docker config.json. */
#include "base/json.h"
#include "proxy/upstream/creds.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int
find(const char *json, const char *host, const char *url_host, struct creds *ret, struct err *e)
{
    return creds_find(json, strlen(json), host, url_host, ret, e);
}

static void
auth_is_base64_of_user_and_password(void **state)
{
    (void)state;
    AUTO(creds_release) struct creds c = {0};
    struct err e = {0};
    /* me:pa:ss */
    const char *json = "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"bWU6cGE6c3M=\"}}}";
    assert_int_equal(find(json, "docker.io", "registry-1.docker.io", &c, &e), 0);
    assert_string_equal(c.user, "me");
    assert_string_equal(c.password, "pa:ss");
    assert_null(c.identity);
}

static void
keys_match_the_name_or_the_urls_host_with_or_without_a_scheme(void **state)
{
    (void)state;
    static const char *const keys[] = {"r.example:5000", "https://r.example:5000",
                                       "http://R.Example:5000/v2/", "name.local"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char json[256];
        (void)snprintf(json, sizeof json,
                       "{\"auths\":{\"%s\":{\"username\":\"u\",\"password\":\"p\"}}}", keys[i]);
        AUTO(creds_release) struct creds c = {0};
        struct err e = {0};
        assert_int_equal(find(json, "name.local", "r.example:5000", &c, &e), 0);
        assert_string_equal(c.user, "u");
    }
}

static void
another_host_a_path_and_a_longer_name_do_not_match(void **state)
{
    (void)state;
    static const char *const keys[] = {"r.example", "r.example.evil", "xr.example:5000",
                                       "r.example:5000/team"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char json[256];
        (void)snprintf(json, sizeof json,
                       "{\"auths\":{\"%s\":{\"username\":\"u\",\"password\":\"p\"}}}", keys[i]);
        struct creds c = {0};
        struct err e = {0};
        assert_int_equal(find(json, "r.example:5000", "r.example:5000", &c, &e), ERR_NOT_FOUND);
    }
}

static void
identity_tokens_are_found(void **state)
{
    (void)state;
    AUTO(creds_release) struct creds c = {0};
    struct err e = {0};
    const char *json = "{\"auths\":{\"r.io\":{\"identitytoken\":\"tok\"}}}";
    assert_int_equal(find(json, "r.io", "r.io", &c, &e), 0);
    assert_null(c.user);
    assert_string_equal(c.identity, "tok");
}

static void
helpers_are_named_as_not_supported(void **state)
{
    (void)state;
    static const char *const files[] = {
        "{\"credsStore\":\"secretservice\"}",
        "{\"auths\":{\"r.io\":{}},\"credsStore\":\"x\"}",
        "{\"credHelpers\":{\"r.io\":\"ecr-login\"}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct creds c = {0};
        struct err e = {0};
        assert_int_equal(find(files[i], "r.io", "r.io", &c, &e), ERR_NOT_FOUND);
        assert_non_null(strstr(e.text, "not supported"));
    }
}

static void
broken_entries_are_errors_that_do_not_show_them(void **state)
{
    (void)state;
    static const char *const files[] = {
        "{\"auths\":{\"r.io\":{\"auth\":\"S3cr3t!\"}}}",
        "{\"auths\":{\"r.io\":{\"auth\":\"S3cr3tS3cr3t\"}}}", /* no colon inside */
        "{\"auths\":{\"r.io\":{\"auth\":\"bWU6cAo=\"}}}",     /* line feed inside */
        "{\"auths\":{\"r.io\":{\"auth\":",
        "S3cr3t",
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct creds c = {0};
        struct err e = {0};
        assert_int_equal(find(files[i], "r.io", "r.io", &c, &e), ERR_SYNTAX);
        assert_null(strstr(e.text, "S3cr3t"));
        assert_null(c.user);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auth_is_base64_of_user_and_password),
        cmocka_unit_test(keys_match_the_name_or_the_urls_host_with_or_without_a_scheme),
        cmocka_unit_test(another_host_a_path_and_a_longer_name_do_not_match),
        cmocka_unit_test(identity_tokens_are_found),
        cmocka_unit_test(helpers_are_named_as_not_supported),
        cmocka_unit_test(broken_entries_are_errors_that_do_not_show_them),
    };
    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
