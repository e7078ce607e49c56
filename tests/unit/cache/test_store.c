/* Names on disk and publishing. */
#include "cache/store.h"
#include "tests/unit/cache/room.h"

struct shelf {
    char dir[64];
    struct store store;
    struct digest digest;
    unsigned count;
    uint64_t size, gen;
};

static void
shelf_init(struct shelf *s)
{
    struct err e;
    *s = (struct shelf){.count = 0};
    make_folder(s->dir);
    assert_int_equal(store_open(&s->store, s->dir, &e), 0);
    digest_of(DIGEST_SHA512, "shelf", 5, &s->digest);
}

static void
shelf_release(struct shelf *s)
{
    store_close(&s->store);
    (void)nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
note_blob(void *arg, const struct digest *d, uint64_t size, bool packed)
{
    assert_false(packed);
    struct shelf *s = arg;
    assert_true(digest_equal(d, &s->digest));
    s->count++;
    s->size = size;
}

static void
note_partial(void *arg, const struct digest *d, uint64_t gen)
{
    struct shelf *s = arg;
    assert_true(digest_equal(d, &s->digest));
    s->count++;
    s->gen = gen;
}

static void
put_partial(struct shelf *s, uint64_t gen, int *ret_fd)
{
    assert_int_equal(store_create_partial(&s->store, &s->digest, gen, ret_fd), 0);
    assert_int_equal(fs_write_at(*ret_fd, 0, "bytes", 5), 0);
}

static void
a_published_file_stands_under_its_digest_only(void **state)
{
    (void)state;
    struct shelf s;
    int fd = -1;
    uint64_t size;
    AUTO(stored_close) struct stored blob = {.fd = -1};
    shelf_init(&s);
    put_partial(&s, 3, &fd);
    struct publishing p = {.digest = s.digest, .gen = 3, .fd = fd};
    store_publish_blobs(&s.store, &p, 1);
    assert_int_equal(p.rc, 0);
    assert_int_equal(store_open_blob(&s.store, &s.digest, false, &blob), 0);
    assert_int_equal(blob.size, 5);
    assert_null(blob.frames);
    assert_int_equal(store_each_blob(&s.store, note_blob, &s), 0);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.size, 5);
    assert_int_equal(store_open_partial(&s.store, &s.digest, 3, &fd, &size), -ENOENT);
    assert_int_equal(store_remove_blob(&s.store, &s.digest), 0);
    assert_int_equal(store_remove_blob(&s.store, &s.digest), -ENOENT);
    fd_close(&fd);
    shelf_release(&s);
}

static void
only_pairs_of_data_and_map_survive_the_walk(void **state)
{
    (void)state;
    struct shelf s;
    struct buf map;
    int fd = -1;
    size_t removed = 0;
    shelf_init(&s);
    buf_init(&map, 10);
    assert_int_equal(buf_add_text(&map, "map"), 0);
    put_partial(&s, 1, &fd); /* no map */
    fd_close(&fd);
    assert_int_equal(store_save_map(&s.store, &s.digest, 2, &map), 0); /* no data */
    put_partial(&s, 18446744073709551615u, &fd);
    fd_close(&fd);
    assert_int_equal(store_save_map(&s.store, &s.digest, 18446744073709551615u, &map), 0);
    assert_int_equal(store_each_partial(&s.store, note_partial, &s, &removed), 0);
    assert_int_equal(removed, 2);
    assert_int_equal(s.count, 1);
    assert_true(s.gen == 18446744073709551615u);
    buf_clear(&map);
    assert_int_equal(store_load_map(&s.store, &s.digest, s.gen, &map), 0);
    assert_string_equal(buf_text(&map), "map");
    assert_int_equal(store_remove_partial(&s.store, &s.digest, s.gen), 0);
    buf_release(&map);
    shelf_release(&s);
}

static void
a_small_file_is_replaced_in_one_step_and_removed(void **state)
{
    (void)state;
    struct shelf s;
    struct buf b;
    shelf_init(&s);
    buf_init(&b, 100);
    assert_int_equal(buf_add_text(&b, "first, longer"), 0);
    assert_int_equal(store_write_file(&s.store, "name", &b), 0);
    buf_clear(&b);
    assert_int_equal(buf_add_text(&b, "second"), 0);
    assert_int_equal(store_write_file(&s.store, "name", &b), 0);
    buf_clear(&b);
    assert_int_equal(store_read_file(&s.store, "name", &b), 0);
    assert_string_equal(buf_text(&b), "second");
    assert_int_equal(store_remove_file(&s.store, "name"), 0);
    assert_int_equal(store_remove_file(&s.store, "name"), 0);
    assert_int_equal(store_read_file(&s.store, "name", &b), -ENOENT);
    buf_release(&b);
    shelf_release(&s);
}

static int
open_with_format(struct shelf *s, const char *text)
{
    AUTO(mem_free_text) char *path = mem_printf("%s/FORMAT", s->dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    struct err e;
    struct store again;
    store_close(&s->store);
    int rc = store_open(&again, s->dir, &e);
    if (rc == ERR_VERSION)
        assert_non_null(strstr(e.text, "a later version of peersync wrote this folder"));
    store_close(&again);
    assert_int_equal(store_open(&s->store, s->dir, &e), rc); /* and nothing was changed by it */
    return rc;
}

static void
a_folder_of_a_later_version_is_refused_as_it_is(void **state)
{
    (void)state;
    struct shelf s;
    shelf_init(&s);
    AUTO(buf_release) struct buf text;
    buf_init(&text, 64);
    assert_int_equal(store_read_file(&s.store, "FORMAT", &text), 0);
    assert_string_equal(buf_text(&text), "1\n");
    assert_int_equal(open_with_format(&s, "1"), 0);
    assert_int_equal(open_with_format(&s, ""), 0);
    assert_int_equal(open_with_format(&s, "2\n"), 0);
    assert_int_equal(open_with_format(&s, "3\n"), ERR_VERSION);
    assert_int_equal(open_with_format(&s, "1.5 or so"), ERR_VERSION);
    assert_int_equal(open_with_format(&s, "a text that is longer than any number of a version"),
                     ERR_VERSION);
    shelf_release(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_published_file_stands_under_its_digest_only),
        cmocka_unit_test(only_pairs_of_data_and_map_survive_the_walk),
        cmocka_unit_test(a_folder_of_a_later_version_is_refused_as_it_is),
        cmocka_unit_test(a_small_file_is_replaced_in_one_step_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
