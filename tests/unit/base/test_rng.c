#include "base/rng.h"
#include "tests/unit/base/unit.h"
#include <string.h>

static void
the_generator_is_xoshiro256starstar(void **state)
{
    (void)state;
    /* From the reference: with state 1 2 3 4 the first outputs are these. */
    struct rng r = {.state = {1, 2, 3, 4}};
    assert_int_equal(rng_next(&r), 11520);
    assert_int_equal(rng_next(&r), 0);
    assert_int_equal(rng_next(&r), 1509978240);
    assert_int_equal(rng_next(&r), 1215971899390074240);
}

static void
the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_init(&a, 42);
    rng_init(&b, 42);
    rng_init(&c, 43);
    bool differs = false;
    for (int i = 0; i < 100; i++) {
        uint64_t v = rng_next(&a);
        assert_int_equal(v, rng_next(&b));
        differs |= v != rng_next(&c);
    }
    assert_true(differs);
}

static void
below_reaches_each_value_and_none_outside(void **state)
{
    (void)state;
    struct rng r;
    unsigned seen[7] = {0};
    rng_init(&r, 1);
    for (int i = 0; i < 7000; i++) {
        uint64_t v = rng_below(&r, 7);
        assert_true(v < 7);
        seen[v]++;
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(seen[i], 850, 1150);
    assert_int_equal(rng_below(&r, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(rng_below(&r, UINT64_MAX / 2 + 2) <= UINT64_MAX / 2 + 1);
}

static void
jitter_stays_within_its_percentage_and_reaches_both_ends(void **state)
{
    (void)state;
    struct rng r;
    int64_t lowest = INT64_MAX;
    int64_t highest = 0;
    rng_init(&r, 2);
    for (int i = 0; i < 10000; i++) {
        int64_t v = rng_jitter(&r, 250, 20);
        lowest = v < lowest ? v : lowest;
        highest = v > highest ? v : highest;
    }
    assert_int_equal(lowest, 200);
    assert_int_equal(highest, 300);
    assert_int_equal(rng_jitter(&r, 99, 0), 99);
    assert_int_equal(rng_jitter(&r, 0, 50), 0);
}

static void
secrets_differ_and_fill_every_byte(void **state)
{
    (void)state;
    uint8_t any[600] = {0};
    for (int round = 0; round < 8; round++) {
        uint8_t s[600];
        rng_secret(s, sizeof(s));
        for (size_t i = 0; i < sizeof(s); i++)
            any[i] |= s[i];
    }
    for (size_t i = 0; i < sizeof(any); i++)
        assert_true(any[i] != 0); /* each stays 0 with a chance of 2^-64 */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_generator_is_xoshiro256starstar),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(below_reaches_each_value_and_none_outside),
        cmocka_unit_test(jitter_stays_within_its_percentage_and_reaches_both_ends),
        cmocka_unit_test(secrets_differ_and_fill_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
