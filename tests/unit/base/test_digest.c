#include "base/digest.h"
#include "base/err.h"
#include "base/thread.h"
#include "tests/unit/base/unit.h"
#include <string.h>
#include <time.h>

#define ABC_256 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define ABC_512                                                               \
    "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" \
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"

static int
parse(const char *text, struct digest *ret)
{
    return digest_parse(text, strlen(text), ret);
}

static void
both_algorithms_read_and_print_the_same_text(void **state)
{
    (void)state;
    static const char *const texts[] = {ABC_256, ABC_512};
    char text[DIGEST_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct digest d;
        assert_int_equal(parse(texts[i], &d), 0);
        digest_print(&d, text);
        assert_string_equal(text, texts[i]);
    }
}

static void
the_digest_of_abc_is_the_one_of_fips_180(void **state)
{
    (void)state;
    struct digest want, got;
    assert_int_equal(parse(ABC_256, &want), 0);
    digest_of(DIGEST_SHA256, "abc", 3, &got);
    assert_true(digest_equal(&want, &got));
    assert_int_equal(parse(ABC_512, &want), 0);
    digest_of(DIGEST_SHA512, "abc", 3, &got);
    assert_true(digest_equal(&want, &got));
}

static void
anything_else_is_refused_and_leaves_the_output_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "sha256",
        "sha256:",
        "sha256:ba7816bf",
        "SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
        "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha384:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        (ABC_256 "0"),
        (" " ABC_256),
    };
    struct digest before;
    memset(&before, 0x5a, sizeof(before));
    struct digest d = before;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(parse(bad[i], &d), ERR_SYNTAX);
    assert_int_equal(digest_parse(ABC_256, strlen(ABC_256) - 1, &d), ERR_SYNTAX);
    assert_memory_equal(&d, &before, sizeof(d));
}

static void
unused_bytes_are_zero_so_that_it_may_be_a_key(void **state)
{
    (void)state;
    struct digest a, b;
    memset(&a, 1, sizeof(a));
    memset(&b, 2, sizeof(b));
    assert_int_equal(parse(ABC_256, &a), 0);
    digest_of(DIGEST_SHA256, "abc", 3, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    memset(&b, 3, sizeof(b));
    struct digester *d = digester_new(DIGEST_SHA256);
    digester_add(d, "abc", 3);
    digester_finish(d, &b);
    digester_free(d);
    assert_memory_equal(&a, &b, sizeof(a));
}

static void
equal_looks_at_algorithm_and_every_byte(void **state)
{
    (void)state;
    struct digest a = {.alg = DIGEST_SHA512};
    struct digest b = a;
    assert_true(digest_equal(&a, &b));
    b.bytes[63] = 1;
    assert_false(digest_equal(&a, &b));
    b = (struct digest){.alg = DIGEST_SHA256};
    assert_false(digest_equal(&a, &b));
}

static void
names_lengths_and_hex_belong_to_the_algorithm(void **state)
{
    (void)state;
    struct digest d;
    char hex[129];
    assert_int_equal(parse(ABC_512, &d), 0);
    assert_string_equal(digest_alg_name(&d), "sha512");
    assert_int_equal(digest_len(&d), 64);
    digest_hex(&d, hex);
    assert_string_equal(hex, strchr(ABC_512, ':') + 1);
    assert_int_equal(parse(ABC_256, &d), 0);
    assert_string_equal(digest_alg_name(&d), "sha256");
    assert_int_equal(digest_len(&d), 32);
    digest_hex(&d, hex);
    assert_string_equal(hex, strchr(ABC_256, ':') + 1);
}

static void
a_copy_goes_on_from_the_same_state(void **state)
{
    (void)state;
    struct digest want, got;
    struct digester *d = digester_new(DIGEST_SHA256);
    digester_add(d, "a", 1);
    struct digester *copy = digester_copy(d);
    digester_add(d, "x", 1);
    digester_add(copy, "b", 1);
    digester_add(copy, "c", 1);
    digester_finish(copy, &got);
    digester_free(copy);
    assert_int_equal(parse(ABC_256, &want), 0);
    assert_true(digest_equal(&want, &got));
    digester_finish(d, &got);
    digester_free(d);
    digest_of(DIGEST_SHA256, "ax", 2, &want);
    assert_true(digest_equal(&want, &got));
    digester_free(NULL);
}

static void
add_behind_the_end(void *arg)
{
    struct digest d;
    struct digester *x = digester_new(DIGEST_SHA256);
    (void)arg;
    digester_finish(x, &d);
    digester_add(x, "a", 1);
}

static void
a_finished_digester_takes_nothing_more(void **state)
{
    (void)state;
    assert_true(unit_aborts(add_behind_the_end, NULL));
}

static void
hash_repeatedly(void *arg)
{
    struct digest *ret = arg;
    for (int i = 0; i < 200; i++)
        digest_of(DIGEST_SHA256, "abc", 3, ret);
}

static void
threads_may_hash_at_once(void **state)
{
    (void)state;
    struct digest want;
    struct digest got[4];
    struct thread threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(thread_start(&threads[i], "hash", hash_repeatedly, &got[i]), 0);
    assert_int_equal(parse(ABC_256, &want), 0);
    for (size_t i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        assert_true(digest_equal(&want, &got[i]));
    }
}

/* Ten times either way: what decides by it must not see another machine when this one is busy. */
static void
the_rate_is_that_of_hashing(void **state)
{
    (void)state;
    static uint8_t bytes[4 << 20];
    struct digest d;
    struct timespec begun, ended;
    uint64_t rate = digest_rate();
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begun), 0);
    digest_of(DIGEST_SHA256, bytes, sizeof bytes, &d);
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended), 0);
    double took_s =
        (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
    assert_true((double)rate * took_s > sizeof bytes / 10.0);
    assert_true((double)rate * took_s < sizeof bytes * 10.0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_hash_at_once), /* first: they race for the first use */
        cmocka_unit_test(both_algorithms_read_and_print_the_same_text),
        cmocka_unit_test(the_digest_of_abc_is_the_one_of_fips_180),
        cmocka_unit_test(anything_else_is_refused_and_leaves_the_output_alone),
        cmocka_unit_test(unused_bytes_are_zero_so_that_it_may_be_a_key),
        cmocka_unit_test(equal_looks_at_algorithm_and_every_byte),
        cmocka_unit_test(names_lengths_and_hex_belong_to_the_algorithm),
        cmocka_unit_test(a_copy_goes_on_from_the_same_state),
        cmocka_unit_test(the_rate_is_that_of_hashing),
        cmocka_unit_test(a_finished_digester_takes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
