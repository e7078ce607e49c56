/* What pieces hash to: what a node asks, tells and believes. */
#define PIECES 600u
#define PIECE  ((uint64_t)PIECE_BYTES_MAX)

#include "tests/unit/p2p/swarm_unit.h"

static void
says(struct swarm *s, uint8_t node, bool read, uint32_t piece, uint8_t what)
{
    struct node_id id = unit_node(node);
    uint8_t word[ATTEST_BYTES];
    struct wire_bits said = {word, sizeof word};
    memset(word, what, sizeof word);
    swarm_words(s, &id, read, piece, &said, 0);
}

static void
ends(struct swarm *s, uint8_t node, int64_t now_ms)
{
    struct node_id id = unit_node(node);
    struct wire_bits none = {NULL, 0};
    swarm_words(s, &id, false, 0, &none, now_ms);
}

static bool
asks(struct swarm *s, int64_t now_ms, struct wire_ask_words *ret)
{
    const struct node_id *to;
    return swarm_asks_words(s, now_ms, ret, &to);
}

static void
a_piece_is_asked_for_when_its_word_is_known(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    has(s, 2, 3, 1);
    assert_false(next(s, 0, 0, &g));
    says(s, 2, true, 3, 77);
    assert_true(next(s, 0, 0, &g));
    assert_int_equal(g.first, 3);
    assert_true(g.has_word);
    assert_int_equal(g.word[5], 77);
    swarm_free(s);
}

static void
who_has_pieces_is_asked_for_their_words(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct wire_ask_words ask;
    const struct node_id *to;
    assert_false(asks(s, 0, &ask));
    has(s, 2, 3, 500);
    assert_true(swarm_asks_words(s, 0, &ask, &to));
    assert_int_equal(to->bytes[0], 2);
    assert_int_equal(ask.first, 3);
    assert_int_equal(ask.count, SWARM_WORDS_MAX);
    assert_false(asks(s, SWARM_WORDS_MS - 1, &ask)); /* it may answer yet */
    assert_true(asks(s, SWARM_WORDS_MS, &ask));
    says(s, 2, true, 3, 1);
    ends(s, 2, SWARM_WORDS_MS);
    assert_false(asks(s, SWARM_WORDS_MS, &ask)); /* words may come behind the end */
    assert_true(asks(s, SWARM_WORDS_MS + SWARM_HAVE_MS, &ask));
    assert_int_equal(ask.first, 4);
    swarm_free(s);
}

static uint32_t
said_to_have(struct swarm *s, size_t i)
{
    struct node_id id;
    struct node_addr addr;
    uint32_t held;
    assert_true(swarm_other(s, i, &id, &addr, &held));
    return held;
}

/* Lost words never hold a pull up: after a few questions the tracker and the WAN are to help. */
static void
who_does_not_answer_is_not_believed_after_a_few_questions(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct wire_ask_words ask;
    struct swarm_get g;
    struct wire_doubt d;
    size_t at = 0;
    int64_t now_ms = 0;
    has(s, 2, 3, 1);
    for (unsigned i = 0; i < SWARM_WORDS_ASKS; i++, now_ms += SWARM_WORDS_MS) {
        assert_true(asks(s, now_ms, &ask));
        assert_false(next(s, 0, now_ms, &g));
    }
    assert_false(asks(s, now_ms, &ask));
    assert_false(next(s, 0, now_ms, &g)); /* nothing is taken without a word */
    assert_int_equal(said_to_have(s, 0), 0);
    assert_true(swarm_doubt(s, 0, &at, &d));
    assert_int_equal(d.node.bytes[0], 2);
    swarm_free(s);
}

static void
who_knows_no_words_is_not_believed_and_another_is_asked(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct wire_ask_words ask;
    const struct node_id *to;
    int64_t now_ms = 0;
    has(s, 2, 3, 1);
    has(s, 3, 3, 1);
    assert_true(swarm_asks_words(s, now_ms, &ask, &to));
    assert_int_equal(to->bytes[0], 2);
    ends(s, 2, now_ms);
    now_ms += SWARM_HAVE_MS;
    assert_true(swarm_asks_words(s, now_ms, &ask, &to));
    assert_int_equal(to->bytes[0], 3);
    assert_int_equal(said_to_have(s, 0), 0);
    assert_int_equal(said_to_have(s, 1), 1);
    swarm_free(s);
}

/* Datagrams overtake each other. */
static void
an_end_that_comes_before_its_words_is_none(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct wire_ask_words ask;
    has(s, 2, 3, 2);
    assert_true(asks(s, 0, &ask));
    ends(s, 2, 0);
    says(s, 2, true, 3, 1);
    assert_true(asks(s, SWARM_HAVE_MS, &ask));
    assert_int_equal(said_to_have(s, 0), 2);
    swarm_free(s);
}

static void
a_disputed_piece_is_read_upstream(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    size_t at = 0;
    struct wire_fetching f;
    has(s, 2, 3, 1);
    says(s, 2, true, 3, 1);
    says(s, 3, true, 3, 2);
    assert_true(next(s, 0, 0, &g));
    assert_int_equal(g.source, SWARM_WAN);
    assert_int_equal(g.first, 3);
    assert_int_equal(g.count, 1);
    /* The tracker, for which somebody has it, would stop it. */
    assert_false(swarm_report(s, &at, &f));
    swarm_free(s);
}

static void
who_gives_other_bytes_than_its_word_says_is_found_out(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct node_id who;
    size_t at = 0;
    for (uint32_t p = 3; p <= 4; p++) {
        assert_false(swarm_liar(s, &at, &who));
        at = 0;
        has(s, 2, p, 1);
        says(s, 3, true, p, 1);
        assert_true(next(s, 0, p * 100, &g));
        assert_int_equal(g.source, SWARM_LAN);
        swarm_end(s, g.id, SWARM_LIED, 0, 0, p * 100);
        /* Nobody else has it: the WAN. */
        assert_true(next(s, 0, p * 100, &g));
        assert_int_equal(g.source, SWARM_WAN);
        assert_int_equal(g.first, p);
        swarm_piece(s, g.id, p, p * 100);
        swarm_end(s, g.id, SWARM_DONE, 1, 0, p * 100);
    }
    assert_true(swarm_liar(s, &at, &who));
    assert_int_equal(who.bytes[0], 2);
    assert_false(swarm_liar(s, &at, &who));
    swarm_free(s);
}

static void
own_words_are_told_once_and_to_whom_asks(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct wire_attest run;
    uint8_t word[ATTEST_BYTES] = {9};
    uint32_t at = 0;
    for (uint32_t p = 10; p < 12; p++)
        swarm_attest(s, true, p, word, 0);
    swarm_attest(s, true, 20, word, 0);
    swarm_attest(s, false, 21, word, 0); /* of another site */
    assert_true(swarm_take_words(s, true, &at, &run));
    assert_int_equal(run.first, 10);
    assert_int_equal(run.words.len, 2 * ATTEST_BYTES);
    assert_true(swarm_take_words(s, true, &at, &run));
    assert_int_equal(run.first, 20);
    assert_int_equal(run.words.len, ATTEST_BYTES);
    assert_false(swarm_take_words(s, true, &at, &run));
    at = 0;
    assert_true(swarm_take_words(s, false, &at, &run));
    assert_int_equal(run.first, 21);
    swarm_told_words(s);
    at = 0;
    assert_false(swarm_take_words(s, true, &at, &run));
    struct wire_ask_words ask = {.first = 11, .count = UINT32_MAX};
    at = 0;
    assert_true(swarm_tell_words(s, &ask, true, &at, &run));
    assert_int_equal(run.first, 11);
    assert_int_equal(run.words.len, ATTEST_BYTES);
    swarm_free(s);
}

static void
each_node_reads_what_it_comes_first_for_and_the_rest_when_nothing_is_found_out(void **state)
{
    (void)state;
    struct swarm *s = swarm();
    struct swarm_get g;
    struct member other = {.id = unit_node(2), .seq = 1};
    assert_true(member_heard(&members, &other, 0));
    for (uint32_t p = 0; p < 20; p++)
        says(s, 2, true, p, 1);
    swarm_doubt_words(s, 1000);
    unsigned count = 0;
    for (; next(s, 0, 1000, &g); count++) {
        assert_int_equal(g.source, SWARM_WAN);
        swarm_piece(s, g.id, g.first, 1000);
        swarm_end(s, g.id, SWARM_DONE, 1, 0, 1000);
    }
    assert_true(count > 2 && count < 18); /* half of them, by hash */
    assert_false(next(s, 0, 1000 + SWARM_RESCUE_TURN_MS - 1, &g));
    assert_true(next(s, 0, 1000 + SWARM_RESCUE_TURN_MS, &g));
    swarm_free(s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_piece_is_asked_for_when_its_word_is_known),
        cmocka_unit_test(who_has_pieces_is_asked_for_their_words),
        cmocka_unit_test(who_does_not_answer_is_not_believed_after_a_few_questions),
        cmocka_unit_test(who_knows_no_words_is_not_believed_and_another_is_asked),
        cmocka_unit_test(an_end_that_comes_before_its_words_is_none),
        cmocka_unit_test(a_disputed_piece_is_read_upstream),
        cmocka_unit_test(who_gives_other_bytes_than_its_word_says_is_found_out),
        cmocka_unit_test(own_words_are_told_once_and_to_whom_asks),
        cmocka_unit_test(
            each_node_reads_what_it_comes_first_for_and_the_rest_when_nothing_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
