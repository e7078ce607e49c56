/* Nodes of one site that let go of copies, over a network that loses datagrams, in virtual time. */
#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "base/rng.h"
#include "p2p/step.h"
#include <stdio.h>

#define NODES    8
#define BLOBS    6
#define FLIGHTS  4096
#define STEP_MS  5
#define SIZE     ((uint64_t)3 << 20)
#define PULL_MS  150 /* that long a copy is on its way to another node */
#define NEVER_MS INT64_MAX

struct site;
struct node {
    struct site *site;
    uint8_t n;
    struct step *step; /* NULL: dead */
    bool holds[BLOBS];
    int64_t comes_ms[BLOBS]; /* a copy that another node gave arrives */
    int64_t goes_ms[BLOBS];  /* the copy is let go, as it was told that it may */
    int64_t said_ms[BLOBS];  /* since PARTING_GO said so; NEVER_MS: PARTING_LAST did */
    uint64_t room;
    bool refuses;
    bool seldom;                      /* its beacons do not come */
    int64_t wakes_ms;                 /* it stands still until then, and what it is sent waits */
    unsigned went, kept, moved, last; /* words that came */
};
struct flight {
    int64_t at_ms;
    uint8_t from, to;
    size_t len;
    uint8_t body[WIRE_DATAGRAM_MAX];
};
struct site {
    struct node nodes[NODES];
    int64_t now_ms;
    uint64_t seq;
    struct rng rng;
    unsigned loss_percent, delay_ms;
    unsigned hold_ms; /* so long at most nodes make no use of a word that they may */
    size_t flights_count;
    struct flight *flights;
    bool ticks_first; /* a node looks at the clock before it reads what has come */
    struct digest blobs[BLOBS];
    int64_t last_ms[BLOBS]; /* some node was told that it has the last copy, and lets it go */
    unsigned lost;          /* copies that were the last although others were said to stay */
    struct plan plan;
};

static int
index_of(const struct site *s, const struct digest *d)
{
    for (int i = 0; i < BLOBS; i++)
        if (digest_equal(&s->blobs[i], d))
            return i;
    return -1;
}

static unsigned
copies(const struct site *s, int blob)
{
    unsigned n = 0;
    for (size_t i = 0; i < NODES; i++)
        n += s->nodes[i].step != NULL && s->nodes[i].holds[blob];
    return n;
}

/* ---- what a node is asked ---- */

static bool
holds(void *arg, const struct digest *d)
{
    const struct node *n = arg;
    int i = index_of(n->site, d);
    return i >= 0 && n->holds[i];
}

static bool
offer(void *arg, const struct digest *d, struct parting_offer *ret)
{
    *ret = (struct parting_offer){.digest = *d, .size = SIZE, .place_len = 3, .place = "a/b"};
    return holds(arg, d);
}

static enum parting_taken
take(void *arg, const struct parting_offer *o)
{
    struct node *n = arg;
    int i = index_of(n->site, &o->digest);
    assert_int_equal(o->place_len, 3);
    assert_memory_equal(o->place, "a/b", 3);
    if (n->holds[i])
        return PARTING_STORED;
    if (n->refuses || n->room < SIZE)
        return PARTING_REFUSED;
    if (n->comes_ms[i] == NEVER_MS) {
        n->comes_ms[i] = n->site->now_ms + PULL_MS;
        n->room -= SIZE;
    }
    return PARTING_COMING;
}

static void
hear_word(struct node *n, const struct parting *said)
{
    int i = index_of(n->site, &said->digest);
    n->kept += said->what == PARTING_KEEP;
    n->moved += said->what == PARTING_MOVES;
    n->last += said->what == PARTING_LAST;
    n->went += said->what == PARTING_GO;
    if (said->what == PARTING_GO || (said->what == PARTING_LAST && n->site->hold_ms > 0)) {
        assert_true(n->holds[i]);
        n->said_ms[i] = said->what == PARTING_GO ? n->site->now_ms : NEVER_MS;
        if (said->what == PARTING_LAST)
            n->site->last_ms[i] = n->site->now_ms;
        n->goes_ms[i] = n->site->now_ms;
        if (n->site->hold_ms > 0)
            n->goes_ms[i] += (int64_t)rng_below(&n->site->rng, n->site->hold_ms);
    }
}

/* Copies that come and go. */
static void
move_copies(struct site *s, struct node *n)
{
    for (int i = 0; i < BLOBS && n->step != NULL; i++) {
        if (n->comes_ms[i] <= s->now_ms) {
            n->holds[i] = true;
            n->comes_ms[i] = NEVER_MS;
        }
        if (n->goes_ms[i] <= s->now_ms) {
            n->holds[i] = false;
            n->goes_ms[i] = NEVER_MS;
            s->lost +=
                n->said_ms[i] != NEVER_MS && s->last_ms[i] < n->said_ms[i] && copies(s, i) == 0;
        }
    }
}

/* ---- the network ---- */

static void
send(struct site *s, uint8_t from, uint8_t to, const struct plan_action *a)
{
    if (s->nodes[to].step == NULL ||
        (s->nodes[from].seldom && s->plan.bytes[a->at] == WIRE_BEACON) ||
        rng_below(&s->rng, 100) < s->loss_percent || s->flights_count == FLIGHTS)
        return;
    struct flight *f = &s->flights[s->flights_count++];
    f->at_ms = s->now_ms + 1 + (int64_t)rng_below(&s->rng, s->delay_ms);
    f->from = from;
    f->to = to;
    f->len = a->len;
    memcpy(f->body, s->plan.bytes + a->at, a->len);
}

static void
carry(struct site *s, uint8_t from)
{
    for (size_t i = 0; i < s->plan.count; i++) {
        const struct plan_action *a = &s->plan.actions[i];
        if (a->kind == PLAN_PARTING)
            hear_word(&s->nodes[from], &a->parting);
        for (uint8_t to = 0; to < NODES; to++)
            if (to != from &&
                (a->kind == PLAN_SHOUT || (a->kind == PLAN_DATAGRAM && a->node.bytes[0] == to + 1)))
                send(s, from, to, a);
    }
    plan_clear(&s->plan);
}

static void
deliver(struct site *s)
{
    for (size_t i = 0; i < s->flights_count;) {
        struct flight f = s->flights[i];
        if (f.at_ms > s->now_ms || s->now_ms < s->nodes[f.to].wakes_ms) {
            i++;
            continue;
        }
        s->flights[i] = s->flights[--s->flights_count];
        if (s->nodes[f.to].step == NULL)
            continue;
        struct step_from from = {unit_node((uint8_t)(f.from + 1)), 1, ++s->seq, true};
        assert_int_equal(
            step_datagram(s->nodes[f.to].step, s->now_ms, &from, f.body, f.len, &s->plan), 0);
        carry(s, f.to);
    }
}

static void
tick(struct site *s, uint8_t n)
{
    struct node *x = &s->nodes[n];
    if (x->step == NULL || s->now_ms < x->wakes_ms || step_wake_ms(x->step) > s->now_ms)
        return;
    step_tick(x->step, s->now_ms, &s->plan);
    carry(s, n);
}

static void
run_to(struct site *s, int64_t until_ms)
{
    while (s->now_ms < until_ms) {
        s->now_ms += STEP_MS;
        for (uint8_t n = 0; n < NODES; n++)
            if (s->ticks_first)
                tick(s, n);
        deliver(s);
        for (uint8_t n = 0; n < NODES; n++) {
            if (s->now_ms >= s->nodes[n].wakes_ms)
                move_copies(s, &s->nodes[n]);
            tick(s, n);
        }
    }
}

static void
part(struct site *s, uint8_t n, int blob)
{
    step_part(s->nodes[n].step, s->now_ms, &s->blobs[blob], SIZE, &s->plan);
    carry(s, n);
}

static void
begin_node(struct site *s, uint8_t n)
{
    struct node *x = &s->nodes[n];
    struct step_config c = {.self = unit_node((uint8_t)(n + 1)),
                            .addr = {.port = (uint16_t)(n + 1)},
                            .site = 1,
                            .priority = 20u - n,
                            .seed = rng_next(&s->rng),
                            .keeper = {holds, offer, take, x}};
    x->step = step_new(&c, s->now_ms);
    step_load(x->step, 0, x->room);
}

/* A settled site; node 0 is tracker. `room` of each node for others' copies. */
static struct site *
site_new(uint64_t seed, uint64_t room)
{
    struct site *s = mem_zalloc(sizeof *s);
    s->flights = mem_zalloc(FLIGHTS * sizeof s->flights[0]);
    s->delay_ms = 2;
    rng_init(&s->rng, seed);
    for (uint8_t i = 0; i < BLOBS; i++)
        s->blobs[i] = unit_blob(i);
    for (uint8_t n = 0; n < NODES; n++) {
        s->nodes[n] = (struct node){.site = s, .n = n, .room = room};
        for (int i = 0; i < BLOBS; i++)
            s->nodes[n].comes_ms[i] = s->nodes[n].goes_ms[i] = NEVER_MS;
        begin_node(s, n);
    }
    run_to(s, 5000);
    assert_int_equal(step_elect(s->nodes[0].step)->role, ELECT_TRACKER);
    return s;
}

static void
site_free(struct site *s)
{
    for (size_t n = 0; n < NODES; n++)
        step_free(s->nodes[n].step);
    mem_free(s->flights);
    mem_free(s);
}

static unsigned
sum(const struct site *s, size_t field)
{
    unsigned all = 0;
    for (size_t n = 0; n < NODES; n++)
        all += *(const unsigned *)(const void *)((const char *)&s->nodes[n] + field);
    return all;
}

#define SUM(s, field) sum(s, offsetof(struct node, field))

/* ---- tests ---- */

static void
all_let_go_at_once_and_one_stays(void **state)
{
    (void)state;
    struct site *s = site_new(1, 0);
    for (uint8_t n = 0; n < NODES; n++)
        s->nodes[n].holds[0] = true;
    for (uint8_t n = 0; n < NODES; n++)
        part(s, n, 0);
    run_to(s, s->now_ms + 1000);
    assert_int_equal(copies(s, 0), 1);
    assert_int_equal(SUM(s, went), NODES - 1);
    assert_int_equal(SUM(s, last), 1);
    assert_int_equal(SUM(s, kept), 0);
    site_free(s);
}

static void
who_keeps_it_lets_the_others_go(void **state)
{
    (void)state;
    struct site *s = site_new(1, 0);
    s->nodes[3].holds[0] = s->nodes[4].holds[0] = s->nodes[5].holds[0] = true;
    part(s, 3, 0);
    part(s, 4, 0);
    run_to(s, s->now_ms + 500);
    assert_int_equal(s->nodes[3].went + s->nodes[4].went, 2);
    /* It has just said that it keeps it. */
    part(s, 5, 0);
    run_to(s, s->now_ms + 500);
    assert_int_equal(s->nodes[5].kept, 1);
    run_to(s, s->now_ms + KEEPER_PROMISE_MS);
    part(s, 5, 0);
    run_to(s, s->now_ms + 500);
    assert_int_equal(s->nodes[5].last, 1);
    assert_true(s->nodes[5].holds[0]);
    site_free(s);
}

static void
the_last_copy_moves_and_goes_when_it_is_stored_there(void **state)
{
    (void)state;
    struct site *s = site_new(1, 0);
    s->nodes[2].holds[0] = true;
    s->nodes[6].room = 2 * SIZE;
    step_load(s->nodes[6].step, 0, 2 * SIZE);
    run_to(s, s->now_ms + 1500);
    part(s, 2, 0);
    run_to(s, s->now_ms + PULL_MS);
    assert_int_equal(s->nodes[2].moved, 1);
    assert_true(s->nodes[2].holds[0]);
    run_to(s, s->now_ms + 1000);
    assert_int_equal(s->nodes[2].went, 1);
    assert_true(s->nodes[6].holds[0]);
    assert_int_equal(s->lost, 0);
    site_free(s);
}

static void
who_refuses_is_not_asked_again(void **state)
{
    (void)state;
    struct site *s = site_new(1, 2 * SIZE);
    s->nodes[2].holds[0] = true;
    for (uint8_t n = 0; n < NODES; n++)
        s->nodes[n].refuses = n != 5;
    /* The one that takes it has the least room. */
    for (uint8_t n = 0; n < NODES; n++)
        step_load(s->nodes[n].step, 0, n == 5 ? SIZE : n == 6 || n == 7 ? 2 * SIZE : 0);
    run_to(s, s->now_ms + 1500);
    part(s, 2, 0);
    run_to(s, s->now_ms + 2000);
    assert_int_equal(s->nodes[2].moved, 3);
    assert_int_equal(s->nodes[2].went, 1);
    assert_true(s->nodes[5].holds[0]);
    site_free(s);
}

static void
nobody_takes_it_and_its_value_decides(void **state)
{
    (void)state;
    struct site *s = site_new(1, 2 * SIZE);
    s->nodes[2].holds[0] = true;
    for (uint8_t n = 0; n < NODES; n++)
        s->nodes[n].refuses = true;
    part(s, 2, 0);
    run_to(s, s->now_ms + 3000);
    assert_int_equal(s->nodes[2].last, 1);
    site_free(s);
}

static void
the_taker_dies_and_the_copy_stays(void **state)
{
    (void)state;
    struct site *s = site_new(1, 0);
    s->nodes[2].holds[0] = true;
    s->nodes[6].room = SIZE;
    step_load(s->nodes[6].step, 0, SIZE);
    run_to(s, s->now_ms + 1500);
    part(s, 2, 0);
    run_to(s, s->now_ms + 100);
    assert_int_equal(s->nodes[2].moved, 1);
    step_free(s->nodes[6].step);
    s->nodes[6].step = NULL;
    run_to(s, s->now_ms + KEEPER_SILENT_MS + 500);
    assert_int_equal(s->nodes[2].kept, 1);
    assert_true(s->nodes[2].holds[0]);
    site_free(s);
}

static bool
is_on_its_way(const struct site *s, uint8_t from, uint8_t to)
{
    for (size_t i = 0; i < s->flights_count; i++)
        if (s->flights[i].from == from && s->flights[i].to == to &&
            s->flights[i].body[0] == WIRE_TOOK)
            return true;
    return false;
}

static void
a_word_that_waited_longer_than_its_promise_lets_nothing_go(void **state)
{
    (void)state;
    for (unsigned ticks_first = 0; ticks_first < 2; ticks_first++) {
        struct site *s = site_new(1, 0);
        s->ticks_first = ticks_first != 0;
        s->hold_ms = 1;
        s->nodes[2].holds[0] = true;
        s->nodes[6].room = SIZE;
        step_load(s->nodes[6].step, 0, SIZE);
        run_to(s, s->now_ms + 1500);
        part(s, 2, 0);
        for (int i = 0; i < 200 && !(s->nodes[6].holds[0] && is_on_its_way(s, 6, 2)); i++)
            run_to(s, s->now_ms + STEP_MS);
        assert_true(s->nodes[6].holds[0]);
        s->nodes[2].wakes_ms = s->now_ms + 2500;
        run_to(s, s->now_ms + KEEPER_PROMISE_MS + 100);
        part(s, 6, 0);
        run_to(s, s->nodes[2].wakes_ms - STEP_MS);
        assert_false(s->nodes[6].holds[0]); /* it was free to go */
        run_to(s, s->now_ms + 1000);
        assert_int_equal(s->nodes[2].went, 0);
        assert_int_equal(s->lost, 0);
        site_free(s);
    }
}

static void
a_wish_that_waited_for_the_tracker_is_no_copy(void **state)
{
    (void)state;
    for (int blob = 0; blob < BLOBS; blob++) { /* in both orders of the two nodes */
        struct site *s = site_new(1, 0);
        s->nodes[3].holds[blob] = true;
        s->nodes[0].wakes_ms = s->now_ms + 600; /* the tracker stands still */
        part(s, 3, blob);
        run_to(s, s->now_ms + KEEPER_ASKS * KEEPER_ASK_MS + KEEPER_ROUND_MS + 60);
        assert_int_equal(s->nodes[3].last, 1);
        s->nodes[3].holds[blob] = false; /* its value decided so */
        s->nodes[4].holds[blob] = true;
        part(s, 4, blob);
        run_to(s, s->now_ms + 1000);
        assert_int_equal(s->nodes[4].went, 0);
        assert_int_equal(s->nodes[4].last, 1);
        site_free(s);
    }
}

/* Beacons tell of less room soon after a move began: it is not taken off twice. */
static void
room_of_a_move_is_counted_once(void **state)
{
    (void)state;
    struct site *s = site_new(1, 0);
    s->nodes[2].holds[0] = s->nodes[2].holds[1] = true;
    s->nodes[6].room = 2 * SIZE;
    step_load(s->nodes[6].step, 0, 2 * SIZE);
    run_to(s, s->now_ms + 1500);
    part(s, 2, 0);
    run_to(s, s->now_ms + 500);
    assert_true(s->nodes[6].holds[0]);
    step_load(s->nodes[6].step, 0, SIZE);
    run_to(s, s->now_ms + 1500);
    part(s, 2, 1);
    run_to(s, s->now_ms + 500);
    assert_int_equal(s->nodes[2].last, 0);
    assert_true(s->nodes[6].holds[1]);
    site_free(s);
}

/* In a large site a beacon comes every few seconds. */
static void
room_of_a_move_is_booked_until_a_beacon_tells(void **state)
{
    (void)state;
    struct site *s = site_new(1, 0);
    s->nodes[2].holds[0] = s->nodes[2].holds[1] = true;
    s->nodes[6].room = SIZE;
    step_load(s->nodes[6].step, 0, SIZE);
    run_to(s, s->now_ms + 1500);
    s->nodes[6].seldom = true;
    part(s, 2, 0);
    run_to(s, s->now_ms + 2000);
    unsigned moved = s->nodes[2].moved;
    assert_true(s->nodes[6].holds[0]);
    part(s, 2, 1);
    run_to(s, s->now_ms + 500);
    assert_int_equal(s->nodes[2].moved, moved);
    assert_int_equal(s->nodes[2].last, 1);
    site_free(s);
}

static void
a_node_alone_is_told_at_once(void **state)
{
    (void)state;
    struct site *s = site_new(1, 0);
    for (uint8_t n = 1; n < NODES; n++) {
        step_free(s->nodes[n].step);
        s->nodes[n].step = NULL;
    }
    run_to(s, s->now_ms + 2 * MEMBER_DEAD_MS);
    s->nodes[0].holds[0] = true;
    part(s, 0, 0);
    assert_int_equal(s->nodes[0].went, 1);
    site_free(s);
}

static void
without_a_tracker_the_first_in_order_keeps_it(void **state)
{
    (void)state;
    for (uint8_t silent = 0; silent < 2; silent++) {
        struct site *s = site_new(1, 0);
        for (uint8_t n = 1; n < NODES; n++)
            s->nodes[n].holds[0] = true;
        step_free(s->nodes[0].step); /* the tracker is dead, and not missed yet */
        s->nodes[0].step = NULL;
        for (uint8_t n = 1; n < NODES; n++)
            part(s, n, 0);
        run_to(s, s->now_ms + 700);
        assert_int_equal(SUM(s, went) + SUM(s, kept) + SUM(s, last), NODES - 1);
        assert_int_equal(SUM(s, last), 0);
        assert_true(copies(s, 0) >= 1);
        site_free(s);
    }
}

/* The records of SHA-512 digests are larger. */
static void
wishes_of_both_kinds_of_digests_fill_datagrams(void **state)
{
    (void)state;
    struct site *s = site_new(1, 0);
    for (uint8_t i = 0; i < 24; i++) {
        struct digest d;
        digest_of(i < 2 ? DIGEST_SHA512 : DIGEST_SHA256, &i, 1, &d);
        step_part(s->nodes[2].step, s->now_ms, &d, SIZE, &s->plan);
    }
    step_tick(s->nodes[2].step, s->now_ms + 1, &s->plan);
    step_tick(s->nodes[2].step, s->now_ms + 2, &s->plan);
    unsigned asked = 0;
    for (size_t i = 0; i < s->plan.count; i++) {
        const struct plan_action *a = &s->plan.actions[i];
        struct cursor c;
        struct wire_msg m;
        cursor_init(&c, s->plan.bytes + a->at, a->len);
        while (a->kind == PLAN_DATAGRAM && wire_next(&c, &m) == 1)
            asked += m.type == WIRE_EVICT_INTENT;
    }
    assert_int_equal(asked, 24);
    site_free(s);
}

/* Everything at once: loss, delays longer than rounds, trackers that die, wishes at any time. */
static void
chaos(uint64_t seed)
{
    struct site *s = site_new(seed, (seed % 3) * SIZE);
    s->loss_percent = (unsigned)(seed % 4) * 15;
    s->delay_ms = seed % 5 == 0 ? 400 : 4;
    s->hold_ms = KEEPER_GO_MS - 1000;
    for (int i = 0; i < BLOBS; i++)
        for (unsigned n = 0; n <= rng_below(&s->rng, 4); n++)
            s->nodes[rng_below(&s->rng, NODES)].holds[i] = true;
    int64_t dies_ms = s->now_ms + (int64_t)rng_below(&s->rng, 6000);
    for (int64_t end_ms = s->now_ms + 12000; s->now_ms < end_ms;) {
        for (uint8_t n = 0; n < NODES; n++)
            for (int i = 0; i < BLOBS; i++)
                if (s->nodes[n].step != NULL && s->nodes[n].holds[i] &&
                    s->nodes[n].goes_ms[i] == NEVER_MS && rng_below(&s->rng, 8) == 0)
                    part(s, n, i);
        run_to(s, s->now_ms + (int64_t)rng_below(&s->rng, 400));
        /* The daemon alone dies: its disk, and so its copies, come back with it. */
        if (seed % 2 == 0 && s->now_ms >= dies_ms && s->nodes[0].step != NULL &&
            dies_ms != NEVER_MS) {
            step_free(s->nodes[0].step);
            for (int i = 0; i < BLOBS; i++)
                s->nodes[0].comes_ms[i] = s->nodes[0].goes_ms[i] = NEVER_MS;
            begin_node(s, 0);
            dies_ms = NEVER_MS;
        }
    }
    if (s->lost > 0)
        fail_msg("seed %llu: %u blobs have left the site", (unsigned long long)seed, s->lost);
    site_free(s);
}

static void
no_blob_leaves_the_site_whatever_is_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++)
        chaos(seed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_let_go_at_once_and_one_stays),
        cmocka_unit_test(who_keeps_it_lets_the_others_go),
        cmocka_unit_test(the_last_copy_moves_and_goes_when_it_is_stored_there),
        cmocka_unit_test(who_refuses_is_not_asked_again),
        cmocka_unit_test(nobody_takes_it_and_its_value_decides),
        cmocka_unit_test(the_taker_dies_and_the_copy_stays),
        cmocka_unit_test(a_word_that_waited_longer_than_its_promise_lets_nothing_go),
        cmocka_unit_test(a_wish_that_waited_for_the_tracker_is_no_copy),
        cmocka_unit_test(room_of_a_move_is_counted_once),
        cmocka_unit_test(room_of_a_move_is_booked_until_a_beacon_tells),
        cmocka_unit_test(a_node_alone_is_told_at_once),
        cmocka_unit_test(without_a_tracker_the_first_in_order_keeps_it),
        cmocka_unit_test(wishes_of_both_kinds_of_digests_fill_datagrams),
        cmocka_unit_test(no_blob_leaves_the_site_whatever_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
