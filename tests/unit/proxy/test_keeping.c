/* Last copies that this node is to take over. */
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
    assert_int_equal(keeping_take(k, &offer), PARTING_STORED);
    keeping_free(k);
    node_close(n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_containerd_has_is_not_taken_over),
        cmocka_unit_test(a_copy_that_comes_is_worth_what_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
