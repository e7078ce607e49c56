/* A packed body on its way from curl to a run: any cut, any pause, nothing too much. */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/zstd.h"
#include "proxy/upstream/unpack.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#define LEN 500000u

struct taker {
    uint8_t *bytes;
    size_t len, most; /* most: then it has enough */
    unsigned calls, pause_each;
};

static int
give(void *arg, const char *bytes, size_t len)
{
    struct taker *t = arg;
    if (t->pause_each > 0 && ++t->calls % t->pause_each == 0)
        return ERR_AGAIN;
    if (t->len >= t->most)
        return 1;
    size_t n = len < t->most - t->len ? len : t->most - t->len;
    memcpy(t->bytes + t->len, bytes, n);
    t->len += n;
    return 0;
}

static uint8_t *plain;
static struct buf frame;

static int
set_up(void **state)
{
    (void)state;
    plain = mem_alloc(LEN);
    for (size_t i = 0; i < LEN; i++)
        plain[i] = (uint8_t)(i / 100 + i % 3);
    buf_init(&frame, LEN);
    return zstd_pack(plain, LEN, &frame);
}

static int
tear_down(void **state)
{
    (void)state;
    mem_free(plain);
    buf_release(&frame);
    return 0;
}

/* As curl does: after a pause the same bytes come again, with more behind them. Returns the code.
 */
static int
feed(struct unpack *u, struct taker *t, size_t step, size_t *ret_news)
{
    size_t at = 0, more = 0, news;
    int code = 0;
    *ret_news = 0;
    while (at < frame.len) {
        size_t n = frame.len - at < step + more ? frame.len - at : step + more;
        code = unpack_body(u, frame.data + at, n, give, t, &news);
        *ret_news += news;
        if (code != 0 && code != ERR_AGAIN)
            break;
        more = code == ERR_AGAIN ? more + 3 : 0;
        at += code == 0 ? n : 0;
    }
    return code;
}

static void
any_cut_and_any_pause_give_the_same(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 100, 16384, LEN};
    for (unsigned pause = 0; pause < 4; pause++)
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            struct taker t = {mem_alloc(LEN), 0, LEN, 0, pause == 1 ? 0 : pause};
            uint64_t saved = metric_get(M_saved_received);
            size_t news;
            struct unpack *u = unpack_new(frame.len);
            assert_int_equal(feed(u, &t, steps[i], &news), 0);
            unpack_free(u);
            assert_int_equal(news, frame.len);
            assert_int_equal(t.len, LEN);
            assert_memory_equal(t.bytes, plain, LEN);
            assert_int_equal(metric_get(M_saved_received) - saved, LEN - frame.len);
            mem_free(t.bytes);
        }
}

static void
who_has_enough_gets_no_more(void **state)
{
    (void)state;
    struct taker t = {mem_alloc(LEN), 0, 20000, 0, 0};
    size_t news;
    struct unpack *u = unpack_new(frame.len);
    assert_int_equal(feed(u, &t, LEN, &news), 1);
    assert_int_equal(t.len, 20000);
    unpack_free(u);
    mem_free(t.bytes);
}

static void
too_much_and_no_frame_are_refused(void **state)
{
    (void)state;
    struct taker t = {mem_alloc(LEN), 0, LEN, 0, 0};
    size_t news;
    struct unpack *u = unpack_new(frame.len - 1);
    assert_int_equal(feed(u, &t, 1000, &news), ERR_SYNTAX);
    unpack_free(u);
    u = unpack_new(LEN);
    assert_int_equal(unpack_body(u, (const char *)plain, 1000, give, &t, &news), ERR_SYNTAX);
    unpack_free(u);
    unpack_free(NULL);
    mem_free(t.bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_cut_and_any_pause_give_the_same),
        cmocka_unit_test(who_has_enough_gets_no_more),
        cmocka_unit_test(too_much_and_no_frame_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
