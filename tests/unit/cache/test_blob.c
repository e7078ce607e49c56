/* Readers of one blob: waiting, ranges, the tail, many at once. */
#include "base/thread.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"
#include <stdatomic.h>

/* A room with one blob of `size` bytes in phase FILLING, led by the test. */
struct lead {
    struct room room;
    struct digest digest;
    uint8_t *body;
    size_t size;
    struct blob *blob;
};

static void
lead_init(struct lead *l, uint64_t seed, size_t size)
{
    enum cache_got got;
    room_init(&l->room, 256 * MIB);
    l->size = size;
    l->body = make_body(seed, size, &l->digest);
    l->blob = cache_acquire(l->room.cache, &l->digest, &got);
    assert_int_equal(got, CACHE_LEAD);
    assert_int_equal(blob_begin(l->blob, size), 0);
}

static void
lead_release(struct lead *l)
{
    blob_release(&l->blob);
    cache_check(l->room.cache);
    mem_free(l->body);
    room_release(&l->room);
}

static void
waiting_ends_at_the_deadline(void **state)
{
    (void)state;
    struct lead l;
    struct blob_state s;
    lead_init(&l, 1, MIB);
    int64_t started_ms = clock_ms();
    blob_wait(l.blob, 0, started_ms + 20, &s);
    assert_true(clock_ms() - started_ms >= 19);
    assert_int_equal(s.phase, BLOB_FILLING);
    assert_int_equal(s.readable, 0);
    lead_release(&l);
}

static void
bytes_are_readable_as_they_land_in_any_order(void **state)
{
    (void)state;
    struct lead l;
    struct blob_state s;
    struct gap first, second;
    uint8_t got[16];
    lead_init(&l, 2, 2 * MIB);
    assert_true(blob_claim(l.blob, 256 * KIB, &first));
    assert_true(blob_claim(l.blob, 256 * KIB, &second));
    assert_int_equal(blob_write(l.blob, second.start, l.body + second.start, 100, BLOB_FROM_PEER),
                     0);
    blob_look(l.blob, second.start + 10, &s);
    assert_int_equal(s.readable, second.start + 100);
    assert_int_equal(s.have_bytes, 100);
    assert_int_equal(blob_read(l.blob, second.start + 90, got, sizeof got), 10);
    assert_memory_equal(got, l.body + second.start + 90, 10);
    assert_int_equal(blob_read(l.blob, 0, got, sizeof got), 0);
    lead_release(&l);
}

static void
the_tail_waits_for_the_digest(void **state)
{
    (void)state;
    struct lead l;
    struct blob_state s;
    uint8_t got[16];
    lead_init(&l, 3, MIB);
    struct gap gap;
    assert_true(blob_claim(l.blob, UINT64_MAX, &gap));
    assert_int_equal(blob_write(l.blob, 0, l.body, MIB - 1, BLOB_FROM_UPSTREAM), 0);
    blob_look(l.blob, 0, &s);
    assert_int_equal(s.readable, MIB - 64 * KIB);
    assert_int_equal(blob_read(l.blob, MIB - 64 * KIB, got, sizeof got), 0);
    assert_int_equal(blob_write(l.blob, MIB - 1, l.body + MIB - 1, 1, BLOB_FROM_UPSTREAM), 0);
    blob_wait(l.blob, MIB - 1, clock_ms() + SOON_MS, &s);
    assert_true(s.phase >= BLOB_VERIFIED);
    assert_int_equal(s.readable, MIB);
    blob_wait(l.blob, MIB, clock_ms() + SOON_MS, &s);
    assert_true(s.phase >= BLOB_VERIFIED);
    lead_release(&l);
}

static void
a_failure_wakes_waiters_with_its_code(void **state)
{
    (void)state;
    struct lead l;
    struct blob_state s;
    lead_init(&l, 4, MIB);
    blob_fail(l.blob, ERR_UPSTREAM);
    blob_fail(l.blob, ERR_TIMEOUT);
    blob_wait(l.blob, 0, clock_ms() + SOON_MS, &s);
    assert_int_equal(s.phase, BLOB_FAILED);
    assert_int_equal(s.error, ERR_UPSTREAM);
    lead_release(&l);
}

static void
a_blob_that_all_left_can_be_led_again(void **state)
{
    (void)state;
    struct lead l;
    enum cache_got got;
    lead_init(&l, 5, MIB);
    blob_release(&l.blob);
    l.blob = cache_acquire(l.room.cache, &l.digest, &got);
    assert_int_equal(got, CACHE_LEAD);
    lead_release(&l);
}

static void
no_descriptor_before_whole(void **state)
{
    (void)state;
    struct lead l;
    int fd = -1;
    lead_init(&l, 6, MIB);
    assert_true(blob_open_fd(l.blob, &fd) < 0);
    assert_int_equal(fd, -1);
    lead_release(&l);
}

/* ---- many at once ---- */

#define READERS 8

struct reader {
    struct thread thread;
    struct lead *lead;
    uint64_t from, to;
    uint64_t got_bytes;
};

static void
read_range(void *arg)
{
    struct reader *r = arg;
    struct blob *b = blob_ref(r->lead->blob);
    uint8_t block[32 * KIB];
    uint64_t at = r->from;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (at < r->to && clock_ms() < deadline_ms) {
        struct blob_state s;
        blob_wait(b, at, deadline_ms, &s);
        size_t room = r->to - at < sizeof block ? (size_t)(r->to - at) : sizeof block;
        int64_t n = blob_read(b, at, block, room);
        if (n <= 0 || memcmp(block, r->lead->body + at, (size_t)n) != 0) {
            break;
        }
        at += (uint64_t)n;
    }
    r->got_bytes = at - r->from;
    blob_release(&b);
}

struct filler {
    struct thread thread;
    struct lead *lead;
    _Atomic unsigned woken;
};

static void
note_woken(void *arg)
{
    struct filler *f = arg;
    atomic_fetch_add(&f->woken, 1);
}

/* Two runs at a time, as a fetcher that follows cursors. */
static void
fill_in_two_runs(void *arg)
{
    struct filler *f = arg;
    struct blob *b = f->lead->blob;
    struct gap runs[2];
    uint64_t at[2];
    bool busy[2] = {false, false};
    for (;;) {
        for (int i = 0; i < 2; i++) {
            if (!busy[i] && blob_claim(b, UINT64_MAX, &runs[i])) {
                busy[i] = true;
                at[i] = runs[i].start;
            }
        }
        if (!busy[0] && !busy[1]) {
            return;
        }
        for (int i = 0; i < 2; i++) {
            uint64_t limit = busy[i] ? blob_claim_limit(b, &runs[i]) : 0;
            if (busy[i] && at[i] < limit) {
                uint64_t n = limit - at[i] < 70000 ? limit - at[i] : 70000;
                if (blob_write(b, at[i], f->lead->body + at[i], (size_t)n, BLOB_FROM_UPSTREAM) <
                    0) {
                    return;
                }
                at[i] += n;
            }
            busy[i] = busy[i] && at[i] < blob_claim_limit(b, &runs[i]);
        }
    }
}

static void
eight_readers_of_different_ranges_get_their_bytes(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 15; seed++) {
        struct lead l;
        struct reader readers[READERS];
        lead_init(&l, seed, 24 * MIB + 11);
        struct filler filler = {.lead = &l};
        blob_set_waker(l.blob, note_woken, &filler);
        struct rng rng;
        rng_init(&rng, seed);
        for (int i = 0; i < READERS; i++) {
            uint64_t from = i == 0 ? 0 : rng_below(&rng, l.size);
            uint64_t to = i == 0 ? l.size : from + rng_below(&rng, l.size - from) + 1;
            readers[i] = (struct reader){.lead = &l, .from = from, .to = to};
            assert_int_equal(thread_start(&readers[i].thread, "reader", read_range, &readers[i]),
                             0);
        }
        assert_int_equal(thread_start(&filler.thread, "filler", fill_in_two_runs, &filler), 0);
        for (int i = 0; i < READERS; i++) {
            thread_join(&readers[i].thread);
            assert_int_equal(readers[i].got_bytes, readers[i].to - readers[i].from);
        }
        thread_join(&filler.thread);
        assert_int_equal(wait_for_end(l.blob), BLOB_WHOLE);
        lead_release(&l);
    }
}

static void
acquire_and_release_from_many_threads_share_one_lead(void **state)
{
    (void)state;
    struct lead l;
    struct reader readers[READERS];
    lead_init(&l, 30, 4 * MIB);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.lead = &l, .from = 0, .to = l.size};
        assert_int_equal(thread_start(&readers[i].thread, "reader", read_range, &readers[i]), 0);
    }
    for (int i = 0; i < 1000; i++) {
        enum cache_got got;
        struct blob *b = cache_acquire(l.room.cache, &l.digest, &got);
        assert_ptr_equal(b, l.blob);
        assert_int_not_equal(got, CACHE_LEAD);
        blob_release(&b);
    }
    assert_int_equal(fill_rest(l.blob, l.body, 256 * KIB), 0);
    for (int i = 0; i < READERS; i++) {
        thread_join(&readers[i].thread);
        assert_int_equal(readers[i].got_bytes, l.size);
    }
    lead_release(&l);
}

static void
a_file_that_cannot_be_read_where_a_client_was_cut_leaves(void **state)
{
    (void)state;
    struct lead l;
    lead_init(&l, 31, 20 * MIB);
    assert_int_equal(fill_rest(l.blob, l.body, 256 * KIB), 0);
    assert_int_equal(wait_for_end(l.blob), BLOB_WHOLE);
    char path[256];
    blob_path(&l.room, &l.digest, path);
    assert_int_equal(truncate(path, 10 * MIB), 0);
    enum cache_got got;
    blob_doubt(l.blob, 0); /* what is near is there */
    struct blob *b = cache_acquire(l.room.cache, &l.digest, &got);
    assert_int_equal(got, CACHE_HIT);
    blob_release(&b);
    blob_doubt(l.blob, 8 * MIB);
    b = cache_acquire(l.room.cache, &l.digest, &got);
    assert_int_equal(got, CACHE_LEAD);
    blob_fail(b, ERR_CLOSED);
    blob_release(&b);
    cache_check(l.room.cache);
    lead_release(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_ends_at_the_deadline),
        cmocka_unit_test(bytes_are_readable_as_they_land_in_any_order),
        cmocka_unit_test(the_tail_waits_for_the_digest),
        cmocka_unit_test(a_failure_wakes_waiters_with_its_code),
        cmocka_unit_test(a_blob_that_all_left_can_be_led_again),
        cmocka_unit_test(no_descriptor_before_whole),
        cmocka_unit_test(eight_readers_of_different_ranges_get_their_bytes),
        cmocka_unit_test(acquire_and_release_from_many_threads_share_one_lead),
        cmocka_unit_test(a_file_that_cannot_be_read_where_a_client_was_cut_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
