#include "tests/unit/p2p/unit.h"

#include "p2p/refused.h"
#include <stdio.h>

#define MINUTE_MS (INT64_C(60) * 1000)

static struct refused_lately
look(const struct refused *r, enum refused_kind kind, int64_t now_ms)
{
    struct refused_lately l;
    refused_look(r, kind, now_ms, &l);
    return l;
}

static void
nothing_was_refused_at_first(void **state)
{
    (void)state;
    struct refused r = {0};
    for (int kind = 0; kind < REFUSED_KINDS; kind++) {
        struct refused_lately l = look(&r, (enum refused_kind)kind, 5 * MINUTE_MS);
        assert_int_equal(l.count, 0);
        assert_int_equal(l.last_ms_ago, -1);
        assert_int_equal(l.from_count, 0);
    }
}

static void
it_is_forgotten_after_an_hour_bit_by_bit(void **state)
{
    (void)state;
    struct refused r = {0};
    int64_t begun_ms = 1000 * MINUTE_MS;
    for (int minute = 0; minute < 30; minute++)
        refused_note(&r, REFUSED_KEY, "10.0.0.3:5002", begun_ms + minute * MINUTE_MS);
    struct refused_lately l = look(&r, REFUSED_KEY, begun_ms + 30 * MINUTE_MS);
    assert_int_equal(l.count, 30);
    assert_int_equal(l.last_ms_ago, MINUTE_MS);
    assert_int_equal(l.from_count, 1);
    assert_string_equal(l.from[0], "10.0.0.3:5002");
    l = look(&r, REFUSED_KEY, begun_ms + 75 * MINUTE_MS);
    assert_int_equal(l.count, 14); /* of the minutes from the 16th on */
    assert_int_equal(l.last_ms_ago, 46 * MINUTE_MS);
    l = look(&r, REFUSED_KEY, begun_ms + 95 * MINUTE_MS);
    assert_int_equal(l.count, 0);
    assert_int_equal(l.last_ms_ago, -1);
    assert_int_equal(l.from_count, 0);
    assert_int_equal(look(&r, REFUSED_CLOCK, begun_ms).count, 0);
    refused_note(&r, REFUSED_KEY, NULL, begun_ms + 400 * MINUTE_MS);
    assert_int_equal(look(&r, REFUSED_KEY, begun_ms + 400 * MINUTE_MS).count, 1);
}

/* A message is counted for 59 to 60 minutes, and its sender named as long. */
static void
a_sender_is_named_as_long_as_its_message_counts(void **state)
{
    (void)state;
    const int64_t begun_ms = 1000 * MINUTE_MS + MINUTE_MS - 1; /* late in its minute */
    for (int64_t ago_ms = 0; ago_ms <= 61 * MINUTE_MS; ago_ms += MINUTE_MS / 4) {
        struct refused r = {0};
        refused_note(&r, REFUSED_KEY, "10.0.0.3:5002", begun_ms);
        struct refused_lately l = look(&r, REFUSED_KEY, begun_ms + ago_ms);
        assert_int_equal(l.count, l.from_count);
        if (ago_ms <= 59 * MINUTE_MS)
            assert_int_equal(l.count, 1);
        if (ago_ms > 60 * MINUTE_MS)
            assert_int_equal(l.count, 0);
    }
}

static void
the_last_senders_are_named_the_newest_first(void **state)
{
    (void)state;
    struct refused r = {0};
    char text[REFUSED_FROM_TEXT];
    for (int i = 0; i < 6; i++) {
        (void)snprintf(text, sizeof text, "10.0.0.%d", i);
        refused_note(&r, REFUSED_CLOCK, text, 1000 + i);
    }
    refused_note(&r, REFUSED_CLOCK, "10.0.0.3", 1005); /* at once with the last one */
    struct refused_lately l = look(&r, REFUSED_CLOCK, 2000);
    assert_int_equal(l.count, 7);
    assert_int_equal(l.from_count, REFUSED_FROM_MAX);
    assert_string_not_equal(l.from[0], l.from[1]);
    assert_string_equal(l.from[2], "10.0.0.4");
    assert_string_equal(l.from[3], "10.0.0.2");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_refused_at_first),
        cmocka_unit_test(it_is_forgotten_after_an_hour_bit_by_bit),
        cmocka_unit_test(a_sender_is_named_as_long_as_its_message_counts),
        cmocka_unit_test(the_last_senders_are_named_the_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
