/* The table of entries: found by digest, walked in an order that survives growth. */
#include "cache/inside.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#define COUNT 5000u

static struct digest
digest_no(uint32_t n)
{
    struct digest d;
    digest_of(n % 7 == 0 ? DIGEST_SHA512 : DIGEST_SHA256, &n, sizeof n, &d);
    return d;
}

static struct entry *
add_no(struct index *x, uint32_t n)
{
    struct digest d = digest_no(n);
    struct entry *e = mem_zalloc(sizeof *e + digest_len(&d));
    e->alg = (uint8_t)d.alg;
    memcpy(e->key, d.bytes, digest_len(&d));
    e->worth.size = n;
    index_add(x, e);
    return e;
}

static void
free_all(struct index *x)
{
    struct entry *e;
    for (uint64_t at = 0; (e = index_next(x, &at)) != NULL;) {
        index_remove(x, e);
        mem_free(e);
    }
    assert_int_equal(x->count, 0);
    index_release(x);
}

static void
what_was_added_is_found_until_it_is_removed(void **state)
{
    (void)state;
    struct index x = {0};
    struct digest d = digest_no(1);
    assert_null(index_find(&x, &d));
    for (uint32_t n = 0; n < COUNT; n++) {
        (void)add_no(&x, n);
    }
    for (uint32_t n = 0; n < COUNT; n++) {
        d = digest_no(n);
        struct entry *e = index_find(&x, &d);
        assert_non_null(e);
        assert_int_equal(e->worth.size, n);
        if (n % 2 == 0) {
            index_remove(&x, e);
            mem_free(e);
            assert_null(index_find(&x, &d));
        }
    }
    assert_int_equal(x.count, COUNT / 2);
    free_all(&x);
}

/* Begun with few, continued while others come and go: each that stays is met once. */
static void
a_walk_meets_all_that_stay_once(void **state)
{
    (void)state;
    struct index x = {0};
    uint32_t next = 0, met = 0;
    struct entry *e, *passing = NULL;
    while (next < 1000) {
        (void)add_no(&x, next++);
    }
    for (uint64_t at = 0; (e = index_next(&x, &at)) != NULL;) {
        met += e->worth.size < 1000;
        assert_true(e->worth.size < 1000 + COUNT);
        if (e->worth.size < 1000) {
            must(e->served_bytes++ == 0);
        }
        if (passing != NULL && passing != e) {
            index_remove(&x, passing);
            mem_free(passing);
            passing = NULL;
        }
        if (next < 1000 + COUNT) {
            (void)add_no(&x, next++);
        }
        passing = passing == NULL ? add_no(&x, 100000 + next) : passing;
        passing->worth.size = 999 + COUNT;
    }
    assert_int_equal(met, 1000);
    free_all(&x);
}

static void
an_empty_table_has_no_walk(void **state)
{
    (void)state;
    struct index x = {0};
    uint64_t at = 0;
    assert_null(index_next(&x, &at));
    at = UINT64_MAX;
    assert_null(index_next(&x, &at));
    index_release(&x);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_until_it_is_removed),
        cmocka_unit_test(a_walk_meets_all_that_stay_once),
        cmocka_unit_test(an_empty_table_has_no_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
