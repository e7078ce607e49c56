/* proxy/admin_answer: the table of the admin API, before and while the node serves. */
#include "base/text.h"
#include "proxy/admin_answer.h"
#include "tests/unit/cache/room.h"

/* Query arguments of a request: "name=value" texts, ended by NULL. */
static const char *
query(void *arg, const char *name)
{
    size_t len = strlen(name);
    const char *const *const *pairs = arg;
    for (const char *const *pair = *pairs; pair && *pair; pair++) {
        if (strncmp(*pair, name, len) == 0 && (*pair)[len] == '=')
            return *pair + len + 1;
    }
    return NULL;
}

struct world {
    char dir[64];
    struct settings *settings;
    struct cache *cache;
};

static int
build(void **state)
{
    struct world *w = mem_zalloc(sizeof *w);
    struct err e = {0};
    must(!text_copy(w->dir, sizeof w->dir, "/tmp/test_admin.XXXXXX"));
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(settings_parse("", 0, "a", &w->settings, &e), 0);
    struct cache_config config = {.dir = w->dir, .size_bytes = 64 << 20, .cpus = 1};
    assert_int_equal(cache_open(&config, &w->cache, &e), 0);
    *state = w;
    return 0;
}

static int
tear_down(void **state)
{
    struct world *w = *state;
    cache_close(w->cache);
    settings_release(&w->settings);
    (void)nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mem_free(w);
    return 0;
}

static struct report
reporting(const struct world *w, enum report_state state)
{
    return (struct report){.state = state,
                           .settings = w->settings,
                           .cache = state == REPORT_STARTING ? NULL : w->cache,
                           .listen = "127.0.0.1:5000",
                           .admin = "127.0.0.1:5001",
                           .started_ms = clock_ms()};
}

/* The answer's body; its status must be as told. */
static char *
asked(const struct report *r, const char *method, const char *path, const char *const *pairs,
      unsigned status)
{
    struct admin_request q = {method, path, query, &pairs};
    struct admin_answer answer = {0};
    admin_answer(r, &q, &answer);
    if (answer.status != status)
        fail_msg("%s %s: %u %s", method, path, answer.status, answer.body);
    return answer.body;
}

static void
assert_says(const struct report *r, const char *path, unsigned status, const char *part)
{
    AUTO(mem_free_text) char *body = asked(r, "GET", path, NULL, status);
    if (!strstr(body, part))
        fail_msg("%s says \"%s\", not \"%s\"", path, body, part);
}

static void
a_node_that_starts_lives_but_is_not_ready(void **state)
{
    struct report r = reporting(*state, REPORT_STARTING);
    assert_says(&r, "/livez", 200, "ok");
    assert_says(&r, "/readyz", 503, "starting");
    assert_says(&r, "/api/v1/status", 200, "\"state\":\"starting\"");
    assert_says(&r, "/api/v1/blobs", 503, "starting");
    assert_says(&r, "/metrics", 200, "peersync_build_info");
}

static void
a_node_that_drains_is_not_ready(void **state)
{
    struct report r = reporting(*state, REPORT_DRAINING);
    assert_says(&r, "/livez", 200, "ok");
    assert_says(&r, "/readyz", 503, "draining");
    assert_says(&r, "/healthz", 503, "draining");
}

static void
a_node_that_serves_is_ready_and_says_why_it_is_alone(void **state)
{
    struct report r = reporting(*state, REPORT_SERVING);
    assert_says(&r, "/readyz", 200, "ok");
    assert_says(&r, "/api/v1/peers", 200, "no cluster key at /etc/peersync/cluster.key");
    assert_says(&r, "/api/v1/status", 200, "\"limit_bytes\":67108864");
    assert_says(&r, "/api/v1/transfers", 200, "{\"transfers\":[]}");
}

static void
paths_and_methods_that_do_not_fit_are_refused(void **state)
{
    struct report r = reporting(*state, REPORT_SERVING);
    static const struct {
        const char *method, *path;
        unsigned status;
    } rows[] = {
        {"GET", "/page.html", 404},
        {"POST", "/", 405},
        {"POST", "/api/v1/site", 405},
        {"POST", "/api/v1/pulls", 405},
        {"GET", "/api/v1/statusx", 404},
        {"POST", "/api/v1/status", 405},
        {"GET", "/api/v1/gc", 405},
        {"DELETE", "/api/v1/verify", 405},
        {"GET", "/api/v1/blobs/sha256:12", 400},
        {"GET", "/api/v1/images", 400},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        mem_free(asked(&r, rows[i].method, rows[i].path, NULL, rows[i].status));
}

/* The disk thread holds a new blob for a moment; what is held is not evicted. */
static void
wait_until_idle(struct cache *c, const struct digest *d)
{
    int64_t deadline_ms = clock_ms() + 5000;
    while (clock_ms() < deadline_ms && cache_gc(c, 0, true, NULL, NULL) == 0)
        clock_sleep_ms(1);
    struct blob_info info;
    assert_int_equal(cache_info(c, d, &info), 0);
}

static void
the_page_comes_with_a_policy_that_allows_its_own_hashes_only(void **state)
{
    struct report r = reporting(*state, REPORT_STARTING);
    struct admin_request q = {"GET", "/", query, &(const char *const *){NULL}};
    struct admin_answer answer = {0};
    admin_answer(&r, &q, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.type, "text/html; charset=utf-8");
    assert_true(text_starts(answer.policy, "default-src 'none'; script-src 'sha256-"));
    assert_null(strstr(answer.policy, "unsafe"));
    assert_null(strstr(answer.policy, "http"));
    /* One style, one script, no handler, style or address of its own anywhere. */
    assert_null(strstr(strstr(answer.body, "<style>") + 1, "<style"));
    assert_null(strstr(strstr(answer.body, "<script>") + 1, "<script"));
    assert_null(strstr(answer.body, "onclick="));
    assert_null(strstr(answer.body, " style="));
    assert_null(strstr(answer.body, "src="));
    mem_free(answer.body);
}

static void
a_blob_says_why_it_is_kept(void **state)
{
    struct world *w = *state;
    struct report r = reporting(w, REPORT_SERVING);
    struct digest d;
    digest_of(DIGEST_SHA256, "kept", 4, &d);
    struct tag t = {.digest = d, .checked_wall_s = 1, .media_type = "x/y", .size = 4};
    assert_int_equal(put_whole(w->cache, &d, "kept", 4), 0);
    cache_tag_put(w->cache, "a.test/kept:v1", &t);
    wait_until_idle(w->cache, &d);
    assert_says(&r, "/api/v1/blobs", 200, "\"tag\":\"a.test/kept:v1\",\"goes\":1");
    assert_says(&r, "/api/v1/blobs", 200, "there is room; when there is none it goes as number 1");
    struct blob *b = cache_find(w->cache, &d);
    assert_says(&r, "/api/v1/blobs", 200, "in use: 1 request has it open");
    blob_release(&b);
    assert_says(&r, "/api/v1/blobs", 200, "\"count\":1");
    mem_free(asked(&r, "GET", "/api/v1/blobs", (const char *const[]){"limit=0", NULL}, 400));
    assert_true(cache_gc(w->cache, 0, false, NULL, NULL) > 0);
}

static void
events_are_told_in_their_fields(void **state)
{
    struct report r = reporting(*state, REPORT_STARTING);
    LOG(peer_banned, LOG_S("peer", "10.0.0.9:5002"), LOG_U("pieces", 3));
    assert_says(&r, "/api/v1/events", 200,
                "\"event\":\"peer_banned\",\"level\":\"warn\",\"text\":\"a node gave wrong bytes");
    assert_says(&r, "/api/v1/events", 200,
                "\"fields\":{\"peer\":\"10.0.0.9:5002\",\"pieces\":\"3\"}");
}

static void
a_node_that_runs_alone_has_a_site_of_one(void **state)
{
    struct report r = reporting(*state, REPORT_SERVING);
    assert_says(&r, "/api/v1/site", 200, "\"alone\":true,\"reason\":\"no cluster key");
    assert_says(&r, "/api/v1/site", 200, "\"told\":1,\"nodes_here\":1");
}

static void
a_stored_blob_is_explained_and_evicted(void **state)
{
    const struct world *w = *state;
    struct report r = reporting(w, REPORT_SERVING);
    struct digest d;
    char text[DIGEST_TEXT_MAX];
    digest_of(DIGEST_SHA256, "hello", 5, &d);
    digest_print(&d, text);
    AUTO(mem_free_text) char *path = mem_printf("/api/v1/blobs/%s", text);
    mem_free(asked(&r, "GET", path, NULL, 404));
    assert_int_equal(put_whole(w->cache, &d, "hello", 5), 0);
    assert_says(&r, path, 200, "\"phase\":\"whole\"");
    assert_says(&r, "/api/v1/blobs", 200, text);

    static const char *const dry[] = {"to=0", "dry_run=1", NULL};
    static const char *const wet[] = {"to=0", NULL};
    static const char *const wrong[] = {"to=-1", NULL};
    mem_free(asked(&r, "POST", "/api/v1/gc", wrong, 400));
    wait_until_idle(w->cache, &d);
    AUTO(mem_free_text) char *would = asked(&r, "POST", "/api/v1/gc", dry, 200);
    assert_non_null(strstr(would, text));
    assert_says(&r, path, 200, "whole");
    AUTO(mem_free_text) char *verdict = asked(&r, "POST", "/api/v1/verify", NULL, 200);
    assert_non_null(strstr(verdict, "\"checked\":1,\"checked_bytes\":5,\"bad\":0"));
    AUTO(mem_free_text) char *did = asked(&r, "POST", "/api/v1/gc", wet, 200);
    assert_non_null(strstr(did, "\"freed_bytes\":5"));
    mem_free(asked(&r, "GET", path, NULL, 404));
}

static void
an_image_is_explained_from_what_is_known_here(void **state)
{
    const struct world *w = *state;
    struct report r = reporting(w, REPORT_SERVING);
    static const char type[] = "application/vnd.oci.image.manifest.v1+json";
    static const char manifest[] =
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
        "\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"size\":7,"
        "\"digest\":\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"},"
        "\"layers\":[]}";
    static const char *const pairs[] = {"registry=reg.test", "repository=a/b", "reference=v1",
                                        NULL};
    mem_free(asked(&r, "GET", "/api/v1/images", pairs, 404));
    struct tag tag = {.checked_wall_s = 1, .size = strlen(manifest)};
    struct link link = {.size = strlen(manifest), .seen_wall_s = 1};
    digest_of(DIGEST_SHA256, manifest, strlen(manifest), &tag.digest);
    must(!text_copy(tag.media_type, sizeof tag.media_type, type));
    must(!text_copy(link.media_type, sizeof link.media_type, type));
    assert_int_equal(put_whole(w->cache, &tag.digest, manifest, strlen(manifest)), 0);
    cache_tag_put(w->cache, "reg.test/a/b:v1", &tag);
    cache_link_put(w->cache, "reg.test/a/b", 0, &tag.digest, &link);
    AUTO(mem_free_text) char *body = asked(&r, "GET", "/api/v1/images", pairs, 200);
    assert_non_null(strstr(body, "\"tag_checked\":\"1970-01-01T00:00:01Z\""));
    assert_non_null(strstr(body, "\"kind\":\"image\""));
    assert_non_null(strstr(body, "0123456789abcdef\",\"phase\":\"absent\",\"size_bytes\":7"));
}

static void
swarm_get(void *arg, const struct digest *blob, const struct swarm_get *g)
{
    (void)arg, (void)blob, (void)g;
}

static void
swarm_stop(void *arg, const struct digest *blob, uint32_t get, uint32_t end)
{
    (void)arg, (void)blob, (void)get, (void)end;
}

static uint64_t
swarm_stored(void *arg, const struct digest *blob)
{
    (void)arg, (void)blob;
    return 0;
}

/* Of the cache folder's world; ended by p2p_close. */
static struct p2p *
open_swarm(const struct world *w)
{
    static const struct seal_keys keys = {1, {{{7}}}};
    static const struct p2p_ops ops = {
        .get = swarm_get, .stop = swarm_stop, .stored = swarm_stored};
    struct p2p_config c = {
        .listen = "127.0.0.1:0", .advertise = "auto", .site = "here", .dir = w->dir, .keys = &keys};
    struct p2p *p = NULL;
    struct err e;
    if (p2p_open(&c, &ops, &p, &e))
        fail_msg("%s", e.text);
    return p;
}

/* Asks until the answer holds `part`; the caller frees the answer. */
static char *
wait_until_says(const struct report *r, const char *path, const char *part)
{
    int64_t deadline_ms = clock_ms() + 20000;
    for (;;) {
        char *body = asked(r, "GET", path, NULL, 200);
        if (strstr(body, part))
            return body;
        if (clock_ms() > deadline_ms)
            fail_msg("%s says \"%s\", not \"%s\"", path, body, part);
        mem_free(body);
        clock_sleep_ms(5);
    }
}

static void
a_node_with_a_key_tells_that_it_is_its_own_tracker(void **state)
{
    const struct world *w = *state;
    struct report r = reporting(w, REPORT_SERVING);
    r.p2p = open_swarm(w);
    AUTO(mem_free_text) char *body = wait_until_says(&r, "/api/v1/peers", "\"role\":\"tracker\"");
    AUTO(json_free) cJSON *doc = NULL;
    assert_int_equal(json_parse(body, strlen(body), &doc), 0);
    const cJSON *tracker = json_object(doc, "tracker");
    assert_string_equal(json_text(tracker, "id"), json_text(doc, "id"));
    assert_int_equal(strlen(json_text(doc, "id")), 32);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(tracker, "self")));
    assert_string_equal(json_text(tracker, "why"), "no tracker was heard, and it is the best node");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(doc, "alone")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(doc, "deputy")));
    assert_int_equal(cJSON_GetArraySize(json_array(doc, "peers")), 0);
    assert_non_null(json_object(doc, "office"));
    AUTO(mem_free_text)
    char *metric = mem_printf("peersync_tracker{node=\"%.16s\"} 1\n", json_text(doc, "id"));
    assert_says(&r, "/metrics", 200, metric);
    assert_says(&r, "/api/v1/status", 200, "\"alone\":false");
    p2p_close(r.p2p);
}

static void
only_a_tracker_can_step_down(void **state)
{
    const struct world *w = *state;
    struct report r = reporting(w, REPORT_SERVING);
    mem_free(asked(&r, "POST", "/api/v1/tracker/step-down", NULL, 409));
    mem_free(asked(&r, "GET", "/api/v1/tracker/step-down", NULL, 405));
    r.p2p = open_swarm(w);
    mem_free(wait_until_says(&r, "/api/v1/peers", "\"role\":\"tracker\""));
    /* There is nobody to hand over to: it stays, and says so. */
    AUTO(mem_free_text)
    char *body = asked(&r, "POST", "/api/v1/tracker/step-down", NULL, 200);
    assert_non_null(strstr(body, "\"role\":\"tracker\""));
    p2p_close(r.p2p);
}

static void
whether_others_reach_the_port_is_asked_of_them(void **state)
{
    const struct world *w = *state;
    struct report r = reporting(w, REPORT_SERVING);
    mem_free(asked(&r, "POST", "/api/v1/reach", NULL, 409));
    r.p2p = open_swarm(w);
    AUTO(mem_free_text) char *body = asked(&r, "POST", "/api/v1/reach", NULL, 200);
    assert_string_equal(body, "{\"asked\":0,\"reached\":false}");
    p2p_close(r.p2p);
}

static void
in_a_swarm_it_is_told_who_else_has_a_blob(void **state)
{
    const struct world *w = *state;
    struct report r = reporting(w, REPORT_SERVING);
    static const char *const pairs[] = {"holders=1", NULL};
    struct digest d;
    char text[DIGEST_TEXT_MAX];
    digest_of(DIGEST_SHA256, "who", 3, &d);
    digest_print(&d, text);
    AUTO(mem_free_text) char *path = mem_printf("/api/v1/blobs/%s", text);
    r.p2p = open_swarm(w);
    mem_free(asked(&r, "GET", path, pairs, 404));
    assert_int_equal(put_whole(w->cache, &d, "who", 3), 0);
    AUTO(mem_free_text) char *body = asked(&r, "GET", path, pairs, 200);
    assert_non_null(strstr(body, "\"holders\":[]"));
    p2p_close(r.p2p);
    r.p2p = NULL;
    AUTO(mem_free_text) char *alone = asked(&r, "GET", path, pairs, 200);
    assert_null(strstr(alone, "holders"));
}

int
main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_starts_lives_but_is_not_ready),
        cmocka_unit_test(a_node_that_drains_is_not_ready),
        cmocka_unit_test(a_node_that_serves_is_ready_and_says_why_it_is_alone),
        cmocka_unit_test(paths_and_methods_that_do_not_fit_are_refused),
        cmocka_unit_test(the_page_comes_with_a_policy_that_allows_its_own_hashes_only),
        cmocka_unit_test(a_blob_says_why_it_is_kept),
        cmocka_unit_test(events_are_told_in_their_fields),
        cmocka_unit_test(a_node_that_runs_alone_has_a_site_of_one),
        cmocka_unit_test(a_stored_blob_is_explained_and_evicted),
        cmocka_unit_test(an_image_is_explained_from_what_is_known_here),
        cmocka_unit_test(a_node_with_a_key_tells_that_it_is_its_own_tracker),
        cmocka_unit_test(only_a_tracker_can_step_down),
        cmocka_unit_test(in_a_swarm_it_is_told_who_else_has_a_blob),
        cmocka_unit_test(whether_others_reach_the_port_is_asked_of_them),
    };
    return cmocka_run_group_tests_name("admin", tests, build, tear_down);
}
