/* The requests of a fill: their places, how they start and stop, what is noted of them. */
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/upstream/fill_inside.h"
#include "proxy/upstream/peer.h"

unsigned
fill_runs(const struct fill *f)
{
    unsigned n = 0;
    for (size_t i = 0; i < FILL_RUNS_MAX; i++)
        n += f->runs[i] != NULL;
    return n;
}

bool
fill_has_place(const struct fill *f, const struct source *s, bool due)
{
    const struct fill_world *w = f->world;
    if (fill_runs(f) == FILL_RUNS_MAX)
        return false;
    uint64_t buffers = due ? BUFFER_BYTES_MAX : BUFFER_BYTES_MAX - BUFFER_DUE_BYTES;
    if (source_is_peer(s))
        return w->peer_calls < PEER_CALLS_MAX && w->buffer_bytes + piece_bytes(f->size) <= buffers;
    return w->blob_calls < BLOB_CALLS_MAX && (due || s->blob_calls < REGISTRY_CALLS_MAX) &&
           (!f->background || s->background_calls < BACKGROUND_CALLS_MAX);
}

static void
set_path(struct fill *f, struct want *w, bool peer)
{
    char digest[DIGEST_TEXT_MAX];
    digest_print(blob_digest(f->blob), digest);
    const char *before = peer ? PIECE_PATH : "blobs/";
    must(text_printf(w->path, sizeof w->path, "%s%s", before, digest) == 0);
    if (!peer && !f->part_only) /* what If-Range does not match comes whole */
        (void)!text_copy(w->etag, sizeof w->etag, f->etag);
}

struct run **
fill_start(struct fill *f, struct source *s, const struct gap *gap, const char *class,
           const struct fill_word *word, int64_t now_ms)
{
    size_t at = 0;
    while (f->runs[at] != NULL)
        at++;
    struct run *r = f->runs[at] = mem_zalloc(sizeof *r);
    bool peer = source_is_peer(s);
    r->blob = f->blob;
    r->patience = &f->patience;
    r->trail = f->trail;
    if (word != NULL) {
        r->has_word = true;
        memcpy(r->word, word->bytes, ATTEST_BYTES);
        r->call.want.vouched = !word->with_sums;
        r->piece_start = gap->start - gap->start % piece_bytes(f->size);
    }
    r->cells = &f->cells;
    r->p2p = f->world->p2p;
    r->call.source = s;
    r->call.want.origin = &f->origin;
    r->call.want.class = class;
    r->call.want.part_only = !peer && (f->ordered != NULL || f->part_only);
    set_path(f, &r->call.want, peer);
    s->blob_calls++;
    s->background_calls += f->background;
    f->world->blob_calls += !peer;
    f->world->peer_calls += peer;
    f->attempts += !peer;
    f->peer_attempts += peer;
    run_start(r, f->world->wire, gap, f->size, now_ms);
    f->world->buffer_bytes += peer ? r->cap : 0;
    return &f->runs[at];
}

void
fill_stop(struct fill *f, struct run **run)
{
    struct run *r = *run;
    if (r == NULL)
        return;
    struct source *s = r->call.source;
    bool peer = source_is_peer(s);
    *run = NULL;
    f->world->buffer_bytes -= peer ? r->cap : 0;
    f->ended_bytes[s->body_source] += r->got_bytes;
    run_stop(r);
    mem_free(r);
    s->blob_calls--;
    s->background_calls -= f->background;
    f->world->blob_calls -= !peer;
    f->world->peer_calls -= peer;
    wire_wake_at(f->world->wire, 0); /* others may wait for the place */
}

static void
note_trouble(struct fill *f, const struct run *r)
{
    struct fetch_trouble *t = &f->trouble;
    bool peer = source_is_peer(r->call.source);
    t->peers += peer;
    t->upstream += !peer;
    if (!peer && text_copy(t->last, sizeof t->last, r->call.err.text) != 0)
        (void)!text_copy(t->last, sizeof t->last, err_text(r->code));
}

void
fill_log_failure(struct fill *f, const struct run *r)
{
    note_trouble(f, r);
    char digest[DIGEST_TEXT_MAX];
    digest_print(blob_digest(f->blob), digest);
    const struct source *s = r->call.source;
    uint64_t status = (uint64_t)r->call.exchange.head.status;
    if (source_is_peer(s)) {
        if (r->code != ERR_BUSY)
            LOG(peer_failed, LOG_S("peer", s->name), LOG_S("digest", digest),
                LOG_U("at", r->gap.start), LOG_U("status", status),
                LOG_S("error", r->call.err.text));
    } else if (r->call.exchange.stalled) {
        LOG(upstream_stall, LOG_S("source", s->name), LOG_S("digest", digest),
            LOG_U("at", r->gap.start));
    } else if (r->code != ERR_BUSY) {
        LOG(upstream_failed, LOG_S("source", s->name), LOG_S("digest", digest),
            LOG_U("at", r->gap.start), LOG_U("status", status), LOG_S("error", r->call.err.text));
    }
}

/* An answer from the start although a range was asked: its ETag is no help next time. */
void
fill_keep_etag(struct fill *f, const struct run *r)
{
    const struct call *c = &r->call;
    if (!c->judged || c->verdict.kind != VERDICT_GO)
        return;
    const char *etag = c->verdict.skip > 0 ? "" : c->exchange.head.etag;
    (void)!text_copy(f->etag, sizeof f->etag, etag);
}
