/* Header lines of upstreams. */
#include "base/err.h"
#include "proxy/upstream/head.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define WALL_S 1700000000 /* Tue, 14 Nov 2023 22:13:20 GMT */

static void
feed(struct head *h, const char *const *lines)
{
    head_clear(h);
    for (; *lines != NULL; lines++)
        head_line(h, *lines, strlen(*lines), WALL_S);
}

static void
the_fields_that_matter_are_read(void **state)
{
    (void)state;
    struct head h;
    feed(&h, (const char *const[]){
                 "HTTP/1.1 206 Partial Content\r\n", "content-LENGTH: 100\r\n",
                 "Content-Range: bytes 100-199/1000\r\n", "ETag: \"abc\"\r\n",
                 "Content-Type: application/json\r\n", "Docker-Content-Digest: sha256:x\r\n",
                 "Link: </v2/a>; rel=\"next\"\r\n", "Location:   /else\r\n", NULL});
    assert_false(h.bad);
    assert_int_equal(h.status, 206);
    assert_int_equal(h.content_length, 100);
    assert_true(h.has_range);
    assert_int_equal(h.range.start, 100);
    assert_int_equal(h.range.end, 200);
    assert_int_equal(h.range_size, 1000);
    assert_string_equal(h.etag, "\"abc\"");
    assert_string_equal(h.content_type, "application/json");
    assert_string_equal(h.docker_digest, "sha256:x");
    assert_string_equal(h.link, "</v2/a>; rel=\"next\"");
    assert_string_equal(h.location, "/else");
    assert_int_equal(h.retry_after_ms, -1);
}

static void
a_new_status_line_forgets_what_came_before(void **state)
{
    (void)state;
    struct head h;
    feed(&h, (const char *const[]){"HTTP/1.1 100 Continue\r\n", "Content-Length: 5\r\n",
                                   "HTTP/1.1 200 OK\r\n", "Content-Length: 7\r\n", NULL});
    assert_false(h.bad);
    assert_int_equal(h.status, 200);
    assert_int_equal(h.content_length, 7);
}

static void
contradictions_make_a_head_bad(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"Content-Length: 5", "Content-Length: 6"},
        {"Content-Length: -5", ""},
        {"Content-Length: 5, 6", ""},
        {"Content-Range: bytes 5-4/10", ""},
        {"Content-Range: bytes 0-1/10", "Content-Range: bytes 0-1/10"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct head h;
        feed(&h, (const char *const[]){"HTTP/1.1 200 OK", cases[i][0], cases[i][1], NULL});
        assert_true(h.bad);
    }
    struct head same;
    feed(&same,
         (const char *const[]){"HTTP/1.1 200 OK", "Content-Length: 5", "Content-Length: 5", NULL});
    assert_false(same.bad);
}

static void
challenges_of_several_lines_are_joined(void **state)
{
    (void)state;
    struct head h;
    feed(&h, (const char *const[]){"HTTP/1.1 401 x", "WWW-Authenticate: Basic realm=\"a\"",
                                   "WWW-Authenticate: Bearer realm=\"b\"", NULL});
    assert_string_equal(h.challenge, "Basic realm=\"a\", Bearer realm=\"b\"");
}

static void
weak_etags_count_as_none(void **state)
{
    (void)state;
    struct head h;
    feed(&h, (const char *const[]){"HTTP/1.1 200 OK", "ETag: W/\"abc\"", NULL});
    assert_string_equal(h.etag, "");
    feed(&h, (const char *const[]){"HTTP/1.1 200 OK", "ETag: abc", NULL});
    assert_string_equal(h.etag, "");
}

static void
encodings_other_than_identity_are_seen(void **state)
{
    (void)state;
    struct head h;
    feed(&h, (const char *const[]){"HTTP/1.1 200 OK", "Content-Encoding: gzip", NULL});
    assert_true(h.encoded);
    feed(&h, (const char *const[]){"HTTP/1.1 200 OK", "Content-Encoding: identity", NULL});
    assert_false(h.encoded);
}

static void
content_ranges_are_exact(void **state)
{
    (void)state;
    struct gap gap = {0};
    uint64_t size = 0;
    assert_int_equal(head_content_range("bytes 0-0/1", &gap, &size), 0);
    assert_int_equal(gap.end, 1);
    assert_int_equal(head_content_range("bytes 5-9/*", &gap, &size), 0);
    assert_true(size == CACHE_SIZE_UNKNOWN);
    static const char *const bad[] = {"bytes 5-9",
                                      "bytes 9-5/10",
                                      "bytes 5-10/10",
                                      "items 5-9/10",
                                      "bytes -9/10",
                                      "bytes 5-/10",
                                      "bytes 5-9/",
                                      "bytes 5 - 9/10",
                                      "",
                                      "bytes 18446744073709551616-1/2"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(head_content_range(bad[i], &gap, &size), ERR_SYNTAX);
}

static void
retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    int64_t wait_ms = -5;
    assert_int_equal(head_retry_after("7", WALL_S, &wait_ms), 0);
    assert_int_equal(wait_ms, 7000);
    assert_int_equal(head_retry_after("Tue, 14 Nov 2023 22:13:50 GMT", WALL_S, &wait_ms), 0);
    assert_int_equal(wait_ms, 30000);
    assert_int_equal(head_retry_after("Tue, 14 Nov 2023 22:00:00 GMT", WALL_S, &wait_ms), 0);
    assert_int_equal(wait_ms, 0);
    assert_int_equal(head_retry_after("999999999999", WALL_S, &wait_ms), 0);
    assert_int_equal(wait_ms, 24 * 3600 * 1000);
    assert_int_equal(head_retry_after("soon", WALL_S, &wait_ms), ERR_SYNTAX);
}

static void
what_a_peer_says_is_read(void **state)
{
    (void)state;
    struct head h;
    feed(&h, (const char *const[]){"HTTP/1.1 206 x", "ps-crc32c: 0123abcd01234567", NULL});
    assert_string_equal(h.crcs, "0123abcd01234567");
    assert_int_equal(h.busy_ms, -1);
    feed(&h, (const char *const[]){"HTTP/1.1 503 x", "Ps-Busy-Ms: 40", NULL});
    assert_string_equal(h.crcs, "");
    assert_int_equal(h.busy_ms, 40);
    feed(&h, (const char *const[]){"HTTP/1.1 503 x", "Ps-Busy-Ms: 99999999999", NULL});
    assert_int_equal(h.busy_ms, 10000);
    feed(&h, (const char *const[]){"HTTP/1.1 503 x", "Ps-Busy-Ms: -1", NULL});
    assert_int_equal(h.busy_ms, -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fields_that_matter_are_read),
        cmocka_unit_test(what_a_peer_says_is_read),
        cmocka_unit_test(a_new_status_line_forgets_what_came_before),
        cmocka_unit_test(contradictions_make_a_head_bad),
        cmocka_unit_test(challenges_of_several_lines_are_joined),
        cmocka_unit_test(weak_etags_count_as_none),
        cmocka_unit_test(encodings_other_than_identity_are_seen),
        cmocka_unit_test(content_ranges_are_exact),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
