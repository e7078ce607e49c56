#include "base/mem.h"
#include "tests/unit/base/unit.h"

static void
zero_bytes_are_still_an_allocation(void **state)
{
    (void)state;
    void *a = mem_alloc(0);
    void *b = mem_zalloc(0);
    assert_non_null(a);
    assert_non_null(b);
    a = mem_realloc(a, 0);
    assert_non_null(a);
    mem_free(a);
    mem_free(b);
}

static void
zalloc_is_zeroed(void **state)
{
    (void)state;
    char *p = mem_zalloc(100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(p[i], 0);
    mem_free(p);
}

static void
strndup_stops_at_the_end_or_at_the_limit(void **state)
{
    (void)state;
    AUTO(mem_free_text) char *cut = mem_strndup("abcdef", 3);
    AUTO(mem_free_text) char *whole = mem_strndup("ab", 10);
    AUTO(mem_free_text) char *copy = mem_strdup("");
    assert_string_equal(cut, "abc");
    assert_string_equal(whole, "ab");
    assert_string_equal(copy, "");
}

static void
printf_formats_into_fresh_memory(void **state)
{
    (void)state;
    char *p = mem_printf("%s-%d", "a", 7);
    assert_string_equal(p, "a-7");
    mem_free_text(&p);
    assert_null(p);
    mem_free_text(&p);
}

/* Above the sanitizers' own limit they end the process their way. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static void
ask_too_much(void *arg)
{
    volatile size_t bytes = SIZE_MAX / 4 * 3; /* more than malloc may give, of 32 bits too */
    mem_free(mem_alloc(bytes));
    (void)arg;
}

static void
memory_that_is_out_aborts(void **state)
{
    (void)state;
    assert_true(unit_aborts(ask_too_much, NULL));
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_bytes_are_still_an_allocation),
        cmocka_unit_test(zalloc_is_zeroed),
        cmocka_unit_test(strndup_stops_at_the_end_or_at_the_limit),
        cmocka_unit_test(printf_formats_into_fresh_memory),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(memory_that_is_out_aborts),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
