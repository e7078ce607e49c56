/* What a reader does when its blob fails. */
#include "proxy/api/reading.h"
#include "tests/unit/base/unit.h"
#include <errno.h>

static void
each_failure_has_its_way_on(void **state)
{
    (void)state;
    static const struct {
        int code;
        bool passing, may_try_again, fresh;
        enum reading_next next;
    } table[] = {
        {ERR_FULL, false, false, false, READING_PASS},
        {ERR_STORE, false, true, false, READING_PASS},
        {-EIO, false, false, false, READING_PASS},
        {-ENOSPC, false, true, false, READING_PASS},
        {ERR_FULL, false, true, true, READING_AGAIN},
        {ERR_FULL, false, false, true, READING_PASS},
        {ERR_FULL, true, true, false, READING_GIVE_UP},
        {-EIO, true, true, false, READING_GIVE_UP},
        {ERR_UPSTREAM, false, true, false, READING_AGAIN},
        {ERR_UPSTREAM, true, true, false, READING_AGAIN},
        {ERR_TIMEOUT, false, true, false, READING_AGAIN},
        {ERR_SIZE, false, true, false, READING_AGAIN},
        {ERR_NOT_FOUND, false, true, false, READING_AGAIN},
        {ERR_UPSTREAM, false, false, false, READING_GIVE_UP},
        {ERR_NOT_FOUND, false, false, false, READING_GIVE_UP},
        {ERR_DIGEST, false, true, false, READING_GIVE_UP},
        {ERR_CLOSED, false, true, false, READING_GIVE_UP},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (reading_judge(table[i].code, table[i].passing, table[i].may_try_again,
                          table[i].fresh) != table[i].next)
            fail_msg("%s", err_text(table[i].code));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_failure_has_its_way_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
