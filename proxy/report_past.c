/* Pulls and events as JSON. */
#include "proxy/report_past.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/recent.h"
#include "proxy/why.h"

static void
add_ms(cJSON *to, const char *key, int64_t ms)
{
    json_add_u64(to, key, ms > 0 ? (uint64_t)ms : 0);
}

void
report_add_waits(cJSON *to, const int64_t wait_ms[FETCH_WAITS])
{
    cJSON *waits = cJSON_AddObjectToObject(to, "wait_ms");
    for (int i = 0; i < FETCH_WAITS; i++)
        add_ms(waits, fetch_wait_name((enum fetch_wait)i), wait_ms[i]);
}

static cJSON *
add_from(cJSON *to, const uint64_t from_bytes[BLOB_SOURCES])
{
    cJSON *from = cJSON_AddObjectToObject(to, "from_bytes");
    json_add_u64(from, "peer", from_bytes[BLOB_FROM_PEER]);
    json_add_u64(from, "remote_peer", from_bytes[BLOB_FROM_REMOTE_PEER]);
    json_add_u64(from, "upstream", from_bytes[BLOB_FROM_UPSTREAM]);
    return from;
}

static void
add_fetch(const struct fetched_info *f, cJSON *to)
{
    cJSON *one = cJSON_AddObjectToObject(to, "fetch");
    add_ms(one, "took_ms", f->took_ms);
    if (f->size != CACHE_SIZE_UNKNOWN)
        json_add_u64(one, "size_bytes", f->size);
    report_add_waits(one, f->wait_ms);
    (void)add_from(one, f->from_bytes);
    json_add_u64(one, "attempts", f->attempts);
    json_add_u64(one, "peer_attempts", f->peer_attempts);
    json_add_u64(one, "failures", f->trouble.upstream);
    json_add_u64(one, "peer_failures", f->trouble.peers);
    report_add_text(one, "trouble", f->trouble.last);
}

static cJSON *
step(const struct pull_step *s, const struct fetched_info *f)
{
    cJSON *one = cJSON_CreateObject();
    report_add_text(one, "what", s->manifest ? "manifest" : "blob");
    report_add_text(one, "reference", s->reference);
    add_ms(one, "at_ms", s->at_ms);
    add_ms(one, "first_byte_ms", s->first_byte_ms);
    add_ms(one, "starved_ms", s->starved_ms);
    add_ms(one, "took_ms", s->took_ms);
    json_add_u64(one, "bytes", s->bytes);
    json_add_u64(one, "status", s->status);
    report_add_text(one, "source", s->source);
    report_add_text(one, "why", s->why);
    cJSON_AddBoolToObject(one, "complete", s->complete);
    if (f)
        add_fetch(f, one);
    return one;
}

static void
add_parts(const struct why_parts *w, cJSON *to)
{
    cJSON *parts = cJSON_AddObjectToObject(to, "parts");
    add_ms(parts, "manifest_ms", w->manifest_ms);
    add_ms(parts, "blobs_ms", w->blobs_ms);
    add_ms(parts, "client_ms", w->client_ms);
    add_ms(parts, "idle_ms", w->idle_ms);
    report_add_waits(parts, w->wait_ms);
}

static void
add_steps(const struct pull *p, const struct fetched_info *done, size_t count, cJSON *to)
{
    cJSON *list = cJSON_AddArrayToObject(to, "steps");
    for (size_t i = 0; i < p->steps_count; i++)
        cJSON_AddItemToArray(list, step(&p->steps[i], why_fetch(p, &p->steps[i], done, count)));
}

static cJSON *
pull(const struct pull *p, const struct fetched_info *done, size_t count)
{
    cJSON *one = cJSON_CreateObject();
    struct why_parts parts;
    char why[WHY_TEXT_MAX];
    why_parts(p, done, count, &parts);
    why_text(p, &parts, why);
    json_add_u64(one, "id", p->id);
    report_add_text(one, "repository", p->repository);
    report_add_text(one, "reference", p->reference);
    report_add_text(one, "client", p->client);
    report_add_text(one, "agent", p->agent);
    report_add_time(one, "begun", p->begun_wall_ms / 1000);
    cJSON_AddBoolToObject(one, "over", p->over);
    json_add_u64(one, "running", p->running);
    add_ms(one, "took_ms", p->running ? clock_ms() - p->begun_ms : parts.took_ms);
    json_add_u64(one, "bytes", p->bytes);
    json_add_u64(add_from(one, p->from_bytes), "cache", p->from_cache);
    json_add_u64(one, "refused", p->refused);
    json_add_u64(one, "omitted", p->omitted);
    report_add_text(one, "why", why);
    add_parts(&parts, one);
    add_steps(p, done, count, one);
    return one;
}

cJSON *
report_pulls(const struct report *r)
{
    struct pull *all = mem_alloc(PULLS_KEPT * sizeof *all);
    struct fetched_info *done = mem_alloc(FETCHED_MAX * sizeof *done);
    size_t fetched = fetch_finished(r->fetch, done, FETCHED_MAX);
    size_t count = pulls_list(r->pulls, all, PULLS_KEPT);
    cJSON *doc = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(doc, "pulls");
    for (size_t i = 0; i < count; i++) {
        cJSON_AddItemToArray(list, pull(&all[i], done, fetched));
        pull_release(&all[i]);
    }
    mem_free(done);
    mem_free(all);
    return doc;
}

static cJSON *
event(const struct recent *e)
{
    cJSON *one = cJSON_CreateObject();
    report_add_time(one, "time", e->wall_ms / 1000);
    report_add_text(one, "event", log_event_name(e->event));
    report_add_text(one, "level", log_event_level(e->event));
    report_add_text(one, "text", log_event_text(e->event));
    json_add_u64(one, "number", e->number);
    cJSON *fields = cJSON_AddObjectToObject(one, "fields");
    for (size_t i = 0; i < e->count; i++)
        report_add_text(fields, e->fields[i].key, e->values + e->fields[i].at);
    return one;
}

cJSON *
report_events(void)
{
    struct recent *all = mem_alloc(RECENT_MAX * sizeof *all);
    size_t count = recent_list(all, RECENT_MAX);
    cJSON *doc = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(doc, "events");
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, event(&all[i]));
    mem_free(all);
    return doc;
}
