/* The registry API of one node, in front of a registry that may misbehave. */
#include "base/metric.h"
#include "base/thread.h"
#include "proxy/http/acceptor.h"
#include "tests/unit/proxy/node.h"
#include <netinet/tcp.h>

#define OCI   "application/vnd.oci.image.manifest.v1+json"
#define INDEX "application/vnd.oci.image.index.v1+json"
#define MIB   (1024u * 1024)

static char *
image_of(const struct object *config, const struct object *layer)
{
    return mem_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"" OCI "\",\"config\":{\"mediaType\":"
        "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":%zu},"
        "\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
        "\"digest\":\"%s\",\"size\":%zu}]}",
        config->digest, config->len, layer->digest, layer->len);
}

/* A node whose registry has the image library/x:v1. */
struct image {
    struct node *node;
    struct object *config, *layer, *manifest, *tag;
};

static struct image
open_image(const char *registry, const char *extra, size_t layer_len)
{
    struct image i = {.node = node_open(registry, extra)};
    i.config = node_add_blob(i.node, "library/x", 500);
    i.layer = node_add_blob(i.node, "library/x", layer_len);
    char *text = image_of(i.config, i.layer);
    i.manifest = node_add_manifest(i.node, "library/x", "v1", OCI, text);
    i.tag = i.manifest + 1;
    mem_free(text);
    return i;
}

static const char no_prefetch[] = "prefetch: {enabled: false}\n";

static void
ask(struct image *i, const char *method, const struct object *o, const char *headers,
    struct got *ret)
{
    char target[320];
    (void)snprintf(target, sizeof target, "/v2/%s", o->path);
    node_ask(i->node, method, target, headers, ret);
}

static void
expect_bytes(const struct got *g, const struct object *o, size_t start, size_t end)
{
    assert_true(g->whole);
    assert_int_equal(g->body.len, end - start);
    assert_memory_equal(g->body.data, o->bytes + start, end - start);
}

static void
expect_refusal(const struct got *g, int status, const char *code)
{
    assert_int_equal(g->status, status);
    assert_true(g->whole);
    assert_non_null(strstr(buf_text(&g->body), code));
    assert_string_equal(got_header(g, "Content-Type"), "application/json");
}

/* Reads it until it comes from disk. */
static void
make_whole(struct image *i, const struct object *o)
{
    uint64_t before = metric_get(M_pulls_hit);
    do {
        struct got g;
        ask(i, "GET", o, "", &g);
        assert_int_equal(g.status, 200);
        got_release(&g);
    } while (metric_get(M_pulls_hit) == before);
}

static void
the_root_answers_without_upstream(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    node_cut_upstream(n, true);
    struct got g;
    node_ask(n, "GET", "/v2/", "", &g);
    assert_int_equal(g.status, 200);
    assert_string_equal(buf_text(&g.body), "{}");
    assert_string_equal(got_header(&g, "Docker-Distribution-Api-Version"), "registry/2.0");
    got_release(&g);
    node_close(n);
}

static void
an_image_is_pulled_cold_and_then_from_disk(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 3 * MIB);
    for (int round = 0; round < 2; round++) {
        struct got g;
        ask(&i, "GET", i.tag, "", &g);
        assert_int_equal(g.status, 200);
        expect_bytes(&g, i.manifest, 0, i.manifest->len);
        assert_string_equal(got_header(&g, "Content-Type"), OCI);
        assert_string_equal(got_header(&g, "Docker-Content-Digest"), i.manifest->digest);
        got_release(&g);
        const struct object *blobs[] = {i.config, i.layer};
        for (size_t b = 0; b < 2; b++) {
            ask(&i, "GET", blobs[b], "", &g);
            assert_int_equal(g.status, 200);
            expect_bytes(&g, blobs[b], 0, blobs[b]->len);
            assert_string_equal(got_header(&g, "Docker-Content-Digest"), blobs[b]->digest);
            assert_string_equal(got_header(&g, "Accept-Ranges"), "bytes");
            got_release(&g);
        }
        make_whole(&i, i.layer);
    }
    assert_int_equal(i.layer->gets, 1);
    assert_int_equal(i.config->gets, 1);
    assert_int_equal(i.manifest->gets + i.tag->gets, 1);
    node_close(i.node);
}

static void
head_says_what_get_says_and_starts_nothing(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, MIB);
    struct got g;
    ask(&i, "HEAD", i.tag, "", &g);
    assert_int_equal(g.status, 200);
    char length[32];
    (void)snprintf(length, sizeof length, "%zu", i.manifest->len);
    assert_string_equal(got_header(&g, "Content-Length"), length);
    assert_string_equal(got_header(&g, "Content-Type"), OCI);
    assert_string_equal(got_header(&g, "Docker-Content-Digest"), i.manifest->digest);
    got_release(&g);
    ask(&i, "HEAD", i.layer, "", &g);
    assert_int_equal(g.status, 200);
    assert_string_equal(got_header(&g, "Content-Length"), "1048576");
    assert_int_equal(g.body.len, 0);
    got_release(&g);
    assert_int_equal(i.layer->gets, 0);
    node_close(i.node);
}

static void
a_manifest_starts_its_blobs(void **state)
{
    (void)state;
    struct image i = open_image("", "", MIB);
    struct got g;
    ask(&i, "GET", i.tag, "", &g);
    assert_int_equal(g.status, 200);
    got_release(&g);
    while (i.layer->gets == 0 || i.config->gets == 0)
        clock_sleep_ms(1);
    ask(&i, "GET", i.layer, "", &g);
    expect_bytes(&g, i.layer, 0, i.layer->len);
    got_release(&g);
    assert_int_equal(i.layer->gets, 1);
    node_close(i.node);
}

static void
ranges_are_exact_cold_and_warm(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 2 * MIB);
    for (int round = 0; round < 2; round++) {
        struct got g;
        ask(&i, "GET", i.layer, "Range: bytes=1000000-1000999\r\n", &g);
        assert_int_equal(g.status, 206);
        assert_string_equal(got_header(&g, "Content-Range"), "bytes 1000000-1000999/2097152");
        expect_bytes(&g, i.layer, 1000000, 1001000);
        got_release(&g);
        ask(&i, "GET", i.layer, "Range: bytes=-5\r\n", &g);
        assert_int_equal(g.status, 206);
        expect_bytes(&g, i.layer, i.layer->len - 5, i.layer->len);
        got_release(&g);
        ask(&i, "GET", i.layer, "Range: bytes=2097152-\r\n", &g);
        expect_refusal(&g, 416, "errors");
        assert_string_equal(got_header(&g, "Content-Range"), "bytes */2097152");
        got_release(&g);
        ask(&i, "GET", i.layer, "Range: bytes=0-1,5-6\r\n", &g);
        assert_int_equal(g.status, 200);
        expect_bytes(&g, i.layer, 0, i.layer->len);
        got_release(&g);
        make_whole(&i, i.layer);
    }
    node_close(i.node);
}

static void
a_growing_blob_answers_all_from_zero_with_200(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 2 * MIB);
    struct got g;
    ask(&i, "GET", i.layer, "Range: bytes=0-\r\n", &g);
    assert_int_equal(g.status, 200);
    expect_bytes(&g, i.layer, 0, i.layer->len);
    got_release(&g);
    make_whole(&i, i.layer);
    ask(&i, "GET", i.layer, "Range: bytes=0-\r\n", &g);
    assert_int_equal(g.status, 206);
    expect_bytes(&g, i.layer, 0, i.layer->len);
    got_release(&g);
    node_close(i.node);
}

static void
a_cut_upstream_is_continued_without_a_gap(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 4 * MIB);
    atomic_store(&i.layer->cut_at, MIB + 77);
    struct got g;
    ask(&i, "GET", i.layer, "", &g);
    assert_int_equal(g.status, 200);
    expect_bytes(&g, i.layer, 0, i.layer->len);
    got_release(&g);
    assert_int_equal(i.layer->gets, 2);
    node_close(i.node);
}

static void
wrong_bytes_are_cut_and_the_next_request_starts_clean(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 2 * MIB);
    struct got g;
    ask(&i, "GET", i.tag, "", &g);
    assert_int_equal(g.status, 200);
    got_release(&g);
    atomic_store(&i.layer->wrong_at, MIB);
    ask(&i, "GET", i.layer, "", &g);
    assert_int_equal(g.status, 200);
    assert_false(g.whole);
    assert_false(g.reset);
    got_release(&g);
    atomic_store(&i.layer->wrong_at, 0);
    /* The same client's resume and the repository's manifests go upstream now. */
    ask(&i, "GET", i.layer, "Range: bytes=1000-\r\n", &g);
    expect_refusal(&g, 404, "BLOB_UNKNOWN");
    got_release(&g);
    ask(&i, "GET", i.tag, "", &g);
    expect_refusal(&g, 404, "MANIFEST_UNKNOWN");
    got_release(&g);
    ask(&i, "GET", i.layer, "", &g);
    assert_int_equal(g.status, 200);
    expect_bytes(&g, i.layer, 0, i.layer->len);
    got_release(&g);
    make_whole(&i, i.layer);
    ask(&i, "GET", i.layer, "Range: bytes=1000-\r\n", &g);
    assert_int_equal(g.status, 206);
    expect_bytes(&g, i.layer, 1000, i.layer->len);
    got_release(&g);
    node_close(i.node);
}

static void
a_blob_that_upstream_does_not_have_trips_nothing(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, MIB);
    struct got g;
    atomic_store(&i.layer->status, 404);
    ask(&i, "GET", i.layer, "", &g);
    expect_refusal(&g, 404, "BLOB_UNKNOWN");
    got_release(&g);
    ask(&i, "GET", i.tag, "", &g);
    assert_int_equal(g.status, 200);
    got_release(&g);
    node_close(i.node);
}

static int
status_of(struct image *i, const struct object *o)
{
    struct got g;
    ask(i, "GET", o, "", &g);
    int status = g.status;
    got_release(&g);
    return status;
}

static void
a_registry_without_head_is_asked_by_get(void **state)
{
    (void)state;
    static const int statuses[] = {400, 403, 404, 405, 501};
    for (size_t n = 0; n < ARRAY_LEN(statuses); n++) {
        struct image i = open_image("", no_prefetch, MIB);
        atomic_store(&i.tag->head_status, statuses[n]);
        assert_int_equal(status_of(&i, i.tag), 200);
        assert_int_equal(atomic_load(&i.tag->gets), 1);
        node_close(i.node);
    }
}

static void
a_failing_blob_is_404_and_opens_the_breaker(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, MIB);
    struct got g;
    ask(&i, "GET", i.tag, "", &g); /* links the layer */
    got_release(&g);
    atomic_store(&i.layer->status, 500);
    int64_t start_ms = clock_ms();
    ask(&i, "GET", i.layer, "", &g);
    assert_true(clock_ms() - start_ms < FIRST_BYTE_MS + 500);
    expect_refusal(&g, 404, "BLOB_UNKNOWN");
    got_release(&g);
    ask(&i, "GET", i.tag, "", &g);
    expect_refusal(&g, 404, "MANIFEST_UNKNOWN");
    got_release(&g);
    node_close(i.node);
}

static void
a_digest_is_reached_only_through_a_repository_that_names_it(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, MIB);
    char target[320];
    struct got g;
    make_whole(&i, i.layer);
    (void)snprintf(target, sizeof target, "/v2/other/y/blobs/%s", i.layer->digest);
    node_ask(i.node, "GET", target, "", &g);
    expect_refusal(&g, 404, "BLOB_UNKNOWN");
    got_release(&g);
    (void)snprintf(target, sizeof target, "/v2/other/y/manifests/%s", i.manifest->digest);
    ask(&i, "GET", i.manifest, "", &g);
    assert_int_equal(g.status, 200);
    got_release(&g);
    node_ask(i.node, "GET", target, "", &g);
    expect_refusal(&g, 404, "MANIFEST_UNKNOWN");
    got_release(&g);
    node_close(i.node);
}

static void
what_is_cached_outlives_upstream(void **state)
{
    (void)state;
    struct image i = open_image("", "prefetch: {enabled: false}\ntags: {revalidate: 0s}\n", MIB);
    struct got g;
    ask(&i, "GET", i.tag, "", &g);
    got_release(&g);
    make_whole(&i, i.layer);
    node_cut_upstream(i.node, true);
    uint64_t stale = metric_get(M_manifest_stale);
    ask(&i, "GET", i.tag, "", &g);
    assert_int_equal(g.status, 200);
    expect_bytes(&g, i.manifest, 0, i.manifest->len);
    got_release(&g);
    assert_int_equal(metric_get(M_manifest_stale), stale + 1);
    ask(&i, "GET", i.layer, "", &g);
    expect_bytes(&g, i.layer, 0, i.layer->len);
    got_release(&g);
    /* The config was never fetched: containers/image would be left alone with it. */
    ask(&i, "GET", i.tag, "User-Agent: skopeo/1.9.3\r\n", &g);
    assert_int_equal(g.status, 404);
    got_release(&g);
    node_close(i.node);
}

static void
a_moved_tag_is_seen_and_a_removed_one_forgotten(void **state)
{
    (void)state;
    struct image i = open_image("", "prefetch: {enabled: false}\ntags: {revalidate: 0s}\n", 1000);
    struct got g;
    ask(&i, "GET", i.tag, "", &g);
    assert_string_equal(got_header(&g, "Docker-Content-Digest"), i.manifest->digest);
    got_release(&g);
    struct object *layer = node_add_blob(i.node, "library/x", 2000);
    char *text = image_of(i.config, layer);
    struct object *next = node_add_manifest(i.node, "library/x", "v2", OCI, text);
    i.tag->len = next->len;
    memcpy(i.tag->bytes, next->bytes, next->len);
    memcpy(i.tag->digest, next->digest, sizeof next->digest);
    ask(&i, "GET", i.tag, "", &g);
    assert_string_equal(got_header(&g, "Docker-Content-Digest"), next->digest);
    got_release(&g);
    atomic_store(&i.tag->status, 404);
    ask(&i, "GET", i.tag, "", &g);
    expect_refusal(&g, 404, "MANIFEST_UNKNOWN");
    got_release(&g);
    node_cut_upstream(i.node, true);
    ask(&i, "GET", i.tag, "", &g);
    assert_int_equal(g.status, 404);
    got_release(&g);
    mem_free(text);
    node_close(i.node);
}

static void
a_tag_without_a_digest_header_is_hashed_here(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 1000);
    struct got g;
    atomic_store(&i.tag->quiet, true);
    ask(&i, "HEAD", i.tag, "", &g);
    assert_int_equal(g.status, 200);
    assert_string_equal(got_header(&g, "Docker-Content-Digest"), i.manifest->digest);
    got_release(&g);
    node_close(i.node);
}

static void
confused_and_corrupt_manifests_are_not_served(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 1000);
    struct got g;
    const char *both = "{\"mediaType\":\"" INDEX "\",\"manifests\":[],\"layers\":[]}";
    struct object *bad = node_add_manifest(i.node, "library/x", "bad", INDEX, both);
    ask(&i, "GET", bad, "", &g);
    expect_refusal(&g, 404, "MANIFEST_UNKNOWN");
    got_release(&g);
    i.tag->type = "application/vnd.docker.distribution.manifest.v2+json";
    i.manifest->type = i.tag->type;
    ask(&i, "GET", i.tag, "", &g);
    expect_refusal(&g, 404, "MANIFEST_UNKNOWN");
    got_release(&g);
    i.manifest->type = OCI;
    atomic_store(&i.manifest->wrong_at, 20);
    ask(&i, "GET", i.manifest, "", &g);
    expect_refusal(&g, 404, "MANIFEST_UNKNOWN");
    got_release(&g);
    atomic_store(&i.manifest->wrong_at, 0);
    ask(&i, "GET", i.manifest, "", &g);
    assert_int_equal(g.status, 200);
    got_release(&g);
    node_close(i.node);
}

static void
lists_are_passed_through_and_failures_are_404(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    static const char text[] = "{\"name\":\"library/x\",\"tags\":[\"v1\"]}";
    struct object *list =
        node_add(n, "library/x/tags/list", "application/json", text, sizeof text - 1);
    struct got g;
    node_ask(n, "GET", "/v2/reg.test/library/x/tags/list?n=5", "", &g);
    assert_int_equal(g.status, 200);
    assert_string_equal(buf_text(&g.body), text);
    assert_string_equal(got_header(&g, "Content-Type"), "application/json");
    got_release(&g);
    atomic_store(&list->status, 403);
    node_ask(n, "GET", "/v2/library/x/tags/list", "", &g);
    expect_refusal(&g, 404, "NAME_UNKNOWN");
    got_release(&g);
    atomic_store(&list->status, 500);
    node_ask(n, "GET", "/v2/library/x/tags/list", "", &g);
    expect_refusal(&g, 404, "NAME_UNKNOWN");
    got_release(&g);
    node_close(n);
}

static void
the_namespace_is_echoed_and_a_foreign_one_refused(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 1000);
    struct got g;
    node_ask(i.node, "GET", "/v2/library/x/manifests/v1?ns=reg.test", "", &g);
    assert_int_equal(g.status, 200);
    assert_string_equal(got_header(&g, "OCI-Namespace"), "reg.test");
    got_release(&g);
    node_ask(i.node, "GET", "/v2/library/x/manifests/v1?ns=evil.test", "", &g);
    expect_refusal(&g, 404, "NAME_UNKNOWN");
    got_release(&g);
    node_ask(i.node, "GET", "/v2/library/x/manifests/sha256:totallywrong", "", &g);
    expect_refusal(&g, 400, "DIGEST_INVALID");
    got_release(&g);
    node_close(i.node);
}

static void
writes_get_405_and_a_clean_end(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    static const char *const methods[] = {"PUT", "POST", "PATCH", "DELETE"};
    char *big = mem_alloc(256 * 1024);
    int head = snprintf(big, 1024,
                        "PUT /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\n"
                        "Content-Length: 200000\r\n\r\n");
    memset(big + head, 'x', 200000);
    for (size_t m = 0; m < ARRAY_LEN(methods); m++) {
        struct got g;
        node_ask(n, methods[m], "/v2/a/manifests/v1", "Content-Length: 0\r\n", &g);
        expect_refusal(&g, 405, "UNSUPPORTED");
        assert_string_equal(got_header(&g, "Allow"), "GET, HEAD");
        got_release(&g);
    }
    struct got g;
    node_send_raw(n, big, (size_t)head + 200000, &g);
    expect_refusal(&g, 405, "UNSUPPORTED");
    assert_false(g.reset);
    got_release(&g);
    mem_free(big);
    node_close(n);
}

static void
nothing_is_smuggled(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    static const char inner[] = "GET /v2/ HTTP/1.1\r\nHost: b\r\n\r\n";
    static const char *const heads[] = {
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 30\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length : 30\r\n\r\n",
        "GET /v2/ HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\n",
        "POST /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /v2/ HTTP/1.1\r\n\r\n",
        "GET http://169.254.169.254/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /v2/%2e%2e/ HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        char *text = mem_printf("%s%s", heads[i], inner);
        struct got g;
        node_send_raw(n, text, strlen(text), &g);
        if (g.status < 400 || g.status > 405 || strstr(buf_text(&g.body), "HTTP/1."))
            fail_msg("%s: %d %s", heads[i], g.status, buf_text(&g.body));
        got_release(&g);
        mem_free(text);
    }
    node_close(n);
}

/* qemu-user gives the first four bytes only, not how much of a connection was acknowledged. */
static bool
can_count_acknowledged(void)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool can = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && len == sizeof info;
    fd_close(&fd);
    return can;
}

static void
what_a_client_took_before_it_left_is_counted(void **state)
{
    (void)state;
    if (!can_count_acknowledged())
        skip();
    struct image i = open_image("", no_prefetch, 32 * MIB);
    struct got g;
    ask(&i, "GET", i.tag, "", &g);
    got_release(&g);
    make_whole(&i, i.layer);
    uint64_t served = metric_get(M_served_bytes), cut = metric_get(M_pulls_cut);
    /* The first request of its connection: nothing had been acknowledged before it. */
    int fd = node_connect(i.node);
    char *text = mem_printf("GET /v2/%s HTTP/1.1\r\nHost: a\r\n\r\n", i.layer->path);
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
    char *room = mem_alloc(MIB);
    assert_int_equal(recv(fd, room, MIB, MSG_WAITALL), MIB);
    fd_close(&fd);
    for (int64_t end_ms = clock_ms() + 30000;
         metric_get(M_pulls_cut) == cut && clock_ms() < end_ms;)
        clock_sleep_ms(10);
    assert_int_equal(metric_get(M_pulls_cut), cut + 1);
    assert_true(metric_get(M_served_bytes) - served >= MIB / 2);
    mem_free(room);
    mem_free(text);
    node_close(i.node);
}

static void
a_tls_hello_is_answered_at_once(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    struct got g;
    int64_t start_ms = clock_ms();
    node_send_raw(n, "\x16\x03\x01\x02\x00\x01", 6, &g);
    assert_true(clock_ms() - start_ms <
                ACCEPTOR_HEADER_MS); /* when who says nothing more is left */
    assert_int_equal(g.status, 400);
    assert_false(g.reset);
    assert_int_equal(strncmp(g.head, "HTTP/1.0 400 Bad Request\r\n\r\n", 28), 0);
    got_release(&g);
    node_close(n);
}

/* What gets none after waiting, because all are busy: scenario guard-deadlines-and-caps. */
static void
the_longest_idle_connection_gives_way_to_a_new_one(void **state)
{
    (void)state;
    struct node *n = node_open("", "limits: {connections: 4}\n");
    int held[4];
    char answer[1024];
    static const char text[] = "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n";
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        held[i] = node_connect(n);
        assert_int_equal(send(held[i], text, sizeof text - 1, 0), sizeof text - 1);
        assert_true(recv(held[i], answer, sizeof answer, 0) > 0);
    }
    for (int i = 0; i < 3; i++) {
        struct got g;
        node_ask(n, "GET", "/v2/", "", &g);
        assert_int_equal(g.status, 200);
        got_release(&g);
        /* A thread that is not done yet counts, and would push out one more. */
        for (int waits = 0; metric_get(M_connections) > 4 && waits < 5000; waits++)
            clock_sleep_ms(1);
    }
    assert_int_equal(metric_get(M_connections_refused), 0);
    assert_int_equal(recv(held[0], answer, sizeof answer, 0), 0);
    /* One for each of three at most: which ones depends on when their threads were done. */
    unsigned kept = 0;
    for (size_t i = 1; i < ARRAY_LEN(held); i++)
        kept += recv(held[i], answer, sizeof answer, MSG_DONTWAIT) == -1;
    assert_true(kept > 0);
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        fd_close(&held[i]);
    node_close(n);
}

static void
a_connection_is_kept_for_the_next_request(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    int fd = node_connect(n);
    static const char text[] = "GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n";
    for (int i = 0; i < 3; i++) {
        char answer[1024];
        assert_int_equal(send(fd, text, sizeof text - 1, 0), sizeof text - 1);
        ssize_t len = 0;
        do {
            ssize_t more = recv(fd, answer + len, sizeof answer - 1 - (size_t)len, 0);
            assert_true(more > 0);
            len += more;
            answer[len] = 0;
        } while (!strstr(answer, "{}"));
        assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    }
    fd_close(&fd);
    node_close(n);
}

static void
draining_refuses_new_and_finishes_running(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 2 * MIB);
    atomic_store(&i.layer->hold_at, MIB);
    int fd = node_connect(i.node);
    char *text = mem_printf("GET /v2/%s HTTP/1.1\r\nHost: a\r\n\r\n", i.layer->path);
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    assert_false(server_drain(node_server(i.node), clock_ms()));
    atomic_store(&i.layer->hold_at, 0);
    struct got g = {0};
    got_read(fd, &g);
    assert_true(g.body.len > i.layer->len);
    assert_memory_equal(g.body.data + g.body.len - 1000, i.layer->bytes + i.layer->len - 1000,
                        1000);
    got_release(&g);
    fd_close(&fd);
    assert_true(server_drain(node_server(i.node), clock_ms() + 5000));
    mem_free(text);
    node_close(i.node);
}

static void
a_client_that_left_does_not_stop_the_caching(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 4 * MIB);
    atomic_store(&i.layer->hold_at, MIB);
    int fd = node_connect(i.node);
    char *text = mem_printf("GET /v2/%s HTTP/1.1\r\nHost: a\r\n\r\n", i.layer->path);
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 1);
    fd_close(&fd);
    atomic_store(&i.layer->hold_at, 0);
    make_whole(&i, i.layer);
    assert_int_equal(i.layer->gets, 1);
    mem_free(text);
    node_close(i.node);
}

/* Concurrent clients of one blob. */
struct puller {
    struct thread thread;
    struct image *image;
    struct got got;
};

static void
pull_layer(void *arg)
{
    struct puller *p = arg;
    ask(p->image, "GET", p->image->layer, "", &p->got);
}

static void
eight_clients_of_a_cold_blob_cost_one_copy(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 4 * MIB);
    struct puller pullers[8] = {0};
    atomic_store(&i.layer->hold_at, MIB);
    for (size_t p = 0; p < ARRAY_LEN(pullers); p++) {
        pullers[p].image = &i;
        assert_int_equal(thread_start(&pullers[p].thread, "puller", pull_layer, &pullers[p]), 0);
    }
    while (metric_get(M_connections) < ARRAY_LEN(pullers))
        clock_sleep_ms(1);
    atomic_store(&i.layer->hold_at, 0);
    for (size_t p = 0; p < ARRAY_LEN(pullers); p++) {
        thread_join(&pullers[p].thread);
        assert_int_equal(pullers[p].got.status, 200);
        expect_bytes(&pullers[p].got, i.layer, 0, i.layer->len);
        got_release(&pullers[p].got);
    }
    assert_int_equal(i.layer->gets, 1);
    node_close(i.node);
}

static void
without_room_a_blob_passes_through(void **state)
{
    (void)state;
    /* The cache holds 64 MiB at least; this blob does not fit. */
    struct image i = open_image("", "prefetch: {enabled: false}\ncache: {size: 64MiB}\n", 1000);
    struct object *big = node_add_blob(i.node, "library/x", 80 * MIB);
    uint64_t streamed = metric_get(M_pulls_streamed);
    struct got g;
    ask(&i, "GET", big, "", &g);
    assert_int_equal(g.status, 200);
    expect_bytes(&g, big, 0, big->len);
    got_release(&g);
    assert_int_equal(metric_get(M_pulls_streamed), streamed + 1);
    ask(&i, "GET", big, "Range: bytes=50000000-50000999\r\n", &g);
    assert_int_equal(g.status, 206);
    expect_bytes(&g, big, 50000000, 50001000);
    got_release(&g);
    atomic_store(&big->wrong_at, 79 * MIB);
    ask(&i, "GET", big, "", &g);
    assert_int_equal(g.status, 200);
    assert_false(g.whole);
    assert_false(g.reset);
    got_release(&g);
    node_close(i.node);
}

static void
passed_credentials_open_only_for_their_bearer(void **state)
{
    (void)state;
    struct image i = open_image(", auth: pass", no_prefetch, 1000);
    i.tag->secret = "Bearer one";
    i.manifest->secret = "Bearer one";
    i.layer->secret = "Bearer one";
    struct got g;
    ask(&i, "GET", i.tag, "", &g);
    expect_refusal(&g, 401, "UNAUTHORIZED");
    assert_string_equal(got_header(&g, "WWW-Authenticate"), object_challenge);
    got_release(&g);
    ask(&i, "GET", i.tag, "Authorization: Bearer one\r\n", &g);
    assert_int_equal(g.status, 200);
    got_release(&g);
    ask(&i, "GET", i.layer, "Authorization: Bearer one\r\n", &g);
    assert_int_equal(g.status, 200);
    expect_bytes(&g, i.layer, 0, i.layer->len);
    got_release(&g);
    /* All of it is cached now, and still closed to others. */
    static const char *const others[] = {"", "Authorization: Bearer two\r\n"};
    const struct object *closed[] = {i.tag, i.manifest, i.layer};
    for (size_t o = 0; o < ARRAY_LEN(others) * ARRAY_LEN(closed); o++) {
        ask(&i, "GET", closed[o % 3], others[o / 3], &g);
        assert_int_equal(g.status, 401);
        got_release(&g);
    }
    node_close(i.node);
}

static void
a_challenge_of_upstream_is_404_elsewhere(void **state)
{
    (void)state;
    struct image i = open_image("", no_prefetch, 1000);
    i.tag->secret = "Bearer one";
    struct got g;
    ask(&i, "GET", i.tag, "Authorization: Bearer one\r\n", &g);
    expect_refusal(&g, 404, "errors");
    assert_string_equal(got_header(&g, "WWW-Authenticate"), "");
    got_release(&g);
    node_close(i.node);
}

/* A file that is not there: no credentials, but what is read counts as read with some. */
static const char node_auth[] = ", auth: node, credentials: /nowhere/config.json";
static const char node_extra[] = "prefetch: {enabled: false}\ntags: {revalidate: 0s}\n";

/* Upstream's last yes to it was so long ago. */
static void
make_old(struct image *i, const struct object *o, int64_t age_s)
{
    struct digest d;
    struct link link;
    assert_int_equal(digest_parse(o->digest, strlen(o->digest), &d), 0);
    assert_true(cache_link_get(i->node->cache, "reg.test/library/x", 0, &d, &link));
    link.seen_wall_s = clock_wall_s() - age_s;
    cache_link_put(i->node->cache, "reg.test/library/x", 0, &d, &link);
}

static void
what_the_nodes_credentials_opened_is_asked_again_after_a_while(void **state)
{
    (void)state;
    struct image i = open_image(node_auth, node_extra, MIB);
    assert_int_equal(status_of(&i, i.tag), 200);
    make_whole(&i, i.layer);
    assert_int_equal(i.layer->heads, 0);
    make_old(&i, i.layer, 301);
    assert_int_equal(status_of(&i, i.layer), 200);
    assert_int_equal(i.layer->heads, 1);
    assert_int_equal(status_of(&i, i.layer), 200);
    assert_int_equal(i.layer->heads, 1);
    make_old(&i, i.layer, 301);
    node_cut_upstream(i.node, true);
    assert_int_equal(status_of(&i, i.layer), 200);
    make_old(&i, i.layer, 25 * 3600);
    assert_int_equal(status_of(&i, i.layer), 404);
    node_close(i.node);
}

static void
a_tag_that_is_confirmed_confirms_what_its_manifest_names(void **state)
{
    (void)state;
    struct image i = open_image(node_auth, node_extra, MIB);
    assert_int_equal(status_of(&i, i.tag), 200);
    make_whole(&i, i.layer);
    make_old(&i, i.manifest, 301);
    make_old(&i, i.layer, 301);
    assert_int_equal(status_of(&i, i.tag), 200);
    assert_int_equal(status_of(&i, i.layer), 200);
    assert_int_equal(i.layer->heads, 0);
    node_close(i.node);
}

static void
a_no_of_upstream_outlasts_its_silence(void **state)
{
    (void)state;
    struct image i = open_image(node_auth, node_extra, MIB);
    struct object *asked[] = {i.layer, i.manifest, i.tag};
    for (size_t n = 0; n < ARRAY_LEN(asked); n++) {
        assert_int_equal(status_of(&i, i.tag), 200);
        make_whole(&i, i.layer);
        make_old(&i, i.layer, 301);
        make_old(&i, i.manifest, 301);
        atomic_store(&asked[n]->status, 403);
        assert_int_equal(status_of(&i, asked[n]), 404);
        node_cut_upstream(i.node, true);
        assert_int_equal(status_of(&i, i.layer), 404);
        if (asked[n] != i.layer)
            assert_int_equal(status_of(&i, i.manifest), 404);
        node_cut_upstream(i.node, false);
        atomic_store(&asked[n]->status, 200);
    }
    node_close(i.node);
}

static void
a_silent_upstream_holds_up_each_cached_blob_for_a_moment_only(void **state)
{
    (void)state;
    struct image i = open_image(node_auth, node_extra, MIB);
    assert_int_equal(status_of(&i, i.tag), 200);
    make_whole(&i, i.layer);
    make_old(&i, i.layer, 301);
    make_old(&i, i.manifest, 301);
    node_cut_upstream(i.node, true);
    assert_int_equal(status_of(&i, i.tag), 200); /* from now on it is known to be down */
    atomic_store(&i.node->mute, true);
    node_cut_upstream(i.node, false);
    const struct object *cached[] = {i.layer, i.manifest};
    for (size_t n = 0; n < ARRAY_LEN(cached); n++) {
        int64_t begun_ms = clock_ms();
        assert_int_equal(status_of(&i, cached[n]), 200);
        assert_true(clock_ms() - begun_ms < FIRST_BYTE_MS / 2);
    }
    node_close(i.node);
}

/* skopeo binds itself to a node that gives it a manifest: only one that can give the blobs does. */
static int
status_for_skopeo(struct image *i)
{
    struct got g;
    ask(i, "GET", i->manifest, "User-Agent: skopeo/1.9.3\r\n", &g);
    int status = g.status;
    got_release(&g);
    return status;
}

static void
a_registry_that_is_back_is_asked_within_seconds(void **state)
{
    (void)state;
    struct image i = open_image("", node_extra, MIB);
    assert_int_equal(status_of(&i, i.tag), 200);
    assert_int_equal(status_for_skopeo(&i), 200);
    node_cut_upstream(i.node, true);
    assert_int_equal(status_of(&i, i.tag), 200); /* out of the cache; now it is known to be down */
    assert_int_equal(status_for_skopeo(&i), 404);
    node_cut_upstream(i.node, false);
    int64_t until_ms = clock_ms() + 15000;
    while (status_for_skopeo(&i) != 200 && clock_ms() < until_ms)
        clock_sleep_ms(20);
    assert_true(clock_ms() < until_ms);
    node_close(i.node);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_root_answers_without_upstream),
        cmocka_unit_test(an_image_is_pulled_cold_and_then_from_disk),
        cmocka_unit_test(head_says_what_get_says_and_starts_nothing),
        cmocka_unit_test(a_manifest_starts_its_blobs),
        cmocka_unit_test(ranges_are_exact_cold_and_warm),
        cmocka_unit_test(a_growing_blob_answers_all_from_zero_with_200),
        cmocka_unit_test(a_cut_upstream_is_continued_without_a_gap),
        cmocka_unit_test(wrong_bytes_are_cut_and_the_next_request_starts_clean),
        cmocka_unit_test(a_blob_that_upstream_does_not_have_trips_nothing),
        cmocka_unit_test(a_registry_without_head_is_asked_by_get),
        cmocka_unit_test(a_failing_blob_is_404_and_opens_the_breaker),
        cmocka_unit_test(a_digest_is_reached_only_through_a_repository_that_names_it),
        cmocka_unit_test(what_is_cached_outlives_upstream),
        cmocka_unit_test(a_moved_tag_is_seen_and_a_removed_one_forgotten),
        cmocka_unit_test(a_tag_without_a_digest_header_is_hashed_here),
        cmocka_unit_test(confused_and_corrupt_manifests_are_not_served),
        cmocka_unit_test(lists_are_passed_through_and_failures_are_404),
        cmocka_unit_test(the_namespace_is_echoed_and_a_foreign_one_refused),
        cmocka_unit_test(writes_get_405_and_a_clean_end),
        cmocka_unit_test(nothing_is_smuggled),
        cmocka_unit_test(what_a_client_took_before_it_left_is_counted),
        cmocka_unit_test(a_tls_hello_is_answered_at_once),
        cmocka_unit_test(the_longest_idle_connection_gives_way_to_a_new_one),
        cmocka_unit_test(a_connection_is_kept_for_the_next_request),
        cmocka_unit_test(draining_refuses_new_and_finishes_running),
        cmocka_unit_test(a_client_that_left_does_not_stop_the_caching),
        cmocka_unit_test(eight_clients_of_a_cold_blob_cost_one_copy),
        cmocka_unit_test(without_room_a_blob_passes_through),
        cmocka_unit_test(passed_credentials_open_only_for_their_bearer),
        cmocka_unit_test(a_challenge_of_upstream_is_404_elsewhere),
        cmocka_unit_test(what_the_nodes_credentials_opened_is_asked_again_after_a_while),
        cmocka_unit_test(a_tag_that_is_confirmed_confirms_what_its_manifest_names),
        cmocka_unit_test(a_no_of_upstream_outlasts_its_silence),
        cmocka_unit_test(a_silent_upstream_holds_up_each_cached_blob_for_a_moment_only),
        cmocka_unit_test(a_registry_that_is_back_is_asked_within_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
