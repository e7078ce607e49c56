#include "tests/unit/p2p/unit.h"

#include "p2p/locate.h"
#include "p2p/piece.h"

#define SIZE ((uint64_t)10 * PIECE_BYTES_MIN)

static struct locate_holder
holder(uint8_t n)
{
    return (struct locate_holder){unit_node(n), {.port = 5002}, true, 0, 0};
}

static void
all_who_answer_are_holders_once_each(void **state)
{
    (void)state;
    const struct digest blobs[] = {unit_blob(1), unit_blob(2)};
    struct locate *l = locate_new(blobs, 2, 0);
    const uint8_t bits[] = {0x03, 0x02};
    struct wire_ihave part = {blobs[1], SIZE, {bits, sizeof bits}};
    struct wire_ihave whole = {blobs[1], SIZE, {NULL, 0}};
    locate_hear(l, holder(2), &part);
    locate_hear(l, holder(3), &whole);
    locate_hear(l, holder(3), &whole);
    assert_int_equal(locate_find(l, &blobs[0])->count, 0);
    const struct locate_blob *b = locate_find(l, &blobs[1]);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->holders[0].held, 3);
    assert_int_equal(b->holders[1].held, 10);
    assert_int_equal(b->holders[1].pieces, 10);
    locate_free(l);
}

static void
answers_to_another_question_and_impossible_ones_are_dropped(void **state)
{
    (void)state;
    const struct digest asked = unit_blob(1);
    struct locate *l = locate_new(&asked, 1, 0);
    struct wire_ihave other = {unit_blob(9), SIZE, {NULL, 0}};
    struct wire_ihave empty = {asked, 0, {NULL, 0}};
    struct wire_ihave huge = {asked, UINT64_MAX, {NULL, 0}};
    locate_hear(l, holder(2), &other);
    locate_hear(l, holder(2), &empty);
    locate_hear(l, holder(2), &huge);
    assert_int_equal(l->blobs[0].count, 0);
    locate_free(l);
}

static void
who_lost_all_is_no_holder_and_places_end(void **state)
{
    (void)state;
    const struct digest asked = unit_blob(1);
    struct locate *l = locate_new(&asked, 1, 0);
    for (uint8_t n = 1; n < LOCATE_HOLDERS_MAX + 10; n++) {
        struct locate_holder is = holder(n);
        is.held = n;
        locate_note(&l->blobs[0], &is);
    }
    assert_int_equal(l->blobs[0].count, LOCATE_HOLDERS_MAX);
    struct locate_holder five = holder(5);
    locate_note(&l->blobs[0], &five);
    assert_int_equal(l->blobs[0].count, LOCATE_HOLDERS_MAX - 1);
    for (size_t i = 0; i < l->blobs[0].count; i++)
        assert_false(node_equal(&l->blobs[0].holders[i].node, &five.node));
    locate_free(l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_who_answer_are_holders_once_each),
        cmocka_unit_test(answers_to_another_question_and_impossible_ones_are_dropped),
        cmocka_unit_test(who_lost_all_is_no_holder_and_places_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
