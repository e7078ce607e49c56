/* What manifests name, and which ones are not what they say they are. */
#include "base/err.h"
#include "base/json.h"
#include "proxy/api/manifest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEX(c) c c c c c c c c c c c c c c c c
#define DA     "sha256:" HEX("aaaa")
#define DB     "sha256:" HEX("bbbb")
#define DC     "sha512:" HEX("cccc") HEX("cccc")

#define DOCKER   "application/vnd.docker.distribution.manifest.v2+json"
#define LIST     "application/vnd.docker.distribution.manifest.list.v2+json"
#define OCI      "application/vnd.oci.image.manifest.v1+json"
#define INDEX    "application/vnd.oci.image.index.v1+json"
#define ARTIFACT "application/vnd.oci.artifact.manifest.v1+json"

#define CONFIG "\"config\":{\"digest\":\"" DA "\",\"size\":7}"
#define LAYERS                                        \
    "\"layers\":[{\"digest\":\"" DB "\",\"size\":8}," \
    "{\"digest\":\"" DC "\",\"size\":9,\"urls\":[\"https://x.test/l\"]}]"
#define MANIFESTS                                                                 \
    "\"manifests\":[{\"mediaType\":\"" OCI "\",\"digest\":\"" DA "\",\"size\":5," \
    "\"platform\":{\"os\":\"linux\",\"architecture\":\"s390x\"}}]"

static int
parse(const char *text, const char *type, struct manifest *ret)
{
    return manifest_parse(text, strlen(text), type, ret);
}

static void
an_image_names_its_config_and_layers(void **state)
{
    (void)state;
    AUTO(manifest_release) struct manifest m = {0};
    assert_int_equal(parse("{" CONFIG "," LAYERS "}", OCI, &m), 0);
    assert_int_equal(m.kind, MANIFEST_IMAGE);
    assert_int_equal(m.child_count, 3);
    assert_int_equal(m.children[0].size, 7);
    assert_int_equal(m.children[1].size, 8);
    assert_false(m.children[1].foreign);
    assert_int_equal(m.children[2].digest.alg, DIGEST_SHA512);
    assert_true(m.children[2].foreign);
}

static void
an_index_names_manifests_with_their_types(void **state)
{
    (void)state;
    AUTO(manifest_release) struct manifest m = {0};
    assert_int_equal(parse("{\"mediaType\":\"" INDEX "\"," MANIFESTS "}", INDEX, &m), 0);
    assert_int_equal(m.kind, MANIFEST_INDEX);
    assert_int_equal(m.child_count, 1);
    assert_string_equal(m.children[0].media_type, OCI);
    assert_false(m.children[0].platform);
}

static void
an_artifact_names_its_blobs_but_not_its_subject(void **state)
{
    (void)state;
    AUTO(manifest_release) struct manifest m = {0};
    assert_int_equal(parse("{\"mediaType\":\"" ARTIFACT "\",\"blobs\":[{\"digest\":\"" DB
                           "\",\"size\":8}],\"subject\":{\"digest\":\"" DA "\",\"size\":1}}",
                           ARTIFACT, &m),
                     0);
    assert_int_equal(m.child_count, 1);
    assert_int_equal(m.children[0].size, 8);
}

static void
confused_types_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *type;
    } table[] = {
        {"{" CONFIG "," LAYERS "," MANIFESTS "}", OCI},
        {"{" CONFIG "," LAYERS "," MANIFESTS "}", INDEX},
        {"{" LAYERS "," MANIFESTS "}", INDEX},
        {"{" CONFIG "," LAYERS ",\"Manifests\":[]}", OCI},
        {"{" CONFIG "," LAYERS "}", INDEX},
        {"{" MANIFESTS "}", OCI},
        {"{\"mediaType\":\"" DOCKER "\"," CONFIG "," LAYERS "}", OCI},
        {"{\"mediaType\":\"" OCI "\"," CONFIG "," LAYERS "}", DOCKER},
        {"{\"mediaType\":7," CONFIG "," LAYERS "}", OCI},
        {"{" CONFIG "," LAYERS "}", DOCKER},
        {"{" MANIFESTS "}", LIST},
        {"{" CONFIG "," LAYERS "}", "application/json"},
        {"{" CONFIG "," LAYERS "}", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct manifest m;
        if (parse(table[i].text, table[i].type, &m) != ERR_SYNTAX)
            fail_msg("%s as %s", table[i].text, table[i].type);
    }
}

static void
broken_descriptors_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{" CONFIG ",\"layers\":[{\"digest\":\"sha256:12\",\"size\":8}]}",
        "{" CONFIG ",\"layers\":[{\"digest\":\"" DB "\"}]}",
        "{" CONFIG ",\"layers\":[{\"digest\":\"" DB "\",\"size\":-1}]}",
        "{" CONFIG ",\"layers\":[{\"digest\":\"" DB "\",\"size\":1.5}]}",
        "{" CONFIG ",\"layers\":[7]}",
        "{" CONFIG ",\"layers\":{}}",
        "{\"config\":[]," LAYERS "}",
        "[]",
        "7",
        "",
        "{",
        "{" CONFIG "," LAYERS "} x",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct manifest m;
        if (parse(bad[i], OCI, &m) >= 0)
            fail_msg("%s", bad[i]);
    }
}

static void
too_many_children_are_over_the_limit(void **state)
{
    (void)state;
    static char text[(MANIFEST_CHILDREN_MAX + 1) * 100 + 1000];
    static const char item[] = "{\"digest\":\"" DB "\",\"size\":8}";
    size_t len = (size_t)snprintf(text, sizeof text, "{" CONFIG ",\"layers\":[%s", item);
    for (int i = 0; i < MANIFEST_CHILDREN_MAX; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, ",%s", item);
    (void)snprintf(text + len, sizeof text - len, "]}");
    struct manifest m;
    assert_int_equal(parse(text, OCI, &m), ERR_LIMIT);
}

static void
types_lose_their_parameters_and_unknown_ones_are_empty(void **state)
{
    (void)state;
    assert_string_equal(manifest_type(OCI "; charset=utf-8"), OCI);
    assert_string_equal(manifest_type(LIST), LIST);
    assert_string_equal(manifest_type("application/json"), "");
    assert_string_equal(manifest_type(OCI "x"), "");
    assert_string_equal(manifest_type("application/vnd.docker.distribution.manifest.v1+prettyjws"),
                        "");
}

/* Nodes of different versions must agree. */
static void
a_type_has_a_number_for_ever(void **state)
{
    (void)state;
    static const char *const types[] = {
        "",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.artifact.manifest.v1+json",
    };
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        assert_string_equal(manifest_type_of(i), types[i]);
        assert_int_equal(manifest_type_number(types[i]), i);
    }
    assert_string_equal(manifest_type_of(200), "");
    assert_int_equal(manifest_type_number("text/html"), 0);
}

int
main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_has_a_number_for_ever),
        cmocka_unit_test(an_image_names_its_config_and_layers),
        cmocka_unit_test(an_index_names_manifests_with_their_types),
        cmocka_unit_test(an_artifact_names_its_blobs_but_not_its_subject),
        cmocka_unit_test(confused_types_are_refused),
        cmocka_unit_test(broken_descriptors_are_refused),
        cmocka_unit_test(too_many_children_are_over_the_limit),
        cmocka_unit_test(types_lose_their_parameters_and_unknown_ones_are_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
