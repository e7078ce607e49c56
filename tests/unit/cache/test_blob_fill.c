/* Filling: claims that follow readers, the waker, room and the lack of it. */
#include "base/metric.h"
#include "base/thread.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"
#include <stdatomic.h>
#define room_init start_room /* the test's own is another */
#include "cache/room.h"
#undef room_init

struct waiter {
    struct thread thread;
    struct blob *blob;
    uint64_t pos;
    struct blob_state seen;
};

static void
wait_at(void *arg)
{
    struct waiter *w = arg;
    blob_wait(w->blob, w->pos, clock_ms() + SOON_MS, &w->seen);
}

static void
count_wake(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static bool
becomes(_Atomic unsigned *count, unsigned at_least)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (atomic_load(count) < at_least && clock_ms() < deadline_ms) {
        clock_sleep_ms(1);
    }
    return atomic_load(count) >= at_least;
}

static void
a_reader_far_ahead_wakes_the_fetcher_and_gets_its_own_run(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    enum cache_got got;
    _Atomic unsigned wakes = 0;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(1, 16 * MIB, &d);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    blob_set_waker(b, count_wake, &wakes);
    assert_int_equal(blob_begin(b, 16 * MIB), 0);
    struct gap run, jump;
    assert_true(blob_claim(b, UINT64_MAX, &run));
    assert_int_equal(run.end, 16 * MIB);
    assert_false(blob_claim(b, UINT64_MAX, &jump));

    struct waiter w = {.blob = b, .pos = 10 * MIB + 3};
    assert_int_equal(thread_start(&w.thread, "waiter", wait_at, &w), 0);
    assert_true(becomes(&wakes, 1));
    assert_true(blob_claim(b, UINT64_MAX, &jump));
    assert_int_equal(jump.start, 10 * MIB);
    assert_int_equal(jump.end, 16 * MIB);
    assert_int_equal(blob_claim_limit(b, &run), 10 * MIB);
    assert_int_equal(blob_write(b, jump.start, body + jump.start, 1000, BLOB_FROM_UPSTREAM), 0);
    thread_join(&w.thread);
    assert_int_equal(w.seen.readable, 10 * MIB + 1000);
    assert_int_equal(atomic_load(&wakes), 1);

    /* The first run stops at its new end even if its writer does not. */
    for (uint64_t at = 0; at < 11 * MIB; at += 200 * KIB) {
        assert_int_equal(blob_write(b, at, body + at, 200 * KIB, BLOB_FROM_UPSTREAM), 0);
    }
    struct blob_state s;
    blob_look(b, 0, &s);
    assert_int_equal(s.have_bytes, 10 * MIB + 1000);
    blob_unclaim(b, &jump);
    assert_int_equal(fill_rest(b, body, MIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    blob_release(&b);
    mem_free(body);
    room_release(&r);
}

static void
a_reader_that_a_run_will_reach_soon_wakes_nobody(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    enum cache_got got;
    _Atomic unsigned wakes = 0;
    struct gap run;
    struct blob_state s;
    room_init(&r, 64 * MIB);
    mem_free(make_body(2, 16 * MIB, &d));
    struct blob *b = cache_acquire(r.cache, &d, &got);
    blob_set_waker(b, count_wake, &wakes);
    assert_int_equal(blob_begin(b, 16 * MIB), 0);
    assert_true(blob_claim(b, UINT64_MAX, &run));
    blob_wait(b, 0, clock_ms() + 5, &s);
    blob_wait(b, 600 * KIB, clock_ms() + 5, &s);
    assert_int_equal(atomic_load(&wakes), 0);
    blob_release(&b);
    room_release(&r);
}

static void
old_blobs_leave_for_new_ones_and_the_cap_holds(void **state)
{
    (void)state;
    struct room r;
    struct digest d[6];
    room_init(&r, 4 * MIB);
    for (uint64_t i = 0; i < 6; i++) {
        uint8_t *body = make_body(10 + i, MIB, &d[i]);
        store_body(&r, &d[i], body, MIB);
        mem_free(body);
        struct cache_stats s;
        cache_get_stats(r.cache, &s);
        assert_true(s.used_bytes <= 4 * MIB);
        if (i % 2 == 0) { /* the first is used again, so others are older */
            cache_asked(r.cache, &d[0]);
        }
    }
    struct blob_info info;
    assert_int_equal(cache_info(r.cache, &d[0], &info), 0);
    assert_int_equal(cache_info(r.cache, &d[1], &info), ERR_NOT_FOUND);
    assert_int_equal(cache_info(r.cache, &d[2], &info), ERR_NOT_FOUND);
    assert_int_equal(cache_info(r.cache, &d[5], &info), 0);
    cache_check(r.cache);
    room_release(&r);
}

static void
what_cannot_fit_fails_full_and_evicts_nothing(void **state)
{
    (void)state;
    struct room r;
    struct digest d, big;
    enum cache_got got;
    room_init(&r, 4 * MIB);
    uint8_t *body = make_body(20, MIB, &d);
    mem_free(make_body(21, 10, &big));
    store_body(&r, &d, body, MIB);
    uint64_t full = metric_get(M_store_full);
    struct blob *b = cache_acquire(r.cache, &big, &got);
    assert_int_equal(blob_begin(b, 5 * MIB), ERR_FULL);
    struct blob_state s;
    blob_look(b, 0, &s);
    assert_int_equal(s.phase, BLOB_FAILED);
    assert_int_equal(s.error, ERR_FULL);
    blob_release(&b);
    b = cache_acquire(r.cache, &big, &got);
    assert_int_equal(blob_begin(b, UINT64_MAX - 1), ERR_FULL);
    blob_release(&b);

    struct blob *open = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_HIT);
    b = cache_acquire(r.cache, &big, &got);
    assert_int_equal(blob_begin(b, 4 * MIB), ERR_FULL); /* an open blob does not leave */
    blob_release(&b);
    blob_release(&open);
    assert_int_equal(metric_get(M_store_full), full + 3);
    struct blob_info info;
    assert_int_equal(cache_info(r.cache, &d, &info), 0);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

/* What room_make says when the file system has so much. */
static int
make_room(struct room *r, uint64_t size, uint64_t free_bytes)
{
    struct digest d;
    mem_free(make_body(24, 10, &d));
    lock_take(&r->cache->lock);
    int rc = room_make(r->cache, &d, size, free_bytes);
    lock_drop(&r->cache->lock);
    return rc;
}

/* A file system that reserves nothing: what one blob was promised is not there for the next, until
 * it has ended, and again when its file goes on. */
static void
the_same_room_is_not_given_twice(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct gap gap;
    enum cache_got got;
    room_init(&r, 64 * MIB);
    cache_set_limits(r.cache, 64 * MIB, 0, 0);
    r.cache->store.reserves = false;
    uint8_t *body = make_body(23, 3 * MIB, &d);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(blob_begin(b, 3 * MIB), 0);
    assert_int_equal(make_room(&r, 3 * MIB, 6 * MIB - 1), ERR_FULL);
    assert_int_equal(make_room(&r, 3 * MIB, 6 * MIB), 0);
    assert_true(blob_claim(b, MIB, &gap));
    assert_int_equal(blob_write(b, 0, body, MIB, BLOB_FROM_UPSTREAM), 0);
    assert_int_equal(make_room(&r, 3 * MIB, 5 * MIB - 1), ERR_FULL);
    assert_int_equal(make_room(&r, 3 * MIB, 5 * MIB), 0);
    blob_fail(b, ERR_LATER);
    blob_release(&b);
    assert_int_equal(make_room(&r, 3 * MIB, 3 * MIB), 0);
    assert_int_equal(atomic_load(&r.cache->promised_bytes), 0);

    b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(blob_begin(b, 3 * MIB), 0);
    assert_int_equal(atomic_load(&r.cache->promised_bytes), 2 * MIB);
    assert_int_equal(make_room(&r, 3 * MIB, 5 * MIB - 1), ERR_FULL);
    assert_int_equal(fill_rest(b, body, MIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    assert_int_equal(atomic_load(&r.cache->promised_bytes), 0);
    blob_release(&b);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

/* Without room for its rest a parked file does not go on, and is not lost, whether its blob fails
 * or comes in memory meanwhile: it goes on when there is room. */
static void
a_parked_file_goes_on_where_its_rest_has_room(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct cache_stats s;
    struct gap gap;
    enum cache_got got;
    const struct {
        bool reserves, crowded; /* all that is free is promised to others */
        bool in_memory;         /* there is room for it there */
        int rc;
    } cases[] = {{true, true, false, 0},
                 {false, false, false, 0},
                 {false, true, false, ERR_FULL},
                 {false, true, true, 0}};
    room_init(&r, 64 * MIB);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        cache_set_limits(r.cache, 64 * MIB, 0, 0);
        r.cache->store.reserves = cases[i].reserves;
        uint8_t *body = make_body(25 + i, 3 * MIB, &d);
        struct blob *b = cache_acquire(r.cache, &d, &got);
        assert_int_equal(blob_begin(b, 3 * MIB), 0);
        assert_int_equal(atomic_load(&r.cache->promised_bytes), cases[i].reserves ? 0 : 3 * MIB);
        assert_true(blob_claim(b, MIB, &gap));
        assert_int_equal(blob_write(b, 0, body, MIB, BLOB_FROM_UPSTREAM), 0);
        blob_fail(b, ERR_LATER);
        blob_release(&b);
        b = cache_acquire(r.cache, &d, &got); /* so that it does not leave */
        cache_get_stats(r.cache, &s);
        uint64_t much = s.disk_free_bytes + 1024 * (uint64_t)MIB;
        bool lacks = cases[i].crowded && !cases[i].reserves;
        cache_set_limits(r.cache, 64 * MIB, 0, lacks ? 0 : much); /* alone it takes nothing away */
        atomic_fetch_add(&r.cache->promised_bytes, cases[i].crowded ? much : 0);
        cache_set_memory(r.cache, cases[i].in_memory ? 64u * MIB : 0);
        blob_set_shared(b, true);
        assert_int_equal(blob_begin(b, 3 * MIB), cases[i].rc);
        assert_int_equal(blob_in_memory(b), cases[i].in_memory);
        atomic_fetch_sub(&r.cache->promised_bytes, cases[i].crowded ? much : 0);
        cache_set_limits(r.cache, 64 * MIB, 0, 0);
        blob_fail(b, ERR_LATER);
        blob_release(&b);
        cache_check(r.cache);
        assert_int_equal(atomic_load(&r.cache->promised_bytes), 0);
        b = cache_acquire(r.cache, &d, &got);
        assert_int_equal(blob_begin(b, 3 * MIB), 0);
        assert_int_equal(blob_held_end(b, 0), MIB);
        blob_fail(b, ERR_LATER);
        blob_release(&b);
        cache_check(r.cache);
        mem_free(body);
    }
    room_release(&r);
}

/* Begins a blob that no client asks for, writes a MiB of it and leaves it. */
static void
park(struct room *r, uint64_t seed, uint64_t size, struct digest *ret)
{
    struct gap gap;
    uint8_t *body = make_body(seed, size, ret);
    struct blob *b = cache_lead(r->cache, ret);
    assert_int_equal(blob_begin(b, size), 0);
    assert_true(blob_claim(b, MIB, &gap));
    assert_int_equal(blob_write(b, 0, body, MIB, BLOB_FROM_UPSTREAM), 0);
    blob_fail(b, ERR_LATER);
    blob_release(&b);
    mem_free(body);
}

static uint64_t
used_bytes(const struct room *r)
{
    struct cache_stats s;
    cache_get_stats(r->cache, &s);
    return s.used_bytes;
}

/* Where nothing is reserved a parked file gives back no more than it holds, and takes no more; its
 * rest is asked for again. */
static void
a_parked_file_counts_for_what_it_holds(void **state)
{
    (void)state;
    struct room r;
    struct digest parked, other, asked;
    struct cache_stats s;
    enum cache_got got;
    room_init(&r, 64 * MIB);
    cache_set_limits(r.cache, 64 * MIB, 0, 0);
    r.cache->store.reserves = false;
    park(&r, 41, 8 * MIB, &parked);
    uint8_t *body = make_body(42, 2 * MIB, &other);
    assert_int_equal(put_whole(r.cache, &other, body, 2 * MIB), 0);
    assert_int_equal(used_bytes(&r), 3 * MIB);
    cache_check(r.cache);
    mem_free(make_body(24, 10, &asked));
    cache_asked(r.cache, &asked);
    int rc = ERR_FULL;
    int64_t end_ms = clock_ms() + SOON_MS; /* a thread may hold the other one a moment longer */
    while (rc != 0 && clock_ms() < end_ms) {
        rc = make_room(&r, 3 * MIB, MIB); /* lacks 2 MiB */
    }
    assert_int_equal(rc, 0);
    assert_in_range(used_bytes(&r), 0, MIB);
    cache_check(r.cache);

    park(&r, 43, 6 * MIB, &parked);
    assert_int_equal(put_whole(r.cache, &other, body, 2 * MIB), 0);
    assert_int_equal(cache_pin(r.cache, &other, true), 0);
    room_reopen(&r);
    assert_int_equal(r.cache->store.reserves ? 8 * MIB : 3 * MIB, used_bytes(&r));
    r.cache->store.reserves = false;
    cache_set_limits(r.cache, 7 * MIB, 0, 0);
    struct blob *b = cache_acquire(r.cache, &parked, &got);
    rc = blob_begin(b, 6 * MIB);
    cache_get_stats(r.cache, &s);
    assert_in_range(s.used_bytes, 0, s.limit_bytes); /* whatever may leave for it */
    assert_int_equal(rc, ERR_FULL);
    blob_release(&b);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

static void
min_free_is_kept_for_others(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    enum cache_got got;
    struct cache_stats s;
    room_init(&r, 64 * MIB);
    cache_get_stats(r.cache, &s);
    cache_set_limits(r.cache, 64 * MIB, 0, s.disk_free_bytes + 1024 * (uint64_t)MIB);
    mem_free(make_body(22, 10, &d));
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(blob_begin(b, MIB), ERR_FULL);
    blob_release(&b);
    cache_check(r.cache);
    room_release(&r);
}

static void
lower_limits_evict_without_being_asked(void **state)
{
    (void)state;
    struct room r;
    struct cache_stats s;
    room_init(&r, 64 * MIB);
    for (uint64_t i = 0; i < 8; i++) {
        struct digest d;
        uint8_t *body = make_body(30 + i, MIB, &d);
        store_body(&r, &d, body, MIB);
        mem_free(body);
    }
    uint64_t evicted = metric_get(M_evict_size);
    cache_set_limits(r.cache, 3 * MIB, 0, 0);
    int64_t deadline_ms = clock_ms() + SOON_MS;
    do {
        cache_get_stats(r.cache, &s);
    } while ((s.used_bytes > 2 * MIB || metric_get(M_evict_size) < evicted + 6) &&
             clock_ms() < deadline_ms);
    assert_int_equal(s.used_bytes, 2 * MIB); /* the low mark is below 3 MiB */
    assert_int_equal(metric_get(M_evict_size), evicted + 6);
    cache_check(r.cache);
    room_release(&r);
}

/* The threads wait until all of them stand where they were sent. */
static void
cursors_are_told_in_order_and_once(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    enum cache_got got;
    struct gap run;
    uint64_t at[3];
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(3, 2 * MIB, &d);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(blob_begin(b, 2 * MIB), 0);
    assert_int_equal(blob_cursors(b, at, 3), 0);
    static const uint64_t where[] = {700 * KIB, 5, 700 * KIB, 300 * KIB, MIB};
    struct waiter w[5];
    for (size_t i = 0; i < 5; i++) {
        w[i] = (struct waiter){.blob = b, .pos = where[i]};
        assert_int_equal(thread_start(&w[i].thread, "waiter", wait_at, &w[i]), 0);
    }
    uint64_t all[8];
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (blob_cursors(b, all, 8) < 4 && clock_ms() < deadline_ms) {
        clock_sleep_ms(1);
    }
    assert_int_equal(all[3], MIB);
    assert_int_equal(blob_cursors(b, at, 3), 3);
    assert_int_equal(at[0], 5);
    assert_int_equal(at[1], 300 * KIB);
    assert_int_equal(at[2], 700 * KIB);
    assert_false(blob_passes(b));
    while (blob_claim_in(b, 0, 2 * MIB, &run)) {
        assert_int_equal(blob_held_end(b, run.start), run.start);
        for (uint64_t p = run.start; p < run.end; p += MIB) {
            assert_int_equal(blob_write(b, p, body + p, MIB, BLOB_FROM_PEER), 0);
        }
    }
    assert_int_equal(blob_held_end(b, 0), 2 * MIB);
    uint8_t bits[1] = {0};
    blob_held_bits(b, bits);
    assert_int_equal(bits[0], 0xff);
    for (size_t i = 0; i < 5; i++) {
        thread_join(&w[i].thread);
    }
    blob_release(&b);
    mem_free(body);
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_far_ahead_wakes_the_fetcher_and_gets_its_own_run),
        cmocka_unit_test(a_reader_that_a_run_will_reach_soon_wakes_nobody),
        cmocka_unit_test(cursors_are_told_in_order_and_once),
        cmocka_unit_test(old_blobs_leave_for_new_ones_and_the_cap_holds),
        cmocka_unit_test(what_cannot_fit_fails_full_and_evicts_nothing),
        cmocka_unit_test(the_same_room_is_not_given_twice),
        cmocka_unit_test(a_parked_file_goes_on_where_its_rest_has_room),
        cmocka_unit_test(a_parked_file_counts_for_what_it_holds),
        cmocka_unit_test(min_free_is_kept_for_others),
        cmocka_unit_test(lower_limits_evict_without_being_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
