/* Packing at rest: what takes less room takes the place of what came, and nobody sees more of it
 * than the room. */
#include "base/fault.h"
#include "base/metric.h"
#include "cache/entry.h"
#include "cache/inside.h"
#include "cache/pack.h"
#include "tests/unit/cache/room.h"
#include "tests/unit/cache/writer.h"
#include <stdatomic.h>

#define LEN (3 * MIB + 4321)

/* Text of 16 letters: takes about half. */
static uint8_t *
make_text(uint64_t seed, size_t len, struct digest *ret)
{
    uint8_t *bytes = make_body(seed, len, ret);
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)('a' + (bytes[i] & 15));
    }
    digest_of(DIGEST_SHA256, bytes, len, ret);
    return bytes;
}

static void
room_init_packing(struct room *r)
{
    room_init(r, 64 * MIB);
    cache_close(r->cache);
    r->config.compress = true;
    r->config.pack_idle_ms = 1;
    room_open(r);
}

static struct cache_stats
stats_of(struct room *r)
{
    struct cache_stats s;
    cache_get_stats(r->cache, &s);
    return s;
}

static void
wait_packed(struct room *r, uint64_t count)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (stats_of(r).packed_blobs < count && clock_ms() < deadline_ms) {
        clock_sleep_ms(1);
    }
    assert_int_equal(stats_of(r).packed_blobs, count);
}

static bool
has_file(const struct room *r, const struct digest *d, const char *suffix)
{
    char path[256], with[300];
    blob_path(r, d, path);
    (void)snprintf(with, sizeof with, "%s%s", path, suffix);
    return access(with, F_OK) == 0;
}

static void
wait_swapped(const struct room *r, const struct digest *d)
{
    int64_t deadline_ms = clock_ms() + SOON_MS;
    while (has_file(r, d, "") && clock_ms() < deadline_ms) {
        clock_sleep_ms(1);
    }
    assert_true(has_file(r, d, ".zst") && !has_file(r, d, ""));
}

static uint8_t *
store_packed(struct room *r, uint64_t seed, struct digest *ret)
{
    uint64_t before = stats_of(r).packed_blobs;
    uint8_t *text = make_text(seed, LEN, ret);
    store_body(r, ret, text, LEN);
    wait_packed(r, before + 1);
    wait_swapped(r, ret);
    return text;
}

static void
it_is_read_as_it_came(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    int fd = -1;
    room_init_packing(&r);
    uint8_t *text = store_packed(&r, 1, &d);
    enum cache_got got;
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_HIT);
    assert_int_equal(read_and_compare(b, text, 0, LEN), LEN);
    assert_int_equal(read_and_compare(b, text, LEN / 2 + 77, LEN), LEN - LEN / 2 - 77);
    assert_int_equal(blob_open_fd(b, &fd), ERR_NOT_FOUND); /* nothing for sendfile */
    uint8_t *piece = mem_alloc(MIB);
    assert_true(blob_is_packed(b));
    assert_int_equal(blob_held_fd(b, MIB + 5, MIB, &fd), 0); /* for other nodes */
    assert_int_equal(fs_read_at(fd, MIB + 5, piece, MIB), 0);
    assert_memory_equal(piece, text + MIB + 5, MIB);
    fd_close(&fd);
    mem_free(piece);
    blob_release(&b);
    struct blob_info info;
    assert_int_equal(cache_info(r.cache, &d, &info), 0);
    assert_true(info.size == LEN && info.have_bytes == LEN && info.disk_bytes < LEN / 10 * 6);
    assert_int_equal(cache_stored(r.cache, &d), LEN);
    cache_check(r.cache);
    mem_free(text);
    room_release(&r);
}

static void
room_is_counted_as_it_is_taken(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init_packing(&r);
    uint8_t *text = store_packed(&r, 1, &d);
    struct cache_stats s = stats_of(&r);
    assert_int_equal(s.used_bytes + s.saved_bytes, LEN);
    assert_true(s.saved_bytes > LEN / 10 * 4);
    assert_int_equal(metric_get(M_cache_saved), s.saved_bytes);
    assert_int_equal(cache_gc(r.cache, 0, true, NULL, NULL), s.used_bytes);
    assert_int_equal(cache_gc(r.cache, 0, false, NULL, NULL), s.used_bytes);
    assert_false(has_file(&r, &d, ".zst"));
    assert_int_equal(stats_of(&r).used_bytes, 0);
    assert_int_equal(stats_of(&r).saved_bytes, 0);
    assert_int_equal(metric_get(M_cache_saved), 0);
    cache_check(r.cache);
    mem_free(text);
    room_release(&r);
}

/* What does not shrink, is small, or in use stays for sendfile. */
static void
the_rest_stays_as_it_came(void **state)
{
    (void)state;
    struct room r;
    struct digest noise, small, open, d;
    int fd = -1;
    room_init_packing(&r);
    uint8_t *bodies[] = {make_body(1, LEN, &noise), make_text(2, MIB - 1, &small),
                         make_text(3, LEN, &open)};
    store_body(&r, &noise, bodies[0], LEN);
    store_body(&r, &small, bodies[1], MIB - 1);
    enum cache_got got;
    struct blob *b = cache_acquire(r.cache, &open, &got);
    assert_int_equal(blob_begin(b, LEN), 0);
    assert_int_equal(fill_rest(b, bodies[2], MIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    for (uint64_t seed = 4; seed < 7; seed++) { /* rounds that had all of them in sight */
        mem_free(store_packed(&r, seed, &d));
    }
    assert_true(has_file(&r, &noise, "") && !has_file(&r, &noise, ".zst"));
    assert_true(has_file(&r, &small, "") && !has_file(&r, &small, ".zst"));
    assert_true(has_file(&r, &open, "") && !has_file(&r, &open, ".zst"));
    assert_int_equal(blob_open_fd(b, &fd), 0);
    fd_close(&fd);
    blob_release(&b);
    wait_packed(&r, 4); /* nobody has it open any more */
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        mem_free(bodies[i]);
    }
    cache_check(r.cache);
    room_release(&r);
}

static void
assert_served(struct room *r, const struct digest *d, const uint8_t *text)
{
    enum cache_got got;
    struct blob *b = cache_acquire(r->cache, d, &got);
    assert_int_not_equal(got, CACHE_LEAD);
    assert_int_equal(read_and_compare(b, text, 0, LEN), LEN);
    blob_release(&b);
}

/* Clean, unclean, without the journal; a swap that a crash cut; and with the setting off. */
static void
it_is_there_after_a_start(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    char path[256];
    room_init_packing(&r);
    uint8_t *text = store_packed(&r, 1, &d);
    uint64_t used = stats_of(&r).used_bytes;
    room_reopen(&r);
    assert_served(&r, &d, text);
    room_reopen_unclean(&r);
    assert_served(&r, &d, text);
    cache_close(r.cache);
    (void)snprintf(path, sizeof path, "%s/journal", r.dir);
    assert_int_equal(unlink(path), 0);
    blob_path(&r, &d, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fs_write_at(fd, 0, text, LEN), 0);
    fd_close(&fd);
    r.config.compress = false;
    room_open(&r);
    assert_served(&r, &d, text);
    assert_true(has_file(&r, &d, ".zst") && !has_file(&r, &d, ""));
    assert_int_equal(stats_of(&r).used_bytes, used);
    assert_int_equal(stats_of(&r).packed_blobs, 1);
    cache_check(r.cache);
    mem_free(text);
    room_release(&r);
}

static void
flip(const struct room *r, const struct digest *d, off_t at)
{
    char path[256], packed[300];
    uint8_t byte;
    blob_path(r, d, path);
    (void)snprintf(packed, sizeof packed, "%s.zst", path);
    int fd = open(packed, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    fd_close(&fd);
}

/* A flipped bit: verify finds it, a reader gets nothing of that frame, an open file table neither.
 */
static void
rot_is_found_and_leaves(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct cache_verdict v;
    room_init_packing(&r);
    mem_free(store_packed(&r, 1, &d));
    cache_verify(r.cache, &v, NULL, NULL);
    assert_true(v.checked == 1 && v.checked_bytes == LEN && v.bad == 0);
    flip(&r, &d, 5000);
    cache_verify(r.cache, &v, NULL, NULL);
    assert_true(v.checked == 1 && v.bad == 1);
    assert_int_equal(count_files(&r, "quarantine", ".zst"), 1);
    assert_int_equal(cache_stored(r.cache, &d), 0);

    uint8_t *text = store_packed(&r, 2, &d), block[100];
    flip(&r, &d, 5000);
    struct blob *b = cache_find(r.cache, &d);
    assert_true(blob_read(b, 0, block, sizeof block) < 0);
    blob_release(&b);
    assert_int_equal(cache_stored(r.cache, &d), 0);
    mem_free(text);

    mem_free(store_packed(&r, 3, &d));
    flip(&r, &d, (off_t)(stats_of(&r).used_bytes - 1));
    assert_null(cache_find(r.cache, &d));
    cache_check(r.cache);
    room_release(&r);
}

/* A frame is found bad while a client reads before it: the client goes on by itself, from what the
 * bytes that it has hash to. */
static void
a_reader_goes_on_where_a_packed_blob_failed(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct writer w;
    struct blob *pass;
    enum cache_got got;
    room_init_packing(&r);
    uint8_t *text = store_packed(&r, 1, &d);
    flip(&r, &d, (off_t)(stats_of(&r).used_bytes / 4 * 3));
    lock_take(&r.cache->lock);
    entry_find(r.cache, &d)->unsure = true; /* as after an unclean stop */
    lock_drop(&r.cache->lock);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_JOIN);
    assert_int_equal(wait_for_end(b), BLOB_FAILED);
    assert_int_equal(read_and_compare(b, text, 0, MIB + 9), MIB + 9);
    assert_int_equal(cache_pass_through(r.cache, &d, MIB + 9, NULL, b, &pass), 0);
    start_writer(&w, pass, text, LEN);
    assert_int_equal(read_and_compare(pass, text, MIB + 9, LEN), LEN - MIB - 9);
    end_writer(&w);
    assert_int_equal(w.result, 0);
    blob_release(&pass);
    blob_release(&b);
    mem_free(text);
    cache_check(r.cache);
    room_release(&r);
}

/* An older program refuses the folder while packed blobs may be there, and no longer. */
static void
the_folder_says_so(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    AUTO(buf_release) struct buf text;
    room_init_packing(&r);
    buf_init(&text, 64);
    assert_int_equal(store_read_file(&r.cache->store, "FORMAT", &text), 0);
    assert_string_equal(buf_text(&text), "1\n");
    mem_free(store_packed(&r, 1, &d));
    buf_clear(&text);
    assert_int_equal(store_read_file(&r.cache->store, "FORMAT", &text), 0);
    assert_string_equal(buf_text(&text), "2\n");
    room_reopen(&r);
    buf_clear(&text);
    assert_int_equal(store_read_file(&r.cache->store, "FORMAT", &text), 0);
    assert_string_equal(buf_text(&text), "2\n");
    (void)cache_gc(r.cache, 0, false, NULL, NULL);
    room_reopen(&r);
    buf_clear(&text);
    assert_int_equal(store_read_file(&r.cache->store, "FORMAT", &text), 0);
    assert_string_equal(buf_text(&text), "1\n");
    room_release(&r);
}

/* The Nth call of the disk fails: the blob is there all the same, and it is packed later. */
static void
a_disk_that_fails_costs_nothing(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    room_init_packing(&r);
    uint8_t *text = make_text(1, LEN, &d);
    for (uint64_t nth = 1; nth < 60; nth += 3) {
        store_body(&r, &d, text, LEN);
        fault_arm(nth, EIO, false, NULL);
        wait_packed(&r, 1);
        fault_disarm();
        assert_served(&r, &d, text);
        (void)cache_gc(r.cache, 0, false, NULL, NULL);
        cache_check(r.cache);
    }
    mem_free(text);
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_read_as_it_came),
        cmocka_unit_test(room_is_counted_as_it_is_taken),
        cmocka_unit_test(the_rest_stays_as_it_came),
        cmocka_unit_test(it_is_there_after_a_start),
        cmocka_unit_test(rot_is_found_and_leaves),
        cmocka_unit_test(a_reader_goes_on_where_a_packed_blob_failed),
        cmocka_unit_test(the_folder_says_so),
        cmocka_unit_test(a_disk_that_fails_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
