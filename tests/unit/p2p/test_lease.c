#include "tests/unit/p2p/unit.h"

#include "p2p/lease.h"

#define PIECE  1000u
#define PIECES 20u
#define SIZE   19500u /* the last piece has 500 bytes */

static uint8_t of[PIECES];

static struct lease_book
book(void)
{
    struct lease_book b;
    memset(of, 0, sizeof of);
    lease_init(&b, SIZE, PIECE, PIECES, of);
    return b;
}

/* Four pieces that took 100 ms each, by node 9. */
static void
four_samples(struct lease_book *b)
{
    struct lease *l = lease_grant(b, 9, 0, 4, 0, 0);
    for (unsigned i = 1; i <= 4; i++)
        assert_int_equal(lease_progress(b, l, 4, (uint64_t)i * PIECE, 100 * (int64_t)i), i == 4);
    assert_int_equal(lease_quartile_ms(b), 100);
}

static void
pieces_belong_to_one_lease_until_it_ends(void **state)
{
    (void)state;
    struct lease_book b = book();
    struct lease *l = lease_grant(&b, 3, 5, 2, 0, 0);
    l->id = 7;
    assert_int_equal(of[4], 0);
    assert_int_not_equal(of[5], 0);
    assert_int_equal(of[5], of[6]);
    assert_ptr_equal(lease_find(&b, 3, 7), l);
    assert_null(lease_find(&b, 4, 7));
    lease_end(&b, l, LEASE_EXPIRED);
    assert_int_equal(of[5], 0);
    assert_null(lease_find(&b, 3, 7));
}

static void
what_was_done_before_it_was_granted_has_no_rate(void **state)
{
    (void)state;
    struct lease_book b = book();
    struct lease *l = lease_grant(&b, 3, 0, 4, 0, 1000);
    lease_begun(&b, l, 2500);
    assert_int_equal(lease_rate(l, 1001), 0);
    assert_false(lease_progress(&b, l, 4, 2500, 1001));
    assert_false(lease_progress(&b, l, 4, 3000, 1100));
    assert_int_equal(lease_rate(l, 1100), 5000);
    assert_int_equal(lease_quartile_ms(&b), 0);
    assert_true(lease_progress(&b, l, 4, 4000, 1200));
    l = lease_grant(&b, 3, 0, 1, 0, 1300);
    lease_begun(&b, l, PIECE);
    assert_true(lease_progress(&b, l, 1, PIECE, 1300));
}

static void
a_lease_is_done_when_its_last_byte_came(void **state)
{
    (void)state;
    struct lease_book b = book();
    struct lease *l = lease_grant(&b, 0, 18, 2, 0, 0);
    assert_int_equal(lease_bytes(&b, l), 1500);
    assert_false(lease_progress(&b, l, 20, 1499, 10));
    assert_int_equal(l->phase, LEASE_ACTIVE);
    assert_true(lease_progress(&b, l, 20, 1500, 20));
    assert_int_equal(l->phase, LEASE_FREE);
    assert_int_equal(of[19], 0);
}

static void
a_trim_frees_the_tail_only_when_the_holder_agrees(void **state)
{
    (void)state;
    struct lease_book b = book();
    struct lease *l = lease_grant(&b, 0, 0, 8, 0, 0);
    uint32_t end = 0;
    assert_ptr_equal(lease_longest(&b, 1, 0, &end), l);
    l->end_wanted = end;
    assert_int_not_equal(of[7], 0);
    assert_null(lease_longest(&b, 1, 0, &end)); /* one trim at a time */
    (void)lease_progress(&b, l, end, 10, 50);
    assert_int_equal(of[7], 0);
    assert_int_not_equal(of[end - 1], 0);
    assert_int_equal(l->end, end);
}

static void
what_is_soon_over_is_not_split(void **state)
{
    (void)state;
    struct lease_book b = book();
    struct lease *l = lease_grant(&b, 0, 0, 8, 0, 0);
    uint32_t end;
    (void)lease_progress(&b, l, 8, 4000, LEASE_SPLIT_MS - 1);
    assert_null(lease_longest(&b, 1, LEASE_SPLIT_MS - 1, &end));
    (void)lease_progress(&b, l, 8, 4001, LEASE_SPLIT_MS + 10);
    assert_ptr_equal(lease_longest(&b, 1, LEASE_SPLIT_MS + 10, &end), l);
}

static void
the_holder_itself_does_not_get_its_own_tail(void **state)
{
    (void)state;
    struct lease_book b = book();
    uint32_t end;
    (void)lease_grant(&b, 1, 0, 8, 0, 0);
    assert_null(lease_longest(&b, 1, 0, &end));
}

static void
a_silent_holder_loses_its_lease(void **state)
{
    (void)state;
    struct lease_book b = book();
    struct lease *l = lease_grant(&b, 0, 0, 1, 0, 0);
    assert_int_equal(lease_judge(&b, l, LEASE_REVOKE_MS, LEASE_SILENT_MS - 1), LEASE_KEEP);
    assert_int_equal(lease_judge(&b, l, LEASE_REVOKE_MS, LEASE_SILENT_MS), LEASE_SILENT);
    (void)lease_progress(&b, l, 1, 0, LEASE_SILENT_MS);
    assert_int_equal(lease_judge(&b, l, LEASE_REVOKE_MS, LEASE_SILENT_MS + 1), LEASE_KEEP);
}

static void
a_holder_much_slower_than_the_others_loses_its_lease(void **state)
{
    (void)state;
    struct lease_book b = book();
    four_samples(&b);
    struct lease *slow = lease_grant(&b, 0, 4, 1, 0, 1000);
    struct lease *fast = lease_grant(&b, 1, 5, 1, 0, 1000);
    (void)lease_progress(&b, slow, 5, 10, 2001);
    (void)lease_progress(&b, fast, 6, 400, 2001);
    assert_int_equal(lease_judge(&b, slow, LEASE_REVOKE_MS, 2001), LEASE_SLOW);
    assert_int_equal(lease_judge(&b, fast, LEASE_REVOKE_MS, 2001), LEASE_KEEP);
    assert_int_equal(lease_judge(&b, slow, LEASE_REVOKE_FULL_MS, 2000), LEASE_KEEP); /* too young */
}

static void
nobody_is_slow_while_the_wan_is(void **state)
{
    (void)state;
    struct lease_book b = book();
    four_samples(&b);
    struct lease *one = lease_grant(&b, 0, 4, 1, 0, 1000);
    struct lease *two = lease_grant(&b, 1, 5, 1, 0, 1000);
    (void)lease_progress(&b, one, 5, 10, 2500);
    (void)lease_progress(&b, two, 6, 12, 2500);
    assert_int_equal(lease_judge(&b, one, LEASE_REVOKE_MS, 2500), LEASE_KEEP);
    assert_int_equal(lease_judge(&b, two, LEASE_REVOKE_MS, 2500), LEASE_KEEP);
}

static void
a_piece_half_there_is_not_taken_away(void **state)
{
    (void)state;
    struct lease_book b = book();
    four_samples(&b);
    struct lease *slow = lease_grant(&b, 0, 4, 1, 0, 1000);
    struct lease *fast = lease_grant(&b, 1, 5, 4, 0, 1000);
    (void)lease_progress(&b, slow, 5, 500, 2500);
    (void)lease_progress(&b, fast, 9, 3500, 2500);
    assert_int_equal(lease_judge(&b, slow, LEASE_REVOKE_MS, 2500), LEASE_KEEP);
}

static void
a_lease_expires_later_while_others_are_as_slow(void **state)
{
    (void)state;
    struct lease_book b = book();
    struct lease *l = lease_grant(&b, 0, 0, 1, 1000000, 0);
    int64_t last_ms = (1 + LEASE_EXPIRY_F) * LEASE_EXPIRY_MS;
    for (int64_t ms = 1000; ms < last_ms; ms += 1000)
        (void)lease_progress(&b, l, 1, (uint64_t)ms / 100, ms);
    assert_int_equal(lease_judge(&b, l, LEASE_REVOKE_MS, last_ms - 1), LEASE_KEEP);
    assert_int_equal(lease_judge(&b, l, LEASE_REVOKE_MS, last_ms), LEASE_OVERDUE);
    struct lease *other = lease_grant(&b, 1, 1, 4, 1000000, 0);
    (void)lease_progress(&b, other, 5, 3000, LEASE_EXPIRY_MS);
    assert_int_equal(lease_judge(&b, l, LEASE_REVOKE_MS, LEASE_EXPIRY_MS - 1), LEASE_KEEP);
    assert_int_equal(lease_judge(&b, l, LEASE_REVOKE_MS, LEASE_EXPIRY_MS), LEASE_OVERDUE);
}

/* A holder fetches one lease after the other: that the second stands still is no fault of it. */
static void
the_time_of_a_lease_begins_with_its_turn(void **state)
{
    (void)state;
    struct lease_book b = book();
    four_samples(&b);
    struct lease *first = lease_grant(&b, 0, 4, 1, 0, 1000);
    struct lease *next = lease_grant(&b, 0, 5, 1, 0, 1000);
    struct lease *fast = lease_grant(&b, 1, 6, 4, 0, 1000);
    (void)lease_progress(&b, first, 5, 900, 2900);
    (void)lease_progress(&b, next, 6, 0, 2900);
    (void)lease_progress(&b, fast, 10, 3500, 2900);
    assert_true(lease_waits(&b, next));
    assert_int_equal(lease_judge(&b, next, LEASE_REVOKE_MS, 3000), LEASE_KEEP);
    assert_true(lease_progress(&b, first, 5, 1000, 3000));
    assert_int_equal(lease_judge(&b, next, LEASE_REVOKE_MS, 3001), LEASE_KEEP);
    (void)lease_progress(&b, next, 6, 0, 3800);
    assert_int_equal(lease_judge(&b, next, LEASE_REVOKE_MS, 3001 + LEASE_REVOKE_MS), LEASE_KEEP);
    assert_int_equal(lease_judge(&b, next, LEASE_REVOKE_MS, 3900), LEASE_SLOW);
}

/* What a holder has fetched since its last report is not held against it. */
static void
a_rate_is_as_old_as_its_report(void **state)
{
    (void)state;
    struct lease_book b = book();
    struct lease *l = lease_grant(&b, 0, 0, 10, 0, 1000);
    (void)lease_progress(&b, l, 10, 500, 1500);
    assert_int_equal(lease_rate(l, 1500), 1000);
    assert_int_equal(lease_rate(l, 1500 + LEASE_LAG_MS), 1000);
    assert_int_equal(lease_rate(l, 2000 + LEASE_LAG_MS), 500);
}

static void
a_full_book_grants_nothing(void **state)
{
    (void)state;
    static uint8_t many[LEASES_MAX + 1];
    struct lease_book b;
    lease_init(&b, (uint64_t)PIECE * (LEASES_MAX + 1), PIECE, LEASES_MAX + 1, many);
    for (uint32_t i = 0; i < LEASES_MAX; i++)
        assert_non_null(lease_grant(&b, 0, i, 1, 0, 0));
    assert_null(lease_grant(&b, 0, LEASES_MAX, 1, 0, 0));
}

static void
moves_outside_the_table_are_illegal(void **state)
{
    (void)state;
    assert_true(lease_may_go(LEASE_ACTIVE, LEASE_REVOKED));
    assert_false(lease_may_go(LEASE_FREE, LEASE_ACTIVE));
    assert_false(lease_may_go(LEASE_DONE, LEASE_ACTIVE));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_belong_to_one_lease_until_it_ends),
        cmocka_unit_test(what_was_done_before_it_was_granted_has_no_rate),
        cmocka_unit_test(a_lease_is_done_when_its_last_byte_came),
        cmocka_unit_test(a_trim_frees_the_tail_only_when_the_holder_agrees),
        cmocka_unit_test(what_is_soon_over_is_not_split),
        cmocka_unit_test(the_holder_itself_does_not_get_its_own_tail),
        cmocka_unit_test(a_silent_holder_loses_its_lease),
        cmocka_unit_test(a_holder_much_slower_than_the_others_loses_its_lease),
        cmocka_unit_test(nobody_is_slow_while_the_wan_is),
        cmocka_unit_test(a_piece_half_there_is_not_taken_away),
        cmocka_unit_test(a_lease_expires_later_while_others_are_as_slow),
        cmocka_unit_test(the_time_of_a_lease_begins_with_its_turn),
        cmocka_unit_test(a_rate_is_as_old_as_its_report),
        cmocka_unit_test(a_full_book_grants_nothing),
        cmocka_unit_test(moves_outside_the_table_are_illegal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
