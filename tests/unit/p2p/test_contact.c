#include "tests/unit/p2p/unit.h"

#include "p2p/addr.h"
#include "p2p/contact.h"

#define SITE 7

static struct contacts contacts;
static struct members members;

static struct node_addr
at(unsigned n)
{
    struct node_addr a = {
        .ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n},
        .port = 5002};
    return a;
}

static int
set_up(void **state)
{
    (void)state;
    contact_init(&contacts);
    member_init(&members, 1);
    return 0;
}

static void
add(unsigned n, enum contact_from from, int64_t now_ms)
{
    struct node_addr a = at(n);
    contact_add(&contacts, &a, from, now_ms);
}

static void
hear(unsigned n, uint64_t site, int64_t now_ms)
{
    struct member m = {.id = unit_node((uint8_t)n), .addr = at(n), .site = site, .boot = 1};
    static uint64_t seq;
    m.seq = ++seq;
    assert_true(member_heard(&members, &m, now_ms));
}

/* How many beacons go out at that time. */
static unsigned
due(int64_t now_ms)
{
    struct node_addr a;
    unsigned count = 0;
    while (contact_next(&contacts, &members, SITE, now_ms, &a))
        count++;
    return count;
}

static void
a_seed_is_spoken_to_every_second_while_nobody_is_heard(void **state)
{
    (void)state;
    add(1, CONTACT_SEED, 100);
    assert_int_equal(contact_wake_ms(&contacts), 100);
    assert_int_equal(due(100), 1);
    assert_int_equal(due(1099), 0);
    assert_int_equal(contact_wake_ms(&contacts), 1100);
    for (int64_t ms = 1100; ms < 1000000; ms += CONTACT_EVERY_MS)
        assert_int_equal(due(ms), 1);
}

static void
nobody_speaks_to_a_contact_that_is_heard(void **state)
{
    (void)state;
    add(1, CONTACT_SEED, 0);
    hear(1, SITE, 0);
    assert_int_equal(due(0), 0);
    member_forget(&members, &members.list[0].id);
    assert_int_equal(due(CONTACT_SLOW_MS), 1);
}

static void
seeds_get_fewer_beacons_once_the_site_is_known(void **state)
{
    (void)state;
    add(1, CONTACT_SEED, 0);
    hear(2, SITE, 0);
    assert_int_equal(due(0), 1);
    assert_int_equal(due(CONTACT_EVERY_MS), 0);
    assert_int_equal(due(CONTACT_SLOW_MS), 1);
}

static void
a_node_of_another_site_is_not_the_site(void **state)
{
    (void)state;
    add(1, CONTACT_SEED, 0);
    hear(2, SITE + 1, 0);
    assert_int_equal(due(0), 1);
    assert_int_equal(due(CONTACT_EVERY_MS), 1);
}

static void
a_node_of_last_time_is_forgotten_after_minutes_in_vain(void **state)
{
    (void)state;
    add(1, CONTACT_LAST, 0);
    hear(2, SITE, 0);
    unsigned said = 0;
    for (int64_t ms = 0; ms < 3600000; ms += CONTACT_SLOW_MS)
        said += due(ms);
    assert_int_equal(said, CONTACT_LAST_SAYS);
    assert_int_equal(contacts.count, 0);
}

static void
a_node_alone_forgets_nobody_of_last_time(void **state)
{
    (void)state;
    add(1, CONTACT_LAST, 0);
    for (int64_t ms = 0; ms < 3600000; ms += CONTACT_EVERY_MS)
        assert_int_equal(due(ms), 1);
}

static void
who_was_told_of_gets_three_beacons(void **state)
{
    (void)state;
    add(1, CONTACT_TOLD, 0);
    unsigned said = 0;
    for (int64_t ms = 0; ms < 60000; ms += 100)
        said += due(ms);
    assert_int_equal(said, CONTACT_TOLD_SAYS);
    assert_int_equal(contacts.count, 0);
}

static void
what_is_no_address_of_a_node_is_not_taken(void **state)
{
    (void)state;
    struct node_addr none = {.port = 5002}, group = at(1);
    group.ip[12] = 239;
    contact_add(&contacts, &none, CONTACT_SEED, 0);
    contact_add(&contacts, &group, CONTACT_SEED, 0);
    assert_int_equal(contacts.count, 0);
    assert_true(contact_wake_ms(&contacts) == INT64_MAX);
}

static void
strangers_never_push_out_a_seed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        add(i + 1, CONTACT_SEED, 0);
    for (unsigned i = 0; i < 1000; i++)
        add(i + 1000, CONTACT_TOLD, 0);
    assert_int_equal(contacts.count, CONTACTS_MAX);
    unsigned seeds = 0;
    for (size_t i = 0; i < contacts.count; i++)
        seeds += contacts.list[i].from == CONTACT_SEED;
    assert_int_equal(seeds, 200);
}

static void
a_name_that_moved_leaves_its_old_address(void **state)
{
    (void)state;
    struct node_addr before[] = {at(1), at(2)}, after[] = {at(2), at(3)};
    add(9, CONTACT_LAST, 0);
    contact_seeds(&contacts, before, 2, 0);
    assert_int_equal(contacts.count, 3);
    contact_seeds(&contacts, after, 2, 0);
    assert_int_equal(contacts.count, 3);
    for (size_t i = 0; i < contacts.count; i++)
        assert_false(addr_equal(&contacts.list[i].addr, &before[0]));
}

#define WITH(test) cmocka_unit_test_setup(test, set_up)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_seed_is_spoken_to_every_second_while_nobody_is_heard),
        WITH(nobody_speaks_to_a_contact_that_is_heard),
        WITH(seeds_get_fewer_beacons_once_the_site_is_known),
        WITH(a_node_of_another_site_is_not_the_site),
        WITH(a_node_of_last_time_is_forgotten_after_minutes_in_vain),
        WITH(a_node_alone_forgets_nobody_of_last_time),
        WITH(who_was_told_of_gets_three_beacons),
        WITH(what_is_no_address_of_a_node_is_not_taken),
        WITH(strangers_never_push_out_a_seed),
        WITH(a_name_that_moved_leaves_its_old_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
