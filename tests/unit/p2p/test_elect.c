#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/elect.h"

#define SITE 1

static struct members nobody;

/* A node 5 of priority 5 that follows tracker 9 of epoch 4, heard at 1000. */
static struct elect
follower(void)
{
    struct elect e;
    struct node_id self = unit_node(5), nine = unit_node(9);
    struct wire_beacon b = {.site = SITE, .role = ELECT_TRACKER, .epoch = 4, .tracker = nine};
    elect_init(&e, &self, SITE, 5, 1, 0);
    struct elect_plan p = elect_hear(&e, &nobody, &nine, &b, 1000);
    assert_int_equal(p.event, ELECT_FOLLOWS);
    assert_true(p.changed);
    return e;
}

/* Ticks as often as a daemon does; the plan of the last tick. */
static struct elect_plan
tick_to(struct elect *e, int64_t until_ms)
{
    struct elect_plan p = {.event = ELECT_NOTHING};
    for (int64_t ms = e->ticked_ms; ms < until_ms;) {
        ms = ms + 50 < until_ms ? ms + 50 : until_ms;
        p = elect_tick(e, &nobody, ms);
    }
    return p;
}

/* The same node as tracker of epoch 5. */
static struct elect
tracker(void)
{
    struct elect e = follower();
    (void)tick_to(&e, 1900);
    (void)tick_to(&e, 2000);
    struct elect_plan p = tick_to(&e, 2050);
    assert_int_equal(p.event, ELECT_WON);
    assert_true(p.beacon);
    return e;
}

static struct wire_beacon
claim(uint32_t epoch, uint32_t priority, uint8_t id)
{
    return (struct wire_beacon){.site = SITE,
                                .role = ELECT_TRACKER,
                                .epoch = epoch,
                                .tracker = unit_node(id),
                                .tracker_priority = priority};
}

static struct elect_plan
hear(struct elect *e, uint8_t from, const struct wire_beacon *b, int64_t now_ms)
{
    struct node_id id = unit_node(from);
    return elect_hear(e, &nobody, &id, b, now_ms);
}

static void
a_silent_tracker_is_asked_before_an_election(void **state)
{
    (void)state;
    struct elect e = follower();
    struct elect_plan p = tick_to(&e, 1899);
    assert_int_equal(p.event, ELECT_NOTHING);
    p = tick_to(&e, 1900);
    assert_int_equal(p.event, ELECT_SUSPECTS);
    assert_true(p.probe);
    assert_int_equal(p.probe_id.bytes[0], 9);
    struct wire_beacon b = claim(4, 0, 9);
    (void)hear(&e, 9, &b, 1950);
    p = tick_to(&e, 2000);
    assert_int_equal(p.event, ELECT_NOTHING);
    assert_int_equal(e.role, ELECT_MEMBER);
}

static void
the_best_node_wins_with_the_next_epoch(void **state)
{
    (void)state;
    struct elect e = tracker();
    assert_int_equal(e.role, ELECT_TRACKER);
    assert_int_equal(e.tracker.epoch, 5);
    assert_int_equal(e.tracker.id.bytes[0], 5);
}

static void
who_hears_the_tracker_keeps_others_from_standing(void **state)
{
    (void)state;
    struct elect e = follower();
    struct wire_beacon b = claim(4, 0, 9);
    b.role = ELECT_MEMBER;
    b.tracker_age_ms = 100;
    (void)hear(&e, 7, &b, 1800);
    assert_int_equal(tick_to(&e, 2599).event, ELECT_NOTHING);
    assert_int_equal(tick_to(&e, 2600).event, ELECT_SUSPECTS);
    assert_int_equal(e.heard_ms, 1000);
}

static void
a_candidate_goes_back_when_somebody_hears_the_tracker(void **state)
{
    (void)state;
    struct elect e = follower();
    (void)tick_to(&e, 1900);
    assert_int_equal(tick_to(&e, 2000).event, ELECT_RUNS);
    struct wire_beacon b = claim(4, 0, 9);
    b.role = ELECT_MEMBER;
    b.tracker_age_ms = 10;
    (void)hear(&e, 7, &b, 2001);
    assert_int_equal(e.role, ELECT_MEMBER);
    assert_int_equal(e.tracker.epoch, 4);
}

static void
a_better_candidate_stops_and_a_worse_is_told(void **state)
{
    (void)state;
    struct elect e = follower();
    (void)tick_to(&e, 1900);
    (void)tick_to(&e, 2000);
    struct wire_beacon worse = {
        .site = SITE, .role = ELECT_CANDIDATE, .priority = 4, .tracker_age_ms = WIRE_AGE_NEVER};
    assert_true(hear(&e, 7, &worse, 2001).reply);
    assert_int_equal(e.role, ELECT_CANDIDATE);
    worse.priority = 6;
    assert_int_equal(hear(&e, 7, &worse, 2002).event, ELECT_STOPS);
    assert_int_equal(e.role, ELECT_MEMBER);
}

static void
claims_are_ordered_by_epoch_then_priority_then_id(void **state)
{
    (void)state;
    const struct elect_claim least = {4, 7, unit_node(9), false};
    const struct elect_claim larger[] = {
        {5, 6, unit_node(1), false}, {4, 8, unit_node(1), false}, {4, 7, unit_node(10), false}};
    for (size_t i = 0; i < ARRAY_LEN(larger); i++) {
        assert_true(elect_claim_compare(&larger[i], &least) > 0);
        assert_true(elect_claim_compare(&least, &larger[i]) < 0);
    }
    assert_int_equal(elect_claim_compare(&least, &least), 0);
}

/* Node 7 says that it follows this one. */
static void
is_followed(struct elect *e)
{
    struct wire_beacon b = claim(e->tracker.epoch, e->priority, 5);
    b.role = ELECT_MEMBER;
    (void)hear(e, 7, &b, e->ticked_ms);
}

static void
a_tracker_yields_to_a_larger_claim_only(void **state)
{
    (void)state;
    struct elect e = tracker();
    is_followed(&e);
    struct wire_beacon b = claim(5, 4, 9);
    struct elect_plan p = hear(&e, 9, &b, 2100);
    assert_true(p.reply);
    assert_int_equal(e.role, ELECT_TRACKER);
    b = claim(5, 6, 9);
    p = hear(&e, 9, &b, 2101);
    assert_int_equal(p.event, ELECT_YIELDS);
    assert_true(p.changed);
    assert_int_equal(e.role, ELECT_MEMBER);
    assert_int_equal(e.tracker.id.bytes[0], 9);
}

static void
who_stood_is_lone_until_somebody_follows_it(void **state)
{
    (void)state;
    struct elect e = tracker();
    struct wire_beacon said;
    elect_beacon(&e, &nobody, 0, 2050, &said);
    assert_int_equal(said.flags, WIRE_LONE);
    is_followed(&e);
    elect_beacon(&e, &nobody, 0, 2050, &said);
    assert_int_equal(said.flags, 0);
    e = tracker(); /* one that heard nobody, as its port is full */
    struct wire_beacon b = claim(4, 0, 9);
    assert_int_equal(hear(&e, 9, &b, 2100).event, ELECT_YIELDS);
    assert_int_equal(e.tracker.epoch, 4);
}

static void
nobody_leaves_a_tracker_for_a_lone_one(void **state)
{
    (void)state;
    struct elect e = follower();
    struct wire_beacon b = claim(5, 9, 8);
    b.flags = WIRE_LONE;
    assert_int_equal(hear(&e, 8, &b, 1100).event, ELECT_NOTHING);
    e = tracker();
    is_followed(&e);
    b.epoch = 6;
    assert_true(hear(&e, 8, &b, 2100).reply);
    assert_int_equal(e.role, ELECT_TRACKER);
}

static void
a_lone_tracker_is_followed_where_there_is_none_and_told_so(void **state)
{
    (void)state;
    struct elect e = follower();
    struct wire_beacon b = claim(5, 9, 8);
    (void)tick_to(&e, 1900); /* probes */
    b.flags = WIRE_LONE;
    struct elect_plan p = hear(&e, 8, &b, 1950);
    assert_int_equal(p.event, ELECT_FOLLOWS);
    assert_true(p.reply);
    assert_false(hear(&e, 8, &b, 2250).reply); /* once */
}

static void
a_tracker_asks_the_owner_of_a_larger_claim_that_it_hears_of(void **state)
{
    (void)state;
    struct elect e = tracker();
    struct wire_beacon b = claim(6, 1, 9);
    b.role = ELECT_MEMBER;
    struct elect_plan p = hear(&e, 7, &b, 2100);
    assert_true(p.probe);
    assert_int_equal(p.probe_id.bytes[0], 9);
    assert_int_equal(e.role, ELECT_TRACKER);
    assert_false(hear(&e, 7, &b, 2110).probe);
}

static void
a_jump_of_epochs_is_refused_except_by_a_newcomer(void **state)
{
    (void)state;
    struct elect e = follower();
    struct wire_beacon b = claim(4 + ELECT_EPOCH_JUMP + 1, 9, 8);
    assert_int_equal(hear(&e, 8, &b, 1100).event, ELECT_REFUSES);
    assert_int_equal(e.tracker.epoch, 4);
    b.epoch--;
    assert_int_equal(hear(&e, 8, &b, 1100).event, ELECT_FOLLOWS);
    struct node_id self = unit_node(5);
    elect_init(&e, &self, SITE, 5, 1, 0);
    b.epoch = 1000000;
    assert_int_equal(hear(&e, 8, &b, 1100).event, ELECT_FOLLOWS);
    b.epoch = UINT32_MAX;
    assert_int_equal(hear(&e, 8, &b, 1100).event, ELECT_REFUSES);
    elect_init(&e, &self, SITE, 5, 1, 0);
    assert_int_equal(hear(&e, 8, &b, 1100).event, ELECT_REFUSES);
}

static void
a_deputy_takes_over_from_a_tracker_that_resigns(void **state)
{
    (void)state;
    struct elect e = follower();
    struct wire_beacon b = claim(4, 0, 9);
    b.deputy = unit_node(5);
    (void)hear(&e, 9, &b, 1100);
    assert_int_equal(e.role, ELECT_DEPUTY);
    b.role = ELECT_MEMBER;
    b.flags = WIRE_RESIGNS;
    assert_int_equal(hear(&e, 9, &b, 1200).event, ELECT_WON);
    assert_int_equal(e.tracker.epoch, 5);
    assert_false(e.tracker.lone); /* it was told, so it hears */
}

/* Others, 7 and 8, say that of the answers of the tracker of that epoch. */
static struct members *
voters(uint32_t epoch, uint8_t seven, uint8_t eight)
{
    static struct members m;
    const struct member said[] = {
        {.id = unit_node(7), .site = SITE, .epoch = epoch, .served = seven, .boot = 1, .seq = 1},
        {.id = unit_node(8), .site = SITE, .epoch = epoch, .served = eight, .boot = 1, .seq = 1}};
    member_init(&m, SITE);
    assert_true(member_heard(&m, &said[0], 1000));
    assert_true(member_heard(&m, &said[1], 1000));
    return &m;
}

/* The follower as deputy, which requests reach. */
static struct elect
deputy(void)
{
    struct elect e = follower();
    struct wire_beacon b = claim(4, 0, 9);
    b.deputy = unit_node(5);
    (void)hear(&e, 9, &b, 1100);
    elect_reached(&e, 1100);
    return e;
}

static enum elect_event
next_beacon(struct elect *e, const struct members *m)
{
    (void)tick_to(e, 1150);
    e->beacon_ms = 1200;
    return elect_tick(e, m, 1200).event;
}

static void
most_who_get_no_answer_vote_a_tracker_out(void **state)
{
    (void)state;
    struct elect e = deputy();
    assert_int_equal(next_beacon(&e, voters(4, WIRE_UNSERVED, WIRE_UNSERVED)), ELECT_WON);
    assert_int_equal(e.tracker.epoch, 5);
    e = deputy();
    assert_int_equal(next_beacon(&e, voters(4, WIRE_UNSERVED, WIRE_SERVED)), ELECT_NOTHING);
    e = deputy();
    assert_int_equal(next_beacon(&e, voters(4, WIRE_UNSERVED, 0)), ELECT_NOTHING);
    e = deputy();
    assert_int_equal(next_beacon(&e, voters(3, WIRE_UNSERVED, WIRE_UNSERVED)), ELECT_NOTHING);
    e = deputy();
    struct members *two_and_two = voters(4, WIRE_UNSERVED, WIRE_UNSERVED);
    struct member six = {.id = unit_node(6), .site = SITE, .epoch = 4, .served = WIRE_SERVED};
    assert_true(member_heard(two_and_two, &six, 1000));
    elect_asked(&e, 1150);
    elect_answered(&e, 1150);
    assert_int_equal(next_beacon(&e, two_and_two), ELECT_NOTHING);
    e = follower(); /* the deputy does it */
    assert_int_equal(next_beacon(&e, voters(4, WIRE_UNSERVED, WIRE_UNSERVED)), ELECT_NOTHING);
}

static void
a_deputy_that_no_request_reaches_heeds_no_vote(void **state)
{
    (void)state;
    struct elect e = deputy();
    e.reached_ms = ELECT_NEVER;
    assert_int_equal(next_beacon(&e, voters(4, WIRE_UNSERVED, WIRE_UNSERVED)), ELECT_NOTHING);
}

static void
no_vote_follows_on_a_vote(void **state)
{
    (void)state;
    struct elect e = deputy();
    struct wire_beacon b = claim(5, 0, 8);
    b.deputy = unit_node(5);
    b.flags = WIRE_VOTED;
    (void)tick_to(&e, 1150);
    (void)hear(&e, 8, &b, 1150);
    assert_int_equal(e.role, ELECT_DEPUTY);
    assert_int_equal(next_beacon(&e, voters(5, WIRE_UNSERVED, WIRE_UNSERVED)), ELECT_NOTHING);
}

static void
who_was_voted_out_is_the_last_choice_for_a_while(void **state)
{
    (void)state;
    struct elect e = tracker();
    struct wire_beacon said, b = claim(6, 0, 8);
    is_followed(&e);
    b.flags = WIRE_VOTED;
    assert_int_equal(hear(&e, 8, &b, 2100).event, ELECT_YIELDS);
    elect_beacon(&e, &nobody, 0, 2100, &said);
    assert_int_equal(said.priority, 0);
    elect_beacon(&e, &nobody, 0, 2100 + ELECT_UNFIT_MS, &said);
    assert_int_equal(said.priority, 5);
}

static void
who_takes_over_by_votes_says_so_and_waits_itself(void **state)
{
    (void)state;
    struct elect e = deputy();
    struct wire_beacon said;
    assert_int_equal(next_beacon(&e, voters(4, WIRE_UNSERVED, WIRE_UNSERVED)), ELECT_WON);
    elect_beacon(&e, &nobody, 0, 1200, &said);
    assert_int_equal(said.flags & WIRE_VOTED, WIRE_VOTED);
    elect_beacon(&e, &nobody, 0, 1200 + ELECT_SILENT_MS, &said);
    assert_int_equal(said.flags & WIRE_VOTED, 0);
    assert_int_equal(e.spare_ms, 1200 + ELECT_SPARE_MS);
}

/* Two whom no tracker can answer do not move the office every minute. */
static void
each_vote_makes_the_next_one_wait_longer(void **state)
{
    (void)state;
    struct elect e = follower();
    int64_t at_ms = 2000, before_ms = 0;
    for (uint32_t epoch = 5; epoch < 12; epoch++) {
        struct wire_beacon b = claim(epoch, 0, 8 + epoch % 2);
        b.flags = WIRE_VOTED;
        (void)hear(&e, (uint8_t)(8 + epoch % 2), &b, at_ms);
        int64_t pause_ms = e.spare_ms - at_ms;
        assert_true(pause_ms > before_ms || pause_ms == ELECT_UNFIT_MS);
        before_ms = pause_ms;
        at_ms = e.spare_ms;
    }
    assert_int_equal(before_ms, ELECT_UNFIT_MS);
    struct wire_beacon b = claim(20, 0, 8);
    b.flags = WIRE_VOTED;
    (void)hear(&e, 8, &b, at_ms + ELECT_UNFIT_MS);
    assert_int_equal(e.spare_ms, at_ms + ELECT_UNFIT_MS + ELECT_SPARE_MS);
}

static uint8_t
flags_at(const struct elect *e, int64_t now_ms)
{
    struct wire_beacon said;
    elect_beacon(e, &nobody, 0, now_ms, &said);
    return said.flags;
}

static void
a_node_says_whether_the_tracker_answers_it(void **state)
{
    (void)state;
    struct elect e = follower();
    assert_int_equal(flags_at(&e, 1000), 0);
    for (int64_t ms = 1000; ms <= 4000; ms += 500) {
        elect_asked(&e, ms);
        assert_int_equal(flags_at(&e, ms), ms < 4000 ? 0 : WIRE_UNSERVED);
    }
    assert_int_equal(flags_at(&e, 4000 + ELECT_ASKS_MS), 0); /* it asks no more */
    elect_answered(&e, 4100);
    assert_int_equal(flags_at(&e, 4100), WIRE_SERVED);
    elect_asked(&e, 4200); /* lost, and none for a while: that was long ago */
    elect_asked(&e, 20000);
    assert_int_equal(flags_at(&e, 20000), 0);
}

static void
a_tracker_that_started_anew_hands_nothing_over(void **state)
{
    (void)state;
    struct elect e = follower();
    struct wire_beacon b = claim(4, 0, 9);
    b.deputy = unit_node(5);
    (void)hear(&e, 9, &b, 1100);
    /* It follows another tracker already, whose deputy is this node. */
    b = claim(3, 0, 8);
    b.role = ELECT_MEMBER;
    b.tracker_age_ms = WIRE_AGE_NEVER;
    b.deputy = unit_node(5);
    assert_int_equal(hear(&e, 9, &b, 1200).event, ELECT_LOST);
    assert_int_equal(e.role, ELECT_MEMBER);
    assert_int_equal(e.tracker.epoch, 0);
}

static void
a_candidate_waits_a_step_for_each_better_node(void **state)
{
    (void)state;
    struct elect e = follower();
    struct members two;
    member_init(&two, 1);
    for (uint8_t n = 6; n <= 7; n++) {
        struct member m = {.id = unit_node(n), .site = SITE, .priority = n};
        assert_true(member_heard(&two, &m, 1900));
    }
    (void)tick_to(&e, 1900);
    assert_int_equal(elect_tick(&e, &two, 2000).event, ELECT_RUNS);
    assert_int_equal(elect_tick(&e, &two, 2000 + 3 * ELECT_STEP_MS - 1).event, ELECT_NOTHING);
    assert_int_equal(elect_tick(&e, &two, 2000 + 3 * ELECT_STEP_MS).event, ELECT_WON);
}

static void
a_node_alone_does_not_step_down(void **state)
{
    (void)state;
    struct elect e = tracker();
    assert_int_equal(elect_resign(&e, &nobody, false, 3000).event, ELECT_STAYS);
    assert_int_equal(e.role, ELECT_TRACKER);
    struct elect_plan p = elect_resign(&e, &nobody, true, 3000);
    assert_int_equal(p.event, ELECT_RESIGNS);
    assert_int_equal(p.beacon_flags, WIRE_RESIGNS | WIRE_LEAVES);
    struct wire_beacon b;
    elect_beacon(&e, &nobody, p.beacon_flags, 3000, &b);
    assert_int_equal(b.epoch, 5);
    assert_int_equal(b.tracker.bytes[0], 5);
}

static void
a_node_that_slept_listens_before_it_judges(void **state)
{
    (void)state;
    struct elect e = follower();
    (void)elect_tick(&e, &nobody, 1100);
    assert_int_equal(elect_tick(&e, &nobody, 60000).event, ELECT_NOTHING);
    assert_int_equal(elect_tick(&e, &nobody, 60000 + ELECT_SILENT_MS).event, ELECT_SUSPECTS);
}

static void
another_site_is_not_our_business(void **state)
{
    (void)state;
    struct elect e = follower();
    struct wire_beacon b = claim(7, 9, 8);
    b.site = SITE + 1;
    assert_int_equal(hear(&e, 8, &b, 1100).event, ELECT_NOTHING);
    assert_int_equal(e.tracker.id.bytes[0], 9);
}

/* Nodes 6 to 9, of which the last `banned` are banned. */
static struct members *
liars(uint8_t banned)
{
    struct members *m = mem_zalloc(sizeof *m);
    for (uint8_t n = 6; n <= 9; n++) {
        struct member said = {
            .id = unit_node(n), .site = SITE, .priority = n, .banned = n > 9 - banned};
        assert_true(member_heard(m, &said, 1000));
    }
    return m;
}

static void
a_tracker_that_lies_is_not_followed(void **state)
{
    (void)state;
    struct elect e = follower();
    struct members *m = liars(1);
    struct elect_plan p = elect_tick(&e, m, 1050);
    assert_int_equal(p.event, ELECT_SHUNS);
    assert_true(p.changed);
    assert_int_equal(e.tracker.epoch, 0);
    struct wire_beacon b = claim(4, 0, 9);
    struct node_id nine = unit_node(9);
    assert_int_equal(elect_hear(&e, m, &nine, &b, 1100).event, ELECT_NOTHING);
    assert_int_equal(elect_tick(&e, m, 1349).event, ELECT_NOTHING); /* its deputy's turn */
    assert_int_equal(elect_tick(&e, m, 1350).event, ELECT_RUNS);
    assert_int_equal(elect_tick(&e, m, 1350 + 3 * ELECT_STEP_MS).event, ELECT_NOTHING);
    assert_int_equal(elect_tick(&e, m, 1350 + 4 * ELECT_STEP_MS).event, ELECT_WON);
    assert_int_equal(e.tracker.epoch, 5);
    mem_free(m);
}

static void
the_deputy_of_a_liar_takes_over_at_once(void **state)
{
    (void)state;
    struct elect e = follower();
    struct members *m = liars(1);
    struct wire_beacon b = claim(4, 0, 9);
    b.deputy = unit_node(5);
    (void)elect_tick(&e, &nobody, 1005);
    (void)hear(&e, 9, &b, 1010);
    assert_int_equal(elect_tick(&e, m, 1050).event, ELECT_WON);
    elect_beacon(&e, m, 0, 1050, &b);
    assert_int_equal(b.deputy.bytes[0], 8); /* the best that does not lie */
    mem_free(m);
}

static void
who_finds_most_to_be_liars_stands_back(void **state)
{
    (void)state;
    struct elect e = tracker();
    struct members *m = liars(3);
    struct elect_plan p = elect_tick(&e, m, 2100);
    assert_int_equal(p.event, ELECT_DOUBTS);
    assert_int_equal(p.beacon_flags, WIRE_RESIGNS);
    assert_int_equal(e.role, ELECT_MEMBER);
    for (int64_t ms = 2150; ms < 9000; ms += 50)
        assert_int_not_equal(elect_tick(&e, m, ms).event, ELECT_RUNS);
    struct wire_beacon b = claim(6, 0, 9);
    struct node_id nine = unit_node(9);
    assert_int_equal(elect_hear(&e, m, &nine, &b, 9000).event, ELECT_FOLLOWS);
    mem_free(m);
}

/* In a large site members say something seldom; a candidate says that it stands between two of its
 * regular beacons, and is a member again when the next one is due. Who trusted its word less took
 * it for dead. */
static void
the_beacon_of_a_candidate_says_when_the_next_one_comes(void **state)
{
    (void)state;
    struct elect e = follower();
    struct members *m = mem_zalloc(sizeof *m);
    member_init(m, SITE);
    for (unsigned i = 0; i < 20 * MEMBER_BEACONS_S; i++) {
        struct member said = {.site = SITE, .boot = 1, .seq = 1};
        said.id.bytes[0] = (uint8_t)i;
        said.id.bytes[1] = (uint8_t)(i / 256 + 1);
        (void)member_heard(m, &said, 0);
    }
    bool stood = false;
    struct wire_beacon b = {.every_ms = 0};
    for (int64_t ms = 0; ms < 3000 && !stood; ms += 50) {
        struct elect_plan p = elect_tick(&e, m, ms);
        stood = p.event == ELECT_RUNS;
        if (p.beacon)
            elect_beacon(&e, m, 0, ms, &b);
        assert_true(b.every_ms >= e.beacon_ms - ms);
    }
    assert_true(stood);
    assert_true(b.every_ms > 2 * MEMBER_BEACON_MS);
    mem_free(m);
}

static void
moves_outside_the_table_are_illegal(void **state)
{
    (void)state;
    assert_true(elect_may_go(ELECT_CANDIDATE, ELECT_TRACKER));
    assert_false(elect_may_go(ELECT_MEMBER, ELECT_TRACKER));
    assert_false(elect_may_go(ELECT_TRACKER, ELECT_CANDIDATE));
    assert_string_equal(elect_role_name(ELECT_DEPUTY), "deputy");
    assert_string_equal(elect_event_text(ELECT_WON), "is tracker");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_silent_tracker_is_asked_before_an_election),
        cmocka_unit_test(the_best_node_wins_with_the_next_epoch),
        cmocka_unit_test(who_hears_the_tracker_keeps_others_from_standing),
        cmocka_unit_test(a_candidate_goes_back_when_somebody_hears_the_tracker),
        cmocka_unit_test(a_better_candidate_stops_and_a_worse_is_told),
        cmocka_unit_test(claims_are_ordered_by_epoch_then_priority_then_id),
        cmocka_unit_test(a_tracker_yields_to_a_larger_claim_only),
        cmocka_unit_test(who_stood_is_lone_until_somebody_follows_it),
        cmocka_unit_test(nobody_leaves_a_tracker_for_a_lone_one),
        cmocka_unit_test(a_lone_tracker_is_followed_where_there_is_none_and_told_so),
        cmocka_unit_test(a_tracker_asks_the_owner_of_a_larger_claim_that_it_hears_of),
        cmocka_unit_test(a_jump_of_epochs_is_refused_except_by_a_newcomer),
        cmocka_unit_test(a_deputy_takes_over_from_a_tracker_that_resigns),
        cmocka_unit_test(most_who_get_no_answer_vote_a_tracker_out),
        cmocka_unit_test(a_deputy_that_no_request_reaches_heeds_no_vote),
        cmocka_unit_test(no_vote_follows_on_a_vote),
        cmocka_unit_test(who_was_voted_out_is_the_last_choice_for_a_while),
        cmocka_unit_test(who_takes_over_by_votes_says_so_and_waits_itself),
        cmocka_unit_test(each_vote_makes_the_next_one_wait_longer),
        cmocka_unit_test(a_node_says_whether_the_tracker_answers_it),
        cmocka_unit_test(a_tracker_that_started_anew_hands_nothing_over),
        cmocka_unit_test(a_candidate_waits_a_step_for_each_better_node),
        cmocka_unit_test(a_node_alone_does_not_step_down),
        cmocka_unit_test(a_node_that_slept_listens_before_it_judges),
        cmocka_unit_test(another_site_is_not_our_business),
        cmocka_unit_test(a_tracker_that_lies_is_not_followed),
        cmocka_unit_test(the_deputy_of_a_liar_takes_over_at_once),
        cmocka_unit_test(who_finds_most_to_be_liars_stands_back),
        cmocka_unit_test(the_beacon_of_a_candidate_says_when_the_next_one_comes),
        cmocka_unit_test(moves_outside_the_table_are_illegal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
