#include "base/cursor.h"
#include "tests/unit/base/unit.h"
#include <string.h>

static void
a_record_reads_back_as_written(void **state)
{
    (void)state;
    uint8_t room[64];
    struct scribe s;
    struct cursor c;
    char text[8];
    scribe_init(&s, room, sizeof(room));
    scribe_u8(&s, 0xab);
    scribe_u16(&s, 0x1234);
    scribe_u32(&s, 0xdeadbeef);
    scribe_u64(&s, 0x0123456789abcdef);
    scribe_text(&s, "hello");
    scribe_bytes(&s, "\0\1", 2);
    assert_false(s.bad);
    assert_int_equal(scribe_len(&s), 1 + 2 + 4 + 8 + 2 + 5 + 2);
    cursor_init(&c, room, scribe_len(&s));
    assert_int_equal(cursor_u8(&c), 0xab);
    assert_int_equal(cursor_u16(&c), 0x1234);
    assert_int_equal(cursor_u32(&c), 0xdeadbeef);
    assert_true(cursor_u64(&c) == 0x0123456789abcdef);
    cursor_text(&c, text, sizeof(text));
    assert_string_equal(text, "hello");
    assert_false(cursor_done(&c));
    assert_memory_equal(cursor_bytes(&c, 2), "\0\1", 2);
    assert_true(cursor_done(&c));
}

static void
numbers_are_little_endian(void **state)
{
    (void)state;
    uint8_t room[4];
    struct scribe s;
    scribe_init(&s, room, sizeof(room));
    scribe_u32(&s, 0x01020304);
    assert_memory_equal(room, "\4\3\2\1", 4);
}

static void
reading_past_the_end_is_bad_for_good(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c, "\1\2\3", 3);
    assert_int_equal(cursor_u32(&c), 0);
    assert_true(c.bad);
    assert_int_equal(cursor_u8(&c), 0);
    assert_null(cursor_bytes(&c, 0));
    assert_false(cursor_done(&c));
}

static void
a_text_is_bad_when_too_long_or_holding_a_zero(void **state)
{
    (void)state;
    struct cursor c;
    char text[4] = "old";
    cursor_init(&c, "\4\0abcd", 6);
    cursor_text(&c, text, sizeof(text));
    assert_true(c.bad);
    assert_string_equal(text, "");
    cursor_init(&c, "\3\0a\0c", 5);
    cursor_text(&c, text, sizeof(text));
    assert_true(c.bad);
    cursor_init(&c, "\3\0ab", 4);
    cursor_text(&c, text, sizeof(text));
    assert_true(c.bad);
    cursor_init(&c, "\3\0abc", 5);
    cursor_text(&c, text, sizeof(text));
    assert_true(cursor_done(&c));
    assert_string_equal(text, "abc");
}

static void
writing_past_the_end_is_bad_and_writes_nothing(void **state)
{
    (void)state;
    uint8_t room[6] = "......";
    struct scribe s;
    scribe_init(&s, room, 5);
    scribe_u8(&s, 'a');
    scribe_text(&s, "bcd");
    assert_true(s.bad);
    assert_int_equal(scribe_len(&s), 1);
    scribe_u8(&s, 'e');
    assert_memory_equal(room, "a.....", 6);
}

static void
a_text_of_64_kib_does_not_fit_its_length_field(void **state)
{
    (void)state;
    static char text[65537];
    static uint8_t room[70000];
    struct scribe s;
    memset(text, 'a', 65536);
    scribe_init(&s, room, sizeof(room));
    scribe_text(&s, text);
    assert_true(s.bad);
    text[65535] = '\0';
    scribe_init(&s, room, sizeof(room));
    scribe_text(&s, text);
    assert_false(s.bad);
    assert_int_equal(scribe_len(&s), 65537);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_back_as_written),
        cmocka_unit_test(numbers_are_little_endian),
        cmocka_unit_test(reading_past_the_end_is_bad_for_good),
        cmocka_unit_test(a_text_is_bad_when_too_long_or_holding_a_zero),
        cmocka_unit_test(writing_past_the_end_is_bad_and_writes_nothing),
        cmocka_unit_test(a_text_of_64_kib_does_not_fit_its_length_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
