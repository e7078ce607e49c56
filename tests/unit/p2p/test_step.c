#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/piece.h"
#include "p2p/step.h"

#define SIZE  ((uint64_t)8 * PIECE_BYTES_MIN)
#define WANTS (WIRE_WANTS | WIRE_MAY_FETCH | WIRE_SERVES)

static struct plan plan;

static struct step *
node(uint8_t n)
{
    struct step_config c = {
        .self = unit_node(n), .addr = {.port = n}, .site = 1, .priority = 10u - n, .seed = n};
    return step_new(&c, 0);
}

static const struct plan_action *
find(enum plan_kind kind)
{
    for (size_t i = 0; i < plan.count; i++)
        if (plan.actions[i].kind == kind)
            return &plan.actions[i];
    return NULL;
}

/* The same; it must be there. */
static const struct plan_action *
need(enum plan_kind kind)
{
    const struct plan_action *a = find(kind);
    if (a == NULL)
        never("no such action in the plan");
    return a;
}

/* How many datagrams of the plan begin with such a record. */
static unsigned
count_of(enum wire_type type)
{
    unsigned n = 0;
    for (size_t i = 0; i < plan.count; i++)
        n += plan.actions[i].len > 0 && plan.bytes[plan.actions[i].at] == type;
    return n;
}

/* Ticks s until `until_ms`; the last plan stays. */
static void
tick_to(struct step *s, int64_t until_ms)
{
    for (int64_t ms = step_elect(s)->ticked_ms; ms < until_ms;) {
        ms = ms + 10 < until_ms ? ms + 10 : until_ms;
        plan_clear(&plan);
        step_tick(s, ms, &plan);
    }
}

/* `from` says hello to `to` at that time. */
static void
greet(struct step *from, uint8_t from_n, struct step *to, uint64_t seq, int64_t now_ms)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_BEACON;
    elect_beacon(step_elect(from), step_members(from), 0, now_ms, &m.beacon);
    m.beacon.addr.port = from_n;
    uint8_t body[WIRE_DATAGRAM_MAX];
    struct scribe s;
    scribe_init(&s, body, sizeof body);
    wire_put(&s, &m);
    struct step_from who = {unit_node(from_n), 1, seq, false};
    plan_clear(&plan);
    assert_int_equal(step_datagram(to, now_ms, &who, body, scribe_len(&s), &plan), 0);
}

/* Node `n` of a large site says hello to s, at the time 0. */
static struct node_id
join(struct step *s, uint16_t n, uint64_t site)
{
    struct step_from who = {{{(uint8_t)(n >> 8), (uint8_t)n, 1}}, 1, 1, true};
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_BEACON;
    m.beacon.site = site;
    m.beacon.every_ms = 10000;
    uint8_t body[WIRE_DATAGRAM_MAX];
    struct scribe out;
    scribe_init(&out, body, sizeof body);
    wire_put(&out, &m);
    plan_clear(&plan);
    assert_int_equal(step_datagram(s, 0, &who, body, scribe_len(&out), &plan), 0);
    return who.node;
}

/* So a start costs the others the same in a site of any size. */
static void
in_a_large_site_a_newcomer_hears_of_its_neighbours_soon(void **state)
{
    (void)state;
    struct step *s = node(1);
    struct node_id self = unit_node(1), newcomer;
    uint16_t n = 0, others = 300;
    while (n < others)
        (void)join(s, n++, 1);
    plan_clear(&plan);
    step_tick(s, 0, &plan);
    assert_int_equal(count_of(WIRE_BEACON), 1);
    int64_t next_ms = step_elect(s)->beacon_ms;
    assert_true(next_ms > ELECT_HASTE_MS);
    for (; newcomer = join(s, n++, 1), step_elect(s)->beacon_ms == next_ms;)
        assert_false(pick_near(pick_hash(&self), pick_hash(&newcomer), n));
    assert_true(n > others + 1u);
    assert_true(pick_near(pick_hash(&self), pick_hash(&newcomer), n));
    assert_true(step_elect(s)->beacon_ms <= ELECT_HASTE_MS);
    step_free(s);
}

/* Node 1 is tracker and knows node 2, which follows it. */
static void
pair(struct step **ret_one, struct step **ret_two)
{
    *ret_one = node(1);
    *ret_two = node(2);
    tick_to(*ret_one, 950);
    tick_to(*ret_two, 890);
    assert_int_equal(step_elect(*ret_one)->role, ELECT_TRACKER);
    greet(*ret_one, 1, *ret_two, 1, 950);
    greet(*ret_two, 2, *ret_one, 1, 950);
    assert_int_equal(step_elect(*ret_two)->tracker.id.bytes[0], 1);
}

static void
a_node_alone_is_tracker_and_fetches_by_its_own_lease(void **state)
{
    (void)state;
    struct step *s = node(1);
    struct digest d = unit_blob(1);
    tick_to(s, 2000);
    assert_non_null(step_open(s, 2000, &d, SIZE, WANTS));
    plan_clear(&plan);
    step_tick(s, 2001, &plan);
    const struct plan_action *get = need(PLAN_GET);
    assert_int_equal(get->get.source, SWARM_WAN);
    assert_int_equal(get->get.count,
                     step_swarm(s, &d) != NULL ? swarm_pieces(step_swarm(s, &d)) : 0);
    assert_true(digest_equal(&get->blob, &d));
    step_free(s);
}

static void
a_wish_becomes_a_post_a_grant_and_a_request(void **state)
{
    (void)state;
    struct step *one, *two;
    struct digest d = unit_blob(1);
    struct step_from from = {unit_node(2), 1, 2, false};
    uint8_t body[4096];
    pair(&one, &two);
    assert_non_null(step_open(two, 2000, &d, SIZE, WANTS));
    greet(one, 1, two, 2, 2000); /* it waited until it may announce to the new tracker */
    assert_int_equal(count_of(WIRE_WHOHAS), 1);
    tick_to(two, 2000 + SWARM_WHOHAS_MS);
    const struct plan_action *a = need(PLAN_POST);
    assert_int_equal(a->addr.port, 1);
    size_t len = a->len;
    memcpy(body, plan.bytes + a->at, len);

    plan_clear(&plan);
    assert_int_equal(step_request(one, 2001, &from, body, len, &plan), 0);
    a = need(PLAN_REPLY);
    len = a->len;
    memcpy(body, plan.bytes + a->at, len);

    plan_clear(&plan);
    assert_int_equal(step_reply(two, 2002, body, len, &plan), 0);
    a = need(PLAN_GET);
    assert_int_equal(a->get.source, SWARM_WAN);
    assert_int_equal(a->get.first, 0);
    step_free(one);
    step_free(two);
}

static void
a_stranger_is_not_served_before_it_was_heard(void **state)
{
    (void)state;
    struct step *one, *two;
    struct step_from from = {unit_node(77), 1, 1, false};
    pair(&one, &two);
    plan_clear(&plan);
    assert_int_equal(step_request(one, 2000, &from, NULL, 0, &plan), ERR_NOT_FOUND);
    step_free(one);
    step_free(two);
}

static void
malformed_bodies_are_refused(void **state)
{
    (void)state;
    struct step *one, *two;
    const uint8_t bad[] = {WIRE_BEACON, 200, 0, 1};
    struct step_from from = {unit_node(2), 1, 9, false};
    pair(&one, &two);
    plan_clear(&plan);
    assert_int_equal(step_datagram(one, 2000, &from, bad, sizeof bad, &plan), ERR_SYNTAX);
    assert_int_equal(step_request(one, 2000, &from, bad, sizeof bad, &plan), ERR_SYNTAX);
    assert_int_equal(step_reply(two, 2000, bad, sizeof bad, &plan), ERR_SYNTAX);
    step_free(one);
    step_free(two);
}

static void
a_newcomer_is_greeted_at_once(void **state)
{
    (void)state;
    struct step *one, *two;
    pair(&one, &two);
    struct step *three = node(3);
    greet(three, 3, one, 1, 2000);
    const struct plan_action *a = need(PLAN_DATAGRAM);
    assert_int_equal(a->addr.port, 3);
    greet(three, 3, one, 2, 2001);
    assert_null(find(PLAN_DATAGRAM));
    step_free(one);
    step_free(two);
    step_free(three);
}

static void
a_question_of_a_person_is_asked_of_all_and_answered(void **state)
{
    (void)state;
    struct step *one, *two;
    struct digest d = unit_blob(1);
    struct step_from from = {.node = unit_node(2), .boot = 1, .seq = 7};
    pair(&one, &two);
    plan_clear(&plan);
    assert_null(step_located(one));
    assert_int_equal(step_locate(one, 2000, &d, 1, &plan), 0);
    assert_int_equal(count_of(WIRE_WHOHAS), 0); /* no request of a client */
    assert_int_equal(count_of(WIRE_COPY_ASK), 1);
    assert_int_equal(step_locate(one, 2001, &d, 1, &plan), ERR_BUSY);

    struct wire_msg m = {.type = WIRE_IHAVE, .ihave = {d, SIZE, {NULL, 0}}};
    uint8_t body[WIRE_DATAGRAM_MAX];
    struct scribe s;
    scribe_init(&s, body, sizeof body);
    wire_put(&s, &m);
    assert_int_equal(step_datagram(one, 2002, &from, body, scribe_len(&s), &plan), 0);
    struct locate *l = step_located(one);
    assert_int_equal(l->blobs[0].count, 1);
    assert_int_equal(l->blobs[0].holders[0].held, 8);
    assert_int_equal(l->blobs[0].holders[0].addr.port, 2);
    assert_true(l->blobs[0].holders[0].same_site);
    locate_free(l);
    assert_null(step_located(one));
    step_free(one);
    step_free(two);
}

/* `from` tells `to` how many copies the site wants. */
static void
tell_wanted(struct step *to, uint8_t from, uint64_t seq, const struct digest *d, uint16_t copies)
{
    struct step_from who = {.node = unit_node(from), .boot = 1, .seq = seq};
    struct wire_msg m = {.type = WIRE_COPIES_WANTED, .copies_wanted = {*d, copies}};
    uint8_t body[WIRE_DATAGRAM_MAX];
    struct scribe s;
    scribe_init(&s, body, sizeof body);
    wire_put(&s, &m);
    assert_int_equal(step_datagram(to, 2002, &who, body, scribe_len(&s), &plan), 0);
}

static void
the_tracker_tells_how_many_copies_the_site_wants(void **state)
{
    (void)state;
    struct step *one, *two;
    struct digest d = unit_blob(1);
    pair(&one, &two);
    plan_clear(&plan);
    assert_int_equal(step_locate(one, 2000, &d, 1, &plan), 0);
    assert_int_equal(step_locate(two, 2000, &d, 1, &plan), 0);
    tell_wanted(one, 2, 7, &d, 5); /* it is no tracker */
    tell_wanted(two, 1, 7, &d, 3);
    struct locate *l = step_located(one);
    assert_int_equal(l->blobs[0].wanted, 1); /* it knows by itself */
    locate_free(l);
    l = step_located(two);
    assert_int_equal(l->blobs[0].wanted, 3);
    locate_free(l);
    step_free(one);
    step_free(two);
}

static void
what_a_swarm_knows_of_others_is_told(void **state)
{
    (void)state;
    struct step *one, *two;
    struct digest d = unit_blob(1);
    struct node_id peer = unit_node(2);
    struct node_addr addr = {.port = 2};
    struct wire_have have = {d, 3, 2, {NULL, 0}};
    pair(&one, &two);
    swarm_have(step_open(one, 2000, &d, SIZE, WANTS), &peer, &addr, &have);
    plan_clear(&plan);
    assert_int_equal(step_locate(one, 2000, &d, 1, &plan), 0);
    struct locate *l = step_located(one);
    assert_int_equal(l->blobs[0].count, 1);
    assert_int_equal(l->blobs[0].holders[0].held, 2);
    assert_int_equal(l->blobs[0].holders[0].pieces, 8);
    locate_free(l);
    step_free(one);
    step_free(two);
}

static void
priority_waits_for_the_end_of_an_office_and_a_new_site_begins_without_one(void **state)
{
    (void)state;
    struct step *s = node(1);
    assert_true(step_priority(s, 77));
    assert_int_equal(step_elect(s)->priority, 77);
    tick_to(s, 1000);
    assert_int_equal(step_elect(s)->role, ELECT_TRACKER);
    assert_false(step_priority(s, 78));
    assert_int_equal(step_elect(s)->priority, 77);
    step_site(s, 5, 1000);
    assert_int_equal(step_elect(s)->role, ELECT_MEMBER);
    assert_true(step_elect(s)->site == 5);
    tick_to(s, 3000);
    assert_int_equal(step_elect(s)->role, ELECT_TRACKER);
    step_free(s);
}

static void
a_beacon_says_load_and_address_as_they_are_now(void **state)
{
    (void)state;
    struct step *s = node(1);
    struct node_addr moved = {.ip = {[15] = 9}, .port = 9};
    struct cursor c;
    struct wire_msg m;
    step_load(s, 123456, (uint64_t)7 << 20);
    step_moved(s, &moved);
    plan_clear(&plan);
    step_beacon(s, 10, &plan);
    const struct plan_action *a = need(PLAN_SHOUT);
    cursor_init(&c, plan.bytes + a->at, a->len);
    assert_int_equal(wire_next(&c, &m), 1);
    assert_int_equal(m.beacon.queue_ms, UINT16_MAX);
    assert_int_equal(m.beacon.free_mib, 7);
    assert_int_equal(m.beacon.addr.port, 9);
    step_free(s);
}

static void
a_knock_is_answered_by_a_control_request_but_not_often(void **state)
{
    (void)state;
    struct step *one, *two;
    struct step_from from = {.node = unit_node(2), .boot = 1, .seq = 7};
    struct step_from back = {.node = unit_node(1), .boot = 1, .seq = 8};
    uint8_t body[WIRE_DATAGRAM_MAX];
    pair(&one, &two);
    plan_clear(&plan);
    assert_int_equal(step_knock(two, 2000, &plan), 1);
    const struct plan_action *a = need(PLAN_DATAGRAM);
    assert_int_equal(a->addr.port, 1);
    size_t len = a->len;
    memcpy(body, plan.bytes + a->at, len);
    plan_clear(&plan);
    assert_int_equal(step_datagram(one, 2001, &from, body, len, &plan), 0);
    a = need(PLAN_COPY);
    assert_int_equal(a->addr.port, 2);
    size_t answer_len = a->len;
    uint8_t answer[WIRE_DATAGRAM_MAX];
    memcpy(answer, plan.bytes + a->at, answer_len);
    plan_clear(&plan);
    assert_int_equal(step_datagram(one, 2002, &from, body, len, &plan), 0);
    assert_null(find(PLAN_COPY));

    assert_true(step_reached_ms(two) == INT64_MIN);
    assert_int_equal(step_request(two, 2003, &back, answer, answer_len, &plan), 0);
    assert_int_equal(step_reached_ms(two), 2003);
    step_free(one);
    step_free(two);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_a_large_site_a_newcomer_hears_of_its_neighbours_soon),
        cmocka_unit_test(priority_waits_for_the_end_of_an_office_and_a_new_site_begins_without_one),
        cmocka_unit_test(a_beacon_says_load_and_address_as_they_are_now),
        cmocka_unit_test(a_node_alone_is_tracker_and_fetches_by_its_own_lease),
        cmocka_unit_test(a_wish_becomes_a_post_a_grant_and_a_request),
        cmocka_unit_test(a_stranger_is_not_served_before_it_was_heard),
        cmocka_unit_test(malformed_bodies_are_refused),
        cmocka_unit_test(a_newcomer_is_greeted_at_once),
        cmocka_unit_test(a_question_of_a_person_is_asked_of_all_and_answered),
        cmocka_unit_test(the_tracker_tells_how_many_copies_the_site_wants),
        cmocka_unit_test(what_a_swarm_knows_of_others_is_told),
        cmocka_unit_test(a_knock_is_answered_by_a_control_request_but_not_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
