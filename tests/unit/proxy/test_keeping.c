/* Last copies that this node is to take over. */
#include "base/metric.h"
#include "proxy/keeping.h"
#include "tests/unit/proxy/node.h"
#include <sys/stat.h>

#define BYTES (300u * 1024)

static struct parting_offer
offer_of(const struct object *o)
{
    static const char place[] = "reg.test/library/x";
    struct parting_offer offer = {.size = o->len,
                                  .requests = 655, /* a hundredth of one */
                                  .asked_s = UINT32_MAX,
                                  .place_len = sizeof place - 1};
    assert_int_equal(digest_parse(o->digest, strlen(o->digest), &offer.digest), 0);
    memcpy(offer.place, place, sizeof place - 1);
    return offer;
}

static void
write_content(const char *dir, const struct object *o)
{
    static const char *const below[] = {"", "/ingest", "/blobs", "/blobs/sha256"};
    char path[256];
    for (size_t i = 0; i < ARRAY_LEN(below); i++) {
        (void)snprintf(path, sizeof path, "%s%s", dir, below[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    (void)snprintf(path, sizeof path, "%s/blobs/sha256/%s", dir, strchr(o->digest, ':') + 1);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(o->bytes, 1, o->len, f), o->len);
    assert_int_equal(fclose(f), 0);
}

/* It would say for ever that it comes, and its owner would wait. */
static void
what_containerd_has_is_not_taken_over(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    const struct object *o = node_add_blob(n, "library/x", BYTES);
    struct parting_offer offer = offer_of(o);
    char dir[128], content[128];
    (void)snprintf(dir, sizeof dir, "%s/own", n->folder);
    (void)snprintf(content, sizeof content, "%s/content", n->folder);
    write_content(content, o);
    struct cache_config config = {.dir = dir,
                                  .size_bytes = 64u << 20,
                                  .cpus = 1,
                                  .content_dir = content,
                                  .content_owns = true};
    struct cache *cache;
    struct err e;
    if (cache_open(&config, &cache, &e) < 0)
        fail_msg("%s", e.text);
    struct keeping *k = keeping_new(cache, n->fetch, n->settings);
    for (int64_t end_ms = clock_ms() + 20000;
         cache_stored(cache, &offer.digest) == 0 && clock_ms() < end_ms;)
        clock_sleep_ms(1);
    assert_int_equal(keeping_take(k, &offer), PARTING_REFUSED);
    keeping_free(k);
    cache_close(cache);
    node_close(n);
}

static void
complete(struct blob *b, const struct object *o)
{
    struct gap gap;
    struct blob_state s = {.phase = BLOB_ASKED};
    while (blob_claim(b, UINT64_MAX, &gap))
        assert_int_equal(blob_write(b, gap.start, o->bytes + gap.start,
                                    (size_t)(gap.end - gap.start), BLOB_FROM_PEER),
                         0);
    for (int64_t end_ms = clock_ms() + 20000; s.phase != BLOB_WHOLE && clock_ms() < end_ms;) {
        clock_sleep_ms(1);
        blob_look(b, 0, &s);
    }
    assert_int_equal(s.phase, BLOB_WHOLE);
}

/* It is asked again every few seconds while the copy comes: none of that is a client. */
static void
a_copy_that_comes_is_worth_what_it_was(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    const struct object *o = node_add_blob(n, "library/x", BYTES);
    struct parting_offer offer = offer_of(o);
    struct blob_info info;
    struct keeping *k = keeping_new(n->cache, n->fetch, n->settings);
    assert_int_equal(keeping_take(k, &offer), PARTING_COMING); /* from no other node: it is left */
    struct blob *b = NULL;
    for (int64_t end_ms = clock_ms() + 20000; b == NULL && clock_ms() < end_ms;) {
        b = cache_lead(n->cache, &offer.digest);
        clock_sleep_ms(1);
    }
    assert_non_null(b);
    assert_int_equal(blob_begin(b, o->len), 0);
    for (int i = 0; i < 50; i++)
        assert_int_equal(keeping_take(k, &offer), PARTING_COMING);
    assert_int_equal(cache_info(n->cache, &offer.digest, &info), 0);
    if (info.requests >= 0.1)
        fail_msg("%f requests", info.requests);
    complete(b, o);
    blob_release(&b);
    uint64_t taken = metric_get(M_last_copy_taken);
    for (int i = 0; i < 2; i++)
        assert_int_equal(keeping_take(k, &offer), PARTING_STORED);
    assert_int_equal(metric_get(M_last_copy_taken), taken + 1);
    assert_int_equal(cache_info(n->cache, &offer.digest, &info), 0);
    if (info.requests >= 0.1)
        fail_msg("%f requests once it is stored", info.requests);
    keeping_free(k);
    node_close(n);
}

static void
what_this_node_may_not_hold_is_refused(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    const struct object *o = node_add_blob(n, "library/x", BYTES);
    struct parting_offer unknown = offer_of(o), torn = unknown, large = unknown;
    struct keeping *k = keeping_new(n->cache, n->fetch, n->settings);
    memcpy(unknown.place, "no-registry.test", 16);
    assert_int_equal(keeping_take(k, &unknown), PARTING_REFUSED);
    torn.place[3] = '\0';
    assert_int_equal(keeping_take(k, &torn), PARTING_REFUSED);
    large.size = UINT64_C(1) << 50;
    assert_int_equal(keeping_take(k, &large), PARTING_REFUSED);
    struct blob_info info;
    assert_int_equal(cache_info(n->cache, &large.digest, &info), ERR_NOT_FOUND);
    keeping_free(k);
    node_close(n);
}

/* No other node has it: its registry is not asked, and after three tries nobody waits for it. */
static void
a_copy_that_does_not_come_is_given_up(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    const struct object *o = node_add_blob(n, "library/x", BYTES);
    struct parting_offer offer = offer_of(o);
    struct keeping *k = keeping_new(n->cache, n->fetch, n->settings);
    enum parting_taken taken = PARTING_COMING;
    for (int64_t end_ms = clock_ms() + 20000; taken == PARTING_COMING && clock_ms() < end_ms;) {
        taken = keeping_take(k, &offer);
        clock_sleep_ms(1);
    }
    assert_int_equal(taken, PARTING_REFUSED);
    assert_int_equal(atomic_load(&o->gets) + atomic_load(&o->heads), 0);
    keeping_free(k);
    node_close(n);
}

static void
only_what_anybody_may_read_is_offered(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    const struct object *o = node_add_blob(n, "library/x", BYTES);
    struct parting_offer offer, want = offer_of(o);
    struct link link = {.size = o->len};
    struct keeping *k = keeping_new(n->cache, n->fetch, n->settings);
    assert_false(keeping_offer(k, &want.digest, &offer)); /* it is not here */
    assert_int_equal(cache_put(n->cache, &want.digest, o->bytes, o->len, BLOB_FROM_UPSTREAM), 0);
    for (int64_t end_ms = clock_ms() + 20000;
         !keeping_holds(k, &want.digest) && clock_ms() < end_ms;)
        clock_sleep_ms(1);
    assert_false(keeping_offer(k, &want.digest, &offer)); /* nobody knows of where */
    cache_link_put(n->cache, "reg.test/library/x", 77, &want.digest, &link);
    assert_false(keeping_offer(k, &want.digest, &offer)); /* read with a client's secret */
    cache_link_put(n->cache, "reg.test/library/x", 0, &want.digest, &link);
    assert_true(keeping_offer(k, &want.digest, &offer));
    assert_int_equal(offer.size, o->len);
    assert_int_equal(offer.place_len, strlen("reg.test/library/x"));
    assert_memory_equal(offer.place, "reg.test/library/x", offer.place_len);
    assert_true(offer.requests > 65000 && offer.requests < 66000); /* cache_put was the one */
    assert_true(offer.asked_s < 20);
    keeping_free(k);
    node_close(n);
}

/* ---- what leaves ---- */

struct asked {
    _Atomic unsigned count;
    struct digest first;
};

static void
note_ask(void *arg, const struct leave_ask *list, size_t count)
{
    struct asked *a = arg;
    if (atomic_load(&a->count) == 0)
        a->first = list[0].digest;
    atomic_fetch_add(&a->count, (unsigned)count);
}

static void
the_word_of_the_site_reaches_the_cache(void **state)
{
    (void)state;
    struct node *n = node_open("", "");
    char dir[128];
    struct asked asked = {.count = 0};
    struct err e;
    struct cache *cache;
    (void)snprintf(dir, sizeof dir, "%s/own", n->folder);
    struct cache_config config = {
        .dir = dir, .size_bytes = 10 * BYTES, .cpus = 1, .leave_asks = true};
    if (cache_open(&config, &cache, &e) < 0)
        fail_msg("%s", e.text);
    struct keeping *k = keeping_new(cache, n->fetch, n->settings);
    cache_on_leave(cache, note_ask, &asked);
    for (int i = 0; i < 10; i++) { /* up to the brim, which is above the mark */
        const struct object *o = node_add_blob(n, "library/x", BYTES);
        struct digest d;
        assert_int_equal(digest_parse(o->digest, strlen(o->digest), &d), 0);
        assert_int_equal(cache_put(cache, &d, o->bytes, o->len, BLOB_FROM_UPSTREAM), 0);
    }
    for (int64_t end_ms = clock_ms() + 20000;
         atomic_load(&asked.count) == 0 && clock_ms() < end_ms;)
        clock_sleep_ms(1);
    assert_true(atomic_load(&asked.count) > 0);
    struct parting said = {.digest = asked.first, .what = PARTING_MOVES, .for_ms = 600000};
    struct blob_info info;
    memset(&said.to, 7, sizeof said.to);
    keeping_said(k, &said);
    assert_int_equal(cache_info(cache, &asked.first, &info), 0);
    assert_int_equal(info.leave, CACHE_LEAVE_MOVES);
    assert_true(strlen(info.leave_to) > 0);
    uint64_t moved = metric_get(M_last_copy_moved);
    said.what = PARTING_GO;
    said.copies = 1;
    keeping_said(k, &said);
    assert_int_equal(metric_get(M_last_copy_moved), moved + 1);
    for (int64_t end_ms = clock_ms() + 20000;
         keeping_holds(k, &asked.first) && clock_ms() < end_ms;)
        clock_sleep_ms(1);
    assert_false(keeping_holds(k, &asked.first));
    cache_on_leave(cache, NULL, NULL);
    keeping_free(k);
    cache_close(cache);
    node_close(n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_containerd_has_is_not_taken_over),
        cmocka_unit_test(a_copy_that_comes_is_worth_what_it_was),
        cmocka_unit_test(what_this_node_may_not_hold_is_refused),
        cmocka_unit_test(a_copy_that_does_not_come_is_given_up),
        cmocka_unit_test(only_what_anybody_may_read_is_offered),
        cmocka_unit_test(the_word_of_the_site_reaches_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
