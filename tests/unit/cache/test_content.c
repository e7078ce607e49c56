/* containerd's content store as a further place of blobs: found, checked, served, withdrawn. */
#include "base/metric.h"
#include "cache/content_inside.h"
#include "cache/entry.h"
#include "cache/inside.h"
#include "tests/unit/cache/room.h"

#define FAR_MS 20000

struct store_room {
    struct room room;
    char dir[64]; /* as containerd's root of contents */
};

static void
make_dirs(const struct store_room *s)
{
    char path[128];
    static const char *const below[] = {"", "/ingest", "/blobs", "/blobs/sha256"};
    for (size_t i = 0; i < ARRAY_LEN(below); i++) {
        (void)snprintf(path, sizeof path, "%s%s", s->dir, below[i]);
        assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    }
}

static void
path_of(const struct store_room *s, const struct digest *d, char ret[256])
{
    char hex[129];
    digest_hex(d, hex);
    (void)snprintf(ret, 256, "%s/blobs/sha256/%s", s->dir, hex);
}

/* As containerd does: written in ingest/, then renamed. */
static void
put(const struct store_room *s, const struct digest *d, const void *bytes, size_t len)
{
    char path[256], tmp[128];
    path_of(s, d, path);
    (void)snprintf(tmp, sizeof tmp, "%s/ingest/data", s->dir);
    FILE *f = fopen(tmp, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(tmp, path), 0);
    assert_int_equal(chmod(path, 0444), 0);
}

static void
drop(const struct store_room *s, const struct digest *d)
{
    char path[256];
    path_of(s, d, path);
    assert_int_equal(unlink(path), 0);
}

static void
init(struct store_room *s, bool owns)
{
    log_configure(LOG_ERROR, false);
    make_folder(s->dir);
    room_init(&s->room, 64 * MIB);
    cache_close(s->room.cache);
    s->room.config.content_dir = s->dir;
    s->room.config.content_owns = owns;
}

static void
release(struct store_room *s)
{
    cache_check(s->room.cache);
    room_release(&s->room);
    (void)nftw(s->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct cache_stats
stats(const struct store_room *s)
{
    struct cache_stats st;
    cache_get_stats(s->room.cache, &st);
    return st;
}

#define WAIT_FOR(condition)                   \
    do {                                      \
        int64_t end_ms = clock_ms() + FAR_MS; \
        bool is = false;                      \
        while (!(is = (condition))) {         \
            assert_true(clock_ms() < end_ms); \
            clock_sleep_ms(1);                \
        }                                     \
    } while (0)

static uint64_t
found(const struct store_room *s, const struct digest *d)
{
    return cache_stored(s->room.cache, d);
}

static bool
checked(const struct store_room *s)
{
    struct cache_stats st = stats(s);
    return st.content_state == CONTENT_WATCHED && st.content_unchecked == 0;
}

static enum cache_got
role_of(struct store_room *s, const struct digest *d)
{
    enum cache_got got;
    struct blob *b = cache_acquire(s->room.cache, d, &got);
    if (got == CACHE_LEAD) {
        blob_fail(b, ERR_NOT_FOUND);
    }
    blob_release(&b);
    return got;
}

static void
what_lies_there_is_served_without_a_copy(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d;
    init(&s, false);
    make_dirs(&s);
    uint8_t *body = make_body(1, 3 * MIB, &d);
    put(&s, &d, body, 3 * MIB);
    room_open(&s.room);
    WAIT_FOR(found(&s, &d) == 3 * MIB);
    WAIT_FOR(checked(&s));
    enum cache_got got;
    struct blob *b = cache_acquire(s.room.cache, &d, &got);
    int fd = -1;
    assert_int_equal(got, CACHE_HIT);
    assert_int_equal(blob_open_fd(b, &fd), ERR_NOT_FOUND); /* others may alter it meanwhile */
    assert_int_equal(blob_held_fd(b, MIB, MIB, &fd), 0);   /* for other nodes */
    fd_close(&fd);
    assert_int_equal(read_and_compare(b, body, 0, 3 * MIB), 3 * MIB);
    cache_check(s.room.cache);
    blob_release(&b);
    struct cache_stats st = stats(&s);
    assert_int_equal(st.used_bytes, 0);
    assert_int_equal(st.blobs, 0);
    assert_int_equal(st.filling, 0);
    assert_int_equal(st.content_blobs, 1);
    assert_int_equal(st.content_bytes, 3 * MIB);
    assert_int_equal(count_files(&s.room, "blobs", ""), 0);
    struct blob_info infos[4];
    assert_int_equal(cache_list(s.room.cache, infos, 4), 1);
    assert_true(infos[0].foreign && infos[0].phase == BLOB_WHOLE);
    mem_free(body);
    release(&s);
}

static void
before_it_is_checked_its_tail_is_held_back(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d, wrong;
    init(&s, false);
    make_dirs(&s);
    uint8_t *body = make_body(2, MIB, &d);
    uint8_t *other = make_body(3, MIB, &wrong);
    put(&s, &d, other, MIB); /* these are not its bytes */
    room_open(&s.room);
    WAIT_FOR(found(&s, &d) == MIB);
    uint64_t failures = metric_get(M_digest_failures);
    enum cache_got got;
    struct blob *b = cache_acquire(s.room.cache, &d, &got);
    assert_int_equal(got, CACHE_JOIN);
    assert_int_equal(read_and_compare(b, other, 0, MIB), MIB - 64 * KIB);
    assert_int_equal(wait_for_end(b), BLOB_FAILED);
    blob_release(&b);
    WAIT_FOR(metric_get(M_digest_failures) > failures);
    WAIT_FOR(stats(&s).content_bad == 1);
    assert_int_equal(found(&s, &d), 0);
    assert_int_equal(role_of(&s, &d), CACHE_LEAD);
    char path[256];
    path_of(&s, &d, path);
    assert_int_equal(access(path, F_OK), 0); /* it is not ours to remove */
    drop(&s, &d);
    put(&s, &d, body, MIB);
    WAIT_FOR(found(&s, &d) == MIB && stats(&s).content_bad == 0);
    b = cache_acquire(s.room.cache, &d, &got);
    assert_int_equal(read_and_compare(b, body, 0, MIB), MIB);
    blob_release(&b);
    mem_free(body);
    mem_free(other);
    release(&s);
}

static void
folders_may_come_and_go(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d, e;
    char path[160], aside[160];
    init(&s, false);
    assert_int_equal(rmdir(s.dir), 0);
    uint8_t *body = make_body(4, 100 * KIB, &d);
    uint8_t *more = make_body(5, 100 * KIB, &e);
    room_open(&s.room);
    WAIT_FOR(stats(&s).content_state == CONTENT_MISSING);
    make_dirs(&s);
    put(&s, &d, body, 100 * KIB);
    WAIT_FOR(found(&s, &d) > 0);
    (void)snprintf(path, sizeof path, "%s/blobs", s.dir);
    (void)snprintf(aside, sizeof aside, "%s/aside", s.dir);
    assert_int_equal(rename(path, aside), 0);
    WAIT_FOR(found(&s, &d) == 0);
    make_dirs(&s);
    put(&s, &e, more, 100 * KIB);
    WAIT_FOR(found(&s, &e) > 0);
    assert_int_equal(found(&s, &d), 0);
    mem_free(body);
    mem_free(more);
    release(&s);
}

static bool
told_gone(const struct store_room *s, const struct digest *d)
{
    struct digest gone[4];
    size_t n = cache_take_gone(s->room.cache, gone, 4);
    for (size_t i = 0; i < n; i++) {
        if (digest_equal(&gone[i], d)) {
            return true;
        }
    }
    return false;
}

static void
what_the_runtime_deletes_is_withdrawn(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d;
    init(&s, false);
    make_dirs(&s);
    room_open(&s.room);
    uint8_t *body = make_body(6, MIB, &d);
    put(&s, &d, body, MIB);
    WAIT_FOR(found(&s, &d) > 0 && checked(&s));
    enum cache_got got;
    struct blob *b = cache_acquire(s.room.cache, &d, &got);
    assert_int_equal(read_and_compare(b, body, 0, 1000), 1000);
    assert_false(told_gone(&s, &d));
    drop(&s, &d);
    WAIT_FOR(found(&s, &d) == 0);
    WAIT_FOR(told_gone(&s, &d));
    assert_int_equal(read_and_compare(b, body, 1000, MIB), MIB - 1000); /* who has it open */
    assert_int_equal(role_of(&s, &d), CACHE_LEAD);
    blob_release(&b);
    mem_free(body);
    release(&s);
}

static void
an_altered_file_is_checked_again(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d;
    char path[256];
    init(&s, false);
    make_dirs(&s);
    room_open(&s.room);
    uint8_t *body = make_body(7, MIB, &d);
    put(&s, &d, body, MIB);
    WAIT_FOR(found(&s, &d) > 0 && checked(&s));
    enum cache_got got;
    struct blob *reader = cache_acquire(s.room.cache, &d, &got);
    assert_int_equal(got, CACHE_HIT);
    path_of(&s, &d, path);
    assert_int_equal(read_and_compare(reader, body, 0, 1000), 1000);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 77), 1);
    fd_close(&fd);
    char got_byte;
    assert_int_equal(blob_read(reader, 1000, &got_byte, 1), ERR_STORE);
    /* At once, event or not: what was checked is not this. */
    assert_int_not_equal(role_of(&s, &d), CACHE_HIT);
    WAIT_FOR(stats(&s).content_bad == 1);
    assert_int_equal(role_of(&s, &d), CACHE_LEAD);
    blob_release(&reader);
    mem_free(body);
    release(&s);
}

/* Also after a crash: what is recorded was synced. */
static void
what_was_hashed_once_is_believed_by_the_next_start(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d, e;
    init(&s, false);
    make_dirs(&s);
    uint8_t *body = make_body(40, 3 * MIB, &d), *other = make_body(41, MIB, &e);
    put(&s, &d, body, 3 * MIB);
    put(&s, &e, other, MIB);
    room_open(&s.room);
    WAIT_FOR(checked(&s) && stats(&s).content_blobs == 2);
    room_reopen_unclean(&s.room);
    uint64_t hashed = metric_get(M_scrub_bytes);
    WAIT_FOR(checked(&s) && stats(&s).content_blobs == 2);
    assert_int_equal(role_of(&s, &d), CACHE_HIT);
    assert_int_equal(metric_get(M_scrub_bytes), hashed);

    /* Altered while nobody looked, times as before: it is another file for us. */
    char path[256];
    struct stat st;
    cache_close(s.room.cache);
    path_of(&s, &e, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "wrong", 5, 77), 5);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    fd_close(&fd);
    room_open(&s.room);
    WAIT_FOR(checked(&s) && stats(&s).content_bad == 1);
    assert_int_equal(metric_get(M_scrub_bytes), hashed + MIB);
    assert_int_equal(role_of(&s, &e), CACHE_LEAD);
    assert_int_equal(role_of(&s, &d), CACHE_HIT);
    mem_free(body);
    mem_free(other);
    release(&s);
}

static void
note_bad(void *arg, const struct digest *d)
{
    *(struct digest *)arg = *d;
}

static void
verify_looks_at_it_too(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d, own, bad = {0};
    struct cache_verdict v;
    init(&s, false);
    make_dirs(&s);
    uint8_t *body = make_body(42, 2 * MIB, &d), *stored = make_body(43, MIB, &own);
    put(&s, &d, body, 2 * MIB);
    room_open(&s.room);
    store_body(&s.room, &own, stored, MIB);
    WAIT_FOR(checked(&s) && stats(&s).content_blobs == 1);
    cache_verify(s.room.cache, &v, note_bad, &bad);
    assert_int_equal(v.checked, 2);
    assert_int_equal(v.checked_bytes, 3 * MIB);
    assert_int_equal(v.bad, 0);
    char path[256];
    path_of(&s, &d, path);
    assert_int_equal(chmod(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "wrong", 5, 77), 5);
    fd_close(&fd);
    /* Whoever is first, the thread that was told of the change or verify, it is found and left. */
    cache_verify(s.room.cache, &v, note_bad, &bad);
    WAIT_FOR(stats(&s).content_bad == 1);
    assert_int_equal(role_of(&s, &d), CACHE_LEAD);
    assert_int_equal(access(path, F_OK), 0);
    mem_free(body);
    mem_free(stored);
    release(&s);
}

static void
other_names_mean_nothing(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d, e;
    char path[256], link[256];
    init(&s, false);
    make_dirs(&s);
    uint8_t *body = make_body(8, KIB, &d);
    uint8_t *last = make_body(9, KIB, &e);
    (void)snprintf(path, sizeof path, "%s/blobs/sha256/README", s.dir);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    (void)snprintf(path, sizeof path, "%s/ingest/%064d", s.dir, 7);
    assert_int_equal(mkdir(path, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/blobs/sha256/%064d", s.dir, 7);
    assert_int_equal(mkdir(path, 0755), 0);
    path_of(&s, &d, link);
    put(&s, &e, last, KIB);
    path_of(&s, &e, path);
    assert_int_equal(symlink(path, link), 0);
    room_open(&s.room);
    WAIT_FOR(found(&s, &e) > 0);
    assert_int_equal(stats(&s).content_blobs, 1);
    assert_int_equal(role_of(&s, &d), CACHE_LEAD);
    mem_free(body);
    mem_free(last);
    release(&s);
}

/* Its thread stands still: who asks is the first to see it. */
static void
what_is_no_file_any_more_is_not_served(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d;
    char path[256];
    init(&s, false);
    make_dirs(&s);
    uint8_t *body = make_body(13, KIB, &d);
    for (int kind = 0; kind < 3; kind++) {
        put(&s, &d, body, KIB);
        room_open(&s.room);
        WAIT_FOR(found(&s, &d) > 0);
        content_stop(s.room.cache->content);
        drop(&s, &d);
        path_of(&s, &d, path);
        assert_int_equal(kind == 0   ? mkfifo(path, 0644)
                         : kind == 1 ? mkdir(path, 0755)
                                     : symlink("/dev/zero", path),
                         0);
        assert_int_equal(role_of(&s, &d), CACHE_LEAD);
        assert_int_equal(found(&s, &d), 0);
        assert_int_equal(remove(path), 0);
        cache_close(s.room.cache);
    }
    room_open(&s.room);
    mem_free(body);
    release(&s);
}

static void
our_copy_leaves_when_containerd_owns(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d, kept;
    init(&s, true);
    make_dirs(&s);
    room_open(&s.room);
    uint8_t *body = make_body(10, MIB, &d);
    uint8_t *more = make_body(11, MIB, &kept);
    store_body(&s.room, &d, body, MIB);
    store_body(&s.room, &kept, more, MIB);
    struct blob *reader = cache_find(s.room.cache, &d);
    put(&s, &d, body, MIB);
    put(&s, &kept, body, MIB); /* wrong bytes: ours stays */
    WAIT_FOR(stats(&s).used_bytes == MIB);
    WAIT_FOR(stats(&s).content_bad == 1);
    assert_int_equal(read_and_compare(reader, body, 0, MIB), MIB);
    blob_release(&reader);
    assert_int_equal(found(&s, &d), MIB);
    assert_int_equal(role_of(&s, &d), CACHE_HIT);
    assert_int_equal(role_of(&s, &kept), CACHE_HIT);
    assert_int_equal(stats(&s).blobs, 1);
    drop(&s, &d);
    WAIT_FOR(found(&s, &d) == 0);
    mem_free(body);
    mem_free(more);
    release(&s);
}

static bool
is_twin(const struct store_room *s, const struct digest *d)
{
    struct cache *c = s->room.cache;
    lock_take(&c->lock);
    const struct entry *e = entry_find(c, d);
    bool is = e != NULL && e->worth.twin;
    lock_drop(&c->lock);
    return is;
}

static uint64_t
spare(const struct store_room *s)
{
    lock_take(&s->room.cache->lock);
    uint64_t bytes = s->room.cache->evict.spare_bytes;
    lock_drop(&s->room.cache->lock);
    return bytes;
}

static void
copies_stay_while_more_comes(void **state)
{
    (void)state;
    assert_false(content_settled(599, 599, 600));
    assert_true(content_settled(600, 600, 600));
    assert_false(content_settled(1800, 10, 600)); /* its pull still brings layers */
    assert_true(content_settled(3600, 10, 600));
    assert_true(content_settled(0, 0, 0));
}

/* containerd's GC takes what a pull that was given up has brought; kubelet tries again in 5 min. */
static void
our_copy_stays_a_while_and_leaves_first(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d, other, wanted;
    init(&s, true);
    s.room.config.content_owns_ms = 3600000;
    make_dirs(&s);
    room_open(&s.room);
    uint8_t *mine = make_body(11, 2 * MIB, &other);
    uint8_t *body = make_body(12, 2 * MIB, &d);
    uint8_t *more = make_body(13, 2 * MIB, &wanted);
    store_body(&s.room, &other, mine, 2 * MIB); /* longer ago, so it would leave before d */
    store_body(&s.room, &d, body, 2 * MIB);
    put(&s, &d, body, 2 * MIB);
    WAIT_FOR(is_twin(&s, &d));
    assert_int_equal(stats(&s).blobs, 2);
    assert_true(cache_holds(s.room.cache, &other));
    assert_false(cache_holds(s.room.cache, &d)); /* no copy that the site could count on */
    assert_int_equal(spare(&s), 2 * MIB);        /* but room for others' last ones */
    drop(&s, &d);
    WAIT_FOR(!is_twin(&s, &d)); /* it is worth what it was */
    assert_int_equal(found(&s, &d), 2 * MIB);
    put(&s, &d, body, 2 * MIB);
    WAIT_FOR(is_twin(&s, &d));
    cache_set_limits(s.room.cache, 5 * MIB, 0, 0);
    store_body(&s.room, &wanted, more, 2 * MIB);
    WAIT_FOR(stats(&s).blobs == 2);
    assert_int_equal(found(&s, &other), 2 * MIB);
    assert_int_equal(found(&s, &d), 2 * MIB);
    drop(&s, &d);
    WAIT_FOR(found(&s, &d) == 0);
    mem_free(mine);
    mem_free(body);
    mem_free(more);
    release(&s);
}

/* It would be lost with the next GC. */
static void
a_pinned_copy_stays(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d;
    init(&s, true);
    make_dirs(&s);
    room_open(&s.room);
    uint8_t *body = make_body(14, MIB, &d);
    store_body(&s.room, &d, body, MIB);
    assert_int_equal(cache_pin(s.room.cache, &d, true), 0);
    put(&s, &d, body, MIB);
    WAIT_FOR(stats(&s).content_blobs == 1 && checked(&s));
    content_own_all(s.room.cache->content);
    assert_int_equal(stats(&s).blobs, 1);
    drop(&s, &d);
    WAIT_FOR(stats(&s).content_blobs == 0);
    assert_int_equal(found(&s, &d), MIB);
    assert_int_equal(cache_pin(s.room.cache, &d, false), 0);
    put(&s, &d, body, MIB);
    WAIT_FOR(stats(&s).blobs == 0);
    mem_free(body);
    release(&s);
}

static void
a_partial_blob_of_ours_is_not_needed_any_more(void **state)
{
    (void)state;
    struct store_room s;
    struct digest d;
    init(&s, false);
    make_dirs(&s);
    room_open(&s.room);
    uint8_t *body = make_body(12, MIB, &d);
    enum cache_got got;
    struct gap gap;
    struct blob *b = cache_acquire(s.room.cache, &d, &got);
    assert_int_equal(blob_begin(b, MIB), 0);
    assert_true(blob_claim(b, UINT64_MAX, &gap));
    assert_int_equal(blob_write(b, 0, body, 300 * KIB, BLOB_FROM_PEER), 0);
    blob_fail(b, ERR_UPSTREAM);
    blob_release(&b);
    assert_int_equal(stats(&s).partial_blobs, 1);
    put(&s, &d, body, MIB);
    WAIT_FOR(found(&s, &d) > 0);
    b = cache_acquire(s.room.cache, &d, &got);
    assert_int_not_equal(got, CACHE_LEAD);
    assert_int_equal(read_and_compare(b, body, 0, MIB), MIB);
    blob_release(&b);
    assert_int_equal(stats(&s).partial_blobs, 0);
    assert_int_equal(stats(&s).used_bytes, 0);
    mem_free(body);
    release(&s);
}

#define CROWD 17000 /* more than fs.inotify.max_queued_events */

static void
a_queue_that_overflowed_costs_nothing(void **state)
{
    (void)state;
    struct store_room s;
    init(&s, false);
    make_dirs(&s);
    room_open(&s.room);
    WAIT_FOR(stats(&s).content_state == CONTENT_WATCHED);
    struct content *x = s.room.cache->content;
    lock_take(&x->lock); /* its thread stands still at the first event */
    for (int i = 0; i < CROWD; i++) {
        char path[256];
        (void)snprintf(path, sizeof path, "%s/blobs/sha256/%064d", s.dir, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        fd_close(&fd);
    }
    lock_drop(&x->lock);
    WAIT_FOR(stats(&s).content_blobs + stats(&s).content_bad == CROWD);
    release(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lies_there_is_served_without_a_copy),
        cmocka_unit_test(what_is_no_file_any_more_is_not_served),
        cmocka_unit_test(before_it_is_checked_its_tail_is_held_back),
        cmocka_unit_test(folders_may_come_and_go),
        cmocka_unit_test(what_the_runtime_deletes_is_withdrawn),
        cmocka_unit_test(an_altered_file_is_checked_again),
        cmocka_unit_test(what_was_hashed_once_is_believed_by_the_next_start),
        cmocka_unit_test(verify_looks_at_it_too),
        cmocka_unit_test(other_names_mean_nothing),
        cmocka_unit_test(our_copy_leaves_when_containerd_owns),
        cmocka_unit_test(copies_stay_while_more_comes),
        cmocka_unit_test(our_copy_stays_a_while_and_leaves_first),
        cmocka_unit_test(a_pinned_copy_stays),
        cmocka_unit_test(a_partial_blob_of_ours_is_not_needed_any_more),
        cmocka_unit_test(a_queue_that_overflowed_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
