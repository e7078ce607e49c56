/* What people are told of a fill. */
#include "base/mem.h"
#include "base/text.h"
#include "proxy/upstream/fill_inside.h"

#define RATE_MS 1000

void
fill_mark_held(struct fill *f)
{
    uint64_t at = 0;
    cells_init(&f->cells, f->size);
    uint32_t pieces = piece_count(f->size), bytes = piece_bytes(f->size);
    uint8_t *held = mem_zalloc(BITS_BYTES(pieces));
    blob_held_bits(f->blob, held);
    for (uint32_t i = 0; i < pieces; i++, at += bytes)
        if (bits_get(held, i))
            cells_mark(&f->cells, at, at + bytes, 'd');
    mem_free(held);
}

static enum fetch_wait
waits_for(const struct fill *f, bool complete)
{
    bool upstream = false, peers = false;
    for (size_t i = 0; i < FILL_RUNS_MAX; i++) {
        if (f->runs[i] == NULL)
            continue;
        peers = peers || source_is_peer(f->runs[i]->call.source);
        upstream = upstream || !source_is_peer(f->runs[i]->call.source);
    }
    if (complete)
        return FETCH_WAIT_CHECK;
    if (upstream)
        return peers ? FETCH_WAIT_BOTH : FETCH_WAIT_UPSTREAM;
    return peers ? FETCH_WAIT_PEERS : FETCH_WAIT_TURN;
}

void
fill_note_waits(struct fill *f, bool complete)
{
    f->waits_for = waits_for(f, complete);
}

void
fill_count_wait(struct fill *f, int64_t now_ms)
{
    f->wait_ms[f->waits_for] += now_ms - f->waited_ms;
    f->waited_ms = now_ms;
}

static void
count_bytes(const struct fill *f, uint64_t ret[BLOB_SOURCES])
{
    memcpy(ret, f->ended_bytes, sizeof f->ended_bytes);
    for (size_t i = 0; i < FILL_RUNS_MAX; i++)
        if (f->runs[i] != NULL)
            ret[f->runs[i]->call.source->body_source] += f->runs[i]->got_bytes;
}

void
fill_measure(struct fill *f, int64_t now_ms)
{
    uint64_t from[BLOB_SOURCES], got = 0;
    if (now_ms - f->rate_mark_ms < RATE_MS)
        return;
    count_bytes(f, from);
    for (size_t i = 0; i < BLOB_SOURCES; i++)
        got += from[i];
    uint64_t took_ms = (uint64_t)(now_ms - f->rate_mark_ms);
    f->rate_bytes_s = (got - f->rate_mark_bytes) * 1000 / took_ms;
    f->rate_mark_bytes = got;
    f->rate_mark_ms = now_ms;
}

static void
list_asked(const struct fill *f, struct transfer_info *ret)
{
    for (size_t i = 0; i < FILL_RUNS_MAX && ret->asked_count < TRANSFER_ASKED_MAX; i++) {
        const struct run *r = f->runs[i];
        if (r != NULL)
            ret->asked[ret->asked_count++] =
                (struct transfer_asked){r->call.source->node, r->gap.start, r->gap.end};
    }
}

void
fill_told(const struct fill *f, int64_t now_ms, struct fetched_info *ret)
{
    struct blob_state st;
    blob_look(f->blob, 0, &st);
    *ret = (struct fetched_info){.digest = *blob_digest(f->blob),
                                 .ended_ms = now_ms,
                                 .took_ms = now_ms - f->begun_ms,
                                 .size = st.size,
                                 .attempts = f->attempts,
                                 .peer_attempts = f->peer_attempts,
                                 .trouble = f->trouble,
                                 .background = f->background,
                                 .copy = f->copy,
                                 .code = f->code};
    memcpy(ret->wait_ms, f->wait_ms, sizeof ret->wait_ms);
    count_bytes(f, ret->from_bytes);
    (void)!text_copy(ret->host, sizeof ret->host, f->origin.host);
    (void)!text_copy(ret->repository, sizeof ret->repository, f->origin.repository);
}

void
fill_info(const struct fill *f, int64_t now_ms, struct transfer_info *ret)
{
    struct blob_state st;
    blob_look(f->blob, 0, &st);
    *ret = (struct transfer_info){
        .digest = *blob_digest(f->blob),
        .size = st.size,
        .have_bytes = st.have_bytes,
        .rate_bytes_s = f->rate_bytes_s,
        .requests = fill_runs(f),
        .attempts = f->attempts,
        .peer_attempts = f->peer_attempts,
        .background = f->background,
        .copy = f->copy,
        .swarm = f->ordered != NULL,
        .since_ms = now_ms - f->begun_ms,
        .trouble = f->trouble,
        .cells = f->cells,
    };
    memcpy(ret->wait_ms, f->wait_ms, sizeof ret->wait_ms);
    count_bytes(f, ret->from_bytes);
    list_asked(f, ret);
    (void)!text_copy(ret->host, sizeof ret->host, f->origin.host);
    (void)!text_copy(ret->repository, sizeof ret->repository, f->origin.repository);
}
