/* Clients of one blob whose disk fails while it arrives. */
#include "base/fault.h"
#include "base/metric.h"
#include "base/thread.h"
#include "tests/unit/proxy/node.h"

#define MIB (1024u * 1024)

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

/* The first MiB is on the disk, and sent to whom it may be. */
static void
wait_for_first_mib(struct node *n, const struct object *layer)
{
    struct digest d;
    struct blob_state s = {0};
    int64_t until_ms = clock_ms() + 20000;
    assert_int_equal(digest_parse(layer->digest, strlen(layer->digest), &d), 0);
    while (s.have_bytes < MIB && clock_ms() < until_ms) {
        struct blob *b = cache_find(n->cache, &d);
        if (b)
            blob_look(b, 0, &s);
        blob_release(&b);
        clock_sleep_ms(1);
    }
    assert_int_equal(s.have_bytes, MIB);
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
    while (metric_get(M_connections) < ARRAY_LEN(clients))
        clock_sleep_ms(1);
    wait_for_first_mib(n, layer);
    fault_arm_next("write", EIO);
    atomic_store(&layer->hold_at, 0);
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_go_on_together_when_the_disk_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
