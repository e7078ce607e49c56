/* What the pieces of blobs hash to: made, kept, told. */
#include "tests/unit/cache/room.h"

#include "cache/words_queue.h"

#include <stdatomic.h>

#define PIECE   (256u * KIB)
#define SIZE    (4u * PIECE + 1000)
#define PIECES  5u
#define WAITING UINT32_MAX

static uint8_t told[PIECES * CACHE_WORD_BYTES];
static _Atomic uint32_t told_count;

static void
tell(void *arg, const struct digest *d, const uint8_t *words, uint32_t count)
{
    (void)d;
    assert_null(arg);
    assert_true(count <= PIECES);
    if (count > 0) {
        memcpy(told, words, (size_t)count * CACHE_WORD_BYTES);
    }
    atomic_store(&told_count, count);
}

static uint32_t
ask(struct room *r, const struct digest *d)
{
    int64_t end_ms = clock_ms() + SOON_MS;
    atomic_store(&told_count, WAITING);
    cache_on_words(r->cache, tell, NULL);
    assert_true(cache_ask_words(r->cache, d));
    while (atomic_load(&told_count) == WAITING && clock_ms() < end_ms) {
        clock_sleep_ms(1);
    }
    return atomic_load(&told_count);
}

static void
assert_told(struct room *r, const struct digest *d, const uint8_t *body)
{
    assert_int_equal(ask(r, d), PIECES);
    for (uint32_t i = 0; i < PIECES; i++) {
        struct digest word;
        size_t len = i + 1 < PIECES ? PIECE : SIZE - (PIECES - 1) * PIECE;
        digest_of(DIGEST_SHA256, body + (size_t)i * PIECE, len, &word);
        assert_memory_equal(told + (size_t)i * CACHE_WORD_BYTES, word.bytes, CACHE_WORD_BYTES);
    }
}

static void
words_path(const struct room *r, const struct digest *d, char ret[280])
{
    char path[256];
    blob_path(r, d, path);
    (void)snprintf(ret, 280, "%s.words", path);
}

static bool
are_kept(const struct room *r, const struct digest *d)
{
    char path[280];
    words_path(r, d, path);
    return access(path, F_OK) == 0;
}

/* They are kept behind the back of whoever waits for the blob. */
static void
wait_kept(const struct room *r, const struct digest *d)
{
    int64_t end_ms = clock_ms() + SOON_MS;
    while (!are_kept(r, d) && clock_ms() < end_ms) {
        clock_sleep_ms(1);
    }
    assert_true(are_kept(r, d));
}

static void
start(struct room *r)
{
    room_init(r, 64 * MIB);
    cache_on_words(r->cache, tell, NULL);
}

/* Stores a body as who fills it for a swarm does: with a word for each piece. */
static void
store_said(struct room *r, const struct digest *d, const uint8_t *body)
{
    enum cache_got got;
    struct blob *b = cache_acquire(r->cache, d, &got);
    assert_int_equal(got, CACHE_LEAD);
    assert_int_equal(blob_begin(b, SIZE), 0);
    for (uint32_t i = 0; i < PIECES; i++) {
        struct digest word;
        digest_of(DIGEST_SHA256, body + (size_t)i * PIECE,
                  i + 1 < PIECES ? PIECE : SIZE - (PIECES - 1) * PIECE, &word);
        blob_word(b, (uint64_t)i * PIECE, word.bytes);
    }
    assert_int_equal(fill_rest(b, body, 256 * KIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    blob_release(&b);
}

/* Nobody is left waiting for an answer that does not come. */
static void
a_question_that_finds_no_place_is_refused(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    uint8_t *body = make_body(1, SIZE, &d);
    start(&r);
    store_said(&r, &d, body);
    cache_on_words(r.cache, NULL, NULL); /* questions wait */
    for (unsigned i = 0; i < WORDS_QUEUE_MAX; i++) {
        assert_true(cache_ask_words(r.cache, &d));
    }
    assert_false(cache_ask_words(r.cache, &d));
    cache_on_words(r.cache, tell, NULL);
    int64_t end_ms = clock_ms() + SOON_MS;
    while (!cache_ask_words(r.cache, &d) && clock_ms() < end_ms) {
        clock_sleep_ms(1);
    }
    assert_true(clock_ms() < end_ms);
    room_release(&r);
    mem_free(body);
}

static void
words_outlive_a_restart(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    uint8_t *body = make_body(1, SIZE, &d);
    start(&r);
    store_said(&r, &d, body);
    room_reopen(&r);
    assert_true(are_kept(&r, &d));
    rot(&r, &d, 5); /* they are read, not made: the bytes would prove none now */
    assert_told(&r, &d, body);
    room_release(&r);
    mem_free(body);
}

static void
without_a_swarm_none_are_kept(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    uint8_t *body = make_body(1, SIZE, &d);
    room_init(&r, 64 * MIB);
    store_body(&r, &d, body, SIZE);
    room_reopen(&r);
    assert_false(are_kept(&r, &d));
    assert_told(&r, &d, body); /* made when somebody asks */
    assert_true(are_kept(&r, &d));
    room_release(&r);
    mem_free(body);
}

/* Whatever is wrong with the file, it is made again. */
static void
damaged_words_are_made_again(void **state)
{
    (void)state;
    static const off_t at[] = {0 /* the version */, 40 /* the size */, 100 /* a word */};
    struct room r;
    struct digest d;
    char path[280];
    uint8_t *body = make_body(1, SIZE, &d);
    start(&r);
    store_said(&r, &d, body);
    wait_kept(&r, &d);
    words_path(&r, &d, path);
    for (size_t i = 0; i <= ARRAY_LEN(at); i++) {
        int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        if (i < ARRAY_LEN(at)) {
            assert_int_equal(pwrite(fd, "#", 1, at[i]), 1);
        } else {
            assert_int_equal(ftruncate(fd, 64), 0);
        }
        fd_close(&fd);
        assert_told(&r, &d, body);
    }
    room_release(&r);
    mem_free(body);
}

static _Atomic unsigned lost_count;

static void
note_lost(void *arg, const struct digest *d, uint64_t size)
{
    (void)arg, (void)d;
    assert_int_equal(size, SIZE);
    atomic_fetch_add(&lost_count, 1);
}

static void
wrong_bytes_prove_nothing_and_are_served_no_more(void **state)
{
    (void)state;
    struct room r;
    struct digest d, other;
    uint8_t *body = make_body(1, SIZE, &d);
    uint8_t *nobody = make_body(2, SIZE, &other);
    room_init(&r, 64 * MIB);
    store_body(&r, &d, body, SIZE);
    cache_on_loss(r.cache, note_lost, NULL);
    rot(&r, &d, 5);
    assert_int_equal(ask(&r, &d), 0);
    assert_false(are_kept(&r, &d));
    assert_null(cache_find(r.cache, &d));
    for (int64_t end_ms = clock_ms() + SOON_MS; lost_count == 0 && clock_ms() < end_ms;) {
        clock_sleep_ms(1);
    }
    assert_int_equal(lost_count, 1);
    assert_int_equal(ask(&r, &other), 0); /* which is not stored */
    cache_on_loss(r.cache, NULL, NULL);
    room_release(&r);
    mem_free(body);
    mem_free(nobody);
}

static void
ignore(void *arg)
{
    (void)arg;
}

/* Not beside the blobs that clients wait for, unless somebody asks. */
static void
words_that_nobody_said_are_made_when_no_blob_is_filled(void **state)
{
    (void)state;
    struct room r;
    struct digest d, asked, other;
    enum cache_got got;
    uint8_t *body = make_body(1, SIZE, &d), *second = make_body(2, SIZE, &asked);
    uint8_t *third = make_body(3, SIZE, &other);
    start(&r);
    struct blob *b = cache_acquire(r.cache, &other, &got);
    assert_int_equal(blob_begin(b, SIZE), 0);
    store_body(&r, &d, body, SIZE);
    store_body(&r, &asked, second, SIZE);
    assert_told(&r, &asked, second);
    assert_true(are_kept(&r, &asked));
    assert_false(are_kept(&r, &d));
    blob_fail(b, ERR_UPSTREAM);
    blob_release(&b);
    wait_kept(&r, &d);
    rot(&r, &d, 5); /* they are read, not made */
    assert_told(&r, &d, body);
    room_release(&r);
    mem_free(body);
    mem_free(second);
    mem_free(third);
}

/* The words that a fetcher says are believed, until its piece is dropped. */
static void
a_piece_that_comes_again_has_another_word(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    enum cache_got got;
    struct blob_state s = {.sick = false};
    uint8_t *body = make_body(1, SIZE, &d), said[CACHE_WORD_BYTES] = {7};
    uint8_t again[CACHE_WORD_BYTES] = {8};
    start(&r);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_LEAD);
    blob_set_waker(b, ignore, NULL);
    blob_set_mendable(b, true);
    assert_int_equal(blob_begin(b, SIZE), 0);
    for (uint32_t i = 0; i < PIECES; i++) {
        blob_word(b, (uint64_t)i * PIECE, said);
    }
    blob_word(b, SIZE, said); /* no piece begins there */
    body[PIECE] ^= 1;
    assert_int_equal(fill_rest(b, body, 100 * KIB), 0);
    for (int64_t end_ms = clock_ms() + SOON_MS; !s.sick && clock_ms() < end_ms;) {
        blob_look(b, 0, &s);
    }
    assert_true(s.sick);
    blob_drop(b, (const uint8_t[]){1u << 1});
    body[PIECE] ^= 1;
    blob_word(b, PIECE, again);
    assert_int_equal(fill_rest(b, body, 100 * KIB), 0);
    assert_int_equal(wait_for_end(b), BLOB_WHOLE);
    blob_release(&b);
    wait_kept(&r, &d);
    assert_int_equal(ask(&r, &d), PIECES);
    assert_memory_equal(told + (size_t)2 * CACHE_WORD_BYTES, said, sizeof said);
    assert_memory_equal(told + CACHE_WORD_BYTES, again, sizeof again);
    room_release(&r);
    mem_free(body);
}

/* They go with their blob, at the next start at the latest. */
static void
words_go_with_their_blob(void **state)
{
    (void)state;
    struct room r;
    struct digest d, bad;
    char path[280], blob[256];
    uint8_t *body = make_body(1, SIZE, &d), *rotten = make_body(2, SIZE, &bad);
    start(&r);
    store_said(&r, &d, body);
    store_said(&r, &bad, rotten);
    wait_kept(&r, &d);
    wait_kept(&r, &bad);
    rot(&r, &bad, 5);
    struct cache_verdict v;
    cache_verify(r.cache, &v, NULL, NULL);
    assert_int_equal(v.bad, 1);
    (void)cache_gc(r.cache, 0, false, NULL, NULL);
    assert_false(are_kept(&r, &d));
    assert_false(are_kept(&r, &bad));
    store_said(&r, &d, body);
    wait_kept(&r, &d);
    blob_path(&r, &d, blob);
    words_path(&r, &d, path);
    cache_close(r.cache);
    assert_int_equal(unlink(blob), 0);
    room_open(&r);
    assert_int_equal(access(path, F_OK), -1);
    room_release(&r);
    mem_free(body);
    mem_free(rotten);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_that_finds_no_place_is_refused),
        cmocka_unit_test(words_outlive_a_restart),
        cmocka_unit_test(without_a_swarm_none_are_kept),
        cmocka_unit_test(damaged_words_are_made_again),
        cmocka_unit_test(wrong_bytes_prove_nothing_and_are_served_no_more),
        cmocka_unit_test(words_that_nobody_said_are_made_when_no_blob_is_filled),
        cmocka_unit_test(a_piece_that_comes_again_has_another_word),
        cmocka_unit_test(words_go_with_their_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
