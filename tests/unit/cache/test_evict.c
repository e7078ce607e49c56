/* The value rule: what is worth more, what leaves, what is learned. */
#include "base/mem.h"
#include "base/rng.h"
#include "cache/evict.h"
#include "tests/unit/base/unit.h"
#include <math.h>

#define DAY   EVICT_HALF_S
#define MIB   ((uint64_t)1 << 20)
#define LIMIT (1000 * MIB)
#define T0    1000u

static struct evict x;

static int
open_it(void **state)
{
    (void)state;
    evict_init(&x, T0);
    evict_limit(&x, LIMIT);
    return 0;
}

static int
close_it(void **state)
{
    (void)state;
    evict_release(&x);
    return 0;
}

/* A blob of that size, asked for `times` times at now_s - a day apart each. */
static void
add(struct evict_blob *b, uint64_t name, uint64_t size, unsigned copies, unsigned times,
    uint32_t now_s)
{
    *b = (struct evict_blob){.size = size, .copies = (uint8_t)copies};
    evict_add(&x, b, name, now_s);
    for (unsigned i = 0; i < times; i++)
        evict_asked(&x, b, EVICT_OTHER, now_s - (times - 1 - i) * 1000);
}

static struct evict_blob *
first(uint64_t need)
{
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    uint64_t bytes;
    return evict_choose(&x, need, (double)INFINITY, chosen, &bytes) > 0 ? chosen[0] : NULL;
}

static void
counters_halve_in_a_day(void **state)
{
    struct evict_blob b;
    (void)state;
    add(&b, 1, 5 * MIB, 1, 1, T0 + 5000);
    assert_true(fabs(evict_c(&x, &b, T0 + 5000) - 1) < 0.01);
    assert_true(fabs(evict_c(&x, &b, T0 + 5000 + DAY) - 0.5) < 0.01);
    evict_asked(&x, &b, EVICT_OTHER, T0 + 5000 + DAY);
    assert_true(fabs(evict_c(&x, &b, T0 + 5000 + DAY) - 1.5) < 0.01);
}

/* The fast counter never counts as more than the slow one, of which it is a part. */
static void
a_clock_set_back_leaves_the_counters_right(void **state)
{
    struct evict_blob b;
    (void)state;
    add(&b, 1, 5 * MIB, 1, 1, T0 + DAY);
    evict_asked(&x, &b, EVICT_OTHER, T0 + DAY - 3600);
    assert_true(b.lag < 2 * 256);
}

static void
a_burst_counts_once(void **state)
{
    struct evict_blob b;
    (void)state;
    add(&b, 1, 5 * MIB, 1, 0, T0);
    for (unsigned i = 0; i < 100; i++)
        evict_asked(&x, &b, EVICT_OTHER, T0 + 10 + i / 50); /* a hundred nodes within two seconds */
    assert_true(evict_c(&x, &b, T0 + 12) < 1.1);
    evict_asked(&x, &b, EVICT_OTHER, T0 + 12 + EVICT_BURST_S);
    assert_true(evict_c(&x, &b, T0 + 12 + EVICT_BURST_S) > 1.9);
}

static void
copies_leave_before_the_last_one(void **state)
{
    struct evict_blob hot, cold;
    (void)state;
    add(&cold, 1, 5 * MIB, 1, 1, T0 + 5000);
    add(&hot, 2, 5 * MIB, 2, 5, T0 + 6000);
    assert_ptr_equal(first(MIB), &hot); /* five times as popular, but there is another */
    evict_copies(&x, &hot, 1, T0 + 6000);
    assert_ptr_equal(first(MIB), &cold);
}

static void
the_less_popular_leaves_first_whenever_it_is_asked(void **state)
{
    struct evict_blob a, b;
    (void)state;
    add(&a, 1, 5 * MIB, 1, 1, T0 + 5000);
    add(&b, 2, 5 * MIB, 1, 3, T0 + 5000);
    evict_settle(&x, T0 + 5000 + DAY);
    assert_ptr_equal(first(MIB), &a);
    evict_settle(&x, T0 + 5000 + 100 * DAY);
    assert_ptr_equal(first(MIB), &a);
}

static void
held_ones_stay(void **state)
{
    struct evict_blob a, b;
    (void)state;
    add(&a, 1, 5 * MIB, 1, 1, T0 + 5000);
    add(&b, 2, 5 * MIB, 1, 3, T0 + 5000);
    evict_hold(&x, &a, true, T0 + 5000);
    assert_ptr_equal(first(MIB), &b);
    evict_hold(&x, &b, true, T0 + 5000);
    assert_null(first(MIB));
    evict_hold(&x, &a, false, T0 + 5000);
    assert_ptr_equal(first(MIB), &a);
}

static void
small_ones_go_only_beyond_their_share(void **state)
{
    enum { COUNT = 110 };
    static struct evict_blob small[COUNT], large;
    (void)state;
    for (unsigned i = 0; i < COUNT / 2; i++)
        add(&small[i], i, MIB / 2, 1, 1, T0 + 5000);
    add(&large, 1000, 5 * MIB, 1, 9, T0 + 50000);
    assert_ptr_equal(first(MIB), &large); /* 27 MiB of small ones: below 5 % of 1000 MiB */
    for (unsigned i = COUNT / 2; i < COUNT; i++)
        add(&small[i], i, MIB / 2, 1, 1, T0 + 5000);
    struct evict_blob *one = first(MIB);
    assert_true(one >= small && one < small + COUNT); /* 55 MiB */
    evict_hold(&x, &large, true, T0 + 5000);
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    uint64_t bytes;
    size_t count = evict_choose(&x, 40 * MIB, (double)INFINITY, chosen, &bytes);
    assert_int_equal(count, 80); /* nothing else is left */
    assert_int_equal(bytes, 40 * MIB);
}

static void
a_giant_does_not_leave_for_a_dwarf(void **state)
{
    struct evict_blob giant, dwarf;
    (void)state;
    add(&giant, 1, 300 * MIB, 1, 2, T0 + 5000);
    add(&dwarf, 2, 5 * MIB, 1, 3, T0 + 5000);
    evict_settle(&x, T0 + DAY);
    assert_ptr_equal(first(2 * MIB), &dwarf); /* its bytes are worth more, it less */
    assert_ptr_equal(first(100 * MIB), &giant);
}

static void
one_request_does_not_push_out_what_is_popular(void **state)
{
    struct evict_blob popular, stale, *chosen[EVICT_CHOOSE_MAX];
    uint64_t bytes;
    uint32_t now_s = T0 + 10 * DAY;
    (void)state;
    add(&popular, 1, 5 * MIB, 1, 3, now_s);
    evict_asked_absent(&x, 7, EVICT_OTHER, now_s);
    double value = evict_value_absent(&x, 7, 5 * MIB, 1, now_s);
    assert_int_equal(evict_choose(&x, MIB, value, chosen, &bytes), 0);
    add(&stale, 2, 5 * MIB, 1, 3, T0 + 5000);
    assert_int_equal(evict_choose(&x, MIB, value, chosen, &bytes), 1);
    assert_ptr_equal(chosen[0], &stale);
}

/* Blobs are asked for by this node, and again_s later by another or itself, or never more (0). */
static double
newcomer_after(uint32_t again_s, enum evict_who by)
{
    uint32_t now_s = T0 + 5000;
    for (unsigned i = 0; i < 200; i++, now_s += 2 * EVICT_BURST_S) {
        evict_asked_absent(&x, 1000 + i, EVICT_SELF, now_s);
        if (again_s > 0)
            evict_asked_absent(&x, 1000 + i, by, now_s + again_s);
    }
    evict_asked_absent(&x, 1, EVICT_OTHER, now_s);
    double value = evict_value_absent(&x, 1, 5 * MIB, 1, now_s);
    struct evict_blob old;
    add(&old, 2, 5 * MIB, 1, 20, now_s); /* asked for twenty times lately */
    double against = evict_value(&x, &old, now_s);
    evict_remove(&x, &old, 2);
    return value - against;
}

static void
probation_is_worth_what_was_learned(void **state)
{
    (void)state;
    assert_true(newcomer_after(0, EVICT_OTHER) < 0);
    evict_release(&x);
    open_it(NULL);
    assert_true(newcomer_after(EVICT_SAME_S - 1, EVICT_OTHER) < 0); /* the same request still */
    evict_release(&x);
    open_it(NULL);
    assert_true(newcomer_after(60, EVICT_SELF) < 0); /* ranges, or a client behind a prefetch */
    evict_release(&x);
    open_it(NULL);
    assert_true(newcomer_after(60, EVICT_OTHER) > 0);
}

/* However far their values are apart: what nobody ever asked for is 10^6 octaves away. */
static void
worthless_ones_do_not_shield_the_others(void **state)
{
    struct evict_blob unasked[2], large, old, new;
    struct evict_blob *chosen[EVICT_CHOOSE_MAX];
    uint64_t bytes;
    uint32_t now_s = T0 + 2000 * DAY;
    (void)state;
    add(&unasked[0], 1, 5 * MIB, 1, 0, T0);
    add(&unasked[1], 2, 5 * MIB, 1, 0, T0);
    add(&old, 3, 5 * MIB, 1, 1, T0);
    add(&new, 4, 5 * MIB, 1, 1, now_s);
    assert_int_equal(evict_choose(&x, 9 * MIB, (double)INFINITY, chosen, &bytes), 2);
    assert_ptr_equal(chosen[0], &unasked[0]);
    assert_ptr_equal(chosen[1], &unasked[1]);
    assert_int_equal(evict_choose(&x, 12 * MIB, (double)INFINITY, chosen, &bytes), 3);
    assert_ptr_equal(chosen[2], &old);
    assert_int_equal(evict_choose(&x, 19 * MIB, (double)INFINITY, chosen, &bytes), 4);
    assert_int_equal(bytes, 20 * MIB);
    add(&large, 5, 30 * MIB, 1, 0, now_s); /* enough by itself */
    assert_int_equal(evict_choose(&x, 19 * MIB, (double)INFINITY, chosen, &bytes), 1);
}

static void
probation_ends(void **state)
{
    struct evict_blob b;
    (void)state;
    (void)newcomer_after(60, EVICT_OTHER);
    uint32_t now_s = T0 + 5000 + 201 * 2 * EVICT_BURST_S;
    evict_asked_absent(&x, 3, EVICT_OTHER, now_s);
    b = (struct evict_blob){.size = 5 * MIB, .copies = 1};
    evict_add(&x, &b, 3, now_s);
    assert_true(b.young);
    double young = evict_value_now(&x, &b, now_s);
    evict_settle(&x, now_s + EVICT_BURST_S);
    assert_true(b.young);
    evict_settle(&x, now_s + EVICT_BURST_S + 1);
    assert_false(b.young);
    assert_true(evict_value_now(&x, &b, now_s) < young / 2);
}

/* Its place there is for those that are kept. */
static void
a_twin_is_on_no_probation(void **state)
{
    (void)state;
    struct evict_blob b = {.size = 5 * MIB, .copies = 1};
    evict_asked_absent(&x, 3, EVICT_OTHER, T0 + 100);
    evict_add(&x, &b, 3, T0 + 100);
    assert_true(b.young);
    evict_twin(&x, &b, true, T0 + 101);
    assert_false(b.young);
    assert_int_equal(x.young_bytes, 0);
    assert_int_equal(x.spare_bytes, b.size);
    evict_twin(&x, &b, false, T0 + 102);
    assert_int_equal(x.spare_bytes, 0);
    evict_remove(&x, &b, 3);
}

static void
probation_has_a_bound(void **state)
{
    enum { COUNT = 100 };
    static struct evict_blob list[COUNT];
    uint64_t young = 0;
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        evict_asked_absent(&x, i, EVICT_OTHER, T0 + 100);
        list[i] = (struct evict_blob){.size = 9 * MIB, .copies = 1};
        evict_add(&x, &list[i], i, T0 + 100);
    }
    evict_settle(&x, T0 + 100);
    for (unsigned i = 0; i < COUNT; i++)
        young += list[i].young ? list[i].size : 0;
    assert_true(young <= LIMIT / 100 * EVICT_PROBATION);
    assert_true(list[COUNT - 1].young && !list[0].young); /* the latest stay on it */
    assert_int_equal(young, x.young_bytes);
}

static void
what_left_is_remembered(void **state)
{
    struct evict_blob b;
    (void)state;
    add(&b, 5, 5 * MIB, 1, 4, T0 + 5000);
    double c = evict_c(&x, &b, T0 + 5000);
    evict_remove(&x, &b, 5);
    evict_asked_absent(&x, 5, EVICT_OTHER, T0 + 9000);
    b = (struct evict_blob){.size = 5 * MIB, .copies = 1};
    evict_add(&x, &b, 5, T0 + 9000);
    assert_true(evict_c(&x, &b, T0 + 9000) > c);
}

/* Requests for a hundred blobs for so many days, some often, most seldom; each hour as many change
 * places, one often asked for with one that is not. */
static void
demand(struct rng *rng, struct evict_blob list[100], unsigned rank[100], double days,
       unsigned changes, uint32_t *now_s)
{
    uint32_t end_s = *now_s + (uint32_t)(days * DAY);
    for (unsigned n = 0; *now_s < end_s; n++, *now_s += 90) {
        for (unsigned i = 0; n % 40 == 0 && i < changes; i++) {
            uint64_t a = rng_below(rng, 20), b = rng_below(rng, 100);
            unsigned was = rank[a];
            rank[a] = rank[b];
            rank[b] = was;
        }
        uint64_t at = rng_below(rng, 10) < 9 ? rng_below(rng, 20) : rng_below(rng, 100);
        evict_asked(&x, &list[rank[at]], EVICT_SELF, *now_s);
        evict_settle(&x, *now_s);
    }
}

static void
values_follow_the_counters_that_foretell_better(void **state)
{
    static struct evict_blob list[100];
    unsigned rank[100];
    struct rng rng;
    uint32_t now_s = T0 + 100;
    (void)state;
    rng_init(&rng, 3);
    for (unsigned i = 0; i < 100; i++) {
        rank[i] = i;
        add(&list[i], i, 5 * MIB, 1, 0, now_s);
    }
    demand(&rng, list, rank, 3, 0, &now_s);
    assert_false(x.fast);
    demand(&rng, list, rank, 3, 2, &now_s);
    assert_true(x.fast);
    for (size_t i = 2; i <= x.large.count; i++)
        assert_true(x.large.list[i / 2]->key <= x.large.list[i]->key);
    for (unsigned i = 0; i < 100; i++) /* all of the heap counts in the same way */
        assert_true(list[i].young ||
                    fabs((double)list[i].key - evict_value(&x, &list[i], now_s)) < 0.01);
    demand(&rng, list, rank, 10, 0, &now_s);
    assert_false(x.fast);
}

/* The order of the heap is that of the values, whatever happens; sizes and counts are kept. */
static void
heaps_stay_heaps(void **state)
{
    enum { COUNT = 3000 };
    static struct evict_blob list[COUNT];
    struct evict_blob **order;
    struct rng rng;
    size_t here = 0;
    (void)state;
    rng_init(&rng, 7);
    for (unsigned step = 0; step < 40000; step++) {
        size_t i = (size_t)rng_below(&rng, COUNT);
        uint32_t now_s = T0 + 100 + step * 20;
        struct evict_blob *b = &list[i];
        uint64_t what = rng_below(&rng, 5);
        if (b->size == 0) {
            *b = (struct evict_blob){.size = 1 + rng_below(&rng, 4 * MIB), .copies = 1};
            evict_add(&x, b, i, now_s);
            here++;
        } else if (what == 0) {
            evict_remove(&x, b, i);
            b->size = 0;
            here--;
        } else if (what == 1)
            evict_copies(&x, b, 1 + (unsigned)rng_below(&rng, 3), now_s);
        else if (what == 2)
            evict_hold(&x, b, !b->held, now_s);
        else
            evict_asked(&x, b, EVICT_OTHER, now_s);
        if (step % 100 == 0)
            evict_settle(&x, now_s);
    }
    size_t held = 0, count = evict_list(&x, UINT64_MAX, &order);
    for (size_t i = 0; i < COUNT; i++)
        held += list[i].size > 0 && list[i].held;
    assert_int_equal(count, here - held);
    for (size_t i = 1; i < count; i++)
        if ((order[i - 1]->size < EVICT_SMALL) == (order[i]->size < EVICT_SMALL))
            assert_true(order[i - 1]->key <= order[i]->key);
    for (size_t i = 2; i <= x.large.count; i++)
        assert_true(x.large.list[i / 2]->key <= x.large.list[i]->key);
    for (size_t i = 2; i <= x.small.count; i++)
        assert_true(x.small.list[i / 2]->key <= x.small.list[i]->key);
    mem_free(order);
}

/* Where files are short, what a blob costs the site counts, not its bytes; manifests stay as long
 * as there are layers. */
static void
the_cheapest_is_large_while_there_is_one(void **state)
{
    struct evict_blob dear, large, small, smaller;
    (void)state;
    assert_null(evict_cheapest(&x));
    add(&dear, 1, 90 * MIB, 1, 5, T0 + 9000);
    assert_ptr_equal(evict_cheapest(&x), &dear);
    add(&large, 2, 90 * MIB, 1, 1, T0 + 9000);
    assert_ptr_equal(evict_cheapest(&x), &large);
    add(&small, 3, 2000, 1, 1, T0 + 9000);
    add(&smaller, 4, 1000, 1, 1, T0 + 9000);
    evict_copies(&x, &smaller, 2, T0 + 9000);
    assert_ptr_equal(evict_cheapest(&x), &large);
    evict_copies(&x, &dear, 2, T0 + 9000); /* another has it: only the LAN */
    assert_ptr_equal(evict_cheapest(&x), &dear);
    evict_hold(&x, &dear, true, T0 + 9000);
    assert_ptr_equal(evict_cheapest(&x), &large);
    evict_hold(&x, &large, true, T0 + 9000);
    assert_ptr_equal(evict_cheapest(&x), &smaller);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_it, close_it)
    const struct CMUnitTest tests[] = {
        TEST(the_cheapest_is_large_while_there_is_one),
        TEST(counters_halve_in_a_day),
        TEST(a_clock_set_back_leaves_the_counters_right),
        TEST(a_burst_counts_once),
        TEST(copies_leave_before_the_last_one),
        TEST(the_less_popular_leaves_first_whenever_it_is_asked),
        TEST(held_ones_stay),
        TEST(small_ones_go_only_beyond_their_share),
        TEST(a_giant_does_not_leave_for_a_dwarf),
        TEST(one_request_does_not_push_out_what_is_popular),
        TEST(probation_is_worth_what_was_learned),
        TEST(worthless_ones_do_not_shield_the_others),
        TEST(probation_ends),
        TEST(a_twin_is_on_no_probation),
        TEST(probation_has_a_bound),
        TEST(what_left_is_remembered),
        TEST(values_follow_the_counters_that_foretell_better),
        TEST(heaps_stay_heaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
