/*
 * A request, step by step:
 *
 *   identify    which registry, repository and object
 *   authorize   may it be answered from here at all: breaker
 *   acquire     manifest, blob or list, with the first byte in hand; access is decided here
 *   respond     one response; nothing is decided any more
 *   account     metrics and the access line
 *
 * A step that refuses ends in a refusal, which respond sends. Everything is decided before
 * the status line.
 */
#include "proxy/api/request.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/api/blobget.h"
#include "proxy/api/breaker.h"
#include "proxy/api/manifestget.h"
#include "proxy/api/passget.h"
#include "proxy/api/prefetch.h"
#include "proxy/api/pulls.h"
#include "proxy/api/reading.h"
#include "proxy/api/reply.h"
#include "proxy/api/shelf.h"
#include "proxy/api/tagget.h"
#include "proxy/http/conns.h"
#include "proxy/http/listener.h"
#include <microhttpd.h>
#include <poll.h>
#include <string.h>

/* A manifest that is asked for again within this time has had its blobs started. */
#define PREFETCH_AGAIN_MS 5000

static enum reason identify(struct request *r);
static enum reason authorize(struct request *r);
static enum reason acquire(struct request *r);

static const struct {
    const char *name;
    enum reason (*run)(struct request *r);
} steps[] = {{"identify", identify}, {"authorize", authorize}, {"acquire", acquire}};

struct request *
request_new(struct rooms *rooms, struct settings *settings, struct MHD_Connection *http,
            struct conn *conn, const char *target)
{
    static _Atomic uint64_t last_id;
    struct request *r = mem_zalloc(sizeof *r);
    r->magic = REQUEST_MAGIC;
    r->id = atomic_fetch_add(&last_id, 1) + 1;
    r->rooms = rooms;
    r->settings = settings_ref(settings);
    r->http = http;
    r->conn = conn;
    r->start_us = clock_us();
    r->target = mem_strdup(target);
    r->method = "";
    r->step = "header";
    r->source = "none";
    return r;
}

int64_t
request_deadline_ms(const struct request *r)
{
    return r->start_us / 1000 + (r->origin.patient ? SLOW_FIRST_BYTE_MS : FIRST_BYTE_MS);
}

bool
request_abandoned(const struct request *r)
{
    struct pollfd p = {.fd = conn_fd(r->conn), .events = POLLRDHUP};
    return atomic_load(&r->rooms->closing) || poll(&p, 1, 0) > 0;
}

const char *
request_header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->http, MHD_HEADER_KIND, name);
}

static bool
is_known(void *arg, const char *host, bool exact)
{
    const struct registry *registry = settings_registry(arg, host);
    return registry && (!exact || text_equal_nocase(registry->host, host));
}

/* The places' names are bounded by the route, the pair of them by the cache's keys. */
static enum reason
locate(struct request *r)
{
    struct place place;
    enum reason why =
        route_place(&r->route, r->settings->default_registry, is_known, r->settings, &place);
    if (why)
        return why;
    struct origin *o = &r->origin;
    if (text_copy(o->repository, sizeof o->repository, place.repository) < 0 ||
        text_printf(r->repository_key, sizeof r->repository_key, "%s/%s", place.host,
                    place.repository) < 0)
        return REASON_name_invalid;
    must(text_copy(o->host, sizeof o->host, place.host) == 0);
    o->settings = settings_ref(r->settings);
    o->registry = settings_registry(r->settings, place.host);
    const char *authorization = request_header(r, "Authorization");
    if (o->registry->auth == AUTH_PASS && authorization)
        o->authorization = mem_strdup(authorization);
    return REASON_NONE;
}

/* containers/image fails when it is refused a blob: it waits as it would for the registry itself.
 */
static bool
is_patient(const struct request *r)
{
    bool bound = r->agent == AGENT_CONTAINERS && r->route.kind == ROUTE_BLOB;
    bool known = r->route.kind != ROUTE_PING && fetch_late_ms(r->rooms->fetch, r->origin.host) > 0;
    return bound || known;
}

static bool
is_pull(const struct request *r)
{
    return r->route.kind == ROUTE_MANIFEST || (r->route.kind == ROUTE_BLOB && !r->head);
}

static void
begin_pull(struct request *r)
{
    char client[CONN_ADDRESS_MAX];
    conn_address(r->conn, client);
    const struct ref *ref = r->route.kind == ROUTE_MANIFEST ? &r->route.ref : NULL;
    r->pull = pulls_begin(r->rooms->pulls, client, agent_name(r->agent), r->repository_key, ref,
                          clock_ms());
}

static enum reason
identify(struct request *r)
{
    enum reason why = route_parse(r->target, &r->route);
    if (why)
        return why;
    r->agent = agent_family(request_header(r, "User-Agent"));
    why = r->route.kind == ROUTE_PING ? REASON_NONE : locate(r);
    if (why == REASON_NONE)
        r->origin.patient = is_patient(r);
    if (why == REASON_NONE && is_pull(r))
        begin_pull(r);
    return why;
}

static enum reason
authorize(struct request *r)
{
    if (r->route.kind != ROUTE_MANIFEST ||
        !breaker_is_open(r->rooms->breaker, r->repository_key, clock_ms()))
        return REASON_NONE;
    metric_add(M_manifest_breaker, 1);
    return REASON_breaker;
}

static void
start_blobs(struct request *r)
{
    int64_t now_ms = clock_ms();
    if (r->head || !r->settings->prefetch_enabled ||
        now_ms - atomic_load(&r->page->seen_ms) < PREFETCH_AGAIN_MS)
        return;
    atomic_store(&r->page->seen_ms, now_ms);
    prefetch_image(r->rooms->prefetch, &r->origin, &r->page->manifest);
}

static enum reason
acquire_manifest(struct request *r)
{
    enum reason why = r->route.ref.by_digest ? manifestget_digest(r, &r->route.ref.digest, &r->page)
                                             : tagget_find(r, &r->page);
    if (why)
        return why;
    if (r->agent == AGENT_CONTAINERS && !manifestget_can_deliver(r, r->page))
        return REASON_upstream;
    start_blobs(r);
    return REASON_NONE;
}

static enum reason
acquire(struct request *r)
{
    switch (r->route.kind) {
    case ROUTE_PING:
        return REASON_NONE;
    case ROUTE_MANIFEST:
        return acquire_manifest(r);
    case ROUTE_BLOB:
        return blobget_acquire(r);
    case ROUTE_TAGS:
    case ROUTE_REFERRERS:
        return passget_acquire(r);
    }
    never("a route that is not in the enum");
}

static bool
respond(struct request *r)
{
    if (r->why)
        return reply_refusal(r, r->why, r->blob.size);
    switch (r->route.kind) {
    case ROUTE_PING:
        return reply_ping(r);
    case ROUTE_MANIFEST:
        return reply_page(r, r->page);
    case ROUTE_BLOB:
        return blobget_respond(r);
    case ROUTE_TAGS:
    case ROUTE_REFERRERS:
        return reply_passed(r, r->passed);
    }
    never("a route that is not in the enum");
}

bool
request_answer(struct request *r)
{
    for (size_t i = 0; i < ARRAY_LEN(steps) && !r->why; i++) {
        r->step = steps[i].name;
        r->why = steps[i].run(r);
    }
    return respond(r);
}

/* Refuses before the body has been read; the connection ends behind it. */
static bool
refuse_early(struct request *r, enum reason why, const char *detail, bool *ret_refused)
{
    *ret_refused = true;
    metric_add(M_guard_rejects, 1);
    LOG(guard, LOG_U("request", r->id), LOG_S("target", r->target), LOG_S("error", detail));
    r->why = why;
    return reply_refusal(r, why, 0);
}

bool
request_judge(struct request *r, const char *method, const struct listener_verdict *guard,
              bool *ret_refused)
{
    r->method = method;
    r->head = strcmp(method, "HEAD") == 0;
    if (guard->status == MHD_HTTP_URI_TOO_LONG)
        return refuse_early(r, REASON_target_long, guard->why, ret_refused);
    if (guard->status != 0)
        return refuse_early(r, REASON_malformed, guard->why, ret_refused);
    if (!r->head && strcmp(method, "GET") != 0)
        return refuse_early(r, REASON_write, method, ret_refused);
    return true;
}

/* Outcomes of manifests; the breaker and stale tags are counted where they happen. */
static void
count_manifest(const struct request *r)
{
    if (r->why == REASON_breaker || strcmp(r->source, "stale") == 0)
        return;
    if (r->why)
        metric_add(M_manifest_missed, 1);
    else
        metric_add(strcmp(r->source, "upstream") == 0 ? M_manifest_fetched : M_manifest_hit, 1);
}

static void
write_access_line(const struct request *r, bool complete)
{
    if (!log_enabled(LOG_EV_access))
        return;
    char reference[REF_TEXT_MAX] = "";
    char address[CONN_ADDRESS_MAX];
    if (r->route.kind == ROUTE_BLOB || r->route.kind == ROUTE_MANIFEST)
        ref_print(&r->route.ref, reference);
    conn_address(r->conn, address);
    int64_t now_us = clock_us();
    int64_t first_us = r->first_byte_us ? r->first_byte_us : now_us;
    LOG(access, LOG_U("request", r->id), LOG_S("method", r->method), LOG_S("client", address),
        LOG_S("registry", r->origin.host), LOG_S("repository", r->origin.repository),
        LOG_S("reference", reference), LOG_U("status", r->status), LOG_U("bytes", r->sent_bytes),
        LOG_S("source", r->why ? "none" : r->source),
        LOG_U("first_byte_ms", (first_us - r->start_us) / 1000),
        LOG_U("ms", (now_us - r->start_us) / 1000), LOG_S("agent", agent_name(r->agent)),
        LOG_S("end", complete ? "complete" : "cut"),
        LOG_S("why", r->why ? reason_text(r->why) : ""));
}

/* How a blob came that was not whole here when it was asked for. */
static void
tell_sources(const struct request *r, struct pull_step *s)
{
    struct blob_info info;
    if (r->why)
        return;
    if (strcmp(s->source, "cache") == 0)
        s->from_cache = r->sent_bytes;
    else if (strcmp(s->source, "passed") == 0 ||
             cache_info(r->rooms->cache, &r->route.ref.digest, &info))
        s->from_bytes[BLOB_FROM_UPSTREAM] = r->sent_bytes;
    else
        memcpy(s->from_bytes, info.from_bytes, sizeof s->from_bytes);
}

static void
end_pull(struct request *r, bool complete)
{
    int64_t now_us = clock_us();
    int64_t first_us = r->first_byte_us ? r->first_byte_us : now_us;
    struct pull_step s = {.manifest = r->route.kind == ROUTE_MANIFEST,
                          .head = r->head,
                          .first_byte_ms = (first_us - r->start_us) / 1000,
                          .starved_ms = r->starved_us / 1000,
                          .took_ms = (now_us - r->start_us) / 1000,
                          .bytes = r->why ? 0 : r->sent_bytes,
                          .status = r->status,
                          .source = r->why ? "none" : r->source,
                          .why = r->why ? reason_text(r->why) : "",
                          .complete = complete};
    ref_print(&r->route.ref, s.reference);
    if (!s.manifest)
        s.digest = r->route.ref.digest;
    if (!s.manifest)
        tell_sources(r, &s);
    pulls_end(r->rooms->pulls, r->pull, &s, clock_ms());
}

static void
destroy(struct request *r)
{
    page_release(&r->page);
    reading_close(r->reading);
    if (r->passed)
        answer_release(r->passed);
    mem_free(r->passed);
    if (r->origin.settings)
        origin_release(&r->origin);
    settings_release(&r->settings);
    mem_free(r->target);
    r->magic = 0;
    mem_free(r);
}

/* Of a body that ended early: what the client took of it, the header included. */
static uint64_t
bytes_taken(const struct request *r)
{
    if (!r->by_file)
        return 0;
    uint64_t taken = conn_acked_bytes(r->conn) - r->acked_bytes;
    return taken < r->body_bytes ? taken : r->body_bytes;
}

void
request_account(struct request *r, bool complete)
{
    must(r->magic == REQUEST_MAGIC);
    if (!r->counted_by_reader)
        r->sent_bytes = complete ? r->body_bytes : bytes_taken(r);
    if (!r->why && r->route.kind != ROUTE_PING)
        metric_add(M_served_bytes, r->sent_bytes);
    if (r->pull)
        end_pull(r, complete && !r->cut);
    if (r->status != 0) {
        if (r->route.kind == ROUTE_BLOB && r->route.ref.by_digest)
            blobget_account(r, complete && !r->cut);
        else if (r->route.kind == ROUTE_MANIFEST)
            count_manifest(r);
        write_access_line(r, complete && !r->cut);
    }
    destroy(r);
}
