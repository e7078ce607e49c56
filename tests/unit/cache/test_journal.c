/* The journal on disk: replay, torn tails, rewrites. */
#include "base/fault.h"
#include "cache/journal.h"
#include "tests/unit/cache/room.h"

struct desk {
    char dir[64];
    struct store store;
    struct journal journal;
    unsigned replayed;
    uint64_t cut_bytes;
    char last_key[CACHE_TAG_KEY_MAX];
};

static void
note(void *arg, const struct record *r)
{
    struct desk *d = arg;
    d->replayed++;
    (void)snprintf(d->last_key, sizeof d->last_key, "%s", r->key);
}

static void
desk_open(struct desk *d)
{
    struct err e;
    d->replayed = 0;
    assert_int_equal(store_open(&d->store, d->dir, &e), 0);
    journal_open(&d->journal, &d->store, note, d, &d->cut_bytes);
}

static void
desk_init(struct desk *d)
{
    make_folder(d->dir);
    desk_open(d);
}

static void
desk_close(struct desk *d)
{
    journal_close(&d->journal);
    store_close(&d->store);
}

static void
desk_release(struct desk *d)
{
    desk_close(d);
    (void)nftw(d->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
add_drop(struct buf *b, const char *key)
{
    struct record r = {.kind = RECORD_TAG_DROP};
    (void)snprintf(r.key, sizeof r.key, "%s", key);
    assert_int_equal(record_encode(&r, b), 0);
}

static void
a_new_journal_wants_a_rewrite_first(void **state)
{
    (void)state;
    struct desk d;
    struct buf b;
    desk_init(&d);
    buf_init(&b, 4096);
    add_drop(&b, "one");
    assert_true(journal_wants_rewrite(&d.journal));
    assert_int_equal(journal_append(&d.journal, &b), ERR_STORE);
    assert_int_equal(journal_rewrite(&d.journal, &b), 0);
    assert_false(journal_wants_rewrite(&d.journal));
    buf_release(&b);
    desk_release(&d);
}

static void
appended_records_are_replayed_in_order(void **state)
{
    (void)state;
    struct desk d;
    struct buf b;
    desk_init(&d);
    buf_init(&b, 4096);
    add_drop(&b, "one");
    assert_int_equal(journal_rewrite(&d.journal, &b), 0);
    buf_clear(&b);
    add_drop(&b, "two");
    assert_int_equal(journal_append(&d.journal, &b), 0);
    desk_close(&d);
    desk_open(&d);
    assert_int_equal(d.replayed, 2);
    assert_string_equal(d.last_key, "two");
    assert_int_equal(d.cut_bytes, 0);
    buf_release(&b);
    desk_release(&d);
}

static void
a_torn_tail_is_cut_at_every_length_and_writing_goes_on(void **state)
{
    (void)state;
    struct desk d;
    struct buf b;
    char path[128];
    desk_init(&d);
    buf_init(&b, 4096);
    add_drop(&b, "one");
    size_t first = b.len;
    add_drop(&b, "two");
    (void)snprintf(path, sizeof path, "%s/journal", d.dir);
    for (size_t len = first; len < b.len; len++) {
        assert_int_equal(journal_rewrite(&d.journal, &b), 0);
        desk_close(&d);
        assert_int_equal(truncate(path, (off_t)len), 0);
        desk_open(&d);
        assert_int_equal(d.replayed, 1);
        assert_int_equal(d.cut_bytes, len - first);
        struct buf more;
        buf_init(&more, 4096);
        add_drop(&more, "three");
        assert_int_equal(journal_append(&d.journal, &more), 0);
        buf_release(&more);
        desk_close(&d);
        desk_open(&d);
        assert_int_equal(d.replayed, 2);
        assert_string_equal(d.last_key, "three");
    }
    buf_release(&b);
    desk_release(&d);
}

/* The disk does not give all of it: what it gives is kept, and what it gives only when it is asked
 * again. */
static void
what_can_be_read_is_kept(void **state)
{
    (void)state;
    struct desk d;
    AUTO(buf_release) struct buf records;
    buf_init(&records, MIB);
    desk_init(&d);
    assert_int_equal(journal_head(&records), 0);
    for (int i = 0; i < 1000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "a.test/x:%d", i);
        add_drop(&records, key);
    }
    assert_int_equal(journal_rewrite(&d.journal, &records), 0);
    static const uint64_t nth[] = {1, 2, 4, 5}; /* folder, file, two of the steps */
    for (size_t i = 0; i < ARRAY_LEN(nth); i++) {
        journal_close(&d.journal);
        d.replayed = 0;
        fault_arm(nth[i], EIO, false, NULL);
        journal_open(&d.journal, &d.store, note, &d, &d.cut_bytes);
        fault_disarm();
        assert_int_equal(d.replayed, 1001);
        assert_false(journal_wants_rewrite(&d.journal));
    }
    journal_close(&d.journal);
    d.replayed = 0;
    fault_arm(6, EIO, true, NULL); /* folder, file, size, two steps */
    journal_open(&d.journal, &d.store, note, &d, &d.cut_bytes);
    fault_disarm();
    assert_in_range(d.replayed, 50, 999);
    assert_true(journal_wants_rewrite(&d.journal));
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/journal.unread", d.dir);
    assert_int_equal(access(path, F_OK), -1);
    size_t all = records.len;
    buf_clear(&records);
    add_drop(&records, "what was read");
    assert_int_equal(journal_rewrite(&d.journal, &records), 0);
    assert_int_equal(stat(path, &st), 0); /* people may look at it */
    assert_int_equal(st.st_size, all);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(journal_rewrite(&d.journal, &records), 0);
    assert_int_equal(access(path, F_OK), -1);
    desk_release(&d);
}

/* Of 1,000 records only those in the damaged part are lost: a sector that the disk does not give,
 * or one flipped bit. It is written anew. */
static void
what_is_behind_damage_is_kept(void **state)
{
    (void)state;
    struct desk d;
    AUTO(buf_release) struct buf records;
    buf_init(&records, MIB);
    desk_init(&d);
    assert_int_equal(journal_head(&records), 0);
    for (int i = 0; i < 1000; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "a.test/x:%d", i);
        add_drop(&records, key);
    }
    for (int rot = 0; rot < 2; rot++) {
        if (rot == 1) {
            records.data[records.len / 2] ^= 16;
        }
        assert_int_equal(journal_rewrite(&d.journal, &records), 0);
        journal_close(&d.journal);
        d.replayed = 0;
        if (rot == 0) {
            fault_arm_some(6, 2, EIO); /* folder, file, size, two steps; the third, and again */
        }
        journal_open(&d.journal, &d.store, note, &d, &d.cut_bytes);
        fault_disarm();
        assert_in_range(d.replayed, rot == 0 ? 750 : 1000, 1000);
        assert_in_range(d.cut_bytes, 1, rot == 0 ? 5000 : 100);
        assert_string_equal(d.last_key, "a.test/x:999");
        assert_true(journal_wants_rewrite(&d.journal));
    }
    desk_release(&d);
}

static void
a_journal_of_a_later_version_is_told_apart(void **state)
{
    (void)state;
    struct desk d;
    struct buf b;
    struct record r = {.kind = RECORD_FORMAT, .version = JOURNAL_VERSION + 1};
    desk_init(&d);
    buf_init(&b, 4096);
    assert_int_equal(journal_check(&d.store), 0); /* there is none */
    add_drop(&b, "one");
    assert_int_equal(journal_rewrite(&d.journal, &b), 0);
    assert_int_equal(journal_check(&d.store), 0); /* from before it had a number */
    buf_clear(&b);
    assert_int_equal(journal_head(&b), 0);
    assert_int_equal(journal_rewrite(&d.journal, &b), 0);
    assert_int_equal(journal_check(&d.store), 0);
    buf_clear(&b);
    assert_int_equal(record_encode(&r, &b), 0);
    add_drop(&b, "one");
    assert_int_equal(journal_rewrite(&d.journal, &b), 0);
    static const uint64_t nth[] = {1, 2, 4}; /* folder, file, bytes */
    for (size_t i = 0; i < ARRAY_LEN(nth); i++) {
        fault_arm(nth[i], EIO, false, NULL);
        assert_int_equal(journal_check(&d.store), ERR_VERSION);
        fault_disarm();
    }
    buf_release(&b);
    desk_release(&d);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_read_is_kept),
        cmocka_unit_test(what_is_behind_damage_is_kept),
        cmocka_unit_test(a_journal_of_a_later_version_is_told_apart),
        cmocka_unit_test(a_new_journal_wants_a_rewrite_first),
        cmocka_unit_test(appended_records_are_replayed_in_order),
        cmocka_unit_test(a_torn_tail_is_cut_at_every_length_and_writing_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
