/* Journal records and piece maps: what is written is read back, and nothing else is. */
#include "base/buf.h"
#include "base/rng.h"
#include "cache/pieces.h"
#include "cache/record.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

static struct digest
some_digest(enum digest_alg alg, const char *text)
{
    struct digest d;
    digest_of(alg, text, strlen(text), &d);
    return d;
}

static struct record
tag_record(void)
{
    struct record r = {.kind = RECORD_TAG, .key = "docker.io/library/busybox:latest"};
    r.tag = (struct tag){.digest = some_digest(DIGEST_SHA256, "x"),
                         .checked_wall_s = -5,
                         .media_type = "application/vnd.oci.image.index.v1+json",
                         .size = 1234};
    return r;
}

static struct record
link_record(void)
{
    struct record r = {.kind = RECORD_LINK,
                       .key = "docker.io/library/busybox",
                       .principal = UINT64_MAX,
                       .digest = some_digest(DIGEST_SHA512, "y")};
    r.link = (struct link){.size = CACHE_SIZE_UNKNOWN, .seen_wall_s = 77};
    return r;
}

static void
encode(const struct record *r, struct buf *b)
{
    buf_init(b, RECORD_MAX_BYTES);
    assert_int_equal(record_encode(r, b), 0);
}

static void
each_kind_is_read_back_as_written(void **state)
{
    (void)state;
    struct record drop = {.kind = RECORD_TAG_DROP, .key = "a/b:c"};
    struct record fact = {.kind = RECORD_FACT,
                          .digest = some_digest(DIGEST_SHA256, "z"),
                          .fact = {9, 1, 2, {3, 4, UINT64_MAX}}};
    struct record all[] = {tag_record(), drop, link_record(), fact};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct buf b;
        encode(&all[i], &b);
        struct record got;
        size_t used = 0;
        assert_int_equal(record_decode(b.data, b.len, &got, &used), 0);
        assert_int_equal(used, b.len);
        assert_int_equal(got.kind, all[i].kind);
        assert_string_equal(got.key, all[i].key);
        assert_true(digest_equal(&got.digest, &all[i].digest));
        assert_true(digest_equal(&got.tag.digest, &all[i].tag.digest));
        assert_int_equal(got.principal, all[i].principal);
        assert_int_equal(got.tag.checked_wall_s, all[i].tag.checked_wall_s);
        assert_string_equal(got.tag.media_type, all[i].tag.media_type);
        assert_int_equal(got.tag.size, all[i].tag.size);
        assert_int_equal(got.link.size, all[i].link.size);
        assert_int_equal(got.link.seen_wall_s, all[i].link.seen_wall_s);
        assert_memory_equal(&got.fact, &all[i].fact, sizeof got.fact);
        buf_release(&b);
    }
}

static void
the_longest_texts_fit_a_record(void **state)
{
    (void)state;
    struct record r = link_record();
    memset(r.key, 'k', CACHE_NAME_MAX - 1);
    memset(r.link.media_type, 'm', CACHE_TYPE_MAX - 1);
    struct buf b;
    encode(&r, &b);
    buf_release(&b);
    r = tag_record();
    r.tag.digest = some_digest(DIGEST_SHA512, "t");
    memset(r.key, 'k', sizeof r.key - 1);
    memset(r.tag.media_type, 'm', CACHE_TYPE_MAX - 1);
    encode(&r, &b);
    struct record got;
    size_t used;
    assert_int_equal(record_decode(b.data, b.len, &got, &used), 0);
    assert_string_equal(got.key, r.key);
    buf_release(&b);
}

static void
every_prefix_of_a_record_is_cut_off_not_damaged(void **state)
{
    (void)state;
    struct record r = tag_record(), got;
    struct buf b;
    encode(&r, &b);
    for (size_t len = 0; len < b.len; len++) {
        size_t used = 99;
        assert_int_equal(record_decode(b.data, len, &got, &used), ERR_AGAIN);
        assert_int_equal(used, 99);
    }
    buf_release(&b);
}

static void
every_flipped_bit_of_the_payload_is_found(void **state)
{
    (void)state;
    struct record r = link_record(), got;
    struct buf b;
    encode(&r, &b);
    for (size_t bit = 4 * 8; bit < b.len * 8; bit++) {
        size_t used;
        b.data[bit / 8] = (char)(b.data[bit / 8] ^ (1 << (bit % 8)));
        assert_int_equal(record_decode(b.data, b.len, &got, &used), ERR_SYNTAX);
        b.data[bit / 8] = (char)(b.data[bit / 8] ^ (1 << (bit % 8)));
    }
    buf_release(&b);
}

static void
an_unknown_kind_is_skipped(void **state)
{
    (void)state;
    struct record r = {.kind = (enum record_kind)200}, got;
    struct buf b;
    encode(&r, &b);
    size_t used = 0;
    assert_int_equal(record_decode(b.data, b.len, &got, &used), 0);
    assert_int_equal(got.kind, RECORD_OTHER);
    assert_int_equal(used, b.len);
    buf_release(&b);
}

static void
a_piece_map_is_read_back_as_written(void **state)
{
    (void)state;
    struct digest d = some_digest(DIGEST_SHA512, "map");
    struct pieces *p = pieces_new(10 * PIECE_MIN_BYTES + 3), *got = NULL;
    struct gap gap;
    assert_true(pieces_claim(p, PIECE_MIN_BYTES, 1000, &gap));
    pieces_fill(p, gap.start, 1000);
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(record_map_encode(&d, p, &b), 0);
    assert_int_equal(record_map_decode(b.data, b.len, &d, &got), 0);
    assert_int_equal(got->size, p->size);
    assert_int_equal(got->have_bytes, 1000);
    assert_int_equal(got->claims_count, 0);
    assert_memory_equal(got->filled, p->filled, p->count * sizeof p->filled[0]);
    pieces_free(p);
    pieces_free(got);
    buf_release(&b);
}

static void
a_damaged_cut_or_foreign_piece_map_is_refused(void **state)
{
    (void)state;
    struct digest d = some_digest(DIGEST_SHA256, "map");
    struct digest other = some_digest(DIGEST_SHA256, "other");
    struct pieces *p = pieces_new(3 * PIECE_MIN_BYTES), *got = NULL;
    struct buf b;
    buf_init(&b, 4096);
    assert_int_equal(record_map_encode(&d, p, &b), 0);
    assert_int_equal(record_map_decode(b.data, b.len, &other, &got), ERR_SYNTAX);
    for (size_t len = 0; len < b.len; len++) {
        assert_int_equal(record_map_decode(b.data, len, &d, &got), ERR_SYNTAX);
    }
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        b.data[bit / 8] = (char)(b.data[bit / 8] ^ (1 << (bit % 8)));
        assert_int_equal(record_map_decode(b.data, b.len, &d, &got), ERR_SYNTAX);
        b.data[bit / 8] = (char)(b.data[bit / 8] ^ (1 << (bit % 8)));
    }
    assert_null(got);
    pieces_free(p);
    buf_release(&b);
}

static void
random_bytes_never_decode(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 7);
    struct digest d = some_digest(DIGEST_SHA256, "r");
    for (int round = 0; round < 20000; round++) {
        uint8_t bytes[256];
        size_t len = (size_t)rng_below(&rng, sizeof bytes), used;
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)rng_next(&rng);
        }
        struct record r;
        struct pieces *p;
        assert_true(record_decode(bytes, len, &r, &used) < 0);
        assert_true(record_map_decode(bytes, len, &d, &p) < 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_is_read_back_as_written),
        cmocka_unit_test(the_longest_texts_fit_a_record),
        cmocka_unit_test(every_prefix_of_a_record_is_cut_off_not_damaged),
        cmocka_unit_test(every_flipped_bit_of_the_payload_is_found),
        cmocka_unit_test(an_unknown_kind_is_skipped),
        cmocka_unit_test(a_piece_map_is_read_back_as_written),
        cmocka_unit_test(a_damaged_cut_or_foreign_piece_map_is_refused),
        cmocka_unit_test(random_bytes_never_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
