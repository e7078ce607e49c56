#include "tests/unit/base/unit.h"

#include "proxy/api/pulls.h"
#include <stdio.h>
#include <string.h>

static struct pulls *all;
static const struct ref v1 = {.tag = "v1"}, v2 = {.tag = "v2"};

static int
build(void **state)
{
    (void)state;
    all = pulls_new();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    pulls_free(all);
    return 0;
}

static uint64_t
begin(const char *client, const char *repository, const struct ref *ref, int64_t now_ms)
{
    return pulls_begin(all, client, "docker", repository, ref, now_ms);
}

static void
end(uint64_t id, uint64_t bytes, unsigned status, int64_t now_ms)
{
    struct pull_step s = {.took_ms = 10,
                          .bytes = bytes,
                          .from_cache = bytes,
                          .status = status,
                          .source = "cache",
                          .why = ""};
    pulls_end(all, id, &s, now_ms);
}

static void
what_one_client_asks_of_one_repository_is_one_pull(void **state)
{
    (void)state;
    struct pull got;
    uint64_t id = begin("10.0.0.1", "a.test/web", &v1, 1000);
    end(id, 0, 200, 1010);
    assert_int_equal(begin("10.0.0.1", "a.test/web", NULL, 1020), id);
    assert_int_equal(begin("10.0.0.1", "a.test/web", NULL, 1021), id);
    end(id, 100, 200, 1500);
    end(id, 50, 404, 1600);
    assert_int_equal(pulls_list(all, &got, 1), 1);
    assert_string_equal(got.reference, "v1");
    assert_int_equal(got.bytes, 150);
    assert_int_equal(got.from_cache, 150);
    assert_int_equal(got.refused, 1);
    assert_int_equal(got.steps_count, 3);
    assert_int_equal(got.steps[1].at_ms, 490);
    assert_int_equal(got.last_ms, 1600);
    pull_release(&got);
}

static void
another_client_repository_or_tag_is_another_pull(void **state)
{
    (void)state;
    uint64_t id = begin("10.0.0.1", "a.test/web", &v1, 0);
    assert_int_not_equal(begin("10.0.0.2", "a.test/web", &v1, 1), id);
    assert_int_not_equal(begin("10.0.0.1", "a.test/app", &v1, 2), id);
    uint64_t other = begin("10.0.0.1", "a.test/web", &v2, 3);
    assert_int_not_equal(other, id);
    assert_int_equal(begin("10.0.0.1", "a.test/web", NULL, 4), other);
}

static void
it_is_over_after_a_pause_and_told_once(void **state)
{
    (void)state;
    struct pull got;
    uint64_t id = begin("c", "a.test/web", &v1, 0);
    assert_false(pulls_next_over(all, 2 * PULLS_IDLE_MS, false, &got)); /* it runs */
    end(id, 1, 200, 100);
    assert_false(pulls_next_over(all, 99 + PULLS_IDLE_MS, false, &got));
    assert_true(pulls_next_over(all, 100 + PULLS_IDLE_MS, false, &got));
    assert_true(got.over);
    pull_release(&got);
    assert_false(pulls_next_over(all, 10 * PULLS_IDLE_MS, false, &got));
    assert_int_not_equal(begin("c", "a.test/web", &v1, 20 * PULLS_IDLE_MS), id);
    assert_true(pulls_next_over(all, 20 * PULLS_IDLE_MS, true, &got));
    pull_release(&got);
}

static void
everything_is_bounded(void **state)
{
    (void)state;
    struct pull got[PULLS_KEPT];
    char client[16];
    uint64_t first = begin("0", "r", NULL, 0);
    for (unsigned i = 1; i <= PULLS_KEPT; i++) {
        (void)snprintf(client, sizeof client, "%u", i);
        (void)begin(client, "r", NULL, 0);
    }
    end(first, 1, 200, 1); /* pushed out while it ran */
    uint64_t last = begin("last", "r", NULL, 0);
    for (unsigned i = 0; i < PULLS_STEPS_MAX + 7; i++)
        end(last, 1, 200, 1);
    assert_int_equal(pulls_list(all, got, PULLS_KEPT), PULLS_KEPT);
    assert_int_equal(got[0].steps_count, PULLS_STEPS_MAX);
    assert_int_equal(got[0].omitted, 7);
    assert_int_equal(got[0].bytes, PULLS_STEPS_MAX + 7);
    for (unsigned i = 0; i < PULLS_KEPT; i++)
        pull_release(&got[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_one_client_asks_of_one_repository_is_one_pull, build,
                                        tear_down),
        cmocka_unit_test_setup_teardown(another_client_repository_or_tag_is_another_pull, build,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_is_over_after_a_pause_and_told_once, build, tear_down),
        cmocka_unit_test_setup_teardown(everything_is_bounded, build, tear_down),
    };
    return cmocka_run_group_tests_name("pulls", tests, NULL, NULL);
}
