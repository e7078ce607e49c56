#include "tests/unit/p2p/unit.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "p2p/packed.h"
#include "p2p/post.h"
#include "p2p/wire.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 5000

/* The other node: a socket, served by the test itself between two turns. */
static struct sealer me, other;
static struct node_id other_id;
static struct node_addr addr;
static struct post *post;
static int listen_fd, client_fd;
static char request[WIRE_CONTROL_MAX + 4096];
static size_t request_len;

static int
set_up(void **state)
{
    static const struct seal_keys key = {1, {{{1}}}};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    struct node_id my_id = unit_node(1);
    struct err e;
    (void)state;
    other_id = unit_node(2);
    sealer_init(&me, &key, &my_id, 0);
    sealer_init(&other, &key, &other_id, 0);
    client_fd = -1;
    request_len = 0;
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (bind(listen_fd, (struct sockaddr *)&in, sizeof in) < 0 || listen(listen_fd, 4) < 0 ||
        getsockname(listen_fd, (struct sockaddr *)&in, &len) < 0)
        return -1;
    return addr_of((struct sockaddr *)&in, &addr) ? post_open(&me, &post, &e) : -1;
}

static int
tear_down(void **state)
{
    (void)state;
    post_close(post);
    sealer_release(&me);
    sealer_release(&other);
    if (client_fd >= 0)
        (void)close(client_fd);
    return close(listen_fd);
}

/* One whole request lies in `request`: true; its body is the last SEAL_HEAD + n + SEAL_MAC. */
static bool
read_request(void)
{
    if (client_fd < 0)
        client_fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK);
    if (client_fd < 0)
        return false;
    ssize_t n = read(client_fd, request + request_len, sizeof request - 1 - request_len);
    if (n > 0)
        request_len += (size_t)n;
    request[request_len] = '\0';
    const char *end = strstr(request, "\r\n\r\n");
    const char *length = strstr(request, "Content-Length: ");
    return end != NULL && length != NULL &&
           request_len == (size_t)(end + 4 - request) + strtoul(length + 16, NULL, 10);
}

static const uint8_t *
sealed_body(size_t *ret_len)
{
    const char *body = strstr(request, "\r\n\r\n") + 4;
    *ret_len = request_len - (size_t)(body - request);
    return (const uint8_t *)body;
}

static size_t wire_len; /* of the last request's body, as it came */

/* Waits for a request, and tells its opened body as text. */
static void
await_request(char *ret_body, size_t cap)
{
    struct seal_head head;
    size_t len;
    int64_t until_ms = clock_ms() + WAIT_MS;
    while (!read_request()) {
        assert_true(clock_ms() < until_ms);
        post_turn(post);
        clock_sleep_ms(1);
    }
    const uint8_t *body = sealed_body(&len);
    assert_int_equal(sealer_open(&other, SEAL_REQUEST, body, len, NULL, &head), 0);
    assert_int_equal(head.sender.bytes[0], 1);
    AUTO(buf_release) struct buf room;
    const uint8_t *records;
    bool reads;
    buf_init(&room, WIRE_CONTROL_MAX);
    wire_len = head.len;
    assert_int_equal(packed_open(body + SEAL_HEAD, head.len, &room, &records, &len, &reads), 0);
    assert_true(reads && len < cap);
    memcpy(ret_body, records, len);
    ret_body[len] = '\0';
    request_len = 0;
}

static void
answer_bytes(struct sealer *by, int status, const uint8_t *body, size_t len)
{
    uint8_t msg[512];
    char head[128];
    if (len > 0)
        memcpy(msg + SEAL_HEAD, body, len);
    len = sealer_close(by, SEAL_REPLY, msg, len);
    int head_len =
        snprintf(head, sizeof head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n", status, len);
    assert_int_equal(write(client_fd, head, (size_t)head_len), head_len);
    assert_int_equal(write(client_fd, msg, len), len);
}

static void
answer(struct sealer *by, int status, const char *body)
{
    answer_bytes(by, status, (const uint8_t *)body, strlen(body));
}

static void
say(const char *body, bool answered)
{
    post_send(post, &other_id, &addr, (const uint8_t *)body, strlen(body), answered);
}

/* The next answer as text, or "" when the request ended without one. */
static void
await_answer(char *ret_body)
{
    uint64_t ended = metric_get(M_p2p_control_heard) + metric_get(M_p2p_control_lost);
    int64_t until_ms = clock_ms() + WAIT_MS;
    const uint8_t *body;
    size_t len;
    ret_body[0] = '\0';
    while (clock_ms() < until_ms) {
        post_turn(post);
        if (post_next(post, &body, &len)) {
            memcpy(ret_body, body, len);
            ret_body[len] = '\0';
            return;
        }
        if (metric_get(M_p2p_control_heard) + metric_get(M_p2p_control_lost) > ended)
            return;
        clock_sleep_ms(1);
    }
    fail_msg("the request never ended");
}

static void
a_request_is_sealed_and_its_answer_comes_back_opened(void **state)
{
    (void)state;
    char body[64];
    say("question", true);
    await_request(body, sizeof body);
    assert_string_equal(body, "question");
    assert_non_null(strstr(request, "POST " POST_PATH " HTTP/1.1\r\n"));
    assert_null(strstr(request, "Expect:"));
    answer(&other, 200, "answer");
    await_answer(body);
    assert_string_equal(body, "answer");
}

static void
requests_to_one_node_go_in_order_on_one_connection(void **state)
{
    (void)state;
    char body[64];
    say("one", true);
    say("two", true);
    await_request(body, sizeof body);
    assert_string_equal(body, "one");
    assert_false(read_request()); /* the second waits for the answer */
    answer(&other, 200, "1");
    await_answer(body);
    assert_string_equal(body, "1");
    await_request(body, sizeof body); /* the fixture accepts one connection only */
    assert_string_equal(body, "two");
    answer(&other, 200, "2");
    await_answer(body);
    assert_string_equal(body, "2");
}

/* Long bodies go packed once the other node has said that it reads such, and no longer than that.
 */
static void
long_bodies_are_packed_for_who_reads_them(void **state)
{
    (void)state;
    char body[9000], text[8001], answer_text[16];
    memset(text, 'x', 8000);
    text[8000] = '\0';
    say(text, true);
    await_request(body, sizeof body);
    assert_string_equal(body, text);
    assert_true(wire_len > 8000);
    answer_bytes(&other, 200, (const uint8_t[]){WIRE_READS, 1, 0, 1, 'h', 'i'}, 6);
    await_answer(answer_text);
    assert_string_equal(answer_text, "hi");
    uint64_t saved = metric_get(M_saved_control);
    say(text, true);
    await_request(body, sizeof body);
    assert_string_equal(body, text);
    assert_true(wire_len < 200);
    assert_int_equal(metric_get(M_saved_control) - saved, 8000 - wire_len);
    answer(&other, 200, "older"); /* it was replaced by a version that does not */
    await_answer(answer_text);
    say(text, true);
    await_request(body, sizeof body);
    assert_true(wire_len > 8000);
    answer(&other, 200, "");
    await_answer(answer_text);
}

static void
a_line_that_is_full_forgets_the_oldest(void **state)
{
    (void)state;
    char body[64], text[8];
    uint64_t lost = metric_get(M_p2p_control_lost);
    for (unsigned i = 0; i < POST_WAITING_MAX + 3; i++) {
        assert_int_equal(text_printf(text, sizeof text, "%u", i), 0);
        say(text, false);
    }
    assert_int_equal(metric_get(M_p2p_control_lost), lost + 2);
    await_request(body, sizeof body);
    assert_string_equal(body, "0");
    answer(&other, 200, "");
    await_request(body, sizeof body);
    assert_string_equal(body, "3");
}

static void
an_answer_that_nobody_wants_is_not_given_out(void **state)
{
    (void)state;
    char body[64];
    say("copy", false);
    await_request(body, sizeof body);
    answer(&other, 200, "thanks");
    await_answer(body);
    assert_string_equal(body, "");
}

static void
errors_and_answers_of_others_are_dropped(void **state)
{
    (void)state;
    static struct sealer third;
    static const struct seal_keys key = {1, {{{1}}}};
    struct node_id id = unit_node(3);
    char body[64];
    sealer_init(&third, &key, &id, 0);
    say("a", true);
    await_request(body, sizeof body);
    answer(&other, 404, "not you");
    await_answer(body);
    assert_string_equal(body, "");
    say("b", true);
    await_request(body, sizeof body);
    answer(&third, 200, "it is me");
    await_answer(body);
    assert_string_equal(body, "");
    sealer_release(&third);
}

static void
a_node_that_says_nothing_is_left_after_a_second(void **state)
{
    (void)state;
    char body[64];
    int64_t start_ms = clock_ms();
    say("anybody?", true);
    await_answer(body);
    assert_string_equal(body, "");
    assert_true(clock_ms() - start_ms < POST_WAIT_MS + 1000);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(a_request_is_sealed_and_its_answer_comes_back_opened),
        WITH(requests_to_one_node_go_in_order_on_one_connection),
        WITH(long_bodies_are_packed_for_who_reads_them),
        WITH(a_line_that_is_full_forgets_the_oldest),
        WITH(an_answer_that_nobody_wants_is_not_given_out),
        WITH(errors_and_answers_of_others_are_dropped),
        WITH(a_node_that_says_nothing_is_left_after_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
