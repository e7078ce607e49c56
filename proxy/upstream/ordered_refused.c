/*
 * The registry says no to a fill that is in the swarm.
 *
 *   ASKED --failed, asked to wait--> RESTS: we may not fetch --time--> ASKED
 *   ASKED --final no--> REFUSED
 *
 * It fails the blob only when nobody else can bring it: there is no other node, or none gave
 * anything for GRACE_MS after a final no. Else patience decides.
 */
#include "base/metric.h"
#include "proxy/upstream/ordered_inside.h"

#define GRACE_MS 300  /* for other nodes, after the registry's final no */
#define REST_MS  2000 /* of a registry that failed so often that alone we would give up */

static void
rest(struct fill *f, int64_t until_ms)
{
    f->ordered->rest_until_ms = until_ms;
    f->ordered->flags &= (uint8_t)~WIRE_MAY_FETCH;
    ordered_want(f);
}

static void
refuse(struct fill *f, int code, const char *why, int64_t now_ms)
{
    f->ordered->refused = code;
    f->ordered->refused_ms = now_ms;
    (void)err_set(&f->ordered->refusal, code, "%s", why);
    rest(f, INT64_MAX);
}

/* Until when it is left alone; -1: alone we would give up. */
static int64_t
rest_until_ms(struct fill *f, const struct run *r, int64_t now_ms)
{
    if (r->code != ERR_BUSY)
        return fill_retry_ms(f, r, now_ms);
    int64_t until_ms = f->upstream->wait.until_ms;
    if (!patience_waits(&f->patience, now_ms, until_ms))
        return -1;
    return until_ms > now_ms ? until_ms : now_ms + RETRY_BASE_MS;
}

void
ordered_refused(struct fill *f, const struct run *r, int64_t now_ms)
{
    bool others = p2p_others(f->ordered->p2p) > 0;
    bool is_final = run_is_final(r);
    int64_t until_ms = is_final ? -1 : rest_until_ms(f, r, now_ms);
    if (until_ms < 0 && !others)
        fill_end(f, is_final || r->code == ERR_BUSY ? r->code : ERR_UPSTREAM, r->call.err.text);
    else if (is_final)
        refuse(f, r->code, r->call.err.text, now_ms);
    else
        rest(f, until_ms < 0 ? now_ms + REST_MS : until_ms);
}

void
ordered_watch_registry(struct fill *f, int64_t now_ms)
{
    struct ordered *w = f->ordered;
    if (w->refused != 0) {
        int64_t from_ms = w->peers_ms > w->refused_ms ? w->peers_ms : w->refused_ms;
        if (now_ms - from_ms >= GRACE_MS) {
            struct err why = w->refusal;
            fill_end(f, w->refused, why.text);
            return;
        }
        wire_wake_at(f->world->wire, from_ms + GRACE_MS);
    } else if (w->rest_until_ms != 0) {
        wire_wake_at(f->world->wire, w->rest_until_ms);
        if (now_ms < w->rest_until_ms)
            return;
        w->rest_until_ms = 0;
        w->flags |= WIRE_MAY_FETCH;
        metric_add(M_upstream_retries, 1);
        ordered_want(f);
    }
}
