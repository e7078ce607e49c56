#include "base/buf.h"
#include "base/err.h"
#include "tests/unit/base/unit.h"

static void
an_empty_buffer_is_an_empty_text(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_string_equal(buf_text(&b), "");
    buf_clear(&b);
    buf_release(&b);
    buf_release(&b);
}

static void
it_grows_to_its_limit_and_not_further(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_add(&b, "x", 1), 0);
    assert_int_equal(b.len, 1000);
    assert_true(b.cap <= 1001);
    assert_int_equal(buf_add(&b, "y", 1), ERR_LIMIT);
    assert_int_equal(buf_add(&b, "y", 0), 0);
    assert_int_equal(b.len, 1000);
    assert_int_equal(b.data[999], 'x');
    assert_int_equal(b.data[1000], 0);
}

static void
what_does_not_fit_adds_nothing(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 5);
    assert_int_equal(buf_add_text(&b, "abc"), 0);
    assert_int_equal(buf_add_text(&b, "def"), ERR_LIMIT);
    assert_int_equal(buf_printf(&b, "%d", 123), ERR_LIMIT);
    assert_string_equal(buf_text(&b), "abc");
    assert_int_equal(buf_printf(&b, "%d", 12), 0);
    assert_string_equal(buf_text(&b), "abc12");
}

static void
printf_appends_however_long(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 100000);
    assert_int_equal(buf_printf(&b, "%s", "start"), 0);
    assert_int_equal(buf_printf(&b, "%5000d", 7), 0);
    assert_int_equal(b.len, 5005);
    assert_int_equal(b.data[5004], '7');
}

static void
cut_drops_the_back(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf b;
    buf_init(&b, 100);
    assert_int_equal(buf_add_text(&b, "abcdef"), 0);
    buf_cut(&b, 3);
    assert_string_equal(buf_text(&b), "abc");
    buf_cut(&b, 0);
    assert_string_equal(buf_text(&b), "");
    assert_int_equal(b.len, 0);
}

static void
release_keeps_the_limit(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 3);
    assert_int_equal(buf_add_text(&b, "abc"), 0);
    buf_release(&b);
    assert_int_equal(buf_add_text(&b, "abcd"), ERR_LIMIT);
    assert_int_equal(buf_add_text(&b, "abc"), 0);
    buf_release(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_text),
        cmocka_unit_test(it_grows_to_its_limit_and_not_further),
        cmocka_unit_test(what_does_not_fit_adds_nothing),
        cmocka_unit_test(printf_appends_however_long),
        cmocka_unit_test(cut_drops_the_back),
        cmocka_unit_test(release_keeps_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
