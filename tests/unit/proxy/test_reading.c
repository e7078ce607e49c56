/* What a reader does when its blob fails. */
#include "base/metric.h"
#include "proxy/api/reading.h"
#include "tests/unit/proxy/node.h"

static void
each_failure_has_its_way_on(void **state)
{
    (void)state;
    static const struct {
        int code;
        bool passing, may_try_again, fresh;
        enum reading_next next;
    } table[] = {
        {ERR_FULL, false, false, false, READING_PASS},
        {ERR_STORE, false, true, false, READING_PASS},
        {-EIO, false, false, false, READING_PASS},
        {-ENOSPC, false, true, false, READING_PASS},
        {ERR_FULL, false, true, true, READING_AGAIN},
        {ERR_FULL, false, false, true, READING_PASS},
        {ERR_FULL, true, true, false, READING_GIVE_UP},
        {-EIO, true, true, false, READING_GIVE_UP},
        {ERR_UPSTREAM, false, true, false, READING_AGAIN},
        {ERR_UPSTREAM, true, true, false, READING_AGAIN},
        {ERR_TIMEOUT, false, true, false, READING_AGAIN},
        {ERR_SIZE, false, true, false, READING_AGAIN},
        {ERR_NOT_FOUND, false, true, false, READING_AGAIN},
        {ERR_UPSTREAM, false, false, false, READING_GIVE_UP},
        {ERR_NOT_FOUND, false, false, false, READING_GIVE_UP},
        {ERR_DIGEST, false, true, false, READING_GIVE_UP},
        {ERR_CLOSED, false, true, false, READING_GIVE_UP},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (reading_judge(table[i].code, table[i].passing, table[i].may_try_again,
                          table[i].fresh) != table[i].next)
            fail_msg("%s", err_text(table[i].code));
}

/* ---- going on from somewhere else ---- */

#define SIZE  (2u * 1024 * 1024)
#define FIRST (1024u * 1024) /* so much of it comes before the blob fails */
#define PART  300000u

struct way {
    const char *range;
    bool memory;    /* the disk has no room for it */
    int code;       /* what the blob fails with */
    bool wrong;     /* a byte that was sent before */
    size_t written; /* from here on, to FIRST */
};

/* The blob as another client's fetch begins it: who asks now joins it. */
static struct blob *
begin_blob(struct node *n, const struct object *o, const struct way *w)
{
    struct digest d;
    struct gap gap;
    enum cache_got got;
    assert_int_equal(digest_parse(o->digest, strlen(o->digest), &d), 0);
    if (w->memory)
        cache_set_limits(n->cache, FIRST, 0, 0);
    cache_set_memory(n->cache, 64u << 20);
    struct blob *b = cache_acquire(n->cache, &d, &got);
    assert_int_equal(got, CACHE_LEAD);
    blob_set_shared(b, true);
    assert_int_equal(blob_begin(b, SIZE), 0);
    char *bytes = mem_alloc(FIRST);
    memcpy(bytes, o->bytes, FIRST);
    bytes[PART + 1000] = (char)(bytes[PART + 1000] ^ (w->wrong ? 1 : 0));
    assert_true(blob_claim_in(b, w->written, FIRST, &gap));
    assert_int_equal(
        blob_write(b, w->written, bytes + w->written, FIRST - w->written, BLOB_FROM_UPSTREAM), 0);
    mem_free(bytes);
    return b;
}

static void
expect_end(const struct way *w)
{
    struct node *n = node_open("", "prefetch: {enabled: false}\n");
    const struct object *o = node_add_blob(n, "library/x", SIZE);
    struct blob *b = begin_blob(n, o, w);
    struct got g = {0};
    buf_init(&g.body, 2 * SIZE);
    int fd = node_connect(n);
    char *text = mem_printf("GET /v2/%s HTTP/1.1\r\nHost: node\r\nConnection: close\r\n%s\r\n",
                            o->path, w->range);
    size_t start = w->range[0] != '\0' ? PART : 0;
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    (void)got_receive(fd, &g.body, FIRST - start);
    blob_fail(b, w->code);
    blob_release(&b);
    (void)got_receive(fd, &g.body, SIZE_MAX);
    got_split(&g, false);
    if (g.whole == w->wrong)
        fail_msg("%s after %s: %zu bytes", g.whole ? "complete" : "short", err_text(w->code),
                 g.body.len);
    if (g.whole)
        assert_memory_equal(g.body.data, o->bytes + start, SIZE - start);
    fd_close(&fd);
    mem_free(text);
    got_release(&g);
    node_close(n);
}

static void
what_was_sent_is_the_beginning_of_what_is_right(void **state)
{
    (void)state;
    static const char part[] = "Range: bytes=300000-\r\n";
    static const struct way ways[] = {
        {"", true, ERR_UPSTREAM, false, 0},         {"", true, ERR_STORE, false, 0},
        {"", false, ERR_UPSTREAM, false, 0},        {"", false, ERR_STORE, false, 0},
        {part, true, ERR_STORE, false, 0},          {part, false, ERR_STORE, false, 262144},
        {part, false, ERR_UPSTREAM, false, 262144},
    };
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct way w = ways[i];
        expect_end(&w);
        w.wrong = true;
        expect_end(&w);
    }
}

/* ---- parts that come alone ---- */

static void
ask_part(int fd, const struct object *o, const char *range)
{
    char *text = mem_printf(
        "GET /v2/%s HTTP/1.1\r\nHost: node\r\nConnection: close\r\nRange: bytes=%s\r\n\r\n",
        o->path, range);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    mem_free(text);
}

static void
expect_part(struct node *n, const struct object *o, const char *range, size_t start)
{
    struct got g = {0};
    buf_init(&g.body, 2 * SIZE);
    int fd = node_connect(n);
    ask_part(fd, o, range);
    (void)got_receive(fd, &g.body, SIZE_MAX);
    got_split(&g, false);
    if (g.status != 206 || !g.whole || g.body.len != o->len - start)
        fail_msg("%s: %d, %zu bytes", range, g.status, g.body.len);
    assert_memory_equal(g.body.data, o->bytes + start, o->len - start);
    fd_close(&fd);
    got_release(&g);
}

/* A registry that is slow to answer is given up for others: then all of the blob is asked for. */
#define PROMPT_MS 1000

static void
expect_sent(const struct object *o, uint64_t want, int64_t since_ms)
{
    if (clock_ms() - since_ms < PROMPT_MS)
        assert_int_equal(atomic_load(&o->sent_bytes), want);
}

static bool
is_in_cache(struct node *n, const struct object *o)
{
    struct digest d;
    struct blob_info info;
    assert_int_equal(digest_parse(o->digest, strlen(o->digest), &d), 0);
    return cache_info(n->cache, &d, &info) == 0 && info.phase == BLOB_WHOLE;
}

static void
a_footer_costs_its_own_bytes_only(void **state)
{
    (void)state;
    struct node *n = node_open("", "prefetch: {enabled: false}\n");
    int64_t since_ms = clock_ms();
    struct object *o = node_add_blob(n, "library/x", SIZE);
    struct object *cut = node_add_blob(n, "library/x", SIZE);
    struct object *begun = node_add_blob(n, "library/x", SIZE);

    expect_part(n, o, "-65536", SIZE - 65536);
    expect_part(n, o, "2097000-2097151", 2097000);
    expect_sent(o, 65536 + 152, since_ms);
    expect_part(n, o, "65536-", 65536); /* perhaps the rest of what was cut: proven, and kept */
    uint64_t sent = atomic_load(&o->sent_bytes);
    assert_true(sent >= SIZE);
    expect_part(n, o, "-65536", SIZE - 65536);
    assert_int_equal(atomic_load(&o->sent_bytes), sent);

    /* The registry fails amid it: then all of the blob is asked for, as by anybody. */
    atomic_store(&cut->cut_at, SIZE - 1000);
    expect_part(n, cut, "-65536", SIZE - 65536);

    /* Another client's fetch goes on slowly. */
    struct way w = {.range = ""};
    struct blob *b = begin_blob(n, begun, &w);
    since_ms = clock_ms();
    expect_part(n, begun, "-32768", SIZE - 32768);
    expect_sent(begun, 32768, since_ms);
    blob_fail(b, ERR_CLOSED);
    blob_release(&b);
    node_close(n);
}

/* A registry that sends all is not read through up to the footer in vain; once that is sure, it is
 * not asked for one. */
static void
a_footer_does_not_come_alone_from_a_registry_without_ranges(void **state)
{
    (void)state;
    struct node *n = node_open("", "prefetch: {enabled: false}\n");
    uint64_t streamed = metric_get(M_pulls_streamed);
    unsigned alone = 0;
    int64_t begun_ms = clock_ms();
    for (unsigned i = 0; i < 3; i++) {
        struct object *o = node_add_blob(n, "library/x", SIZE);
        atomic_store(&o->no_ranges, true);
        int64_t since_ms = clock_ms();
        alone += fetch_sends_ranges(n->fetch, "reg.test");
        expect_part(n, o, "-1000", SIZE - 1000);
        while (!is_in_cache(n, o) && clock_ms() < since_ms + 20000)
            clock_sleep_ms(1);
        assert_true(is_in_cache(n, o));
    }
    assert_true(alone < 3 || clock_ms() - begun_ms >= PROMPT_MS);
    node_close(n);
    assert_int_equal(metric_get(M_pulls_streamed),
                     streamed); /* all came with their blob in the end */
}

/* Another node's last bytes are proven only when all of the blob is here, which may be too late. */
static void
a_footer_comes_alone_when_another_node_has_it_too(void **state)
{
    (void)state;
    struct node *holder = node_open("", "prefetch: {enabled: false}\n");
    struct node *n = node_open("", "prefetch: {enabled: false}\n");
    struct object *there = node_add_blob(holder, "library/x", SIZE);
    struct object *here = node_add(n, there->path, there->type, there->bytes, there->len);
    node_join(holder, NULL);
    node_join(n, holder);
    node_wait_for(holder, 1);
    node_wait_for(n, 1);

    expect_part(holder, there, "1-", 1);
    int64_t until_ms = clock_ms() + 20000;
    while (!is_in_cache(holder, there) && clock_ms() < until_ms)
        clock_sleep_ms(1);
    assert_true(is_in_cache(holder, there));
    int64_t since_ms = clock_ms();
    expect_part(n, here, "-1000", SIZE - 1000);
    expect_sent(here, 1000, since_ms);
    node_close(n);
    node_close(holder);
}

/* What the registry does not give, others may: the reader waits for the blob then, as long as for
 * any. */
static void
a_footer_that_does_not_come_is_waited_for(void **state)
{
    (void)state;
    enum { LATER_MS = 2800, TOO_LATE_MS = 4000 };
    struct node *n = node_open("", "prefetch: {enabled: false}\n");
    struct object *o = node_add_blob(n, "library/x", SIZE);
    struct way w = {.range = ""};
    struct gap rest;
    struct got g = {0};
    expect_part(n, o, "-1000", SIZE - 1000); /* this node knows now how long it is */
    atomic_store(&o->status, 404);
    struct blob *b = begin_blob(n, o, &w);
    buf_init(&g.body, SIZE);
    int fd = node_connect(n);
    int64_t since_ms = clock_ms();
    ask_part(fd, o, "-1000");
    while (blob_readers(b) == 0 && clock_ms() < since_ms + 20000)
        clock_sleep_ms(1);
    while (clock_ms() < since_ms + LATER_MS)
        clock_sleep_ms(10);
    assert_true(blob_claim_in(b, FIRST, SIZE, &rest));
    assert_int_equal(blob_write(b, FIRST, o->bytes + FIRST, SIZE - FIRST, BLOB_FROM_PEER), 0);
    bool in_time = clock_ms() < since_ms + TOO_LATE_MS;
    (void)got_receive(fd, &g.body, SIZE_MAX);
    got_split(&g, false);
    if (in_time) {
        assert_int_equal(g.status, 206);
        assert_int_equal(g.body.len, 1000);
        assert_memory_equal(g.body.data, o->bytes + SIZE - 1000, 1000);
    }
    blob_release(&b);
    fd_close(&fd);
    got_release(&g);
    node_close(n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_failure_has_its_way_on),
        cmocka_unit_test(what_was_sent_is_the_beginning_of_what_is_right),
        cmocka_unit_test(a_footer_costs_its_own_bytes_only),
        cmocka_unit_test(a_footer_does_not_come_alone_from_a_registry_without_ranges),
        cmocka_unit_test(a_footer_comes_alone_when_another_node_has_it_too),
        cmocka_unit_test(a_footer_that_does_not_come_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
