/* Blobs that are shared in memory because the disk cannot take them. */
#include "base/metric.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "tests/unit/cache/writer.h"

#define SIZE (40 * MIB + 77) /* far more than a window */

/* A cache too small for the blob, and memory for its window. */
static void
room_init_full(struct room *r)
{
    room_init(r, 4 * MIB);
    cache_set_memory(r->cache, 32 * MIB);
}

/* A client: reads from a place on, and compares; slowly, if it waits for somebody to say go on. */
struct reader {
    struct thread thread;
    struct blob *blob; /* its own reference */
    const uint8_t *body;
    uint64_t size, from, stop_at; /* stop_at: it stands there until `go` */
    _Atomic bool go;
    _Atomic bool standing;
    uint64_t at;
    bool wrong, behind;
};

static void
read_all(void *arg)
{
    struct reader *c = arg;
    uint8_t block[64 * KIB];
    int64_t deadline_ms = clock_ms() + SOON_MS;
    int place = blob_enter(c->blob, c->from);
    c->at = c->from;
    while (c->at < c->size && !c->behind && !c->wrong && clock_ms() < deadline_ms) {
        struct blob_state s;
        while (c->at >= c->stop_at && !atomic_load(&c->go)) {
            atomic_store(&c->standing, true);
            clock_sleep_ms(1);
        }
        blob_wait(c->blob, c->at, deadline_ms, &s);
        int64_t n = blob_read(c->blob, c->at, block, sizeof block);
        if (n > 0) {
            c->wrong = memcmp(block, c->body + c->at, (size_t)n) != 0;
            c->at += (uint64_t)n;
            blob_reader_at(c->blob, place, c->at);
        } else if (s.phase == BLOB_FAILED) {
            break;
        }
        c->behind = s.behind;
    }
    blob_leave(c->blob, place);
    blob_release(&c->blob);
}

static void
start_reader(struct reader *c, struct blob *b, const uint8_t *body, uint64_t from, uint64_t stop_at)
{
    *c = (struct reader){
        .blob = blob_ref(b), .body = body, .size = SIZE, .from = from, .stop_at = stop_at};
    assert_int_equal(thread_start(&c->thread, "reader", read_all, c), 0);
}

/* Turn by turn, so that none of them can fall behind. */
static void
all_readers_of_a_blob_share_one_stream(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct writer w;
    struct blob_state st;
    struct blob *readers[4];
    int places[4];
    uint64_t at[4] = {0};
    uint8_t *block = mem_alloc(256 * KIB);
    enum cache_got got;
    room_init_full(&r);
    uint8_t *body = make_body(1, SIZE, &d);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_LEAD);
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        readers[i] = cache_acquire(r.cache, &d, &got);
        assert_ptr_equal(readers[i], b);
        places[i] = blob_enter(readers[i], 0);
    }
    start_writer(&w, b, body, SIZE);
    int64_t deadline_ms = clock_ms() + SOON_MS;
    for (size_t i = 0; at[0] + at[1] + at[2] + at[3] < 4 * (uint64_t)SIZE; i = (i + 1) % 4) {
        blob_wait(readers[i], at[i], deadline_ms, &st);
        assert_false(st.behind);
        int64_t n = blob_read(readers[i], at[i], block, 256 * KIB);
        assert_true(n > 0 || at[i] == SIZE);
        assert_memory_equal(block, body + at[i], (size_t)n);
        at[i] += (uint64_t)n;
        blob_reader_at(readers[i], places[i], at[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        assert_int_equal(at[i], SIZE);
        blob_leave(readers[i], places[i]);
        blob_release(&readers[i]);
    }
    end_writer(&w);
    assert_int_equal(w.result, 0);
    mem_free(block);
    cache_check(r.cache);
    blob_release(&b);
    cache_check(r.cache);
    struct blob *left;
    deadline_ms = clock_ms() + SOON_MS;
    while ((left = cache_find(r.cache, &d)) != NULL && clock_ms() < deadline_ms) {
        blob_release(&left); /* the hash thread had it in hands */
        clock_sleep_ms(1);
    }
    assert_null(left); /* nothing is kept of it */
    mem_free(body);
    room_release(&r);
}

static void
a_slow_reader_is_left_behind_and_goes_on_by_itself(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct writer w, own;
    struct reader fast, slow;
    struct blob *pass;
    enum cache_got got;
    room_init_full(&r);
    uint8_t *body = make_body(2, SIZE, &d);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    start_reader(&slow, b, body, 0, MIB + 9);
    start_writer(&w, b, body, SIZE);
    while (!atomic_load(&slow.standing)) {
        clock_sleep_ms(1);
    }
    start_reader(&fast, b, body, 0, UINT64_MAX);
    thread_join(&fast.thread);
    assert_int_equal(fast.at, SIZE);
    assert_false(fast.wrong);
    end_writer(&w);
    atomic_store(&slow.go, true);
    thread_join(&slow.thread);
    assert_true(slow.behind);
    assert_false(slow.wrong);

    /* From where it is on, not from the start: the digest goes on from what the window knew. */
    assert_int_equal(cache_pass_through(r.cache, &d, slow.at, NULL, b, &pass), 0);
    start_writer(&own, pass, body, SIZE);
    struct blob_state s;
    blob_look(pass, slow.at, &s);
    assert_true(s.have_bytes >= MIB);
    assert_int_equal(read_and_compare(pass, body, slow.at, SIZE), SIZE - slow.at);
    end_writer(&own);
    blob_release(&pass);
    blob_release(&b);
    mem_free(body);
    room_release(&r);
}

/* Who was left behind leaves its own place, not that of who came since. */
static void
a_place_is_its_readers_until_it_leaves(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct writer w;
    struct reader fast;
    enum cache_got got;
    room_init_full(&r);
    uint8_t *body = make_body(8, SIZE, &d);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    int slow = blob_enter(b, 0), others[BLOB_READERS_MAX];
    start_writer(&w, b, body, SIZE);
    start_reader(&fast, b, body, 0, UINT64_MAX);
    thread_join(&fast.thread);
    assert_int_equal(fast.at, SIZE);
    end_writer(&w);
    assert_int_equal(blob_readers(b), 0); /* the slow one was left behind */
    for (int i = 0; i < BLOB_READERS_MAX - 1; i++) {
        others[i] = blob_enter(b, SIZE);
        assert_true(others[i] >= 0 && others[i] != slow);
    }
    assert_int_equal(blob_enter(b, SIZE), -1);
    blob_reader_at(b, slow, MIB);
    blob_leave(b, slow);
    assert_int_equal(blob_readers(b), BLOB_READERS_MAX - 1);
    assert_int_equal(blob_enter(b, SIZE), slow);
    blob_release(&b);
    mem_free(body);
    room_release(&r);
}

static void
wrong_bytes_do_not_complete(void **state)
{
    (void)state;
    struct room r;
    struct digest d, other;
    struct writer w;
    struct reader c;
    enum cache_got got;
    room_init_full(&r);
    mem_free(make_body(3, 10, &d));
    uint8_t *wrong = make_body(4, SIZE, &other);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    start_reader(&c, b, wrong, 0, UINT64_MAX);
    start_writer(&w, b, wrong, SIZE);
    thread_join(&c.thread);
    assert_true(c.at <= SIZE - 64 * KIB);
    end_writer(&w);
    struct blob_state s;
    blob_look(b, 0, &s);
    assert_int_equal(s.phase, BLOB_FAILED);
    assert_int_equal(s.error, ERR_DIGEST);
    blob_release(&b);
    mem_free(wrong);
    room_release(&r);
}

static void
other_nodes_get_what_is_kept_and_nothing_else(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct writer w;
    struct reader c;
    struct gap kept;
    enum cache_got got;
    uint8_t block[1024], bits[64] = {0};
    int fd = -1;
    room_init_full(&r);
    uint8_t *body = make_body(5, SIZE, &d);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    start_reader(&c, b, body, 0, UINT64_MAX);
    start_writer(&w, b, body, SIZE);
    thread_join(&c.thread);
    end_writer(&w);
    assert_true(blob_window(b, &kept));
    assert_true(kept.start > 0);
    assert_int_equal(blob_held_fd(b, kept.start, 256 * KIB, &fd), 0);
    assert_int_equal(fs_read_at(fd, kept.start + 5, block, sizeof block), 0);
    assert_memory_equal(block, body + kept.start + 5, sizeof block);
    fd_close(&fd);
    assert_int_equal(blob_held_fd(b, kept.start - 1, 256 * KIB, &fd), ERR_NOT_FOUND);
    blob_held_bits(b, bits);
    uint64_t first = kept.start / (256 * KIB);
    assert_true((bits[first / 8] >> first % 8 & 1) == 1);
    first--;
    assert_true((bits[first / 8] >> first % 8 & 1) == 0);
    blob_release(&b);
    mem_free(body);
    room_release(&r);
}

static void
memory_is_bounded(void **state)
{
    (void)state;
    struct room r;
    struct digest d, e;
    enum cache_got got;
    room_init_full(&r);
    cache_set_memory(r.cache, 17 * MIB);
    mem_free(make_body(6, 10, &d));
    mem_free(make_body(7, 10, &e));
    struct blob *b = cache_acquire(r.cache, &d, &got), *c = cache_acquire(r.cache, &e, &got);
    blob_set_shared(b, true);
    blob_set_shared(c, true);
    assert_int_equal(blob_begin(b, SIZE), 0);
    assert_int_equal(blob_begin(c, SIZE), ERR_FULL);
    blob_release(&c);
    blob_release(&b);
    cache_check(r.cache);
    c = cache_acquire(r.cache, &e, &got);
    assert_int_equal(got, CACHE_LEAD);
    blob_set_shared(c, true);
    assert_int_equal(blob_begin(c, SIZE), 0);
    blob_release(&c);
    cache_check(r.cache);
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_readers_of_a_blob_share_one_stream),
        cmocka_unit_test(a_slow_reader_is_left_behind_and_goes_on_by_itself),
        cmocka_unit_test(a_place_is_its_readers_until_it_leaves),
        cmocka_unit_test(wrong_bytes_do_not_complete),
        cmocka_unit_test(other_nodes_get_what_is_kept_and_nothing_else),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
