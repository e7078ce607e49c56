#include "tests/unit/p2p/unit.h"

#include "p2p/attest.h"

#define PIECES 100

static const struct digest blob = {.bytes = {1}};
static const struct node_id a = {{1}}, b = {{2}}, c = {{3}}, d = {{4}};

/* Words whose bytes all are `what`, `what` + 1 ... */
static struct wire_bits
words(uint8_t *room, uint8_t what, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memset(room + i * ATTEST_BYTES, (int)(what + i), ATTEST_BYTES);
    return (struct wire_bits){room, (uint16_t)(count * ATTEST_BYTES)};
}

static void
say(struct attest *t, const struct node_id *who, bool read, uint32_t piece, uint8_t what)
{
    uint8_t room[ATTEST_BYTES];
    struct wire_bits w = words(room, what, 1);
    attest_hear(t, who, read, piece, &w);
}

static void
is_word(const struct attest *t, uint32_t piece, uint8_t what)
{
    uint8_t word[ATTEST_BYTES] = {0};
    assert_int_equal(attest_of(t, piece, word), ATTEST_WORD);
    assert_int_equal(word[0], what);
    assert_int_equal(word[ATTEST_BYTES - 1], what);
}

static void
own_words_come_before_those_who_read_and_these_before_the_rest(void **state)
{
    (void)state;
    uint8_t own[ATTEST_BYTES];
    struct attest *t = attest_new(PIECES);
    assert_int_equal(attest_of(t, 3, NULL), ATTEST_NONE);
    say(t, &a, false, 3, 10);
    say(t, &b, false, 3, 10);
    is_word(t, 3, 10);
    say(t, &c, true, 3, 20); /* one that read it knows better than two that have it */
    is_word(t, 3, 20);
    memset(own, 30, sizeof own);
    attest_own(t, true, 3, own);
    is_word(t, 3, 30);
    attest_free(t);
}

static struct node_id
one_of_many(unsigned n)
{
    return (struct node_id){{9, (uint8_t)n, (uint8_t)(n >> 8)}};
}

static void
who_says_what_nobody_did_is_heard_however_many_speak(void **state)
{
    (void)state;
    struct attest *t = attest_new(PIECES);
    struct node_id who;
    for (unsigned n = 0; n < 200; n++) {
        who = one_of_many(n);
        say(t, &who, false, n % 50, (uint8_t)(n % 50 + 1));
    }
    say(t, &a, true, 60, 10); /* what nobody said */
    is_word(t, 60, 10);
    say(t, &b, false, 61, 20);
    is_word(t, 61, 20);
    say(t, &c, true, 5, 77); /* nobody has read that one */
    is_word(t, 5, 77);
    for (unsigned n = 300; n < 400; n++) {
        who = one_of_many(n);
        say(t, &who, true, 62 + n % 30, (uint8_t)(n % 30 + 1));
    }
    for (unsigned p = 0; p < 50; p++)
        is_word(t, p, p == 5 ? 77 : (uint8_t)(p + 1));
    for (unsigned p = 0; p < 30; p++)
        is_word(t, 62 + p, (uint8_t)(p + 1));
    attest_free(t);
}

static void
who_took_anothers_place_and_that_other_are_no_two_witnesses(void **state)
{
    (void)state;
    struct attest *t = attest_new(2 * PIECES);
    struct node_id who;
    say(t, &a, true, 3, 10);
    for (unsigned n = 0; n < 130; n++) { /* all of them have read a piece: it loses its place */
        who = one_of_many(n);
        say(t, &who, true, 4 + n, 1);
    }
    say(t, &a, true, 190, 1); /* and comes back, */
    say(t, &a, true, 3, 10);  /* and says it again */
    say(t, &b, true, 191, 1);
    say(t, &c, true, 192, 1);
    say(t, &b, true, 3, 20);
    assert_int_equal(attest_of(t, 3, NULL), ATTEST_DISPUTED);
    say(t, &c, true, 3, 20);
    is_word(t, 3, 20);
    attest_free(t);
}

static void
a_node_has_one_word_until_it_reads_the_piece(void **state)
{
    (void)state;
    struct attest *t = attest_new(PIECES);
    say(t, &a, false, 3, 10);
    say(t, &a, false, 3, 11);
    is_word(t, 3, 10);
    say(t, &a, true, 3, 12);
    is_word(t, 3, 12);
    say(t, &a, true, 3, 13);
    say(t, &a, false, 3, 13);
    is_word(t, 3, 12);
    attest_free(t);
}

static void
different_words_are_disputed_until_most_agree(void **state)
{
    (void)state;
    struct attest *t = attest_new(PIECES);
    say(t, &a, true, 3, 10);
    say(t, &b, true, 3, 20);
    assert_int_equal(attest_of(t, 3, NULL), ATTEST_DISPUTED);
    say(t, &c, true, 3, 20);
    is_word(t, 3, 20);
    is_word(t, 3, 20);
    attest_free(t);
}

static void
who_is_outvoted_twice_is_a_liar_and_not_believed(void **state)
{
    (void)state;
    struct attest *t = attest_new(PIECES);
    struct node_id who;
    size_t at = 0;
    say(t, &a, true, 9, 77); /* nobody else says a word of this one yet */
    for (uint32_t i = 1; i <= 2; i++) {
        assert_false(attest_liar(t, &at, &who));
        at = 0;
        say(t, &a, true, i, 10);
        say(t, &b, true, i, 20);
        say(t, &c, true, i, 20);
        say(t, &d, true, i, 20); /* and not twice for one piece */
    }
    assert_true(attest_liar(t, &at, &who));
    assert_true(node_equal(&who, &a));
    assert_false(attest_liar(t, &at, &who));
    assert_int_equal(attest_of(t, 9, NULL), ATTEST_NONE);
    say(t, &b, true, 9, 78);
    is_word(t, 9, 78);
    attest_free(t);
}

static void
what_we_read_ourselves_proves_a_liar(void **state)
{
    (void)state;
    uint8_t own[ATTEST_BYTES];
    struct attest *t = attest_new(PIECES);
    struct node_id who;
    size_t at = 0;
    memset(own, 30, sizeof own);
    for (uint32_t i = 1; i <= 2; i++) {
        say(t, &a, true, i, 10);
        say(t, &b, true, i, 10); /* two of them, alike */
        attest_own(t, true, i, own);
    }
    assert_true(attest_liar(t, &at, &who));
    assert_true(attest_liar(t, &at, &who));
    assert_false(attest_liar(t, &at, &who));
    attest_free(t);
}

static void
a_single_word_that_nodes_contradict_with_bytes_is_disputed(void **state)
{
    (void)state;
    struct attest *t = attest_new(PIECES);
    say(t, &a, true, 3, 10);
    attest_lied(t, 3);
    is_word(t, 3, 10);
    attest_lied(t, 3);
    assert_int_equal(attest_of(t, 3, NULL), ATTEST_DISPUTED);
    say(t, &b, true, 3, 10); /* the other one that read it says the same */
    is_word(t, 3, 10);
    attest_free(t);
}

static void
a_banned_speaker_is_forgotten(void **state)
{
    (void)state;
    struct attest *t = attest_new(PIECES);
    say(t, &a, true, 3, 10);
    attest_forget(t, &a);
    assert_int_equal(attest_of(t, 3, NULL), ATTEST_NONE);
    say(t, &a, true, 4, 10);
    assert_int_equal(attest_of(t, 4, NULL), ATTEST_NONE);
    attest_free(t);
}

static void
runs_hold_what_was_read_or_the_rest(void **state)
{
    (void)state;
    uint8_t room[3 * ATTEST_BYTES], own[ATTEST_BYTES];
    struct attest *t = attest_new(PIECES);
    struct wire_attest run;
    struct wire_bits w = words(room, 10, 3);
    uint32_t at = 0;
    attest_hear(t, &a, true, 4, &w);
    memset(own, 30, sizeof own);
    attest_own(t, true, 7, own);
    attest_own(t, false, 9, own);
    assert_true(attest_run(t, &blob, true, &at, PIECES, &run));
    assert_int_equal(run.first, 7);
    assert_int_equal(run.words.len, ATTEST_BYTES);
    assert_int_equal(run.read, 1);
    assert_false(attest_run(t, &blob, true, &at, PIECES, &run));
    at = 0;
    assert_true(attest_run(t, &blob, false, &at, PIECES, &run));
    assert_int_equal(run.first, 4);
    assert_int_equal(run.words.len, 3 * ATTEST_BYTES);
    assert_int_equal(run.words.bytes[2 * ATTEST_BYTES], 12);
    assert_int_equal(run.read, 0);
    assert_true(attest_run(t, &blob, false, &at, PIECES, &run));
    assert_int_equal(run.first, 9);
    assert_false(attest_run(t, &blob, false, &at, PIECES, &run));
    attest_free(t);
}

static void
what_cannot_be_is_ignored(void **state)
{
    (void)state;
    uint8_t room[2 * ATTEST_BYTES];
    struct attest *t = attest_new(PIECES);
    struct wire_attest run;
    struct wire_bits w = words(room, 1, 2);
    uint32_t at = 0;
    attest_hear(t, &a, true, PIECES - 1, &w);
    attest_hear(t, &a, true, UINT32_MAX, &w);
    w.len = ATTEST_BYTES - 1;
    attest_hear(t, &a, true, 0, &w);
    assert_false(attest_run(t, &blob, false, &at, UINT32_MAX, &run));
    attest_free(t);
}

/* A wrong digest: each word needs a second reader, until some of a speaker's had one. */
static void
doubted_words_count_when_they_are_confirmed(void **state)
{
    (void)state;
    size_t at = 0;
    struct node_id who;
    struct attest *t = attest_new(PIECES);
    for (uint32_t p = 0; p < 4; p++) {
        say(t, &a, true, p, 10);
        say(t, &b, true, 4 + p, 66);
    }
    is_word(t, 3, 10);
    attest_doubt(t);
    unsigned verdicts = attest_verdicts(t);
    assert_int_equal(attest_of(t, 3, NULL), ATTEST_DISPUTED);
    say(t, &c, true, 0, 10);
    is_word(t, 0, 10);
    assert_int_equal(attest_of(t, 3, NULL), ATTEST_DISPUTED);
    assert_int_equal(attest_verdicts(t), verdicts);
    say(t, &c, true, 1, 10);
    assert_true(attest_verdicts(t) > verdicts);
    is_word(t, 3, 10); /* a is trusted again */
    for (uint32_t p = 4; p < 6; p++) {
        uint8_t own[ATTEST_BYTES];
        memset(own, 10, sizeof own);
        attest_own(t, true, p, own);
    }
    assert_true(attest_liar(t, &at, &who));
    assert_true(node_equal(&who, &b));
    attest_doubt(t); /* the second time nobody is trusted */
    assert_int_equal(attest_of(t, 3, NULL), ATTEST_DISPUTED);
    say(t, &c, true, 2, 10);
    say(t, &c, true, 3, 10);
    is_word(t, 3, 10);
    attest_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_words_come_before_those_who_read_and_these_before_the_rest),
        cmocka_unit_test(who_says_what_nobody_did_is_heard_however_many_speak),
        cmocka_unit_test(who_took_anothers_place_and_that_other_are_no_two_witnesses),
        cmocka_unit_test(a_node_has_one_word_until_it_reads_the_piece),
        cmocka_unit_test(different_words_are_disputed_until_most_agree),
        cmocka_unit_test(who_is_outvoted_twice_is_a_liar_and_not_believed),
        cmocka_unit_test(what_we_read_ourselves_proves_a_liar),
        cmocka_unit_test(a_single_word_that_nodes_contradict_with_bytes_is_disputed),
        cmocka_unit_test(a_banned_speaker_is_forgotten),
        cmocka_unit_test(runs_hold_what_was_read_or_the_rest),
        cmocka_unit_test(what_cannot_be_is_ignored),
        cmocka_unit_test(doubted_words_count_when_they_are_confirmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
