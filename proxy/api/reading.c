/*
 * Reads a blob that may still be growing.
 *
 *   blob FAILED with         before the headers        behind them
 *   disk, amid it            go on in memory with its other readers; else as without room
 *   no room, disk            a joined blob once more,  pass through memory, at the same byte
 *                            leading it; else pass
 *                            through memory
 *   digest mismatch          404                       FIN; the next request starts clean
 *   bytes that were passed   -                         FIN: the blob is mended, not what was sent
 *   anything else            404; a joined blob once   once more at the same byte, then FIN
 *                            more, leading it
 *
 * A blob that is shared in memory may leave a slow reader behind: it passes through by itself then.
 *
 * A client that takes a blob to its end does not complete with bytes of two sources that do not
 * fit:
 *
 *   what goes on           proves what was sent before
 *   in memory, amid it     at its end the digest of what was sent; a part that has begun passes
 *   passing, whole blob    its digest goes on from what was sent
 *   passing, a part        it begins where the part does; what is dropped is compared
 *   joined once more       the same file; else at its end: of the whole blob the digest of what was
 *                          sent, of a part that of the same bytes in its file
 *
 * A part that passes comes alone, unproven, where it ends before the held-back tail or is wanted
 * for its own sake (span.apart): all of it is the registry's then, as it would be without this
 * node.
 *
 * What was sent is read again for that; of a blob in memory it is gone, so it is hashed as it goes.
 *
 * `passed` is where a pass-through blob stands: it gives each byte once.
 */
#include "proxy/api/reading.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "proxy/api/blobget.h"
#include <microhttpd.h>

#define MAGIC      0x52454144u
#define FROZEN_MS  2000  /* a wait that ends so late was not a wait for others */
#define SLICE_MS   1000  /* how often a waiting thread looks whether its client is still there */
#define SILENCE_MS 25000 /* of a body, far below the five minutes of the CRI */
#define SKIP_BYTES (8u * 1024)

struct reading {
    uint32_t magic;
    struct request *r;
    struct digest digest;
    struct blob *blob;
    int place; /* of blob_enter; -1: none */
    enum cache_got got;
    uint64_t size; /* CACHE_SIZE_UNKNOWN until it is known */
    struct span span;
    bool begun; /* headers are out */
    bool tried_again;
    bool passing;
    bool spoilt;            /* wrong bytes were passed on */
    uint64_t passed;        /* passing: next byte that the blob gives */
    struct digester *sent;  /* of what was sent; NULL: it can be read again */
    struct digester *again; /* of what is dropped; NULL: nothing is, or it was compared */
    struct blob *before;    /* what was sent came from it, and its file; until the next byte */
    bool unproven;          /* the blob does not prove what was sent before */
    unsigned repairs;       /* of the blob, when what was passed on was right as far as known */
};

static bool
is_of_disk(int code)
{
    return code == ERR_FULL || code == ERR_STORE || (code < 0 && code > -4096);
}

enum reading_next
reading_judge(int code, bool passing, bool may_try_again, bool fresh)
{
    bool store = is_of_disk(code);
    if (code == ERR_DIGEST || code == ERR_CLOSED)
        return READING_GIVE_UP;
    if (store && !passing)
        return fresh && may_try_again ? READING_AGAIN : READING_PASS;
    return may_try_again && !store ? READING_AGAIN : READING_GIVE_UP;
}

static void
enter(struct reading *g, uint64_t at)
{
    if (g->place >= 0)
        blob_leave(g->blob, g->place);
    g->place = blob_enter(g->blob, at);
}

static void
release(struct reading *g)
{
    if (g->blob)
        blob_leave(g->blob, g->place);
    g->place = -1;
    blob_release(&g->blob);
}

static void
forget_digester(struct digester **d)
{
    digester_free(*d);
    *d = NULL;
}

static void
acquire(struct reading *g)
{
    static const char *const sources[] = {
        [CACHE_HIT] = "cache", [CACHE_JOIN] = "joined", [CACHE_LEAD] = "upstream"};
    struct rooms *rooms = g->r->rooms;
    g->blob = cache_acquire(rooms->cache, &g->digest, &g->got);
    if (!g->begun)
        g->r->source = sources[g->got];
    g->repairs = g->begun ? 0 : blob_repairs(g->blob);
    if (g->got == CACHE_LEAD)
        fetch_blob(rooms->fetch, &g->r->origin, g->blob, g->size, false);
    else if (g->got == CACHE_JOIN)
        fetch_hurry(rooms->fetch, &g->r->origin, g->blob);
}

/* Nobody else is to get what comes. */
static void
read_privately(struct reading *g, struct blob *fresh, uint64_t from)
{
    g->blob = fresh;
    g->repairs = 0;
    g->passing = true;
    g->passed = from;
    g->r->source = "passed";
}

static bool
open_alone(struct reading *g, const struct span *part)
{
    struct blob *fresh = NULL;
    struct gap want = {part->start, part->end};
    if (cache_pass_part(g->r->rooms->cache, &g->digest, &want, true, &fresh) < 0)
        return false;
    g->got = CACHE_JOIN; /* it may be tried once more, with all of the blob */
    read_privately(g, fresh, part->start);
    fetch_part(g->r->rooms->fetch, &g->r->origin, fresh, g->size);
    return true;
}

struct reading *
reading_open(struct request *r, const struct digest *d, uint64_t size, const struct span *alone)
{
    struct reading *g = mem_zalloc(sizeof *g);
    g->magic = MAGIC;
    g->place = -1;
    g->r = r;
    g->digest = *d;
    g->size = size;
    if (alone && open_alone(g, alone))
        return g;
    acquire(g);
    return g;
}

void
reading_close(void *reading)
{
    struct reading *g = reading;
    if (!g)
        return;
    must(g->magic == MAGIC);
    release(g);
    blob_release(&g->before);
    forget_digester(&g->sent);
    forget_digester(&g->again);
    mem_free(g);
}

enum cache_got
reading_got(const struct reading *g)
{
    return g->got;
}

struct blob *
reading_blob(struct reading *g)
{
    return g->blob;
}

/* ---- proof ---- */

/* Makes `sent` of what has been sent before `at`. */
static int
recall(struct reading *g, uint64_t at)
{
    if (!g->begun || g->sent)
        return 0;
    int rc = ERR_STORE;
    /* Twice: a read that failed may be good the next time, and without it the client is cut. */
    for (int i = 0; i < 2 && rc < 0; i++) {
        struct digester *d = digester_new((enum digest_alg)g->digest.alg);
        rc = blob_hash_again(g->before ? g->before : g->blob, g->span.start, at, d);
        if (rc == 0)
            g->sent = d;
        else
            digester_free(d);
    }
    return rc;
}

static bool
is_same(const struct digester *sent, const struct digest *want)
{
    struct digest got;
    struct digester *d = digester_copy(sent);
    digester_finish(d, &got);
    digester_free(d);
    return digest_equal(&got, want);
}

/* The blob that was joined once more has a byte at `at`: is it the file of the one before? */
static int
look_before(struct reading *g, uint64_t at)
{
    if (!g->before)
        return 0;
    int rc = 0;
    g->unproven = !blob_same_file(g->before, g->blob);
    if (g->unproven)
        rc = recall(g, at);
    blob_release(&g->before);
    return rc;
}

/* `sent` is all of the span, to the end of the blob, which is verified. */
static bool
proves(struct reading *g)
{
    struct digest want = g->digest;
    bool whole = g->span.start == 0;
    if (!whole) {
        struct digester *d = digester_new((enum digest_alg)g->digest.alg);
        int rc = blob_hash_again(g->blob, g->span.start, g->size, d);
        digester_finish(d, &want);
        digester_free(d);
        if (rc < 0)
            return false;
    }
    return is_same(g->sent, &want);
}

/* The n bytes at `at` are about to be sent. False: with them a client would have a whole that is
 * wrong. */
static bool
may_send(struct reading *g, uint64_t at, const char *bytes, size_t n)
{
    if (g->sent)
        digester_add(g->sent, bytes, n);
    g->spoilt = g->spoilt || (g->unproven && at + n == g->size && !proves(g));
    return !g->spoilt;
}

/* ---- going on ---- */

static int
new_pass(struct reading *g, uint64_t from, struct blob **ret)
{
    struct cache *c = g->r->rooms->cache;
    bool part = g->span.start > 0, known = g->size != CACHE_SIZE_UNKNOWN;
    if (part && known && (g->span.apart || g->span.end <= blob_tail_start(g->size)))
        return cache_pass_part(c, &g->digest, &(struct gap){from, g->span.end}, false, ret);
    return cache_pass_through(c, &g->digest, from, part ? NULL : g->sent, g->blob, ret);
}

/* A blob of its own for this reader. */
static int
pass_through(struct reading *g, uint64_t at)
{
    uint64_t from = g->span.start > 0 ? g->span.start : at;
    struct blob *fresh = NULL;
    int err = recall(g, at);
    if (err == 0)
        err = new_pass(g, from, &fresh);
    if (err < 0)
        return err;
    release(g);
    blob_release(&g->before);
    read_privately(g, fresh, from);
    fetch_blob(g->r->rooms->fetch, &g->r->origin, fresh, g->size, false);
    g->unproven = false;
    forget_digester(&g->again);
    if (from < at)
        g->again = digester_new((enum digest_alg)g->digest.alg);
    return 0;
}

/* With the other readers of a blob whose disk failed. Its digest is of what the file held when the
 * first of them came; of this one it proves nothing. */
static int
take_over(struct reading *g, uint64_t at)
{
    struct rooms *rooms = g->r->rooms;
    bool lead, sent = g->begun && at > g->span.start;
    if ((sent && g->span.start > 0) || !cache_may_take_over(g->blob))
        return ERR_NOT_FOUND;
    struct blob *heir = cache_take_over(rooms->cache, g->blob, &lead);
    if (!heir)
        return ERR_NOT_FOUND;
    int place = blob_enter(heir, at); /* before what takes time: it waits for its readers */
    int err = recall(g, at);          /* of a file that may be gone soon */
    if (lead)
        fetch_blob(rooms->fetch, &g->r->origin, heir, g->size, false);
    if (err < 0) {
        blob_leave(heir, place);
        blob_release(&heir);
        return ERR_NOT_FOUND;
    }
    release(g);
    blob_release(&g->before);
    g->blob = heir;
    g->place = place;
    g->repairs = g->begun ? 0 : blob_repairs(heir);
    g->unproven = g->unproven || sent;
    return 0;
}

/* The cache's own blob once more: somebody else may lead it, and from another source. */
static int
join_again(struct reading *g, uint64_t at)
{
    bool memory = blob_in_memory(g->blob);
    int err = memory ? recall(g, at) : 0;
    if (err < 0)
        return err;
    g->tried_again = true;
    g->passing = false;
    g->unproven = g->unproven || (g->begun && memory);
    if (g->begun && !memory && !g->before)
        g->before = blob_ref(g->blob);
    release(g);
    acquire(g);
    enter(g, at);
    return 0;
}

/* Of the bytes before `at` some were wrong. The blob is mended, so the repository's next pull is
 * right: no breaker. */
static bool
is_spoilt(struct reading *g, uint64_t at)
{
    g->spoilt = g->spoilt || blob_spoilt(g->blob, g->span.start, at, &g->repairs);
    return g->spoilt;
}

/* The blob has failed with `code`; the reader wants the byte `at`. 0 when there is another
 * one to wait for. */
static int
go_on(struct reading *g, uint64_t at, int code)
{
    if (is_spoilt(g, at))
        return ERR_DIGEST; /* whatever goes on from here, what the client has is wrong */
    if (!g->passing && is_of_disk(code) && take_over(g, at) == 0)
        return 0;
    bool may_try_again = !g->tried_again && (g->begun || g->got == CACHE_JOIN);
    switch (reading_judge(code, g->passing, may_try_again, at == 0)) {
    case READING_PASS:
        return pass_through(g, at);
    case READING_AGAIN:
        return join_again(g, at);
    case READING_GIVE_UP:
        break;
    }
    return code;
}

/* 0, ERR_AGAIN, or ERR_DIGEST when what is dropped is not what was sent. */
static int
skip_to(struct reading *g, uint64_t at)
{
    char dropped[SKIP_BYTES];
    while (g->passed < at) {
        uint64_t rest = at - g->passed;
        size_t len = rest < sizeof dropped ? (size_t)rest : sizeof dropped;
        int64_t n = blob_read(g->blob, g->passed, dropped, len);
        if (n <= 0)
            return ERR_AGAIN;
        if (g->again)
            digester_add(g->again, dropped, (size_t)n);
        g->passed += (uint64_t)n;
    }
    if (!g->again)
        return 0;
    struct digest want;
    digester_finish(g->again, &want);
    forget_digester(&g->again);
    return is_same(g->sent, &want) ? 0 : ERR_DIGEST;
}

/* Looks at the blob once, for the byte `at`. 0: readable, or the end of a verified blob;
 * ERR_AGAIN: not yet; else an end. */
static int
judge_state(struct reading *g, uint64_t at, const struct blob_state *state)
{
    uint64_t pos = g->passing ? g->passed : at;
    if (state->size != CACHE_SIZE_UNKNOWN) {
        if (g->size != CACHE_SIZE_UNKNOWN && g->size != state->size)
            return ERR_SIZE;
        g->size = state->size;
    }
    if (state->readable > pos) {
        return pos < at ? skip_to(g, at) : 0;
    }
    if (state->behind) {
        int err = pass_through(g, at);
        return err < 0 ? err : ERR_AGAIN;
    }
    if (state->phase == BLOB_FAILED) {
        int err = go_on(g, at, state->error);
        return err < 0 ? err : ERR_AGAIN;
    }
    bool verified = state->phase == BLOB_VERIFIED || state->phase == BLOB_WHOLE;
    return verified && at >= state->size ? 0 : ERR_AGAIN;
}

/* To hash what was sent is no silence: the deadline moves with it. */
static int
judge_in_time(struct reading *g, uint64_t at, const struct blob_state *state, int64_t *deadline_ms)
{
    const struct blob *before = g->blob;
    int64_t since_ms = clock_ms();
    int err = judge_state(g, at, state);
    if (g->begun && g->blob != before)
        *deadline_ms += clock_ms() - since_ms;
    return err;
}

/* A wait that should have ended then. This node itself may have stood still (SIGSTOP, a suspended
 * machine): nobody else was silent. */
static int64_t
frozen_ms(const struct reading *g, int64_t until_ms)
{
    int64_t over_ms = clock_ms() - until_ms;
    return g->begun && over_ms > FROZEN_MS ? over_ms : 0;
}

/* `at` UINT64_MAX waits for the size only. */
static int
wait_for(struct reading *g, uint64_t at, int64_t deadline_ms)
{
    bool size_only = at == UINT64_MAX;
    for (;;) {
        int64_t now_ms = clock_ms();
        int64_t slice_ms = now_ms + SLICE_MS < deadline_ms ? now_ms + SLICE_MS : deadline_ms;
        uint64_t pos = g->passing && !size_only ? g->passed : at;
        struct blob_state state;
        blob_wait(g->blob, pos, slice_ms, &state);
        deadline_ms += frozen_ms(g, slice_ms);
        if (size_only)
            state.readable = 0;
        int err = judge_in_time(g, size_only ? 0 : at, &state, &deadline_ms);
        if (size_only && (err == 0 || err == ERR_AGAIN) && g->size != CACHE_SIZE_UNKNOWN)
            return 0;
        if (err != ERR_AGAIN)
            return err;
        if (request_abandoned(g->r))
            return ERR_CLOSED;
        if (clock_ms() >= deadline_ms)
            return ERR_TIMEOUT;
    }
}

int
reading_size(struct reading *g, int64_t deadline_ms, uint64_t *ret)
{
    struct blob_state state;
    blob_look(g->blob, 0, &state);
    if (g->size == CACHE_SIZE_UNKNOWN)
        g->size = state.size;
    if (g->size == CACHE_SIZE_UNKNOWN) {
        int err = wait_for(g, UINT64_MAX, deadline_ms);
        if (err < 0)
            return err;
    }
    *ret = g->size;
    return 0;
}

int
reading_begin(struct reading *g, const struct span *span, int64_t deadline_ms)
{
    int64_t now_ms = clock_ms();
    bool alone = g->passing;
    g->span = *span;
    enter(g, span->start);
    int err = wait_for(g, span->start, alone ? now_ms + (deadline_ms - now_ms) / 2 : deadline_ms);
    if (err == ERR_TIMEOUT && alone) {
        /* Another node may have it; what failed at once was joined already. */
        err = g->tried_again ? 0 : join_again(g, span->start);
        if (err == 0)
            err = wait_for(g, span->start, deadline_ms);
    }
    if (err < 0)
        return err;
    g->begun = true;
    if (blob_in_memory(g->blob))
        g->sent = digester_new((enum digest_alg)g->digest.alg);
    return 0;
}

/* Ends the body short of its length: the client sees FIN and asks again, elsewhere. */
static ssize_t
cut(struct reading *g, int code)
{
    if (code != ERR_CLOSED || !request_abandoned(g->r)) {
        g->r->cut = true;
        if (!g->spoilt)
            blobget_failed(g->r, code);
        else
            LOG(client_spoilt, LOG_U("request", g->r->id),
                LOG_S("repository", g->r->repository_key));
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* The n bytes at `at`, which the blob had just now; or the end. */
static ssize_t
give(struct reading *g, uint64_t at, const char *bytes, size_t n)
{
    if (look_before(g, at) < 0)
        return cut(g, ERR_STORE);
    if (is_spoilt(g, at + n) || !may_send(g, at, bytes, n))
        return cut(g, ERR_DIGEST);
    g->passed = at + n;
    if (g->place < 0 && !g->passing)
        enter(g, g->passed); /* there was none free */
    blob_reader_at(g->blob, g->place, g->passed);
    g->r->sent_bytes += n;
    return (ssize_t)n;
}

ssize_t
reading_read(void *reading, uint64_t pos, char *buf, size_t max)
{
    struct reading *g = reading;
    must(g->magic == MAGIC);
    uint64_t at = g->span.start + pos;
    int64_t deadline_ms = clock_ms() + SILENCE_MS;
    for (;;) {
        int64_t n = 0;
        if (is_spoilt(g, at)) /* before: what comes now is newer than any repair so far */
            return cut(g, ERR_DIGEST);
        if (!g->passing || g->passed == at)
            n = blob_read(g->blob, at, buf, max);
        if (n > 0)
            return give(g, at, buf, (size_t)n);
        int64_t since_us = clock_us();
        int err = n < 0 ? go_on(g, at, (int)n) : wait_for(g, at, deadline_ms);
        g->r->starved_us += clock_us() - since_us;
        if (n < 0)
            deadline_ms = clock_ms() + SILENCE_MS; /* it may have hashed what was sent */
        if (err < 0)
            return cut(g, err);
    }
}
