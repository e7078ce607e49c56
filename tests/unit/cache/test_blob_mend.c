/* A wrong digest, and a fetcher that finds out which bytes were wrong. */
#include "tests/unit/cache/room.h"
#include <stdatomic.h>

#define SIZE  (1 * MIB + 1000)
#define PIECE (256 * KIB)

static atomic_uint wakes;

static void
wake(void *arg)
{
    (void)arg;
    atomic_fetch_add(&wakes, 1);
}

static struct blob *
begin(struct room *r, const struct digest *d)
{
    enum cache_got got;
    struct blob *b = cache_acquire(r->cache, d, &got);
    assert_int_equal(got, CACHE_LEAD);
    atomic_store(&wakes, 0);
    blob_set_waker(b, wake, NULL);
    blob_set_mendable(b, true);
    assert_int_equal(blob_begin(b, SIZE), 0);
    return b;
}

static void
wait_sick(struct blob *b)
{
    struct blob_state s;
    int64_t end_ms = clock_ms() + SOON_MS;
    do {
        blob_look(b, 0, &s);
        assert_true(clock_ms() < end_ms);
    } while (!s.sick);
    assert_int_equal(s.phase, BLOB_FILLING);
    while (atomic_load(&wakes) == 0) /* told after the lock is given back */
        assert_true(clock_ms() < end_ms);
}

static enum blob_phase
wait_end(struct blob *b, int *ret_error)
{
    struct blob_state s;
    blob_wait(b, SIZE, clock_ms() + SOON_MS, &s);
    *ret_error = s.error;
    return s.phase;
}

/* Piece 2 has a wrong byte. */
static void
make_wrong(uint8_t *body)
{
    body[2 * PIECE + 5] ^= 1;
}

static void
the_wrong_piece_is_found_dropped_and_fetched_again(void **state)
{
    (void)state;
    struct room r;
    struct digest d, sums[8], right;
    struct blob_state s;
    char tail[16];
    int error;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(1, SIZE, &d);
    struct blob *b = begin(&r, &d);
    unsigned early = blob_repairs(b), late = early;
    digest_of(DIGEST_SHA256, body + 2 * PIECE, PIECE, &right);
    make_wrong(body);
    assert_int_equal(fill_rest(b, body, 64 * KIB), 0);
    wait_sick(b);
    assert_int_equal(blob_read(b, SIZE - 10, tail, 10), 0);
    assert_true(blob_sums(b, sums, 8));
    assert_false(blob_sums(b, sums, 4));
    assert_false(digest_equal(&sums[2], &right));
    make_wrong(body);
    digest_of(DIGEST_SHA256, body + 4 * PIECE, 1000, &right);
    assert_true(digest_equal(&sums[4], &right));
    assert_false(blob_spoilt(b, 0, SIZE, &early));
    blob_drop(b, (const uint8_t[]){1u << 2});
    blob_look(b, 0, &s);
    assert_false(s.sick);
    assert_int_equal(s.have_bytes, SIZE - PIECE);
    assert_int_equal(s.readable, 2 * PIECE);
    unsigned again = early;
    assert_false(blob_spoilt(b, 0, 2 * PIECE, &again));
    again = early;
    assert_false(blob_spoilt(b, 3 * PIECE, SIZE, &again));
    assert_true(blob_spoilt(b, 0, 2 * PIECE + 1, &late));
    assert_false(blob_spoilt(b, 0, SIZE, &late)); /* told once: from now on it is new */
    assert_int_equal(fill_rest(b, body, 64 * KIB), 0);
    while (wait_end(b, &error) == BLOB_VERIFIED)
        continue;
    assert_int_equal(wait_end(b, &error), BLOB_WHOLE);
    assert_true(blob_spoilt(b, 0, SIZE, &early)); /* still told when it is whole */
    blob_release(&b);
    room_release(&r);
    mem_free(body);
}

static void
without_a_fetcher_it_fails_at_once(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    int error;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(2, SIZE, &d);
    struct blob *b = begin(&r, &d);
    blob_set_waker(b, NULL, NULL);
    make_wrong(body);
    assert_int_equal(fill_rest(b, body, 64 * KIB), 0);
    assert_int_equal(wait_end(b, &error), BLOB_FAILED);
    assert_int_equal(error, ERR_DIGEST);
    blob_release(&b);
    room_release(&r);
    mem_free(body);
}

/* The disk thread removes it in its own time. */
static void
wait_forgotten(struct room *r, const struct digest *d)
{
    struct blob_info info;
    int64_t deadline_ms = clock_ms() + 5000;
    while (cache_info(r->cache, d, &info) == 0 && clock_ms() < deadline_ms)
        clock_sleep_ms(1);
    assert_int_equal(cache_info(r->cache, d, &info), ERR_NOT_FOUND);
}

static void
what_is_given_up_while_it_is_sick_leaves_no_file(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    int error;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(3, SIZE, &d);
    struct blob *b = begin(&r, &d);
    make_wrong(body);
    assert_int_equal(fill_rest(b, body, 64 * KIB), 0);
    wait_sick(b);
    blob_fail(b, ERR_UPSTREAM);
    assert_int_equal(wait_end(b, &error), BLOB_FAILED);
    assert_int_equal(error, ERR_DIGEST);
    blob_release(&b);
    wait_forgotten(&r, &d);
    /* The same when nobody holds it any more. */
    b = begin(&r, &d);
    assert_int_equal(fill_rest(b, body, 64 * KIB), 0);
    wait_sick(b);
    blob_release(&b);
    wait_forgotten(&r, &d);
    room_release(&r);
    mem_free(body);
}

static void
repairs_that_do_not_help_come_to_an_end(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    int error;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(4, SIZE, &d);
    struct blob *b = begin(&r, &d);
    make_wrong(body);
    for (int i = 0; i < BLOB_REPAIRS_MAX; i++) {
        assert_int_equal(fill_rest(b, body, 64 * KIB), 0);
        wait_sick(b);
        blob_drop(b, (const uint8_t[]){0x1f});
    }
    assert_int_equal(fill_rest(b, body, 64 * KIB), 0);
    assert_int_equal(wait_end(b, &error), BLOB_FAILED);
    assert_int_equal(error, ERR_DIGEST);
    blob_release(&b);
    room_release(&r);
    mem_free(body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wrong_piece_is_found_dropped_and_fetched_again),
        cmocka_unit_test(without_a_fetcher_it_fails_at_once),
        cmocka_unit_test(what_is_given_up_while_it_is_sick_leaves_no_file),
        cmocka_unit_test(repairs_that_do_not_help_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
