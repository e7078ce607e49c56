/* The front door: who gets which blob, what survives a restart. */
#include "base/metric.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"

static void
a_blob_goes_from_lead_to_hit(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(1, 3 * MIB + 17, &d);
    enum cache_got got;
    struct blob *lead = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_LEAD);
    struct blob *join = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_JOIN);
    assert_ptr_equal(lead, join);
    assert_int_equal(blob_begin(lead, 3 * MIB + 17), 0);
    assert_int_equal(fill_rest(lead, body, 100 * KIB), 0);
    assert_int_equal(wait_for_end(join), BLOB_WHOLE);
    assert_int_equal(read_and_compare(join, body, 0, 3 * MIB + 17), 3 * MIB + 17);
    blob_release(&lead);
    blob_release(&join);
    assert_null(join);

    struct blob *hit = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_HIT);
    assert_int_equal(read_and_compare(hit, body, MIB, 3 * MIB + 17), 2 * MIB + 17);
    int fd = -1;
    assert_int_equal(blob_open_fd(hit, &fd), 0);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, 5), 1);
    assert_int_equal(byte, body[5]);
    fd_close(&fd);
    blob_release(&hit);
    cache_check(r.cache);
    assert_int_equal(count_files(&r, "partial", ""), 0);
    mem_free(body);
    room_release(&r);
}

static void
sizes_around_pieces_and_the_tail_are_stored(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0,         1,          64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 256 * KIB, 256 * KIB + 1,
        512 * KIB, 1 * MIB - 1};
    struct room r;
    room_init(&r, 64 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct digest d;
        uint8_t *body = make_body(100 + i, sizes[i], &d);
        store_body(&r, &d, body, sizes[i]);
        struct blob *b = cache_find(r.cache, &d);
        assert_non_null(b);
        assert_int_equal(read_and_compare(b, body, 0, sizes[i]), sizes[i]);
        blob_release(&b);
        mem_free(body);
    }
    cache_check(r.cache);
    room_release(&r);
}

static void
put_and_get_small_bodies_of_both_algorithms(void **state)
{
    (void)state;
    struct room r;
    room_init(&r, 64 * MIB);
    for (enum digest_alg alg = DIGEST_SHA256; alg <= DIGEST_SHA512; alg++) {
        struct digest d, other;
        struct buf body;
        digest_of(alg, "manifest", 8, &d);
        digest_of(alg, "other", 5, &other);
        buf_init(&body, 100);
        assert_int_equal(cache_get(r.cache, &d, &body), ERR_NOT_FOUND);
        assert_int_equal(cache_put(r.cache, &other, "manifest", 8, BLOB_FROM_UPSTREAM), ERR_DIGEST);
        assert_int_equal(put_whole(r.cache, &d, "manifest", 8), 0);
        assert_int_equal(put_whole(r.cache, &d, "manifest", 8), 0);
        assert_int_equal(cache_get(r.cache, &d, &body), 0);
        assert_string_equal(buf_text(&body), "manifest");
        buf_release(&body);
        buf_init(&body, 7);
        assert_int_equal(cache_get(r.cache, &d, &body), ERR_LIMIT);
        buf_release(&body);
    }
    cache_check(r.cache);
    room_release(&r);
}

static void
a_small_body_tells_where_it_came_from(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct blob_info info;
    room_init(&r, 64 * MIB);
    digest_of(DIGEST_SHA256, "manifest", 8, &d);
    assert_int_equal(cache_put(r.cache, &d, "manifest", 8, BLOB_FROM_PEER), 0);
    room_reopen(&r);
    assert_int_equal(cache_info(r.cache, &d, &info), 0);
    assert_int_equal(info.from_bytes[BLOB_FROM_PEER], 8);
    assert_int_equal(info.from_bytes[BLOB_FROM_UPSTREAM], 0);
    room_release(&r);
}

static void
find_never_leads(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    mem_free(make_body(3, 10, &d));
    assert_null(cache_find(r.cache, &d));
    enum cache_got got;
    struct blob *b = cache_acquire(r.cache, &d, &got);
    struct blob *same = cache_find(r.cache, &d);
    assert_ptr_equal(b, same);
    blob_release(&b);
    blob_release(&same);
    assert_null(cache_find(r.cache, &d));
    cache_check(r.cache);
    room_release(&r);
}

static void
a_clean_restart_serves_at_once(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(4, 2 * MIB, &d);
    store_body(&r, &d, body, 2 * MIB);
    room_reopen(&r);
    enum cache_got got;
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_HIT);
    assert_int_equal(read_and_compare(b, body, 0, 2 * MIB), 2 * MIB);
    blob_release(&b);
    struct blob_info info;
    assert_int_equal(cache_info(r.cache, &d, &info), 0);
    assert_int_equal(info.from_bytes[BLOB_FROM_UPSTREAM], 2 * MIB);
    assert_true(info.stored_wall_s > 0);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

static void
after_a_crash_a_blob_is_hashed_before_its_tail_leaves(void **state)
{
    (void)state;
    struct room r;
    struct digest good, bad;
    room_init(&r, 64 * MIB);
    uint8_t *good_body = make_body(5, 2 * MIB, &good);
    uint8_t *bad_body = make_body(6, 2 * MIB, &bad);
    store_body(&r, &good, good_body, 2 * MIB);
    store_body(&r, &bad, bad_body, 2 * MIB);
    rot(&r, &bad, 2 * MIB - 10);
    uint64_t failures = metric_get(M_digest_failures);
    room_reopen_unclean(&r);

    enum cache_got got;
    struct blob *b = cache_acquire(r.cache, &good, &got);
    assert_int_equal(read_and_compare(b, good_body, 0, 2 * MIB), 2 * MIB);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    blob_release(&b);

    b = cache_acquire(r.cache, &bad, &got);
    if (got == CACHE_JOIN) { /* else the scrub was here first */
        assert_int_equal(wait_for_end(b), BLOB_FAILED);
        assert_int_equal(read_and_compare(b, bad_body, 0, 2 * MIB), 2 * MIB - 64 * KIB);
    }
    blob_release(&b);
    assert_true(metric_get(M_digest_failures) > failures);
    b = cache_acquire(r.cache, &bad, &got);
    assert_int_equal(got, CACHE_LEAD);
    blob_release(&b);
    cache_check(r.cache);
    room_reopen(&r);
    assert_int_equal(count_files(&r, "quarantine", ""), 1);
    mem_free(good_body);
    mem_free(bad_body);
    room_release(&r);
}

static void
a_partial_blob_continues_after_a_restart(void **state)
{
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct room r;
        struct digest d;
        room_init(&r, 64 * MIB);
        uint8_t *body = make_body(7, 5 * MIB, &d);
        enum cache_got got;
        struct blob *b = cache_acquire(r.cache, &d, &got);
        struct gap gap;
        assert_int_equal(blob_begin(b, 5 * MIB), 0);
        assert_true(blob_claim(b, UINT64_MAX, &gap));
        assert_int_equal(blob_write(b, 0, body, 2 * MIB + 5, BLOB_FROM_UPSTREAM), 0);
        blob_fail(b, ERR_UPSTREAM);
        blob_release(&b);
        cache_check(r.cache);
        if (clean) {
            room_reopen(&r);
        } else {
            room_reopen_unclean(&r);
        }
        cache_check(r.cache);
        struct cache_stats stats;
        cache_get_stats(r.cache, &stats);
        assert_int_equal(stats.partial_blobs, 1);
        assert_int_equal(stats.used_bytes, r.cache->store.reserves ? 5 * MIB : 2 * MIB + 5);

        b = cache_acquire(r.cache, &d, &got);
        assert_int_equal(got, CACHE_LEAD);
        assert_int_equal(blob_begin(b, 5 * MIB), 0);
        assert_true(blob_claim(b, UINT64_MAX, &gap));
        assert_int_equal(gap.start, 2 * MIB + 5);
        blob_unclaim(b, &gap);
        assert_int_equal(fill_rest(b, body, MIB), 0);
        assert_int_equal(wait_for_end(b), BLOB_WHOLE);
        blob_release(&b);
        room_reopen(&r);
        assert_int_equal(count_files(&r, "partial", ""), 0);
        b = cache_acquire(r.cache, &d, &got);
        assert_int_equal(got, CACHE_HIT);
        assert_int_equal(read_and_compare(b, body, 0, 5 * MIB), 5 * MIB);
        blob_release(&b);
        mem_free(body);
        room_release(&r);
    }
}

static void
a_partial_blob_of_another_size_starts_clean(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(8, 2 * MIB, &d);
    enum cache_got got;
    struct blob *b = cache_acquire(r.cache, &d, &got);
    struct gap gap;
    assert_int_equal(blob_begin(b, 3 * MIB), 0);
    assert_int_equal(blob_begin(b, 3 * MIB), 0);
    assert_int_equal(blob_begin(b, 2 * MIB), ERR_SIZE);
    assert_true(blob_claim(b, UINT64_MAX, &gap));
    assert_int_equal(blob_write(b, 0, body, MIB, BLOB_FROM_UPSTREAM), 0);
    blob_fail(b, ERR_SIZE);
    assert_int_equal(blob_begin(b, 3 * MIB), ERR_SIZE);
    blob_release(&b);
    store_body(&r, &d, body, 2 * MIB);
    cache_check(r.cache);
    struct cache_stats stats;
    cache_get_stats(r.cache, &stats);
    assert_int_equal(stats.used_bytes, 2 * MIB);
    mem_free(body);
    room_release(&r);
}

static void
wrong_bytes_are_never_completed_nor_kept(void **state)
{
    (void)state;
    struct room r;
    struct digest d, other;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(9, 2 * MIB, &d);
    uint8_t *wrong = make_body(10, 2 * MIB, &other);
    enum cache_got got;
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(blob_begin(b, 2 * MIB), 0);
    assert_int_equal(fill_rest(b, wrong, 256 * KIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_FAILED);
    struct blob_state s;
    blob_look(b, 2 * MIB - 64 * KIB, &s);
    assert_int_equal(s.error, ERR_DIGEST);
    assert_int_equal(s.readable, 2 * MIB - 64 * KIB);
    assert_int_equal(read_and_compare(b, wrong, 0, 2 * MIB), 2 * MIB - 64 * KIB);
    blob_release(&b);
    store_body(&r, &d, body, 2 * MIB);
    cache_check(r.cache);
    room_reopen(&r);
    assert_int_equal(count_files(&r, "partial", ""), 0);
    mem_free(body);
    mem_free(wrong);
    room_release(&r);
}

/* The disk thread lets go of a blob a moment after it is WHOLE. */
static void
wait_until_idle(struct room *r, const struct digest *d)
{
    struct blob_info info;
    int64_t deadline_ms = clock_ms() + SOON_MS;
    bool idle = false;
    while (!idle && clock_ms() < deadline_ms) {
        assert_int_equal(cache_info(r->cache, d, &info), 0);
        lock_take(&r->cache->lock);
        idle = r->cache->open_bytes == 0;
        lock_drop(&r->cache->lock);
    }
}

static void
a_file_that_vanished_or_shrank_is_fetched_again(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(11, MIB, &d);
    store_body(&r, &d, body, MIB);
    char path[256];
    blob_path(&r, &d, path);
    wait_until_idle(&r, &d);
    assert_int_equal(unlink(path), 0);
    store_body(&r, &d, body, MIB);
    wait_until_idle(&r, &d);
    assert_int_equal(truncate(path, 100), 0);
    store_body(&r, &d, body, MIB);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

static void
a_file_that_shrank_between_two_runs_is_not_believed(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    enum cache_got got;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(14, MIB, &d);
    store_body(&r, &d, body, MIB);
    char path[256];
    blob_path(&r, &d, path);
    cache_close(r.cache);
    assert_int_equal(truncate(path, 200 * KIB), 0);
    room_open(&r);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_not_equal(got, CACHE_HIT);
    assert_true(read_and_compare(b, body, 0, 200 * KIB) <= 136 * KIB);
    blob_release(&b);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

static void
a_folder_that_vanished_is_made_again(void **state)
{
    (void)state;
    struct room r;
    struct digest d, e;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(12, MIB, &d);
    store_body(&r, &d, body, MIB);
    (void)nftw(r.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    uint8_t *again = make_body(13, MIB, &e);
    store_body(&r, &e, again, MIB);
    store_body(&r, &d, body, MIB);
    cache_check(r.cache);
    mem_free(body);
    mem_free(again);
    room_release(&r);
}

static void
two_daemons_do_not_share_a_folder(void **state)
{
    (void)state;
    struct room r;
    struct cache *second = NULL;
    struct err e;
    room_init(&r, 64 * MIB);
    assert_int_equal(cache_open(&r.config, &second, &e), -EWOULDBLOCK);
    assert_non_null(strstr(e.text, "another daemon"));
    room_release(&r);
}

static void
garbage_in_the_folder_never_stops_a_start(void **state)
{
    (void)state;
    static const char *const names[] = {"journal",           "clean",
                                        "partial/x",         "partial/sha256-00.1.map",
                                        "partial/a-b.c.map", "blobs/sha256/ab/short",
                                        "blobs/sha256/file"};
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    assert_int_equal(put_whole(r.cache, (digest_of(DIGEST_SHA256, "x", 1, &d), &d), "x", 1), 0);
    cache_close(r.cache);
    char path[160];
    (void)snprintf(path, sizeof path, "%s/blobs/sha256/ab", r.dir);
    (void)mkdir(path, 0700);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", r.dir, names[i]);
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        for (int j = 0; j < 5000; j++) {
            (void)fputc(j * 7 + 3, f);
        }
        (void)fclose(f);
    }
    room_open(&r);
    struct buf body;
    buf_init(&body, 10);
    assert_int_equal(cache_get(r.cache, &d, &body), 0);
    buf_release(&body);
    assert_int_equal(count_files(&r, "partial", ""), 0);
    cache_check(r.cache);
    room_release(&r);
}

static void
two_thousand_blobs_are_ready_within_two_seconds(void **state)
{
    (void)state;
    enum { BLOBS = 2000 };
    struct room r;
    room_init(&r, 64 * MIB);
    cache_close(r.cache);
    for (int i = 0; i < BLOBS; i++) {
        struct digest d;
        char path[256], shard[256];
        digest_of(DIGEST_SHA256, &i, sizeof i, &d);
        blob_path(&r, &d, path);
        memcpy(shard, path, sizeof shard);
        *strrchr(shard, '/') = '\0';
        char *below = strstr(shard, "/blobs/") + 1;
        for (char *slash = strchr(below, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            (void)mkdir(shard, 0700);
            *slash = '/';
        }
        (void)mkdir(shard, 0700);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, &i, sizeof i), sizeof i);
        fd_close(&fd);
    }
    int64_t started_ms = clock_ms();
    room_open(&r);
    int64_t took_ms = clock_ms() - started_ms;
    struct cache_stats s;
    cache_get_stats(r.cache, &s);
    assert_int_equal(s.blobs, BLOBS);
    print_message("2000 blobs opened in %lld ms\n", (long long)took_ms);
    assert_true(took_ms < 2000);
    room_release(&r);
}

/* What left the disk under the daemon is whole as long as somebody holds it. */
static void
wait_let_go(struct room *r, const struct digest *d)
{
    int64_t end_ms = clock_ms() + SOON_MS;
    for (struct blob *b; (b = cache_find(r->cache, d)) != NULL && clock_ms() < end_ms;) {
        blob_release(&b);
        clock_sleep_ms(1);
    }
}

/* Somebody puts a folder with something in it where a blob stands. */
static void
a_folder_at_a_blobs_name_makes_way(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct stat st;
    char path[256], inside[300];
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(21, 100 * KIB, &d);
    blob_path(&r, &d, path);
    store_body(&r, &d, body, 100 * KIB);
    for (int restarted = 0; restarted < 2; restarted++) {
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        (void)snprintf(inside, sizeof inside, "%s/%d", path, restarted);
        assert_int_equal(mkdir(inside, 0700), 0);
        if (restarted) {
            room_reopen(&r);
        }
        wait_let_go(&r, &d);
        store_body(&r, &d, body, 100 * KIB);
        assert_int_equal(stat(path, &st), 0);
        assert_true(S_ISREG(st.st_mode));
        (void)snprintf(inside, sizeof inside, "%s.folder%d/%d", path, restarted, restarted);
        assert_int_equal(access(inside, F_OK), 0); /* nothing of it is lost */
        cache_check(r.cache);
    }
    mem_free(body);
    room_release(&r);
}

static void
tags_and_links_survive_a_restart(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init(&r, 64 * MIB);
    mem_free(make_body(20, 10, &d));
    struct tag tag = {.digest = d, .checked_wall_s = 5, .media_type = "m/t", .size = 10}, got;
    struct link link = {.size = 77, .seen_wall_s = 6}, seen;
    cache_tag_put(r.cache, "docker.io/library/a:1", &tag);
    cache_tag_put(r.cache, "docker.io/library/a:2", &tag);
    cache_tag_drop(r.cache, "docker.io/library/a:2");
    cache_link_put(r.cache, "docker.io/library/a", 0, &d, &link);
    for (int round = 0; round < 2; round++) {
        assert_true(cache_tag_get(r.cache, "docker.io/library/a:1", &got));
        assert_true(digest_equal(&got.digest, &d));
        assert_string_equal(got.media_type, "m/t");
        assert_false(cache_tag_get(r.cache, "docker.io/library/a:2", &got));
        assert_true(cache_link_get(r.cache, "docker.io/library/a", 0, &d, &seen));
        assert_int_equal(seen.size, 77);
        assert_false(cache_link_get(r.cache, "docker.io/library/a", 1, &d, &seen));
        assert_false(cache_link_get(r.cache, "docker.io/library/b", 0, &d, &seen));
        char name[CACHE_NAME_MAX];
        assert_true(cache_link_any(r.cache, &d, name));
        assert_string_equal(name, "docker.io/library/a");
        room_reopen(&r);
    }
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blob_goes_from_lead_to_hit),
        cmocka_unit_test(sizes_around_pieces_and_the_tail_are_stored),
        cmocka_unit_test(put_and_get_small_bodies_of_both_algorithms),
        cmocka_unit_test(a_small_body_tells_where_it_came_from),
        cmocka_unit_test(find_never_leads),
        cmocka_unit_test(a_clean_restart_serves_at_once),
        cmocka_unit_test(after_a_crash_a_blob_is_hashed_before_its_tail_leaves),
        cmocka_unit_test(a_partial_blob_continues_after_a_restart),
        cmocka_unit_test(a_partial_blob_of_another_size_starts_clean),
        cmocka_unit_test(wrong_bytes_are_never_completed_nor_kept),
        cmocka_unit_test(a_file_that_vanished_or_shrank_is_fetched_again),
        cmocka_unit_test(a_file_that_shrank_between_two_runs_is_not_believed),
        cmocka_unit_test(a_folder_that_vanished_is_made_again),
        cmocka_unit_test(two_daemons_do_not_share_a_folder),
        cmocka_unit_test(garbage_in_the_folder_never_stops_a_start),
        cmocka_unit_test(two_thousand_blobs_are_ready_within_two_seconds),
        cmocka_unit_test(a_folder_at_a_blobs_name_makes_way),
        cmocka_unit_test(tags_and_links_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
