#include "tests/unit/p2p/unit.h"

#include "p2p/piece.h"
#include "p2p/preseed.h"

#define SIZE 1000

static struct preseed *p;
static struct digest found;
static uint64_t size;

static int
set_up(void **state)
{
    (void)state;
    p = preseed_new();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    preseed_free(p);
    return 0;
}

static void
heard(uint8_t blob, uint64_t from_site, uint64_t to_site, int64_t now_ms)
{
    struct digest d = unit_blob(blob);
    for (uint64_t site = from_site; site <= to_site; site++)
        preseed_heard(p, &d, SIZE, site, now_ms);
}

static bool
due(size_t other_sites, int64_t now_ms)
{
    return preseed_due(p, other_sites, now_ms, &found, &size);
}

static void
a_quarter_of_the_sites_and_at_least_two_are_needed(void **state)
{
    (void)state;
    const struct {
        size_t others;
        uint64_t needed;
    } sites[] = {{1, 2}, {2, 2}, {7, 2}, {8, 3}, {11, 3}, {99, 25}, {4999, PRESEED_SITES_MAX}};
    for (uint8_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        heard(i, 1, sites[i].needed - 1, 0);
        assert_false(due(sites[i].others, 0));
        heard(i, sites[i].needed, sites[i].needed, 0);
        assert_true(due(sites[i].others, 0));
        struct digest d = unit_blob(i);
        assert_true(digest_equal(&found, &d));
        assert_int_equal(size, SIZE);
    }
}

static void
a_size_that_no_blob_has_is_not_heard(void **state)
{
    (void)state;
    struct digest d = unit_blob(1);
    for (uint64_t site = 1; site < 4; site++) {
        preseed_heard(p, &d, 0, site, 0);
        preseed_heard(p, &d, PIECE_BLOB_MAX + 1, site, 0);
    }
    assert_false(due(3, 0));
}

static void
one_site_that_says_it_often_is_one_site(void **state)
{
    (void)state;
    for (int64_t now_ms = 0; now_ms < 5000; now_ms += 1000)
        heard(1, 7, 7, now_ms);
    assert_false(due(3, 5000));
}

static void
each_is_given_once_and_again_when_it_is_still_pulled_later(void **state)
{
    (void)state;
    heard(1, 1, 2, 0);
    assert_true(due(3, 0));
    heard(1, 1, 3, PRESEED_MS - 1);
    assert_false(due(3, PRESEED_MS - 1));
    assert_true(due(3, PRESEED_MS));
}

static void
what_is_long_ago_does_not_count(void **state)
{
    (void)state;
    heard(1, 1, 1, 0);
    heard(1, 2, 2, PRESEED_HEARD_MS);
    assert_false(due(3, PRESEED_HEARD_MS));
    heard(1, 3, 3, PRESEED_HEARD_MS + 1);
    assert_true(due(3, PRESEED_HEARD_MS + 1));
}

static void
what_was_pulled_here_need_not_come(void **state)
{
    (void)state;
    struct digest d = unit_blob(1);
    preseed_pulled(p, &d, SIZE, 0);
    heard(1, 1, 3, 0);
    assert_false(due(3, 0));
}

static void
pulls_of_the_own_site_are_told_again_and_again_for_a_while(void **state)
{
    (void)state;
    struct digest d = unit_blob(1);
    unsigned told = 0;
    heard(2, 1, 2, 0); /* what others pull is not told on */
    preseed_pulled(p, &d, SIZE, 0);
    for (int64_t now_ms = 0; now_ms < 2 * PRESEED_MS; now_ms += 1000)
        while (preseed_tell(p, now_ms, &found, &size)) {
            assert_true(digest_equal(&found, &d));
            told++;
        }
    assert_int_equal(told, PRESEED_MS / PRESEED_SAY_MS);
}

static void
the_one_that_nobody_spoke_of_for_longest_is_forgotten(void **state)
{
    (void)state;
    struct digest d;
    heard(1, 1, 1, 0);
    heard(2, 1, 1, 1);
    for (unsigned i = 2; i <= PRESEED_BLOBS_MAX; i++) {
        digest_of(DIGEST_SHA256, &i, sizeof i, &d);
        preseed_heard(p, &d, SIZE, 1, 2);
    }
    heard(2, 2, 2, 3);
    assert_true(due(3, 3));
    heard(1, 2, 2, 4); /* it was, and is the first one again */
    assert_false(due(3, 4));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_quarter_of_the_sites_and_at_least_two_are_needed),
        TEST(a_size_that_no_blob_has_is_not_heard),
        TEST(one_site_that_says_it_often_is_one_site),
        TEST(each_is_given_once_and_again_when_it_is_still_pulled_later),
        TEST(what_is_long_ago_does_not_count),
        TEST(what_was_pulled_here_need_not_come),
        TEST(pulls_of_the_own_site_are_told_again_and_again_for_a_while),
        TEST(the_one_that_nobody_spoke_of_for_longest_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
