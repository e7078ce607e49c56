/*
 * One blob: how it begins and ends, and its clock. What is asked of whom is decided by solo.c and
 * ordered.c.
 *
 * Invariants, between two steps:
 *  1. a run that is there holds one of the world's and of its source's call places;
 *  2. after blob_begin every gap of the blob is held, claimed by one of the runs, or free;
 *  3. an over fill has no runs and no orders.
 */
#include "proxy/upstream/fill.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "proxy/upstream/mend.h"
#include "proxy/upstream/ordered.h"
#include "proxy/upstream/solo.h"

#define ROOM_LOOK_MS   20    /* between two looks at whether there is room */
#define LOOK_MS        250   /* how often the blob is asked whether it failed by itself */
#define CHECK_LOOK_MS  20    /* the same while only its digest is not known yet */
#define BLOCKED_MS_MAX 60000 /* a ring that nobody reads for so long has no reader */
#define UNREAD_MS_MAX  5000  /* a window without readers */
#define LINGER_MS      3000

static void
wake_from_blob(void *arg)
{
    struct fill_world *w = arg;
    w->wake(w->wake_arg);
}

struct fill *
fill_new(struct fill_world *world, const struct origin *o, struct blob *b, uint64_t size,
         enum fill_for for_whom, int64_t now_ms)
{
    struct fill *f = mem_zalloc(sizeof *f);
    f->world = world;
    f->copy = o == NULL; /* for_whom is FILL_COPY then */
    if (o != NULL)
        origin_copy(&f->origin, o);
    f->blob = blob_ref(b);
    f->size = size;
    f->part_only = for_whom == FILL_PART;
    f->background = for_whom == FILL_BACKGROUND || for_whom == FILL_COPY;
    f->lan_only = for_whom == FILL_COPY;
    f->claimable = true;
    f->rate_mark_ms = f->begun_ms = f->waited_ms = now_ms;
    cells_init(&f->cells, 0);
    patience_start(&f->patience, now_ms, false);
    f->patient = !f->background;
    blob_set_waker(b, wake_from_blob, world);
    return f;
}

void
fill_start_patience(struct fill *f, int64_t now_ms)
{
    patience_start(&f->patience, now_ms, f->patience.any_byte);
    f->patient = true;
}

int64_t
fill_retry_ms(struct fill *f, const struct run *r, int64_t now_ms)
{
    /* Who passes bytes through has no place among the readers. */
    bool is_read = blob_readers(f->blob) > 0 || blob_passes(f->blob);
    return patience_retry_ms(&f->patience, &r->call.source->retries, &f->world->rng,
                             is_read && run_found_away(r), now_ms);
}

/* ---- the end ---- */

/* How a copy for the site ended. */
static void
tell_copy(const struct fill *f, int code, const char *why)
{
    char digest[DIGEST_TEXT_MAX];
    struct blob_state st;
    blob_look(f->blob, 0, &st);
    digest_print(blob_digest(f->blob), digest);
    bool kept = st.phase == BLOB_VERIFIED || st.phase == BLOB_WHOLE;
    metric_add(kept ? M_copies_kept : M_copies_left, 1);
    if (kept)
        LOG(copy_kept, LOG_S("digest", digest), LOG_U("bytes", f->size));
    else
        LOG(copy_left, LOG_S("digest", digest), LOG_U("have_bytes", st.have_bytes),
            LOG_S("why", why != NULL ? why : err_text(code != 0 ? code : st.error)));
}

void
fill_end(struct fill *f, int code, const char *why)
{
    if (f->copy) {
        tell_copy(f, code, why);
    } else if (code != 0 && why != NULL) {
        char digest[DIGEST_TEXT_MAX];
        digest_print(blob_digest(f->blob), digest);
        LOG(fetch_gave_up, LOG_S("digest", digest), LOG_S("registry", f->origin.host),
            LOG_S("repository", f->origin.repository), LOG_U("tries", f->attempts),
            LOG_S("error", why));
    }
    struct gap kept;
    bool stays = code == 0 && !blob_window(f->blob, &kept);
    if (stays && f->shared && f->ordered == NULL)
        ordered_seed(f);
    ordered_close(f, !stays);
    if (f->listens)
        f->upstream->listens--;
    f->listens = false;
    for (size_t i = 0; i < FILL_RUNS_MAX; i++)
        fill_stop(f, &f->runs[i]);
    blob_set_waker(f->blob, NULL, NULL);
    if (code != 0)
        blob_fail(f->blob, code);
    f->code = code;
    f->over = true;
}

void
fill_free(struct fill *f, int code)
{
    if (!f->over)
        fill_end(f, code, NULL);
    mend_free(f);
    upstream_drop(&f->upstream);
    blob_release(&f->blob);
    origin_release(&f->origin);
    mem_free(f);
}

/* ---- the whole ---- */

static void
begin(struct fill *f, int64_t now_ms)
{
    struct err e = {0};
    struct blob_state st;
    int code = 0;
    f->started = true;
    if (f->upstream == NULL && !f->copy)
        code = upstream_take(f->world->upstreams, &f->origin, &f->upstream, &e);
    if (code != 0) {
        fill_end(f, code, e.text);
        return;
    }
    blob_set_shared(f->blob, !f->background);
    if (f->size == CACHE_SIZE_UNKNOWN)
        return;
    code = blob_begin_patiently(f->blob, f->size);
    f->lacks_room = code == ERR_AGAIN;
    if (f->lacks_room) {
        wire_wake_at(f->world->wire, now_ms + ROOM_LOOK_MS);
        return;
    }
    if (code != 0) {
        fill_end(f, code, err_text(code));
        return;
    }
    f->begun = true;
    blob_look(f->blob, 0, &st);
    f->patience.any_byte = st.have_bytes > 0;
    if (st.have_bytes > 0 && f->size <= PIECE_BLOB_MAX && !blob_passes(f->blob))
        fill_mark_held(f);
    else
        cells_init(&f->cells, f->size);
    if (ordered_open(f, now_ms))
        mend_watch(f, now_ms);
    else if (f->lan_only)
        fill_end(f, ERR_NOT_FOUND, "no other node may give it");
}

/* The swarm heard of pieces that are wrong. */
static void
take_back(struct fill *f)
{
    p2p_dropped(f->world->p2p, blob_digest(f->blob), 0, piece_count(f->size));
    ordered_close(f, true);
}

/* In memory only: nodes that are a little behind may still want the last pieces. */
static bool
lingers(struct fill *f, int64_t now_ms)
{
    struct gap kept;
    if (f->ordered == NULL || !blob_window(f->blob, &kept) || p2p_others(f->world->p2p) == 0)
        return false;
    f->whole_ms = f->whole_ms == 0 ? now_ms : f->whole_ms;
    return now_ms - f->whole_ms < LINGER_MS;
}

/* True when only the check of the digest is left. */
static bool
look(struct fill *f, int64_t now_ms)
{
    struct blob_state st;
    blob_look(f->blob, 0, &st);
    if (f->begun && st.size != CACHE_SIZE_UNKNOWN)
        f->size = st.size;
    if (f->begun && f->cells.size == 0)
        cells_init(&f->cells, f->size);
    bool complete = f->begun && st.phase == BLOB_FILLING && st.have_bytes == f->size;
    f->look_ms = now_ms + (complete ? CHECK_LOOK_MS : LOOK_MS);
    if (f->shared && st.phase == BLOB_FAILED && st.error == ERR_DIGEST)
        take_back(f);
    if (st.sick && f->lan_only)
        fill_end(f, ERR_DIGEST, "wrong bytes");
    else if (st.sick && f->trail != NULL)
        mend_step(f, now_ms);
    if (st.phase == BLOB_VERIFIED || st.phase == BLOB_WHOLE)
        mend_settle(f, now_ms);
    bool right = st.phase == BLOB_VERIFIED || st.phase == BLOB_WHOLE;
    if (right && lingers(f, now_ms))
        return true;
    if (!f->over && (st.phase >= BLOB_VERIFIED || (complete && !f->shared)))
        fill_end(f, 0, NULL);
    return complete;
}

/* A window takes nothing now: it waits for its readers, perhaps in vain. */
static bool
is_full(struct fill *f, const struct gap *kept)
{
    return kept->end < f->size && blob_held_end(f->blob, kept->start) >= kept->end;
}

static bool
awaits_head(const struct fill *f)
{
    for (size_t i = 0; i < FILL_RUNS_MAX; i++)
        if (f->runs[i] != NULL && !source_is_peer(f->runs[i]->call.source) &&
            call_awaits_head(&f->runs[i]->call))
            return true;
    return false;
}

/* Whoever waited is told that nothing came. */
static void
end_late(struct fill *f)
{
    if (!patience_may_listen(awaits_head(f), f->upstream->listens)) {
        fill_end(f, ERR_UPSTREAM, "no byte in time");
        return;
    }
    f->upstream->listens++;
    f->listens = true;
    ordered_quit(f);
    blob_fail(f->blob, ERR_UPSTREAM);
}

static void
step_listening(struct fill *f, int64_t now_ms)
{
    for (size_t i = 0; i < FILL_RUNS_MAX; i++)
        if (f->runs[i] != NULL)
            run_step(f->runs[i], now_ms, false);
    wire_wake_at(f->world->wire, patience_end_ms(&f->patience));
    if (!awaits_head(f) || now_ms >= patience_end_ms(&f->patience))
        fill_end(f, ERR_UPSTREAM, "no byte in time");
}

/* The first byte is late, and who waits cannot wait for a registry that may never answer. */
static bool
is_late(const struct fill *f, int64_t now_ms)
{
    return patience_is_late(&f->patience, now_ms) && !f->background && !f->origin.patient &&
           now_ms >= f->upstream->slow_until_ms;
}

static int64_t
next_look_ms(const struct fill *f, int64_t now_ms)
{
    int64_t late_ms = f->patience.started_ms + FIRST_BYTE_MS - FIRST_BYTE_MARGIN_MS;
    return now_ms < late_ms && !f->patience.any_byte ? late_ms : patience_end_ms(&f->patience);
}

/* This node itself stood still for so long: neither a registry nor a reader did. */
static void
stood_still(struct fill *f, int64_t ms, int64_t now_ms)
{
    patience_stood_still(&f->patience, ms);
    if (f->ordered != NULL)
        ordered_again(f, now_ms);
}

static void
watch_clock(struct fill *f, int64_t now_ms)
{
    bool blocked = false, held = false;
    struct gap kept;
    bool window = f->begun && blob_window(f->blob, &kept);
    for (size_t i = 0; i < FILL_RUNS_MAX; i++) {
        const struct run *r = f->runs[i];
        blocked = blocked || (r != NULL && r->blocked);
        held = held || (r != NULL && exchange_is_held(&r->call.exchange));
    }
    patience_heard(&f->patience, now_ms, awaits_head(f));
    if (held)
        patience_bytes(&f->patience, now_ms, 0); /* they came; it is limits.wan_rate that is slow */
    blocked = blocked || (window && is_full(f, &kept));
    if (blocked)
        f->patience.last_byte_ms = now_ms; /* it is the reader who is slow */
    int64_t most_ms = window ? UNREAD_MS_MAX : BLOCKED_MS_MAX;
    bool unread = blocked && !(window && blob_readers(f->blob) > 0);
    if (patience_unread(&f->patience, now_ms, unread, most_ms))
        fill_end(f, ERR_TIMEOUT, "nobody reads");
    else if (f->patient && is_late(f, now_ms))
        end_late(f);
    else if (f->patient && now_ms >= patience_end_ms(&f->patience))
        fill_end(f, ERR_UPSTREAM, "no byte in time");
    else if (f->patient)
        wire_wake_at(f->world->wire, next_look_ms(f, now_ms));
}

bool
fill_step(struct fill *f, int64_t now_ms, bool woken)
{
    bool complete = false;
    int64_t gap_ms = now_ms - f->stepped_ms;
    if (f->started && gap_ms > FROZEN_MS)
        stood_still(f, gap_ms, now_ms);
    f->stepped_ms = now_ms;
    fill_count_wait(f, now_ms);
    if (f->listens) {
        step_listening(f, now_ms);
        return f->over;
    }
    if (!f->over && (!f->started || f->lacks_room))
        begin(f, now_ms);
    if (f->lacks_room && f->patient && patience_is_late(&f->patience, now_ms))
        fill_end(f, ERR_FULL, "no room in time");
    if (f->lacks_room)
        return f->over;
    if (f->trail != NULL)
        mend_listen(f, now_ms);
    if (!f->over && f->ordered != NULL)
        ordered_step(f, now_ms, woken);
    if (!f->over && f->ordered == NULL)
        solo_step(f, now_ms, woken);
    if (!f->over && (fill_runs(f) == 0 || now_ms >= f->look_ms))
        complete = look(f, now_ms);
    fill_note_waits(f, complete);
    if (!f->over && !complete)
        watch_clock(f, now_ms);
    if (f->over)
        return true;
    fill_measure(f, now_ms);
    wire_wake_at(f->world->wire, f->look_ms);
    return false;
}

bool
fill_is_background(const struct fill *f)
{
    return f->background;
}

bool
fill_is_ordered(const struct fill *f)
{
    return f->ordered != NULL;
}

/* A copy for the site is wanted here now, and may come from its registry, too. */
static void
adopt(struct fill *f, const struct origin *o)
{
    struct err e = {0};
    f->copy = false;
    origin_copy(&f->origin, o);
    int code = upstream_take(f->world->upstreams, &f->origin, &f->upstream, &e);
    if (code != 0)
        fill_end(f, code, e.text);
}

void
fill_hurry(struct fill *f, const struct origin *o, int64_t now_ms)
{
    f->origin.patient = f->origin.patient || o->patient;
    if (!f->background || f->over)
        return;
    if (f->copy)
        adopt(f, o);
    if (f->over)
        return;
    f->background = false;
    blob_set_shared(f->blob, true);
    for (size_t i = 0; i < FILL_RUNS_MAX; i++)
        if (f->runs[i] != NULL)
            f->runs[i]->call.source->background_calls--;
    if (!f->patient)
        fill_start_patience(f, now_ms);
    if (f->ordered != NULL)
        ordered_hurry(f, now_ms);
    f->lan_only = false;
}

void
fill_get(struct fill *f, const struct swarm_get *get)
{
    if (f->ordered != NULL)
        ordered_get(f, get);
}

void
fill_cut(struct fill *f, uint32_t get, uint32_t end)
{
    if (f->ordered != NULL)
        ordered_stop(f, get, end);
}

struct blob *
fill_blob(const struct fill *f)
{
    return f->blob;
}
