/* When a tag is asked for upstream. */
#include "proxy/api/ask.h"
#include "proxy/api/tagget.h"
#include "tests/unit/base/unit.h"

static void
a_tag_is_served_asked_for_or_stale_by_its_age(void **state)
{
    (void)state;
    static const struct {
        bool known;
        int64_t age_ms;
        enum tag_plan plan;
    } table[] = {
        {false, 0, TAG_ASK},
        {true, 0, TAG_SERVE},
        {true, 29999, TAG_SERVE},
        {true, 30000, TAG_ASK_ELSE_STALE},
        {true, 100000, TAG_ASK_ELSE_STALE},
        {true, 100001, TAG_ASK},
        {true, -5000, TAG_ASK_ELSE_STALE}, /* the clock went back */
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(tagget_judge(table[i].known, table[i].age_ms, 30000, 100000),
                         table[i].plan);
}

static void
without_an_interval_upstream_is_always_asked(void **state)
{
    (void)state;
    assert_int_equal(tagget_judge(true, 0, 0, 100000), TAG_ASK_ELSE_STALE);
    assert_int_equal(tagget_judge(true, 1000, 0, 0), TAG_ASK);
}

/* A registry that hangs does not keep a stale tag from a client for as long as a late one may. */
static void
who_has_a_stale_tag_waits_by_what_is_known_of_the_registry(void **state)
{
    (void)state;
    int64_t usual_ms = ask_stale_wait_ms(false, 0);
    assert_true(usual_ms < FIRST_BYTE_MS && usual_ms > FIRST_BYTE_MS / 2);
    assert_int_equal(ask_stale_wait_ms(false, 2000), usual_ms);
    assert_int_equal(ask_stale_wait_ms(false, 7000), 14000);
    assert_true(ask_stale_wait_ms(true, 7000) < FIRST_BYTE_MS / 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_served_asked_for_or_stale_by_its_age),
        cmocka_unit_test(without_an_interval_upstream_is_always_asked),
        cmocka_unit_test(who_has_a_stale_tag_waits_by_what_is_known_of_the_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
