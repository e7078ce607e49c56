/* The disk fails in the middle of a blob: its readers go on together, in memory. */
#include "base/fault.h"
#include "cache/cache.h"
#include "cache/inside.h"
#include "cache/window.h"
#include "tests/unit/cache/writer.h"
#include <limits.h>

#define SIZE  (2 * MIB + 77)
#define BLOCK (100 * KIB)

/* A client of a blob and of the one that takes over from it. */
struct reader {
    struct blob *blob;
    const uint8_t *body;
    int place;
    uint64_t at;
};

static void
enter(struct reader *c, struct blob *b, const uint8_t *body, uint64_t at)
{
    *c = (struct reader){.blob = blob_ref(b), .body = body, .at = at};
    c->place = blob_enter(b, at);
}

static void
leave(struct reader *c)
{
    blob_leave(c->blob, c->place);
    blob_release(&c->blob);
}

/* Reads up to `end` what is there. */
static void
read_to(struct reader *c, uint64_t end)
{
    uint8_t *block = mem_alloc(BLOCK);
    int64_t n = 1;
    while (n > 0 && c->at < end) {
        n = blob_read(c->blob, c->at, block, end - c->at < BLOCK ? end - c->at : BLOCK);
        assert_true(n >= 0 && memcmp(block, c->body + c->at, (size_t)n) == 0);
        c->at += (uint64_t)n;
        blob_reader_at(c->blob, c->place, c->at);
    }
    mem_free(block);
}

static void
read_all_to(struct reader *readers, size_t count, uint64_t end)
{
    for (size_t k = 0; k < count; k++) {
        read_to(&readers[k], end);
    }
}

/* Goes over to the blob that takes over, if there is one. Returns whether it leads it. */
static bool
go_over(struct reader *c, struct cache *cache)
{
    bool lead;
    struct blob *heir = cache_take_over(cache, c->blob, &lead);
    if (heir != NULL) {
        leave(c);
        c->blob = heir;
        c->place = blob_enter(heir, c->at);
    }
    return lead;
}

/* Writes what lacks, block by block, the readers behind it; the write of that number fails, or the
 * next one when another thread's did. Returns the bytes that were taken. */
static uint64_t
fill(struct blob *b, const uint8_t *body, unsigned fails, struct reader *readers, size_t count,
     int *ret_code)
{
    struct gap gap;
    uint64_t taken = 0;
    *ret_code = 0;
    for (unsigned i = 0; *ret_code == 0 && blob_claim(b, BLOCK, &gap);) {
        for (uint64_t at = gap.start; at < gap.end && *ret_code == 0; i++) {
            uint64_t n = gap.end - at < BLOCK ? gap.end - at : BLOCK;
            if (i >= fails) {
                fault_arm_next("write", fails % 2 == 0 ? EIO : ENOSPC);
            }
            *ret_code = blob_write(b, at, body + at, (size_t)n, BLOB_FROM_UPSTREAM);
            taken += *ret_code == 0 ? n : 0;
            at += n;
            read_all_to(readers, count, at);
        }
    }
    return taken;
}

static void
wait_phase(struct blob *b, enum blob_phase phase)
{
    struct blob_state s;
    int64_t until_ms = clock_ms() + SOON_MS;
    do {
        blob_look(b, UINT64_MAX, &s);
        clock_sleep_ms(1);
    } while (s.phase < phase && clock_ms() < until_ms);
    assert_int_equal(s.phase, phase);
}

static struct blob *
begin(struct room *r, const struct digest *d, uint64_t size)
{
    enum cache_got got;
    struct blob *b = cache_acquire(r->cache, d, &got);
    assert_int_equal(got, CACHE_LEAD);
    blob_set_shared(b, true);
    assert_int_equal(blob_begin(b, size), 0);
    return b;
}

static void
readers_share_what_comes_after_any_write_that_failed(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct reader readers[3];
    int code;
    room_init(&r, 64 * MIB);
    cache_set_memory(r.cache, 32 * MIB);
    uint8_t *body = make_body(1, SIZE, &d);
    for (unsigned fails = 0; fails * BLOCK < SIZE; fails++) {
        struct blob *b = begin(&r, &d, SIZE);
        for (size_t k = 0; k < ARRAY_LEN(readers); k++) {
            enter(&readers[k], b, body, k == 2 ? 300 * KIB : 0);
        }
        uint64_t taken =
            fill(b, body, fails, readers, 2, &code); /* the third does not come along */
        assert_int_equal(code, fails % 2 == 0 ? ERR_STORE : ERR_FULL);
        blob_release(&b);
        cache_check(r.cache);
        assert_true(go_over(&readers[0], r.cache));
        for (size_t k = 1; k < ARRAY_LEN(readers); k++) {
            assert_false(go_over(&readers[k], r.cache));
            assert_ptr_equal(readers[k].blob, readers[0].blob);
        }
        cache_check(r.cache);
        taken += fill(readers[0].blob, body, UINT_MAX, readers, ARRAY_LEN(readers), &code);
        assert_int_equal(code, 0);
        assert_int_equal(taken, SIZE); /* none of it came twice */
        wait_phase(readers[0].blob, BLOB_VERIFIED);
        for (size_t k = 0; k < ARRAY_LEN(readers); k++) {
            read_to(&readers[k], SIZE);
            assert_int_equal(readers[k].at, SIZE);
            leave(&readers[k]);
        }
        cache_check(r.cache);
    }
    fault_disarm();
    mem_free(body);
    room_release(&r);
}

/* What the file held when it was taken over is hashed with the rest. */
static void
wrong_bytes_of_the_file_do_not_complete_in_memory(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct reader reader;
    int code;
    room_init(&r, 64 * MIB);
    cache_set_memory(r.cache, 32 * MIB);
    uint8_t *body = make_body(2, SIZE, &d);
    body[10] ^= 1;
    struct blob *b = begin(&r, &d, SIZE);
    enter(&reader, b, body, 0);
    (void)fill(b, body, 12, &reader, 1, &code);
    blob_release(&b);
    assert_true(go_over(&reader, r.cache));
    (void)fill(reader.blob, body, UINT_MAX, &reader, 1, &code);
    wait_phase(reader.blob, BLOB_FAILED);
    read_to(&reader, SIZE);
    assert_int_equal(reader.at, SIZE - HOLDBACK_BYTES);
    leave(&reader);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

/* Who is far behind is left behind; what was held beyond the window comes again, and is right. */
static void
only_a_window_is_taken_over(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct gap far;
    struct reader fast, slow;
    struct blob_state s;
    int code;
    const uint64_t size = 44 * MIB, at = 20 * MIB;
    room_init(&r, 64 * MIB);
    cache_set_memory(r.cache, 32 * MIB);
    uint8_t *body = make_body(3, size, &d);
    struct blob *b = begin(&r, &d, size);
    assert_true(blob_claim_in(b, 40 * MIB, 41 * MIB, &far));
    assert_int_equal(blob_write(b, far.start, body + far.start, MIB, BLOB_FROM_PEER), 0);
    enter(&fast, b, body, 0);
    enter(&slow, b, body, 0);
    (void)fill(b, body, (unsigned)(at / BLOCK), &fast, 1, &code);
    assert_true(code == ERR_STORE || code == ERR_FULL);
    blob_release(&b);
    assert_true(go_over(&fast, r.cache));
    assert_false(go_over(&slow, r.cache));
    blob_look(slow.blob, slow.at, &s);
    assert_true(s.behind);
    blob_look(fast.blob, fast.at, &s);
    assert_false(s.behind);
    leave(&slow);
    leave(&fast);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

/* No memory, or none that takes bytes: nothing takes over, and the next request begins anew. */
static void
without_memory_nothing_takes_over(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    struct reader reader;
    enum cache_got got;
    int code;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(4, SIZE, &d);
    for (int i = 0; i < 2; i++) {
        cache_set_memory(r.cache, i == 0 ? MIB : 32 * MIB);
        struct blob *b = begin(&r, &d, SIZE);
        enter(&reader, b, body, 0);
        (void)fill(b, body, 12, &reader, 1, &code);
        assert_true(code == ERR_STORE);
        if (i == 1) {
            fault_arm_next("memfd_create", ENOMEM);
        }
        assert_false(go_over(&reader, r.cache));
        assert_ptr_equal(reader.blob, b);
        blob_release(&b);
        leave(&reader);
        cache_check(r.cache);
        b = cache_acquire(r.cache, &d, &got);
        assert_int_equal(got, CACHE_LEAD);
        blob_release(&b);
    }
    fault_disarm();
    mem_free(body);
    room_release(&r);
}

/* As of a blob of which so much of the beginning has come. */
static struct pieces *
pieces_held(uint64_t size, uint64_t held)
{
    struct pieces *p = pieces_new(size);
    uint32_t *filled = mem_zalloc(p->count * sizeof filled[0]);
    for (uint32_t i = 0; held > 0; i++) {
        filled[i] = held < p->piece_bytes ? (uint32_t)held : p->piece_bytes;
        held -= filled[i];
    }
    assert_int_equal(pieces_restore(p, filled, p->count), 0);
    mem_free(filled);
    return p;
}

/* What would have to be hashed first would hold everybody up; what is stored never goes over. */
static void
only_what_is_soon_hashed_is_taken_over(void **state)
{
    (void)state;
    struct room r;
    struct digest d;
    enum cache_got got;
    room_init(&r, 64 * MIB);
    uint8_t *body = make_body(5, SIZE, &d);
    store_body(&r, &d, body, SIZE);
    struct blob *b = cache_acquire(r.cache, &d, &got);
    assert_int_equal(got, CACHE_HIT);
    assert_false(cache_may_take_over(b));
    blob_release(&b);
    mem_free(make_body(6, SIZE, &d));
    b = cache_acquire(r.cache, &d, &got);
    blob_set_shared(b, true);
    assert_false(cache_may_take_over(b));
    blob_fail(b, ERR_STORE);
    lock_take(&b->lock);
    b->gen = 1; /* as if it had begun */
    b->size = 3 * TAKE_OVER_MAX;
    b->pieces = pieces_held(b->size, TAKE_OVER_MAX);
    lock_drop(&b->lock);
    assert_true(cache_may_take_over(b));
    lock_take(&b->lock);
    pieces_free(b->pieces);
    b->pieces = pieces_held(b->size, TAKE_OVER_MAX + 1);
    lock_drop(&b->lock);
    assert_false(cache_may_take_over(b));
    blob_release(&b);
    cache_check(r.cache);
    mem_free(body);
    room_release(&r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_share_what_comes_after_any_write_that_failed),
        cmocka_unit_test(wrong_bytes_of_the_file_do_not_complete_in_memory),
        cmocka_unit_test(only_a_window_is_taken_over),
        cmocka_unit_test(without_memory_nothing_takes_over),
        cmocka_unit_test(only_what_is_soon_hashed_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
