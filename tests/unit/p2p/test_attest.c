#include "tests/unit/p2p/unit.h"

#include "p2p/attest.h"

static const struct digest blob = {.bytes = {1}}, other = {.bytes = {2}};

/* Words whose bytes all are `what`, `what` + 1 ... */
static struct wire_bits
words(uint8_t *room, uint8_t what, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memset(room + i * ATTEST_BYTES, (int)(what + i), ATTEST_BYTES);
    return (struct wire_bits){room, (uint16_t)(count * ATTEST_BYTES)};
}

static void
runs_come_back_and_the_first_word_stays(void **state)
{
    (void)state;
    uint8_t room[4 * ATTEST_BYTES];
    struct wire_attested run;
    struct attest *a = attest_new();
    struct wire_bits w = words(room, 10, 2);
    attest_hear(a, &blob, 3, &w);
    w = words(room, 70, 4);
    attest_hear(a, &blob, 4, &w); /* piece 4 is known */
    w = words(room, 90, 1);
    attest_hear(a, &blob, 100, &w);
    uint32_t at = 0;
    assert_true(attest_next(a, &blob, &at, &run));
    assert_int_equal(run.first, 3);
    assert_int_equal(run.words.len, 5 * ATTEST_BYTES);
    assert_int_equal(run.words.bytes[ATTEST_BYTES], 11);
    assert_int_equal(run.words.bytes[(size_t)2 * ATTEST_BYTES], 71);
    assert_true(attest_next(a, &blob, &at, &run));
    assert_int_equal(run.first, 100);
    assert_int_equal(run.words.bytes[0], 90);
    assert_false(attest_next(a, &blob, &at, &run));
    at = 0;
    assert_false(attest_next(a, &other, &at, &run));
    attest_free(a);
}

static void
what_cannot_be_is_ignored(void **state)
{
    (void)state;
    uint8_t room[2 * ATTEST_BYTES];
    struct wire_attested run;
    struct attest *a = attest_new();
    struct wire_bits w = words(room, 1, 2);
    uint32_t at = 0;
    attest_hear(a, &blob, WIRE_PIECES_MAX - 1, &w);
    attest_hear(a, &blob, UINT32_MAX, &w);
    w.len = ATTEST_BYTES - 1;
    attest_hear(a, &blob, 0, &w);
    assert_false(attest_next(a, &blob, &at, &run));
    attest_free(a);
}

static void
the_blob_spoken_of_least_lately_is_forgotten(void **state)
{
    (void)state;
    uint8_t room[ATTEST_BYTES];
    struct wire_attested run;
    struct attest *a = attest_new();
    struct wire_bits w = words(room, 1, 1);
    struct digest d = {.bytes = {0}};
    for (int i = 0; i < ATTEST_BLOBS_MAX; i++) {
        d.bytes[1] = (uint8_t)i;
        attest_hear(a, &d, 0, &w);
    }
    d.bytes[1] = 0;
    attest_hear(a, &d, 1, &w);
    attest_hear(a, &other, 0, &w);
    uint32_t at = 0;
    assert_true(attest_next(a, &d, &at, &run));
    d.bytes[1] = 1;
    at = 0;
    assert_false(attest_next(a, &d, &at, &run));
    attest_free(a);
}

static void
own_words_are_said_once_in_runs(void **state)
{
    (void)state;
    uint8_t word[ATTEST_BYTES], room[8192];
    struct attest *a = attest_new(), *tracker = attest_new();
    static const uint32_t pieces[] = {0, 1, 2, 7, 8};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        memset(word, (int)pieces[i] + 1, sizeof word);
        attest_own(a, &blob, pieces[i], word);
    }
    struct scribe out;
    scribe_init(&out, room, sizeof room);
    attest_say(a, &out);
    struct cursor c;
    struct wire_msg m;
    unsigned records = 0;
    cursor_init(&c, room, scribe_len(&out));
    while (wire_next(&c, &m) == 1) {
        assert_int_equal(m.type, WIRE_ATTEST);
        attest_hear(tracker, &m.attest.digest, m.attest.first, &m.attest.words);
        records++;
    }
    assert_int_equal(records, 2);
    uint32_t at = 3;
    struct wire_attested run;
    assert_true(attest_next(tracker, &blob, &at, &run));
    assert_int_equal(run.first, 7);
    assert_int_equal(run.words.bytes[ATTEST_BYTES], 9);
    scribe_init(&out, room, sizeof room);
    attest_say(a, &out);
    assert_int_equal(scribe_len(&out), 0);
    attest_free(a);
    attest_free(tracker);
}

static void
what_has_no_room_is_said_later(void **state)
{
    (void)state;
    uint8_t word[ATTEST_BYTES] = {0}, room[200];
    struct attest *a = attest_new();
    struct scribe out;
    attest_own(a, &blob, 5, word);
    scribe_init(&out, room, sizeof room);
    attest_say(a, &out);
    assert_int_equal(scribe_len(&out), 0);
    uint8_t large[8192];
    scribe_init(&out, large, sizeof large);
    attest_say(a, &out);
    assert_true(scribe_len(&out) > ATTEST_BYTES);
    attest_free(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_come_back_and_the_first_word_stays),
        cmocka_unit_test(what_cannot_be_is_ignored),
        cmocka_unit_test(the_blob_spoken_of_least_lately_is_forgotten),
        cmocka_unit_test(own_words_are_said_once_in_runs),
        cmocka_unit_test(what_has_no_room_is_said_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
