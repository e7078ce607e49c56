/* Control bodies as frames: what an older node sees, what a newer one gets, what is refused. */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/zstd.h"
#include "p2p/packed.h"
#include "tests/unit/p2p/unit.h"

/* A run of HAVE-like records: n beacons. */
static size_t
make_body(unsigned n, uint8_t *ret)
{
    struct scribe s;
    scribe_init(&s, ret, WIRE_CONTROL_MAX);
    for (unsigned i = 0; i < n; i++) {
        struct wire_msg m;
        memset(&m, 0, sizeof m);
        m.type = WIRE_PROBE;
        m.probe.echo = i;
        wire_put(&s, &m);
    }
    assert_false(s.bad);
    return (size_t)(s.at - ret);
}

static unsigned
count_probes(const uint8_t *body, size_t len)
{
    struct cursor c;
    struct wire_msg m;
    unsigned n = 0;
    cursor_init(&c, body, len);
    while (wire_next(&c, &m) == 1)
        n += m.type == WIRE_PROBE && m.probe.echo == n;
    return n;
}

static void
goes_through(unsigned probes, bool reads, bool packs)
{
    AUTO(buf_release) struct buf msg;
    AUTO(buf_release) struct buf room;
    uint8_t *body = mem_alloc(WIRE_CONTROL_MAX);
    const uint8_t *got;
    size_t len = make_body(probes, body), got_len;
    bool other_reads;
    buf_init(&msg, WIRE_CONTROL_MAX);
    buf_init(&room, WIRE_CONTROL_MAX);
    packed_close(body, len, reads, &msg);
    assert_true(packs ? msg.len < len / 2 : msg.len >= len);
    assert_int_equal(
        packed_open((const uint8_t *)msg.data, msg.len, &room, &got, &got_len, &other_reads), 0);
    assert_int_equal(count_probes(got, got_len), probes);
    assert_true(other_reads || len + 4 > WIRE_CONTROL_MAX);
    mem_free(body);
}

static void
long_bodies_are_packed_for_who_reads_them(void **state)
{
    (void)state;
    goes_through(0, true, false);
    goes_through(10, true, false);
    goes_through(PACKED_MIN / 11, true, false);
    goes_through(PACKED_MIN / 11 + 1, true, true);
    goes_through(WIRE_CONTROL_MAX / 11, true, true);
    goes_through(WIRE_CONTROL_MAX / 11, false, false); /* full: no room for a word more */
}

static void
an_older_node_sees_the_records_alone(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf msg;
    uint8_t *body = mem_alloc(WIRE_CONTROL_MAX);
    size_t len = make_body(1000, body);
    buf_init(&msg, WIRE_CONTROL_MAX);
    packed_close(body, len, false, &msg);
    assert_int_equal(count_probes((const uint8_t *)msg.data, msg.len), 1000);
    mem_free(body);
}

static void
what_an_older_node_sends_is_read(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf room;
    uint8_t body[2048];
    const uint8_t *got;
    size_t len = make_body(100, body), got_len;
    bool reads = true;
    buf_init(&room, WIRE_CONTROL_MAX);
    assert_int_equal(packed_open(body, len, &room, &got, &got_len, &reads), 0);
    assert_false(reads);
    assert_ptr_equal(got, body);
    assert_int_equal(got_len, len);
    assert_int_equal(packed_open(body, 0, &room, &got, &got_len, &reads), 0);
    assert_int_equal(got_len, 0);
}

/* A frame that says it is of `says` bytes and holds 60,000. */
static int
open_lie(uint32_t says)
{
    AUTO(buf_release) struct buf msg;
    AUTO(buf_release) struct buf room;
    uint8_t *zeros = mem_zalloc(1u << 20);
    const uint8_t *got;
    size_t got_len;
    bool reads;
    buf_init(&msg, WIRE_CONTROL_MAX);
    buf_init(&room, WIRE_CONTROL_MAX);
    const uint8_t head[] = {
        WIRE_PACKED,          0, 0, (uint8_t)says, (uint8_t)(says >> 8), (uint8_t)(says >> 16),
        (uint8_t)(says >> 24)};
    assert_int_equal(buf_add(&msg, head, sizeof head), 0);
    assert_int_equal(zstd_pack(zeros, says > WIRE_CONTROL_MAX ? 1u << 20 : 60000, &msg), 0);
    msg.data[1] = (char)(msg.len - 3);
    int rc = packed_open((const uint8_t *)msg.data, msg.len, &room, &got, &got_len, &reads);
    mem_free(zeros);
    return rc;
}

static void
bombs_are_refused(void **state)
{
    (void)state;
    assert_int_equal(open_lie(60000), 0);
    assert_int_equal(open_lie(59999), ERR_SYNTAX);
    assert_int_equal(open_lie(60001), ERR_SYNTAX);
    assert_int_equal(open_lie(1u << 20), ERR_SYNTAX);
    assert_int_equal(open_lie(UINT32_MAX), ERR_SYNTAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_bodies_are_packed_for_who_reads_them),
        cmocka_unit_test(an_older_node_sees_the_records_alone),
        cmocka_unit_test(what_an_older_node_sends_is_read),
        cmocka_unit_test(bombs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
