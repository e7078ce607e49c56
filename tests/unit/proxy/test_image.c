/* proxy/image: names as docker reads them, and platforms. */
#include "base/err.h"
#include "proxy/cli/image.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void
a_name_is_read_as_docker_reads_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *repository, *reference;
    } rows[] = {
        {"busybox", "docker.io", "library/busybox", "latest"},
        {"busybox:1.36", "docker.io", "library/busybox", "1.36"},
        {"me/app", "docker.io", "me/app", "latest"},
        {"docker.io/busybox", "docker.io", "library/busybox", "latest"},
        {"index.docker.io/busybox", "docker.io", "library/busybox", "latest"},
        {"ghcr.io/a/b/c:v1", "ghcr.io", "a/b/c", "v1"},
        {"localhost/x", "localhost", "x", "latest"},
        {"reg:5000/x:y", "reg:5000", "x", "y"},
        {"127.0.0.1:5000/x", "127.0.0.1:5000", "x", "latest"},
        {"busybox@sha256:" HEX, "docker.io", "library/busybox", "sha256:" HEX},
        {"reg:5000/x:v1@sha256:" HEX, "reg:5000", "x", "sha256:" HEX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct image image;
        assert_int_equal(image_parse(rows[i].text, &image), 0);
        assert_string_equal(image.host, rows[i].host);
        assert_string_equal(image.repository, rows[i].repository);
        assert_string_equal(image.reference, rows[i].reference);
    }
}

static void
what_is_no_name_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",      "Busybox", "a//b", "a:",    ":a",     "a@b",   "a@sha256:12", "reg.io/",
        "/a",    "a/../b",  "a b",  "a:b:c", "a:b/c:", "a?x=1", "a&b",         "http://a.io/b",
        "a%2fb", "a#b",     "a\nb",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct image image;
        if (image_parse(texts[i], &image) == 0)
            fail_msg("\"%s\" was taken as %s/%s %s", texts[i], image.host, image.repository,
                     image.reference);
    }
}

static void
a_platform_is_an_os_and_an_architecture(void **state)
{
    (void)state;
    struct platform p;
    assert_int_equal(platform_parse("linux/arm/v7", &p), 0);
    assert_string_equal(p.os, "linux");
    assert_string_equal(p.architecture, "arm");
    assert_string_equal(p.variant, "v7");
    assert_int_equal(platform_parse("linux/amd64", &p), 0);
    assert_string_equal(p.variant, "");
    static const char *const wrong[] = {"", "linux", "linux/", "/amd64", "a/b/c/d"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(platform_parse(wrong[i], &p), ERR_SYNTAX);
}

static void
a_variant_matters_only_when_both_name_one(void **state)
{
    (void)state;
    const struct platform any = {"linux", "arm", ""}, v6 = {"linux", "arm", "v6"},
                          v7 = {"linux", "arm", "v7"}, other = {"linux", "arm64", ""};
    assert_true(platform_fits(&any, &v7));
    assert_true(platform_fits(&v7, &any));
    assert_false(platform_fits(&v6, &v7));
    assert_false(platform_fits(&any, &other));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_read_as_docker_reads_it),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(a_platform_is_an_os_and_an_architecture),
        cmocka_unit_test(a_variant_matters_only_when_both_name_one),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
