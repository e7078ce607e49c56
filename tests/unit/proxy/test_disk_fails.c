/* Clients of one blob whose disk fails while it arrives. */
#include "base/fault.h"
#include "base/metric.h"
#include "base/thread.h"
#include "cache/inside.h"
#include "tests/unit/proxy/node.h"

#define MIB  (1024u * 1024)
#define STEP (256u * 1024)

struct client {
    struct thread thread;
    struct node *node;
    const struct object *layer;
    struct got got;
};

static void
pull(void *arg)
{
    struct client *c = arg;
    char target[320];
    (void)snprintf(target, sizeof target, "/v2/%s", c->layer->path);
    node_ask(c->node, "GET", target, "", &c->got);
}

/* So much of it is on the disk, and so many clients read it. */
static void
wait_for_readers(struct node *n, const struct object *layer, uint64_t bytes, unsigned readers)
{
    struct digest d;
    struct blob_state s = {0};
    unsigned count = 0;
    int64_t until_ms = clock_ms() + 20000;
    assert_int_equal(digest_parse(layer->digest, strlen(layer->digest), &d), 0);
    while ((s.have_bytes < bytes || count < readers) && clock_ms() < until_ms) {
        struct blob *b = cache_find(n->cache, &d);
        if (b) {
            blob_look(b, 0, &s);
            count = blob_readers(b);
        }
        blob_release(&b);
        clock_sleep_ms(1);
    }
    assert_int_equal(s.have_bytes, bytes);
    assert_int_equal(count, readers);
}

/* A write of the blob, after its first MiB: of the next step, where another thread's came first. */
static void
fail_a_write(struct node *n, struct object *layer)
{
    struct digest d;
    struct blob_state s = {0};
    int64_t until_ms = clock_ms() + 20000;
    assert_int_equal(digest_parse(layer->digest, strlen(layer->digest), &d), 0);
    struct blob *b = cache_find(n->cache, &d);
    assert_non_null(b);
    for (uint64_t at = MIB; s.phase != BLOB_FAILED && clock_ms() < until_ms;) {
        at += STEP;
        fault_arm_next("write", EIO);
        atomic_store(&layer->hold_at, at);
        for (s.have_bytes = 0; s.phase != BLOB_FAILED && s.have_bytes < at;) {
            assert_true(clock_ms() < until_ms);
            blob_look(b, 0, &s);
            clock_sleep_ms(1);
        }
    }
    assert_int_equal(s.phase, BLOB_FAILED);
    atomic_store(&layer->hold_at, 0);
    blob_release(&b);
}

static void
clients_go_on_together_when_the_disk_fails(void **state)
{
    (void)state;
    struct node *n = node_open("", "prefetch: {enabled: false}\n");
    struct object *layer = node_add_blob(n, "library/x", 4 * MIB);
    struct client clients[4] = {0};
    uint64_t windows = metric_get(M_windows_opened), streamed = metric_get(M_pulls_streamed);
    cache_set_memory(n->cache, 64 * MIB);
    atomic_store(&layer->hold_at, MIB);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        clients[i].node = n;
        clients[i].layer = layer;
        assert_int_equal(thread_start(&clients[i].thread, "client", pull, &clients[i]), 0);
    }
    wait_for_readers(n, layer, MIB, ARRAY_LEN(clients));
    fail_a_write(n, layer);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        thread_join(&clients[i].thread);
        assert_int_equal(clients[i].got.status, 200);
        assert_true(clients[i].got.whole);
        assert_int_equal(clients[i].got.body.len, layer->len);
        assert_memory_equal(clients[i].got.body.data, layer->bytes, layer->len);
        got_release(&clients[i].got);
    }
    fault_disarm();
    assert_int_equal(metric_get(M_windows_opened), windows + 1);
    assert_int_equal(metric_get(M_pulls_streamed), streamed);
    assert_int_equal(layer->gets, 2); /* what was cut, and the rest of it for all */
    node_close(n);
}

/* ---- what a slow one reads of the file after another has taken it over ---- */

#define HELD    (12 * MIB) /* when the disk fails; a client's sockets hold less */
#define SIZE    (14 * MIB)
#define FLIPPED (11 * MIB)

static int
ask(struct node *n, const struct object *layer, const char *range)
{
    int fd = node_connect(n), small = 65536;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    char *text = mem_printf("GET /v2/%s HTTP/1.1\r\nHost: node\r\nConnection: close\r\n%s\r\n",
                            layer->path, range);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    mem_free(text);
    return fd;
}

/* The disk refuses a byte behind what is held. */
static void
fail_disk(struct blob *b, const struct object *layer)
{
    struct gap gap;
    int rc = 0;
    assert_true(blob_claim_in(b, HELD, SIZE, &gap));
    for (uint64_t at = HELD; rc == 0 && at < HELD + 100; at++) {
        fault_arm_next("write", EIO);
        rc = blob_write(b, at, layer->bytes + at, 1, BLOB_FROM_UPSTREAM);
    }
    fault_disarm();
    assert_int_equal(rc, ERR_STORE);
}

static struct blob *
wait_for_heir(struct node *n, const struct digest *d)
{
    int64_t until_ms = clock_ms() + 20000;
    struct blob *heir = NULL;
    while (!heir && clock_ms() < until_ms) {
        heir = cache_find(n->cache, d);
        clock_sleep_ms(1);
    }
    assert_non_null(heir);
    return heir;
}

static void
a_slow_client_does_not_complete(const char *range)
{
    struct node *n = node_open("", "prefetch: {enabled: false}\n");
    struct object *layer = node_add_blob(n, "library/x", SIZE);
    struct digest d;
    struct gap gap;
    struct got slow = {0}, fast = {0};
    enum cache_got got;
    assert_int_equal(digest_parse(layer->digest, strlen(layer->digest), &d), 0);
    cache_set_memory(n->cache, 64 * MIB);
    struct blob *b = cache_acquire(n->cache, &d, &got);
    blob_set_shared(b, true);
    assert_int_equal(blob_begin(b, SIZE), 0);
    assert_true(blob_claim_in(b, 0, HELD, &gap));
    assert_int_equal(blob_write(b, 0, layer->bytes, HELD, BLOB_FROM_UPSTREAM), 0);
    int slow_fd = ask(n, layer, range), fast_fd = ask(n, layer, "");
    wait_for_readers(n, layer, HELD, 2);
    fail_disk(b, layer);
    atomic_store(&layer->hold_at, HELD + MIB);
    buf_init(&fast.body, 2 * SIZE);
    (void)got_receive(fast_fd, &fast.body, HELD);
    struct blob *heir = wait_for_heir(n, &d);
    atomic_store(&layer->hold_at, 0);
    (void)got_receive(fast_fd, &fast.body, SIZE_MAX);
    char wrong = (char)(layer->bytes[FLIPPED] ^ 1);
    assert_int_equal(pwrite(b->fd, &wrong, 1, FLIPPED), 1);
    buf_init(&slow.body, 2 * SIZE);
    (void)got_receive(slow_fd, &slow.body, SIZE_MAX);
    got_split(&fast, false);
    got_split(&slow, false);
    assert_true(fast.whole);
    assert_memory_equal(fast.body.data, layer->bytes, SIZE);
    assert_true(slow.status == 200 || slow.status == 206);
    assert_false(slow.whole);
    assert_true(slow.body.len > MIB);
    blob_release(&heir);
    blob_release(&b);
    fd_close(&slow_fd);
    fd_close(&fast_fd);
    got_release(&slow);
    got_release(&fast);
    node_close(n);
}

static void
what_a_slow_client_reads_of_the_file_is_compared(void **state)
{
    (void)state;
    a_slow_client_does_not_complete("");
    a_slow_client_does_not_complete("Range: bytes=1000-\r\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_go_on_together_when_the_disk_fails),
        cmocka_unit_test(what_a_slow_client_reads_of_the_file_is_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
