/* One request on curl's multi handle, without the fetch thread. */
#include "base/clock.h"
#include "proxy/upstream/exchange.h"
#include "proxy/upstream/fetch.h"
#include "proxy/upstream/url.h"
#include "tests/unit/proxy/fakereg.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int
take_head(struct exchange *x)
{
    (void)x;
    return 0;
}

static int
take_body(struct exchange *x, const char *bytes, size_t len)
{
    (void)bytes;
    *(size_t *)x->owner += len;
    return 0;
}

static const struct exchange_ops ops = {take_head, take_body};

struct bench {
    struct fake fake;
    struct wire wire;
    struct exchange exchange;
    size_t got_bytes;
};

static void
start(struct bench *b, const char *repository)
{
    struct err e;
    struct url url;
    char text[256];
    memset(b, 0, sizeof *b);
    fake_start(&b->fake);
    assert_int_equal(wire_open(&b->wire, &e), 0);
    (void)snprintf(text, sizeof text, "http://127.0.0.1:%u/v2/%s/blobs/x", b->fake.port,
                   repository);
    assert_int_equal(url_parse(text, &url), 0);
    b->exchange.ops = &ops;
    b->exchange.owner = &b->got_bytes;
    struct errand what = {.url = &url,
                          .range = {0, CACHE_SIZE_UNKNOWN},
                          .rule = ADDRESS_RULE_ANY,
                          .head_wait_ms = STALL_MS};
    assert_int_equal(exchange_start(&b->exchange, &b->wire, &what), 0);
    url_release(&url);
}

static void
stop(struct bench *b)
{
    exchange_stop(&b->exchange);
    wire_close(&b->wire);
    fake_stop(&b->fake);
}

static void
look(struct bench *b)
{
    wire_perform(&b->wire);
    (void)curl_multi_poll(b->wire.multi, NULL, 0, 10, NULL);
}

/* The thread was held up by its own disk: what has come meanwhile has not been looked at. */
static void
time_that_nobody_looked_is_no_silence_of_the_source(void **state)
{
    (void)state;
    struct bench b;
    struct fake_seen seen[2];
    start(&b, "stall");
    look(&b);
    exchange_step(&b.exchange, clock_ms() + 2 * STALL_MS);
    assert_int_equal(b.exchange.phase, EXCHANGE_HEAD);
    while (b.got_bytes == 0)
        look(&b);
    exchange_step(&b.exchange, clock_ms() + 2 * STALL_MS);
    assert_int_equal(b.exchange.phase, EXCHANGE_BODY);
    while (b.got_bytes < FAKE_CUT)
        look(&b);
    /* The body hangs here. */
    b.wire.looked_ms = clock_ms() + STALL_MS;
    exchange_step(&b.exchange, clock_ms() + 2 * STALL_MS);
    assert_int_equal(b.exchange.phase, EXCHANGE_DONE);
    assert_true(b.exchange.stalled);
    assert_int_equal(fake_asked(&b.fake, "/stall/", seen, ARRAY_LEN(seen)), 1);
    stop(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_that_nobody_looked_is_no_silence_of_the_source),
    };
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
