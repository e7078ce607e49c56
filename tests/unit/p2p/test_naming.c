#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/naming.h"

/* Node 1 is tracker, 2 its deputy, 3 and 4 follow; all hear each other. What a plan sends is
 * delivered at once, but to nodes that are `deaf`. */
#define NODES 4

static struct {
    struct naming *naming;
    struct elect elect;
    struct members members;
    struct node_id id;
    struct node_addr addr;
    bool deaf;
    unsigned answers; /* PLAN_NAME so far */
    uint32_t ask;     /* of the last one */
    struct names_answer answer;
    unsigned shouts;
} nodes[NODES + 1];
static int64_t now_ms;

static struct swarms_at
at(unsigned i)
{
    return (struct swarms_at){.now_ms = now_ms,
                              .self = &nodes[i].id,
                              .addr = &nodes[i].addr,
                              .elect = &nodes[i].elect,
                              .members = &nodes[i].members};
}

static void carry(unsigned from, const struct plan *p);

static void
deliver(unsigned from, unsigned to, const struct plan *p, const struct plan_action *a)
{
    static struct plan plans[8]; /* one for each depth of a conversation */
    static unsigned depth;
    struct cursor c;
    struct wire_msg m;
    if (nodes[to].deaf || from == to)
        return;
    assert_true(depth < 8);
    struct plan *answer = &plans[depth++];
    plan_clear(answer);
    struct swarms_at here = at(to);
    cursor_init(&c, p->bytes + a->at, a->len);
    while (wire_next(&c, &m) == 1) {
        if (a->kind == PLAN_POST || a->kind == PLAN_COPY)
            naming_told(nodes[to].naming, &nodes[from].id, &nodes[from].addr, &m.name_tell, now_ms);
        else
            naming_hear(nodes[to].naming, &here, &nodes[from].id, &m, answer);
    }
    carry(to, answer);
    depth--;
}

static void
carry(unsigned from, const struct plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct plan_action *a = &p->actions[i];
        if (a->kind == PLAN_NAME) {
            nodes[from].answers++;
            nodes[from].ask = a->ask;
            nodes[from].answer = a->name;
        } else if (a->kind == PLAN_SHOUT) {
            nodes[from].shouts++;
            for (unsigned to = 1; to <= NODES; to++)
                deliver(from, to, p, a);
        } else {
            deliver(from, a->node.bytes[0], p, a);
        }
    }
}

static void
settle(unsigned i)
{
    static struct plan p;
    struct swarms_at here = at(i);
    plan_clear(&p);
    naming_settle(nodes[i].naming, &here, &p);
    carry(i, &p);
}

static void
run(int64_t for_ms)
{
    for (int64_t end_ms = now_ms + for_ms; now_ms < end_ms; now_ms++)
        for (unsigned i = 1; i <= NODES; i++)
            if (naming_wake_ms(nodes[i].naming, now_ms - 1) <= now_ms)
                settle(i);
}

static void
elect(unsigned tracker, unsigned deputy)
{
    for (unsigned i = 1; i <= NODES; i++) {
        struct elect *e = &nodes[i].elect;
        elect_init(e, &nodes[i].id, 1, 0, i, now_ms);
        e->tracker = (struct elect_claim){4, 0, unit_node((uint8_t)tracker), false};
        e->deputy = i == tracker ? node_none : unit_node((uint8_t)deputy);
        e->role = i == tracker ? ELECT_TRACKER : i == deputy ? ELECT_DEPUTY : ELECT_MEMBER;
        struct swarms_at here = at(i);
        naming_elected(nodes[i].naming, &here, false);
    }
}

static int
open_site(void **state)
{
    (void)state;
    now_ms = 1000;
    memset(nodes, 0, sizeof nodes);
    for (unsigned i = 1; i <= NODES; i++) {
        nodes[i].id = unit_node((uint8_t)i);
        nodes[i].addr.port = (uint16_t)i;
        member_init(&nodes[i].members, 1);
        for (unsigned j = 1; j <= NODES; j++) {
            struct member m = {.id = unit_node((uint8_t)j),
                               .addr = {{0}, (uint16_t)j},
                               .site = 1,
                               .seq = 1,
                               .priority = 10 - j};
            if (i != j)
                assert_true(member_heard(&nodes[i].members, &m, now_ms));
        }
        nodes[i].naming = naming_new(&nodes[i].id, &nodes[i].addr, i);
    }
    elect(1, 2);
    run(SWARMS_LEARN_MS + 100);
    return 0;
}

static int
close_site(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= NODES; i++)
        naming_free(nodes[i].naming);
    return 0;
}

static const struct naming_question fresh = {
    .max_age_ms = 30000, .may_resolve = true, .deadline_ms = INT64_MAX};

static void
ask(unsigned node, uint8_t name, const struct naming_question *q)
{
    static struct plan p;
    struct naming_question mine = *q;
    struct swarms_at here = at(node);
    mine.id = name;
    mine.key = unit_blob(name);
    plan_clear(&p);
    naming_ask(nodes[node].naming, &here, &mine, &p);
    carry(node, &p);
}

static void
tell(unsigned node, uint8_t name, enum names_state state)
{
    struct digest key = unit_blob(name);
    struct names_value v = {unit_blob(100), 5, name, 0};
    naming_tell(nodes[node].naming, &key, state, &v, now_ms);
    settle(node);
}

static void
of_all_that_ask_one_resolves_and_all_learn_it(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= NODES; i++)
        ask(i, 1, &fresh);
    assert_int_equal(nodes[1].answer.state, NAMES_YOURS); /* the tracker itself asked first */
    assert_int_equal(nodes[1].answers, 1);
    run(200);
    assert_int_equal(nodes[2].answers + nodes[3].answers + nodes[4].answers, 0);
    tell(1, 1, NAMES_KNOWN);
    run(NAMES_WAIT_MS + 1);
    for (unsigned i = 2; i <= NODES; i++) {
        assert_int_equal(nodes[i].answers, 1);
        assert_int_equal(nodes[i].ask, 1);
        assert_int_equal(nodes[i].answer.state, NAMES_KNOWN);
        assert_int_equal(nodes[i].answer.value.type, 1);
        assert_int_equal(nodes[i].answer.holders_count, 1);
        assert_int_equal(nodes[i].answer.holders[0].addr.port, 1);
    }
}

static void
a_lost_word_is_told_again_and_is_no_younger_then(void **state)
{
    (void)state;
    nodes[1].deaf = nodes[2].deaf = true;
    tell(4, 1, NAMES_KNOWN);
    nodes[1].deaf = nodes[2].deaf = false;
    ask(3, 1, &fresh);
    assert_int_equal(nodes[3].answer.state, NAMES_YOURS);
    run(200);
    ask(3, 1, &fresh);
    assert_int_equal(nodes[3].answer.state, NAMES_KNOWN);
    assert_int_equal(nodes[3].answer.value.age_ms, 200);
}

/* The records of SHA-512 digests are larger. */
static void
tells_of_both_kinds_of_digests_fill_datagrams(void **state)
{
    (void)state;
    struct names_value value = {.size = 1};
    for (uint8_t i = 0; i < 16; i++) {
        struct digest key = unit_blob(i);
        digest_of(i < 7 ? DIGEST_SHA256 : DIGEST_SHA512, &i, 1, &value.digest);
        naming_tell(nodes[3].naming, &key, NAMES_KNOWN, &value, now_ms);
    }
    settle(3);
    assert_int_equal(naming_count(nodes[1].naming), 16);
}

static void
a_holder_is_where_it_says_that_it_is(void **state)
{
    (void)state;
    struct member moved = {
        .id = nodes[4].id, .addr = {{0}, 44}, .site = 1, .seq = 2, .priority = 6};
    tell(4, 1, NAMES_KNOWN);
    assert_true(member_heard(&nodes[3].members, &moved, now_ms));
    ask(3, 1, &fresh);
    assert_int_equal(nodes[3].answer.holders[0].addr.port, 44);
}

static void
a_lost_question_is_asked_again_and_then_the_deputy_too(void **state)
{
    (void)state;
    tell(4, 1, NAMES_KNOWN);
    nodes[1].deaf = true;
    ask(3, 1, &fresh);
    assert_int_equal(nodes[3].answers, 0);
    run(NAMING_RETRY_MS + 1);
    assert_int_equal(nodes[3].answers, 1);
    assert_int_equal(nodes[3].answer.state, NAMES_KNOWN);
    assert_int_equal(nodes[3].answer.holders[0].addr.port, 4);
}

/* Two that both say YOURS would be one too many. */
static void
a_deputy_tells_nobody_to_resolve_while_the_tracker_lives(void **state)
{
    (void)state;
    nodes[1].deaf = true;
    ask(3, 1, &fresh);
    run(NAMING_TRIES * NAMING_RETRY_MS - 1);
    assert_int_equal(nodes[3].answers, 0);
    run(2);
    assert_int_equal(nodes[3].answer.state, NAMES_NONE);
    nodes[2].elect.probed = nodes[3].elect.probed = true; /* now it is suspected */
    ask(3, 2, &fresh);
    assert_int_equal(nodes[3].answers, 2);
    assert_int_equal(nodes[3].answer.state, NAMES_YOURS);
}

static void
a_new_tracker_is_told_what_was_used_lately_and_waits_for_it(void **state)
{
    (void)state;
    tell(4, 1, NAMES_KNOWN);
    run(10);
    naming_free(nodes[2].naming); /* it starts again and knows nothing */
    nodes[2].naming = naming_new(&nodes[2].id, &nodes[2].addr, 9);
    nodes[1].deaf = true;
    elect(2, 3);
    ask(3, 1, &fresh);
    ask(3, 2, &fresh);
    assert_int_equal(nodes[3].answers, 0);
    run(SWARMS_LEARN_MS);
    assert_int_equal(nodes[3].answers, 1);
    assert_int_equal(nodes[3].ask, 1);
    assert_int_equal(nodes[3].answer.state, NAMES_KNOWN);
    assert_int_equal(nodes[3].answer.holders[0].addr.port, 4);
    run(NAMES_WAIT_MS + 1);
    assert_int_equal(nodes[3].ask, 2);
    assert_int_equal(nodes[3].answer.state, NAMES_YOURS);
}

static void
hold_since_yesterday(unsigned node, uint8_t name, uint64_t age_ms)
{
    struct names_own own = {unit_blob(name), {unit_blob(100), 5, name, age_ms}};
    naming_hold(nodes[node].naming, &own, now_ms);
}

static void
when_the_tracker_does_not_know_all_are_asked(void **state)
{
    (void)state;
    struct naming_question q = {.max_age_ms = UINT64_MAX,
                                .may_resolve = true,
                                .shout_ms = 20,
                                .any_will_do = true,
                                .deadline_ms = INT64_MAX};
    hold_since_yesterday(4, 1, 86400000);
    ask(3, 1, &q);
    assert_int_equal(nodes[3].shouts, 1);
    assert_int_equal(nodes[3].answers, 1);
    assert_int_equal(nodes[3].answer.state, NAMES_KNOWN);
    assert_int_equal(nodes[3].answer.holders[0].addr.port, 4);
    ask(3, 2, &q); /* nobody holds it */
    run(19);
    assert_int_equal(nodes[3].answers, 1);
    run(2);
    assert_int_equal(nodes[3].answers, 2);
    assert_int_equal(nodes[3].answer.state, NAMES_YOURS);
}

static void
of_old_tags_the_youngest_counts(void **state)
{
    (void)state;
    struct naming_question q = {.max_age_ms = UINT64_MAX, .shout_ms = 20, .deadline_ms = INT64_MAX};
    hold_since_yesterday(2, 1, 70000);
    hold_since_yesterday(4, 1, 60000);
    for (unsigned i = 1; i <= NODES; i++) { /* and there is no tracker */
        nodes[i].elect.tracker.epoch = 0;
        nodes[i].elect.deputy = node_none;
        nodes[i].elect.role = ELECT_MEMBER;
    }
    ask(3, 1, &q);
    assert_int_equal(nodes[3].answers, 0);
    run(21);
    assert_int_equal(nodes[3].answer.state, NAMES_KNOWN);
    assert_int_equal(nodes[3].answer.holders[0].addr.port, 4);
    assert_int_equal(nodes[3].answer.value.age_ms, 60000);
    ask(3, 2, &fresh); /* who would ask upstream is not held up */
    assert_int_equal(nodes[3].answers, 2);
    assert_int_equal(nodes[3].answer.state, NAMES_NONE);
}

static void
nobody_waits_longer_than_it_wants_to(void **state)
{
    (void)state;
    ask(2, 1, &fresh);
    struct naming_question q = fresh;
    q.deadline_ms = now_ms + 50;
    ask(3, 1, &q);
    run(50);
    assert_int_equal(nodes[3].answers, 0);
    run(2);
    assert_int_equal(nodes[3].answers, 1);
    assert_int_equal(nodes[3].answer.state, NAMES_NONE);
    tell(2, 1, NAMES_KNOWN);
    run(100);
    assert_int_equal(nodes[3].answers, 1);
}

static void
only_the_tracker_and_its_deputy_are_believed(void **state)
{
    (void)state;
    static struct plan p;
    struct swarms_at here = at(3);
    struct wire_msg m = {.type = WIRE_NAME};
    nodes[1].deaf = nodes[2].deaf = true;
    ask(3, 1, &fresh);
    m.name.ask = 1;
    m.name.key = unit_blob(1);
    m.name.known = 1;
    m.name.state = NAMES_KNOWN;
    plan_clear(&p);
    naming_hear(nodes[3].naming, &here, &nodes[4].id, &m, &p);
    assert_int_equal(p.count, 0);
    m.name.ask = 2; /* the answer to another question */
    naming_hear(nodes[3].naming, &here, &nodes[1].id, &m, &p);
    assert_int_equal(p.count, 0);
    m.name.ask = 1;
    m.name.state = 200;
    m.name.known = 0;
    naming_hear(nodes[3].naming, &here, &nodes[1].id, &m, &p);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.actions[0].name.state, NAMES_NONE);
}

static void
more_questions_than_there_is_room_for_are_answered_at_once(void **state)
{
    (void)state;
    nodes[1].deaf = nodes[2].deaf = true;
    for (unsigned i = 0; i < NAMING_ASKS_MAX; i++)
        ask(3, (uint8_t)i, &fresh);
    assert_int_equal(nodes[3].answers, 0);
    ask(3, 0, &fresh);
    assert_int_equal(nodes[3].answers, 1);
    assert_int_equal(nodes[3].answer.state, NAMES_NONE);
    run((NAMING_TRIES + 1) * NAMING_RETRY_MS); /* a plan has room for so many a turn */
    assert_int_equal(nodes[3].answers, NAMING_ASKS_MAX + 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_site, close_site)
    const struct CMUnitTest tests[] = {
        TEST(of_all_that_ask_one_resolves_and_all_learn_it),
        TEST(a_lost_word_is_told_again_and_is_no_younger_then),
        TEST(tells_of_both_kinds_of_digests_fill_datagrams),
        TEST(a_holder_is_where_it_says_that_it_is),
        TEST(a_lost_question_is_asked_again_and_then_the_deputy_too),
        TEST(a_deputy_tells_nobody_to_resolve_while_the_tracker_lives),
        TEST(a_new_tracker_is_told_what_was_used_lately_and_waits_for_it),
        TEST(when_the_tracker_does_not_know_all_are_asked),
        TEST(of_old_tags_the_youngest_counts),
        TEST(nobody_waits_longer_than_it_wants_to),
        TEST(only_the_tracker_and_its_deputy_are_believed),
        TEST(more_questions_than_there_is_room_for_are_answered_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
