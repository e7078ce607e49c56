/* What another node asks for. */
#include "proxy/peer/parcel.h"
#include "tests/unit/base/unit.h"
#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char blob_path[] = PIECE_PATH "sha256:" HEX;

static unsigned
ranged(const char *range, struct parcel *ret)
{
    return parcel_parse("GET", blob_path, range, NULL, ret);
}

static void
paths_name_a_blob_a_manifest_or_control(void **state)
{
    (void)state;
    struct parcel p;
    assert_int_equal(parcel_parse("GET", blob_path, NULL, NULL, &p), 0);
    assert_int_equal(p.kind, PARCEL_BLOB);
    assert_false(p.ranged);
    assert_int_equal(p.digest.bytes[1], 0x23);
    assert_int_equal(parcel_parse("GET", PIECE_MANIFEST_PATH "sha256:" HEX, "bytes=0-1", NULL, &p),
                     0);
    assert_int_equal(p.kind, PARCEL_MANIFEST);
    assert_false(p.ranged);
    assert_int_equal(parcel_parse("POST", "/p2p/v1/control", NULL, NULL, &p), 0);
    assert_int_equal(p.kind, PARCEL_CONTROL);
}

static void
other_paths_and_methods_are_refused(void **state)
{
    (void)state;
    struct parcel p;
    static const char *const bad[] = {"/",
                                      "/p2p/v1/blob/",
                                      PIECE_PATH "sha256:" HEX "0",
                                      PIECE_PATH "sha256:" HEX "?x=1",
                                      PIECE_PATH "md5:" HEX,
                                      "/p2p/v1/control/",
                                      "/v2/"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parcel_parse("GET", bad[i], NULL, NULL, &p), 404);
    assert_int_equal(parcel_parse("POST", blob_path, NULL, NULL, &p), 405);
    assert_int_equal(parcel_parse("GET", "/p2p/v1/control", NULL, NULL, &p), 405);
}

static void
a_range_has_two_ends_and_at_most_four_mib(void **state)
{
    (void)state;
    struct parcel p;
    assert_int_equal(ranged("bytes=5-5", &p), 0);
    assert_true(p.ranged && p.start == 5 && p.end == 6);
    assert_int_equal(ranged("bytes=0-4194303", &p), 0);
    assert_int_equal(p.end, 4194304);
    static const char *const bad[] = {"bytes=0-4194304",
                                      "bytes=5-4",
                                      "bytes=5-",
                                      "bytes=-5",
                                      "bytes=0-1,5-6",
                                      "octets=0-1",
                                      "bytes=0-1 ",
                                      "bytes= 0-1",
                                      "",
                                      "bytes=1-18446744073709551615",
                                      "bytes=18446744073709551615-18446744073709551615"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(ranged(bad[i], &p), 416);
}

static void
a_class_that_is_not_known_is_fill(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum slots_class class;
    } cases[] = {{NULL, SLOTS_FILL},     {"cursor", SLOTS_CURSOR},
                 {"fill", SLOTS_FILL},   {"background", SLOTS_BACKGROUND},
                 {"Cursor", SLOTS_FILL}, {"", SLOTS_FILL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct parcel p;
        assert_int_equal(parcel_parse("GET", blob_path, NULL, cases[i].text, &p), 0);
        assert_int_equal(p.class, cases[i].class);
    }
}

static void
a_range_lies_within_the_blob(void **state)
{
    (void)state;
    struct parcel p;
    uint64_t start = 9, end = 9;
    assert_int_equal(ranged("bytes=10-19", &p), 0);
    assert_int_equal(parcel_place(&p, 20, &start, &end), 0);
    assert_true(start == 10 && end == 20);
    assert_int_equal(parcel_place(&p, 19, &start, &end), 416);
    assert_int_equal(parcel_parse("GET", blob_path, NULL, NULL, &p), 0);
    assert_int_equal(parcel_place(&p, PARCEL_BYTES_MAX, &start, &end), 0);
    assert_true(start == 0 && end == PARCEL_BYTES_MAX);
    assert_int_equal(parcel_place(&p, PARCEL_BYTES_MAX + 1, &start, &end), 416);
    assert_int_equal(parcel_place(&p, 0, &start, &end), 0);
    assert_true(start == 0 && end == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_name_a_blob_a_manifest_or_control),
        cmocka_unit_test(other_paths_and_methods_are_refused),
        cmocka_unit_test(a_range_has_two_ends_and_at_most_four_mib),
        cmocka_unit_test(a_class_that_is_not_known_is_fill),
        cmocka_unit_test(a_range_lies_within_the_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
