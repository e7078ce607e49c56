#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "p2p/view.h"

static void
before_the_first_publish_the_view_is_empty(void **state)
{
    (void)state;
    struct view_stand s;
    view_stand_init(&s);
    struct view *v = view_take(&s);
    assert_int_equal(v->count, 0);
    assert_int_equal(v->version, 0);
    view_release(&v);
    assert_null(v);
    view_stand_release(&s);
}

static void
a_view_in_use_does_not_change_when_a_new_one_is_published(void **state)
{
    (void)state;
    struct view_stand s;
    view_stand_init(&s);
    struct view_entry two[] = {{.id = 7, .kind = VIEW_UPSTREAM, .price_milli = 1000},
                               {.id = 9, .kind = VIEW_PEER}};
    view_publish(&s, two, 2);
    struct view *old = view_take(&s);
    view_publish(&s, two, 1);
    struct view *newest = view_take(&s);
    assert_int_equal(old->count, 2);
    assert_int_equal(old->entries[1].id, 9);
    assert_int_equal(newest->count, 1);
    assert_true(newest->version > old->version);
    view_release(&old);
    view_release(&newest);
    view_stand_release(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_the_first_publish_the_view_is_empty),
        cmocka_unit_test(a_view_in_use_does_not_change_when_a_new_one_is_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
