/* Tags and manifests through the nodes of a site: two nodes, each with a registry of its own that
 * has the same. */
#include "base/metric.h"
#include "base/thread.h"
#include "tests/unit/proxy/node.h"
#include <poll.h>

#define OCI "application/vnd.oci.image.manifest.v1+json"

static const char config_digest[] =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

struct site {
    struct node *nodes[2];
    struct object *manifests[2]; /* by digest; the tag is the next object */
    char *text;
};

static struct site
open_site(const char *registry, const char *extra)
{
    struct site s = {.text = NULL};
    char *all = mem_printf("prefetch: {enabled: false}\n%s", extra);
    s.text = mem_printf("{\"schemaVersion\":2,\"mediaType\":\"" OCI "\",\"config\":{\"mediaType\":"
                        "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":0"
                        "},\"layers\":[]}",
                        config_digest);
    for (size_t i = 0; i < 2; i++) {
        s.nodes[i] = node_open(registry, all);
        s.manifests[i] = node_add_manifest(s.nodes[i], "library/x", "v1", OCI, s.text);
    }
    mem_free(all);
    return s;
}

static void
join_all(struct site *s)
{
    node_join(s->nodes[0], NULL);
    node_join(s->nodes[1], s->nodes[0]);
    node_wait_for(s->nodes[0], 1);
    node_wait_for(s->nodes[1], 1);
}

static void
close_site(struct site *s)
{
    for (size_t i = 0; i < 2; i++)
        node_close(s->nodes[i]);
    mem_free(s->text);
}

static unsigned
asked(const struct site *s, size_t node)
{
    const struct object *o = s->manifests[node];
    return atomic_load(&o->gets) + atomic_load(&o[1].gets) + atomic_load(&o[1].heads);
}

static int
pull(struct site *s, size_t node, const char *path)
{
    struct got g;
    node_ask(s->nodes[node], "GET", path, "", &g);
    int status = g.status;
    if (status == 200)
        assert_string_equal(buf_text(&g.body), s->text);
    got_release(&g);
    return status;
}

static int
pull_tag(struct site *s, size_t node)
{
    return pull(s, node, "/v2/library/x/manifests/v1");
}

static int
pull_digest(struct site *s, size_t node, const char *repository)
{
    char path[256];
    (void)snprintf(path, sizeof path, "/v2/%s/manifests/%s", repository, s->manifests[0]->digest);
    return pull(s, node, path);
}

/* Until the other node could know what the first one learned, and the clock has moved since: with
 * revalidate 0 it is old then. */
static void
let_it_grow_old(const struct site *s)
{
    const struct p2p_name_want want = {.max_age_ms = UINT64_MAX, .deadline_ms = clock_ms() + 10000};
    struct names_answer a;
    do
        p2p_name_ask(s->nodes[1]->p2p, "reg.test/library/x:v1", &want, &a);
    while (a.state != NAMES_KNOWN && clock_ms() < want.deadline_ms);
    assert_int_equal(a.state, NAMES_KNOWN);
    int64_t now_ms = clock_ms();
    while (clock_ms() <= now_ms + 1)
        continue;
}

struct asker {
    struct thread thread;
    struct site *site;
    size_t node;
    int status;
};

static void
ask_tag(void *arg)
{
    struct asker *a = arg;
    a->status = pull_tag(a->site, a->node);
}

static void
of_two_nodes_one_asks_upstream(void **state)
{
    (void)state;
    struct site s = open_site("", "");
    struct asker askers[2] = {{.site = &s, .node = 0}, {.site = &s, .node = 1}};
    join_all(&s);
    uint64_t before = metric_get(M_manifest_peer);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(thread_start(&askers[i].thread, "ask", ask_tag, &askers[i]), 0);
    for (size_t i = 0; i < 2; i++) {
        thread_join(&askers[i].thread);
        assert_int_equal(askers[i].status, 200);
    }
    unsigned first = asked(&s, 0);
    assert_true(first == 0 || asked(&s, 1) == 0);
    assert_int_equal(first + asked(&s, 1), 2); /* HEAD of the tag, GET by digest */
    assert_int_equal(metric_get(M_manifest_peer), before + 1);
    close_site(&s);
}

static void
a_node_that_cannot_reach_upstream_takes_it_from_another(void **state)
{
    (void)state;
    struct site s = open_site("", "");
    join_all(&s);
    node_cut_upstream(s.nodes[1], true);
    assert_int_equal(pull_tag(&s, 0), 200);
    assert_int_equal(pull_tag(&s, 1), 200);
    assert_int_equal(pull_digest(&s, 1, "library/x"), 200);
    /* What another repository names is not opened by that. */
    assert_int_equal(pull_digest(&s, 1, "library/y"), 404);
    assert_int_equal(asked(&s, 1), 0);
    close_site(&s);
}

static void
an_old_tag_of_another_node_stands_in_when_upstream_fails(void **state)
{
    (void)state;
    struct site s = open_site("", "tags: {revalidate: 0s}\n");
    join_all(&s);
    assert_int_equal(pull_tag(&s, 0), 200);
    let_it_grow_old(&s);
    node_cut_upstream(s.nodes[1], true);
    uint64_t before = metric_get(M_manifest_stale);
    assert_int_equal(pull_tag(&s, 1), 200);
    assert_int_equal(metric_get(M_manifest_stale), before + 1);
    close_site(&s);
}

/* A client has a manifest before the disk has it. */
static void
wait_stored(const struct site *s, size_t node)
{
    struct digest d;
    const char *text = s->manifests[node]->digest;
    int64_t deadline_ms = clock_ms() + 20000;
    assert_int_equal(digest_parse(text, strlen(text), &d), 0);
    while (cache_stored(s->nodes[node]->cache, &d) == 0 && clock_ms() < deadline_ms)
        clock_sleep_ms(1);
    assert_true(cache_stored(s->nodes[node]->cache, &d) > 0);
}

static void
what_a_node_has_from_an_earlier_run_is_found(void **state)
{
    (void)state;
    struct site s = open_site("", "");
    assert_int_equal(pull_tag(&s, 0), 200);
    wait_stored(&s, 0);
    join_all(&s);
    node_cut_upstream(s.nodes[0], true);
    node_cut_upstream(s.nodes[1], true);
    assert_int_equal(pull_tag(&s, 1), 200);
    assert_int_equal(pull_digest(&s, 1, "library/x"), 200);
    assert_int_equal(asked(&s, 1), 0);
    close_site(&s);
}

static void
what_a_clients_own_credentials_open_is_not_shared(void **state)
{
    (void)state;
    struct site s = open_site(", auth: pass", "");
    join_all(&s);
    assert_int_equal(pull_tag(&s, 0), 200);
    node_cut_upstream(s.nodes[1], true);
    assert_int_equal(pull_tag(&s, 1), 404);
    assert_int_equal(pull_digest(&s, 1, "library/x"), 404);
    close_site(&s);
}

static void
a_tag_that_upstream_took_back_is_gone_for_all(void **state)
{
    (void)state;
    struct site s = open_site("", "tags: {revalidate: 0s}\n");
    join_all(&s);
    assert_int_equal(pull_tag(&s, 0), 200);
    let_it_grow_old(&s);
    for (size_t i = 0; i < 2; i++)
        atomic_store(&s.manifests[i][1].status, 404);
    assert_int_equal(pull_tag(&s, 1), 404);
    assert_int_equal(pull_tag(&s, 0), 404);
    close_site(&s);
}

/* In place of the node's peer port: takes connections, and answers nobody. */
static int
fall_mute(struct node *n)
{
    char address[SERVER_ADDRESS_MAX];
    struct err e = {0};
    int fd;
    port_close(n->peer_port);
    n->peer_port = NULL;
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", n->peer_number);
    if (server_listen(address, &fd, &e) < 0)
        fail_msg("%s", e.text);
    return fd;
}

/* How many of those that connected asked for a manifest. */
static unsigned
asked_for_manifest(int fd)
{
    unsigned count = 0;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (poll(&ready, 1, 0) == 1) {
        char line[64] = "";
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(client >= 0);
        ssize_t got = recv(client, line, sizeof line - 1, MSG_DONTWAIT);
        count += got > 0 && text_starts(line, "GET " PIECE_MANIFEST_PATH);
        assert_int_equal(close(client), 0);
    }
    return count;
}

static void
a_holder_that_does_not_answer_is_asked_once_for_tag_and_digest(void **state)
{
    (void)state;
    struct site s = open_site("", "");
    join_all(&s);
    assert_int_equal(pull_tag(&s, 0), 200);
    int fd = fall_mute(s.nodes[0]);
    assert_int_equal(pull_tag(&s, 1), 200);
    assert_int_equal(asked_for_manifest(fd), 1);
    assert_int_equal(close(fd), 0);
    close_site(&s);
}

/* Perhaps only a packet was lost. */
static void
a_holder_that_did_not_answer_is_asked_again_when_upstream_fails(void **state)
{
    (void)state;
    struct site s = open_site("", "");
    join_all(&s);
    assert_int_equal(pull_tag(&s, 0), 200);
    int fd = fall_mute(s.nodes[0]);
    for (size_t i = 0; i < 2; i++)
        atomic_store(&s.manifests[i][1].status, 500);
    assert_int_equal(pull_tag(&s, 1), 404);
    assert_int_equal(asked_for_manifest(fd), 2);
    assert_int_equal(close(fd), 0);
    close_site(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_nodes_one_asks_upstream),
        cmocka_unit_test(a_node_that_cannot_reach_upstream_takes_it_from_another),
        cmocka_unit_test(an_old_tag_of_another_node_stands_in_when_upstream_fails),
        cmocka_unit_test(what_a_node_has_from_an_earlier_run_is_found),
        cmocka_unit_test(what_a_clients_own_credentials_open_is_not_shared),
        cmocka_unit_test(a_tag_that_upstream_took_back_is_gone_for_all),
        cmocka_unit_test(a_holder_that_does_not_answer_is_asked_once_for_tag_and_digest),
        cmocka_unit_test(a_holder_that_did_not_answer_is_asked_again_when_upstream_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
