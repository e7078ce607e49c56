/*
 * The orders of one blob.
 *
 *   order      WAITS for a place or a claim --fill_start--> RUNS --gap done--> WAITS
 *              WAITS, nothing of it lacks --DONE--> free
 *              RUNS, the source failed --BUSY, FAILED--> free
 *              any, stopped before where it is --DONE--> free
 *              a sip, another one is for its piece --DONE--> free
 *
 * Two things that no order can help are left to each node alone, as without a swarm: a registry
 * that knows no ranges, of which each would read nearly all for its part, and other nodes of which
 * none answers (reach).
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "proxy/upstream/ordered_inside.h"
#include "proxy/upstream/peer.h"

#define ALONE_MS 250 /* for the first order when no other node is there */
/* A reader without a first byte, which is due 1 s later, and nobody is asked for one in spite of
 * SWARM_FIRST_MS. */
#define STRANDED_MS 3500
#define UNASKED_MS  500 /* then, and nobody since so long: a peer that is busy is asked again */
/* The same later, or when no client waits: a WAN that is out for some seconds is out for all, and
 * whoever leaves the swarm for it fetches everything once more afterwards. After the swarm's own
 * rescues (SWARM_PATIENT_MS and a turn), while there is time for a byte before SILENCE_MS. */
#define UNREAD_MS 17500
#define LATE_MS   250 /* after its limit, what a turn finds says nothing of a peer */

/* A copy may come from another site. */
static bool
none_answers(struct fill *f, int64_t now_ms)
{
    return reach_look(&f->world->reach, p2p_others(f->world->p2p), now_ms) && !f->copy;
}

bool
ordered_open(struct fill *f, int64_t now_ms)
{
    struct p2p *p2p = f->world->p2p;
    /* What is read with a client's own secret is nobody else's business. */
    bool secret = !f->copy && f->origin.registry->auth == AUTH_PASS;
    if (p2p == NULL || secret || f->size == 0 || f->size > PIECE_BLOB_MAX || blob_passes(f->blob))
        return false;
    if (none_answers(f, now_ms))
        return false;
    f->ordered = mem_zalloc(sizeof *f->ordered);
    f->ordered->p2p = p2p;
    f->ordered->piece_bytes = piece_bytes(f->size);
    f->ordered->flags =
        WIRE_SERVES | (f->lan_only ? 0 : WIRE_MAY_FETCH) | (f->background ? 0 : WIRE_CLIENT);
    if (f->copy)
        f->ordered->flags |= WIRE_FOR_COPY;
    f->ordered->since_ms = f->ordered->peers_ms = f->ordered->asked_ms = now_ms;
    f->shared = true;
    ordered_want(f);
    ordered_tell_window(f);
    return true;
}

void
ordered_seed(struct fill *f)
{
    uint8_t *held = mem_zalloc(BITS_BYTES(piece_count(f->size)));
    blob_held_bits(f->blob, held);
    p2p_want(f->world->p2p, blob_digest(f->blob), f->size, WIRE_SERVES, held);
    mem_free(held);
}

static void
finish(struct fill *f, struct order *o, enum swarm_end how)
{
    int64_t took_us = 0;
    unsigned busy_ms = 0;
    const struct run *r = o->run == NULL ? NULL : *o->run;
    if (r != NULL) {
        took_us = clock_us() - r->call.exchange.started_us;
        busy_ms = r->call.verdict.busy_ms;
        fill_stop(f, o->run);
    }
    p2p_end(f->ordered->p2p, blob_digest(f->blob), o->id, how, took_us, busy_ms);
    if (source_is_peer(o->source)) {
        peer_count(how);
        peer_drop(&o->source);
    }
    memset(o, 0, sizeof *o);
}

/* ---- one order ---- */

static const char *
class_of(const struct fill *f, const struct gap *gap)
{
    const struct ordered *w = f->ordered;
    if (f->background)
        return "background";
    for (size_t i = 0; i < w->cursors_count; i++)
        if (w->cursors[i] / w->piece_bytes == gap->start / w->piece_bytes)
            return "cursor";
    return "fill";
}

/* Is all that was asked for here? Then its pieces are told; of a sip there are none. */
static bool
is_done(struct fill *f, struct order *o)
{
    ordered_tell_pieces(f, o);
    return blob_held_end(f->blob, ordered_piece_start(f, o->piece)) >= o->end;
}

/* What an order asks for next. With a word nothing is claimed before all of it is here. */
static bool
next_gap(struct fill *f, const struct order *o, struct gap *ret)
{
    uint64_t start = ordered_piece_start(f, o->piece);
    /* A peer gives one piece at a time. */
    uint64_t end = source_is_peer(o->source) ? ordered_piece_start(f, o->piece + 1) : o->end;
    if (!o->has_word)
        return blob_claim_in(f->blob, start, end, ret);
    *ret = (struct gap){blob_held_end(f->blob, start), end};
    return true;
}

/* The next request of an order that waits; DONE when nothing of it lacks. */
static void
go_on(struct fill *f, struct order *o, int64_t now_ms)
{
    struct gap gap;
    if (is_done(f, o)) {
        finish(f, o, SWARM_DONE);
        return;
    }
    if (!source_is_peer(o->source) && now_ms < f->upstream->no_ranges_until_ms) {
        f->ordered->no_parts = true;
        return;
    }
    if (!fill_has_place(f, o->source, !f->background && fill_runs(f) == 0) || !next_gap(f, o, &gap))
        return;
    if (!f->patient && !f->copy)
        fill_start_patience(f, now_ms);
    o->told_bytes = 0;
    o->told_ms = now_ms;
    struct fill_word word = {o->word, o->again};
    o->run = fill_start(f, o->source, &gap, class_of(f, &gap), o->has_word ? &word : NULL, now_ms);
}

static enum swarm_end
how_it_ended(const struct order *o, const struct run *r)
{
    if (r->code == ERR_BUSY)
        return SWARM_BUSY;
    if (r->lied)
        return SWARM_LIED;
    /* A thread that stood still finds its connections timed out that were made meanwhile. */
    int64_t took_ms = (clock_us() - r->call.exchange.started_us) / 1000;
    bool network =
        r->code == ERR_UPSTREAM || (r->code == ERR_TIMEOUT && took_ms < PEER_CONNECT_MS + LATE_MS);
    bool denied = r->call.judged ? r->code == ERR_NOT_FOUND || r->code == ERR_UPSTREAM
                                 : network && r->call.exchange.peer_ip[0] == '\0';
    return source_is_peer(o->source) && denied ? SWARM_DENIED : SWARM_FAILED;
}

static bool
sent_all(const struct run *r)
{
    return r->call.judged && r->call.verdict.sent_all;
}

static void
note_reach(struct reach *reach, const struct run *r, int64_t now_ms)
{
    const struct source *s = r->call.source;
    if (s->body_source != BLOB_FROM_PEER)
        return;
    if (r->call.exchange.head.status != 0)
        reach_answered(reach);
    else if (r->code == ERR_UPSTREAM || r->code == ERR_TIMEOUT)
        reach_failed(reach, &s->node, now_ms);
}

/* Does the registry give something to another order? That one will find out what is wrong there; a
 * sip that was not answered yet may do so late. Nor does a sip say what is to become of the blob
 * while its piece is asked of a peer. */
static bool
is_brought(const struct fill *f, const struct order *but)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++) {
        const struct order *o = &f->ordered->orders[i];
        if (o == but || o->run == NULL)
            continue;
        if (source_is_peer(o->source) ? but->is_sip && o->piece == but->piece
                                      : !o->is_sip || (*o->run)->got_bytes > 0)
            return true;
    }
    return false;
}

/* A registry that sent all for a part may send parts the next time. What is not as its word was
 * damaged on its way if the sums of its blocks are wrong, too. */
static bool
shall_repeat(const struct fill *f, const struct order *o, const struct run *r, int64_t now_ms)
{
    bool whole = sent_all(r) && now_ms >= f->upstream->no_ranges_until_ms;
    return !o->again && (whole || r->lied);
}

static void
repeat(struct fill *f, struct order *o)
{
    o->again = true;
    fill_stop(f, o->run);
    o->run = NULL;
}

/* Its request failed. */
static void
settle_failure(struct fill *f, struct order *o, int64_t now_ms)
{
    const struct run *r = *o->run;
    fill_log_failure(f, r);
    if (shall_repeat(f, o, r, now_ms)) {
        repeat(f, o);
        return;
    }
    if (r->own_fault)
        fill_end(f, r->code, NULL);
    else if (sent_all(r) && now_ms < f->upstream->no_ranges_until_ms)
        f->ordered->no_parts = true;
    else if (!source_is_peer(o->source) && !is_brought(f, o))
        ordered_refused(f, r, now_ms);
    if (!f->over)
        finish(f, o, how_it_ended(o, r));
}

/* Its request is over. */
static void
settle(struct fill *f, struct order *o, int64_t now_ms)
{
    const struct run *r = *o->run;
    note_reach(&f->world->reach, r, now_ms);
    if (!source_is_peer(o->source))
        fill_keep_etag(f, r);
    if (r->code == 0 && is_done(f, o)) {
        finish(f, o, SWARM_DONE);
        return;
    }
    if (r->code == 0) {
        fill_stop(f, o->run);
        o->run = NULL;
        return;
    }
    settle_failure(f, o, now_ms);
}

/* Who brings all of these pieces does not wait for what is sipped of them. */
static void
end_sips(struct fill *f, uint32_t first, uint32_t count)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++) {
        struct order *o = &f->ordered->orders[i];
        if (o->is_sip && o->piece >= first && o->piece - first < count)
            finish(f, o, SWARM_DONE);
    }
}

static void
step_order(struct fill *f, struct order *o, int64_t now_ms, bool woken)
{
    if (source_is_peer(o->source))
        f->ordered->peers_ms = now_ms;
    if (o->run != NULL) {
        run_step(*o->run, now_ms, woken);
        if (run_is_kept_out(*o->run)) {
            end_sips(f, o->piece, 1);
            run_step(*o->run, now_ms, woken);
        }
        bool is_over = (*o->run)->phase == RUN_OVER;
        ordered_tell_progress(f, o, now_ms, is_over);
        if (is_over)
            settle(f, o, now_ms);
    }
    if (!f->over && o->id != 0 && o->run == NULL)
        go_on(f, o, now_ms);
}

static void
leave(struct fill *f, const char *why)
{
    char digest[DIGEST_TEXT_MAX];
    if (f->lan_only) {
        fill_end(f, f->copy ? ERR_LATER : ERR_NOT_FOUND, why);
        return;
    }
    digest_print(blob_digest(f->blob), digest);
    LOG(swarm_left, LOG_S("digest", digest), LOG_S("why", why));
    metric_add(M_swarm_left, 1);
    ordered_close(f, true);
    f->claimable = true;
}

/* NULL: there is none; id 0: a free place. */
static struct order *
find(struct fill *f, uint32_t id)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++)
        if (f->ordered->orders[i].id == id)
            return &f->ordered->orders[i];
    return NULL;
}

static bool
is_for_registry(const struct swarm_get *get)
{
    return get->source == SWARM_WAN && node_is_none(&get->node);
}

/* Does it name pieces of this blob, and may whom it names be asked? */
static bool
may_be_asked(struct fill *f, const struct swarm_get *get)
{
    uint32_t pieces = piece_count(f->size);
    if (get->id == 0 || get->first >= pieces || get->count > pieces - get->first)
        return false;
    if (is_for_registry(get))
        return !f->copy;
    return node_is_none(&get->node) || !bans_hold(&f->world->bans, &get->node, clock_ms());
}

void
ordered_get(struct fill *f, const struct swarm_get *get)
{
    struct ordered *w = f->ordered;
    struct order *o = find(f, 0);
    if (o == NULL || !may_be_asked(f, get)) {
        p2p_end(w->p2p, blob_digest(f->blob), get->id, SWARM_FAILED, 0, 0);
        return;
    }
    if (!get->has_word)
        end_sips(f, get->first, get->count);
    w->any = true;
    o->id = get->id;
    o->source = f->upstream;
    if (!is_for_registry(get))
        o->source = peer_take(f->world->peers, w->p2p, &get->node, &get->addr,
                              get->source == SWARM_WAN ? BLOB_FROM_REMOTE_PEER : BLOB_FROM_PEER);
    o->has_word = get->has_word;
    memcpy(o->word, get->word, sizeof o->word);
    o->piece = get->first;
    o->is_sip = get->sip > 0;
    o->end = get->sip > 0 ? ordered_piece_start(f, get->first) + get->sip
                          : ordered_piece_start(f, get->first + get->count);
}

void
ordered_stop(struct fill *f, uint32_t get, uint32_t end)
{
    struct order *o = find(f, get);
    uint64_t at = ordered_piece_start(f, end);
    if (get == 0) {
        leave(f, "no place");
        return;
    }
    if (o == NULL || at >= o->end)
        return;
    o->end = at;
    const struct run *r = o->run == NULL ? NULL : *o->run;
    if (r != NULL && r->gap.start < at) {
        run_cut(*o->run, at);
        return;
    }
    if (r != NULL)
        ordered_tell_progress(f, o, clock_ms(), true);
    finish(f, o, SWARM_DONE);
}

/* ---- shall it stay in the swarm? ---- */

/* Who is asked now: anybody, or the registry? */
static bool
is_asking(const struct ordered *w, bool registry_only)
{
    for (size_t i = 0; i < SWARM_GETS_MAX; i++) {
        const struct order *o = &w->orders[i];
        if (o->id != 0 && o->run != NULL && !(registry_only && source_is_peer(o->source)))
            return true;
    }
    return false;
}

/* The swarm gives nothing although our registry might. */
static bool
is_stranded(struct fill *f, int64_t now_ms)
{
    struct ordered *w = f->ordered;
    uint64_t at;
    if (is_asking(w, false))
        w->asked_ms = now_ms;
    /* It answers, or patience ends: alone we would only ask it once more. */
    if (w->refused != 0 || w->rest_until_ms != 0 || is_asking(w, true))
        return false;
    bool waits = !f->background && blob_cursors(f->blob, &at, 1) > 0;
    bool late = waits && !f->patience.any_byte && now_ms - w->asked_ms >= UNASKED_MS;
    int64_t limit_ms = late ? STRANDED_MS : UNREAD_MS;
    if (!w->any && !f->copy && p2p_others(w->p2p) == 0)
        limit_ms = ALONE_MS;
    if (f->lan_only && !f->copy)
        limit_ms = STRANDED_MS;
    int64_t from_ms = w->since_ms;
    if (f->patience.any_byte && f->patience.last_byte_ms > from_ms)
        from_ms = f->patience.last_byte_ms;
    wire_wake_at(f->world->wire, from_ms + limit_ms);
    return now_ms - from_ms >= limit_ms;
}

/* NULL: orders may help, or nothing else can now. */
static const char *
hopeless_why(struct fill *f, int64_t now_ms)
{
    const struct ordered *w = f->ordered;
    bool lost = none_answers(f, now_ms);
    if (w->refused != 0 || w->rest_until_ms != 0)
        return NULL;
    if (w->no_parts)
        return "the registry sends no ranges";
    return lost ? "no other node answers" : NULL;
}

void
ordered_step(struct fill *f, int64_t now_ms, bool woken)
{
    ordered_tell_window(f);
    for (size_t i = 0; i < SWARM_GETS_MAX && !f->over; i++)
        if (f->ordered->orders[i].id != 0)
            step_order(f, &f->ordered->orders[i], now_ms, woken);
    if (f->over || blob_held_end(f->blob, 0) == f->size)
        return;
    const char *hopeless = hopeless_why(f, now_ms);
    if (hopeless != NULL) {
        leave(f, hopeless);
        return;
    }
    ordered_tell_cursors(f, now_ms, woken);
    ordered_watch_registry(f, now_ms);
    if (!f->over && is_stranded(f, now_ms))
        leave(f, f->ordered->any ? "no byte" : "no order");
}

void
ordered_hurry(struct fill *f, int64_t now_ms)
{
    struct ordered *w = f->ordered;
    w->flags |= WIRE_CLIENT;
    if (f->lan_only && f->origin.registry->auth != AUTH_PASS)
        w->flags |= WIRE_MAY_FETCH;
    w->flags &= (uint8_t)~WIRE_FOR_COPY;
    w->since_ms = now_ms;
    ordered_want(f);
}

void
ordered_again(struct fill *f, int64_t now_ms)
{
    f->ordered->since_ms = now_ms;
}

void
ordered_quit(struct fill *f)
{
    for (size_t i = 0; f->ordered != NULL && i < SWARM_GETS_MAX; i++)
        if (f->ordered->orders[i].id != 0 && !source_is_peer(f->ordered->orders[i].source))
            f->ordered->orders[i].run = NULL;
    ordered_close(f, true);
}

void
ordered_close(struct fill *f, bool leave)
{
    struct ordered *w = f->ordered;
    if (w == NULL)
        return;
    for (size_t i = 0; i < SWARM_GETS_MAX; i++) {
        struct order *o = &w->orders[i];
        if (o->run != NULL)
            fill_stop(f, o->run);
        if (o->id != 0 && source_is_peer(o->source))
            peer_drop(&o->source);
    }
    if (leave)
        p2p_leave(w->p2p, blob_digest(f->blob));
    f->ordered = NULL;
    mem_free(w);
}
