/* Drives a source's prepare and judge over exchanges. */
#include "proxy/upstream/call.h"
#include "base/clock.h"
#include <string.h>

#define PARK_POLL_MS 1000 /* a token's arrival wakes the loop by itself; this is the belt */

static int
on_head(struct exchange *x)
{
    struct call *c = x->owner;
    c->verdict = c->source->ops->judge(c->source, &c->want, x, clock_ms());
    c->judged = true;
    if (c->verdict.kind != VERDICT_GO)
        return 1;
    c->to_skip = c->verdict.skip;
    return c->ops->go(c);
}

static int
on_body(struct exchange *x, const char *bytes, size_t len)
{
    struct call *c = x->owner;
    if (c->to_skip >= len) {
        c->to_skip -= len;
        return 0;
    }
    int said = c->ops->body(c, bytes + c->to_skip, len - (size_t)c->to_skip);
    if (said != ERR_AGAIN)
        c->to_skip = 0;
    return said;
}

static const struct exchange_ops exchange_ops = {on_head, on_body};

static void
end(struct call *c, int code, bool final, const char *reason)
{
    c->source->ops->forget(c->source, &c->want);
    c->phase = CALL_ENDED;
    c->code = code;
    c->final = final;
    if (code != 0)
        (void)err_set(&c->err, code, "%s",
                      reason != NULL && reason[0] != '\0' ? reason : err_text(code));
}

/* An address that policy forbids and a text that no header may hold stay what they are. */
static bool
is_final(int code)
{
    return code == ERR_REFUSED || code == ERR_DENIED;
}

static void
open_next(struct call *c, int64_t now_ms)
{
    struct errand what;
    struct err e = {0};
    c->judged = false;
    int code = c->source->ops->prepare(c->source, &c->want, now_ms, &what, &e);
    if (code == SOURCE_PARK) {
        wire_wake_at(c->wire, now_ms + PARK_POLL_MS);
        return;
    }
    if (code == 0) {
        what.head_wait_ms = c->head_wait_ms;
        what.heard_wait_ms = c->heard_wait_ms;
        what.stall_ms = c->stall_ms;
        what.limited = !c->want.ask && c->source->body_source != BLOB_FROM_PEER;
        code = exchange_start(&c->exchange, c->wire, &what);
    }
    if (code == 0) {
        c->phase = CALL_OPEN;
        wire_wake_at(c->wire, now_ms); /* curl has work at once */
    } else {
        end(c, code, is_final(code), e.text);
    }
}

static void
settle(struct call *c)
{
    const struct exchange *x = &c->exchange;
    if (!c->judged || c->verdict.kind == VERDICT_GO)
        end(c, x->code, is_final(x->code), x->err.text);
    else if (c->verdict.kind == VERDICT_AGAIN)
        c->phase = CALL_PARKED;
    else
        end(c, c->verdict.code, c->verdict.kind == VERDICT_GONE, c->verdict.reason);
}

void
call_start(struct call *c, struct wire *w, int64_t now_ms)
{
    must(c->phase == CALL_IDLE || c->phase == CALL_ENDED);
    c->wire = w;
    c->exchange.ops = &exchange_ops;
    c->exchange.owner = c;
    c->code = 0;
    c->final = false;
    c->to_skip = 0;
    c->err = (struct err){0};
    c->verdict = (struct verdict){0};
    c->phase = CALL_PARKED;
    call_step(c, now_ms);
}

void
call_step(struct call *c, int64_t now_ms)
{
    if (c->phase == CALL_OPEN) {
        exchange_step(&c->exchange, now_ms);
        if (c->exchange.phase == EXCHANGE_DONE) {
            c->source->ops->ended(c->source, &c->want, &c->exchange, now_ms);
            settle(c);
        }
    }
    if (c->phase == CALL_PARKED)
        open_next(c, now_ms);
}

void
call_resume(struct call *c)
{
    if (c->phase == CALL_OPEN)
        exchange_resume(&c->exchange);
}

bool
call_awaits_head(const struct call *c)
{
    return c->phase == CALL_OPEN && exchange_awaits_head(&c->exchange);
}

void
call_stop(struct call *c)
{
    if (c->phase == CALL_OPEN)
        exchange_stop(&c->exchange);
    if (c->phase == CALL_PARKED || c->phase == CALL_OPEN)
        c->source->ops->forget(c->source, &c->want);
    c->phase = CALL_IDLE;
}
