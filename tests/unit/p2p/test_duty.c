#include "tests/unit/p2p/unit.h"

#include "p2p/duty.h"

#define PIECE 1000u

static struct duties
duties(void)
{
    struct duties r;
    duty_init(&r, 9500, PIECE);
    return r;
}

static struct duty *
running(struct duties *r, uint32_t lease, uint32_t first, uint32_t count, uint32_t get)
{
    struct wire_grant g = {.lease = lease, .epoch = 1, .first = first, .count = count};
    assert_non_null(duty_add(r, &g));
    struct duty *a = duty_ready(r);
    assert_non_null(a);
    duty_run(a, get, 0);
    return a;
}

static void
what_ended_is_reported_until_the_tracker_has_read_it(void **state)
{
    (void)state;
    struct duties r = duties();
    struct duty *a = running(&r, 70000, 8, 2, 5);
    struct wire_fetching f;
    size_t at = 0;
    (void)duty_progress(&r, a, 1500, 1000);
    duty_end(&r, a, false, 1000);
    assert_true(duty_report(&r, &at, &f));
    assert_int_equal(f.state, WIRE_DONE);
    duty_told(&r);
    at = 0;
    assert_true(duty_report(&r, &at, &f));
    duty_taken(&r);
    at = 0;
    assert_false(duty_report(&r, &at, &f));
    assert_int_equal(r.wan_rate, 1500);
}

static void
what_came_by_another_way_is_done_and_was_no_byte_of_the_wan(void **state)
{
    (void)state;
    struct duties r = duties();
    struct wire_grant g = {.lease = 70000, .epoch = 1, .first = 0, .count = 2};
    struct wire_fetching f;
    size_t at = 0;
    duty_needless(duty_add(&r, &g));
    assert_true(duty_report(&r, &at, &f));
    assert_int_equal(f.state, WIRE_DONE);
    assert_int_equal(f.done_bytes, 0);
}

static void
a_range_that_ends_early_has_failed(void **state)
{
    (void)state;
    struct duties r = duties();
    struct duty *a = running(&r, 70000, 0, 2, 5);
    struct wire_fetching f;
    size_t at = 0;
    (void)duty_progress(&r, a, 1999, 1000);
    duty_end(&r, a, false, 1000);
    assert_true(duty_report(&r, &at, &f));
    assert_int_equal(f.state, WIRE_FAILED);
    assert_int_equal(f.done_bytes, 1999);
}

static void
a_trim_leaves_the_piece_that_is_arriving(void **state)
{
    (void)state;
    struct duties r = duties();
    struct duty *a = running(&r, 70000, 0, 8, 5), *hit = NULL;
    struct wire_trim t = {.lease = 70000, .end = 1};
    uint32_t end = 0;
    (void)duty_progress(&r, a, 3500, 100);
    assert_true(duty_trim(&r, &t, &hit, &end));
    assert_ptr_equal(hit, a);
    assert_int_equal(end, 4);
    assert_int_equal(a->end, 4);
    t.end = 6;
    assert_false(duty_trim(&r, &t, &hit, &end)); /* it is shorter already */
}

static void
a_revocation_ends_the_request_where_it_is(void **state)
{
    (void)state;
    struct duties r = duties();
    struct duty *a = running(&r, 70000, 0, 8, 5), *hit = NULL;
    struct wire_trim t = {.lease = 70000, .end = 0};
    uint32_t end = 99;
    (void)duty_progress(&r, a, 3500, 100);
    assert_true(duty_trim(&r, &t, &hit, &end));
    assert_int_equal(end, 3);
    t.lease = 1;
    assert_false(duty_trim(&r, &t, &hit, &end));
}

static void
a_revoked_lease_that_was_not_begun_is_gone(void **state)
{
    (void)state;
    struct duties r = duties();
    struct duty *hit;
    struct wire_trim t = {.lease = 70000, .end = 0};
    uint32_t end;
    struct wire_grant g = {.lease = 70000, .epoch = 1, .count = 2};
    assert_non_null(duty_add(&r, &g));
    assert_false(duty_trim(&r, &t, &hit, &end));
    assert_null(duty_ready(&r));
    assert_int_equal(duty_working(&r), 0);
}

static void
the_next_lease_is_asked_for_shortly_before_the_end(void **state)
{
    (void)state;
    struct duties r = duties();
    struct duty *a = running(&r, 70000, 0, 1, 5);
    assert_false(duty_progress(&r, a, 700, 700)); /* 300 ms left */
    assert_false(duty_wants_more(&r));
    assert_true(duty_progress(&r, a, 60, 760)); /* 240 ms left */
    assert_true(duty_wants_more(&r));
}

static void
two_leases_are_enough_and_where_sites_give_one_of_theirs_comes_too(void **state)
{
    (void)state;
    struct duties r = duties();
    struct wire_grant far = {
        .lease = 70001, .epoch = 1, .first = 4, .count = 1, .source = WIRE_REMOTE_SITE};
    assert_true(duty_wants_more(&r));
    (void)running(&r, 70000, 0, 1, 5);
    assert_true(duty_sip(&r, 7, 100));
    assert_false(duty_wants_more(&r)); /* it has only begun */
    assert_non_null(duty_add(&r, &far));
    assert_false(duty_wants_more(&r));
    struct wire_trim all = {.lease = 70001, .end = 0};
    struct duty *hit;
    uint32_t end;
    (void)duty_trim(&r, &all, &hit, &end);
    assert_true(duty_wants_more(&r)); /* others give, beside the registry */
}

static void
upstream_one_request_follows_the_other(void **state)
{
    (void)state;
    struct duties r = duties();
    struct duty *a = running(&r, 70000, 0, 2, 5);
    struct wire_grant next = {.lease = 70001, .epoch = 1, .first = 2, .count = 2};
    struct wire_grant far = {.lease = 70002, .epoch = 1, .first = 4, .count = 2};
    assert_non_null(duty_add(&r, &next));
    assert_null(duty_ready(&r));
    far.source = WIRE_REMOTE_SITE;
    far.node = unit_node(7);
    assert_non_null(duty_add(&r, &far));
    assert_int_equal(duty_ready(&r)->lease, 70002); /* pieces of a node come one by one anyway */
    duty_end(&r, a, false, 1000);
    assert_int_equal(duty_ready(&r)->lease, 70001);
}

static void
own_ones_go_first_then_the_lowest(void **state)
{
    (void)state;
    struct duties r = duties();
    struct wire_grant later = {.lease = 70000, .epoch = 1, .first = 5, .count = 2};
    struct wire_grant lost = {.lease = 70001, .epoch = 1, .first = 0, .count = 1};
    assert_non_null(duty_add(&r, &later));
    assert_non_null(duty_add(&r, &lost));
    assert_int_equal(duty_ready(&r)->first, 0);
    assert_true(duty_take(&r, 7, 1, true));
    assert_int_equal(duty_ready(&r)->first, 7);
}

static void
a_sip_is_taken_beside_a_lease_and_told_to_nobody(void **state)
{
    (void)state;
    struct duties r = duties();
    struct duty *lease = running(&r, 70000, 4, 2, 5);
    struct wire_fetching f;
    size_t at = 0;
    struct wire_grant next = {.lease = 70001, .epoch = 1, .first = 6, .count = 2};
    assert_non_null(duty_add(&r, &next));
    assert_true(duty_sip(&r, 9, 100));
    assert_int_equal(duty_working(&r), 2); /* it takes no lease's place */
    struct duty *sip = duty_ready(&r);
    assert_non_null(sip);
    assert_int_equal(sip->first, 9);
    assert_int_equal(sip->end, 10);
    assert_int_equal(sip->sip, 100);
    duty_run(sip, 6, 0);
    assert_true(duty_sips(&r));
    assert_null(duty_ready(&r));
    duty_end(&r, lease, false, 50);
    assert_int_equal(duty_ready(&r)->lease, 70001);
    r.wan_rate = 0;
    assert_true(duty_progress(&r, sip, 100, 50)); /* that is all of it */
    duty_end(&r, sip, false, 50);
    assert_int_equal(sip->phase, DUTY_NONE);
    assert_false(duty_sips(&r));
    assert_int_equal(r.wan_rate, 0); /* too little to measure */
    assert_true(duty_report(&r, &at, &f));
    assert_int_equal(f.lease, 70000);
    assert_true(duty_report(&r, &at, &f));
    assert_int_equal(f.lease, 70001);
    assert_false(duty_report(&r, &at, &f));
}

static void
there_is_a_limit_and_own_ids_stay_below_leases(void **state)
{
    (void)state;
    struct duties r = duties();
    for (unsigned i = 0; i < DUTIES_MAX; i++)
        assert_true(duty_take(&r, i, 1, false));
    assert_false(duty_take(&r, 8, 1, false));
    for (unsigned i = 0; i < DUTIES_MAX; i++)
        assert_in_range(r.list[i].lease, 1, DUTY_OWN_IDS);
    assert_int_not_equal(r.list[0].lease, r.list[1].lease);
}

static void
who_rests_gives_back_what_was_not_begun(void **state)
{
    (void)state;
    struct duties r = duties();
    struct wire_grant g = {.lease = 70001, .epoch = 1, .first = 4, .count = 2};
    struct wire_fetching f;
    size_t at = 0;
    (void)running(&r, 70000, 0, 2, 5);
    g.node = unit_node(9); /* from another site, too */
    assert_non_null(duty_add(&r, &g));
    duty_rest(&r);
    assert_null(duty_ready(&r));
    assert_true(duty_report(&r, &at, &f));
    assert_int_equal(f.state, WIRE_RUNS);
    assert_true(duty_report(&r, &at, &f));
    assert_int_equal(f.lease, 70001);
    assert_int_equal(f.state, WIRE_LEFT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ended_is_reported_until_the_tracker_has_read_it),
        cmocka_unit_test(what_came_by_another_way_is_done_and_was_no_byte_of_the_wan),
        cmocka_unit_test(a_range_that_ends_early_has_failed),
        cmocka_unit_test(a_trim_leaves_the_piece_that_is_arriving),
        cmocka_unit_test(a_revocation_ends_the_request_where_it_is),
        cmocka_unit_test(a_revoked_lease_that_was_not_begun_is_gone),
        cmocka_unit_test(the_next_lease_is_asked_for_shortly_before_the_end),
        cmocka_unit_test(two_leases_are_enough_and_where_sites_give_one_of_theirs_comes_too),
        cmocka_unit_test(upstream_one_request_follows_the_other),
        cmocka_unit_test(own_ones_go_first_then_the_lowest),
        cmocka_unit_test(who_rests_gives_back_what_was_not_begun),
        cmocka_unit_test(a_sip_is_taken_beside_a_lease_and_told_to_nobody),
        cmocka_unit_test(there_is_a_limit_and_own_ids_stay_below_leases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
