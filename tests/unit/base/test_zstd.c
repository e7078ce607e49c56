/* zstd within bounds: what goes in comes out, and whatever wants too much is refused. */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/zstd.h"
#include "tests/unit/base/unit.h"
#include <string.h>
#include <zstd.h>

#define LEN 300000u

/* Text-like: few words in random order. */
static uint8_t *
make_text(size_t len)
{
    static const char *const words[] = {"alpha ", "beta ", "gamma\n", "delta-", "epsilon"};
    struct rng rng;
    rng_init(&rng, 7);
    uint8_t *bytes = mem_alloc(len + 16);
    for (size_t at = 0; at < len;) {
        const char *w = words[rng_below(&rng, 5)];
        memcpy(bytes + at, w, strlen(w));
        at += strlen(w);
    }
    return bytes;
}

static uint8_t *
make_noise(size_t len)
{
    struct rng rng;
    rng_init(&rng, 8);
    uint8_t *bytes = mem_alloc(len + 8);
    for (size_t at = 0; at < len; at += 8) {
        uint64_t x = rng_next(&rng);
        memcpy(bytes + at, &x, 8);
    }
    return bytes;
}

static void
what_goes_in_comes_out(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf packed;
    AUTO(buf_release) struct buf plain;
    uint8_t *text = make_text(LEN);
    buf_init(&packed, LEN);
    buf_init(&plain, LEN);
    assert_int_equal(zstd_pack(text, LEN, &packed), 0);
    assert_true(packed.len < LEN / 3);
    assert_true(zstd_permille(text, LEN) < 333);
    assert_int_equal(zstd_unpack(packed.data, packed.len, LEN, &plain), 0);
    assert_int_equal(plain.len, LEN);
    assert_memory_equal(plain.data, text, LEN);
    mem_free(text);
}

/* Whatever it is, it comes back; one bit that the disk lost is noticed. */
static void
a_frame_holds_anything_and_tells_of_rot(void **state)
{
    (void)state;
    uint8_t *bodies[] = {make_text(LEN), make_noise(LEN)}, *back = mem_alloc(LEN);
    for (int i = 0; i < 2; i++) {
        AUTO(buf_release) struct buf frame;
        buf_init(&frame, zstd_frame_max(LEN));
        assert_int_equal(zstd_frame(bodies[i], LEN, &frame), 0);
        assert_int_equal(zstd_unframe(frame.data, frame.len, back, LEN), 0);
        assert_memory_equal(back, bodies[i], LEN);
        assert_int_equal(zstd_unframe(frame.data, frame.len, back, LEN - 1), ERR_SYNTAX);
        assert_int_equal(zstd_unframe(frame.data, frame.len - 1, back, LEN), ERR_SYNTAX);
        for (size_t at = 0; at < frame.len; at += 1 + frame.len / 50) {
            frame.data[at] ^= 0x20;
            int rc = zstd_unframe(frame.data, frame.len, back, LEN);
            assert_true(rc == ERR_SYNTAX || memcmp(back, bodies[i], LEN) == 0);
            frame.data[at] ^= 0x20;
        }
        mem_free(bodies[i]);
    }
    mem_free(back);
}

static void
noise_is_left_alone(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf packed;
    uint8_t *noise = make_noise(LEN);
    buf_init(&packed, LEN);
    assert_int_equal(zstd_pack(noise, LEN, &packed), ERR_LIMIT);
    assert_int_equal(zstd_pack(noise, 0, &packed), ERR_LIMIT);
    assert_int_equal(packed.len, 0);
    assert_int_equal(zstd_permille(noise, LEN), 1000);
    assert_int_equal(zstd_permille(noise, 0), 1000);
    mem_free(noise);
}

static void
a_frame_of_another_length_is_refused(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf packed;
    AUTO(buf_release) struct buf plain;
    uint8_t *text = make_text(LEN);
    buf_init(&packed, LEN);
    buf_init(&plain, LEN);
    assert_int_equal(zstd_pack(text, LEN, &packed), 0);
    assert_int_equal(zstd_unpack(packed.data, packed.len, LEN - 1, &plain), ERR_SYNTAX);
    assert_int_equal(zstd_unpack(packed.data, packed.len, LEN + 1, &plain), ERR_LIMIT);
    plain.limit++;
    assert_int_equal(zstd_unpack(packed.data, packed.len, LEN + 1, &plain), ERR_SYNTAX);
    assert_int_equal(zstd_unpack(packed.data, packed.len - 1, LEN, &plain), ERR_SYNTAX);
    packed.data[packed.len / 2] ^= 1;
    int rc = zstd_unpack(packed.data, packed.len, LEN, &plain);
    assert_true(rc == ERR_SYNTAX || plain.len == LEN); /* who wants certainty has checksums */
    mem_free(text);
}

/* A frame that wants 8 MiB of history. */
static size_t
wide_frame(const uint8_t *bytes, size_t len, uint8_t *ret, size_t cap)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 23)));
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0)));
    ZSTD_inBuffer in = {bytes, len, 0};
    ZSTD_outBuffer out = {ret, cap, 0};
    assert_int_equal(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(c);
    return out.pos;
}

static void
much_history_is_refused(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf plain;
    uint8_t *text = make_text(LEN), *frame = mem_alloc(LEN), room[1000];
    size_t n = wide_frame(text, LEN, frame, LEN);
    struct zstd_step step = {.from = frame, .from_len = n, .to = room, .to_cap = sizeof room};
    buf_init(&plain, LEN);
    assert_int_equal(zstd_unpack(frame, n, LEN, &plain), ERR_SYNTAX);
    struct zstd_reader *r = zstd_reader_new(LEN);
    assert_int_equal(zstd_read(r, &step), ERR_SYNTAX);
    zstd_reader_free(r);
    mem_free(text);
    mem_free(frame);
}

/* Packs in steps of `in` bytes with room for `out`; returns the frame's length. */
static size_t
pack_in_steps(const uint8_t *bytes, size_t in, size_t out, uint8_t *ret)
{
    struct zstd_writer *w = zstd_writer_new(LEN);
    size_t at = 0, n = 0;
    bool whole = false;
    while (!whole) {
        struct zstd_step step = {.from = bytes + at,
                                 .from_len = LEN - at < in ? LEN - at : in,
                                 .to = ret + n,
                                 .to_cap = out};
        whole = zstd_write(w, &step, at + step.from_len == LEN);
        at += step.taken;
        n += step.put;
    }
    assert_int_equal(at, LEN);
    zstd_writer_free(w);
    return n;
}

static void
a_stream_may_be_cut_anywhere(void **state)
{
    (void)state;
    uint8_t *text = make_text(LEN), *frame = mem_alloc(2 * LEN), *back = mem_alloc(LEN);
    static const size_t steps[] = {1, 7, 4096, 65536, LEN};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        size_t n = pack_in_steps(text, steps[i], steps[ARRAY_LEN(steps) - 1 - i], frame);
        struct zstd_reader *r = zstd_reader_new(n);
        struct zstd_step step = {.put = 1};
        size_t at = 0, have = 0;
        while (at < n || step.put > 0) {
            step = (struct zstd_step){.from = frame + at,
                                      .from_len = n - at < steps[i] ? n - at : steps[i],
                                      .to = back + have,
                                      .to_cap = LEN - have < steps[i] ? LEN - have : steps[i]};
            assert_int_equal(zstd_read(r, &step), 0);
            at += step.taken;
            have += step.put;
        }
        assert_int_equal(have, LEN);
        assert_memory_equal(back, text, LEN);
        zstd_reader_free(r);
    }
    mem_free(text);
    mem_free(frame);
    mem_free(back);
}

static void
a_stream_that_gives_little_for_much_is_left(void **state)
{
    (void)state;
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}; /* an empty frame */
    struct zstd_reader *r = zstd_reader_new(100);
    uint8_t room[10];
    struct zstd_step step = {
        .from = skippable, .from_len = sizeof skippable, .to = room, .to_cap = sizeof room};
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = zstd_read(r, &step);
    assert_int_equal(rc, ERR_SYNTAX);
    zstd_reader_free(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(a_frame_holds_anything_and_tells_of_rot),
        cmocka_unit_test(noise_is_left_alone),
        cmocka_unit_test(a_frame_of_another_length_is_refused),
        cmocka_unit_test(much_history_is_refused),
        cmocka_unit_test(a_stream_may_be_cut_anywhere),
        cmocka_unit_test(a_stream_that_gives_little_for_much_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
