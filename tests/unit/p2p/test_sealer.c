#include "tests/unit/p2p/unit.h"

#include "base/clock.h"
#include "base/metric.h"
#include "p2p/sealer.h"
#include <stdio.h>
#include <unistd.h>

/* Large: not on the stack. */
static struct sealer one, two, enemy;
static uint8_t msg[256];

static int
set_up(void **state)
{
    static const struct seal_keys key = {1, {{{1}}}}, other = {1, {{{2}}}};
    struct node_id a = unit_node(1), b = unit_node(2), c = unit_node(3);
    (void)state;
    sealer_init(&one, &key, &a, 0);
    sealer_init(&two, &key, &b, 0);
    sealer_init(&enemy, &other, &c, 0);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    sealer_release(&one);
    sealer_release(&two);
    sealer_release(&enemy);
    return 0;
}

static size_t
say(struct sealer *s, enum seal_kind kind)
{
    memcpy(msg + SEAL_HEAD, "hello", 5);
    return sealer_close(s, kind, msg, 5);
}

static void
a_message_is_believed_once(void **state)
{
    (void)state;
    struct seal_head h;
    uint64_t before = metric_get(M_p2p_refused_replay);
    size_t len = say(&one, SEAL_DATAGRAM);
    assert_int_equal(sealer_open(&two, SEAL_DATAGRAM, msg, len, "10.0.0.1", &h), 0);
    assert_int_equal(h.sender.bytes[0], 1);
    assert_int_equal(h.len, 5);
    assert_int_equal(sealer_open(&two, SEAL_DATAGRAM, msg, len, "10.0.0.1", &h), ERR_REFUSED);
    assert_int_equal(metric_get(M_p2p_refused_replay), before + 1);
}

static void
another_key_another_kind_and_noise_are_refused_and_counted(void **state)
{
    (void)state;
    struct seal_head h;
    uint64_t key = metric_get(M_p2p_refused_key), syntax = metric_get(M_p2p_refused_syntax);
    size_t len = say(&enemy, SEAL_DATAGRAM);
    assert_int_equal(sealer_open(&two, SEAL_DATAGRAM, msg, len, "10.0.0.1", &h), ERR_DENIED);
    len = say(&one, SEAL_REQUEST);
    assert_int_equal(sealer_open(&two, SEAL_DATAGRAM, msg, len, NULL, &h), ERR_SYNTAX);
    assert_int_equal(sealer_open(&two, SEAL_DATAGRAM, msg, 3, NULL, &h), ERR_SYNTAX);
    assert_int_equal(metric_get(M_p2p_refused_key), key + 1);
    assert_int_equal(metric_get(M_p2p_refused_syntax), syntax + 2);
    uint64_t version = metric_get(M_p2p_refused_version);
    len = say(&one, SEAL_DATAGRAM);
    msg[2]++;
    assert_int_equal(sealer_open(&two, SEAL_DATAGRAM, msg, len, NULL, &h), ERR_VERSION);
    assert_int_equal(metric_get(M_p2p_refused_version), version + 1);
}

/* Does `two` believe what `one` says, in a message and in a header? */
static bool
believes(int expect)
{
    struct seal_head h;
    struct node_id from;
    char text[SEAL_TEXT_MAX];
    size_t len = say(&one, SEAL_DATAGRAM);
    bool right = sealer_open(&two, SEAL_DATAGRAM, msg, len, NULL, &h) == expect;
    assert_int_equal(sealer_sign(&one, "GET /a 0-9", text), 0);
    return right && sealer_verify(&two, text, "GET /a 0-9", &from) == expect;
}

static void
keys_are_changed_one_node_at_a_time(void **state)
{
    (void)state;
    static const struct seal_keys old = {1, {{{1}}}}, both = {2, {{{1}}, {{3}}}},
                                  turned = {2, {{{3}}, {{1}}}}, fresh = {1, {{{3}}}};
    uint64_t older = metric_get(M_p2p_older_key);
    sealer_rekey(&two, &both); /* it signs with the old one still */
    assert_true(believes(0));
    assert_int_equal(metric_get(M_p2p_older_key), older);
    sealer_rekey(&one, &both);
    sealer_rekey(&one, &turned);
    assert_true(believes(0));
    assert_int_equal(metric_get(M_p2p_older_key), older + 2);
    sealer_rekey(&two, &turned);
    sealer_rekey(&two, &fresh);
    assert_true(believes(0));
    assert_int_equal(metric_get(M_p2p_older_key), older + 2);
    sealer_rekey(&one, &old);
    assert_true(believes(ERR_DENIED));
}

static void
a_clock_that_is_wrong_is_refused_and_counted(void **state)
{
    (void)state;
    struct seal_head h = {.kind = SEAL_DATAGRAM, .sender = unit_node(1), .boot = 1, .seq = 1};
    uint64_t before = metric_get(M_p2p_refused_clock);
    h.stamp_ms = (uint64_t)clock_wall_ms() - 2 * SEAL_SKEW_MS;
    size_t len = seal_close(&one.keys.all[0], &h, msg);
    assert_int_equal(sealer_open(&two, SEAL_DATAGRAM, msg, len, "10.0.0.1", &h), ERR_TIMEOUT);
    assert_int_equal(metric_get(M_p2p_refused_clock), before + 1);
}

/* Anybody can send from any address: no flood of lines comes of it. */
static void
strangers_are_told_of_now_and_then(void **state)
{
    (void)state;
    struct seal_head h;
    FILE *lines = tmpfile();
    assert_non_null(lines);
    int real = dup(STDERR_FILENO);
    uint64_t before = metric_get(M_p2p_refused_key);
    int64_t began_ms = clock_ms();
    assert_true(real >= 0 && dup2(fileno(lines), STDERR_FILENO) >= 0);
    for (unsigned i = 0; i < 200; i++) {
        char from[32];
        size_t len = say(&enemy, SEAL_DATAGRAM);
        (void)snprintf(from, sizeof from, "10.0.0.%u", i);
        if (sealer_open(&two, SEAL_DATAGRAM, msg, len, from, &h) != ERR_DENIED)
            before = UINT64_MAX;
    }
    int64_t seconds = (clock_ms() - began_ms) / SEALER_TELL_MS + 1;
    assert_true(dup2(real, STDERR_FILENO) >= 0 && close(real) == 0);
    assert_int_equal(metric_get(M_p2p_refused_key), before + 200);
    int told = 0;
    rewind(lines);
    for (int c; (c = fgetc(lines)) != EOF;)
        told += c == '\n';
    assert_true(fclose(lines) == 0 && told >= 1 && told <= seconds);
}

static void
our_own_messages_are_neither_believed_nor_counted(void **state)
{
    (void)state;
    struct seal_head h;
    uint64_t replays = metric_get(M_p2p_refused_replay), ids = metric_get(M_p2p_refused_id);
    size_t len = say(&one, SEAL_DATAGRAM);
    assert_int_equal(sealer_open(&one, SEAL_DATAGRAM, msg, len, "10.0.0.1", &h), ERR_AGAIN);
    assert_int_equal(sealer_open(&one, SEAL_DATAGRAM, msg, len, "10.0.0.1", &h), ERR_AGAIN);
    assert_int_equal(metric_get(M_p2p_refused_replay), replays);
    assert_int_equal(metric_get(M_p2p_refused_id), ids);
}

static void
a_copy_of_this_node_is_counted(void **state)
{
    (void)state;
    struct seal_head h;
    struct refused_lately lately[REFUSED_KINDS];
    struct sealer copy;
    sealer_init(&copy, &one.keys, &one.self, 2);
    uint64_t before = metric_get(M_p2p_refused_id);
    size_t len = say(&copy, SEAL_DATAGRAM);
    assert_int_equal(sealer_open(&one, SEAL_DATAGRAM, msg, len, "10.0.0.7", &h), ERR_AGAIN);
    assert_int_equal(metric_get(M_p2p_refused_id), before + 1);
    sealer_refused(&one, lately);
    assert_int_equal(lately[REFUSED_ID].count, 1);
    assert_string_equal(lately[REFUSED_ID].from[0], "10.0.0.7");
    sealer_release(&copy);
}

static void
a_signed_request_passes_once_and_for_its_own_text_only(void **state)
{
    (void)state;
    char text[SEAL_TEXT_MAX];
    struct node_id from;
    assert_int_equal(sealer_sign(&one, "GET /a bytes=0-9", text), 0);
    assert_int_equal(sealer_verify(&two, text, "GET /b bytes=0-9", &from), ERR_DENIED);
    assert_int_equal(sealer_verify(&two, text, "GET /a bytes=0-9", &from), 0);
    assert_int_equal(from.bytes[0], 1);
    assert_int_equal(sealer_verify(&two, text, "GET /a bytes=0-9", &from), ERR_REFUSED);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_message_is_believed_once),
        WITH(another_key_another_kind_and_noise_are_refused_and_counted),
        WITH(a_clock_that_is_wrong_is_refused_and_counted),
        WITH(strangers_are_told_of_now_and_then),
        WITH(our_own_messages_are_neither_believed_nor_counted),
        WITH(a_copy_of_this_node_is_counted),
        WITH(a_signed_request_passes_once_and_for_its_own_text_only),
        WITH(keys_are_changed_one_node_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
