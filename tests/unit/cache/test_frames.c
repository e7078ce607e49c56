/* Blobs as zstd frames: what goes in comes out, from anywhere on, and damage is told. */
#include "cache/frames.h"
#include "tests/unit/cache/room.h"

#define LEN (3 * FRAME_BYTES + 12345)

/* Half of it shrinks. */
static uint8_t *
make_half(void)
{
    struct digest d;
    uint8_t *bytes = make_body(5, LEN, &d);
    for (size_t at = 0; at < LEN; at += 2 * KIB) {
        memset(bytes + at, 'a', at + KIB < LEN ? KIB : LEN - at);
    }
    return bytes;
}

static bool
always(void *arg, size_t bytes, int64_t took_ms)
{
    unsigned *asked = arg;
    (void)bytes;
    assert_true(took_ms >= 0);
    *asked += 1;
    return true;
}

static bool
twice(void *arg, size_t bytes, int64_t took_ms)
{
    return always(arg, bytes, took_ms) && *(unsigned *)arg < 3;
}

static int
open_file(const uint8_t *bytes, size_t len)
{
    int fd = -1;
    assert_int_equal(fs_open_memory(0, &fd), 0);
    if (len > 0) {
        assert_int_equal(fs_write_at(fd, 0, bytes, len), 0);
    }
    return fd;
}

/* Packs the first `len` bytes; returns the new file, or -1 with the code. */
static int
pack(const uint8_t *bytes, size_t len, uint64_t max_bytes, uint64_t *ret_bytes, int *ret_code)
{
    unsigned asked = 0;
    int from = open_file(bytes, len), to = open_file(NULL, 0);
    int64_t packed = frames_pack(from, len, to, max_bytes, always, &asked);
    *ret_code = packed < 0 ? (int)packed : 0;
    *ret_bytes = packed < 0 ? 0 : (uint64_t)packed;
    fd_close(&from);
    if (*ret_code < 0) {
        fd_close(&to);
    } else {
        assert_int_equal(asked, (len + FRAME_BYTES - 1) / FRAME_BYTES);
    }
    return to;
}

static void
any_range_comes_back(void **state)
{
    (void)state;
    static const size_t lens[] = {1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, LEN};
    uint8_t *bytes = make_half(), *room = mem_alloc(LEN);
    struct rng rng;
    rng_init(&rng, 9);
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        uint64_t packed, size;
        struct frames *f;
        int code, fd = pack(bytes, lens[i], UINT64_MAX, &packed, &code);
        assert_int_equal(code, 0);
        assert_int_equal(fs_size(fd, &size), 0);
        assert_int_equal(size, packed);
        assert_int_equal(frames_open(fd, &f), 0);
        assert_int_equal(frames_plain_bytes(f), lens[i]);
        for (int k = 0; k < 100; k++) {
            size_t at = (size_t)(rng_next(&rng) % lens[i]);
            size_t n = (size_t)(rng_next(&rng) % (lens[i] - at)) + 1;
            assert_int_equal(frames_read(f, fd, at, room, n), 0);
            assert_memory_equal(room, bytes + at, n);
        }
        frames_free(f);
        fd_close(&fd);
    }
    mem_free(room);
    mem_free(bytes);
}

static void
it_takes_less_room_or_is_given_up(void **state)
{
    (void)state;
    uint64_t packed = 0;
    int code;
    uint8_t *bytes = make_half();
    int fd = pack(bytes, LEN, LEN / 10 * 6, &packed, &code);
    assert_int_equal(code, 0);
    assert_true(packed < LEN / 10 * 6);
    fd_close(&fd);
    fd = pack(bytes, LEN, LEN / 10 * 4, &packed, &code);
    assert_int_equal(code, ERR_LIMIT);
    assert_int_equal(fd, -1);
    unsigned asked = 0;
    int from = open_file(bytes, LEN), to = open_file(NULL, 0);
    assert_int_equal(frames_pack(from, LEN, to, LEN, twice, &asked), ERR_CLOSED);
    assert_int_equal(asked, 3);
    fd_close(&from);
    fd_close(&to);
    mem_free(bytes);
}

/* Whatever byte of the file was lost: an error, or the right bytes. */
static void
rot_is_noticed(void **state)
{
    (void)state;
    uint64_t packed;
    int code;
    uint8_t *bytes = make_half(), *room = mem_alloc(LEN);
    int fd = pack(bytes, LEN, UINT64_MAX, &packed, &code);
    unsigned noticed = 0, tried = 0;
    for (uint64_t at = 0; at < packed; at += at + 200 < packed ? 1 + packed / 97 : 1) {
        struct frames *f = NULL;
        uint8_t was, wrong;
        assert_int_equal(fs_read_at(fd, at, &was, 1), 0);
        wrong = was ^ 0x10;
        assert_int_equal(fs_write_at(fd, at, &wrong, 1), 0);
        int rc = frames_open(fd, &f);
        rc = rc < 0 ? rc : frames_read(f, fd, 0, room, LEN);
        assert_true(rc == -EBADMSG || (rc == 0 && memcmp(room, bytes, LEN) == 0));
        noticed += rc < 0;
        tried++;
        frames_free(f);
        assert_int_equal(fs_write_at(fd, at, &was, 1), 0);
    }
    assert_true(noticed * 100 >= tried * 95);
    fd_close(&fd);
    mem_free(room);
    mem_free(bytes);
}

static void
a_file_that_is_none_is_refused(void **state)
{
    (void)state;
    static const uint8_t zeros[100];
    struct frames *f = NULL;
    for (size_t len = 0; len <= sizeof zeros; len += 25) {
        int fd = open_file(zeros, len);
        assert_int_equal(frames_open(fd, &f), -EBADMSG);
        fd_close(&fd);
    }
    /* Cut off at the end, and at the front. */
    uint64_t packed;
    int code;
    uint8_t *bytes = make_half(), *room = mem_alloc(LEN);
    int fd = pack(bytes, LEN, UINT64_MAX, &packed, &code);
    assert_int_equal(fs_read_at(fd, 0, room, (size_t)packed), 0);
    int cut = open_file(room + 1, (size_t)packed - 1);
    assert_int_equal(frames_open(cut, &f), -EBADMSG);
    assert_int_equal(fs_truncate(fd, packed - 1), 0);
    assert_int_equal(frames_open(fd, &f), -EBADMSG);
    fd_close(&fd);
    fd_close(&cut);
    mem_free(room);
    mem_free(bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_range_comes_back),
        cmocka_unit_test(it_takes_less_room_or_is_given_up),
        cmocka_unit_test(rot_is_noticed),
        cmocka_unit_test(a_file_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
