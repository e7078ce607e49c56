/*
 * One blob, up to RUNS_MAX runs.
 *
 * Invariants, between two steps:
 *  1. a run that is not FREE holds one of the world's and of its source's call places;
 *  2. after blob_begin every gap of the blob is held, claimed by one of the runs, or free;
 *  3. an over fill has only FREE runs.
 */
#include "proxy/upstream/fill.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/upstream/run.h"
#include <string.h>

#define RUNS_MAX       4     /* a first reader and three that resume elsewhere */
#define LOOK_MS        250   /* how often the blob is asked whether it failed by itself */
#define BLOCKED_MS_MAX 60000 /* a window that nobody reads for so long has no reader */
#define RATE_MS        1000

struct fill {
    struct fill_world *world;
    struct origin origin;
    struct blob *blob;
    uint64_t size; /* as the descriptor says, later as the blob says */
    bool background;
    struct source *upstream; /* held */
    struct view *view;
    bool begun; /* blob_begin is done */
    bool over;
    bool claimable; /* there may be a gap to claim */
    bool waited;    /* a retry is due: the next run is one */
    int64_t retry_ms, look_ms, blocked_ms;
    struct patience patience;
    bool patient;   /* the clock of patience runs */
    char etag[128]; /* strong one of the last good answer, or "" */
    struct run runs[RUNS_MAX];
    unsigned attempts;
    uint64_t rate_bytes_s, rate_mark_bytes, got_bytes;
    int64_t rate_mark_ms;
};

static void
wake_from_blob(void *arg)
{
    struct fill_world *w = arg;
    w->wake(w->wake_arg);
}

struct fill *
fill_new(struct fill_world *world, const struct origin *o, struct blob *b, uint64_t size,
         bool background, int64_t now_ms)
{
    struct fill *f = mem_zalloc(sizeof *f);
    f->world = world;
    origin_copy(&f->origin, o);
    f->blob = blob_ref(b);
    f->size = size;
    f->background = background;
    f->claimable = true;
    f->rate_mark_ms = now_ms;
    patience_start(&f->patience, now_ms, false);
    f->patient = !background;
    for (size_t i = 0; i < RUNS_MAX; i++) {
        f->runs[i].blob = f->blob;
        f->runs[i].patience = &f->patience;
    }
    blob_set_waker(b, wake_from_blob, world);
    return f;
}

/* ---- the end ---- */

static void
free_run(struct fill *f, struct run *r)
{
    if (r->phase == RUN_FREE)
        return;
    struct source *s = r->call.source;
    f->got_bytes += r->got_bytes;
    r->got_bytes = 0;
    run_stop(r);
    s->rank.inflight_bytes -= r->call.want.gap.end - r->call.want.gap.start;
    s->blob_calls--;
    s->background_calls -= f->background;
    f->world->blob_calls--;
    f->claimable = true;
    wire_wake_at(f->world->wire, 0); /* others may wait for the place */
}

static void
end(struct fill *f, int code)
{
    for (size_t i = 0; i < RUNS_MAX; i++)
        free_run(f, &f->runs[i]);
    blob_set_waker(f->blob, NULL, NULL);
    if (code != 0)
        blob_fail(f->blob, code);
    f->over = true;
}

static void
give_up(struct fill *f, int code, const char *why)
{
    char digest[DIGEST_TEXT_MAX];
    digest_print(blob_digest(f->blob), digest);
    LOG(fetch_gave_up, LOG_S("digest", digest), LOG_S("registry", f->origin.host),
        LOG_S("repository", f->origin.repository), LOG_U("tries", f->attempts),
        LOG_S("error", why));
    end(f, code);
}

void
fill_free(struct fill *f, int code)
{
    if (!f->over)
        end(f, code);
    upstream_drop(&f->upstream);
    view_release(&f->view);
    blob_release(&f->blob);
    origin_release(&f->origin);
    mem_free(f);
}

/* ---- failed runs ---- */

static bool
is_network(int code)
{
    return code == ERR_UPSTREAM || code == ERR_TIMEOUT;
}

static void
log_failure(const struct fill *f, const struct run *r)
{
    char digest[DIGEST_TEXT_MAX];
    digest_print(blob_digest(f->blob), digest);
    const struct source *s = r->call.source;
    uint64_t status = (uint64_t)r->call.exchange.head.status;
    if (r->call.exchange.stalled)
        LOG(upstream_stall, LOG_S("source", s->entry.name), LOG_S("digest", digest),
            LOG_U("at", r->gap.start));
    else if (r->code != ERR_BUSY)
        LOG(upstream_failed, LOG_S("source", s->entry.name), LOG_S("digest", digest),
            LOG_U("at", r->gap.start), LOG_U("status", status), LOG_S("error", r->call.err.text));
}

static void
wait_or_give_up(struct fill *f, const struct source *s, int64_t now_ms)
{
    int64_t until_ms = s->wait.until_ms;
    if (!patience_waits(&f->patience, now_ms, until_ms)) {
        give_up(f, ERR_BUSY, "registry asked to wait");
        return;
    }
    f->retry_ms = until_ms > now_ms ? until_ms : now_ms + RETRY_BASE_MS;
}

/* While there is one source only, its final no is the end. */
static void
take_failure(struct fill *f, const struct run *r, int64_t now_ms)
{
    struct source *s = r->call.source;
    log_failure(f, r);
    if (r->own_fault) {
        end(f, r->code);
        return;
    }
    if (r->code == ERR_BUSY) {
        wait_or_give_up(f, s, now_ms);
        return;
    }
    if (r->call.final || !is_network(r->code)) {
        give_up(f, r->code, r->call.err.text);
        return;
    }
    rank_bad(&s->rank, now_ms);
    int64_t retry_ms = patience_retry_ms(&f->patience, &s->retries, &f->world->rng, now_ms);
    if (retry_ms < 0) {
        give_up(f, ERR_UPSTREAM, r->call.err.text);
        return;
    }
    f->retry_ms = retry_ms;
    f->waited = true;
}

/* An answer from the start although a range was asked: its ETag is no help next time. */
static void
keep_etag(struct fill *f, const struct run *r)
{
    const struct call *c = &r->call;
    if (!c->judged || c->verdict.kind != VERDICT_GO)
        return;
    const char *etag = c->verdict.skip > 0 ? "" : c->exchange.head.etag;
    (void)!text_copy(f->etag, sizeof f->etag, etag);
}

static void
step_runs(struct fill *f, int64_t now_ms, bool woken)
{
    for (size_t i = 0; i < RUNS_MAX && !f->over; i++) {
        struct run *r = &f->runs[i];
        if (r->phase == RUN_FREE)
            continue;
        run_step(r, now_ms, woken);
        if (!f->begun && r->claimed)
            f->begun = true;
        if (r->phase != RUN_OVER)
            continue;
        f->begun = f->begun || r->jumped;
        keep_etag(f, r);
        if (r->code != 0)
            take_failure(f, r, now_ms);
        free_run(f, r);
    }
}

/* ---- new runs ---- */

static unsigned
count_runs(const struct fill *f)
{
    unsigned n = 0;
    for (size_t i = 0; i < RUNS_MAX; i++)
        n += f->runs[i].phase != RUN_FREE;
    return n;
}

/* The source of least cost; when all of them had failures, the registry is still the last resort.
 */
static struct source *
choose(const struct fill *f, uint64_t len, int64_t now_ms)
{
    const struct rank *ranks[1];
    uint32_t prices[1];
    struct source *sources[1] = {f->upstream};
    size_t count = 0;
    for (size_t i = 0; i < f->view->count && count < ARRAY_LEN(sources); i++) {
        if (f->view->entries[i].id != f->upstream->entry.id)
            continue;
        sources[count] = f->upstream;
        ranks[count] = &f->upstream->rank;
        prices[count++] = f->view->entries[i].price_milli;
    }
    int best = rank_choose(ranks, prices, count, now_ms, len);
    return best >= 0 ? sources[best] : f->upstream;
}

/* A client would not queue at the registry: the first request of a blob that one waits for
 * needs a place among all only, because its first byte is due and a miss fails the pull. */
static bool
has_place(const struct fill *f, const struct source *s)
{
    bool due = !f->background && count_runs(f) == 0;
    return f->world->blob_calls < BLOB_CALLS_MAX && (due || s->blob_calls < REGISTRY_CALLS_MAX) &&
           (!f->background || s->background_calls < BACKGROUND_CALLS_MAX);
}

static void
start_run(struct fill *f, struct source *s, const struct gap *gap, int64_t now_ms)
{
    struct run *r = f->runs;
    while (r->phase != RUN_FREE)
        r++;
    char digest[DIGEST_TEXT_MAX];
    digest_print(blob_digest(f->blob), digest);
    r->call.source = s;
    r->call.want.origin = &f->origin;
    must(text_printf(r->call.want.path, sizeof r->call.want.path, "blobs/%s", digest) == 0);
    (void)!text_copy(r->call.want.etag, sizeof r->call.want.etag, f->etag);
    s->blob_calls++;
    s->background_calls += f->background;
    f->world->blob_calls++;
    f->attempts++;
    if (f->waited)
        metric_add(M_upstream_retries, 1);
    f->waited = false;
    run_start(r, f->world->wire, gap, f->size, now_ms);
    s->rank.inflight_bytes += r->call.want.gap.end - r->call.want.gap.start;
}

static void
start_runs(struct fill *f, int64_t now_ms)
{
    while (f->claimable && count_runs(f) < RUNS_MAX) {
        struct gap gap;
        struct source *s = choose(f, f->begun ? f->size : 0, now_ms);
        if (!has_place(f, s))
            return;
        if (!f->patient) {
            patience_start(&f->patience, now_ms, f->patience.any_byte);
            f->patient = true;
        }
        if (!f->begun) {
            if (count_runs(f) == 0)
                start_run(f, s, NULL, now_ms);
            return;
        }
        f->claimable = blob_claim(f->blob, UINT64_MAX, &gap);
        if (f->claimable)
            start_run(f, s, &gap, now_ms);
    }
}

/* ---- the whole ---- */

static void
begin(struct fill *f)
{
    struct err e = {0};
    struct blob_state st;
    if (f->upstream == NULL) {
        int code = upstream_take(f->world->upstreams, &f->origin, &f->upstream, &e);
        if (code != 0) {
            give_up(f, code, e.text);
            return;
        }
        f->view = view_take(&f->upstream->stand);
    }
    if (f->begun || f->size == CACHE_SIZE_UNKNOWN)
        return;
    int code = blob_begin(f->blob, f->size);
    if (code != 0) {
        give_up(f, code, err_text(code));
        return;
    }
    f->begun = true;
    blob_look(f->blob, 0, &st);
    f->patience.any_byte = st.have_bytes > 0;
}

static void
look(struct fill *f, int64_t now_ms)
{
    struct blob_state st;
    blob_look(f->blob, 0, &st);
    f->look_ms = now_ms + LOOK_MS;
    if (f->begun && st.size != CACHE_SIZE_UNKNOWN)
        f->size = st.size;
    if (st.phase >= BLOB_VERIFIED || (f->begun && st.have_bytes == f->size))
        end(f, 0);
}

static void
watch_clock(struct fill *f, int64_t now_ms)
{
    bool blocked = false;
    for (size_t i = 0; i < RUNS_MAX; i++)
        blocked = blocked || (f->runs[i].phase != RUN_FREE && f->runs[i].blocked);
    if (!blocked)
        f->blocked_ms = 0;
    else if (f->blocked_ms == 0)
        f->blocked_ms = now_ms;
    if (blocked)
        f->patience.last_byte_ms = now_ms; /* it is the reader who is slow */
    if (blocked && now_ms - f->blocked_ms >= BLOCKED_MS_MAX)
        give_up(f, ERR_TIMEOUT, "nobody reads");
    else if (f->patient && now_ms >= patience_end_ms(&f->patience))
        give_up(f, ERR_UPSTREAM, "no byte in time");
    else if (f->patient)
        wire_wake_at(f->world->wire, patience_end_ms(&f->patience));
}

static void
measure(struct fill *f, int64_t now_ms)
{
    if (now_ms - f->rate_mark_ms < RATE_MS)
        return;
    uint64_t got = f->got_bytes;
    for (size_t i = 0; i < RUNS_MAX; i++)
        got += f->runs[i].got_bytes;
    uint64_t took_ms = (uint64_t)(now_ms - f->rate_mark_ms);
    f->rate_bytes_s = (got - f->rate_mark_bytes) * 1000 / took_ms;
    f->rate_mark_bytes = got;
    f->rate_mark_ms = now_ms;
}

bool
fill_step(struct fill *f, int64_t now_ms, bool woken)
{
    if (!f->over && f->upstream == NULL)
        begin(f);
    if (!f->over)
        step_runs(f, now_ms, woken);
    f->claimable = f->claimable || woken;
    if (!f->over && (count_runs(f) == 0 || now_ms >= f->look_ms))
        look(f, now_ms);
    if (!f->over && now_ms >= f->retry_ms)
        start_runs(f, now_ms);
    if (!f->over)
        watch_clock(f, now_ms);
    if (f->over)
        return true;
    measure(f, now_ms);
    if (now_ms < f->retry_ms)
        wire_wake_at(f->world->wire, f->retry_ms);
    wire_wake_at(f->world->wire, f->look_ms);
    return false;
}

bool
fill_is_background(const struct fill *f)
{
    return f->background;
}

void
fill_hurry(struct fill *f, int64_t now_ms)
{
    if (!f->background)
        return;
    f->background = false;
    for (size_t i = 0; i < RUNS_MAX; i++)
        if (f->runs[i].phase != RUN_FREE)
            f->runs[i].call.source->background_calls--;
    if (!f->patient)
        patience_start(&f->patience, now_ms, f->patience.any_byte);
    f->patient = true;
}

struct blob *
fill_blob(const struct fill *f)
{
    return f->blob;
}

void
fill_info(const struct fill *f, struct transfer_info *ret)
{
    struct blob_state st;
    blob_look(f->blob, 0, &st);
    *ret = (struct transfer_info){
        .digest = *blob_digest(f->blob),
        .size = st.size,
        .have_bytes = st.have_bytes,
        .rate_bytes_s = f->rate_bytes_s,
        .requests = count_runs(f),
        .attempts = f->attempts,
        .background = f->background,
    };
    (void)!text_copy(ret->host, sizeof ret->host, f->origin.host);
    (void)!text_copy(ret->repository, sizeof ret->repository, f->origin.repository);
}
