/* The start: what of the folder is believed. */
#include "base/fault.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"

static enum cache_got
acquire_once(struct room *r, const struct digest *d)
{
    enum cache_got got;
    struct blob *b = cache_acquire(r->cache, d, &got);
    blob_fail(b, ERR_CLOSED);
    blob_release(&b);
    return got;
}

static void
a_bad_file_that_would_not_go_is_hashed_again_after_a_clean_stop(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(1, 16 * MIB, &d);
    store_body(&r, &d, body, 16 * MIB);
    room_reopen(&r);
    assert_int_equal(acquire_once(&r, &d), CACHE_HIT); /* the journal tells its length */
    struct cache_verdict v;
    fault_arm(40, EIO, true, NULL); /* amid its 64 reads; its removal fails as well */
    cache_verify(r.cache, &v, NULL, NULL);
    fault_disarm();
    assert_int_equal(v.bad, 1);
    rot(&r, &d, 7); /* so that the scrub cannot make it sure before it is looked at */
    room_reopen(&r);
    assert_int_not_equal(acquire_once(&r, &d), CACHE_HIT);
    mem_free(body);
    room_release(&r);
}

/* The marker of an earlier stop could not be removed; the file that would not go is bad. */
static void
an_old_marker_does_not_stand_for_leftovers(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(5, 16 * MIB, &d);
    store_body(&r, &d, body, 16 * MIB);
    cache_close(r.cache);
    fault_arm_next("unlink", EROFS);
    room_open(&r);
    struct cache_verdict v;
    fault_arm(40, EIO, true, NULL); /* amid its 64 reads; its removal fails as well */
    cache_verify(r.cache, &v, NULL, NULL);
    fault_disarm();
    assert_int_equal(v.bad, 1);
    rot(&r, &d, 7);
    room_reopen(&r);
    assert_int_not_equal(acquire_once(&r, &d), CACHE_HIT);
    mem_free(body);
    room_release(&r);
}

/* The journal of a folder that could not be read is not replaced by one that knows nothing. */
static void
a_folder_that_could_not_be_read_keeps_its_journal(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct blob_info info;
    struct tag t = {.checked_wall_s = 1, .size = 2};
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(6, MIB, &d);
    store_body(&r, &d, body, MIB);
    assert_int_equal(cache_pin(r.cache, &d, true), 0);
    t.digest = d;
    cache_tag_put(r.cache, "a.test/x:1", &t);
    cache_close(r.cache);
    struct err e;
    fault_arm(1, EIO, true, NULL);
    assert_int_equal(cache_open(&r.config, &r.cache, &e), -EIO);
    fault_disarm();
    room_open(&r);
    assert_int_equal(cache_info(r.cache, &d, &info), 0);
    assert_true(info.pinned);
    assert_true(cache_tag_get(r.cache, "a.test/x:1", &t));
    mem_free(body);
    room_release(&r);
}

/* What a crash between two calls may leave in partial/ beside good files. */
static void
litter(const struct room *r, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/partial/%s", r->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    fd_close(&fd);
}

static void
only_what_can_be_continued_stays_in_partial(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    enum cache_got got;
    struct gap gap;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(2, MIB, &d);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(blob_begin(b, MIB), 0);
    assert_true(blob_claim(b, UINT64_MAX, &gap));
    assert_int_equal(blob_write(b, 0, body, 300 * KIB, BLOB_FROM_UPSTREAM), 0);
    blob_fail(b, ERR_TIMEOUT);
    blob_release(&b);
    cache_close(r.cache);

    char hex[129], name[256];
    digest_hex(&d, hex);
    litter(&r, "journal.tmp");
    (void)snprintf(name, sizeof name, "sha256-%s.77", hex); /* data without a map */
    litter(&r, name);
    (void)snprintf(name, sizeof name, "sha256-%s.78.map", hex); /* a map without data */
    litter(&r, name);
    (void)snprintf(name, sizeof name, "sha256-%s.99999999999999999999999", hex);
    litter(&r, name);
    room_open(&r);
    assert_int_equal(count_files(&r, "partial", ""), 2);

    b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_LEAD);
    assert_int_equal(blob_begin(b, MIB), 0);
    struct blob_state s;
    blob_look(b, 0, &s);
    assert_int_equal(s.have_bytes, 300 * KIB);
    assert_int_equal(fill_rest(b, body, 64 * KIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    blob_release(&b);
    assert_int_equal(count_files(&r, "partial", ""), 0);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

/* The marker of a clean stop stays on such a disk; it must not stand for what comes later. */
static void
a_disk_in_trouble_stops_no_start_and_leaves_no_marker(void **state)
{
    (void)state;
    struct room r;
    struct digest d, later;
    struct cache *second;
    struct err e;
    char marker[128];
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(3, MIB, &d);
    uint8_t *more = make_body(4, MIB, &later);
    store_body(&r, &d, body, MIB);
    cache_close(r.cache);
    (void)snprintf(marker, sizeof marker, "%s/clean", r.dir);
    assert_int_equal(access(marker, F_OK), 0);
    fault_arm(1, EROFS, true, NULL);
    room_open(&r);
    assert_int_equal(metric_get(M_degraded), 1);
    assert_true(put_whole(r.cache, &later, more, MIB) < 0);
    assert_int_equal(access(marker, F_OK), 0);
    fault_disarm();
    assert_int_equal(put_whole(r.cache, &later, more, MIB), 0);
    assert_int_equal(metric_get(M_degraded), 0);
    assert_int_equal(access(marker, F_OK), -1);
    assert_int_equal(cache_open(&r.config, &second, &e), -EWOULDBLOCK); /* it has the lock now */
    cache_close(r.cache);
    rot(&r, &d, 7); /* so that the scrub cannot make it sure before it is looked at */
    room_open(&r);
    assert_int_not_equal(acquire_once(&r, &d), CACHE_HIT); /* the journal was not readable */
    mem_free(body);
    mem_free(more);
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_file_that_would_not_go_is_hashed_again_after_a_clean_stop),
        cmocka_unit_test(an_old_marker_does_not_stand_for_leftovers),
        cmocka_unit_test(a_folder_that_could_not_be_read_keeps_its_journal),
        cmocka_unit_test(only_what_can_be_continued_stays_in_partial),
        cmocka_unit_test(a_disk_in_trouble_stops_no_start_and_leaves_no_marker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
