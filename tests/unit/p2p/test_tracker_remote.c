#include "tests/unit/p2p/tracker_unit.h"

#include "p2p/tracker_inside.h"

static void
announce(struct tracker *t, uint8_t node, uint8_t flags, const uint8_t held[2], int64_t now_ms)
{
    struct wire_blob b = wants((uint64_t)8 * PIECE_BYTES_MIN, held);
    b.flags = flags;
    announces(t, node, &b, now_ms);
}

static void
remote_has(struct tracker *t, uint64_t size, int64_t now_ms)
{
    struct wire_site_have have = {unit_blob(1), size, unit_node(200), {.port = 200}};
    tracker_remote(t, &have, 77, now_ms, &orders);
}

static void
other_sites_are_asked_for_what_nobody_here_has(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct digest d;
    size_t at = 0;
    const uint8_t all[2] = {0xff, 0xff};
    announce(t, 1, WANTS, NULL, 0);
    assert_true(tracker_asks(t, 0, &at, &d));
    at = 0;
    assert_false(tracker_asks(t, TRACKER_ASK_AGAIN_MS - 1, &at, &d));
    at = 0;
    assert_true(tracker_asks(t, TRACKER_ASK_AGAIN_MS, &at, &d));
    at = 0;
    assert_false(tracker_asks(t, 2 * TRACKER_ASK_AGAIN_MS, &at, &d));
    announce(t, 2, WIRE_SERVES, all, 0);
    at = 0;
    assert_false(tracker_asks(t, 2 * TRACKER_ASK_MS, &at, &d));
    tracker_free(t);
}

static void
a_holder_elsewhere_is_the_cheaper_source_while_nothing_is_measured(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct wire_grant g;
    announce(t, 1, WANTS, NULL, 0);
    remote_has(t, SIZE + 1, 0); /* another blob */
    announce(t, 2, WANTS, NULL, 0);
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.source, WIRE_UPSTREAM);
    report(t, 1, &g, 0, WIRE_LEFT, 1);
    remote_has(t, SIZE, 1);
    announce(t, 1, WANTS, NULL, 1);
    assert_true(grant(t, 1, 1, &g));
    assert_int_equal(g.source, WIRE_REMOTE_SITE);
    assert_int_equal(g.node.bytes[0], 200);
    assert_int_equal(g.addr.port, 200);
    tracker_free(t);
}

static void
a_remote_holder_that_fails_is_left_and_who_asked_it_not_punished(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct wire_grant g, again;
    announce(t, 1, WANTS, NULL, 0);
    announce(t, 2, WANTS, NULL, 0);
    remote_has(t, SIZE, 0);
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.source, WIRE_REMOTE_SITE);
    report(t, 1, &g, 0, WIRE_FAILED, 10);
    announce(t, 1, WANTS, NULL, 10);
    assert_true(grant(t, 1, 10, &again));
    assert_int_equal(again.source, WIRE_UPSTREAM);
    assert_int_equal(again.first, g.first);
    tracker_free(t);
}

static void
sites_are_asked_at_once_for_another_holder_when_one_fails(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct wire_grant g;
    struct digest d;
    size_t at = 0;
    announce(t, 1, WANTS, NULL, 0);
    announce(t, 2, WANTS, NULL, 0);
    assert_true(tracker_asks(t, 0, &at, &d));
    remote_has(t, SIZE, 0);
    assert_true(grant(t, 1, 0, &g));
    at = 0;
    assert_false(tracker_asks(t, 1000, &at, &d));
    report(t, 1, &g, 0, WIRE_FAILED, 1000);
    at = 0;
    assert_true(tracker_asks(t, 1000, &at, &d));
    at = 0;
    assert_false(tracker_asks(t, 1000 + TRACKER_ASK_AGAIN_MS, &at, &d));
    tracker_free(t);
}

/* Is now the time to ask other sites? */
static bool
asks(struct tracker *t, int64_t now_ms)
{
    struct digest d;
    size_t at = 0;
    return tracker_asks(t, now_ms, &at, &d);
}

/* Its only holder is dead, and is named again and again; upstream is no choice here. */
static void
sites_are_not_asked_on_and_on_for_a_holder_that_fails(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct wire_grant g;
    int64_t now_ms = 0;
    announce(t, 1, WIRE_WANTS | WIRE_SERVES, NULL, 0);
    announce(t, 2, WIRE_WANTS | WIRE_SERVES, NULL, 0);
    assert_true(asks(t, 0));
    assert_true(asks(t, TRACKER_ASK_AGAIN_MS));
    for (unsigned i = 1; i <= RANK_FAIL_MAX; i++) {
        now_ms += 2 * TRACKER_ASK_AGAIN_MS;
        remote_has(t, SIZE, now_ms);
        announce(t, 1, WIRE_WANTS | WIRE_SERVES, NULL, now_ms);
        assert_true(grant(t, 1, now_ms, &g));
        assert_int_equal(g.source, WIRE_REMOTE_SITE);
        report(t, 1, &g, 0, WIRE_FAILED, now_ms);
        assert_int_equal(asks(t, now_ms), i < RANK_FAIL_MAX);
    }
    assert_true(asks(t, now_ms + TRACKER_ASK_MS));
    tracker_free(t);
}

/* Beside a full WAN a connection that begins is slow for a while, of whatever source. */
static void
a_lease_has_its_fair_time_where_there_is_another_source(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct wire_grant g;
    struct digest d = unit_blob(1);
    announce(t, 1, WANTS, NULL, 0);
    announce(t, 2, WANTS, NULL, 0);
    remote_has(t, SIZE, 0);
    assert_true(grant(t, 1, 0, &g));
    const struct tracker_blob *b = tracker_find(t, &d);
    struct lease *l = lease_find(&tracker_find(t, &d)->book, b->entries[0]->node, g.lease);
    assert_non_null(l);
    l->done_bytes = TRACKER_SIGN_BYTES;
    t->climb.active = 2;
    t->climb.wan = PIECE_BYTES_MIN; /* a second for a piece, two when two share */
    assert_int_equal(tracker_time_ms(t, b, l), TRACKER_FAIR_F * 2000);
    tracker_free(t);
}

static void
a_busy_site_is_asked_again_after_a_while(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct wire_grant g;
    announce(t, 1, WANTS, NULL, 0);
    announce(t, 2, WANTS, NULL, 0);
    remote_has(t, SIZE, 0);
    assert_true(grant(t, 1, 0, &g));
    report(t, 1, &g, 0, WIRE_BUSY, 10);
    announce(t, 1, WANTS, NULL, 10);
    assert_true(grant(t, 1, 10, &g));
    assert_int_equal(g.source, WIRE_UPSTREAM);
    report(t, 1, &g, 0, WIRE_LEFT, 10);
    announce(t, 1, WANTS, NULL, 10 + TRACKER_BUSY_MS);
    assert_true(grant(t, 1, 10 + TRACKER_BUSY_MS, &g));
    assert_int_equal(g.source, WIRE_REMOTE_SITE);
    tracker_free(t);
}

static void
a_slow_site_loses_to_a_fast_upstream(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct wire_grant g;
    announce(t, 1, WANTS, NULL, 0);
    announce(t, 2, WANTS, NULL, 0);
    remote_has(t, SIZE, 0);
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.source, WIRE_REMOTE_SITE);
    report(t, 1, &g, 20000, WIRE_LEFT, 1000); /* 20 kB/s */
    announce(t, 1, WANTS, NULL, 1000);
    assert_true(grant(t, 1, 1000, &g));
    assert_int_equal(g.source, WIRE_UPSTREAM);
    tracker_free(t);
}

static void
who_may_not_read_upstream_may_fetch_from_another_site(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct wire_grant g;
    announce(t, 1, WIRE_WANTS | WIRE_SERVES, NULL, 0);
    assert_false(grant(t, 1, 0, &g));
    remote_has(t, SIZE, 0);
    assert_true(grant(t, 1, 0, &g));
    assert_int_equal(g.source, WIRE_REMOTE_SITE);
    tracker_free(t);
}

static void
holders_are_named_in_turn_and_only_those_of_all(void **state)
{
    (void)state;
    struct tracker *t = tracker_in_office();
    struct digest d = unit_blob(1);
    struct wire_site_have have, next;
    const uint8_t all[2] = {0xff, 0xff}, half[2] = {0xff, 0};
    announce(t, 1, WANTS, half, 0);
    assert_false(tracker_holder(t, &d, &have));
    announce(t, 2, WIRE_SERVES, all, 0);
    announce(t, 3, WIRE_SERVES, all, 0);
    announce(t, 4, 0, all, 0); /* does not serve */
    bool both = false;
    assert_true(tracker_holder(t, &d, &have));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(tracker_holder(t, &d, &next));
        assert_in_range(next.node.bytes[0], 2, 3);
        both = both || next.node.bytes[0] != have.node.bytes[0];
    }
    assert_true(both);
    tracker_free(t);
}

static void
a_copy_of_what_other_sites_pull_comes_from_them_and_not_from_upstream(void **state)
{
    (void)state;
    const uint8_t copies = WIRE_WANTS | WIRE_SERVES | WIRE_FOR_COPY;
    struct tracker *t = tracker_in_office();
    struct digest d = unit_blob(1);
    struct wire_grant g;
    size_t at = 0;
    announce(t, 1, copies, NULL, 0);
    assert_false(tracker_asks(t, 0, &at, &d)); /* a copy of what is in the site */
    replicas_seed(tracker_replicas(t), &d, SIZE, 0);
    announce(t, 1, copies, NULL, 1);
    at = 0;
    assert_true(tracker_asks(t, 1, &at, &d));
    assert_false(grant(t, 1, 1, &g));
    remote_has(t, SIZE, 2);
    assert_true(grant(t, 1, 2, &g));
    assert_int_equal(g.source, WIRE_REMOTE_SITE);
    assert_true(tracker_quiet(t)); /* no client waits for it */
    tracker_free(t);
}

/* It gets no lease then: it would not use it, and pieces would wait. */
static void
a_copy_of_what_other_sites_pull_waits_for_all_clients(void **state)
{
    (void)state;
    const uint8_t copies = WIRE_WANTS | WIRE_SERVES | WIRE_FOR_COPY;
    struct tracker *t = tracker_in_office();
    struct digest d = unit_blob(1);
    struct wire_grant g;
    size_t at = 0;
    replicas_seed(tracker_replicas(t), &d, SIZE, 0);
    announce(t, 1, copies, NULL, 0);
    remote_has(t, SIZE, 1);
    struct wire_blob other = wants(0, NULL);
    other.digest = unit_blob(2);
    announces(t, 2, &other, 1);
    assert_false(grant(t, 1, 1, &g));
    other.flags = WIRE_SERVES;
    announces(t, 2, &other, 2);
    assert_true(grant(t, 1, 2, &g));
    report(t, 1, &g, 0, WIRE_LEFT, 3);
    announce(t, 1, copies, NULL, 3);
    announce(t, 2, WANTS, NULL, 3); /* the same blob */
    assert_false(grant(t, 1, 3, &g));
    assert_true(grant(t, 2, 3, &g));
    assert_int_equal(g.first, 0);
    assert_false(tracker_asks(t, 3, &at, &d));
    tracker_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_sites_are_asked_for_what_nobody_here_has),
        cmocka_unit_test(a_holder_elsewhere_is_the_cheaper_source_while_nothing_is_measured),
        cmocka_unit_test(a_remote_holder_that_fails_is_left_and_who_asked_it_not_punished),
        cmocka_unit_test(sites_are_asked_at_once_for_another_holder_when_one_fails),
        cmocka_unit_test(sites_are_not_asked_on_and_on_for_a_holder_that_fails),
        cmocka_unit_test(a_lease_has_its_fair_time_where_there_is_another_source),
        cmocka_unit_test(a_busy_site_is_asked_again_after_a_while),
        cmocka_unit_test(a_slow_site_loses_to_a_fast_upstream),
        cmocka_unit_test(who_may_not_read_upstream_may_fetch_from_another_site),
        cmocka_unit_test(a_copy_of_what_other_sites_pull_comes_from_them_and_not_from_upstream),
        cmocka_unit_test(a_copy_of_what_other_sites_pull_waits_for_all_clients),
        cmocka_unit_test(holders_are_named_in_turn_and_only_those_of_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
