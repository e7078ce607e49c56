/* Between curl's 16 KiB pieces and the blob: gather, cut at the end of the claim, write. */
#include "proxy/upstream/run.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include <string.h>

#define BLOCKED_POLL_MS 100 /* the waker says when there is room; this is the belt */

static char
letter(enum blob_source source)
{
    static const char letters[] = {
        [BLOB_FROM_UPSTREAM] = 'u', [BLOB_FROM_PEER] = 'p', [BLOB_FROM_REMOTE_PEER] = 'r'};
    return letters[source];
}

/* They were written just now. */
static void
note_bytes(struct run *r, size_t len)
{
    const struct source *s = r->call.source;
    if (r->cells != NULL)
        cells_mark(r->cells, r->gap.start, r->gap.start + len, letter(s->body_source));
    if (r->p2p != NULL && len > 0)
        p2p_carried(r->p2p, &s->node, FLOW_IN, len);
    if (r->trail != NULL && len > 0)
        trail_bytes(r->trail, &r->hand,
                    (struct trail_giver){node_is_none(&s->node) ? NULL : &s->node,
                                         s->body_source != BLOB_FROM_PEER},
                    r->gap.start, r->buffer, len);
    /* Now: a turn of the fill looks for pieces that nobody heard before it looks at this run. */
    if (r->trail != NULL && r->vouched && r->gap.start + len == r->gap.end)
        trail_heard(r->trail, (uint32_t)(r->piece_start / piece_bytes(r->call.want.size)));
}

/* What is written at once: up to the next edge of the blob. */
static size_t
next_write(const struct run *r)
{
    uint64_t left = RUN_EDGE_BYTES - r->gap.start % RUN_EDGE_BYTES;
    return r->good < left ? r->good : (size_t)left;
}

/* One write; there may be more. 0; ERR_AGAIN: no room, everything is kept; 1: the claim ends before
 * what is held. */
static int
flush(struct run *r)
{
    size_t want = next_write(r);
    if (want == 0)
        return 0;
    uint64_t limit = blob_claim_limit(r->blob, &r->claim);
    r->gap.end = limit > r->gap.start ? limit : r->gap.start;
    uint64_t room = r->gap.end - r->gap.start;
    size_t len = want < room ? want : (size_t)room;
    int code = len == 0
                   ? 0
                   : blob_write(r->blob, r->gap.start, r->buffer, len, r->call.source->body_source);
    r->blocked = code == ERR_AGAIN;
    if (code != 0) {
        r->own_fault = !r->blocked;
        return code;
    }
    note_bytes(r, len);
    bool cut = len < want;
    size_t gone = cut ? r->good : len;
    r->gap.start += len;
    r->got_bytes += len;
    r->held -= gone;
    memmove(r->buffer, r->buffer + gone, r->held);
    r->good -= gone;
    r->good_since_ms = clock_ms();
    patience_bytes(r->patience, r->good_since_ms, len);
    if (len > 0 && !source_is_peer(r->call.source))
        patience_amid(r->patience);
    return cut ? 1 : 0;
}

/* The size of the blob comes with the first answer. */
static int
begin(struct run *r)
{
    uint64_t size = r->call.verdict.size;
    if (size == CACHE_SIZE_UNKNOWN)
        return ERR_SIZE;
    int code = blob_begin(r->blob, size);
    if (code != 0) {
        r->own_fault = true;
        return code;
    }
    r->claimed = blob_claim(r->blob, UINT64_MAX, &r->claim);
    if (r->claimed)
        r->gap = r->claim;
    r->jumped = !r->claimed || r->gap.start > JUMP_BYTES_MAX;
    if (r->jumped)
        return ERR_AGAIN;
    r->call.to_skip += r->gap.start;
    return 0;
}

static int
on_go(struct call *c)
{
    struct run *r = c->owner;
    if (c->verdict.packed_max > 0 && r->unpack == NULL)
        r->unpack = unpack_new(c->verdict.packed_max);
    return r->claimed || r->has_word ? 0 : begin(r);
}

static void
count(const struct run *r, size_t len)
{
    switch (r->call.source->body_source) {
    case BLOB_FROM_UPSTREAM:
        metric_add(M_body_upstream, len);
        return;
    case BLOB_FROM_PEER:
        metric_add(M_body_peer, len);
        return;
    case BLOB_FROM_REMOTE_PEER:
        metric_add(M_body_remote_peer, len);
        return;
    case BLOB_SOURCES:
        break;
    }
    never("blob source");
}

/* The bytes behind those in the buffer; 0, or the code of a body that is wrong. */
static int
take(struct run *r, const char *bytes, size_t len)
{
    struct blocksum *sums = &r->call.verdict.sums;
    size_t before = r->good;
    must(r->held + len <= r->cap); /* less than a block is left after a flush */
    memcpy(r->buffer + r->held, bytes, len);
    if (sums->count > 0) {
        uint64_t start = sums->at - r->held; /* where in the body the buffer begins */
        uint64_t good = 0;
        int code = blocksum_add(sums, bytes, len, &good);
        if (code != 0)
            return code;
        r->good = good > start ? (size_t)(good - start) : 0;
    } else {
        r->good = r->held + len;
    }
    r->held += len;
    if (r->has_word)
        r->good = 0;
    if (before == 0 && r->good > 0)
        r->good_since_ms = clock_ms();
    return 0;
}

static int
on_bytes(void *arg, const char *bytes, size_t len)
{
    struct run *r = arg;
    int code = 0;
    while (code == 0 && r->good > 0 && r->held + len > r->cap)
        code = flush(r);
    if (code != 0)
        return code;
    uint64_t next = r->gap.start + r->held;
    if (next >= r->gap.end)
        return 1;
    uint64_t room = r->gap.end - next;
    if (r->unpack == NULL)
        count(r, len);
    code = take(r, bytes, len < room ? len : (size_t)room);
    bool due = r->got_bytes == 0 || next_write(r) < r->good; /* the first bytes do not wait */
    if (code != 0 || !due)
        return code;
    code = flush(r);
    return code == ERR_AGAIN ? 0 : code;
}

static int
on_body(struct call *c, const char *bytes, size_t len)
{
    struct run *r = c->owner;
    size_t news = 0;
    if (r->unpack == NULL)
        return on_bytes(r, bytes, len);
    int code = unpack_body(r->unpack, bytes, len, on_bytes, r, &news);
    count(r, news);
    return code;
}

static const struct call_ops ops = {on_go, on_body};

void
run_start(struct run *r, struct wire *w, const struct gap *gap, uint64_t size, int64_t now_ms)
{
    must(r->phase == RUN_FREE && (!r->has_word || gap != NULL));
    r->claimed = gap != NULL && !r->has_word;
    r->gap = gap != NULL ? *gap : (struct gap){0, CACHE_SIZE_UNKNOWN};
    r->claim = r->gap;
    r->code = 0;
    r->jumped = r->own_fault = r->blocked = false;
    r->got_bytes = 0;
    r->held = r->good = 0;
    r->cap = r->has_word ? (size_t)(gap->end - gap->start) : RUN_BUFFER_BYTES;
    r->vouched = r->lied = false;
    r->buffer = mem_alloc(r->cap);
    r->call.ops = &ops;
    r->call.owner = r;
    r->call.want.gap = r->gap;
    r->call.want.size = size;
    if (r->gap.start == 0 && r->gap.end == size)
        r->call.want.gap.end = CACHE_SIZE_UNKNOWN; /* all of it: a plain GET */
    r->call.head_wait_ms = patience_head_wait_ms(r->patience, now_ms);
    if (!source_is_peer(r->call.source)) {
        r->call.stall_ms = patience_stall_ms(r->patience);
        r->call.want.uncounted = patience_is_uncounted(r->patience);
        int64_t late_ms = source_late_ms(r->call.source, now_ms);
        r->call.heard_wait_ms = patience_heard_wait_ms(r->patience, now_ms, late_ms);
    }
    int64_t source_ms = r->call.source->head_wait_ms;
    if (source_ms > 0 && source_ms < r->call.head_wait_ms)
        r->call.head_wait_ms = source_ms;
    r->phase = RUN_CALLING;
    call_start(&r->call, w, now_ms);
}

static void
over(struct run *r, int code)
{
    call_stop(&r->call);
    unpack_free(r->unpack);
    r->unpack = NULL;
    trail_put_down(&r->hand);
    mem_free(r->buffer);
    r->buffer = NULL;
    r->held = r->good = 0;
    r->code = code;
    r->phase = RUN_OVER;
}

/* What is held of the piece before `end`. False: it cannot be read. */
static bool
add_held(const struct run *r, uint64_t end, struct digester *d)
{
    AUTO(fd_close) int fd = -1;
    uint64_t len = end - r->piece_start;
    if (len == 0)
        return true;
    if (blob_held_fd(r->blob, r->piece_start, len, &fd) < 0)
        return false;
    void *room = mem_alloc((size_t)len);
    bool read = fs_read_at(fd, r->piece_start, room, (size_t)len) == 0;
    if (read)
        digester_add(d, room, (size_t)len);
    mem_free(room);
    return read;
}

/* Is the piece as the word says: what is held of it, and behind that what is in the buffer? */
static bool
fits(const struct run *r, uint64_t held_end)
{
    struct digest sum;
    size_t skip = (size_t)(held_end - r->gap.start);
    struct digester *d = digester_new(DIGEST_SHA256);
    bool read = add_held(r, held_end, d);
    digester_add(d, r->buffer + skip, r->held - skip);
    digester_finish(d, &sum);
    digester_free(d);
    return read && memcmp(sum.bytes, r->word, ATTEST_BYTES) == 0;
}

/* The piece is claimed from where it lacks, which may be behind where the gap began. */
static int
judge(struct run *r)
{
    uint64_t at = r->claim.start;
    bool all_own = r->gap.start == r->piece_start;
    r->vouched = fits(r, at);
    r->lied = all_own && !r->vouched && (at == r->gap.start || !fits(r, r->gap.start));
    if (!r->vouched)
        return err_set(&r->call.err, ERR_DIGEST, "not what the registry's bytes hash to");
    blob_word(r->blob, r->piece_start, r->word);
    r->held -= (size_t)(at - r->gap.start);
    memmove(r->buffer, r->buffer + (at - r->gap.start), r->held);
    r->gap.start = at;
    r->good = r->held;
    r->good_since_ms = clock_ms();
    return 0;
}

bool
run_is_kept_out(const struct run *r)
{
    return r->has_word && r->phase == RUN_FLUSHING && !r->claimed && r->held == r->cap;
}

/* Whoever has all of the piece first writes it. */
static void
claim_late(struct run *r, int64_t now_ms)
{
    if (blob_held_end(r->blob, r->gap.start) >= r->gap.end) {
        over(r, 0);
        return;
    }
    r->claimed = blob_claim_in(r->blob, r->piece_start, r->gap.end, &r->claim);
    if (r->claimed && r->claim.start < r->gap.start) {
        over(r, 0); /* what was here before the gap was dropped since: the order asks anew */
        return;
    }
    int code = r->claimed ? judge(r) : 0;
    if (code != 0)
        over(r, code);
    else if (!r->claimed)
        wire_wake_at(r->call.wire, now_ms + BLOCKED_POLL_MS);
}

/* All that was asked for has come, or what there was of a call that broke. */
static void
conclude(struct run *r)
{
    int code = r->call.code;
    if (r->jumped)
        code = 0;
    else if (code == 0 && r->gap.start < r->gap.end)
        code = err_set(&r->call.err, ERR_UPSTREAM, "body ended early");
    over(r, code);
}

static void
write_good(struct run *r, int64_t now_ms, bool woken)
{
    int64_t good_ms = now_ms - r->good_since_ms;
    bool due = r->phase == RUN_FLUSHING || good_ms >= FLUSH_MS;
    if (r->good == 0)
        return;
    /* Blocked: the waker comes once for the room that was refused, so it counts at once. */
    if (r->blocked ? !woken && good_ms < BLOCKED_POLL_MS : !due) {
        wire_wake_at(r->call.wire,
                     r->blocked ? now_ms + BLOCKED_POLL_MS : r->good_since_ms + FLUSH_MS);
        return;
    }
    bool was_blocked = r->blocked;
    int code = 0;
    while (code == 0 && r->good > 0)
        code = flush(r);
    if (code == ERR_AGAIN) {
        r->good_since_ms = now_ms;
        wire_wake_at(r->call.wire, now_ms + BLOCKED_POLL_MS);
    } else if (code != 0) {
        over(r, code < 0 ? code : 0);
    } else if (was_blocked) {
        call_resume(&r->call);
    }
}

void
run_step(struct run *r, int64_t now_ms, bool woken)
{
    if (r->phase == RUN_CALLING) {
        call_step(&r->call, now_ms);
        if (r->call.phase == CALL_ENDED)
            r->phase = RUN_FLUSHING;
    }
    if (run_is_kept_out(r))
        claim_late(r, now_ms);
    if (r->phase == RUN_CALLING || r->phase == RUN_FLUSHING)
        write_good(r, now_ms, woken);
    if (r->phase == RUN_FLUSHING && r->good == 0 && !run_is_kept_out(r))
        conclude(r);
}

bool
run_found_away(const struct run *r)
{
    return patience_is_away(r->call.exchange.head.status, r->call.want.refused);
}

void
run_cut(struct run *r, uint64_t end)
{
    if (r->claimed)
        blob_claim_cut(r->blob, &r->claim, end);
    if (r->gap.end > end)
        r->gap.end = end;
}

bool
run_is_final(const struct run *r)
{
    bool network = r->code == ERR_UPSTREAM || r->code == ERR_TIMEOUT;
    return r->code != ERR_BUSY && (r->call.final || !network);
}

void
run_stop(struct run *r)
{
    if (r->phase == RUN_FREE)
        return;
    if (r->phase != RUN_OVER)
        over(r, 0);
    if (r->claimed && r->gap.start < r->gap.end)
        blob_unclaim(r->blob, &r->claim);
    r->claimed = false;
    r->phase = RUN_FREE;
}
