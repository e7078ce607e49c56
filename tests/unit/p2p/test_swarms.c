#include "tests/unit/p2p/unit.h"

#include "base/mem.h"
#include "p2p/piece.h"
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
    member_init(&members);
    assert_true(member_heard(&members, &nine, now_ms));
    elect_init(&elect, &self, 1, 0, 1, now_ms);
    elect.tracker = (struct elect_claim){4, 0, unit_node(9)};
    elect.patient_ms = now_ms + 1000000;
    plan_clear(&plan);
    return (struct swarms_at){now_ms, &self, &addr, &elect, &members};
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
    swarms_settle(x, &at, &plan);
    assert_int_equal(count(PLAN_POST), 1);
    assert_int_equal(count(PLAN_COPY), 1);
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
    swarms_close(x, &d);
    assert_null(swarms_find(x, &d));
    swarms_free(x);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_counts_from_the_tracker_only),
        cmocka_unit_test(the_deputy_gets_a_copy_of_each_announcement),
        cmocka_unit_test(a_blob_is_opened_once_and_there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
