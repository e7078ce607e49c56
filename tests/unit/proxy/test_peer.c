/* Other nodes as sources: the table of those that are asked now. What they answer is tested with
 * the orders (test_ordered.c). */
#include "proxy/upstream/peer.h"
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

static const struct node_addr v4 = {{[10] = 0xff, [11] = 0xff, 10, 0, 0, 7}, 5002};
static const struct node_addr v6 = {{0xfd, [15] = 1}, 443};

static void
a_name_is_what_stands_in_a_url(void **state)
{
    (void)state;
    char name[SOURCE_NAME_MAX];
    peer_name(&v4, name);
    assert_string_equal(name, "10.0.0.7:5002");
    peer_name(&v6, name);
    assert_string_equal(name, "[fd00::1]:443");
}

static void
a_node_is_one_source_while_it_is_asked(void **state)
{
    (void)state;
    struct peers *all = peers_new();
    struct node_id one = {{1}}, two = {{2}};
    struct source *a = peer_take(all, NULL, &one, &v4, BLOB_FROM_PEER);
    struct source *b = peer_take(all, NULL, &one, &v4, BLOB_FROM_PEER);
    struct source *c = peer_take(all, NULL, &two, &v4, BLOB_FROM_PEER);
    struct source *d = peer_take(all, NULL, &one, &v6, BLOB_FROM_PEER); /* it has moved */
    struct source *e = peer_take(all, NULL, &one, &v4, BLOB_FROM_REMOTE_PEER);
    assert_ptr_equal(a, b);
    assert_ptr_not_equal(a, c);
    assert_ptr_not_equal(a, d);
    assert_ptr_not_equal(a, e);
    assert_int_equal(e->body_source, BLOB_FROM_REMOTE_PEER);
    assert_string_equal(d->name, "[fd00::1]:443");
    peer_drop(&a);
    assert_null(a);
    assert_int_equal(b->refs, 1);
    peer_drop(&b);
    peer_drop(&c);
    peer_drop(&d);
    peer_drop(&e);
    peers_free(all); /* aborts when one was left */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_what_stands_in_a_url),
        cmocka_unit_test(a_node_is_one_source_while_it_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
