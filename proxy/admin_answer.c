/* The table of the admin API and its answers. */
#include "proxy/admin_answer.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/page.h"
#include "proxy/report_past.h"
#include "proxy/report_site.h"
#include "proxy/report_swarm.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define METRICS_BYTES_MAX (256u * 1024)
#define BLOBS_PREFIX      "/api/v1/blobs/"

static const char page_type[] = "text/html; charset=utf-8";
static const char json_type[] = "application/json";
static const char plain_type[] = "text/plain; charset=utf-8";
static const char metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";

typedef void answer_fn(const struct report *r, const struct admin_request *q,
                       struct admin_answer *ret);

/* Takes the document. */
static void
answer_json(cJSON *doc, struct admin_answer *ret)
{
    *ret = (struct admin_answer){.status = 200, .type = json_type, .body = json_print(doc, false)};
    json_free(&doc);
}

static void
answer_text(unsigned status, const char *text, struct admin_answer *ret)
{
    *ret = (struct admin_answer){
        .status = status, .type = plain_type, .body = mem_printf("%s\n", text)};
}

void
admin_answer_error(unsigned status, const char *why, struct admin_answer *ret)
{
    cJSON *doc = cJSON_CreateObject();
    cJSON_AddStringToObject(doc, "error", why);
    answer_json(doc, ret);
    ret->status = status;
}

/* ---- health ---- */

static void
answer_live(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)r;
    (void)q;
    answer_text(200, "ok", ret);
}

/* A cache that cannot store is told but does not make the node unready: pulls still pass. */
static void
answer_ready(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    struct cache_stats s = {0};
    if (r->cache)
        cache_get_stats(r->cache, &s);
    if (r->state != REPORT_SERVING)
        answer_text(503, report_state_text(r->state), ret);
    else
        answer_text(200, s.degraded ? "ok, degraded: the cache cannot store" : "ok", ret);
}

/* ---- metrics ---- */

static int
count_entry(void *arg, const char *name)
{
    (void)name;
    ++*(uint64_t *)arg;
    return 0;
}

static void
measure_process(void)
{
    AUTO(fd_close) int fds = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t count = 0;
    if (fds >= 0 && !fs_each(fds, count_entry, &count))
        metric_set(M_process_fds, count);
    AUTO(fd_close) int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    char text[128] = "";
    ssize_t n = statm >= 0 ? read(statm, text, sizeof text - 1) : -1;
    const char *resident = n > 0 ? strchr(text, ' ') : NULL; /* "total resident shared ..." */
    uint64_t pages;
    if (resident && !text_u64(resident + 1, strcspn(resident + 1, " "), &pages))
        metric_set(M_process_memory, pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void
answer_metrics(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    measure_process();
    AUTO(buf_release) struct buf text;
    buf_init(&text, METRICS_BYTES_MAX);
    if (metric_print(&text) || report_swarm_metrics(r, &text)) {
        answer_text(500, "metrics do not fit", ret);
        return;
    }
    *ret = (struct admin_answer){
        .status = 200, .type = metrics_type, .body = mem_strdup(buf_text(&text))};
}

/* ---- the page ---- */

static void
answer_page(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)r;
    (void)q;
    *ret = (struct admin_answer){
        .status = 200, .type = page_type, .policy = page_policy(), .body = mem_strdup(page_text())};
}

/* ---- documents ---- */

static void
answer_status(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    answer_json(report_status(r), ret);
}

static void
answer_peers(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    answer_json(report_swarm_peers(r), ret);
}

static void
answer_transfers(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    answer_json(report_transfers(r), ret);
}

static void
answer_site(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    answer_json(report_site(r), ret);
}

static void
answer_pulls(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    answer_json(report_pulls(r), ret);
}

static void
answer_events(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)r;
    (void)q;
    answer_json(report_events(), ret);
}

static void
answer_blobs(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    uint64_t limit = REPORT_BLOBS_MAX;
    const char *text = q->query(q->arg, "limit");
    if (text && (text_u64(text, strlen(text), &limit) || limit == 0 || limit > REPORT_BLOBS_MAX))
        admin_answer_error(400, "expected a number of blobs in limit=, 1 to 10000", ret);
    else
        answer_json(report_blobs(r, (size_t)limit), ret);
}

static bool
asks_holders(const struct admin_request *q)
{
    const char *value = q->query(q->arg, "holders");
    return value && strcmp(value, "1") == 0;
}

static void
answer_blob(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    const char *text = q->path + strlen(BLOBS_PREFIX);
    struct digest d;
    if (digest_parse(text, strlen(text), &d)) {
        admin_answer_error(400, "expected a digest: sha256: and 64 hex digits", ret);
        return;
    }
    cJSON *doc = report_blob_wanted(r, &d, CACHE_SIZE_UNKNOWN);
    if (asks_holders(q))
        report_swarm_holders(r, doc);
    bool here = strcmp(json_text(doc, "phase"), "absent") != 0;
    if (here || cJSON_GetArraySize(json_array(doc, "holders")) > 0) {
        answer_json(doc, ret);
        return;
    }
    json_free(&doc);
    admin_answer_error(404, "not in this cache, and no other node that answers has it", ret);
}

static void
answer_image(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    const char *host = q->query(q->arg, "registry");
    const char *repository = q->query(q->arg, "repository");
    const char *reference = q->query(q->arg, "reference");
    if (!host || !repository || !reference) {
        admin_answer_error(400, "expected registry, repository and reference", ret);
        return;
    }
    cJSON *doc = report_image(r, host, repository, reference);
    if (doc && asks_holders(q))
        report_swarm_holders(r, doc);
    if (doc)
        answer_json(doc, ret);
    else
        admin_answer_error(404, "this node has not seen it", ret);
}

/* ---- work ---- */

struct evicted {
    const struct report *report;
    cJSON *list;
};

static void
note_evicted(void *arg, const struct blob_info *info)
{
    struct evicted *e = arg;
    cJSON_AddItemToArray(e->list, report_blob_info(e->report, info));
}

static uint64_t
number(const cJSON *doc, const char *key)
{
    uint64_t n;
    return json_u64(doc, key, &n) == 0 ? n : 0;
}

static bool
is_true(const cJSON *doc, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(doc, key));
}

/* Blobs that would go if they were not pinned, in use, or needed by the site. */
static cJSON *
list_kept(const struct report *r)
{
    cJSON *kept = cJSON_CreateArray(), *all = report_blobs(r, REPORT_BLOBS_MAX);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(all, "blobs");
    for (cJSON *one = list != NULL ? list->child : NULL, *next; one != NULL; one = next) {
        const cJSON *worth = cJSON_GetObjectItemCaseSensitive(one, "worth");
        next = one->next;
        if (is_true(worth, "pinned") || is_true(worth, "stays") || number(one, "readers") > 0)
            cJSON_AddItemToArray(kept, cJSON_DetachItemViaPointer(list, one));
    }
    json_free(&all);
    return kept;
}

/* `to`: bytes to shrink to; without it the configured limit rules. */
static void
answer_gc(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    struct cache_stats s;
    cache_get_stats(r->cache, &s);
    uint64_t target = s.limit_bytes;
    const char *to = q->query(q->arg, "to");
    const char *dry = q->query(q->arg, "dry_run");
    if (to && text_u64(to, strlen(to), &target)) {
        admin_answer_error(400, "expected a number of bytes in to=", ret);
        return;
    }
    cJSON *doc = cJSON_CreateObject();
    bool dry_run = dry && strcmp(dry, "1") == 0;
    struct evicted evicted = {r, cJSON_CreateArray()};
    uint64_t freed = cache_gc(r->cache, target, dry_run, note_evicted, &evicted);
    json_add_u64(doc, "freed_bytes", freed);
    cJSON_AddBoolToObject(doc, "dry_run", dry_run);
    cJSON_AddItemToObject(doc, "evicted", evicted.list);
    cJSON_AddItemToObject(doc, "kept", list_kept(r));
    answer_json(doc, ret);
}

struct pinning {
    struct cache *cache;
    bool pin;
    uint64_t blobs, bytes;
};

/* A blob of a document of report_image, and what its manifest names. */
static void
pin_tree(struct pinning *p, const cJSON *blob)
{
    struct digest d;
    const cJSON *child;
    const char *text = json_text(blob, "digest");
    if (text && !digest_parse(text, strlen(text), &d) && !cache_pin(p->cache, &d, p->pin)) {
        p->blobs++;
        p->bytes += number(blob, "size_bytes");
    }
    cJSON_ArrayForEach(child, json_array(blob, "content"))
    {
        pin_tree(p, child); /* JSON_DEPTH_MAX at most */
    }
}

static void
answer_pin(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    struct pinning p = {.cache = r->cache};
    struct digest d;
    const char *pin = q->query(q->arg, "pin");
    const char *text = q->query(q->arg, "digest");
    const char *host = q->query(q->arg, "registry");
    const char *repository = q->query(q->arg, "repository");
    const char *reference = q->query(q->arg, "reference");
    bool by_name = host && repository && reference;
    if (!pin || (text ? digest_parse(text, strlen(text), &d) != 0 : !by_name)) {
        admin_answer_error(400, "expected pin=0|1 and a digest, or registry, repository, reference",
                           ret);
        return;
    }
    p.pin = strcmp(pin, "1") == 0;
    AUTO(json_free)
    cJSON *doc = text ? report_blob(r, &d) : report_image(r, host, repository, reference);
    const cJSON *top = text ? doc : json_object(doc, "manifest");
    if (top)
        pin_tree(&p, top);
    if (p.blobs == 0) {
        admin_answer_error(409,
                           p.pin ? "nothing of it is cached: pull it first"
                                 : "nothing of it is cached, so nothing is pinned",
                           ret);
        return;
    }
    cJSON *said = cJSON_CreateObject();
    cJSON_AddBoolToObject(said, "pinned", p.pin);
    json_add_u64(said, "blobs", p.blobs);
    json_add_u64(said, "bytes", p.bytes);
    answer_json(said, ret);
}

static void
note_bad(void *arg, const struct digest *bad)
{
    char text[DIGEST_TEXT_MAX];
    digest_print(bad, text);
    cJSON_AddItemToArray(arg, cJSON_CreateString(text));
}

static void
answer_verify(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    struct cache_verdict v = {0};
    cJSON *bad = cJSON_CreateArray();
    cache_verify(r->cache, &v, note_bad, bad);
    cJSON *doc = cJSON_CreateObject();
    json_add_u64(doc, "checked", v.checked);
    json_add_u64(doc, "checked_bytes", v.checked_bytes);
    json_add_u64(doc, "bad", v.bad);
    cJSON_AddItemToObject(doc, "bad_digests", bad);
    answer_json(doc, ret);
}

static void
answer_step_down(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    int rc = r->p2p ? p2p_step_down(r->p2p) : ERR_NOT_FOUND;
    if (rc == ERR_NOT_FOUND)
        admin_answer_error(409, "this node is not the tracker", ret);
    else if (rc)
        admin_answer_error(503, err_text(rc), ret);
    else
        answer_json(report_swarm_peers(r), ret);
}

static void
answer_reach(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    (void)q;
    cJSON *doc = report_swarm_reach(r);
    if (doc)
        answer_json(doc, ret);
    else
        admin_answer_error(409, "this node runs alone", ret);
}

/* ---- the table ---- */

static const struct call {
    const char *path;
    bool prefix; /* more follows */
    bool post;
    bool needs_cache; /* 503 before it is open */
    answer_fn *answer;
} calls[] = {
    {"/", false, false, false, answer_page},
    {"/livez", false, false, false, answer_live},
    {"/readyz", false, false, false, answer_ready},
    {"/healthz", false, false, false, answer_ready},
    {"/metrics", false, false, false, answer_metrics},
    {"/api/v1/status", false, false, false, answer_status},
    {"/api/v1/peers", false, false, false, answer_peers},
    {"/api/v1/transfers", false, false, false, answer_transfers},
    {"/api/v1/site", false, false, false, answer_site},
    {"/api/v1/pulls", false, false, true, answer_pulls},
    {"/api/v1/events", false, false, false, answer_events},
    {"/api/v1/blobs", false, false, true, answer_blobs},
    {BLOBS_PREFIX, true, false, true, answer_blob},
    {"/api/v1/images", false, false, true, answer_image},
    {"/api/v1/gc", false, true, true, answer_gc},
    {"/api/v1/pin", false, true, true, answer_pin},
    {"/api/v1/verify", false, true, true, answer_verify},
    {"/api/v1/tracker/step-down", false, true, false, answer_step_down},
    {"/api/v1/reach", false, true, false, answer_reach},
};

static const struct call *
find_call(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        const struct call *c = &calls[i];
        if (c->prefix ? text_starts(path, c->path) : strcmp(path, c->path) == 0)
            return c;
    }
    return NULL;
}

static bool
method_fits(const struct call *c, const char *method)
{
    return c->post ? strcmp(method, "POST") == 0
                   : strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

void
admin_answer(const struct report *r, const struct admin_request *q, struct admin_answer *ret)
{
    const struct call *c = find_call(q->path);
    if (!c) {
        admin_answer_error(404, "no such page; see / and /api/v1/status", ret);
    } else if (!method_fits(c, q->method)) {
        admin_answer_error(405, c->post ? "use POST" : "use GET", ret);
        ret->allow = c->post ? "POST" : "GET, HEAD";
    } else if (c->needs_cache && !r->cache) {
        admin_answer_error(503, "starting", ret);
    } else {
        c->answer(r, q, ret);
    }
}
