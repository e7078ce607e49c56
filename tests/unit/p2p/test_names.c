#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/names.h"

static const struct names_holder self = {{{1}}, {{0}, 1}};
static const struct names_question now = {.max_age_ms = 30000, .may_resolve = true};

static struct names_holder
holder(uint8_t n)
{
    return (struct names_holder){unit_node(n), {{0}, n}};
}

static struct names_answer
ask(struct names *n, uint8_t name, uint8_t node, const struct names_question *q, int64_t now_ms)
{
    struct digest key = unit_blob(name);
    struct node_id asker = unit_node(node);
    struct names_answer a;
    names_ask(n, &key, &asker, q, now_ms, &a);
    return a;
}

static void
tell(struct names *n, uint8_t name, uint8_t node, uint8_t blob, uint64_t age_ms, int64_t now_ms)
{
    struct digest key = unit_blob(name);
    struct names_holder from = holder(node);
    struct names_value v = {unit_blob(blob), 1000u + blob, blob, age_ms};
    names_tell(n, &key, &from, NAMES_KNOWN, &v, now_ms);
}

static void
refuse(struct names *n, uint8_t name, uint8_t node, enum names_state how, int64_t now_ms)
{
    struct digest key = unit_blob(name);
    struct names_holder from = holder(node);
    names_tell(n, &key, &from, how, NULL, now_ms);
}

static void
one_resolves_and_the_others_wait_for_what_it_tells(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    assert_int_equal(ask(n, 1, 2, &now, 0).state, NAMES_YOURS);
    assert_int_equal(ask(n, 1, 2, &now, 1).state, NAMES_YOURS); /* its answer was lost */
    assert_int_equal(ask(n, 1, 3, &now, 1).state, NAMES_WAIT);
    assert_int_equal(ask(n, 2, 3, &now, 1).state, NAMES_YOURS); /* another name */
    tell(n, 1, 2, 7, 0, 100);
    struct names_answer a = ask(n, 1, 3, &now, 150);
    assert_int_equal(a.state, NAMES_KNOWN);
    assert_int_equal(a.value.size, 1007);
    assert_int_equal(a.value.type, 7);
    assert_int_equal(a.value.age_ms, 50);
    assert_int_equal(a.holders_count, 1);
    assert_int_equal(a.holders[0].node.bytes[0], 2);
    assert_int_equal(a.holders[0].addr.port, 2);
    names_free(n);
}

static void
a_name_that_is_too_old_is_resolved_once_more_and_its_old_value_shown(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    tell(n, 1, 2, 7, 10000, 1000000);
    assert_int_equal(ask(n, 1, 3, &now, 1019999).state, NAMES_KNOWN);
    struct names_answer a = ask(n, 1, 3, &now, 1020000);
    assert_int_equal(a.state, NAMES_YOURS);
    assert_true(a.known);
    assert_int_equal(a.value.age_ms, 30000);
    assert_int_equal(ask(n, 1, 4, &now, 1020000).state, NAMES_WAIT);
    names_free(n);
}

/* With revalidate 0 nothing is young, and still one answer serves all who ask at once. */
static void
what_was_learned_while_a_node_asked_is_young_for_it(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    struct names_question q = {.max_age_ms = 0, .may_resolve = true};
    assert_int_equal(ask(n, 1, 2, &q, 1000).state, NAMES_YOURS);
    assert_int_equal(ask(n, 1, 3, &q, 1000).state, NAMES_WAIT);
    tell(n, 1, 2, 7, 0, 1090);
    q.since_ms = 100;
    assert_int_equal(ask(n, 1, 3, &q, 1100).state, NAMES_KNOWN);
    q.since_ms = 0;
    assert_int_equal(ask(n, 1, 4, &q, 1100).state, NAMES_YOURS);
    names_free(n);
}

static void
a_resolver_that_fails_dies_or_says_nothing_holds_up_nobody(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    assert_int_equal(ask(n, 1, 2, &now, 0).state, NAMES_YOURS);
    assert_int_equal(ask(n, 1, 3, &now, NAMES_RESOLVE_MS - 1).state, NAMES_WAIT);
    assert_int_equal(ask(n, 1, 3, &now, NAMES_RESOLVE_MS).state, NAMES_YOURS);
    struct node_id three = unit_node(3);
    names_gone(n, &three);
    assert_int_equal(ask(n, 1, 4, &now, NAMES_RESOLVE_MS).state, NAMES_YOURS);
    refuse(n, 1, 3, NAMES_FAILED, NAMES_RESOLVE_MS); /* not the resolver any more */
    assert_int_equal(ask(n, 1, 5, &now, NAMES_RESOLVE_MS).state, NAMES_WAIT);
    refuse(n, 1, 4, NAMES_FAILED, 3000);
    assert_int_equal(ask(n, 1, 5, &now, 3000).state, NAMES_FAILED);
    assert_int_equal(ask(n, 1, 6, &now, 3000 + NAMES_FAILED_MS - 1).state, NAMES_FAILED);
    assert_int_equal(ask(n, 1, 6, &now, 3000 + NAMES_FAILED_MS).state, NAMES_YOURS);
    names_free(n);
}

/* Words are said more than once. */
static void
what_the_resolver_had_heard_before_does_not_end_its_turn(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    tell(n, 1, 2, 7, 29990, 100000);
    assert_int_equal(ask(n, 1, 2, &now, 100020).state, NAMES_YOURS);
    tell(n, 1, 2, 7, 30020, 100030);
    assert_int_equal(ask(n, 1, 3, &now, 100040).state, NAMES_WAIT);
    tell(n, 1, 2, 7, 0, 100100);
    assert_int_equal(ask(n, 1, 3, &now, 100110).state, NAMES_KNOWN);
    assert_int_equal(ask(n, 1, 3, &(struct names_question){.may_resolve = true}, 100110).state,
                     NAMES_YOURS);
    names_free(n);
}

static void
a_name_that_upstream_took_back_is_forgotten(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    tell(n, 1, 2, 7, 30000, 0);
    assert_int_equal(ask(n, 1, 3, &now, 0).state, NAMES_YOURS);
    refuse(n, 1, 3, NAMES_GONE, 10);
    struct names_answer a = ask(n, 1, 4, &now, 2000);
    assert_int_equal(a.state, NAMES_YOURS);
    assert_false(a.known);
    names_free(n);
}

static void
who_cannot_ask_upstream_is_not_told_to(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    struct names_question q = {.max_age_ms = 30000};
    assert_int_equal(ask(n, 1, 2, &q, 0).state, NAMES_NONE);
    assert_int_equal(names_count(n), 0);
    assert_int_equal(ask(n, 1, 3, &now, 0).state, NAMES_YOURS);
    assert_int_equal(ask(n, 1, 2, &q, 0).state, NAMES_WAIT);
    q.max_age_ms = UINT64_MAX;
    tell(n, 1, 3, 7, 1000000, 0);
    assert_int_equal(ask(n, 1, 2, &q, 0).state, NAMES_KNOWN);
    names_free(n);
}

static void
of_two_values_the_younger_one_is_believed(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    tell(n, 1, 2, 7, 1000, 5000);
    tell(n, 1, 3, 8, 2000, 5000); /* older */
    struct names_answer a = ask(n, 1, 9, &now, 5000);
    assert_int_equal(a.value.type, 7);
    assert_int_equal(a.holders_count, 1);
    tell(n, 1, 3, 8, 500, 5000);
    a = ask(n, 1, 9, &now, 5000);
    assert_int_equal(a.value.type, 8);
    assert_int_equal(a.holders_count, 1);
    assert_int_equal(a.holders[0].node.bytes[0], 3);
    tell(n, 1, 4, 8, 3000, 5000); /* the same, heard of earlier: a holder more, no older */
    a = ask(n, 1, 9, &now, 5000);
    assert_int_equal(a.value.age_ms, 500);
    assert_int_equal(a.holders_count, 2);
    tell(n, 1, 5, 9, UINT64_MAX, 5000); /* hostile */
    assert_int_equal(ask(n, 1, 9, &now, 5000).value.type, 8);
    names_free(n);
}

static void
the_last_holders_are_named_but_not_the_asker_nor_the_dead(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    for (uint8_t i = 2; i <= 6; i++)
        tell(n, 1, i, 7, 0, 0);
    tell(n, 1, 5, 7, 0, 0); /* again */
    struct names_answer a = ask(n, 1, 6, &now, 0);
    assert_int_equal(a.holders_count, 2);
    assert_int_equal(a.holders[0].node.bytes[0], 5);
    assert_int_equal(a.holders[1].node.bytes[0], 4);
    struct node_id five = unit_node(5);
    names_gone(n, &five);
    a = ask(n, 1, 9, &now, 0);
    assert_int_equal(a.holders_count, 2);
    assert_int_equal(a.holders[0].node.bytes[0], 6);
    assert_int_equal(a.holders[1].node.bytes[0], 4);
    names_free(n);
}

static void
what_this_node_holds_it_knows_however_many_others_do(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    struct digest key = unit_blob(1);
    struct names_answer a;
    tell(n, 1, 2, 7, 0, 0);
    assert_false(names_mine(n, &key, 0, &a));
    tell(n, 1, 1, 7, 0, 0);
    for (uint8_t i = 3; i <= 6; i++)
        tell(n, 1, i, 7, 0, 0);
    assert_true(names_mine(n, &key, 20, &a));
    assert_int_equal(a.value.age_ms, 20);
    assert_true(node_equal(&a.holders[0].node, &self.node));
    tell(n, 1, 3, 8, 0, 10); /* the tag moved, and this node did not fetch what it is now */
    assert_false(names_mine(n, &key, 20, &a));
    names_free(n);
}

static void
what_was_used_last_is_told_first(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    struct names_own own[4];
    assert_int_equal(names_lately(n, 0, own, 4), 0);
    for (uint8_t i = 1; i <= 4; i++)
        tell(n, i, 1, i, 0, 0);
    tell(n, 5, 2, 5, 0, 0); /* another node's */
    (void)ask(n, 2, 9, &now, 0);
    assert_int_equal(names_lately(n, 100, own, 4), 4);
    const uint8_t order[] = {2, 4, 3, 1};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(own[i].value.type, order[i]);
    assert_int_equal(own[0].value.age_ms, 100);
    assert_int_equal(names_lately(n, 0, own, 2), 2);
    assert_int_equal(own[1].value.type, 4);
    names_free(n);
}

static void
the_least_recently_used_name_leaves_a_full_table(void **state)
{
    (void)state;
    struct names *n = names_new(&self);
    struct digest key = {0};
    struct names_holder from = holder(2);
    struct names_value v = {unit_blob(1), 1, 1, 0};
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        memcpy(key.bytes, &i, sizeof i);
        names_tell(n, &key, &from, NAMES_KNOWN, &v, 0);
    }
    assert_int_equal(names_count(n), NAMES_MAX);
    struct node_id asker = unit_node(3);
    struct names_answer a;
    memset(&key, 0, sizeof key);
    names_ask(n, &key, &asker, &now, 0, &a); /* the oldest, used now */
    assert_int_equal(a.state, NAMES_KNOWN);
    uint32_t more = NAMES_MAX;
    memcpy(key.bytes, &more, sizeof more);
    names_tell(n, &key, &from, NAMES_KNOWN, &v, 0);
    assert_int_equal(names_count(n), NAMES_MAX);
    struct names_question q = {.max_age_ms = 30000};
    memset(&key, 0, sizeof key);
    names_ask(n, &key, &asker, &q, 0, &a);
    assert_int_equal(a.state, NAMES_KNOWN);
    key.bytes[0] = 1;
    names_ask(n, &key, &asker, &q, 0, &a);
    assert_int_equal(a.state, NAMES_NONE);
    names_free(n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_resolves_and_the_others_wait_for_what_it_tells),
        cmocka_unit_test(a_name_that_is_too_old_is_resolved_once_more_and_its_old_value_shown),
        cmocka_unit_test(what_was_learned_while_a_node_asked_is_young_for_it),
        cmocka_unit_test(a_resolver_that_fails_dies_or_says_nothing_holds_up_nobody),
        cmocka_unit_test(what_the_resolver_had_heard_before_does_not_end_its_turn),
        cmocka_unit_test(a_name_that_upstream_took_back_is_forgotten),
        cmocka_unit_test(who_cannot_ask_upstream_is_not_told_to),
        cmocka_unit_test(of_two_values_the_younger_one_is_believed),
        cmocka_unit_test(the_last_holders_are_named_but_not_the_asker_nor_the_dead),
        cmocka_unit_test(what_this_node_holds_it_knows_however_many_others_do),
        cmocka_unit_test(what_was_used_last_is_told_first),
        cmocka_unit_test(the_least_recently_used_name_leaves_a_full_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
