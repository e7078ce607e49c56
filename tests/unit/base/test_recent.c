#include "tests/unit/base/unit.h"

#include "base/mem.h"
#include "base/recent.h"
#include <string.h>

static struct recent *got;

static int
build(void **state)
{
    (void)state;
    got = mem_alloc(RECENT_MAX * sizeof *got);
    log_configure(LOG_ERROR, false); /* what is not written is kept all the same */
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    mem_free(got);
    return 0;
}

static const struct recent nothing;

/* Of one event, and the newest of them. */
static size_t
count_of(enum log_event event, const struct recent **ret_newest)
{
    size_t count = recent_list(got, RECENT_MAX), found = 0;
    *ret_newest = &nothing;
    for (size_t i = count; i > 0; i--) {
        if (got[i - 1].event != event)
            continue;
        found++;
        *ret_newest = &got[i - 1];
    }
    return found;
}

static void
a_storm_of_one_kind_hides_no_other(void **state)
{
    (void)state;
    const struct recent *newest;
    LOG(elected, LOG_S("what", "is tracker"), LOG_U("epoch", 7));
    for (unsigned i = 0; i < 1000; i++)
        LOG(peer_failed, LOG_U("at", i));
    assert_int_equal(count_of(LOG_EV_peer_failed, &newest), RECENT_KEPT);
    assert_int_equal(newest->number, 1000);
    assert_string_equal(newest->values + newest->fields[0].at, "999");
    assert_int_equal(count_of(LOG_EV_elected, &newest), 1);
    assert_int_equal(newest->count, 2);
    assert_string_equal(newest->fields[0].key, "what");
    assert_string_equal(newest->values + newest->fields[0].at, "is tracker");
    assert_string_equal(newest->values + newest->fields[1].at, "7");
}

static void
routine_is_not_kept(void **state)
{
    (void)state;
    const struct recent *newest;
    LOG(access, LOG_U("bytes", 1));
    LOG(pull, LOG_U("bytes", 1));
    assert_int_equal(count_of(LOG_EV_access, &newest) + count_of(LOG_EV_pull, &newest), 0);
}

static void
long_values_are_cut_and_more_fields_left_out(void **state)
{
    (void)state;
    const struct recent *newest;
    char big[1000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    LOG(reload_refused, LOG_S("key", "a"), LOG_S("error", big), LOG_S("more", "b"));
    assert_int_equal(count_of(LOG_EV_reload_refused, &newest), 1);
    assert_int_equal(newest->count, 2);
    assert_int_equal(strlen(newest->values + newest->fields[1].at), RECENT_BYTES - 3);
    LOG(stop, LOG_U("1", 1), LOG_U("2", 2), LOG_U("3", 3), LOG_U("4", 4), LOG_U("5", 5),
        LOG_U("6", 6), LOG_U("7", 7), LOG_U("8", 8), LOG_U("9", 9));
    assert_int_equal(count_of(LOG_EV_stop, &newest), 1);
    assert_int_equal(newest->count, RECENT_FIELDS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_of_one_kind_hides_no_other),
        cmocka_unit_test(routine_is_not_kept),
        cmocka_unit_test(long_values_are_cut_and_more_fields_left_out),
    };
    return cmocka_run_group_tests_name("recent", tests, build, tear_down);
}
