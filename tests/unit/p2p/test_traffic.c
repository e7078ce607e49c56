#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/step.h"

static struct plan plan;

/* What node n carries: n MB from the registry, and a flow from each of nine nodes. */
static void
carried(void *arg, struct traffic *ret)
{
    uint8_t n = *(uint8_t *)arg;
    *ret = (struct traffic){.upstream_bytes = n * 1000000u, .peer_rate = 7};
    for (uint8_t i = 0; i < TRAFFIC_FLOWS_MAX; i++)
        ret->flows[ret->flows_count++] = (struct traffic_flow){unit_node(i), i};
}

static struct step *
node(uint8_t *n, uint64_t site)
{
    struct step_config c = {.self = unit_node(*n),
                            .addr = {.port = *n},
                            .site = site,
                            .priority = *n,
                            .seed = *n,
                            .carried = carried,
                            .carried_arg = n};
    return step_new(&c, 0);
}

/* Gives the bodies of the last plan to the other one; how many there were. */
static size_t
carry(uint8_t from, struct step *to, int64_t now_ms, uint64_t *seq)
{
    struct plan *told = mem_alloc(sizeof *told);
    *told = plan;
    plan_clear(&plan);
    size_t count = told->count;
    for (size_t i = 0; i < count; i++) {
        struct step_from who = {unit_node(from), 1, ++*seq, false};
        const struct plan_action *a = &told->actions[i];
        assert_int_equal(step_datagram(to, now_ms, &who, told->bytes + a->at, a->len, &plan), 0);
    }
    mem_free(told);
    return count;
}

static uint8_t one = 1, two = 2;
static uint64_t seq_one, seq_two;

static void
meet_at(struct step *a, struct step *b, int64_t now_ms)
{
    plan_clear(&plan);
    step_beacon(a, now_ms, &plan);
    (void)carry(one, b, now_ms, &seq_one);
    plan_clear(&plan);
    step_beacon(b, now_ms, &plan);
    (void)carry(two, a, now_ms, &seq_two);
    plan_clear(&plan);
}

static void
meet(struct step *a, struct step *b)
{
    meet_at(a, b, 0);
}

/* Each hears nobody. */
static void
become_trackers(struct step *a, struct step *b, int64_t *now_ms)
{
    while (*now_ms < 60000 && (step_elect(a)->role != ELECT_TRACKER ||
                               (b != NULL && step_elect(b)->role != ELECT_TRACKER))) {
        plan_clear(&plan);
        step_tick(a, ++*now_ms, &plan);
        if (b != NULL)
            step_tick(b, *now_ms, &plan);
    }
}

/* These records in one datagram. */
static void
hear(struct step *to, int64_t now_ms, const struct step_from *who, const struct wire_msg *said,
     size_t count)
{
    uint8_t room[WIRE_DATAGRAM_MAX];
    struct scribe out;
    scribe_init(&out, room, sizeof room);
    for (size_t i = 0; i < count; i++)
        wire_put(&out, &said[i]);
    assert_int_equal(step_datagram(to, now_ms, who, room, scribe_len(&out), &plan), 0);
    plan_clear(&plan);
}

static void
who_looks_asks_and_hears_at_the_next_look(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 1);
    struct node_id other = unit_node(2);
    int64_t age_ms;
    meet(a, b);
    assert_null(step_traffic(a, &other, 0, &age_ms));
    step_look_traffic(a, 0, &plan);
    assert_int_equal(carry(one, b, 10, &seq_one), 1);
    assert_int_equal(carry(two, a, 20, &seq_two), 1);
    const struct traffic *said = step_traffic(a, &other, 50, &age_ms);
    assert_non_null(said);
    assert_int_equal(age_ms, 30);
    assert_int_equal(said->upstream_bytes, 2000000);
    assert_int_equal(said->peer_rate, 7);
    assert_int_equal(said->flows_count, TRAFFIC_FLOWS_MAX);
    assert_int_equal(said->flows[3].rate, 3);
    assert_null(step_traffic(a, &other, 20 + TRAFFIC_STALE_MS + 1, &age_ms));
    step_free(a);
    step_free(b);
}

static void
looking_often_asks_seldom(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 1);
    meet(a, b);
    step_look_traffic(a, 0, &plan);
    step_look_traffic(a, TRAFFIC_ASK_MS - 1, &plan);
    assert_int_equal(plan.count, 1);
    step_look_traffic(a, TRAFFIC_ASK_MS, &plan);
    assert_int_equal(plan.count, 2);
    step_free(a);
    step_free(b);
}

static void
another_site_says_nothing(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 9);
    meet(a, b);
    step_look_traffic(a, 0, &plan);
    (void)carry(one, b, 10, &seq_one);
    assert_int_equal(plan.count, 0);
    step_free(a);
    step_free(b);
}

/* A tracker hears what its site carries when another site asked once more. */
static void
the_tracker_of_another_site_gives_sums(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 9);
    const struct traffic_site *said;
    int64_t now_ms = 0;
    size_t at = 0;
    become_trackers(b, NULL, &now_ms);
    meet_at(a, b, now_ms);
    struct step_from member = {unit_node(3), 1, 1, false};
    struct wire_msg said_by_it[] = {
        {.type = WIRE_BEACON, .beacon = {.addr = {.port = 3}, .site = 9}},
        {.type = WIRE_TRAFFIC,
         .traffic = {.upstream_bytes = 5, .remote_bytes = 6, .peer_rate = 8}}};
    hear(b, now_ms, &member, said_by_it, ARRAY_LEN(said_by_it));
    step_look_traffic(a, now_ms, &plan);
    assert_int_equal(carry(one, b, now_ms, &seq_one), 2);
    assert_int_equal(plan.count, 2); /* its answer, and a question to its own site */
    assert_int_equal(plan.actions[0].kind, PLAN_DATAGRAM);
    assert_int_equal(plan.actions[1].kind, PLAN_SHOUT);
    (void)carry(two, a, now_ms, &seq_two);
    said = step_traffic_site(a, &at, now_ms);
    assert_non_null(said);
    assert_int_equal(said->is.site, 9);
    assert_int_equal(said->is.nodes, 2);
    assert_int_equal(said->is.told, 2);
    assert_int_equal(said->is.wan_bytes, 2000011);
    assert_int_equal(said->is.lan_rate, 15);
    assert_null(step_traffic_site(a, &at, now_ms));
    at = 0;
    assert_null(step_traffic_site(a, &at, now_ms + TRAFFIC_STALE_MS + 1));
    step_free(a);
    step_free(b);
}

/* A member need not know the trackers of other sites: its own passes on what they say. */
static void
a_tracker_passes_on_what_other_sites_say(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 1);
    struct node_id far = unit_node(3);
    struct step_from other = {far, 1, 1, false};
    struct wire_msg said_by_it[2];
    size_t at = 0, count = 0;
    int64_t now_ms = 0;
    become_trackers(b, NULL, &now_ms);
    meet_at(a, b, now_ms);
    said_by_it[0] =
        (struct wire_msg){.type = WIRE_BEACON, .beacon = {.addr = {.port = 3}, .site = 9}};
    hear(b, now_ms, &other, said_by_it, 1);
    other.seq = 2;
    said_by_it[0] =
        (struct wire_msg){.type = WIRE_SITE_SUMS, .site_sums = {.site = 9, .nodes = 7, .told = 6}};
    said_by_it[1] = (struct wire_msg){.type = WIRE_SITE_SUMS, .site_sums = {.site = 8}}; /* a lie */
    hear(b, now_ms, &other, said_by_it, 2);
    now_ms += TRAFFIC_SITES_MS;
    step_look_traffic(a, now_ms, &plan);
    (void)carry(one, b, now_ms, &seq_one);
    (void)carry(two, a, now_ms, &seq_two);
    for (const struct traffic_site *s; (s = step_traffic_site(a, &at, now_ms)) != NULL; count++) {
        assert_int_equal(s->is.site, 9);
        assert_int_equal(s->is.nodes, 7);
    }
    assert_int_equal(count, 1);
    step_free(a);
    step_free(b);
}

/* Else two trackers would ask each other for ever. */
static void
a_site_that_is_asked_asks_no_other_site(void **state)
{
    (void)state;
    struct step *a = node(&one, 1), *b = node(&two, 9);
    int64_t now_ms = 0;
    become_trackers(b, a, &now_ms);
    meet_at(a, b, now_ms);
    step_look_traffic(a, now_ms, &plan);
    (void)carry(one, b, now_ms, &seq_one);
    (void)carry(two, a, now_ms + 100000, &seq_two);
    assert_int_equal(plan.count, 0);
    step_free(a);
    step_free(b);
}

static void
alone_nobody_is_asked(void **state)
{
    (void)state;
    struct step *a = node(&one, 1);
    plan_clear(&plan);
    step_look_traffic(a, 0, &plan);
    assert_int_equal(plan.count, 0);
    step_free(a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_looks_asks_and_hears_at_the_next_look),
        cmocka_unit_test(looking_often_asks_seldom),
        cmocka_unit_test(another_site_says_nothing),
        cmocka_unit_test(the_tracker_of_another_site_gives_sums),
        cmocka_unit_test(a_tracker_passes_on_what_other_sites_say),
        cmocka_unit_test(a_site_that_is_asked_asks_no_other_site),
        cmocka_unit_test(alone_nobody_is_asked),
    };
    return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}
