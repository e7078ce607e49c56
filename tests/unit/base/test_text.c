#include "base/err.h"
#include "base/text.h"
#include "tests/unit/base/unit.h"
#include <string.h>

static void
u64_takes_digits_only_and_the_whole_range(void **state)
{
    (void)state;
    uint64_t v = 7;
    static const char *const bad[] = {
        "", " 1", "1 ", "+1", "-1", "0x1", "1a", "18446744073709551616", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(text_u64(bad[i], strlen(bad[i]), &v), ERR_SYNTAX);
    assert_int_equal(v, 7);
    assert_int_equal(text_u64("18446744073709551615", 20, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(text_u64("00123xyz", 5, &v), 0);
    assert_int_equal(v, 123);
}

static void
sizes_have_binary_and_decimal_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},          {"4096", 4096},         {"4096B", 4096},      {"512KiB", 524288},
        {"1MiB", 1048576}, {"20GiB", 20ull << 30}, {"2TiB", 2ull << 40}, {"1KB", 1000},
        {"1kB", 1000},     {"3MB", 3000000},       {"1GB", 1000000000},  {"1TB", 1000000000000},
    };
    static const char *const bad[] = {
        "", "GiB", "1 GiB", "1gib", "-1", "1.5GiB", "1GiBx", "1K", "20000000000000000TiB"};
    uint64_t v;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(text_size(good[i].text, &v), 0);
        assert_true(v == good[i].bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(text_size(bad[i], &v), ERR_SYNTAX);
}

static void
durations_have_units_that_fall(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"0", 0},          {"250ms", 250},    {"30s", 30000},     {"5m", 300000},
        {"24h", 86400000}, {"7d", 604800000}, {"1h30m", 5400000}, {"1m1ms", 60001},
    };
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "1.5s",
                                      "5 s",
                                      "-1s",
                                      "1s1m",
                                      "1s2s",
                                      "1m2",
                                      "5S",
                                      "5sx",
                                      "99999999999999d",
                                      "106751991168d"};
    int64_t v;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(text_duration(good[i].text, &v), 0);
        assert_true(v == good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(text_duration(bad[i], &v), ERR_SYNTAX);
}

static void
sizes_print_with_one_decimal(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1024, "1 KiB"},
        {1536, "1.5 KiB"},
        {1047552, "1023 KiB"},
        {1048575, "1023.9 KiB"},
        {20ull << 30, "20 GiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    char text[TEXT_SIZE_MAX];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        text_print_size(cases[i].bytes, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void
durations_print_their_two_largest_units(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-5, "0ms"},
        {0, "0ms"},
        {250, "250ms"},
        {1500, "1s500ms"},
        {30000, "30s"},
        {90000, "1m30s"},
        {90500, "1m30s"},
        {5400000, "1h30m"},
        {3600001, "1h"},
        {90000000, "1d1h"},
        {INT64_MAX, "106751991167d7h"},
    };
    char text[TEXT_SIZE_MAX];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        text_print_duration(cases[i].ms, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void
copy_and_printf_give_all_or_an_empty_text(void **state)
{
    (void)state;
    char room[4] = "old";
    assert_int_equal(text_copy(room, sizeof(room), "abcd"), ERR_LIMIT);
    assert_string_equal(room, "");
    assert_int_equal(text_copy(room, sizeof(room), "abc"), 0);
    assert_string_equal(room, "abc");
    assert_int_equal(text_printf(room, sizeof(room), "%d", 1234), ERR_LIMIT);
    assert_string_equal(room, "");
    assert_int_equal(text_printf(room, sizeof(room), "%d", 123), 0);
    assert_string_equal(room, "123");
}

static void
escape_shows_every_byte_in_printable_ascii(void **state)
{
    (void)state;
    char room[64];
    text_escape(room, sizeof(room), "a b\n\"\\\x7f\xc3\0z", 10);
    assert_string_equal(room, "a b\\x0a\\x22\\x5c\\x7f\\xc3\\x00z");
}

static void
escape_marks_what_it_cuts_and_splits_no_escape(void **state)
{
    (void)state;
    char room[16];
    for (size_t cap = 4; cap <= sizeof(room); cap++) {
        memset(room, '#', sizeof(room));
        text_escape(room, cap, "a\nb\nc\nd\n", 8);
        size_t len = strnlen(room, cap);
        assert_true(len < cap);
        assert_string_equal(room + len - 3, "...");
        const char *slash = strrchr(room, '\\');
        assert_true(slash == NULL || slash + 4 <= room + len - 3);
    }
    text_escape(room, 4, "abc", 3);
    assert_string_equal(room, "abc");
    text_escape(room, 4, "abcd", 4);
    assert_string_equal(room, "...");
}

static void
prefixes_suffixes_and_case(void **state)
{
    (void)state;
    assert_true(text_starts("registry", "reg"));
    assert_true(text_starts("x", ""));
    assert_false(text_starts("re", "reg"));
    assert_true(text_ends("a.json", ".json"));
    assert_false(text_ends("json", ".json"));
    assert_true(text_equal_nocase("BeArEr", "bearer"));
    assert_true(text_equal_nocase("", ""));
    assert_false(text_equal_nocase("bearer", "bearers"));
    assert_false(text_equal_nocase("[", "{")); /* differ by 0x20, but are no letters */
}

static void
hex_goes_both_ways_in_lower_case(void **state)
{
    (void)state;
    char hex[9];
    uint8_t back[4] = {9, 9, 9, 9};
    text_hex(hex, "\x00\xff\x1a\xa1", 4);
    assert_string_equal(hex, "00ff1aa1");
    assert_int_equal(text_unhex(back, hex, 8), 0);
    assert_memory_equal(back, "\x00\xff\x1a\xa1", 4);
    assert_int_equal(text_unhex(back, "012", 3), ERR_SYNTAX);
    assert_int_equal(text_unhex(back, "0F", 2), ERR_SYNTAX);
    assert_int_equal(text_unhex(back, "001g", 4), ERR_SYNTAX);
    assert_memory_equal(back, "\x00\xff\x1a\xa1", 4);
}

static void
distance_counts_single_edits(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        size_t edits;
    } cases[] = {
        {"", "", 0},
        {"abc", "abc", 0},
        {"", "abc", 3},
        {"abc", "", 3},
        {"size", "sizes", 1},
        {"size", "zise", 2},
        {"kitten", "sitting", 3},
        {"listen", "lsiten", 2},
        {"flaw", "lawn", 2},
    };
    char longer[70];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(text_distance(cases[i].a, cases[i].b), cases[i].edits);
        assert_int_equal(text_distance(cases[i].b, cases[i].a), cases[i].edits);
    }
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(text_distance(longer, "a"), 69);
}

static void
http_dates_have_three_forms_and_pass_2038(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want_s;
    } right[] = {{"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
                 {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
                 {"Sun Nov  6 08:49:37 1994", 784111777},
                 {" Sun, 06 Nov 1994 08:49:37 GMT\r\n", 784111777},
                 {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
                 {"Fri, 01 Jan 2100 00:00:00 GMT", 4102444800}};
    static const char *const wrong[] = {"", "soon", "7", "Sun, 06 Nov 1994 08:49:37 GMT+1",
                                        "Sun, 46 Nov 1994 08:49:37 GMT"};
    int64_t at_s = 0;
    for (size_t i = 0; i < ARRAY_LEN(right); i++) {
        assert_int_equal(text_http_date(right[i].text, &at_s), 0);
        assert_int_equal(at_s, right[i].want_s);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(text_http_date(wrong[i], &at_s), ERR_SYNTAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(u64_takes_digits_only_and_the_whole_range),
        cmocka_unit_test(sizes_have_binary_and_decimal_units),
        cmocka_unit_test(durations_have_units_that_fall),
        cmocka_unit_test(sizes_print_with_one_decimal),
        cmocka_unit_test(durations_print_their_two_largest_units),
        cmocka_unit_test(copy_and_printf_give_all_or_an_empty_text),
        cmocka_unit_test(escape_shows_every_byte_in_printable_ascii),
        cmocka_unit_test(escape_marks_what_it_cuts_and_splits_no_escape),
        cmocka_unit_test(prefixes_suffixes_and_case),
        cmocka_unit_test(hex_goes_both_ways_in_lower_case),
        cmocka_unit_test(distance_counts_single_edits),
        cmocka_unit_test(http_dates_have_three_forms_and_pass_2038),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
