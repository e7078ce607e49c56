#include "tests/unit/p2p/unit.h"

#include "p2p/wire.h"

static struct wire_msg
some_beacon(void)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_BEACON;
    m.beacon.addr.ip[15] = 1;
    m.beacon.addr.port = 5002;
    m.beacon.site = 0x1122334455667788;
    m.beacon.priority = 70000;
    m.beacon.epoch = 3;
    m.beacon.tracker = unit_node(9);
    m.beacon.tracker_age_ms = WIRE_AGE_NEVER;
    m.beacon.free_mib = 12;
    return m;
}

static void
a_record_reads_as_it_was_written(void **state)
{
    (void)state;
    uint8_t room[WIRE_DATAGRAM_MAX], bits[3] = {0x01, 0x80, 0x10};
    struct scribe s;
    scribe_init(&s, room, sizeof room);
    struct wire_msg beacon = some_beacon(), blob, m;
    memset(&blob, 0, sizeof blob);
    blob.type = WIRE_BLOB;
    blob.blob.digest = unit_blob(4);
    blob.blob.size = 1 << 20;
    blob.blob.held = (struct wire_bits){bits, sizeof bits};
    wire_put(&s, &beacon);
    wire_put(&s, &blob);
    assert_false(s.bad);

    struct cursor c;
    cursor_init(&c, room, scribe_len(&s));
    assert_int_equal(wire_next(&c, &m), 1);
    assert_memory_equal(&m, &beacon, sizeof m);
    assert_int_equal(wire_next(&c, &m), 1);
    assert_int_equal(m.type, WIRE_BLOB);
    assert_true(digest_equal(&m.blob.digest, &blob.blob.digest));
    assert_true(wire_bit(&m.blob.held, 0) && wire_bit(&m.blob.held, 15));
    assert_true(wire_bit(&m.blob.held, 20) && !wire_bit(&m.blob.held, 21));
    assert_false(wire_bit(&m.blob.held, 24));
    assert_int_equal(wire_next(&c, &m), 0);
}

static void
records_of_a_later_version_are_skipped(void **state)
{
    (void)state;
    uint8_t room[WIRE_DATAGRAM_MAX];
    struct scribe s;
    scribe_init(&s, room, sizeof room);
    scribe_u8(&s, 250);
    scribe_u16(&s, 4);
    scribe_u32(&s, 0xffffffff);
    struct wire_msg beacon = some_beacon(), m;
    wire_put(&s, &beacon);
    struct cursor c;
    cursor_init(&c, room, scribe_len(&s));
    assert_int_equal(wire_next(&c, &m), 1);
    assert_int_equal(m.type, WIRE_BEACON);
}

static void
fields_that_a_later_version_appended_are_ignored(void **state)
{
    (void)state;
    const uint8_t probe[] = {WIRE_PROBE, 10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 99, 99};
    struct cursor c;
    struct wire_msg m;
    cursor_init(&c, probe, sizeof probe);
    assert_int_equal(wire_next(&c, &m), 1);
    assert_int_equal(m.probe.echo, 0x0807060504030201);
    assert_int_equal(wire_next(&c, &m), 0);
}

static void
every_cut_of_a_message_is_malformed(void **state)
{
    (void)state;
    uint8_t room[WIRE_DATAGRAM_MAX];
    struct scribe s;
    scribe_init(&s, room, sizeof room);
    struct wire_msg beacon = some_beacon(), m;
    wire_put(&s, &beacon);
    for (size_t len = 1; len < scribe_len(&s); len++) {
        struct cursor c;
        cursor_init(&c, room, len);
        assert_int_equal(wire_next(&c, &m), ERR_SYNTAX);
    }
}

static void
a_record_too_short_for_its_fields_is_malformed(void **state)
{
    (void)state;
    const uint8_t probe[] = {WIRE_PROBE, 7, 0, 1, 2, 3, 4, 5, 6, 7};
    struct cursor c;
    struct wire_msg m;
    cursor_init(&c, probe, sizeof probe);
    assert_int_equal(wire_next(&c, &m), ERR_SYNTAX);
}

/* As it was before the field `held` was appended. */
static void
a_hint_of_an_older_version_is_read(void **state)
{
    (void)state;
    uint8_t bytes[128];
    struct scribe s;
    struct cursor c;
    bool held;
    struct wire_msg m = {.type = WIRE_HAVE, .have = {unit_blob(1), 7, 2, {NULL, 0}}}, back;
    scribe_init(&s, bytes, sizeof bytes);
    wire_put(&s, &m);
    bytes[1] -= 2;
    cursor_init(&c, bytes, scribe_len(&s) - 2);
    assert_int_equal(wire_next(&c, &back), 1);
    assert_int_equal(back.have.first, 7);
    assert_true(wire_hint(&back.have, 1, &held) && held);
    assert_false(wire_hint(&back.have, 2, &held));
}

static void
a_record_that_does_not_fit_is_not_written_by_halves(void **state)
{
    (void)state;
    uint8_t room[40];
    struct scribe s;
    scribe_init(&s, room, sizeof room);
    struct wire_msg beacon = some_beacon();
    wire_put(&s, &beacon);
    assert_true(s.bad);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_as_it_was_written),
        cmocka_unit_test(records_of_a_later_version_are_skipped),
        cmocka_unit_test(fields_that_a_later_version_appended_are_ignored),
        cmocka_unit_test(every_cut_of_a_message_is_malformed),
        cmocka_unit_test(a_record_too_short_for_its_fields_is_malformed),
        cmocka_unit_test(a_hint_of_an_older_version_is_read),
        cmocka_unit_test(a_record_that_does_not_fit_is_not_written_by_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
