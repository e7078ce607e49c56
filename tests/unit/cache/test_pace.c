/* What follows from the rate of SHA-256. */
#include "cache/hasher.h"
#include "cache/pace.h"
#include "tests/unit/cache/room.h"

#define FAST  (1500u * 1000 * 1000) /* with instructions */
#define BOARD (60u * 1000 * 1000)   /* a small board without */

static void
fast_cores_are_enough_when_they_are_four(void **state)
{
    (void)state;
    assert_int_equal(pace_threads(FAST, 1), 1);
    assert_int_equal(pace_threads(FAST, 2), 2);
    assert_int_equal(pace_threads(FAST, 64), 4);
}

static void
slow_cores_all_hash_but_one(void **state)
{
    (void)state;
    assert_int_equal(pace_threads(BOARD, 1), 1);
    assert_int_equal(pace_threads(BOARD, 2), 2);
    assert_int_equal(pace_threads(BOARD, 4), 3);
    assert_int_equal(pace_threads(BOARD, 8), 7);
    assert_int_equal(pace_threads(BOARD, 64), HASHER_THREADS_MAX);
    assert_int_equal(pace_threads(0, 4), 3); /* it could not be measured */
}

static void
a_turn_is_4_ms_at_any_rate(void **state)
{
    (void)state;
    assert_int_equal(pace_slice_bytes(1u << 30), 4 * MIB);
    assert_int_equal(pace_slice_bytes(UINT64_MAX), 4 * MIB);
    assert_int_equal(pace_slice_bytes(512u << 20), 2 * MIB);
    assert_int_equal(pace_slice_bytes(BOARD), 256 * KIB); /* one step */
    assert_int_equal(pace_slice_bytes(0), 256 * KIB);
}

static void
a_slow_machine_rests_longer(void **state)
{
    (void)state;
    assert_int_equal(pace_rest_ms(256 * KIB, 0), 7);  /* 32 MiB/s */
    assert_int_equal(pace_rest_ms(256 * KIB, 4), 36); /* 60 MB/s: a tenth of the core */
    assert_int_equal(pace_rest_ms(256 * KIB, 13), 117);
    assert_int_equal(pace_rest_ms(1, 0), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_cores_are_enough_when_they_are_four),
        cmocka_unit_test(slow_cores_all_hash_but_one),
        cmocka_unit_test(a_turn_is_4_ms_at_any_rate),
        cmocka_unit_test(a_slow_machine_rests_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
