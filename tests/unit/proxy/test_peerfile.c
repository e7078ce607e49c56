/* Manifests from another node. */
#include "proxy/upstream/peerfile.h"
#include "tests/unit/proxy/node.h"

static const char manifest[] = "{\"schemaVersion\":2}";

/* Another node's peer port. */
struct other {
    struct MHD_Daemon *port;
    struct p2p *p2p, *own; /* its swarm, and the asker's */
    char folders[2][32];
    const char *bytes;
    unsigned status;
    atomic_bool silent;
    char path[256];
    bool admitted;
    enum peerfile_met met; /* at the last request */
};

static enum MHD_Result
serve(void *cls, struct MHD_Connection *c, const char *url, const char *method, const char *version,
      const char *body, size_t *body_len, void **context)
{
    struct other *o = cls;
    struct node_id from;
    char what[512];
    (void)version, (void)body, (void)body_len;
    if (!*context) {
        *context = o;
        return MHD_YES;
    }
    while (atomic_load(&o->silent))
        clock_sleep_ms(1); /* until the test's next line */
    const char *auth = MHD_lookup_connection_value(c, MHD_HEADER_KIND, PIECE_AUTH);
    (void)snprintf(what, sizeof what, "%s %s", method, url);
    (void)snprintf(o->path, sizeof o->path, "%s", url);
    o->admitted = auth && p2p_admit(o->p2p, auth, what, &from) == 0;
    struct MHD_Response *m = MHD_create_response_from_buffer(
        strlen(o->bytes), (void *)(uintptr_t)o->bytes, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result queued = MHD_queue_response(c, o->status, m);
    MHD_destroy_response(m);
    return queued;
}

static struct p2p *
open_p2p(char folder[32])
{
    static const struct seal_keys keys = {1, {{{7}}}};
    static const struct p2p_ops ops;
    struct p2p *p = NULL;
    struct err e = {0};
    (void)snprintf(folder, 32, "/tmp/peersync-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    struct p2p_config c = {
        .listen = "127.0.0.1:0", .advertise = "auto", .site = "here", .dir = folder, .keys = &keys};
    if (p2p_open(&c, &ops, &p, &e) < 0)
        fail_msg("%s", e.text);
    return p;
}

static int
open_other(void **state)
{
    struct other *o = mem_zalloc(sizeof *o);
    log_configure(LOG_ERROR, false);
    assert_int_equal(curl_global_init(CURL_GLOBAL_DEFAULT), 0);
    o->p2p = open_p2p(o->folders[0]);
    o->own = open_p2p(o->folders[1]);
    o->bytes = manifest;
    o->status = 200;
    o->port = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, NULL, NULL, serve,
                               o, MHD_OPTION_END);
    assert_non_null(o->port);
    *state = o;
    return 0;
}

static int
close_other(void **state)
{
    struct other *o = *state;
    atomic_store(&o->silent, false);
    MHD_stop_daemon(o->port);
    p2p_close(o->p2p);
    p2p_close(o->own);
    for (size_t i = 0; i < 2; i++)
        (void)nftw(o->folders[i], remove_one, 8, FTW_DEPTH | FTW_PHYS);
    mem_free(o);
    return 0;
}

static struct node_addr
loopback(int port)
{
    return (struct node_addr){{[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, (uint16_t)port};
}

static int
get(struct other *o, size_t limit, int64_t wait_ms, struct buf *ret)
{
    struct node_addr addr = loopback(port_of(o->port));
    struct digest d;
    digest_of(DIGEST_SHA256, manifest, sizeof manifest - 1, &d);
    buf_init(ret, limit);
    return peerfile_get(o->own, &addr, &d, clock_ms() + wait_ms, ret, &o->met);
}

static void
a_manifest_comes_by_its_digest_and_the_request_is_signed(void **state)
{
    struct other *o = *state;
    struct buf b;
    char digest[DIGEST_TEXT_MAX];
    struct digest d;
    assert_int_equal(get(o, 4096, 5000, &b), 0);
    assert_string_equal(buf_text(&b), manifest);
    digest_of(DIGEST_SHA256, manifest, sizeof manifest - 1, &d);
    digest_print(&d, digest);
    assert_true(text_starts(o->path, PIECE_MANIFEST_PATH));
    assert_string_equal(o->path + strlen(PIECE_MANIFEST_PATH), digest);
    assert_true(o->admitted);
    assert_int_equal(o->met, PEERFILE_MET);
    buf_release(&b);
}

static void
wrong_bytes_are_not_taken(void **state)
{
    struct other *o = *state;
    struct buf b;
    o->bytes = "{\"schemaVersion\":3}";
    assert_int_equal(get(o, 4096, 5000, &b), ERR_DIGEST);
    assert_int_equal(b.len, 0);
    buf_release(&b);
}

static void
more_than_there_is_room_for_is_not_read(void **state)
{
    struct other *o = *state;
    struct buf b;
    assert_int_equal(get(o, 8, 5000, &b), ERR_LIMIT);
    assert_int_equal(b.len, 0);
    buf_release(&b);
}

static void
a_refusal_says_which(void **state)
{
    struct other *o = *state;
    static const struct {
        unsigned status;
        int code;
    } table[] = {{404, ERR_NOT_FOUND}, {403, ERR_DENIED},   {503, ERR_BUSY},
                 {206, ERR_UPSTREAM},  {302, ERR_UPSTREAM}, {500, ERR_UPSTREAM}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct buf b;
        o->status = table[i].status;
        assert_int_equal(get(o, 4096, 5000, &b), table[i].code);
        assert_int_equal(o->met, PEERFILE_MET);
        assert_int_equal(b.len, 0);
        buf_release(&b);
    }
}

static void
a_node_that_is_silent_or_gone_holds_up_nobody(void **state)
{
    struct other *o = *state;
    struct buf b;
    atomic_store(&o->silent, true);
    assert_int_equal(get(o, 4096, 100, &b), ERR_TIMEOUT);
    assert_int_equal(o->met, PEERFILE_MUTE);
    assert_int_equal(get(o, 4096, PEERFILE_CONNECT_MS + 50, &b), ERR_TIMEOUT);
    assert_int_equal(o->met, PEERFILE_MUTE); /* it is connected */
    atomic_store(&o->silent, false);
    assert_int_equal(get(o, 4096, 0, &b), ERR_TIMEOUT);
    assert_int_equal(o->met, PEERFILE_MUTE);
    struct node_addr nobody = loopback(1);
    struct digest d = {0};
    assert_int_equal(peerfile_get(o->own, &nobody, &d, clock_ms() + 5000, &b, &o->met),
                     ERR_UPSTREAM);
    assert_int_equal(o->met, PEERFILE_ABSENT);
    buf_release(&b);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_other, close_other)
    const struct CMUnitTest tests[] = {
        TEST(a_manifest_comes_by_its_digest_and_the_request_is_signed),
        TEST(wrong_bytes_are_not_taken),
        TEST(more_than_there_is_room_for_is_not_read),
        TEST(a_refusal_says_which),
        TEST(a_node_that_is_silent_or_gone_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
