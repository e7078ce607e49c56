/* What a node that has the cluster key may say: datagrams, requests and answers reach a step that
 * is tracker or follows one, and has a blob open; no body ends the daemon, and each plan holds what
 * it says. The input is a run of
 *
 *   what 1 | length 2 | body
 *
 * where `what` chooses the kind and the sender (below); FUZZ_TIME passes `length` milliseconds. The
 * first byte of the input: is the node alone, so that it is tracker? */
#include "p2p/piece.h"
#include "p2p/step.h"
#include "tests/fuzz/fuzz.h"

enum { FUZZ_DATAGRAM, FUZZ_REQUEST, FUZZ_REPLY, FUZZ_TIME, FUZZ_OPEN, FUZZ_LEAVE, FUZZ_KINDS };
#define OTHERS   3
#define TIME_MAX 20000 /* ms, of one input */
#define BLOB     ((uint64_t)256 * PIECE_BYTES_MIN)

static struct plan plan;

static struct node_id
node_of(uint8_t n)
{
    return (struct node_id){{n}};
}

static void
check_plan(void)
{
    must(plan.count <= PLAN_ACTIONS_MAX && plan.bytes_used <= PLAN_BYTES_MAX);
    for (size_t i = 0; i < plan.count; i++) {
        const struct plan_action *a = &plan.actions[i];
        must((size_t)a->at + a->len <= plan.bytes_used);
        must((a->kind != PLAN_DATAGRAM && a->kind != PLAN_SHOUT) || a->len <= WIRE_DATAGRAM_MAX);
    }
    plan_clear(&plan);
}

static void
pass(struct step *s, int64_t *now_ms, int64_t ms)
{
    for (int64_t until_ms = *now_ms + ms; *now_ms < until_ms; *now_ms += 10) {
        step_tick(s, *now_ms, &plan);
        check_plan();
    }
}

/* The other nodes say hello; the last one is tracker, unless this node is. */
static void
meet(struct step *s, int64_t now_ms, bool tracker)
{
    for (uint8_t n = 2; n < 2 + OTHERS; n++) {
        struct step_from from = {node_of(n), 1, 1, false};
        struct wire_msg m;
        struct scribe out;
        uint8_t body[WIRE_DATAGRAM_MAX];
        bool other = !tracker && n == 1 + OTHERS;
        memset(&m, 0, sizeof m);
        m.type = WIRE_BEACON;
        m.beacon = (struct wire_beacon){.addr = {.port = n}, .site = 1, .priority = 1};
        m.beacon.role = other ? ELECT_TRACKER : ELECT_MEMBER;
        m.beacon.epoch = other ? 7 : 0;
        m.beacon.tracker = other ? from.node : node_of(0);
        m.beacon.tracker_age_ms = other ? 0 : WIRE_AGE_NEVER;
        scribe_init(&out, body, sizeof body);
        wire_put(&out, &m);
        must(step_datagram(s, now_ms, &from, body, scribe_len(&out), &plan) == 0);
        check_plan();
    }
}

/* The blob of the corpus, of which this node knows and holds the first pieces. */
static void
open_blob(struct step *s, int64_t now_ms)
{
    static const uint8_t word[ATTEST_BYTES] = {7};
    struct digest d;
    digest_of(DIGEST_SHA256, "blob", 4, &d);
    struct swarm *swarm = step_open(s, now_ms, &d, BLOB, WIRE_WANTS | WIRE_MAY_FETCH | WIRE_SERVES);
    for (uint32_t p = 0; swarm != NULL && p < 240; p++) {
        swarm_attest(swarm, true, p, word, now_ms);
        swarm_hold(swarm, p);
    }
}

static void
feed(struct step *s, int64_t *now_ms, uint8_t what, const uint8_t *body, size_t len, uint16_t ms)
{
    static uint64_t seq = 1;
    struct step_from from = {node_of((uint8_t)(2 + what / FUZZ_KINDS % OTHERS)), 1, ++seq, false};
    struct digest d;
    int rc = 0;
    digest_of(DIGEST_SHA256, "blob", 4, &d);
    switch (what % FUZZ_KINDS) {
    case FUZZ_DATAGRAM:
        rc = len <= WIRE_DATAGRAM_MAX ? step_datagram(s, *now_ms, &from, body, len, &plan) : 0;
        break;
    case FUZZ_REQUEST:
        rc = step_request(s, *now_ms, &from, body, len, &plan);
        break;
    case FUZZ_REPLY:
        rc = step_reply(s, *now_ms, body, len, &plan);
        break;
    case FUZZ_OPEN:
        open_blob(s, *now_ms);
        break;
    case FUZZ_LEAVE:
        step_leave(s, *now_ms, &d);
        break;
    default:
        pass(s, now_ms, *now_ms < TIME_MAX ? ms : 0);
    }
    must(rc <= 0);
    check_plan();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    bool tracker = data[0] % 2 == 0;
    struct step_config c = {.self = node_of(1), .addr = {.port = 1}, .site = 1, .priority = 9};
    int64_t now_ms = 0;
    struct step *s = step_new(&c, now_ms);
    if (!tracker)
        meet(s, now_ms, false);
    pass(s, &now_ms, 3000);
    meet(s, now_ms, tracker);
    open_blob(s, now_ms);
    for (size_t at = 1; at + 3 <= size;) {
        uint16_t len = (uint16_t)(data[at + 1] | data[at + 2] << 8);
        bool has_body = data[at] % FUZZ_KINDS < FUZZ_TIME;
        size_t rest = size - at - 3, body_len = has_body ? (len < rest ? len : rest) : 0;
        uint8_t *body = mem_alloc(body_len + 1);
        memcpy(body, data + at + 3, body_len);
        feed(s, &now_ms, data[at], body, body_len, len % 4096);
        mem_free(body);
        at += 3 + body_len;
    }
    pass(s, &now_ms, 100);
    step_free(s);
    return 0;
}
