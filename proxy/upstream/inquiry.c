/*
 * Who touches what: the asker fills the request before it posts it; from then on the fetch
 * thread owns everything but `done`, which the lock guards; after `done` the asker owns the
 * answer.
 */
#include "proxy/upstream/inquiry.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/upstream/patience.h"
#include "proxy/upstream/url.h"
#include <string.h>

#define ASKS_MAX 32   /* open to one registry; more of them wait */
#define SLICE_MS 1000 /* how often a waiting asker looks whether it shall stop */
#define GRACE_MS 200  /* the fetch thread ends it at the deadline; this is the belt */

struct inquiry {
    struct mail mail; /* first member */
    atomic_int refs;

    /* fixed before it is posted */
    struct origin origin;
    char *accept;
    int64_t wait_until_ms; /* the asker's */

    /* fetch thread */
    struct ask_limits limits; /* of one that listens: both are its end */
    struct call call;
    struct source *source;
    bool counted; /* in source->asks */
    bool listens; /* the asker is gone; only how late the registry answers is wanted */
    unsigned tries;
    int64_t retry_ms;
    struct answer answer;
    struct err err;
    int code;

    struct lock lock;
    struct cond ended;
    bool done; /* lock */
};

struct mail *
inquiry_mail(struct inquiry *q)
{
    return &q->mail;
}

struct inquiry *
inquiry_of(struct mail *m)
{
    return (struct inquiry *)(void *)m;
}

static bool
path_is_good(const char *path)
{
    return url_is_clean(path) && strpbrk(path, " #") == NULL && path[0] != '/' &&
           strstr(path, "..") == NULL;
}

int
inquiry_new(const struct origin *o, const struct ask *a, struct inquiry **ret, struct err *e)
{
    struct inquiry *q = mem_zalloc(sizeof *q);
    atomic_init(&q->refs, 2);
    origin_copy(&q->origin, o);
    q->accept = a->accept != NULL ? mem_strdup(a->accept) : NULL;
    bool longer = a->heard_deadline_ms > a->deadline_ms;
    q->limits.deadline_ms = a->deadline_ms;
    q->limits.heard_deadline_ms = longer ? a->heard_deadline_ms : a->deadline_ms;
    q->wait_until_ms = q->limits.heard_deadline_ms + GRACE_MS;
    buf_init(&q->answer.body, a->body_max);
    lock_init(&q->lock, LOCK_ASK);
    cond_init(&q->ended);
    q->call.want.ask = true;
    q->call.want.head = a->head;
    q->call.want.accept = q->accept;
    q->call.want.origin = &q->origin;
    if (!path_is_good(a->path) ||
        text_copy(q->call.want.path, sizeof q->call.want.path, a->path) != 0) {
        atomic_store(&q->refs, 1);
        inquiry_unref(&q);
        return err_set(e, ERR_REFUSED, "path that may not be asked");
    }
    *ret = q;
    return 0;
}

void
inquiry_unref(struct inquiry **qp)
{
    struct inquiry *q = *qp;
    *qp = NULL;
    if (q == NULL || atomic_fetch_sub(&q->refs, 1) > 1)
        return;
    answer_release(&q->answer);
    origin_release(&q->origin);
    cond_release(&q->ended);
    lock_release(&q->lock);
    mem_free(q->accept);
    mem_free(q);
}

/* ---- asker ---- */

int
inquiry_wait(struct inquiry *q, const atomic_bool *stop, struct answer *ret, struct err *e)
{
    lock_take(&q->lock);
    while (!q->done && clock_ms() < q->wait_until_ms && !(stop != NULL && atomic_load(stop))) {
        int64_t slice_ms = clock_ms() + SLICE_MS;
        (void)cond_wait(&q->ended, &q->lock,
                        slice_ms < q->wait_until_ms ? slice_ms : q->wait_until_ms);
    }
    bool done = q->done;
    lock_drop(&q->lock);
    if (!done)
        return err_set(e, ERR_TIMEOUT, "no answer from %.100s in time", q->origin.host);
    if (q->code != 0)
        return err_set(e, q->code, "%.100s: %s", q->origin.host, q->err.text);
    *ret = q->answer;
    q->answer = (struct answer){0};
    return 0;
}

/* ---- fetch thread ---- */

static void
leave_place(struct inquiry *q)
{
    if (!q->counted)
        return;
    q->counted = false;
    q->source->asks--;
    wire_wake_at(q->call.wire, 0); /* another one may take it */
}

static void
tell(struct inquiry *q, int code)
{
    q->code = code;
    lock_take(&q->lock);
    q->done = true;
    cond_wake(&q->ended);
    lock_drop(&q->lock);
}

static void
finish(struct inquiry *q, int code)
{
    call_stop(&q->call);
    leave_place(q);
    if (q->listens)
        q->source->listens--;
    upstream_drop(&q->source);
    if (!q->listens)
        tell(q, code);
}

void
inquiry_fail(struct inquiry *q, int code)
{
    finish(q, err_set(&q->err, code, "%s", err_text(code)));
}

static int
on_go(struct call *c)
{
    struct inquiry *q = c->owner;
    if (q->listens)
        return ERR_LATER; /* the answer is the asker's */
    buf_clear(&q->answer.body);
    if (!c->want.head && c->verdict.size != CACHE_SIZE_UNKNOWN &&
        c->verdict.size > q->answer.body.limit)
        return ERR_LIMIT;
    return 0;
}

static int
on_body(struct call *c, const char *bytes, size_t len)
{
    struct inquiry *q = c->owner;
    return buf_add(&q->answer.body, bytes, len);
}

static const struct call_ops ops = {on_go, on_body};

static void
take_text(char *ret, size_t cap, const char *text)
{
    if (text_copy(ret, cap, text) != 0)
        ret[0] = '\0';
}

static void
take_answer(struct inquiry *q)
{
    const struct head *h = &q->call.exchange.head;
    struct answer *a = &q->answer;
    a->status = h->status;
    a->content_length = h->content_length;
    take_text(a->content_type, sizeof a->content_type, h->content_type);
    take_text(a->docker_digest, sizeof a->docker_digest, h->docker_digest);
    take_text(a->link, sizeof a->link, h->link);
    take_text(a->filters, sizeof a->filters, h->filters);
    take_text(a->challenge, sizeof a->challenge, h->challenge);
    finish(q, 0);
}

static bool
is_heard(const struct inquiry *q)
{
    return q->call.phase == CALL_OPEN && q->call.exchange.peer_ip[0] != '\0';
}

static int64_t
end_ms(const struct inquiry *q)
{
    return patience_ask_end_ms(&q->limits, is_heard(q));
}

static int64_t
next_try_ms(struct inquiry *q, struct rng *rng, int64_t now_ms)
{
    if (q->call.final || (q->call.code != ERR_UPSTREAM && q->call.code != ERR_TIMEOUT))
        return -1;
    if (q->tries >= TRIES_MAX || !budget_take(&q->source->retries))
        return -1;
    int64_t at_ms = now_ms + backoff_retry_ms(rng, q->tries - 1);
    return at_ms < end_ms(q) ? at_ms : -1;
}

static void
take_end(struct inquiry *q, struct rng *rng, int64_t now_ms)
{
    int code = q->call.code;
    q->call.phase = CALL_IDLE;
    leave_place(q);
    if (code == 0) {
        take_answer(q);
        return;
    }
    if (code == ERR_DENIED) { /* no token for us: the 401 that asked for one is the answer */
        if (q->call.exchange.head.status != 401)
            head_clear(&q->call.exchange.head);
        q->call.exchange.head.status = 401;
        take_answer(q);
        return;
    }
    q->retry_ms = next_try_ms(q, rng, now_ms);
    if (q->retry_ms >= 0)
        return;
    if (code != ERR_BUSY && code != ERR_LIMIT)
        LOG(upstream_failed, LOG_S("source", q->origin.host), LOG_S("what", q->call.want.path),
            LOG_U("status", q->call.exchange.head.status), LOG_S("error", q->call.err.text));
    finish(q, err_set(&q->err, code, "%s", q->call.err.text));
}

static void
try_once(struct inquiry *q, struct wire *w, int64_t now_ms)
{
    int64_t left_ms = end_ms(q) - now_ms;
    if (q->source->asks >= ASKS_MAX)
        return;
    q->source->asks++;
    q->counted = true;
    q->call.ops = &ops;
    q->call.owner = q;
    q->call.source = q->source;
    q->call.head_wait_ms = q->tries == 0 && left_ms > HEAD_WAIT_MS ? HEAD_WAIT_MS : left_ms;
    q->call.heard_wait_ms =
        patience_ask_heard_wait_ms(&q->limits, q->tries, source_late_ms(q->source, now_ms), now_ms);
    if (q->tries++ > 0)
        metric_add(M_upstream_retries, 1);
    call_start(&q->call, w, now_ms);
}

static void
end_late(struct inquiry *q, int64_t now_ms)
{
    if (!patience_may_listen(call_awaits_head(&q->call), q->source->listens)) {
        inquiry_fail(q, ERR_TIMEOUT);
        return;
    }
    tell(q, err_set(&q->err, ERR_TIMEOUT, "%s", err_text(ERR_TIMEOUT)));
    q->listens = true;
    q->source->listens++;
    q->limits.deadline_ms = q->limits.heard_deadline_ms = now_ms + SLOW_FIRST_BYTE_MS;
    exchange_await_until(&q->call.exchange, q->limits.deadline_ms);
}

static void
step_listening(struct inquiry *q, struct wire *w, int64_t now_ms)
{
    call_step(&q->call, now_ms);
    wire_wake_at(w, q->limits.deadline_ms);
    if (now_ms >= q->limits.deadline_ms || !call_awaits_head(&q->call))
        finish(q, ERR_TIMEOUT);
}

bool
inquiry_step(struct inquiry *q, struct wire *w, struct upstreams *u, struct rng *rng,
             int64_t now_ms)
{
    if (q->source == NULL) {
        int code = upstream_take(u, &q->origin, &q->source, &q->err);
        if (code != 0) {
            finish(q, code);
            return true;
        }
    }
    must(q->source != NULL);
    if (q->listens) {
        step_listening(q, w, now_ms);
        return q->source == NULL;
    }
    if (is_heard(q))
        q->limits.heard_ms = now_ms;
    if (now_ms >= end_ms(q)) {
        end_late(q, now_ms);
        return q->source == NULL;
    }
    if (q->call.phase == CALL_IDLE && now_ms >= q->retry_ms)
        try_once(q, w, now_ms);
    else
        call_step(&q->call, now_ms);
    if (q->call.phase == CALL_ENDED)
        take_end(q, rng, now_ms);
    if (q->source == NULL) /* finish let go of it */
        return true;
    wire_wake_at(w, end_ms(q));
    if (q->call.phase == CALL_IDLE && q->retry_ms > now_ms)
        wire_wake_at(w, q->retry_ms);
    return false;
}
