#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/seal.h"
#include <stdio.h>

#define NOW_MS 1800000000000u
#define BODY   "hello"

static const struct seal_key key = {{1, 2, 3}};

static struct seal_head
head(uint64_t boot, uint64_t seq, uint64_t stamp_ms)
{
    return (struct seal_head){.kind = SEAL_DATAGRAM,
                              .len = sizeof BODY - 1,
                              .sender = unit_node(7),
                              .stamp_ms = stamp_ms,
                              .boot = boot,
                              .seq = seq};
}

static size_t
sealed(uint8_t room[256])
{
    struct seal_head h = head(5, 1, NOW_MS);
    memcpy(room + SEAL_HEAD, BODY, sizeof BODY - 1);
    return seal_close(&key, &h, room);
}

static void
what_was_sealed_opens_with_the_same_key(void **state)
{
    (void)state;
    uint8_t msg[256];
    size_t len = sealed(msg);
    struct seal_head h;
    assert_int_equal(len, SEAL_HEAD + 5 + SEAL_MAC);
    assert_int_equal(seal_open(&key, msg, len, NOW_MS, &h), 0);
    assert_int_equal(h.sender.bytes[0], 7);
    assert_int_equal(h.boot, 5);
    assert_int_equal(h.len, 5);
    assert_memory_equal(msg + SEAL_HEAD, BODY, 5);
}

static void
no_changed_bit_passes(void **state)
{
    (void)state;
    uint8_t msg[256];
    size_t len = sealed(msg);
    struct seal_head h;
    for (size_t bit = 0; bit < len * 8; bit++) {
        msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_true(seal_open(&key, msg, len, NOW_MS, &h) < 0);
        msg[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(seal_open(&key, msg, cut, NOW_MS, &h), ERR_SYNTAX);
}

static void
another_key_is_denied(void **state)
{
    (void)state;
    uint8_t msg[256];
    size_t len = sealed(msg);
    struct seal_key other = {{1, 2, 4}};
    struct seal_head h;
    assert_int_equal(seal_open(&other, msg, len, NOW_MS, &h), ERR_DENIED);
}

static void
a_stamp_a_minute_off_is_refused_both_ways(void **state)
{
    (void)state;
    uint8_t msg[256];
    size_t len = sealed(msg);
    struct seal_head h;
    assert_int_equal(seal_open(&key, msg, len, NOW_MS + SEAL_SKEW_MS, &h), 0);
    assert_int_equal(seal_open(&key, msg, len, NOW_MS - SEAL_SKEW_MS, &h), 0);
    assert_int_equal(seal_open(&key, msg, len, NOW_MS + SEAL_SKEW_MS + 1, &h), ERR_TIMEOUT);
    assert_int_equal(seal_open(&key, msg, len, NOW_MS - SEAL_SKEW_MS - 1, &h), ERR_TIMEOUT);
}

static void
nothing_passes_twice_and_late_ones_pass_once(void **state)
{
    (void)state;
    struct seal_guard *g = mem_alloc(sizeof *g);
    seal_guard_init(g);
    struct seal_head h = head(5, 10, NOW_MS);
    assert_int_equal(seal_guard_pass(g, &h), 0);
    assert_int_equal(seal_guard_pass(g, &h), ERR_REFUSED);
    h.seq = 12;
    assert_int_equal(seal_guard_pass(g, &h), 0);
    h.seq = 11;
    assert_int_equal(seal_guard_pass(g, &h), 0);
    assert_int_equal(seal_guard_pass(g, &h), ERR_REFUSED);
    h.seq = 12 + SEAL_WINDOW;
    assert_int_equal(seal_guard_pass(g, &h), 0);
    h.seq = 12;
    assert_int_equal(seal_guard_pass(g, &h), ERR_REFUSED);
    h.seq = 13;
    assert_int_equal(seal_guard_pass(g, &h), 0);
    h.seq = 11 + SEAL_WINDOW;
    assert_int_equal(seal_guard_pass(g, &h), 0);
    assert_int_equal(seal_guard_pass(g, &h), ERR_REFUSED);
    mem_free(g);
}

static void
a_restarted_sender_passes_and_its_past_does_not(void **state)
{
    (void)state;
    struct seal_guard *g = mem_alloc(sizeof *g);
    seal_guard_init(g);
    struct seal_head before = head(5, 100, NOW_MS), after = head(6, 1, NOW_MS + 1);
    assert_int_equal(seal_guard_pass(g, &before), 0);
    assert_int_equal(seal_guard_pass(g, &after), 0);
    before.seq = 101;
    assert_int_equal(seal_guard_pass(g, &before), ERR_LATER);
    after.seq = 2;
    assert_int_equal(seal_guard_pass(g, &after), 0);
    mem_free(g);
}

static struct seal_head
of_start(uint32_t starts, uint64_t stamp_ms)
{
    return head(seal_boot(starts, 0x123456789abcdefu + stamp_ms), 1, stamp_ms);
}

static void
a_clock_set_back_keeps_no_counted_start_out_and_lets_nothing_back(void **state)
{
    (void)state;
    struct seal_guard *g = mem_alloc(sizeof *g);
    seal_guard_init(g);
    struct seal_head first = of_start(7, NOW_MS + 50000), second = of_start(8, NOW_MS);
    assert_int_equal(seal_guard_pass(g, &first), 0);
    assert_int_equal(seal_guard_pass(g, &second), 0);
    first.seq = 2; /* one that was not heard here, and is newer than all that the second said */
    first.stamp_ms += 1000;
    assert_int_equal(seal_guard_pass(g, &first), ERR_LATER);
    second.seq = 2;
    assert_int_equal(seal_guard_pass(g, &second), 0);
    assert_int_equal(seal_guard_pass(g, &second), ERR_REFUSED);

    struct seal_head restored = of_start(3, NOW_MS + (uint64_t)2 * SEAL_SKEW_MS);
    assert_int_equal(seal_guard_pass(g, &restored), ERR_LATER);
    restored.stamp_ms++;
    assert_int_equal(seal_guard_pass(g, &restored), 0);
    mem_free(g);
}

static void
a_full_guard_forgets_the_sender_heard_longest_ago(void **state)
{
    (void)state;
    struct seal_guard *g = mem_alloc(sizeof *g);
    seal_guard_init(g);
    for (unsigned i = 0; i <= SEAL_SENDERS_MAX; i++) {
        struct seal_head h = head(5, 1, NOW_MS);
        h.sender.bytes[1] = (uint8_t)i;
        h.sender.bytes[2] = (uint8_t)(i >> 8);
        assert_int_equal(seal_guard_pass(g, &h), 0);
    }
    struct seal_head second = head(5, 1, NOW_MS), first = second;
    second.sender.bytes[1] = 1;
    assert_int_equal(seal_guard_pass(g, &second), ERR_REFUSED);
    assert_int_equal(seal_guard_pass(g, &first), 0);
    mem_free(g);
}

static void
a_signed_request_holds_for_its_own_words_only(void **state)
{
    (void)state;
    struct seal_head h = head(5, 3, NOW_MS), got;
    char text[SEAL_TEXT_MAX];
    assert_int_equal(seal_sign(&key, &h, "GET /a 0-9", text), 0);
    assert_int_equal(seal_verify(&key, text, "GET /a 0-9", NOW_MS, &got), 0);
    assert_int_equal(got.seq, 3);
    assert_int_equal(seal_verify(&key, text, "GET /b 0-9", NOW_MS, &got), ERR_DENIED);
    text[0] ^= 1;
    assert_int_equal(seal_verify(&key, text, "GET /a 0-9", NOW_MS, &got), ERR_SYNTAX);
    assert_int_equal(seal_verify(&key, "", "GET /a 0-9", NOW_MS, &got), ERR_SYNTAX);
    char *lengthy = mem_zalloc(SEAL_SIGNED_MAX + 2);
    memset(lengthy, 'a', SEAL_SIGNED_MAX + 1);
    assert_int_equal(seal_sign(&key, &h, lengthy, text), ERR_LIMIT);
    mem_free(lengthy);
}

static void
a_printed_key_parses_and_others_do_not(void **state)
{
    (void)state;
    char text[SEAL_KEY_TEXT + 1];
    struct seal_keys k;
    seal_key_print(&key, text);
    assert_int_equal(strlen(text), SEAL_KEY_TEXT - 1);
    text[SEAL_KEY_TEXT - 1] = '\n';
    assert_int_equal(seal_keys_parse(text, SEAL_KEY_TEXT, &k), 0);
    assert_int_equal(k.count, 1);
    assert_memory_equal(&k.all[0], &key, sizeof key);
    assert_int_equal(seal_keys_parse(text, SEAL_KEY_TEXT - 2, &k), ERR_SYNTAX);
    assert_int_equal(seal_keys_parse("", 0, &k), ERR_SYNTAX);
    assert_int_equal(seal_keys_parse(" \n\r\n", 4, &k), ERR_SYNTAX);
    text[20] = 'g';
    assert_int_equal(seal_keys_parse(text, SEAL_KEY_TEXT, &k), ERR_SYNTAX);
}

/* Writes that many different keys, each behind an empty line and before white space. */
static size_t
key_lines(size_t count, char ret[SEAL_KEYS_TEXT])
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++) {
        struct seal_key k = {{(uint8_t)(10 + i)}};
        len += (size_t)snprintf(ret + len, SEAL_KEYS_TEXT - len, "\n");
        seal_key_print(&k, ret + len);
        len += SEAL_KEY_TEXT - 1;
        len += (size_t)snprintf(ret + len, SEAL_KEYS_TEXT - len, " \r\n");
    }
    return len;
}

static void
a_file_of_several_keys_keeps_their_order(void **state)
{
    (void)state;
    char text[SEAL_KEYS_TEXT];
    struct seal_keys k;
    size_t len = key_lines(SEAL_KEYS_MAX, text);
    assert_int_equal(seal_keys_parse(text, len, &k), 0);
    assert_int_equal(k.count, SEAL_KEYS_MAX);
    for (size_t i = 0; i < k.count; i++)
        assert_int_equal(k.all[i].bytes[0], 10 + i);
    assert_int_equal(seal_keys_parse(text, key_lines(SEAL_KEYS_MAX + 1, text), &k), ERR_SYNTAX);
    len = key_lines(1, text);
    memcpy(text + len, text, len); /* the same one twice */
    assert_int_equal(seal_keys_parse(text, 2 * len, &k), ERR_SYNTAX);
    (void)snprintf(text + len, sizeof text - len, "psk-v2:");
    assert_int_equal(seal_keys_parse(text, len + 7, &k), ERR_SYNTAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_sealed_opens_with_the_same_key),
        cmocka_unit_test(no_changed_bit_passes),
        cmocka_unit_test(another_key_is_denied),
        cmocka_unit_test(a_stamp_a_minute_off_is_refused_both_ways),
        cmocka_unit_test(nothing_passes_twice_and_late_ones_pass_once),
        cmocka_unit_test(a_restarted_sender_passes_and_its_past_does_not),
        cmocka_unit_test(a_clock_set_back_keeps_no_counted_start_out_and_lets_nothing_back),
        cmocka_unit_test(a_full_guard_forgets_the_sender_heard_longest_ago),
        cmocka_unit_test(a_signed_request_holds_for_its_own_words_only),
        cmocka_unit_test(a_printed_key_parses_and_others_do_not),
        cmocka_unit_test(a_file_of_several_keys_keeps_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
