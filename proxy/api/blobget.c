/*
 * Answers requests for blobs.
 *
 *   what is there          GET                              HEAD
 *   whole on our disk      file response (sendfile)         its size
 *   whole in containerd's  reader response: each read is    the same
 *                          followed by a look at the file
 *   growing, or nowhere    reader response, once its        the size of link or upstream; starts
 *                          first byte is in hand            nothing
 */
#include "proxy/api/blobget.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/api/access.h"
#include "proxy/api/ask.h"
#include "proxy/api/breaker.h"
#include "proxy/api/reading.h"
#include "proxy/api/reply.h"
#include "proxy/api/shared.h"
#include "proxy/http/conns.h"

/* Below this a copy is cheaper than a descriptor. */
#define FILE_BYTES_MIN (64u * 1024)

static void
range_key(const struct request *r, char ret_key[BREAKER_KEY_MAX])
{
    char address[CONN_ADDRESS_MAX];
    char digest[DIGEST_TEXT_MAX];
    conn_address(r->conn, address);
    digest_print(&r->route.ref.digest, digest);
    must(text_printf(ret_key, BREAKER_KEY_MAX, "range %s %s", address, digest) == 0);
}

void
blobget_failed(struct request *r, int code)
{
    char digest[DIGEST_TEXT_MAX];
    char key[BREAKER_KEY_MAX];
    int64_t now_ms = clock_ms();
    digest_print(&r->route.ref.digest, digest);
    LOG(request_failed, LOG_U("request", r->id), LOG_S("repository", r->repository_key),
        LOG_S("digest", digest), LOG_S("error", err_text(code)));
    range_key(r, key);
    (void)breaker_trip(r->rooms->breaker, key, now_ms);
    if (breaker_trip(r->rooms->breaker, r->repository_key, now_ms)) {
        metric_add(M_breaker_trips, 1);
        LOG(breaker_open, LOG_U("request", r->id), LOG_S("repository", r->repository_key));
    }
}

/* Upstream's own no is passed on; all else is ours and trips the breaker. */
static enum reason
refuse(struct request *r, int code)
{
    if (code == ERR_NOT_FOUND)
        return REASON_blob_unknown;
    if (code == ERR_DENIED)
        return REASON_denied;
    if (code != ERR_CLOSED)
        blobget_failed(r, code);
    return REASON_blob_failed;
}

/* May the client read it through this repository, and how long is it. */
static enum reason
open_access(struct request *r, bool need_size, struct link *ret)
{
    const struct digest *d = &r->route.ref.digest;
    enum access_verdict verdict = access_look(r->rooms->access, &r->origin, d, ret);
    if (ret->media_type[0])
        return REASON_blob_unknown; /* a manifest is not answered from here */
    if (verdict == ACCESS_YES && !(need_size && ret->size == CACHE_SIZE_UNKNOWN))
        return REASON_NONE;
    char path[ASK_PATH_MAX];
    ask_path("blobs", &r->route.ref, path);
    struct answer a;
    struct question q = {.head = true,
                         .path = path,
                         .wait_ms_max = ask_wait_ms(r, verdict != ACCESS_ASK),
                         .unknown = REASON_blob_unknown};
    enum reason why = ask_upstream(r, &q, &a);
    if (why == REASON_upstream && verdict != ACCESS_ASK)
        return REASON_NONE;
    if (why == REASON_denied || why == REASON_blob_unknown)
        access_revoke(r->rooms->access, &r->origin, d);
    if (why)
        return why == REASON_upstream ? REASON_blob_failed : why;
    ret->size = a.content_length;
    access_grant(r->rooms->access, &r->origin, d, a.content_length, "");
    answer_release(&a);
    return REASON_NONE;
}

/* What the cache has or is getting; phase FAILED when it has nothing. */
static struct blob_state
look_in_cache(struct request *r)
{
    struct blob_state state = {.phase = BLOB_FAILED, .size = CACHE_SIZE_UNKNOWN};
    struct blob *b = cache_find(r->rooms->cache, &r->route.ref.digest);
    if (b)
        blob_look(b, 0, &state);
    blob_release(&b);
    return state;
}

static enum reason
acquire_head(struct request *r)
{
    struct link link;
    struct blob_state state = look_in_cache(r);
    enum reason why = open_access(r, state.size == CACHE_SIZE_UNKNOWN, &link);
    if (why)
        return why;
    uint64_t size = state.size == CACHE_SIZE_UNKNOWN ? link.size : state.size;
    /* A GET would fail: HEAD says the same. Other nodes may have it, though. */
    if (state.phase == BLOB_FAILED && fetch_is_down(r->rooms->fetch, r->origin.host) &&
        !shared_has_others(r))
        return REASON_blob_failed;
    if (size == CACHE_SIZE_UNKNOWN)
        return REASON_blob_unknown;
    r->blob = (struct request_blob){.size = size, .span = {.end = size}};
    return REASON_NONE;
}

/* If-Range with anything but our own tag: the client's bytes may be of something else. */
static void
read_range(const struct request *r, struct range *ret)
{
    range_parse(request_header(r, "Range"), ret);
    const char *condition = request_header(r, "If-Range");
    if (!condition)
        return;
    char digest[DIGEST_TEXT_MAX];
    char tag[DIGEST_TEXT_MAX + 2];
    digest_print(&r->route.ref.digest, digest);
    must(text_printf(tag, sizeof tag, "\"%s\"", digest) == 0);
    if (!text_equal_nocase(tag, condition))
        *ret = (struct range){.kind = RANGE_NONE};
}

static enum reason
begin(struct request *r, const struct range *range)
{
    int64_t deadline_ms = request_deadline_ms(r);
    uint64_t size;
    int err = reading_size(r->reading, deadline_ms, &size);
    if (err < 0)
        return refuse(r, err);
    struct span span;
    bool whole = reading_got(r->reading) == CACHE_HIT;
    enum range_verdict verdict = range_apply(range, size, whole, &span);
    r->blob = (struct request_blob){.size = size, .span = span, .partial = verdict == RANGE_PART};
    if (verdict == RANGE_BAD)
        return REASON_range;
    err = reading_begin(r->reading, &span, deadline_ms);
    if (err < 0)
        return refuse(r, err);
    r->first_byte_us = clock_us();
    metric_observe_us(M_first_byte, r->first_byte_us - r->start_us);
    return REASON_NONE;
}

/* The client resumes what was cut here: it goes on upstream, unless all bytes are right now. */
static bool
must_resume_elsewhere(struct request *r, const struct range *range)
{
    char key[BREAKER_KEY_MAX];
    range_key(r, key);
    if (range->kind == RANGE_NONE || !breaker_is_open(r->rooms->breaker, key, clock_ms()))
        return false;
    enum blob_phase phase = look_in_cache(r).phase;
    return phase != BLOB_VERIFIED && phase != BLOB_WHOLE;
}

/* Only this part is to be asked for, of the registry: also where another node has all of it, whose
 * last bytes could be proven only when all of it is here. */
static bool
comes_alone(struct request *r, const struct range *range, uint64_t size, struct span *ret)
{
    if (size == CACHE_SIZE_UNKNOWN || range_apply(range, size, true, ret) != RANGE_PART ||
        !ret->apart)
        return false;
    struct blob_state state = look_in_cache(r);
    bool all =
        state.have_bytes == size || state.phase == BLOB_VERIFIED || state.phase == BLOB_WHOLE;
    return !all && range_comes_alone(ret, size, state.phase != BLOB_FAILED) &&
           !fetch_is_down(r->rooms->fetch, r->origin.host) &&
           fetch_sends_ranges(r->rooms->fetch, r->origin.host);
}

enum reason
blobget_acquire(struct request *r)
{
    if (r->head)
        return acquire_head(r);
    struct range range;
    read_range(r, &range);
    if (must_resume_elsewhere(r, &range))
        return REASON_blob_failed;
    struct link link;
    enum reason why = open_access(r, false, &link);
    if (why)
        return why;
    struct span part;
    bool alone = comes_alone(r, &range, link.size, &part);
    r->reading = reading_open(r, &r->route.ref.digest, link.size, alone ? &part : NULL);
    return begin(r, &range);
}

bool
blobget_respond(struct request *r)
{
    struct reply_blob b = {.digest = &r->route.ref.digest,
                           .size = r->blob.size,
                           .span = r->blob.span,
                           .partial = r->blob.partial};
    if (r->head)
        return reply_blob_head(r, &b);
    struct reading *reading = r->reading;
    int fd = -1;
    bool big = b.span.end - b.span.start >= FILE_BYTES_MIN;
    if (big && reading_got(reading) == CACHE_HIT && blob_open_fd(reading_blob(reading), &fd) == 0) {
        r->by_file = true;
        r->acked_bytes = conn_acked_bytes(r->conn);
        return reply_blob_file(r, &b, fd);
    }
    r->reading = NULL; /* the response closes it */
    return reply_blob_reader(r, &b, reading_read, reading, reading_close);
}

static enum metric
outcome(const struct request *r, bool complete)
{
    if (r->why)
        return M_pulls_missed;
    if (r->cut || !complete)
        return M_pulls_cut;
    if (text_equal_nocase(r->source, "cache"))
        return M_pulls_hit;
    if (text_equal_nocase(r->source, "joined"))
        return M_pulls_joined;
    return text_equal_nocase(r->source, "passed") ? M_pulls_streamed : M_pulls_fetched;
}

void
blobget_account(struct request *r, bool complete)
{
    if (r->head)
        return;
    metric_add(outcome(r, complete), 1);
    /* Perhaps the disk cut it, not the client: then it must not be sent like that again. */
    if (!r->why && !complete && r->reading && !r->counted_by_reader)
        blob_doubt(reading_blob(r->reading), r->blob.span.start + r->sent_bytes);
    if (r->why || !text_equal_nocase(r->source, "cache"))
        return;
    metric_add(M_body_cache, r->sent_bytes);
    if (complete && r->sent_bytes == r->blob.size)
        cache_sent(r->rooms->cache, &r->route.ref.digest);
    if (!r->counted_by_reader)
        cache_served(r->rooms->cache, &r->route.ref.digest, r->sent_bytes);
}
