#include "tests/unit/p2p/unit.h"

#include "p2p/replicas.h"

#define SIZE (8u << 20)

static struct members members;
static struct replicas *r;
static struct digest blob;
static const struct node_id self = {{1}};
static struct replicas_site site;
static struct replicas_act act;
static unsigned asks;

/* A quiet site of node 1, which is tracker and has a full cache, and 2 .. nodes with room. */
static int
set_up(void **state)
{
    (void)state;
    r = replicas_new();
    asks = 0;
    blob = unit_blob(1);
    member_init(&members, 1);
    site = (struct replicas_site){
        .quiet = true, .site = 1, .members = &members, .self = &self, .free_mib = 0};
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    replicas_free(r);
    return 0;
}

static void
join(uint8_t from, uint8_t to)
{
    for (uint8_t n = from; n <= to; n++) {
        struct member m = {.id = unit_node(n), .site = 1, .seq = 1, .free_mib = 1000};
        assert_true(member_heard(&members, &m, site.now_ms));
    }
}

static void
leave(uint8_t n)
{
    struct node_id id = unit_node(n);
    replicas_gone(r, &id);
    member_forget(&members, &id);
}

static bool
knows(const struct digest *d)
{
    struct digest at;
    struct replicas_of of;
    for (size_t i = 0; replicas_each(r, i, site.now_ms, 2, &at, &of); i++)
        if (digest_equal(&at, d))
            return true;
    return false;
}

static void
hits(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        replicas_hit(r, &blob, SIZE, site.now_ms);
}

/* Time passes, in steps as those of the swarm, until there is an act or `for_ms` are over; the
 * nodes of which a bit is set in `holders` answer each question. */
static bool
wait_order(int64_t for_ms, unsigned holders)
{
    for (int64_t end_ms = site.now_ms + for_ms; site.now_ms < end_ms; site.now_ms += 50) {
        while (replicas_next(r, &site, &act)) {
            if (act.what == REPLICAS_TAKE)
                return true;
            asks++;
            for (uint8_t n = 0; n < 32; n++) {
                struct node_id id = unit_node(n);
                if ((holders >> n & 1) != 0)
                    replicas_held(r, &blob, &id);
            }
        }
    }
    return false;
}

static void
say(enum wire_copy_state state, uint64_t bytes)
{
    struct wire_copy_say m = {blob, (uint8_t)state, bytes};
    replicas_said(r, &act.node, &m, site.now_ms);
}

static void
what_is_popular_gets_a_second_copy_and_no_third(void **state)
{
    (void)state;
    join(2, 4);
    hits(3);
    assert_true(wait_order(10000, 1u << 2));
    assert_true(act.node.bytes[0] == 3 || act.node.bytes[0] == 4);
    assert_int_equal(act.size, SIZE);
    assert_int_equal(act.copies, 2);
    unsigned taker = act.node.bytes[0];
    site.now_ms += 200;
    say(WIRE_COPY_HELD, SIZE);
    assert_false(wait_order(2 * REPLICAS_LOOK_MS_MAX, 1u << 2 | 1u << taker));
}

static void
what_one_node_wanted_is_not_even_asked_for(void **state)
{
    (void)state;
    join(2, 4);
    hits(1);
    assert_false(wait_order(2 * REPLICAS_LOOK_MS, 1u << 2));
    assert_int_equal(asks, 0);
}

static void
what_nobody_has_any_more_is_left(void **state)
{
    (void)state;
    join(2, 4);
    hits(3);
    assert_false(wait_order(30000, 0));
}

static void
what_other_sites_pull_is_taken_once_for_a_while(void **state)
{
    (void)state;
    join(2, 4);
    replicas_seed(r, &blob, SIZE, site.now_ms);
    assert_true(replicas_seeds(r, &blob, site.now_ms));
    assert_true(wait_order(10000, 0));
    assert_int_equal(act.copies, 1);
    say(WIRE_COPY_REFUSED, 0);
    uint8_t first = act.node.bytes[0];
    assert_true(wait_order(10000, 0));
    assert_int_not_equal(act.node.bytes[0], first);
    say(WIRE_COPY_HELD, SIZE);
    assert_false(replicas_seeds(r, &blob, site.now_ms));
    assert_false(wait_order(REPLICAS_LOOK_MS_MAX, 0)); /* it left, and nobody wanted it */
}

static void
one_of_other_sites_comes_at_a_time_and_as_long_as_it_comes(void **state)
{
    (void)state;
    struct digest second = unit_blob(2);
    join(2, 4);
    replicas_seed(r, &blob, SIZE, site.now_ms);
    replicas_seed(r, &second, SIZE, site.now_ms);
    assert_true(wait_order(10000, 0));
    struct node_id taker = act.node;
    struct digest first = act.digest;
    uint64_t bytes = 0;
    for (int64_t end_ms = site.now_ms + 2 * REPLICAS_SEED_MS; site.now_ms < end_ms;) {
        assert_true(wait_order(2 * REPLICAS_ORDER_MS, 0));
        assert_true(digest_equal(&act.digest, &first) && node_equal(&act.node, &taker));
        struct wire_copy_say m = {first, WIRE_COPY_RUNS, ++bytes};
        replicas_said(r, &taker, &m, site.now_ms);
    }
    assert_true(replicas_seeds(r, &first, site.now_ms));
}

/* It has what it had when its source died, so it says that it grew when it begins anew. */
static void
one_of_other_sites_that_brings_nothing_is_given_up(void **state)
{
    (void)state;
    join(2, 2);
    replicas_seed(r, &blob, SIZE, site.now_ms);
    assert_true(wait_order(10000, 0));
    int64_t began_ms = site.now_ms, end_ms = began_ms + 3 * REPLICAS_STUCK_MS;
    struct wire_copy_say m = {blob, WIRE_COPY_RUNS, 0};
    while (site.now_ms < end_ms && wait_order(2 * REPLICAS_ORDER_MS, 0)) {
        m.held_bytes = site.now_ms / 20000 % 2 == 0 ? 0 : 1000;
        replicas_said(r, &act.node, &m, site.now_ms);
    }
    assert_in_range(site.now_ms - began_ms, REPLICAS_STUCK_MS, 2 * REPLICAS_STUCK_MS);
}

static void
a_full_table_has_a_place_for_what_other_sites_pull(void **state)
{
    (void)state;
    site.free_mib = 1000;
    for (unsigned i = 0; i < REPLICAS_MAX; i++) {
        struct digest d;
        digest_of(DIGEST_SHA256, &i, sizeof i, &d);
        replicas_hit(r, &d, SIZE, site.now_ms);
    }
    replicas_seed(r, &blob, SIZE, site.now_ms);
    assert_true(replicas_seeds(r, &blob, site.now_ms));
    replicas_office(r);
    for (unsigned i = 0; i < REPLICAS_MAX; i++) {
        struct digest d;
        digest_of(DIGEST_SHA256, &i, sizeof i, &d);
        for (unsigned n = 0; n < 4; n++)
            replicas_hit(r, &d, SIZE, site.now_ms);
    }
    struct digest second = unit_blob(2);
    replicas_seed(r, &second, SIZE, site.now_ms);
    assert_false(replicas_seeds(r, &second, site.now_ms)); /* all others are popular here */
}

static void
what_other_sites_pull_and_is_here_is_not_taken(void **state)
{
    (void)state;
    join(2, 4);
    replicas_seed(r, &blob, SIZE, site.now_ms);
    assert_false(wait_order(REPLICAS_SEED_MS, 1u << 3));
    assert_true(asks > 0);
}

static void
a_node_alone_in_its_site_takes_what_other_sites_pull(void **state)
{
    (void)state;
    site.free_mib = 1000;
    replicas_seed(r, &blob, SIZE, site.now_ms);
    assert_true(wait_order(10000, 0));
    assert_true(node_equal(&act.node, &self));
}

static void
enough_copies_are_asked_for_ever_less_often(void **state)
{
    (void)state;
    join(2, 3);
    hits(4);
    assert_false(wait_order(REPLICAS_LOOK_MS, 6));
    assert_int_equal(asks, 2); /* datagrams are lost, so each question is put twice */
    assert_false(wait_order(REPLICAS_LOOK_MS, 6));
    assert_int_equal(asks, 4);
    assert_false(wait_order(100 * REPLICAS_LOOK_MS_MAX, 6));
    assert_true(asks < 4 + 2 * 110);
    hits(4); /* days have not passed, but counters halve all the same */
    struct replicas_of of;
    struct digest of_blob;
    assert_true(replicas_each(r, 0, site.now_ms, 3, &of_blob, &of));
    assert_true(digest_equal(&of_blob, &blob));
    assert_false(replicas_each(r, 1, site.now_ms, 3, &of_blob, &of));
    assert_int_equal(of.wanted, 2);
    assert_int_equal(of.counted, 2);
    assert_true(of.known);
}

/* What lacks most first; what is not known may lack nothing. */
static void
who_lacks_copies_is_shown_first(void **state)
{
    (void)state;
    const struct replicas_of none = {3, 0, true}, some = {4, 2, true}, enough = {2, 2, true},
                             unknown = {8, 0, false}, other = {2, 5, false};
    assert_true(replicas_compare(&none, &some) < 0);
    assert_true(replicas_compare(&enough, &some) > 0);
    assert_true(replicas_compare(&enough, &unknown) < 0);
    assert_true(replicas_compare(&unknown, &none) > 0);
    assert_int_equal(replicas_compare(&unknown, &other), 0);
}

static void
a_copy_that_left_with_its_node_is_made_again(void **state)
{
    (void)state;
    join(2, 4);
    hits(3);
    assert_false(wait_order(10000, 1u << 2 | 1u << 3));
    leave(3);
    int64_t left_ms = site.now_ms;
    assert_true(wait_order(REPLICAS_SETTLE_MS + 2000, 1u << 2));
    assert_true(site.now_ms >= left_ms + REPLICAS_SETTLE_MS); /* it might have come back */
    assert_int_equal(act.node.bytes[0], 4);
}

static void
nothing_happens_while_clients_wait(void **state)
{
    (void)state;
    join(2, 4);
    hits(3);
    site.quiet = false;
    assert_false(wait_order(30000, 1u << 2));
    site.quiet = true;
    int64_t quiet_ms = site.now_ms;
    assert_true(wait_order(10000, 1u << 2));
    assert_true(site.now_ms >= quiet_ms + REPLICAS_QUIET_MS - 50);
    site.quiet = false; /* a pull begins: the copy is not ordered again, and nobody is blamed */
    struct node_id taker = act.node;
    assert_false(wait_order(2 * REPLICAS_SILENT_MS, 1u << 2));
    site.quiet = true;
    assert_true(wait_order(REPLICAS_QUIET_MS + 1000, 1u << 2));
    assert_true(node_equal(&taker, &act.node));
}

static void
an_order_is_repeated_and_a_silent_node_is_left(void **state)
{
    (void)state;
    join(2, 4);
    hits(3);
    assert_true(wait_order(10000, 1u << 2));
    struct node_id first = act.node;
    site.now_ms += 50;
    assert_true(wait_order(REPLICAS_ORDER_MS + 50, 1u << 2));
    assert_true(node_equal(&first, &act.node));
    while (node_equal(&first, &act.node)) {
        site.now_ms += 50;
        assert_true(wait_order(REPLICAS_SILENT_MS, 1u << 2));
    }
    assert_int_equal(act.node.bytes[0] + first.bytes[0], 3 + 4);
}

static void
who_has_no_room_is_not_asked_again_for_long(void **state)
{
    (void)state;
    join(2, 3);
    hits(3);
    assert_true(wait_order(10000, 1u << 2));
    assert_int_equal(act.node.bytes[0], 3);
    say(WIRE_COPY_REFUSED, 0);
    site.now_ms += 50;
    assert_false(wait_order(REPLICAS_REFUSED_MS - 2000, 1u << 2));
}

/* A node without room, one with a queue, one of another site: nobody is left to ask. */
static void
only_a_node_with_room_and_nothing_to_do_is_asked(void **state)
{
    (void)state;
    join(2, 2);
    struct member full = {.id = unit_node(3), .site = 1, .seq = 1, .free_mib = 7};
    struct member busy = {
        .id = unit_node(4), .site = 1, .seq = 1, .free_mib = 1000, .queue_ms = 30};
    struct member far = {.id = unit_node(5), .site = 2, .seq = 1, .free_mib = 1000};
    assert_true(member_heard(&members, &full, 0) && member_heard(&members, &busy, 0) &&
                member_heard(&members, &far, 0));
    hits(3);
    assert_false(wait_order(30000, 1u << 2));
    site.free_mib = 1000; /* the tracker itself */
    assert_true(wait_order(REPLICAS_LOOK_MS_MAX, 1u << 2));
    assert_true(node_equal(&act.node, &self));
}

static void
two_copies_are_taken_at_once_by_two_nodes(void **state)
{
    (void)state;
    join(2, 8);
    for (uint8_t b = 1; b <= 4; b++) {
        blob = unit_blob(b);
        hits(3);
    }
    unsigned orders = 0, takers = 0;
    for (int64_t end_ms = site.now_ms + 20000; site.now_ms < end_ms; site.now_ms += 50)
        while (replicas_next(r, &site, &act)) {
            struct node_id two = unit_node(2);
            if (act.what == REPLICAS_ASK) {
                replicas_held(r, &act.digest, &two);
                continue;
            }
            struct wire_copy_say runs = {act.digest, WIRE_COPY_RUNS, (uint64_t)site.now_ms};
            replicas_said(r, &act.node, &runs, site.now_ms);
            takers |= 1u << act.node.bytes[0];
            orders++;
        }
    assert_true(orders > 20);
    assert_int_equal(__builtin_popcount(takers), REPLICAS_AT_ONCE);
    assert_int_equal(replicas_sum(r, site.now_ms, 8).taking, REPLICAS_AT_ONCE);
}

static void
the_least_popular_blob_makes_room(void **state)
{
    (void)state;
    struct digest first = unit_blob(0);
    hits(2);
    replicas_hit(r, &first, SIZE, 0);
    for (unsigned i = 0; i < REPLICAS_MAX; i++) {
        struct digest d;
        digest_of(DIGEST_SHA256, &i, sizeof i, &d);
        replicas_hit(r, &d, SIZE, 1);
    }
    assert_true(knows(&blob));
    assert_false(knows(&first));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_popular_gets_a_second_copy_and_no_third),
        TEST(what_one_node_wanted_is_not_even_asked_for),
        TEST(what_nobody_has_any_more_is_left),
        TEST(what_other_sites_pull_is_taken_once_for_a_while),
        TEST(one_of_other_sites_comes_at_a_time_and_as_long_as_it_comes),
        TEST(one_of_other_sites_that_brings_nothing_is_given_up),
        TEST(a_full_table_has_a_place_for_what_other_sites_pull),
        TEST(what_other_sites_pull_and_is_here_is_not_taken),
        TEST(a_node_alone_in_its_site_takes_what_other_sites_pull),
        TEST(enough_copies_are_asked_for_ever_less_often),
        TEST(who_lacks_copies_is_shown_first),
        TEST(a_copy_that_left_with_its_node_is_made_again),
        TEST(nothing_happens_while_clients_wait),
        TEST(an_order_is_repeated_and_a_silent_node_is_left),
        TEST(who_has_no_room_is_not_asked_again_for_long),
        TEST(only_a_node_with_room_and_nothing_to_do_is_asked),
        TEST(two_copies_are_taken_at_once_by_two_nodes),
        TEST(the_least_popular_blob_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
