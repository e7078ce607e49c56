/* What the first bytes of a connection are. */
#include "proxy/http/acceptor.h"
#include "tests/unit/base/unit.h"
#include <string.h>

static enum acceptor_head
judge(const char *text)
{
    return acceptor_judge(text, strlen(text));
}

static void
a_header_is_ready_at_its_empty_line(void **state)
{
    (void)state;
    static const char text[] = "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\nGET";
    size_t end = sizeof text - 1 - 3;
    for (size_t len = 0; len < end; len++)
        assert_int_equal(acceptor_judge(text, len), HEAD_MORE);
    assert_int_equal(acceptor_judge(text, end), HEAD_READY);
    assert_int_equal(judge(text), HEAD_READY);
    assert_int_equal(judge("GET / HTTP/1.0\nHost: a\n\n"), HEAD_READY);
    assert_int_equal(judge("GET / HTTP/1.0\nHost: a\r\n\n"), HEAD_READY);
}

static void
a_tls_hello_is_known_by_its_first_byte(void **state)
{
    (void)state;
    assert_int_equal(judge("\x16"), HEAD_TLS);
    assert_int_equal(judge("\x16\x03\x01"), HEAD_TLS);
    assert_int_equal(judge("G\x16"), HEAD_MORE);
}

static void
a_hidden_byte_is_bad_at_once(void **state)
{
    (void)state;
    assert_int_equal(acceptor_judge("GET \0", 5), HEAD_BAD);
    assert_int_equal(judge("GET / HTTP/1.1\rX"), HEAD_BAD);
    assert_int_equal(judge("GET / HTTP/1.1\r\n\tHost: a"), HEAD_BAD);
}

static void
what_follows_the_header_is_not_judged(void **state)
{
    (void)state;
    assert_int_equal(acceptor_judge("PUT / HTTP/1.1\r\nHost: a\r\n\r\n\0\r \n x", 35), HEAD_READY);
}

static void
a_header_without_end_is_too_long(void **state)
{
    (void)state;
    static char text[ACCEPTOR_HEAD_BYTES_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_int_equal(acceptor_judge(text, ACCEPTOR_HEAD_BYTES_MAX), HEAD_MORE);
    assert_int_equal(acceptor_judge(text, sizeof text), HEAD_LONG);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_ready_at_its_empty_line),
        cmocka_unit_test(a_tls_hello_is_known_by_its_first_byte),
        cmocka_unit_test(a_hidden_byte_is_bad_at_once),
        cmocka_unit_test(what_follows_the_header_is_not_judged),
        cmocka_unit_test(a_header_without_end_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
