/* Tags and links in memory: what is kept, what is news, what leaves first. */
#include "base/buf.h"
#include "cache/tags.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>

static struct digest
numbered(int n)
{
    struct digest d;
    digest_of(DIGEST_SHA256, &n, sizeof n, &d);
    return d;
}

static void
a_tag_is_replaced_and_dropped(void **state)
{
    (void)state;
    struct tags *t = tags_new();
    struct tag one = {.digest = numbered(1), .checked_wall_s = 100, .size = 1};
    struct tag two = {.digest = numbered(2), .checked_wall_s = 101, .size = 2}, got;
    assert_false(tags_get(t, "k", &got));
    assert_true(tags_put(t, "k", &one));
    assert_true(tags_put(t, "k", &two));
    assert_true(tags_get(t, "k", &got));
    assert_int_equal(got.size, 2);
    assert_true(tags_drop(t, "k"));
    assert_false(tags_drop(t, "k"));
    tags_free(t);
}

static void
a_later_confirmation_within_a_minute_is_no_news(void **state)
{
    (void)state;
    struct tags *t = tags_new();
    struct tag tag = {.digest = numbered(1), .checked_wall_s = 100}, got;
    struct digest d = numbered(3);
    struct link link = {.size = 5, .seen_wall_s = 100}, seen;
    assert_true(tags_put(t, "k", &tag));
    assert_true(tags_link_put(t, "r", 0, &d, &link));
    tag.checked_wall_s = link.seen_wall_s = 159;
    assert_false(tags_put(t, "k", &tag));
    assert_false(tags_link_put(t, "r", 0, &d, &link));
    assert_true(tags_get(t, "k", &got));
    assert_int_equal(got.checked_wall_s, 159);
    assert_true(tags_link_get(t, "r", 0, &d, &seen));
    assert_int_equal(seen.seen_wall_s, 159);
    tag.checked_wall_s = link.seen_wall_s = 160;
    assert_true(tags_put(t, "k", &tag));
    assert_true(tags_link_put(t, "r", 0, &d, &link));
    tag.checked_wall_s = 50; /* the clock was set back */
    assert_true(tags_put(t, "k", &tag));
    tags_free(t);
}

static void
a_link_belongs_to_its_repository_and_principal(void **state)
{
    (void)state;
    struct tags *t = tags_new();
    struct digest d = numbered(1);
    struct link link = {.size = 5, .media_type = "a/b"}, got;
    char name[CACHE_NAME_MAX];
    assert_false(tags_link_any(t, &d, name));
    (void)tags_link_put(t, "one", 7, &d, &link);
    assert_true(tags_link_get(t, "one", 7, &d, &got));
    assert_string_equal(got.media_type, "a/b");
    assert_false(tags_link_get(t, "one", 0, &d, &got));
    assert_false(tags_link_get(t, "two", 7, &d, &got));
    assert_true(tags_link_any(t, &d, name));
    assert_string_equal(name, "one");
    tags_free(t);
}

static void
tags_are_bounded_and_the_oldest_leaves(void **state)
{
    (void)state;
    struct tags *t = tags_new();
    struct tag tag = {.digest = numbered(1)}, got;
    char key[32];
    size_t tags, links;
    for (int i = 0; i < TAGS_MAX + 10; i++) {
        (void)snprintf(key, sizeof key, "k%d", i);
        (void)tags_put(t, key, &tag);
        if (i == TAGS_MAX - 1) {
            (void)tags_put(t, "k0", &tag); /* put again: now the youngest */
        }
    }
    tags_count(t, &tags, &links);
    assert_int_equal(tags, TAGS_MAX);
    assert_true(tags_get(t, "k0", &got));
    assert_false(tags_get(t, "k1", &got));
    tags_free(t);
}

static void
links_of_one_digest_are_bounded(void **state)
{
    (void)state;
    struct tags *t = tags_new();
    struct digest d = numbered(1);
    struct link link = {.size = 5}, got;
    char name[32];
    size_t tags, links;
    for (int i = 0; i < LINKS_OF_DIGEST_MAX + 5; i++) {
        (void)snprintf(name, sizeof name, "repository%d", i);
        (void)tags_link_put(t, name, 0, &d, &link);
    }
    tags_count(t, &tags, &links);
    assert_int_equal(links, LINKS_OF_DIGEST_MAX);
    assert_false(tags_link_get(t, "repository4", 0, &d, &got));
    assert_true(tags_link_get(t, "repository5", 0, &d, &got));
    tags_free(t);
}

static void
links_are_bounded_over_all_digests(void **state)
{
    (void)state;
    struct tags *t = tags_new();
    struct link link = {.size = 5}, got;
    size_t tags, links;
    for (int i = 0; i < LINKS_MAX + 3; i++) {
        struct digest d = numbered(i);
        (void)tags_link_put(t, "r", 0, &d, &link);
    }
    tags_count(t, &tags, &links);
    assert_int_equal(links, LINKS_MAX);
    struct digest gone = numbered(2), there = numbered(3);
    assert_false(tags_link_get(t, "r", 0, &gone, &got));
    assert_true(tags_link_get(t, "r", 0, &there, &got));
    tags_free(t);
}

static void
replay(struct tags *t, const struct buf *b)
{
    size_t at = 0, used;
    struct record r;
    while (at < b->len) {
        assert_int_equal(record_decode(b->data + at, b->len - at, &r, &used), 0);
        tags_replay(t, &r);
        at += used;
    }
}

static void
a_dump_replayed_gives_the_same_again(void **state)
{
    (void)state;
    struct tags *t = tags_new(), *again = tags_new();
    struct tag tag = {.digest = numbered(1), .checked_wall_s = 5, .media_type = "m", .size = 9};
    struct tag got_tag;
    struct link link = {.size = 5, .seen_wall_s = 4, .media_type = "x/y"}, got;
    struct digest d = numbered(2);
    struct buf b;
    (void)tags_put(t, "k", &tag);
    (void)tags_link_put(t, "r", 3, &d, &link);
    (void)tags_link_put(t, "s", 0, &d, &link);
    buf_init(&b, 1 << 20);
    tags_dump(t, &b);
    replay(again, &b);
    assert_true(tags_get(again, "k", &got_tag));
    assert_string_equal(got_tag.media_type, "m");
    assert_true(tags_link_get(again, "r", 3, &d, &got));
    assert_true(tags_link_get(again, "s", 0, &d, &got));
    assert_int_equal(got.seen_wall_s, 4);
    assert_string_equal(got.media_type, "x/y");
    buf_release(&b);
    tags_free(t);
    tags_free(again);
}

static void
list_name(void *arg, const char *name, const struct tag *tag)
{
    struct buf *b = arg;
    assert_int_equal(buf_printf(b, "%.9s=%d %s,", name, (int)tag->size, tag->media_type), 0);
}

static void
names_are_listed_the_oldest_first(void **state)
{
    (void)state;
    struct tags *t = tags_new();
    AUTO(buf_release) struct buf list;
    struct digest one = numbered(1), two = numbered(2);
    struct tag tag = {.size = 1};
    struct link link = {.size = 7, .media_type = "x/y"}, blob = {.size = 8};
    buf_init(&list, 4096);
    tags_each(t, list_name, &list);
    assert_int_equal(list.len, 0);
    (void)tags_put(t, "a", &tag);
    tag.size = 2;
    (void)tags_put(t, "b", &tag);
    (void)tags_put(t, "a", &tag);
    (void)tags_link_put(t, "r", 0, &two, &link);
    (void)tags_link_put(t, "s", 7, &one, &link); /* somebody's own */
    (void)tags_link_put(t, "s", 0, &one, &blob); /* no manifest */
    tags_each(t, list_name, &list);
    assert_string_equal(buf_text(&list), "b=2 ,a=2 ,r@sha256:=7 x/y,");
    tags_free(t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_is_replaced_and_dropped),
        cmocka_unit_test(a_later_confirmation_within_a_minute_is_no_news),
        cmocka_unit_test(a_link_belongs_to_its_repository_and_principal),
        cmocka_unit_test(tags_are_bounded_and_the_oldest_leaves),
        cmocka_unit_test(links_of_one_digest_are_bounded),
        cmocka_unit_test(links_are_bounded_over_all_digests),
        cmocka_unit_test(a_dump_replayed_gives_the_same_again),
        cmocka_unit_test(names_are_listed_the_oldest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
