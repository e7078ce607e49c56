/* Figures, lists, eviction by hand, verification. */
#include "base/fault.h"
#include "base/metric.h"
#include "cache/cache.h"
#include "cache/disk.h"
#include "cache/entry.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"
#include <errno.h>
#define room_init start_room /* the test's own is another */
#include "cache/room.h"
#undef room_init

#define BLOBS 5

/* Above the high mark, and what is large stays: small ones leaving would not help. */
static void
small_blobs_do_not_leave_in_vain(void **state)
{
    (void)state;
    struct room r;
    struct digest small, large;
    room_init(&r, 16 * MIB);
    uint8_t *body = make_body(90, 1000, &small);
    assert_int_equal(put_whole(r.cache, &small, body, 1000), 0);
    mem_free(body);
    body = make_body(91, 15 * MIB, &large);
    struct blob *b = cache_lead(r.cache, &large);
    assert_int_equal(blob_begin(b, 15 * MIB), 0);
    (void)room_turn(r.cache);
    assert_true(cache_holds(r.cache, &small));
    assert_int_equal(fill_rest(b, body, MIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    (void)room_turn(r.cache);
    assert_true(cache_holds(r.cache, &small));
    blob_release(&b);
    int64_t end_ms = clock_ms() + SOON_MS; /* a thread may hold it a moment longer */
    while (cache_holds(r.cache, &large) && clock_ms() < end_ms) {
        (void)room_turn(r.cache);
    }
    assert_false(cache_holds(r.cache, &large)); /* it is enough by itself */
    assert_true(cache_holds(r.cache, &small));
    mem_free(body);
    cache_check(r.cache);
    room_release(&r);
}

static void
fill_room(struct room *r, struct digest *digests)
{
    room_init(r, 64 * MIB);
    for (uint64_t i = 0; i < BLOBS; i++) {
        uint8_t *body = make_body(70 + i, MIB, &digests[i]);
        store_body(r, &digests[i], body, MIB);
        mem_free(body);
    }
    /* A thread of the cache may hold the last one a moment longer. */
    struct cache_stats s = {.filling = 1};
    for (int64_t end_ms = clock_ms() + SOON_MS; s.filling > 0 && clock_ms() < end_ms;) {
        cache_get_stats(r->cache, &s);
    }
    assert_int_equal(s.filling, 0);
}

struct seen {
    unsigned count;
    struct digest first;
};

static void
note_info(void *arg, const struct blob_info *info)
{
    struct seen *s = arg;
    if (s->count++ == 0) {
        s->first = info->digest;
    }
}

static void
note_bad(void *arg, const struct digest *bad)
{
    struct seen *s = arg;
    s->count++;
    s->first = *bad;
}

static void
gc_frees_the_oldest_and_a_dry_run_only_tells(void **state)
{
    (void)state;
    struct room r;
    struct digest d[BLOBS];
    fill_room(&r, d);
    struct seen dry = {0}, wet = {0};
    assert_int_equal(cache_gc(r.cache, 3 * MIB, true, note_info, &dry), 2 * MIB);
    assert_int_equal(dry.count, 2);
    char path[256];
    blob_path(&r, &d[0], path);
    assert_int_equal(access(path, F_OK), 0);
    uint64_t evicted = metric_get(M_evict_gc);
    struct blob *open = cache_find(r.cache, &d[0]);
    assert_int_equal(cache_gc(r.cache, 3 * MIB, false, note_info, &wet), 2 * MIB);
    assert_int_equal(wet.count, 2);
    assert_true(digest_equal(&wet.first, &d[1]));
    assert_int_equal(metric_get(M_evict_gc), evicted + 2);
    blob_path(&r, &d[1], path);
    assert_int_equal(access(path, F_OK), -1);
    blob_path(&r, &d[0], path);
    assert_int_equal(access(path, F_OK), 0);
    blob_release(&open);
    /* A hash thread may hold the last one a moment longer. */
    uint64_t freed = 0;
    for (int64_t end_ms = clock_ms() + SOON_MS; freed < 3 * MIB && clock_ms() < end_ms;) {
        freed += cache_gc(r.cache, 0, false, NULL, NULL);
    }
    assert_int_equal(freed, 3 * MIB);
    cache_check(r.cache);
    room_release(&r);
}

static struct digest
first_to_leave(struct room *r)
{
    struct seen seen = {0};
    (void)cache_gc(r->cache, 0, true, note_info, &seen);
    assert_true(seen.count > 0);
    return seen.first;
}

static void
what_others_ask_for_leaves_later_and_what_is_pinned_never(void **state)
{
    (void)state;
    struct room r;
    struct digest d[BLOBS], first;
    fill_room(&r, d);
    cache_heard(r.cache, &d[0]);
    first = first_to_leave(&r);
    assert_true(digest_equal(&first, &d[1]));
    assert_int_equal(cache_pin(r.cache, &d[1], true), 0);
    first = first_to_leave(&r);
    assert_true(digest_equal(&first, &d[2]));
    room_reopen(&r);
    for (unsigned i = 0; i < BLOBS; i++) {
        struct blob_info info;
        assert_int_equal(cache_info(r.cache, &d[i], &info), 0);
        assert_int_equal(info.pinned, i == 1);
    }
    struct cache_stats s;
    cache_get_stats(r.cache, &s);
    assert_int_equal(s.pinned_bytes, MIB);
    cache_check(r.cache);
    assert_int_equal(cache_pin(r.cache, &d[1], false), 0);
    cache_get_stats(r.cache, &s);
    assert_int_equal(s.pinned_bytes, 0);
    first = d[1];
    first.bytes[0] ^= 1;
    assert_int_equal(cache_pin(r.cache, &first, true), ERR_NOT_FOUND);
    cache_check(r.cache);
    room_release(&r);
}

static double
requests_of(struct room *r, const struct digest *d)
{
    struct blob_info info;
    assert_int_equal(cache_info(r->cache, d, &info), 0);
    return info.requests;
}

/* A copy that the site wanted, its words, a look of the operator: none of them is a request. */
static void
only_those_who_ask_count(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    AUTO(buf_release) struct buf body;
    uint8_t *bytes = make_body(1, MIB, &d);
    room_init(&r, 64 * MIB);
    struct blob *b = cache_lead(r.cache, &d);
    assert_int_equal(blob_begin(b, MIB), 0);
    assert_int_equal(fill_rest(b, bytes, MIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    blob_release(&b);
    b = cache_find(r.cache, &d);
    blob_release(&b);
    buf_init(&body, MIB);
    assert_int_equal(cache_get(r.cache, &d, &body), 0);
    assert_true(requests_of(&r, &d) < 0.01);
    cache_asked(r.cache, &d);
    assert_true(requests_of(&r, &d) > 0.99);
    room_release(&r);
    mem_free(bytes);
}

static void
verify_finds_the_rotten_blob_and_moves_it_away(void **state)
{
    (void)state;
    struct room r;
    struct digest d[BLOBS];
    fill_room(&r, d);
    rot(&r, &d[2], 12345);
    struct cache_verdict v;
    struct seen bad = {0};
    cache_verify(r.cache, &v, note_bad, &bad);
    assert_int_equal(v.checked, BLOBS);
    assert_int_equal(v.checked_bytes, BLOBS * (uint64_t)MIB);
    assert_int_equal(v.bad, 1);
    assert_int_equal(bad.count, 1);
    assert_true(digest_equal(&bad.first, &d[2]));
    assert_int_equal(count_files(&r, "quarantine", "sha256-"), 1);
    assert_null(cache_find(r.cache, &d[2]));
    cache_verify(r.cache, &v, NULL, NULL);
    assert_int_equal(v.checked, BLOBS - 1);
    assert_int_equal(v.bad, 0);
    cache_check(r.cache);
    room_release(&r);
}

static void
a_rotten_small_body_is_never_given(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct buf body;
    room_init(&r, 64 * MIB);
    digest_of(DIGEST_SHA256, "manifest", 8, &d);
    assert_int_equal(put_whole(r.cache, &d, "manifest", 8), 0);
    rot(&r, &d, 3);
    buf_init(&body, 100);
    assert_int_equal(cache_get(r.cache, &d, &body), ERR_DIGEST);
    assert_int_equal(body.len, 0);
    assert_int_equal(put_whole(r.cache, &d, "manifest", 8), 0);
    assert_int_equal(cache_get(r.cache, &d, &body), 0);
    buf_release(&body);
    cache_check(r.cache);
    room_release(&r);
}

static void
the_quarantine_is_bounded(void **state)
{
    (void)state;
    struct room r;
    room_init(&r, 64 * MIB);
    for (int i = 0; i < 12; i++) {
        struct digest d;
        struct buf body;
        digest_of(DIGEST_SHA256, &i, sizeof i, &d);
        assert_int_equal(put_whole(r.cache, &d, &i, sizeof i), 0);
        rot(&r, &d, 0);
        buf_init(&body, 100);
        assert_int_equal(cache_get(r.cache, &d, &body), ERR_DIGEST);
        buf_release(&body);
    }
    cache_close(r.cache);
    room_open(&r);
    assert_int_equal(count_files(&r, "quarantine", ""), 8);
    room_release(&r);
}

static void
note_loss(void *arg, const struct digest *d, uint64_t size)
{
    struct seen *lost = arg;
    assert_int_equal(size, MIB);
    lost->first = lost->count++ == 0 ? *d : lost->first;
}

/* Of two bad blobs only the one that was used lately is told of. */
static void
the_loss_of_a_blob_that_was_used_lately_is_told(void **state)
{
    (void)state;
    struct room r;
    struct digest d[BLOBS];
    struct cache_verdict v;
    struct seen lost = {0};
    fill_room(&r, d);
    rot(&r, &d[1], 5);
    rot(&r, &d[3], 5);
    lock_take(&r.cache->lock);
    struct entry *old = index_find(&r.cache->map, &d[1]);
    old->worth.asked_s = (uint32_t)(clock_wall_s() - INT64_C(8) * 24 * 3600);
    lock_drop(&r.cache->lock);
    cache_on_loss(r.cache, note_loss, &lost);
    cache_verify(r.cache, &v, NULL, NULL);
    assert_int_equal(v.bad, 2);
    cache_on_loss(r.cache, NULL, NULL); /* waits for a call that runs */
    assert_int_equal(lost.count, 1);
    assert_true(digest_equal(&lost.first, &d[3]));
    room_release(&r);
}

static void
the_quarantine_is_small_beside_the_cap(void **state)
{
    (void)state;
    struct room r;
    struct cache_verdict v;
    room_init(&r, 64 * MIB);
    for (uint64_t i = 0; i < 4; i++) {
        struct digest d;
        uint8_t *body = make_body(200 + i, (size_t)(i + 1) * MIB, &d);
        store_body(&r, &d, body, (size_t)(i + 1) * MIB);
        rot(&r, &d, 9);
        cache_verify(r.cache, &v, NULL, NULL);
        assert_int_equal(v.bad, 1);
        mem_free(body);
    }
    assert_int_equal(count_files(&r, "quarantine", ""), 2); /* of 1 and 2 MiB; a 16th are 4 */
    cache_check(r.cache);
    room_release(&r);
}

static void
info_and_list_tell_sources_and_flight(void **state)
{
    (void)state;
    struct room r;
    struct digest d[BLOBS], flying;
    fill_room(&r, d);
    uint8_t *body = make_body(90, 2 * MIB, &flying);
    enum cache_got got;
    struct gap gap;
    struct blob *b = cache_acquire(r.cache, &flying, &got);
    assert_int_equal(blob_begin(b, 2 * MIB), 0);
    assert_true(blob_claim(b, UINT64_MAX, &gap));
    assert_int_equal(blob_write(b, 0, body, 1000, BLOB_FROM_PEER), 0);
    struct blob_info list[BLOBS + 1], info;
    assert_int_equal(cache_list(r.cache, list, BLOBS + 1), BLOBS + 1);
    assert_true(digest_equal(&list[0].digest, &flying));
    assert_int_equal(list[0].phase, BLOB_FILLING);
    assert_int_equal(list[0].have_bytes, 1000);
    assert_int_equal(list[0].from_bytes[BLOB_FROM_PEER], 1000);
    assert_int_equal(list[0].readers, 1);
    assert_int_equal(cache_list(r.cache, list, 2), 2);
    struct cache_stats s;
    cache_get_stats(r.cache, &s);
    assert_int_equal(s.filling, 1);
    assert_int_equal(s.blobs, BLOBS);
    assert_int_equal(s.used_bytes, BLOBS * (uint64_t)MIB + 2 * MIB);
    cache_served(r.cache, &d[0], 77);
    assert_int_equal(cache_info(r.cache, &d[0], &info), 0);
    assert_int_equal(info.served_bytes, 77);
    assert_int_equal(info.from_bytes[BLOB_FROM_UPSTREAM], MIB);
    blob_release(&b);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

static void
only_what_is_stored_whole_counts_as_stored(void **state)
{
    (void)state;
    struct room r;
    struct digest d[BLOBS], flying;
    enum cache_got got;
    fill_room(&r, d);
    mem_free(make_body(91, MIB, &flying));
    assert_int_equal(cache_stored(r.cache, &d[0]), MIB);
    assert_int_equal(cache_stored(r.cache, &flying), 0);
    struct blob *b = cache_acquire(r.cache, &flying, &got);
    assert_int_equal(blob_begin(b, MIB), 0);
    assert_int_equal(cache_stored(r.cache, &flying), 0);
    blob_release(&b);
    room_release(&r);
}

static void
what_memory_gave_counts_as_asked_for(void **state)
{
    (void)state;
    struct room r;
    struct digest first, second;
    room_init(&r, 64 * MIB);
    uint8_t *one = make_body(60, 1000, &first), *two = make_body(61, 1000, &second);
    store_body(&r, &first, one, 1000);
    store_body(&r, &second, two, 1000);
    lock_take(&r.cache->lock);
    struct digest oldest = entry_digest(r.cache->oldest);
    lock_drop(&r.cache->lock);
    assert_true(digest_equal(&oldest, &first));
    cache_asked(r.cache, &first);
    lock_take(&r.cache->lock);
    oldest = entry_digest(r.cache->oldest);
    lock_drop(&r.cache->lock);
    assert_true(digest_equal(&oldest, &second));
    mem_free(one);
    mem_free(two);
    room_release(&r);
}

static void
figures_of_a_disk_that_fails_are_not_known(void **state)
{
    (void)state;
    struct room r;
    struct cache_stats s;
    room_init(&r, 64 * MIB);
    fault_arm(1, EIO, true, NULL); /* the disk thread asks, too */
    cache_get_stats(r.cache, &s);
    fault_disarm();
    assert_true(s.degraded);
    assert_int_equal(s.disk_free_files, UINT64_MAX); /* 0 would be a disk without inodes */
    room_release(&r);
}

static bool
has_dooms(struct room *r)
{
    lock_take(&r->cache->lock);
    bool has = r->cache->dooms != NULL;
    lock_drop(&r->cache->lock);
    return has;
}

static void
wait_for_dooms(struct room *r)
{
    lock_take(&r->cache->lock);
    while (r->cache->dooms != NULL) {
        (void)cond_wait(&r->cache->doomed, &r->cache->lock, clock_ms() + 1000);
    }
    lock_drop(&r->cache->lock);
}

/* The disk thread lets go of a blob a moment after it is WHOLE. */
static void
wait_until_idle(struct room *r)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    bool idle = false;
    while (!idle && clock_ms() < deadline_ms) {
        lock_take(&r->cache->lock);
        idle = r->cache->open_bytes == 0;
        lock_drop(&r->cache->lock);
    }
    assert_true(idle);
}

/* As on a disk that has few inodes. All calls fail: a write of the journal ends the pause. */
static void
where_a_file_does_not_go_nothing_leaves_for_a_while(void **state)
{
    static const struct fs_space space = {UINT64_MAX / 2, UINT64_MAX / 2, 0, 16};
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(92, 1000, &d);
    assert_int_equal(put_whole(r.cache, &d, body, 1000), 0);
    wait_until_idle(&r);
    fault_arm(1, EROFS, true, NULL);
    (void)room_keep(r.cache, &space);
    disk_wake(r.cache);
    wait_for_dooms(&r);
    assert_true(cache_holds(r.cache, &d));
    (void)room_keep(r.cache, &space);
    assert_false(has_dooms(&r));
    fault_disarm();
    cache_disk_worked(r.cache);
    (void)room_keep(r.cache, &space);
    assert_false(cache_holds(r.cache, &d));
    mem_free(body);
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_memory_gave_counts_as_asked_for),
        cmocka_unit_test(figures_of_a_disk_that_fails_are_not_known),
        cmocka_unit_test(where_a_file_does_not_go_nothing_leaves_for_a_while),
        cmocka_unit_test(small_blobs_do_not_leave_in_vain),
        cmocka_unit_test(what_others_ask_for_leaves_later_and_what_is_pinned_never),
        cmocka_unit_test(gc_frees_the_oldest_and_a_dry_run_only_tells),
        cmocka_unit_test(only_those_who_ask_count),
        cmocka_unit_test(verify_finds_the_rotten_blob_and_moves_it_away),
        cmocka_unit_test(a_rotten_small_body_is_never_given),
        cmocka_unit_test(the_quarantine_is_bounded),
        cmocka_unit_test(the_loss_of_a_blob_that_was_used_lately_is_told),
        cmocka_unit_test(the_quarantine_is_small_beside_the_cap),
        cmocka_unit_test(only_what_is_stored_whole_counts_as_stored),
        cmocka_unit_test(info_and_list_tell_sources_and_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
