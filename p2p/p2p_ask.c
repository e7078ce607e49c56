/* Questions that wait for the p2p thread: control requests of other nodes, and what people ask. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "p2p/identity.h"
#include "p2p/p2p_inside.h"
#include "p2p/packed.h"
#include <stdatomic.h>
#include <stdlib.h>

#define ASK_WAIT_MS    1000
#define LOCATE_MS      60   /* for answers: a LAN takes a few, a far site a round trip */
#define REACH_MS       1500 /* a connection over a far link, and back */
#define REACH_AGAIN_MS 300  /* until the next knock; longer than STEP_KNOCK_MS */
#define REACH_STEP_MS  20
#define LOCATE_TRIES   5 /* while somebody else asks */

struct p2p_ask {
    enum p2p_ask_kind kind; /* fixed before it is posted, like the next three */
    struct step_from from;
    uint8_t *body;
    size_t len;
    atomic_int refs;
    struct lock lock;
    struct cond answered;
    bool done;               /* lock */
    int code;                /* lock, and the thread's until done */
    struct buf reply;        /* as code */
    struct locate *locate;   /* as code; P2P_ASK_LOCATED */
    struct p2p_state *state; /* as code */
};

static struct p2p_ask *
ask_new(enum p2p_ask_kind kind)
{
    struct p2p_ask *a = mem_zalloc(sizeof *a);
    a->kind = kind;
    atomic_init(&a->refs, 2);
    lock_init(&a->lock, LOCK_LEAF);
    cond_init(&a->answered);
    buf_init(&a->reply, P2P_MSG_MAX);
    return a;
}

static void
ask_leave(struct p2p_ask *a)
{
    if (atomic_fetch_sub(&a->refs, 1) != 1)
        return;
    cond_release(&a->answered);
    lock_release(&a->lock);
    buf_release(&a->reply);
    if (a->state != NULL)
        p2p_state_release(a->state);
    mem_free(a->state);
    locate_free(a->locate);
    mem_free(a->body);
    mem_free(a);
}

/* ---- the thread ---- */

void
p2p_drop_ask(struct p2p_ask *a, int code)
{
    lock_take(&a->lock);
    a->code = code;
    a->done = true;
    cond_wake(&a->answered);
    lock_drop(&a->lock);
    ask_leave(a);
}

void
p2p_reply(struct p2p *p, const uint8_t *body, size_t len)
{
    must(p->request != NULL);
    buf_clear(&p->request->reply);
    if (buf_add(&p->request->reply, body, len) < 0)
        never("an answer longer than a message");
}

static int
take_request(struct p2p *p, struct p2p_ask *a)
{
    p->request = a;
    int rc = step_request(p->step, p->now_ms, &a->from, a->body, a->len, &p->plan);
    p2p_carry(p);
    p->request = NULL;
    return rc;
}

static int
step_down(struct p2p *p)
{
    if (step_elect(p->step)->role != ELECT_TRACKER)
        return ERR_NOT_FOUND;
    step_resign(p->step, p->now_ms, false, &p->plan);
    p2p_carry(p);
    return 0;
}

void
p2p_answer_ask(struct p2p *p, struct p2p_ask *a)
{
    int code = 0;
    switch (a->kind) {
    case P2P_ASK_CONTROL:
        code = take_request(p, a);
        break;
    case P2P_ASK_WATCH:
        step_look_traffic(p->step, p->now_ms, &p->plan);
        p2p_carry(p);
        a->state = p2p_draw(p);
        break;
    case P2P_ASK_LOOK:
        a->state = p2p_draw(p);
        break;
    case P2P_ASK_RESIGN:
        code = step_down(p);
        break;
    case P2P_ASK_LOCATE:
        code = step_locate(p->step, p->now_ms, (const struct digest *)a->body, a->len, &p->plan);
        p2p_carry(p);
        break;
    case P2P_ASK_LOCATED:
        a->locate = step_located(p->step);
        break;
    case P2P_ASK_KNOCK:
        code = (int)step_knock(p->step, p->now_ms, &p->plan);
        p2p_carry(p);
        break;
    }
    p2p_drop_ask(a, code);
}

/* ---- any thread ---- */

/* 0: it was answered, and nobody else looks at it any more. */
static int
wait_for(struct p2p *p, struct p2p_ask *a)
{
    struct p2p_mail *m = p2p_new_mail(P2P_ASK, NULL, 0);
    m->ask = a;
    int rc = p2p_post(p, m);
    if (rc < 0) {
        ask_leave(a); /* the thread's part */
        return rc;
    }
    int64_t until_ms = clock_ms() + ASK_WAIT_MS;
    bool in_time = true;
    lock_take(&a->lock);
    while (!a->done && in_time)
        in_time = cond_wait(&a->answered, &a->lock, until_ms);
    rc = a->done ? a->code : ERR_TIMEOUT;
    lock_drop(&a->lock);
    return rc;
}

static int
seal_answer(struct p2p *p, const struct buf *body, bool reads, struct buf *ret)
{
    AUTO(buf_release) struct buf packed;
    buf_init(&packed, WIRE_CONTROL_MAX);
    packed_close((const uint8_t *)buf_text(body), body->len, reads, &packed);
    if (packed.len < body->len)
        metric_add(M_saved_control, body->len - packed.len);
    uint8_t *msg = mem_alloc(SEAL_HEAD + packed.len + SEAL_MAC);
    if (packed.len > 0)
        memcpy(msg + SEAL_HEAD, packed.data, packed.len);
    size_t len = sealer_close(&p->sealer, SEAL_REPLY, msg, packed.len);
    int rc = buf_add(ret, msg, len);
    mem_free(msg);
    return rc;
}

int
p2p_control(struct p2p *p, const uint8_t *msg, size_t len, struct buf *ret)
{
    struct seal_head head;
    AUTO(buf_release) struct buf room;
    const uint8_t *body = NULL;
    size_t body_len = 0;
    bool reads = false;
    if (len > P2P_MSG_MAX)
        return ERR_SYNTAX;
    buf_init(&room, WIRE_CONTROL_MAX);
    int rc = sealer_open(&p->sealer, SEAL_REQUEST, msg, len, NULL, &head);
    if (rc == 0)
        rc = packed_open(msg + SEAL_HEAD, head.len, &room, &body, &body_len, &reads);
    if (rc < 0)
        return rc;
    struct p2p_ask *a = ask_new(P2P_ASK_CONTROL);
    a->from = (struct step_from){head.sender, head.boot, head.seq, false};
    a->len = body_len;
    a->body = mem_alloc(a->len + 1);
    if (body_len > 0)
        memcpy(a->body, body, body_len);
    rc = wait_for(p, a);
    rc = rc < 0 ? rc : seal_answer(p, &a->reply, reads, ret);
    ask_leave(a);
    return rc;
}

static int
look(struct p2p *p, enum p2p_ask_kind kind, struct p2p_state *ret)
{
    struct p2p_ask *a = ask_new(kind);
    int rc = wait_for(p, a);
    if (rc == 0) {
        *ret = *a->state;
        mem_free(a->state);
        a->state = NULL;
    }
    ask_leave(a);
    return rc;
}

int
p2p_look(struct p2p *p, struct p2p_state *ret)
{
    return look(p, P2P_ASK_LOOK, ret);
}

int
p2p_watch(struct p2p *p, struct p2p_state *ret)
{
    return look(p, P2P_ASK_WATCH, ret);
}

int
p2p_step_down(struct p2p *p)
{
    struct p2p_ask *a = ask_new(P2P_ASK_RESIGN);
    int rc = wait_for(p, a);
    ask_leave(a);
    return rc;
}

static int
start_locate(struct p2p *p, const struct digest *blobs, size_t count)
{
    struct p2p_ask *a = ask_new(P2P_ASK_LOCATE);
    a->len = count;
    a->body = mem_alloc((count + 1) * sizeof *blobs);
    memcpy(a->body, blobs, count * sizeof *blobs);
    int rc = wait_for(p, a);
    ask_leave(a);
    return rc;
}

int
p2p_locate(struct p2p *p, const struct digest *blobs, size_t count, struct locate **ret)
{
    int rc = ERR_BUSY;
    for (int i = 0; i < LOCATE_TRIES && rc == ERR_BUSY; i++) {
        rc = start_locate(p, blobs, count);
        clock_sleep_ms(rc == 0 || rc == ERR_BUSY ? LOCATE_MS : 0);
    }
    if (rc < 0)
        return rc;
    struct p2p_ask *a = ask_new(P2P_ASK_LOCATED);
    rc = wait_for(p, a);
    if (rc == 0 && a->locate == NULL)
        rc = ERR_BUSY; /* another question took its place */
    if (rc == 0) {
        *ret = a->locate;
        a->locate = NULL;
    }
    ask_leave(a);
    return rc;
}

/* How many nodes were asked to connect; they answer seldom, and a datagram may be lost. */
static int
knock(struct p2p *p)
{
    struct p2p_ask *a = ask_new(P2P_ASK_KNOCK);
    int rc = wait_for(p, a);
    ask_leave(a);
    return rc;
}

int
p2p_reach(struct p2p *p, unsigned *ret_asked, bool *ret_reached)
{
    int64_t begun_ms = clock_ms(), knock_ms = begun_ms, now_ms = begun_ms;
    bool reached = false;
    int rc = 1;
    for (; rc > 0 && !reached && now_ms - begun_ms < REACH_MS; now_ms = clock_ms()) {
        if (now_ms >= knock_ms) {
            rc = knock(p);
            knock_ms = now_ms + REACH_AGAIN_MS;
        }
        AUTO(p2p_state_release) struct p2p_state s = {0};
        clock_sleep_ms(REACH_STEP_MS);
        int bad = p2p_look(p, &s);
        if (bad < 0)
            return bad;
        reached = s.reached_ms_ago >= 0 && s.reached_ms_ago <= clock_ms() - begun_ms;
    }
    if (rc < 0)
        return rc;
    *ret_asked = (unsigned)rc;
    *ret_reached = reached;
    return 0;
}

int
p2p_admit(struct p2p *p, const char *auth, const char *what, struct node_id *ret_from)
{
    return sealer_verify(&p->sealer, auth, what, ret_from);
}

int
p2p_sign(struct p2p *p, const char *what, char ret_text[SEAL_TEXT_MAX])
{
    return sealer_sign(&p->sealer, what, ret_text);
}

void
p2p_rekey(struct p2p *p, const struct seal_keys *keys)
{
    sealer_rekey(&p->sealer, keys);
}
