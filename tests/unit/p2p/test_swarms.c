#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/duty.h"
#include "p2p/piece.h"
#include "p2p/questions.h"
#include "p2p/swarms.h"

#define SIZE  ((uint64_t)8 * PIECE_BYTES_MIN)
#define WANTS (WIRE_WANTS | WIRE_MAY_FETCH | WIRE_SERVES)

static struct elect elect;
static struct members members;
static struct plan plan;
static const struct node_id self = {{1}};
static const struct node_addr addr;

/* A node that follows node 9, which it knows. */
static struct swarms_at
follower(int64_t now_ms)
{
    struct member nine = {.id = unit_node(9), .site = 1, .seq = 1};
    member_init(&members, 1);
    assert_true(member_heard(&members, &nine, now_ms));
    elect_init(&elect, &self, 1, 0, 1, now_ms);
    elect.tracker = (struct elect_claim){4, 0, unit_node(9), false};
    elect.patient_ms = now_ms + 1000000;
    plan_clear(&plan);
    return (struct swarms_at){
        .now_ms = now_ms, .self = &self, .addr = &addr, .elect = &elect, .members = &members};
}

static unsigned
count(enum plan_kind kind)
{
    unsigned n = 0;
    for (size_t i = 0; i < plan.count; i++)
        n += plan.actions[i].kind == kind;
    return n;
}

/* The node fetches a lease of four pieces. */
static void
run_lease(struct swarms *x, const struct swarms_at *at)
{
    struct wire_msg m = {.type = WIRE_GRANT};
    m.grant.digest = unit_blob(1);
    m.grant.lease = 70000;
    m.grant.count = 4;
    uint8_t body[256];
    struct scribe s;
    scribe_init(&s, body, sizeof body);
    wire_put(&s, &m);
    struct cursor c;
    cursor_init(&c, body, scribe_len(&s));
    assert_int_equal(swarms_reply(x, at, &c), 0);
    swarms_settle(x, at, &plan);
    assert_int_equal(count(PLAN_GET), 1);
}

static void
an_order_counts_from_the_tracker_only(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    assert_non_null(swarms_open(x, &d, SIZE, WANTS, 1000));
    run_lease(x, &at);
    struct wire_msg m = {.type = WIRE_TRIM};
    m.trim.digest = d;
    m.trim.lease = 70000;
    m.trim.end = 2;
    struct node_id eight = unit_node(8), nine = unit_node(9);
    swarms_hear(x, &at, &eight, &m, &plan);
    assert_int_equal(count(PLAN_STOP), 0);
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_STOP), 1);
    swarms_free(x);
}

static void
the_deputy_gets_a_copy_of_each_announcement(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct member eight = {.id = unit_node(8), .site = 1, .seq = 1};
    struct digest d = unit_blob(1);
    assert_true(member_heard(&members, &eight, 1000));
    elect.deputy = eight.id;
    assert_non_null(swarms_open(x, &d, SIZE, WANTS, 1000));
    swarms_settle(x, &at, &plan); /* first all are asked who has it */
    assert_int_equal(count(PLAN_SHOUT), 1);
    assert_int_equal(count(PLAN_POST), 0);
    at.now_ms += SWARM_WHOHAS_MS;
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), 1);
    assert_int_equal(count(PLAN_COPY), 1);
    swarms_free(x);
}

/* What this node shouts of a blob that it opens when others have asked for it so often. */
static unsigned
shouts_behind(unsigned questions, bool tracked)
{
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    struct node_id nine = unit_node(9);
    struct wire_msg ask = {.type = WIRE_WHOHAS, .whohas = {d}};
    elect.tracker.epoch = tracked ? 4 : 0;
    for (unsigned i = 0; i < questions; i++)
        swarms_hear(x, &at, &nine, &ask, &plan);
    assert_non_null(swarms_open(x, &d, SIZE, WANTS, 1000));
    swarms_settle(x, &at, &plan);
    unsigned shouts = count(PLAN_SHOUT);
    at.now_ms += SWARM_WHOHAS_MS;
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), tracked); /* in any case the tracker hears of it */
    swarms_free(x);
    return shouts;
}

static void
what_so_many_asked_for_is_asked_for_no_more_where_a_tracker_knows(void **state)
{
    (void)state;
    assert_int_equal(shouts_behind(QUESTIONS_ENOUGH - 1, true), 1);
    assert_int_equal(shouts_behind(QUESTIONS_ENOUGH, true), 0);
    assert_int_equal(shouts_behind(QUESTIONS_ENOUGH, false), 1);
}

static uint64_t
store(void *arg, const struct digest *digest)
{
    const struct digest *stored = arg;
    return digest_equal(digest, stored) ? SIZE : 0;
}

static unsigned heard_count;

static void
heard(void *arg, const struct digest *digest)
{
    assert_true(digest_equal(digest, arg));
    heard_count++;
}

static struct wire_msg
whohas(const struct digest *d)
{
    struct wire_msg m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_WHOHAS;
    m.whohas.digest = *d;
    return m;
}

static void
who_stores_a_blob_says_so_when_asked_and_offers_it_for_a_minute(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1), other = unit_blob(2);
    struct node_id nine = unit_node(9);
    struct wire_msg ask = whohas(&d), not_stored = whohas(&other);
    at.stored = store;
    at.stored_arg = &d;
    swarms_hear(x, &at, &nine, &not_stored, &plan);
    assert_int_equal(plan.count, 0);
    swarms_hear(x, &at, &nine, &ask, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 1);
    assert_int_equal(plan.bytes[plan.actions[0].at], WIRE_IHAVE);
    struct swarm *s = swarms_find(x, &d);
    assert_true(s != NULL && swarm_whole(s));
    plan_clear(&plan);
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), 1); /* the tracker hears of it at once */
    at.now_ms += SWARMS_SEED_MS - 1;
    plan_clear(&plan);
    swarms_settle(x, &at, &plan);
    assert_non_null(swarms_find(x, &d));
    at.now_ms++;
    swarms_settle(x, &at, &plan);
    assert_null(swarms_find(x, &d));
    swarms_free(x);
}

/* What this node has or not: it is told which blobs others look for. */
static void
a_question_of_another_node_is_heard(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    struct node_id nine = unit_node(9), stranger = unit_node(77);
    struct wire_msg ask = whohas(&d);
    at.heard = heard;
    at.stored_arg = &d;
    heard_count = 0;
    swarms_hear(x, &at, &nine, &ask, &plan);
    assert_int_equal(heard_count, 1);
    swarms_hear(x, &at, &stranger, &ask, &plan);
    assert_int_equal(heard_count, 1);
    swarms_free(x);
}

static void
an_answer_ends_the_wait_and_the_holder_is_asked(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    struct node_id nine = unit_node(9);
    struct wire_msg m;
    struct swarm *s = swarms_open(x, &d, SIZE, WANTS, 1000);
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), 0);
    memset(&m, 0, sizeof m);
    m.type = WIRE_IHAVE;
    m.ihave.digest = d;
    m.ihave.size = SIZE + 1; /* of another blob */
    swarms_hear(x, &at, &nine, &m, &plan);
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_GET), 0);
    m.ihave.size = SIZE;
    swarms_hear(x, &at, &nine, &m, &plan);
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), 1);
    assert_int_equal(count(PLAN_GET), 0); /* what should its pieces hash to? */
    assert_int_equal(count(PLAN_DATAGRAM), 1);
    uint8_t word[ATTEST_BYTES] = {5};
    m = (struct wire_msg){.type = WIRE_ATTEST,
                          .attest = {.digest = d, .words = {word, sizeof word}}};
    swarms_hear(x, &at, &nine, &m, &plan);
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_GET), 1);
    struct wire_blob b;
    swarm_announce(s, 1000, &b);
    assert_int_equal(b.idle_leases, 0); /* nothing is left to fetch upstream */
    swarms_free(x);
}

/* Node 9 has all of the blob, and says what it hashes to. */
static void
nine_has(struct swarms *x, const struct swarms_at *at, const struct digest *d)
{
    struct node_id nine = unit_node(9);
    static const uint8_t words[8 * ATTEST_BYTES] = {5};
    struct wire_msg m = {.type = WIRE_ATTEST,
                         .attest = {.digest = *d, .words = {words, sizeof words}}};
    swarms_hear(x, at, &nine, &m, &plan);
    m = (struct wire_msg){.type = WIRE_IHAVE, .ihave = {.digest = *d, .size = SIZE}};
    swarms_hear(x, at, &nine, &m, &plan);
}

static unsigned
doubts_told(const struct digest *d)
{
    struct wire_msg m;
    struct cursor c;
    unsigned n = 0;
    for (size_t i = 0; i < plan.count; i++) {
        if (plan.actions[i].kind != PLAN_POST)
            continue;
        cursor_init(&c, plan.bytes + plan.actions[i].at, plan.actions[i].len);
        while (wire_next(&c, &m) == 1)
            n += m.type == WIRE_DOUBT && digest_equal(&m.doubt.digest, d);
    }
    return n;
}

static unsigned
gets_of(const struct digest *d)
{
    unsigned n = 0;
    for (size_t i = 0; i < plan.count; i++)
        n += plan.actions[i].kind == PLAN_GET && digest_equal(&plan.actions[i].blob, d);
    return n;
}

/* The request that runs for that blob ends so, then the next one begins. */
static void
end_get(struct swarms *x, const struct swarms_at *at, const struct digest *d, enum swarm_end how)
{
    assert_int_equal(gets_of(d), 1);
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_action *a = &plan.actions[i];
        if (a->kind == PLAN_GET && digest_equal(&a->blob, d))
            swarm_end(swarms_find(x, d), a->get.id, how, 1000, 0, at->now_ms);
    }
    plan_clear(&plan);
    swarms_settle(x, at, &plan);
}

static void
who_gives_nothing_of_a_blob_is_asked_for_no_other_one(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest one = unit_blob(1), two = unit_blob(2);
    assert_non_null(swarms_open(x, &one, SIZE, WANTS, 1000));
    nine_has(x, &at, &one);
    swarms_settle(x, &at, &plan);
    for (unsigned i = 0; i < SWARM_REFUSED_MAX; i++)
        end_get(x, &at, &one, SWARM_FAILED);
    assert_int_equal(gets_of(&one), 0);
    assert_non_null(swarms_open(x, &two, SIZE, WANTS, 1000));
    nine_has(x, &at, &two);
    swarms_settle(x, &at, &plan);
    at.now_ms += SWARM_ANNOUNCE_MS;
    plan_clear(&plan);
    swarms_settle(x, &at, &plan);
    assert_int_equal(gets_of(&two), 0);
    assert_int_equal(doubts_told(&two), 1);
    at.now_ms = 1000 + SWARM_DOUBT_MS;
    nine_has(x, &at, &two);
    plan_clear(&plan);
    swarms_settle(x, &at, &plan);
    assert_int_equal(doubts_told(&two), 0);
    assert_true(gets_of(&two) > 0);
    swarms_free(x);
}

/* It may have lost a blob that it had. */
static void
who_gives_some_of_another_blob_is_believed_about_that(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest one = unit_blob(1), two = unit_blob(2);
    assert_non_null(swarms_open(x, &one, SIZE, WANTS, 1000));
    nine_has(x, &at, &one);
    swarms_settle(x, &at, &plan);
    for (unsigned i = 1; i < SWARM_REFUSED_MAX; i++)
        end_get(x, &at, &one, SWARM_FAILED);
    struct swarm_get last = plan.actions[0].get;
    assert_non_null(swarms_open(x, &two, SIZE, WANTS, 1000));
    nine_has(x, &at, &two);
    plan_clear(&plan);
    swarms_settle(x, &at, &plan);
    end_get(x, &at, &two, SWARM_DONE);
    swarm_end(swarms_find(x, &one), last.id, SWARM_FAILED, 1000, 0, 1000);
    swarms_settle(x, &at, &plan);
    nine_has(x, &at, &one);
    end_get(x, &at, &two, SWARM_DONE);
    assert_int_equal(gets_of(&two), 1);
    assert_int_equal(gets_of(&one), 0);
    swarms_free(x);
}

static void
who_took_no_connection_is_doubted_with_the_first_announcement(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest one = unit_blob(1), two = unit_blob(2);
    struct node_id nine = unit_node(9);
    assert_non_null(swarms_open(x, &one, SIZE, WANTS, 1000));
    nine_has(x, &at, &one);
    swarms_unmet(x, &nine, 1000);
    assert_non_null(swarms_open(x, &two, SIZE, WANTS, 1000));
    nine_has(x, &at, &two);
    swarms_settle(x, &at, &plan);
    at.now_ms += SWARM_WHOHAS_MS;
    plan_clear(&plan);
    swarms_settle(x, &at, &plan);
    assert_int_equal(gets_of(&one) + gets_of(&two), 0);
    assert_int_equal(doubts_told(&one), 1);
    assert_int_equal(doubts_told(&two), 1);
    swarms_free(x);
}

static void
what_was_announced_before_is_announced_again_with_the_doubt(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest one = unit_blob(1);
    struct node_id nine = unit_node(9);
    assert_non_null(swarms_open(x, &one, SIZE, WANTS, 1000));
    swarms_settle(x, &at, &plan);
    at.now_ms += SWARM_WHOHAS_MS;
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), 1);
    assert_int_equal(doubts_told(&one), 0);
    for (unsigned times = 0; times < 2; times++) { /* the second says nothing new */
        at.now_ms += SWARM_SPACING_MS;
        swarms_unmet(x, &nine, at.now_ms);
        plan_clear(&plan);
        swarms_settle(x, &at, &plan);
        assert_int_equal(doubts_told(&one), times == 0);
    }
    swarms_free(x);
}

static void
who_gave_a_piece_lately_is_not_doubted_for_one_connection(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest one = unit_blob(1);
    struct node_id nine = unit_node(9);
    assert_non_null(swarms_open(x, &one, SIZE, WANTS, 1000));
    nine_has(x, &at, &one);
    swarms_settle(x, &at, &plan);
    end_get(x, &at, &one, SWARM_DONE);
    swarms_unmet(x, &nine, 1000 + SWARMS_GAVE_MS);
    end_get(x, &at, &one, SWARM_DONE);
    assert_int_equal(gets_of(&one), 1);
    swarms_unmet(x, &nine, 1001 + SWARMS_GAVE_MS);
    end_get(x, &at, &one, SWARM_DENIED);
    assert_int_equal(gets_of(&one), 0);
    swarms_free(x);
}

static void
blobs_are_announced_together(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    for (uint8_t i = 1; i <= 20; i++) {
        struct digest d = unit_blob(i);
        assert_non_null(swarms_open(x, &d, SIZE, WIRE_SERVES, 1000));
    }
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), 1);
    struct wire_msg m;
    struct cursor c;
    unsigned blobs = 0;
    for (size_t i = 0; i < plan.count; i++) {
        if (plan.actions[i].kind != PLAN_POST)
            continue;
        cursor_init(&c, plan.bytes + plan.actions[i].at, plan.actions[i].len);
        while (wire_next(&c, &m) == 1)
            blobs += m.type == WIRE_BLOB;
    }
    assert_int_equal(blobs, 20);
    swarms_free(x);
}

static void
every_blob_of_a_request_is_answered(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct node_id nine = unit_node(9);
    struct wire_msg m;
    struct scribe out;
    uint8_t body[1024];
    elect.role = ELECT_TRACKER;
    elect.tracker = (struct elect_claim){5, 0, self, false};
    swarms_elected(x, &at, true);
    scribe_init(&out, body, sizeof body);
    memset(&m, 0, sizeof m);
    m.type = WIRE_BLOB;
    for (uint8_t i = 1; i <= 3; i++) {
        m.blob = (struct wire_blob){
            .digest = unit_blob(i), .size = SIZE, .flags = WANTS, .idle_leases = 1};
        wire_put(&out, &m);
    }
    struct cursor c;
    cursor_init(&c, body, scribe_len(&out));
    assert_int_equal(swarms_request(x, &at, &nine, &addr, &c, &plan), 0);
    unsigned taken = 0, grants = 0;
    cursor_init(&c, plan.bytes + plan.actions[0].at, plan.actions[0].len);
    while (wire_next(&c, &m) == 1) {
        taken += m.type == WIRE_TAKEN;
        grants += m.type == WIRE_GRANT;
    }
    assert_int_equal(taken, 3);
    assert_int_equal(grants, 3);
    swarms_free(x);
}

/* The requests that a node has right after it became tracker of `others`, for a blob it wants. */
static unsigned
first_gets(struct swarms *x, bool others)
{
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    elect.role = ELECT_TRACKER;
    elect.tracker = (struct elect_claim){5, 0, self, false};
    if (!others)
        member_init(&members, 1);
    swarms_elected(x, &at, false);
    assert_non_null(swarms_open(x, &d, SIZE, WANTS, 1000));
    swarms_settle(x, &at, &plan);
    return count(PLAN_GET);
}

/* What it listens for can only come from others. */
static void
a_new_tracker_without_others_begins_at_once(void **state)
{
    (void)state;
    for (int others = 0; others <= 1; others++) {
        struct swarms *x = swarms_new(1);
        assert_int_equal(first_gets(x, others == 1), others == 1 ? 0 : 1);
        swarms_free(x);
    }
}

/* Node 9 says to this node, the tracker, what it fetches. */
static void
report(struct swarms *x, const struct swarms_at *at, uint32_t lease, uint8_t state)
{
    struct node_id nine = unit_node(9);
    struct wire_msg m = {.type = WIRE_FETCHING};
    struct scribe out;
    struct cursor c;
    uint8_t body[256];
    m.fetching = (struct wire_fetching){
        .digest = unit_blob(1), .epoch = 5, .lease = lease, .count = 4, .state = state};
    scribe_init(&out, body, sizeof body);
    wire_put(&out, &m);
    cursor_init(&c, body, scribe_len(&out));
    plan_clear(&plan);
    assert_int_equal(swarms_request(x, at, &nine, &addr, &c, &plan), 0);
}

static void
a_banned_node_is_told_to_stop_its_leases_and_keeps_what_it_took(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct node_id nine = unit_node(9);
    uint32_t lease = 5u << 16 | 1;
    elect.role = ELECT_TRACKER;
    elect.tracker = (struct elect_claim){5, 0, self, false};
    swarms_elected(x, &at, true);
    report(x, &at, lease, WIRE_RUNS);
    assert_int_equal(count(PLAN_DATAGRAM), 0);
    swarms_ban(x, &nine, 2000);
    report(x, &at, lease, WIRE_DONE);
    assert_int_equal(count(PLAN_DATAGRAM), 0);
    report(x, &at, DUTY_OWN_IDS, WIRE_RUNS);
    assert_int_equal(count(PLAN_DATAGRAM), 0);
    for (unsigned times = 0; times < 2; times++) { /* the order may get lost */
        report(x, &at, lease, WIRE_RUNS);
        assert_int_equal(count(PLAN_DATAGRAM), 1);
    }
    struct wire_msg m;
    struct cursor c;
    for (size_t i = 0; i < plan.count; i++)
        if (plan.actions[i].kind == PLAN_DATAGRAM)
            cursor_init(&c, plan.bytes + plan.actions[i].at, plan.actions[i].len);
    assert_int_equal(wire_next(&c, &m), 1);
    assert_int_equal(m.type, WIRE_TRIM);
    assert_int_equal(m.trim.lease, lease);
    assert_int_equal(m.trim.end, 0);
    at.now_ms = 2000;
    report(x, &at, lease, WIRE_RUNS);
    assert_int_equal(count(PLAN_DATAGRAM), 0);
    swarms_free(x);
}

static void
what_nobody_wants_any_more_is_given_up_with_a_last_word(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    assert_non_null(swarms_open(x, &d, SIZE, WANTS, 1000));
    run_lease(x, &at);
    swarms_leave(x, &d, 1100);
    at.now_ms = 1100;
    plan_clear(&plan);
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), 1);
    struct wire_msg m;
    struct cursor c;
    bool left = false;
    cursor_init(&c, plan.bytes + plan.actions[0].at, plan.actions[0].len);
    while (wire_next(&c, &m) == 1)
        left = left || (m.type == WIRE_FETCHING && m.fetching.state == WIRE_LEFT);
    assert_true(left);
    assert_null(swarms_find(x, &d));
    swarms_free(x);
}

static void
a_blob_is_opened_once_and_there_is_a_limit(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct digest d = unit_blob(0);
    struct swarm *first = swarms_open(x, &d, SIZE, WANTS, 0);
    assert_ptr_equal(swarms_open(x, &d, SIZE, WANTS, 0), first);
    for (unsigned i = 1; i < SWARMS_MAX; i++) {
        d.bytes[0] = (uint8_t)(d.bytes[0] + 1);
        assert_non_null(swarms_open(x, &d, SIZE, WANTS, 0));
    }
    d.bytes[1]++;
    assert_null(swarms_open(x, &d, SIZE, WANTS, 0));
    d.bytes[1]--;
    swarms_free(x);
}

static void
hold_all(struct swarm *s)
{
    for (uint32_t p = 0; p < swarm_pieces(s); p++)
        swarm_hold(s, p);
}

/* The fetch side does not say that it is done: that all is here is enough. */
static void
what_was_fetched_is_offered_for_a_minute_and_makes_room(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1), old = unit_blob(0);
    struct swarm *s = swarms_open(x, &d, SIZE, WANTS, 1000);
    at.now_ms += 10 * SWARMS_SEED_MS; /* it took long */
    swarms_settle(x, &at, &plan);
    hold_all(s);
    at.now_ms += SWARMS_SEED_MS - 1;
    plan_clear(&plan);
    swarms_settle(x, &at, &plan);
    assert_non_null(swarms_find(x, &d));
    at.now_ms++;
    swarms_settle(x, &at, &plan);
    assert_null(swarms_find(x, &d));

    hold_all(swarms_open(x, &old, SIZE, WANTS, at.now_ms));
    for (unsigned i = 0; i < SWARMS_MAX; i++) {
        d.bytes[0] = (uint8_t)i;
        assert_non_null(swarms_open(x, &d, SIZE, WANTS, at.now_ms));
    }
    assert_null(swarms_find(x, &old));
    swarms_free(x);
}

/* What nobody asked for since the start stands on the disk only. */
static void
words_are_brought_from_the_disk_when_somebody_asks(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    struct node_id nine = unit_node(9);
    struct wire_msg who = whohas(&d), ask = {.type = WIRE_ASK_WORDS};
    uint8_t word[ATTEST_BYTES] = {5};
    at.stored = store;
    at.stored_arg = &d;
    ask.ask_words = (struct wire_ask_words){d, 0, 8};
    swarms_hear(x, &at, &nine, &who, &plan);
    assert_int_equal(count(PLAN_WORDS), 0);
    plan_clear(&plan);
    swarms_hear(x, &at, &nine, &ask, &plan);
    swarms_hear(x, &at, &nine, &ask, &plan); /* it was not answered, so it asks again */
    assert_int_equal(count(PLAN_WORDS), 1);
    assert_int_equal(plan.count, 1);
    swarm_recalled(swarms_find(x, &d)); /* there were none: it is not stored yet */
    plan_clear(&plan);
    swarms_hear(x, &at, &nine, &ask, &plan);
    assert_int_equal(count(PLAN_WORDS), 1);
    plan_clear(&plan);
    for (uint32_t p = 0; p < 8; p++)
        swarm_attest(swarms_find(x, &d), true, p, word, at.now_ms);
    swarm_recalled(swarms_find(x, &d));
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_SHOUT), 1); /* others ask, too */
    plan_clear(&plan);
    swarms_hear(x, &at, &nine, &ask, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 2); /* words, and an end */
    swarms_free(x);
}

/* ---- copies of what is popular ---- */

static bool has_room;

static bool
room(void *arg, const struct digest *digest, uint64_t size, unsigned copies)
{
    (void)arg;
    (void)digest;
    assert_int_equal(size, SIZE);
    assert_int_equal(copies, 2);
    return has_room;
}

/* What the node answers to an order of node `from`; -1: nothing. */
static int
ordered(struct swarms *x, const struct swarms_at *at, uint8_t from, uint8_t blob)
{
    struct wire_msg m = {.type = WIRE_COPY_TAKE, .copy_take = {unit_blob(blob), SIZE, 2}};
    struct node_id id = unit_node(from);
    struct cursor c;
    plan_clear(&plan);
    swarms_hear(x, at, &id, &m, &plan);
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_action *a = &plan.actions[i];
        cursor_init(&c, plan.bytes + a->at, a->len);
        if (a->kind == PLAN_DATAGRAM && wire_next(&c, &m) == 1 && m.type == WIRE_COPY_SAY)
            return m.copy_say.state;
    }
    return -1;
}

static void
a_copy_is_taken_by_order_of_the_tracker_where_there_is_room(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct member eight = {.id = unit_node(8), .site = 1, .seq = 1};
    assert_true(member_heard(&members, &eight, 1000));
    at.room = room;
    has_room = false;
    assert_int_equal(ordered(x, &at, 9, 1), WIRE_COPY_REFUSED);
    has_room = true;
    assert_int_equal(ordered(x, &at, 8, 1), -1);
    assert_int_equal(count(PLAN_KEEP), 0);
    assert_int_equal(ordered(x, &at, 9, 1), WIRE_COPY_RUNS);
    assert_int_equal(count(PLAN_KEEP), 1);
    assert_int_equal(ordered(x, &at, 9, 1), WIRE_COPY_RUNS); /* said again */
    assert_int_equal(count(PLAN_KEEP), 0);
    assert_int_equal(ordered(x, &at, 9, 2), WIRE_COPY_BUSY); /* one at a time */
    struct digest d = unit_blob(1);
    at.stored = store;
    at.stored_arg = &d;
    assert_int_equal(ordered(x, &at, 9, 1), WIRE_COPY_HELD);
    swarms_free(x);
}

/* How many pieces are asked for now of node 8, which has all. */
static unsigned
gets(struct swarms *x, struct swarms_at *at)
{
    plan_clear(&plan);
    swarms_settle(x, at, &plan);
    return count(PLAN_GET);
}

/* The first thing that is shouted of a blob with these flags. */
static uint8_t
shouted(uint8_t flags)
{
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct member eight = {.id = unit_node(8), .site = 1, .seq = 1};
    struct digest d = unit_blob(1);
    assert_true(member_heard(&members, &eight, 1000));
    assert_non_null(swarms_open(x, &d, SIZE, WIRE_WANTS | WIRE_SERVES | flags, 1000));
    (void)gets(x, &at);
    assert_true(plan.count > 0 && plan.actions[0].kind == PLAN_SHOUT);
    uint8_t type = plan.bytes[plan.actions[0].at];
    swarms_free(x);
    return type;
}

static void
what_moves_within_the_site_is_no_request(void **state)
{
    (void)state;
    assert_int_equal(shouted(0), WIRE_COPY_ASK); /* another node's last copy comes here */
    assert_int_equal(shouted(WIRE_FOR_COPY), WIRE_COPY_ASK);
    assert_int_equal(shouted(WIRE_MAY_FETCH), WIRE_WHOHAS); /* of an image that a client pulls */
    assert_int_equal(shouted(WIRE_CLIENT), WIRE_WHOHAS);    /* read with the client's secret */
}

static void
a_copy_comes_piece_by_piece_and_waits_for_clients(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct member eight = {.id = unit_node(8), .site = 1, .seq = 1};
    struct digest d = unit_blob(1), other = unit_blob(2);
    assert_true(member_heard(&members, &eight, 1000));
    at.room = room;
    has_room = true;
    assert_int_equal(ordered(x, &at, 9, 1), WIRE_COPY_RUNS);
    struct swarm *s = swarms_open(x, &d, SIZE, WIRE_WANTS | WIRE_SERVES | WIRE_FOR_COPY, 1000);
    assert_int_equal(gets(x, &at), 0);
    assert_int_equal(plan.bytes[plan.actions[0].at], WIRE_COPY_ASK); /* no request of a client */
    struct wire_msg all = {.type = WIRE_IHAVE, .ihave = {.digest = d, .size = SIZE}};
    swarms_hear(x, &at, &eight.id, &all, &plan);
    uint8_t words[8 * ATTEST_BYTES] = {1};
    struct wire_bits said = {words, sizeof words};
    swarm_words(s, &eight.id, true, 0, &said, at.now_ms);
    (void)gets(x, &at);
    assert_int_equal(count(PLAN_GET), 1);
    assert_int_equal(gets(x, &at), 0); /* one at a time */
    uint32_t get = 1;
    swarm_piece(s, get, 0, at.now_ms);
    swarm_end(s, get, SWARM_DONE, 1000, 0, at.now_ms);
    struct wire_msg ask = whohas(&other); /* a pull begins elsewhere */
    swarms_hear(x, &at, &eight.id, &ask, &plan);
    assert_int_equal(gets(x, &at), 0);
    at.now_ms += 2000;
    assert_int_equal(ordered(x, &at, 9, 1), WIRE_COPY_RUNS);
    struct swarm *own = swarms_open(x, &other, SIZE, WANTS | WIRE_CLIENT, at.now_ms);
    assert_int_equal(gets(x, &at), 0); /* and here */
    hold_all(own);
    assert_int_equal(gets(x, &at), 1);
    swarm_end(s, swarm_sum(s).lan_gets > 0 ? 2 : 0, SWARM_DONE, 1000, 0, at.now_ms);
    at.now_ms += 3000; /* no order came meanwhile */
    assert_int_equal(gets(x, &at), 0);
    swarms_free(x);
}

/* Of a client's question the cache hears, and the blob gets a place; of one for copies not. */
static void
who_only_counts_copies_opens_nothing(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    struct node_id nine = unit_node(9);
    struct wire_msg m = {.type = WIRE_COPY_ASK, .copy_ask = {d, 0}};
    heard_count = 0;
    at.stored = store;
    at.heard = heard;
    at.stored_arg = &d;
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 1);
    assert_int_equal(plan.bytes[plan.actions[0].at], WIRE_IHAVE);
    assert_null(swarms_find(x, &d));
    m.copy_ask.takes = 1;
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_non_null(swarms_find(x, &d));
    assert_int_equal(heard_count, 0);
    swarms_free(x);
}

/* Of its own site, that is: what another one wants, its own tracker tells. */
static void
who_counts_copies_hears_of_the_tracker_how_many_are_wanted(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    struct node_id nine = unit_node(9), eight = unit_node(8);
    struct member far = {.id = eight, .site = 2, .seq = 1};
    struct wire_msg m = {.type = WIRE_COPY_ASK, .copy_ask = {d, 0}}, said;
    assert_true(member_heard(&members, &far, 1000));
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 0);
    elect.role = ELECT_TRACKER;
    swarms_hear(x, &at, &eight, &m, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 0);
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 1);
    struct cursor c;
    cursor_init(&c, plan.bytes + plan.actions[0].at, plan.actions[0].len);
    assert_int_equal(wire_next(&c, &said), 1);
    assert_int_equal(said.type, WIRE_COPIES_WANTED);
    assert_int_equal(said.copies_wanted.copies, 1);
    m.copy_ask.takes = 1;
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 1); /* it will ask for pieces, and knows why */
    swarms_free(x);
}

/* What it has of a blob that it pulls, as it tells clients of others. */
static void
who_counts_copies_hears_of_what_is_in_the_swarm(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1);
    struct node_id nine = unit_node(9);
    struct wire_msg m = {.type = WIRE_COPY_ASK, .copy_ask = {d, 0}}, said;
    struct swarm *s = swarms_open(x, &d, SIZE, WANTS, 1000);
    swarm_hold(s, 0);
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 0); /* the tracker knows what is not whole, */
    elect.tracker.epoch = 0;
    swarms_hear(x, &at, &nine, &m, &plan); /* and there is none */
    assert_int_equal(count(PLAN_DATAGRAM), 1);
    struct cursor c;
    cursor_init(&c, plan.bytes + plan.actions[0].at, plan.actions[0].len);
    assert_int_equal(wire_next(&c, &said), 1);
    assert_int_equal(said.type, WIRE_IHAVE);
    assert_true(wire_bit(&said.ihave.held, 0) && !wire_bit(&said.ihave.held, 1));
    elect.tracker.epoch = 4;
    plan_clear(&plan);
    for (uint32_t p = 1; p < swarm_pieces(s); p++)
        swarm_hold(s, p);
    /* Whole, and not stored: in memory, perhaps for ever. It is said, but is no copy. */
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 1);
    cursor_init(&c, plan.bytes + plan.actions[0].at, plan.actions[0].len);
    assert_int_equal(wire_next(&c, &said), 1);
    assert_true(said.ihave.held.len > 0);
    for (uint32_t p = 0; p < swarm_pieces(s); p++)
        assert_true(wire_bit(&said.ihave.held, p));
    plan_clear(&plan);
    at.stored = store;
    at.stored_arg = &d;
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_DATAGRAM), 1);
    cursor_init(&c, plan.bytes + plan.actions[0].at, plan.actions[0].len);
    assert_int_equal(wire_next(&c, &said), 1);
    assert_int_equal(said.ihave.held.len, 0);
    swarms_free(x);
}

/* A person asked who has it, or it was served long ago: whoever pulls it asks it for words. */
static void
who_stores_a_blob_says_words_of_it_whenever_it_is_asked(void **state)
{
    (void)state;
    struct swarms *x = swarms_new(1);
    struct swarms_at at = follower(1000);
    struct digest d = unit_blob(1), other = unit_blob(2);
    struct node_id nine = unit_node(9);
    struct wire_msg m = {.type = WIRE_ASK_WORDS, .ask_words = {d, 0, 8}};
    at.stored = store;
    at.stored_arg = &d;
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_WORDS), 1);    /* from the disk, then to all, */
    assert_int_equal(count(PLAN_DATAGRAM), 0); /* not that there are none */
    plan_clear(&plan);
    m.ask_words.digest = other;
    swarms_hear(x, &at, &nine, &m, &plan);
    assert_int_equal(count(PLAN_WORDS), 0);
    assert_int_equal(count(PLAN_DATAGRAM), 1);
    swarms_free(x);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_counts_from_the_tracker_only),
        cmocka_unit_test(the_deputy_gets_a_copy_of_each_announcement),
        cmocka_unit_test(what_so_many_asked_for_is_asked_for_no_more_where_a_tracker_knows),
        cmocka_unit_test(a_question_of_another_node_is_heard),
        cmocka_unit_test(who_stores_a_blob_says_so_when_asked_and_offers_it_for_a_minute),
        cmocka_unit_test(words_are_brought_from_the_disk_when_somebody_asks),
        cmocka_unit_test(an_answer_ends_the_wait_and_the_holder_is_asked),
        cmocka_unit_test(who_gives_nothing_of_a_blob_is_asked_for_no_other_one),
        cmocka_unit_test(who_gives_some_of_another_blob_is_believed_about_that),
        cmocka_unit_test(who_took_no_connection_is_doubted_with_the_first_announcement),
        cmocka_unit_test(what_was_announced_before_is_announced_again_with_the_doubt),
        cmocka_unit_test(who_gave_a_piece_lately_is_not_doubted_for_one_connection),
        cmocka_unit_test(blobs_are_announced_together),
        cmocka_unit_test(every_blob_of_a_request_is_answered),
        cmocka_unit_test(a_new_tracker_without_others_begins_at_once),
        cmocka_unit_test(a_banned_node_is_told_to_stop_its_leases_and_keeps_what_it_took),
        cmocka_unit_test(what_nobody_wants_any_more_is_given_up_with_a_last_word),
        cmocka_unit_test(a_blob_is_opened_once_and_there_is_a_limit),
        cmocka_unit_test(what_was_fetched_is_offered_for_a_minute_and_makes_room),
        cmocka_unit_test(a_copy_is_taken_by_order_of_the_tracker_where_there_is_room),
        cmocka_unit_test(what_moves_within_the_site_is_no_request),
        cmocka_unit_test(a_copy_comes_piece_by_piece_and_waits_for_clients),
        cmocka_unit_test(who_only_counts_copies_opens_nothing),
        cmocka_unit_test(who_counts_copies_hears_of_the_tracker_how_many_are_wanted),
        cmocka_unit_test(who_counts_copies_hears_of_what_is_in_the_swarm),
        cmocka_unit_test(who_stores_a_blob_says_words_of_it_whenever_it_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
