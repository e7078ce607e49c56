/* What a cache does before a blob leaves that the site may need. */
#include "cache/inside.h"
#include "cache/room.h"
#include "tests/unit/cache/room.h"

#include <pthread.h>

#define CACHE_BYTES (10 * MIB)
#define BLOB_BYTES  (1 * MIB + 4 * KIB) /* large, and nine of them are over the high mark */

/* The site: what it was asked, and what it says of each at once. */
struct site {
    struct room room;
    enum cache_leave says;
    unsigned copies;
    int64_t for_ms;
    pthread_mutex_t lock;
    unsigned asked; /* lock */
    struct digest last_asked;
};

static void
ask(void *arg, const struct leave_ask *list, size_t count)
{
    struct site *s = arg;
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&s->lock);
        s->asked++;
        s->last_asked = list[i].digest;
        pthread_mutex_unlock(&s->lock);
        struct leave_word word = {list[i].digest, s->says, s->copies, s->for_ms, "node"};
        if (s->says != CACHE_LEAVE_ASKED)
            cache_leave_said(s->room.cache, &word);
    }
}

static unsigned
asked(struct site *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->asked;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void
site_init(struct site *s, enum cache_leave says, unsigned copies)
{
    *s = (struct site){.says = says, .copies = copies, .for_ms = 9000};
    pthread_mutex_init(&s->lock, NULL);
    room_init(&s->room, CACHE_BYTES);
    cache_close(s->room.cache);
    s->room.config.leave_asks = true;
    room_open(&s->room);
    cache_on_leave(s->room.cache, ask, s);
}

static void
site_release(struct site *s)
{
    cache_on_leave(s->room.cache, NULL, NULL);
    room_release(&s->room);
    pthread_mutex_destroy(&s->lock);
}

static int
put(struct site *s, uint64_t seed, struct digest *ret)
{
    uint8_t *body = make_body(seed, BLOB_BYTES, ret);
    int rc = put_whole(s->room.cache, ret, body, BLOB_BYTES);
    mem_free(body);
    return rc;
}

static uint64_t
used(struct site *s)
{
    struct cache_stats stats;
    cache_get_stats(s->room.cache, &stats);
    return stats.used_bytes;
}

/* Waits until no more than `bytes` are used. */
static void
wait_used(struct site *s, uint64_t bytes)
{
    for (int64_t end_ms = clock_ms() + SOON_MS; used(s) > bytes && clock_ms() < end_ms;)
        clock_sleep_ms(5);
    assert_true(used(s) <= bytes);
}

static void
wait_asked(struct site *s, unsigned times)
{
    for (int64_t end_ms = clock_ms() + SOON_MS; asked(s) < times && clock_ms() < end_ms;)
        clock_sleep_ms(5);
    assert_true(asked(s) >= times);
}

static void
fill(struct site *s, unsigned count)
{
    struct digest d;
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(put(s, i + 1, &d), 0);
}

/* What waits for the cache's patience waits while the quick tests run. */
static struct {
    struct site last, silent, inviting, pressed;
    struct blob *begins; /* of silent, where nothing leaves for it */
    struct digest invited;
} slow;

static struct blob *
lead(struct site *s, uint64_t seed)
{
    struct digest d;
    enum cache_got got;
    mem_free(make_body(seed, BLOB_BYTES, &d));
    struct blob *b = cache_acquire(s->room.cache, &d, &got);
    assert_int_equal(got, CACHE_LEAD);
    return b;
}

static int
invite(struct site *s)
{
    mem_free(make_body(100, BLOB_BYTES, &slow.invited));
    return cache_invite(s->room.cache, &slow.invited, BLOB_BYTES, 5, 0);
}

static int
begin_what_waits(void **state)
{
    (void)state;
    site_init(&slow.last, CACHE_LEAVE_LAST, 0);
    fill(&slow.last, 9);
    site_init(&slow.silent, CACHE_LEAVE_ASKED, 0);
    fill(&slow.silent, 9);
    slow.begins = lead(&slow.silent, 100);
    assert_int_equal(blob_begin_patiently(slow.begins, BLOB_BYTES), ERR_AGAIN);
    site_init(&slow.inviting, CACHE_LEAVE_LAST, 0);
    fill(&slow.inviting, 8);
    assert_int_equal(invite(&slow.inviting), ERR_AGAIN);
    site_init(&slow.pressed, CACHE_LEAVE_KEEP, 0);
    fill(&slow.pressed, 8);
    struct cache_stats stats;
    cache_get_stats(slow.pressed.room.cache, &stats);
    /* More is to be free than the disk has, whatever else is written or removed there. */
    cache_set_limits(slow.pressed.room.cache, CACHE_BYTES, 0,
                     stats.disk_free_bytes + (UINT64_C(1) << 40));
    return 0;
}

static void
what_others_hold_leaves_after_the_site_was_asked(void **state)
{
    (void)state;
    struct site s;
    site_init(&s, CACHE_LEAVE_MAY, 2);
    fill(&s, 9);
    wait_used(&s, CACHE_BYTES / 100 * 90);
    assert_true(asked(&s) >= 1);
    assert_false(cache_holds(s.room.cache, &s.last_asked));
    site_release(&s);
}

static void
what_must_stay_stays_and_others_are_asked_about(void **state)
{
    (void)state;
    struct site s;
    site_init(&s, CACHE_LEAVE_KEEP, 0);
    fill(&s, 9);
    wait_asked(&s, 2); /* kept for long: another one is asked about */
    assert_int_equal(used(&s), 9 * BLOB_BYTES);
    site_release(&s);
}

static void
a_last_copy_leaves_when_the_site_has_no_room_twice(void **state)
{
    (void)state;
    wait_asked(&slow.last, 1);
    wait_used(&slow.last, CACHE_BYTES / 100 * 90);
    assert_true(asked(&slow.last) >= 2);
    site_release(&slow.last);
}

static void
what_moves_stays_until_it_is_there(void **state)
{
    (void)state;
    struct site s;
    site_init(&s, CACHE_LEAVE_MOVES, 0);
    fill(&s, 9);
    wait_asked(&s, 1);
    struct blob_info info;
    assert_int_equal(cache_info(s.room.cache, &s.last_asked, &info), 0);
    assert_int_equal(info.leave, CACHE_LEAVE_MOVES);
    assert_string_equal(info.leave_to, "node");
    for (int64_t end_ms = clock_ms() + SOON_MS; info.leave_age_ms == 0 && clock_ms() < end_ms;)
        assert_int_equal(cache_info(s.room.cache, &s.last_asked, &info), 0);
    assert_true(info.leave_age_ms > 0); /* it was said a while ago, and that is told */
    assert_int_equal(used(&s), 9 * BLOB_BYTES);
    struct leave_word there = {s.last_asked, CACHE_LEAVE_MAY, 1, 9000, ""};
    cache_leave_said(s.room.cache, &there);
    wait_used(&s, CACHE_BYTES / 100 * 90);
    site_release(&s);
}

static void
without_an_answer_nothing_leaves_for_a_blob_that_begins(void **state)
{
    (void)state;
    struct site s;
    struct digest d;
    site_init(&s, CACHE_LEAVE_ASKED, 0);
    fill(&s, 9);
    /* cache_put does not wait: the cache is as full as it may be, and nobody said anything. */
    assert_int_equal(put(&s, 100, &d), ERR_FULL);
    assert_int_equal(used(&s), 9 * BLOB_BYTES);
    site_release(&s);
}

/* Begins until it is not asked to come again: its result. */
static int
begin(struct blob *b)
{
    int rc = ERR_AGAIN;
    for (int64_t end_ms = clock_ms() + SOON_MS; rc == ERR_AGAIN && clock_ms() < end_ms;) {
        rc = blob_begin_patiently(b, BLOB_BYTES);
        clock_sleep_ms(1);
    }
    if (rc == 0)
        blob_fail(b, ERR_CLOSED);
    blob_release(&b);
    return rc;
}

static void
a_blob_that_begins_waits_for_the_answer_and_not_for_ever(void **state)
{
    (void)state;
    assert_int_equal(begin(slow.begins), ERR_FULL);
    slow.silent.says = CACHE_LEAVE_MAY;
    slow.silent.copies = 1;
    assert_int_equal(begin(lead(&slow.silent, 101)), 0);
    site_release(&slow.silent);
}

static int
invite_patiently(struct site *s)
{
    int rc = ERR_AGAIN;
    for (int64_t end_ms = clock_ms() + SOON_MS; rc == ERR_AGAIN && clock_ms() < end_ms;) {
        rc = invite(s);
        clock_sleep_ms(5);
    }
    return rc;
}

static void
another_ones_last_copy_pushes_out_what_others_hold_and_no_last_copy(void **state)
{
    (void)state;
    struct site s;
    site_init(&s, CACHE_LEAVE_MAY, 1);
    fill(&s, 8);
    assert_int_equal(invite_patiently(&s), 0);
    assert_true(used(&s) + BLOB_BYTES <= CACHE_BYTES / 100 * 85);
    site_release(&s);

    assert_int_equal(invite_patiently(&slow.inviting), ERR_FULL);
    assert_int_equal(used(&slow.inviting), 8 * BLOB_BYTES);
    site_release(&slow.inviting);
}

static void
below_min_free_it_waits_for_nobody_for_long(void **state)
{
    (void)state;
    wait_used(&slow.pressed, 0);
    site_release(&slow.pressed);
}

/* One more file is to be free, since now or for so long that nobody is asked. (The disk thread sees
 * the file system as it is: plenty.) */
static void
lack_a_file(struct site *s, bool for_long)
{
    const struct fs_space space = {UINT64_MAX / 2, UINT64_MAX / 2, 0, 16};
    struct cache *c = s->room.cache;
    lock_take(&c->lock);
    c->files_pressed_ms = for_long ? clock_ms() - CACHE_PRESSURE_MS : 0;
    lock_drop(&c->lock);
    (void)room_keep(c, &space);
}

/* Lets a file lack until a blob has left for it: how many are left. */
static uint64_t
lack_until_fewer(struct site *s, unsigned than, bool for_long)
{
    struct cache_stats stats = {.blobs = than};
    for (int64_t end_ms = clock_ms() + SOON_MS; stats.blobs >= than && clock_ms() < end_ms;) {
        lack_a_file(s, for_long);
        cache_get_stats(s->room.cache, &stats);
    }
    return stats.blobs;
}

static void
what_the_site_lets_go_leaves_for_its_file(void **state)
{
    (void)state;
    struct site s;
    site_init(&s, CACHE_LEAVE_MAY, 2);
    fill(&s, 3);
    assert_int_equal(lack_until_fewer(&s, 3, false), 2);
    assert_true(asked(&s) >= 1);
    site_release(&s);
}

static void
where_files_lack_for_long_bytes_are_asked_for_all_the_same(void **state)
{
    (void)state;
    struct site s;
    site_init(&s, CACHE_LEAVE_KEEP, 0);
    cache_set_limits(s.room.cache, 2 * CACHE_BYTES, 0, 0);
    fill(&s, 19);
    wait_asked(&s, 1);
    assert_int_equal(lack_until_fewer(&s, 19, true), 18);
    assert_true(used(&s) > 2 * CACHE_BYTES / 100 * 90); /* and none more */
    site_release(&s);
}

static void
files_are_kept_free_where_they_are_counted(void **state)
{
    static const struct {
        uint64_t free, total, lacks;
    } cases[] = {
        {UINT64_MAX, 0, 0}, /* btrfs */
        {0, 0, 0},
        {0, 15, 0},
        {0, 16, 1},
        {1, 16, 0},
        {500, 8000, 0},
        {499, 8000, 126}, /* a sixteenth, and a quarter of it to spare */
        {1024, 1u << 20, 0},
        {1023, 1u << 20, 257},
        {0, UINT64_MAX, 1280},
        {UINT64_MAX, UINT64_MAX, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fs_space space = {.free_files = cases[i].free, .total_files = cases[i].total};
        assert_int_equal(cache_files_lacking(&space), cases[i].lacks);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_hold_leaves_after_the_site_was_asked),
        cmocka_unit_test(what_must_stay_stays_and_others_are_asked_about),
        cmocka_unit_test(what_moves_stays_until_it_is_there),
        cmocka_unit_test(without_an_answer_nothing_leaves_for_a_blob_that_begins),
        cmocka_unit_test(what_the_site_lets_go_leaves_for_its_file),
        cmocka_unit_test(where_files_lack_for_long_bytes_are_asked_for_all_the_same),
        cmocka_unit_test(files_are_kept_free_where_they_are_counted),
        cmocka_unit_test(a_last_copy_leaves_when_the_site_has_no_room_twice),
        cmocka_unit_test(a_blob_that_begins_waits_for_the_answer_and_not_for_ever),
        cmocka_unit_test(another_ones_last_copy_pushes_out_what_others_hold_and_no_last_copy),
        cmocka_unit_test(below_min_free_it_waits_for_nobody_for_long),
    };
    return cmocka_run_group_tests(tests, begin_what_waits, NULL);
}
