/* Up to RUNS_MAX requests to the registry, the first gap under a waiting reader first. */
#include "proxy/upstream/solo.h"
#include "base/metric.h"

#define RUNS_MAX 4 /* a first reader and three that resume elsewhere */

/* ---- failed runs ---- */

static void
wait_or_give_up(struct fill *f, const struct source *s, int64_t now_ms)
{
    int64_t until_ms = s->wait.until_ms;
    if (!patience_waits(&f->patience, now_ms, until_ms)) {
        fill_end(f, ERR_BUSY, "registry asked to wait");
        return;
    }
    f->retry_ms = until_ms > now_ms ? until_ms : now_ms + RETRY_BASE_MS;
}

/* There is one source only: its final no is the end. */
static void
take_failure(struct fill *f, const struct run *r, int64_t now_ms)
{
    struct source *s = r->call.source;
    fill_log_failure(f, r);
    if (r->own_fault) {
        fill_end(f, r->code, NULL);
        return;
    }
    if (r->code == ERR_BUSY) {
        wait_or_give_up(f, s, now_ms);
        return;
    }
    if (run_is_final(r) || (r->call.judged && r->call.verdict.sent_all)) {
        fill_end(f, r->code, r->call.err.text);
        return;
    }
    int64_t retry_ms = fill_retry_ms(f, r, now_ms);
    if (retry_ms < 0) {
        fill_end(f, ERR_UPSTREAM, r->call.err.text);
        return;
    }
    f->retry_ms = retry_ms;
    f->waited = true;
}

static void
step_runs(struct fill *f, int64_t now_ms, bool woken)
{
    for (size_t i = 0; i < FILL_RUNS_MAX && !f->over; i++) {
        struct run *r = f->runs[i];
        if (r == NULL)
            continue;
        run_step(r, now_ms, woken);
        f->begun = f->begun || r->claimed;
        if (r->phase != RUN_OVER)
            continue;
        f->begun = f->begun || r->jumped;
        fill_keep_etag(f, r);
        if (r->code != 0)
            take_failure(f, r, now_ms);
        fill_stop(f, &f->runs[i]);
        f->claimable = true;
    }
}

/* ---- new runs ---- */

static void
start(struct fill *f, const struct gap *gap, int64_t now_ms)
{
    if (f->waited)
        metric_add(M_upstream_retries, 1);
    f->waited = false;
    (void)fill_start(f, f->upstream, gap, NULL, NULL, now_ms);
}

/* A client would not queue at the registry: the first request of a blob that one waits for
 * needs a place among all only, because its first byte is due and a miss fails the pull. */
static void
start_runs(struct fill *f, int64_t now_ms)
{
    while (f->claimable && fill_runs(f) < RUNS_MAX) {
        struct gap gap;
        unsigned running = fill_runs(f);
        if (!fill_has_place(f, f->upstream, !f->background && running == 0))
            return;
        if (!f->patient)
            fill_start_patience(f, now_ms);
        if (!f->begun) {
            if (running == 0)
                start(f, NULL, now_ms);
            return;
        }
        f->claimable = blob_claim(f->blob, UINT64_MAX, &gap);
        if (f->claimable)
            start(f, &gap, now_ms);
    }
}

void
solo_step(struct fill *f, int64_t now_ms, bool woken)
{
    step_runs(f, now_ms, woken);
    f->claimable = f->claimable || woken;
    if (f->over)
        return;
    if (now_ms >= f->retry_ms)
        start_runs(f, now_ms);
    else
        wire_wake_at(f->world->wire, f->retry_ms);
}
