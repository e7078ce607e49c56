/* Range headers, and what they mean for a length. */
#include "proxy/api/range.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static enum range_verdict
apply(const char *header, uint64_t size, bool whole, struct span *ret)
{
    struct range r;
    range_parse(header, &r);
    return range_apply(&r, size, whole, ret);
}

struct row {
    const char *header;
    enum range_verdict verdict;
    uint64_t start, end;
};

static void
check(const struct row *rows, size_t count, uint64_t size, bool whole)
{
    for (size_t i = 0; i < count; i++) {
        struct span s;
        enum range_verdict v = apply(rows[i].header, size, whole, &s);
        bool same = v == rows[i].verdict &&
                    (v == RANGE_BAD || (s.start == rows[i].start && s.end == rows[i].end));
        if (!same)
            fail_msg("%s: %d %llu-%llu", rows[i].header, v, (unsigned long long)s.start,
                     (unsigned long long)s.end);
    }
}

static void
single_ranges_are_exact(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=0-0", RANGE_PART, 0, 1},
        {"bytes=500-999", RANGE_PART, 500, 1000},
        {"bytes=500-", RANGE_PART, 500, 1000},
        {"bytes=-500", RANGE_PART, 500, 1000},
        {"bytes=-5000", RANGE_PART, 0, 1000},
        {"bytes=200-5000", RANGE_PART, 200, 1000},
        {"Bytes=1-2", RANGE_PART, 1, 3},
        {"bytes= 1-2 ", RANGE_PART, 1, 3},
        {"bytes=999-999", RANGE_PART, 999, 1000},
        {"bytes=1-99999999999999999999", RANGE_PART, 1, 1000},
    };
    check(rows, ARRAY_LEN(rows), 1000, true);
}

static void
what_lies_outside_is_unsatisfiable(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"bytes=1000-", RANGE_BAD, 0, 0},
        {"bytes=5000-10000", RANGE_BAD, 0, 0},
        {"bytes=500-0", RANGE_BAD, 0, 0},
        {"bytes=-0", RANGE_BAD, 0, 0},
        {"bytes=99999999999999999999-", RANGE_BAD, 0, 0},
    };
    check(rows, ARRAY_LEN(rows), 1000, true);
    static const struct row empty[] = {
        {"bytes=0-", RANGE_BAD, 0, 0},
        {"bytes=-1", RANGE_BAD, 0, 0},
        {"bytes=0-0", RANGE_BAD, 0, 0},
    };
    check(empty, ARRAY_LEN(empty), 0, true);
}

static void
what_is_not_one_range_of_bytes_gets_all(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {NULL, RANGE_FULL, 0, 1000},
        {"", RANGE_FULL, 0, 1000},
        {"bytes=0-1,5-6", RANGE_FULL, 0, 1000},
        {"bytes=a-b", RANGE_FULL, 0, 1000},
        {"bytes=", RANGE_FULL, 0, 1000},
        {"bytes=-", RANGE_FULL, 0, 1000},
        {"bytes=--1", RANGE_FULL, 0, 1000},
        {"bytes=+1-2", RANGE_FULL, 0, 1000},
        {"items=0-5", RANGE_FULL, 0, 1000},
        {"bytes=1 -2", RANGE_FULL, 0, 1000},
    };
    check(rows, ARRAY_LEN(rows), 1000, true);
}

static void
all_from_zero_is_full_until_the_blob_is_whole(void **state)
{
    (void)state;
    static const struct row growing[] = {{"bytes=0-", RANGE_FULL, 0, 1000},
                                         {"bytes=0-999", RANGE_PART, 0, 1000},
                                         {"bytes=1-", RANGE_PART, 1, 1000}};
    static const struct row whole[] = {{"bytes=0-", RANGE_PART, 0, 1000}};
    check(growing, ARRAY_LEN(growing), 1000, false);
    check(whole, ARRAY_LEN(whole), 1000, true);
}

/* Footers and tables of contents, not what resumes, nor the parts of who reads all in parts. */
static void
what_is_wanted_at_the_end_comes_alone(void **state)
{
    (void)state;
    enum { SMALL = 4u << 20, LARGE = 64u << 20, VAST = 512u << 20 };
    static const struct {
        uint64_t size;
        const char *header;
        bool idle, fetched; /* it comes alone when nobody, or somebody, fetches the blob */
    } rows[] = {
        {LARGE, "bytes=-51", true, true},
        {LARGE, "bytes=-65536", true, true},
        {LARGE, "bytes=67043328-67108863", true, true},
        {LARGE, "bytes=67043328-", false, false},
        {LARGE, "bytes=-1048576", true, true},
        {LARGE, "bytes=-1048577", true, false},
        {LARGE, "bytes=-4194304", true, false},
        {LARGE, "bytes=-4194305", false, false},
        {LARGE, "bytes=-67108864", false, false},
        {LARGE, "bytes=-70000000", false, false},
        {LARGE, "bytes=60000000-60000999", true, false},
        {LARGE, "bytes=50000000-50000999", false, false},
        {LARGE, "bytes=0-67108863", false, false},
        {LARGE, "bytes=0-999", false, false},
        {SMALL, "bytes=-2097152", true, false},
        {SMALL, "bytes=-2097153", false, false},
        {VAST, "bytes=-4194304", true, true},
        {VAST, "bytes=-4194305", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span s;
        assert_int_equal(apply(rows[i].header, rows[i].size, true, &s), RANGE_PART);
        if (range_comes_alone(&s, rows[i].size, false) != rows[i].idle ||
            range_comes_alone(&s, rows[i].size, true) != rows[i].fetched)
            fail_msg("%s of %zu", rows[i].header, (size_t)rows[i].size);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_ranges_are_exact),
        cmocka_unit_test(what_lies_outside_is_unsatisfiable),
        cmocka_unit_test(what_is_not_one_range_of_bytes_gets_all),
        cmocka_unit_test(all_from_zero_is_full_until_the_blob_is_whole),
        cmocka_unit_test(what_is_wanted_at_the_end_comes_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
