/* Blobs that pass through memory. */
#include "base/metric.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "tests/unit/cache/writer.h"

static void
a_blob_far_larger_than_the_ring_passes_through(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct blob *b;
    struct writer w;
    struct blob_state s;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(1, 8 * MIB + 77, &d);
    assert_int_equal(cache_pass_through(r.cache, &d, 0, NULL, NULL, &b), 0);
    start_writer(&w, b, body, 8 * MIB + 77);
    assert_int_equal(read_and_compare(b, body, 0, 8 * MIB + 77), 8 * MIB + 77);
    blob_look(b, 8 * MIB + 77, &s);
    assert_int_equal(s.phase, BLOB_VERIFIED);
    end_writer(&w);
    assert_int_equal(w.result, 0);
    blob_release(&b);
    assert_null(cache_find(r.cache, &d));
    mem_free(body);
    room_release(&r);
}

static void
small_and_empty_blobs_pass_through(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 64 * KIB, 64 * KIB + 1, 512 * KIB};
    struct room r;
    room_init(&r, 64 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct digest d;
        struct blob *b;
        struct writer w;
        struct blob_state s;
        uint8_t *body = make_body(50 + i, sizes[i], &d);
        assert_int_equal(cache_pass_through(r.cache, &d, 0, NULL, NULL, &b), 0);
        start_writer(&w, b, body, sizes[i]);
        assert_int_equal(read_and_compare(b, body, 0, sizes[i]), sizes[i]);
        blob_wait(b, sizes[i], clock_ms() + SOON_MS, &s);
        assert_int_equal(s.phase, BLOB_VERIFIED);
        end_writer(&w);
        blob_release(&b);
        mem_free(body);
    }
    room_release(&r);
}

static void
wrong_bytes_do_not_complete(void **state)
{
    (void)state;
    struct room r;
    struct digest d, other;
    struct blob *b;
    struct writer w;
    struct blob_state s;
    log_configure(LOG_ERROR, false);
    room_init(&r, 64 * MIB);
    mem_free(make_body(2, 10, &d));
    uint8_t *wrong = make_body(3, 2 * MIB, &other);
    uint64_t failures = metric_get(M_digest_failures);
    assert_int_equal(cache_pass_through(r.cache, &d, 0, NULL, NULL, &b), 0);
    start_writer(&w, b, wrong, 2 * MIB);
    assert_int_equal(read_and_compare(b, wrong, 0, 2 * MIB), 2 * MIB - 64 * KIB);
    blob_look(b, 2 * MIB - 64 * KIB, &s);
    assert_int_equal(s.phase, BLOB_FAILED);
    assert_int_equal(s.error, ERR_DIGEST);
    assert_int_equal(metric_get(M_digest_failures), failures + 1);
    end_writer(&w);
    blob_release(&b);
    mem_free(wrong);
    room_release(&r);
}

static void
it_goes_on_where_a_stored_blob_failed(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct blob *pass;
    struct writer w;
    struct gap gap;
    enum cache_got got;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(4, 4 * MIB, &d);
    struct blob *stored = cache_acquire(r.cache, &d, &got);
    assert_int_equal(blob_begin(stored, 4 * MIB), 0);
    assert_true(blob_claim(stored, UINT64_MAX, &gap));
    assert_int_equal(blob_write(stored, 0, body, MIB + 9, BLOB_FROM_UPSTREAM), 0);
    blob_fail(stored, ERR_STORE);
    assert_int_equal(read_and_compare(stored, body, 0, 4 * MIB), MIB + 9);
    assert_int_equal(cache_pass_through(r.cache, &d, MIB + 9, NULL, stored, &pass), 0);
    start_writer(&w, pass, body, 4 * MIB);
    assert_int_equal(read_and_compare(pass, body, MIB + 9, 4 * MIB), 3 * MIB - 9);
    end_writer(&w);
    blob_release(&pass);

    /* What the failed blob does not hold comes again and is skipped. */
    assert_int_equal(cache_pass_through(r.cache, &d, 2 * MIB, NULL, stored, &pass), 0);
    start_writer(&w, pass, body, 4 * MIB);
    assert_int_equal(read_and_compare(pass, body, 2 * MIB, 4 * MIB), 2 * MIB);
    end_writer(&w);
    blob_release(&pass);
    blob_release(&stored);
    mem_free(body);
    room_release(&r);
}

/* The tail is like any other part, and nothing of a part waits for what cannot come. */
static void
a_part_costs_its_own_bytes_only(void **state)
{
    (void)state;
    static const struct gap wants[] = {{2 * MIB + 3, 4 * MIB - 64 * KIB},
                                       {4 * MIB - 64 * KIB, 4 * MIB},
                                       {1, 4 * MIB},
                                       {4 * MIB - 1, 4 * MIB}};
    struct room r;
    struct digest d;
    struct blob *pass;
    struct writer w;
    struct blob_state s;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(4, 4 * MIB, &d);
    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        const struct gap *want = &wants[i];
        assert_int_equal(cache_pass_part(r.cache, &d, want, false, &pass), 0);
        start_writer(&w, pass, body, 4 * MIB);
        assert_int_equal(read_and_compare(pass, body, want->start, want->end),
                         want->end - want->start);
        end_writer(&w);
        assert_int_equal(w.result, 0);
        assert_int_equal(pass->from_bytes[BLOB_FROM_UPSTREAM], want->end - want->start);
        blob_look(pass, want->end, &s);
        assert_int_equal(s.have_bytes, 4 * MIB); /* nothing is left to fetch */
        assert_int_equal(s.readable, want->end);
        assert_int_equal(s.phase, BLOB_FILLING); /* nothing was proven */
        blob_release(&pass);
    }
    assert_int_equal(cache_pass_part(r.cache, &d, &wants[1], false, &pass), 0);
    assert_int_equal(blob_begin(pass, 4 * MIB - 1), ERR_SIZE);
    blob_release(&pass);
    mem_free(body);
    room_release(&r);
}

static void
a_reader_that_leaves_ends_the_writer(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct blob *b;
    struct writer w;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(5, 4 * MIB, &d);
    assert_int_equal(cache_pass_through(r.cache, &d, 0, NULL, NULL, &b), 0);
    start_writer(&w, b, body, 4 * MIB);
    assert_int_equal(read_and_compare(b, body, 0, MIB), MIB);
    blob_release(&b);
    end_writer(&w);
    assert_int_equal(w.result, ERR_CLOSED);
    mem_free(body);
    room_release(&r);
}

static void
passes_are_bounded(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct blob *b[4] = {NULL};
    room_init(&r, 64 * MIB);
    cache_close(r.cache);
    r.config.passes_max = 3;
    room_open(&r);
    mem_free(make_body(6, 10, &d));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cache_pass_through(r.cache, &d, 0, NULL, NULL, &b[i]), 0);
    }
    assert_int_equal(cache_pass_through(r.cache, &d, 0, NULL, NULL, &b[3]), ERR_FULL);
    blob_release(&b[0]);
    assert_int_equal(cache_pass_through(r.cache, &d, 0, NULL, NULL, &b[3]), 0);
    for (int i = 1; i < 4; i++) {
        blob_release(&b[i]);
    }
    room_release(&r);
}

/* Who can have it another way leaves half of the places to those who cannot. */
static void
spare_parts_leave_half_of_the_places(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct blob *b[4] = {NULL}, *more;
    const struct gap want = {5, 10};
    room_init(&r, 64 * MIB);
    cache_close(r.cache);
    r.config.passes_max = 4;
    room_open(&r);
    mem_free(make_body(6, 10, &d));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cache_pass_part(r.cache, &d, &want, true, &b[i]), 0);
    }
    assert_int_equal(cache_pass_part(r.cache, &d, &want, true, &more), ERR_FULL);
    assert_int_equal(cache_pass_part(r.cache, &d, &want, false, &b[2]), 0);
    assert_int_equal(cache_pass_through(r.cache, &d, 0, NULL, NULL, &b[3]), 0);
    assert_int_equal(cache_pass_part(r.cache, &d, &want, false, &more), ERR_FULL);
    for (int i = 0; i < 4; i++) {
        blob_release(&b[i]);
    }
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blob_far_larger_than_the_ring_passes_through),
        cmocka_unit_test(small_and_empty_blobs_pass_through),
        cmocka_unit_test(wrong_bytes_do_not_complete),
        cmocka_unit_test(it_goes_on_where_a_stored_blob_failed),
        cmocka_unit_test(a_part_costs_its_own_bytes_only),
        cmocka_unit_test(a_reader_that_leaves_ends_the_writer),
        cmocka_unit_test(passes_are_bounded),
        cmocka_unit_test(spare_parts_leave_half_of_the_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
