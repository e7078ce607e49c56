/* Re-hashing in the background, after an unclean stop and ever after. */
#include "base/fault.h"
#include "base/metric.h"
#include "cache/cache.h"
#include "cache/entry.h"
#include "cache/inside.h"
#include "cache/scrub.h"
#include "tests/unit/cache/room.h"
#include <pthread.h>

static bool
reaches(enum metric m, uint64_t value)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (metric_get(m) < value && clock_ms() < deadline_ms) {
        clock_sleep_ms(1);
    }
    return metric_get(m) >= value;
}

static bool
is_hit(struct room *r, const struct digest *d)
{
    enum cache_got got;
    struct blob *b = cache_acquire(r->cache, d, &got);
    blob_release(&b);
    return got == CACHE_HIT;
}

static void
unsure_blobs_become_sure_without_being_asked_for(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(1, 300 * KIB, &d);
    store_body(&r, &d, body, 300 * KIB);
    uint64_t scrubbed = metric_get(M_scrub_bytes);
    room_reopen_unclean(&r);
    assert_true(reaches(M_scrub_bytes, scrubbed + 300 * KIB));
    cache_close(r.cache); /* waits for the thread */
    room_open(&r);
    assert_true(is_hit(&r, &d));
    mem_free(body);
    room_release(&r);
}

static void
a_rotten_blob_goes_to_quarantine_by_itself(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(2, 300 * KIB, &d);
    store_body(&r, &d, body, 300 * KIB);
    rot(&r, &d, 7);
    uint64_t corrupt = metric_get(M_evict_corrupt);
    room_reopen_unclean(&r);
    assert_true(reaches(M_evict_corrupt, corrupt + 1));
    assert_int_equal(count_files(&r, "quarantine", ""), 1);
    assert_null(cache_find(r.cache, &d));
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

/* As if it had been hashed two hours ago. */
static void
make_old(struct room *r, const struct digest *d)
{
    struct cache *c = r->cache;
    lock_take(&c->lock);
    entry_find(c, d)->sure_s -= 7200;
    lock_drop(&c->lock);
}

/* A thread that has just told of its end may still hold it: then the next look opens no file. */
static void
wait_until_nobody_has(struct room *r, const struct digest *d)
{
    struct cache *c = r->cache;
    bool held = true;
    for (int64_t end_ms = clock_ms() + SOON_MS; held && clock_ms() < end_ms;) {
        lock_take(&c->lock);
        held = entry_find(c, d)->blob != NULL;
        lock_drop(&c->lock);
        clock_sleep_ms(1);
    }
    assert_false(held);
}

static enum blob_phase
end_of_join(struct room *r, const struct digest *d)
{
    enum cache_got got;
    wait_until_nobody_has(r, d);
    struct blob *b = cache_acquire(r->cache, d, &got);
    assert_int_equal(got, CACHE_JOIN);
    enum blob_phase end = wait_for_end(b);
    blob_release(&b);
    return end;
}

/* sendfile looks at no byte, so a client that refused a rotten blob got it again until the scrub
 * came by. */
static void
who_asks_again_for_what_it_was_sent_gets_it_checked(void **state)
{
    (void)state;
    struct room r;
    struct digest good, bad;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(8, 300 * KIB, &good);
    uint8_t *other = make_body(9, 300 * KIB, &bad);
    store_body(&r, &good, body, 300 * KIB);
    store_body(&r, &bad, other, 300 * KIB);
    rot(&r, &bad, 7);
    cache_sent(r.cache, &bad);
    assert_true(is_hit(&r, &bad)); /* hashed a moment ago */
    make_old(&r, &good);
    make_old(&r, &bad);
    assert_true(is_hit(&r, &good)); /* not sent */
    cache_sent(r.cache, &good);
    assert_int_equal(end_of_join(&r, &good), BLOB_WHOLE);
    cache_sent(r.cache, &good);
    assert_true(is_hit(&r, &good));
    cache_sent(r.cache, &bad);
    assert_int_equal(end_of_join(&r, &bad), BLOB_FAILED);
    assert_int_equal(cache_stored(r.cache, &bad), 0);
    mem_free(body);
    mem_free(other);
    room_release(&r);
}

/* Somebody writes to a stored file: of this run, and of one before. */
static void
what_was_written_to_is_hashed_before_its_tail_is_sent(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    char path[256];
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(10, 300 * KIB, &d);
    store_body(&r, &d, body, 300 * KIB);
    for (int i = 0; i < 2; i++) {
        assert_true(is_hit(&r, &d));
        blob_path(&r, &d, path);
        struct timespec times[2] = {{0, UTIME_OMIT}, {(time_t)(2000000000 + i), 0}};
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        if (i == 1) {
            room_reopen(&r);
        }
        assert_int_equal(end_of_join(&r, &d), BLOB_WHOLE);
        assert_true(is_hit(&r, &d));
    }
    rot(&r, &d, 7);
    struct timespec now[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
    assert_int_equal(utimensat(AT_FDCWD, path, now, 0), 0);
    assert_int_equal(end_of_join(&r, &d), BLOB_FAILED);
    mem_free(body);
    room_release(&r);
}

static void
what_was_unsure_at_a_clean_stop_stays_unsure(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 256 * MIB);
    uint8_t *body = make_body(3, 16 * MIB, &d); /* half a second of scrubbing */
    store_body(&r, &d, body, 16 * MIB);
    room_reopen_unclean(&r);
    room_reopen(&r);
    enum cache_got got;
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_JOIN);
    assert_int_equal(read_and_compare(b, body, 0, 16 * MIB), 16 * MIB);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    blob_release(&b);
    assert_true(is_hit(&r, &d));
    room_reopen(&r);
    assert_true(is_hit(&r, &d));
    mem_free(body);
    room_release(&r);
}

static void
a_blob_that_cannot_be_read_is_bad(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(4, 16 * MIB, &d);
    store_body(&r, &d, body, 16 * MIB);
    struct cache_verdict v;
    fault_arm(40, EIO, true, NULL); /* amid its 64 reads, whatever the disk thread calls */
    cache_verify(r.cache, &v, NULL, NULL);
    fault_disarm();
    assert_int_equal(v.bad, 1);
    assert_null(cache_find(r.cache, &d));
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

static void
what_rots_after_a_clean_stop_is_found(void **state)
{
    (void)state;
    struct room r;
    struct digest good, bad;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(5, 300 * KIB, &good);
    uint8_t *rotten = make_body(6, 300 * KIB, &bad);
    store_body(&r, &good, body, 300 * KIB);
    store_body(&r, &bad, rotten, 300 * KIB);
    rot(&r, &bad, 299 * KIB);
    uint64_t corrupt = metric_get(M_evict_corrupt);
    uint64_t scrubbed = metric_get(M_scrub_bytes);
    r.config.scrub_ms = 30;
    room_reopen(&r);
    assert_true(reaches(M_evict_corrupt, corrupt + 1));
    assert_true(reaches(M_scrub_bytes, scrubbed + 5 * 300 * KIB)); /* round and round */
    assert_null(cache_find(r.cache, &bad));
    assert_true(is_hit(&r, &good));
    assert_int_equal(metric_get(M_evict_corrupt), corrupt + 1);
    mem_free(body);
    mem_free(rotten);
    room_release(&r);
}

/* The slow check of 32 MiB takes a second. Meanwhile a client's check drops the file, and the
 * same blob is fetched again: what the slow one then says is of the file that has left. */
static void
a_verdict_on_a_file_that_left_spares_its_successor(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 128 * MIB);
    uint8_t *body = make_body(7, 32 * MIB, &d);
    store_body(&r, &d, body, 32 * MIB);
    rot(&r, &d, 7);
    uint64_t corrupt = metric_get(M_evict_corrupt);
    uint64_t scrubbed = metric_get(M_scrub_bytes);
    room_reopen_unclean(&r);
    assert_true(reaches(M_scrub_bytes, scrubbed + 1));
    struct cache_verdict v;
    cache_verify(r.cache, &v, NULL, NULL);
    assert_int_equal(v.bad, 1);
    store_body(&r, &d, body, 32 * MIB);
    assert_true(metric_get(M_scrub_bytes) < scrubbed + 64 * MIB); /* or this shows nothing */
    assert_true(reaches(M_scrub_bytes, scrubbed + 64 * MIB));
    room_reopen(&r); /* waits for the thread */
    assert_int_equal(metric_get(M_evict_corrupt), corrupt + 1);
    assert_true(is_hit(&r, &d));
    mem_free(body);
    room_release(&r);
}

struct check {
    struct cache *cache;
    struct digest digest;
};

static void *
check_slowly(void *arg)
{
    struct check *k = arg;
    uint64_t bytes;
    assert_int_equal(scrub_check(k->cache, &k->digest, SCRUB_ROUND, &bytes), SCRUB_GOOD);
    return NULL;
}

/* What somebody holds is checked later: the disk thread holds what it stored a moment longer. */
static bool
is_let_go(const struct check *k)
{
    lock_take(&k->cache->lock);
    bool held = entry_find(k->cache, &k->digest)->blob != NULL;
    lock_drop(&k->cache->lock);
    return !held;
}

/* Checks it, and meanwhile its time is found to be another. Returns whether it is in doubt then. */
static bool
check_and_doubt(struct check *k, int64_t mtime_ns)
{
    pthread_t thread;
    uint64_t scrubbed = metric_get(M_scrub_bytes);
    assert_int_equal(pthread_create(&thread, NULL, check_slowly, k), 0);
    assert_true(reaches(M_scrub_bytes, scrubbed + 1));
    lock_take(&k->cache->lock);
    struct entry *e = entry_find(k->cache, &k->digest);
    entry_opened(e, mtime_ns);
    lock_drop(&k->cache->lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    lock_take(&k->cache->lock);
    bool unsure = e->unsure;
    lock_drop(&k->cache->lock);
    return unsure;
}

/* Somebody writes to the file behind the place where the check is. */
static void
a_doubt_that_arises_while_it_is_checked_stays(void **state)
{
    (void)state;
    struct room r;
    struct check k;
    room_init(&r, 64 * MIB);
    k.cache = r.cache;
    uint8_t *body = make_body(8, 8 * MIB, &k.digest);
    store_body(&r, &k.digest, body, 8 * MIB);
    for (int64_t end_ms = clock_ms() + SOON_MS; !is_let_go(&k) && clock_ms() < end_ms;) {
        clock_sleep_ms(1);
    }
    assert_true(check_and_doubt(&k, INT64_C(1) << 40));
    assert_true(check_and_doubt(&k, INT64_C(2) << 40));  /* also of what was unsure before */
    assert_false(check_and_doubt(&k, INT64_C(2) << 40)); /* no news */
    mem_free(body);
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unsure_blobs_become_sure_without_being_asked_for),
        cmocka_unit_test(a_rotten_blob_goes_to_quarantine_by_itself),
        cmocka_unit_test(who_asks_again_for_what_it_was_sent_gets_it_checked),
        cmocka_unit_test(what_was_written_to_is_hashed_before_its_tail_is_sent),
        cmocka_unit_test(what_was_unsure_at_a_clean_stop_stays_unsure),
        cmocka_unit_test(a_blob_that_cannot_be_read_is_bad),
        cmocka_unit_test(what_rots_after_a_clean_stop_is_found),
        cmocka_unit_test(a_doubt_that_arises_while_it_is_checked_stays),
        cmocka_unit_test(a_verdict_on_a_file_that_left_spares_its_successor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
