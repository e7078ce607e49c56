/* Questions that were heard lately. */
#include "p2p/questions.h"
#include "tests/unit/p2p/unit.h"

static void
hear(struct questions *c, uint8_t blob, unsigned times, int64_t now_ms)
{
    struct digest d = unit_blob(blob);
    for (unsigned i = 0; i < times; i++)
        questions_heard(c, &d, now_ms);
}

static bool
suffices(const struct questions *c, uint8_t blob, int64_t now_ms)
{
    struct digest d = unit_blob(blob);
    return questions_suffice(c, &d, now_ms);
}

static void
so_many_questions_within_a_second_are_enough_about_each_blob(void **state)
{
    (void)state;
    struct questions c = {0};
    assert_false(suffices(&c, 1, 0));
    hear(&c, 1, QUESTIONS_ENOUGH - 1, 5000);
    hear(&c, 2, 1, 5000);
    assert_false(suffices(&c, 1, 5000));
    hear(&c, 1, 1, 5000 + QUESTIONS_MS - 1);
    assert_true(suffices(&c, 1, 5000 + QUESTIONS_MS - 1));
    assert_false(suffices(&c, 2, 5000 + QUESTIONS_MS - 1));
    assert_false(suffices(&c, 1, 5000 + QUESTIONS_MS));
    hear(&c, 1, QUESTIONS_ENOUGH - 1, 5000 + QUESTIONS_MS); /* from one on again */
    assert_false(suffices(&c, 1, 5000 + QUESTIONS_MS));
}

static void
a_full_table_forgets_the_blob_that_was_asked_for_first(void **state)
{
    (void)state;
    struct questions c = {0};
    for (uint8_t i = 0; i <= QUESTIONS_BLOBS; i++)
        hear(&c, (uint8_t)(i + 1), QUESTIONS_ENOUGH, 100 + i);
    assert_false(suffices(&c, 1, 200));
    assert_true(suffices(&c, 2, 200));
    assert_true(suffices(&c, QUESTIONS_BLOBS + 1, 200));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_questions_within_a_second_are_enough_about_each_blob),
        cmocka_unit_test(a_full_table_forgets_the_blob_that_was_asked_for_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
