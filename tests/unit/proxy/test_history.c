#include "tests/unit/base/unit.h"

#include "base/mem.h"
#include "proxy/upstream/history.h"

static void
the_newest_come_first_and_the_oldest_go(void **state)
{
    (void)state;
    struct history h;
    struct fetched_info *got = mem_alloc(FETCHED_MAX * sizeof *got);
    history_init(&h);
    assert_int_equal(history_list(&h, got, FETCHED_MAX), 0);
    for (int64_t i = 0; i < FETCHED_MAX + 5; i++)
        history_add(&h, &(struct fetched_info){.ended_ms = i});
    assert_int_equal(history_list(&h, got, FETCHED_MAX), FETCHED_MAX);
    assert_int_equal(got[0].ended_ms, FETCHED_MAX + 4);
    assert_int_equal(got[FETCHED_MAX - 1].ended_ms, 5);
    assert_int_equal(history_list(&h, got, 2), 2);
    assert_int_equal(got[1].ended_ms, FETCHED_MAX + 3);
    history_release(&h);
    mem_free(got);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_come_first_and_the_oldest_go),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
