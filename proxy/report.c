/* The node's own account of itself in JSON. */
#include "proxy/report.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/api/manifest.h"
#include "proxy/api/ref.h"
#include "proxy/report_past.h"
#include "proxy/report_swarm.h"
#include <string.h>
#include <time.h>

#define IMAGE_DEPTH_MAX 2 /* index, manifest; an index inside an index is told, not opened */

const char *
report_state_text(enum report_state state)
{
    switch (state) {
    case REPORT_STARTING:
        return "starting";
    case REPORT_SERVING:
        return "serving";
    case REPORT_DRAINING:
        return "draining";
    }
    never("report state");
}

void
report_add_text(cJSON *to, const char *key, const char *text)
{
    cJSON_AddStringToObject(to, key, text ? text : "");
}

void
report_add_time(cJSON *to, const char *key, int64_t wall_s)
{
    struct tm tm;
    time_t t = (time_t)wall_s;
    char text[32] = "";
    if (wall_s > 0 && gmtime_r(&t, &tm))
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    report_add_text(to, key, text);
}

static void
add_size(cJSON *to, const char *key, uint64_t size)
{
    if (size != CACHE_SIZE_UNKNOWN)
        json_add_u64(to, key, size);
}

static void
add_containerd(const struct report *r, const struct cache_stats *s, cJSON *to)
{
    static const char *const states[] = {[CONTENT_MISSING] = "missing",
                                         [CONTENT_DENIED] = "denied",
                                         [CONTENT_POLLED] = "polled",
                                         [CONTENT_WATCHED] = "watched"};
    if (s->content_state == CONTENT_OFF)
        return;
    cJSON *c = cJSON_AddObjectToObject(to, "containerd");
    report_add_text(c, "dir", r->settings->cache_containerd_content);
    report_add_text(c, "state", states[s->content_state]);
    cJSON_AddBoolToObject(c, "owns", r->settings->cache_containerd_owns);
    json_add_u64(c, "blobs", s->content_blobs);
    json_add_u64(c, "bytes", s->content_bytes);
    json_add_u64(c, "unchecked", s->content_unchecked);
    json_add_u64(c, "denied", s->content_denied);
    json_add_u64(c, "bad", s->content_bad);
}

static void
add_cache(const struct report *r, cJSON *to)
{
    cJSON *c = cJSON_AddObjectToObject(to, "cache");
    report_add_text(c, "dir", r->settings->cache_dir);
    if (!r->cache)
        return;
    struct cache_stats s;
    cache_get_stats(r->cache, &s);
    json_add_u64(c, "used_bytes", s.used_bytes);
    json_add_u64(c, "pinned_bytes", s.pinned_bytes);
    json_add_u64(c, "limit_bytes", s.limit_bytes);
    json_add_u64(c, "min_free_bytes", s.min_free_bytes);
    json_add_u64(c, "disk_free_bytes", s.disk_free_bytes);
    if (s.disk_free_files != UINT64_MAX)
        json_add_u64(c, "disk_free_files", s.disk_free_files);
    json_add_u64(c, "blobs", s.blobs);
    json_add_u64(c, "packed_blobs", s.packed_blobs);
    json_add_u64(c, "saved_bytes", s.saved_bytes);
    json_add_u64(c, "partial_blobs", s.partial_blobs);
    json_add_u64(c, "filling", s.filling);
    json_add_u64(c, "tags", s.tags);
    json_add_u64(c, "hash_threads", s.hash_threads);
    json_add_u64(c, "hash_bytes_s", s.hash_bytes_s);
    cJSON_AddBoolToObject(c, "degraded", s.degraded);
    json_add_u64(c, "not_kept", metric_get(M_store_full));
    add_containerd(r, &s, c);
}

static const char *
auth_text(enum registry_auth auth)
{
    switch (auth) {
    case AUTH_PUBLIC:
        return "public";
    case AUTH_NODE:
        return "node";
    case AUTH_PASS:
        return "pass";
    }
    never("registry auth");
}

static void
add_registries(const struct report *r, cJSON *to)
{
    cJSON *list = cJSON_AddArrayToObject(to, "registries");
    for (size_t i = 0; i < r->settings->registry_count; i++) {
        const struct registry *reg = &r->settings->registries[i];
        cJSON *one = cJSON_CreateObject();
        report_add_text(one, "host", reg->host);
        report_add_text(one, "url", reg->url);
        report_add_text(one, "auth", auth_text(reg->auth));
        bool failing = r->fetch && fetch_is_failing(r->fetch, reg->host);
        report_add_text(one, "state", failing ? "failing" : "ok");
        cJSON_AddItemToArray(list, one);
    }
}

static cJSON *
add_bytes(const struct totals *t, cJSON *to, const char *key)
{
    cJSON *bytes = cJSON_AddObjectToObject(to, key);
    for (size_t i = 0; i < TOTALS; i++)
        json_add_u64(bytes, totals_name((enum total)i), t->bytes[i]);
    json_add_u64(bytes, "saved_wan", totals_saved(t));
    return bytes;
}

static void
add_counts(const struct report *r, cJSON *to)
{
    struct totals run, all;
    totals_of_run(&run);
    (void)add_bytes(&run, to, "bytes");
    if (r->before) {
        totals_now(r->before, &all);
        report_add_time(add_bytes(&all, to, "totals"), "since", all.since_wall_s);
    }
    cJSON *pulls = cJSON_AddObjectToObject(to, "pulls");
    json_add_u64(pulls, "hit", metric_get(M_pulls_hit));
    json_add_u64(pulls, "joined", metric_get(M_pulls_joined));
    json_add_u64(pulls, "fetched", metric_get(M_pulls_fetched));
    json_add_u64(pulls, "streamed", metric_get(M_pulls_streamed));
    json_add_u64(pulls, "missed", metric_get(M_pulls_missed));
    json_add_u64(pulls, "cut", metric_get(M_pulls_cut));
    json_add_u64(to, "digest_failures", metric_get(M_digest_failures));
    json_add_u64(to, "connections", metric_get(M_connections));
}

/* What came by this transfer by source; what it did not bring was cached already. */
static void
add_sources(const struct transfer_info *t, cJSON *to)
{
    cJSON *from = cJSON_AddObjectToObject(to, "from_bytes");
    uint64_t sum = 0;
    for (int i = 0; i < BLOB_SOURCES; i++)
        sum += t->from_bytes[i];
    json_add_u64(from, "cache", t->have_bytes > sum ? t->have_bytes - sum : 0);
    json_add_u64(from, "peer", t->from_bytes[BLOB_FROM_PEER]);
    json_add_u64(from, "remote_peer", t->from_bytes[BLOB_FROM_REMOTE_PEER]);
    json_add_u64(from, "upstream", t->from_bytes[BLOB_FROM_UPSTREAM]);
}

/* Where its open requests are. */
static void
add_asked(const struct transfer_info *t, cJSON *to)
{
    cJSON *list = cJSON_AddArrayToObject(to, "asked");
    for (size_t i = 0; i < t->asked_count; i++) {
        const struct transfer_asked *a = &t->asked[i];
        char id[IDENTITY_TEXT_MAX];
        cJSON *one = cJSON_CreateObject();
        identity_print(&a->node, id);
        report_add_text(one, "source", node_is_none(&a->node) ? "upstream" : id);
        json_add_u64(one, "at", a->at);
        json_add_u64(one, "end", a->end);
        cJSON_AddItemToArray(list, one);
    }
}

static cJSON *
transfer(const struct transfer_info *t)
{
    cJSON *one = cJSON_CreateObject();
    char digest[DIGEST_TEXT_MAX];
    digest_print(&t->digest, digest);
    report_add_text(one, "digest", digest);
    report_add_text(one, "registry", t->host);
    report_add_text(one, "repository", t->repository);
    add_size(one, "size_bytes", t->size);
    json_add_u64(one, "have_bytes", t->have_bytes);
    add_sources(t, one);
    json_add_u64(one, "rate_bytes_s", t->rate_bytes_s);
    json_add_u64(one, "requests", t->requests);
    json_add_u64(one, "attempts", t->attempts);
    json_add_u64(one, "peer_attempts", t->peer_attempts);
    cJSON_AddBoolToObject(one, "background", t->background);
    cJSON_AddBoolToObject(one, "copy", t->copy);
    json_add_u64(one, "since_ms", (uint64_t)t->since_ms);
    report_add_waits(one, t->wait_ms);
    json_add_u64(one, "failures", t->trouble.upstream);
    json_add_u64(one, "peer_failures", t->trouble.peers);
    report_add_text(one, "trouble", t->trouble.last);
    report_add_text(one, "cells", t->cells.of);
    add_asked(t, one);
    return one;
}

static void
add_transfers(const struct report *r, cJSON *to)
{
    cJSON *list = cJSON_AddArrayToObject(to, "transfers");
    if (!r->fetch)
        return;
    struct transfer_info *infos = mem_alloc(REPORT_TRANSFERS_MAX * sizeof *infos);
    size_t count = fetch_list(r->fetch, infos, REPORT_TRANSFERS_MAX);
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, transfer(&infos[i]));
    if (count > 0)
        report_swarm_transfers(r, list);
    mem_free(infos);
}

cJSON *
report_status(const struct report *r)
{
    cJSON *doc = cJSON_CreateObject();
    report_add_text(doc, "version", PEERSYNC_VERSION);
    report_add_text(doc, "state", report_state_text(r->state));
    report_add_time(doc, "started", r->started_wall_s);
    json_add_u64(doc, "uptime_ms", (uint64_t)(clock_ms() - r->started_ms));
    report_add_text(doc, "listen", r->listen);
    report_add_text(doc, "admin", r->admin);
    add_cache(r, doc);
    add_registries(r, doc);
    add_counts(r, doc);
    add_transfers(r, doc);
    report_swarm_add(r, cJSON_AddObjectToObject(doc, "p2p"));
    return doc;
}

cJSON *
report_transfers(const struct report *r)
{
    cJSON *doc = cJSON_CreateObject();
    add_transfers(r, doc);
    return doc;
}

/* ---- blobs ---- */

static const char *
phase_text(enum blob_phase phase)
{
    switch (phase) {
    case BLOB_ASKED:
        return "asked";
    case BLOB_FILLING:
        return "filling";
    case BLOB_VERIFIED:
        return "verified";
    case BLOB_WHOLE:
        return "whole";
    case BLOB_FAILED:
        return "failed";
    }
    never("blob phase");
}

/* What the site said of a blob that is to leave. */
static void
add_site_word(cJSON *worth, const struct blob_info *info)
{
    static const char *const words[] = {[CACHE_LEAVE_UNASKED] = "not asked",
                                        [CACHE_LEAVE_ASKED] = "asked",
                                        [CACHE_LEAVE_MAY] = "others have it: it may go",
                                        [CACHE_LEAVE_LAST] = "last copy in the site, no room there",
                                        [CACHE_LEAVE_MOVES] = "moves to node ",
                                        [CACHE_LEAVE_KEEP] = "last copy in the site, kept"};
    char text[80];
    int bad = text_printf(text, sizeof text, "%s%s", words[info->leave],
                          info->leave == CACHE_LEAVE_MOVES ? info->leave_to : "");
    must(bad == 0);
    report_add_text(worth, "site", text);
    if (info->leave > CACHE_LEAVE_ASKED)
        json_add_u64(worth, "site_age_ms", (uint64_t)info->leave_age_ms);
    cJSON_AddBoolToObject(worth, "stays",
                          info->leave == CACHE_LEAVE_MOVES || info->leave == CACHE_LEAVE_KEEP ||
                              info->leave == CACHE_LEAVE_ASKED);
}

/* What keeps it in the cache, or not. */
static void
add_worth(cJSON *doc, const struct blob_info *info)
{
    cJSON *worth = cJSON_AddObjectToObject(doc, "worth");
    cJSON_AddNumberToObject(worth, "value", info->value);
    cJSON_AddNumberToObject(worth, "requests", info->requests);
    json_add_u64(worth, "copies", info->copies);
    cJSON_AddBoolToObject(worth, "probation", info->probation);
    cJSON_AddBoolToObject(worth, "pinned", info->pinned);
    add_site_word(worth, info);
}

cJSON *
report_blob_info(const struct report *r, const struct blob_info *info)
{
    cJSON *doc = cJSON_CreateObject();
    char digest[DIGEST_TEXT_MAX], repository[CACHE_NAME_MAX];
    digest_print(&info->digest, digest);
    report_add_text(doc, "digest", digest);
    report_add_text(doc, "phase", phase_text(info->phase));
    add_size(doc, "size_bytes", info->size);
    json_add_u64(doc, "have_bytes", info->have_bytes);
    if (info->disk_bytes > 0)
        json_add_u64(doc, "disk_bytes", info->disk_bytes);
    cJSON *from = cJSON_AddObjectToObject(doc, "from_bytes");
    json_add_u64(from, "upstream", info->from_bytes[BLOB_FROM_UPSTREAM]);
    json_add_u64(from, "peer", info->from_bytes[BLOB_FROM_PEER]);
    json_add_u64(from, "remote_peer", info->from_bytes[BLOB_FROM_REMOTE_PEER]);
    json_add_u64(doc, "served_bytes", info->served_bytes);
    report_add_time(doc, "stored", info->stored_wall_s);
    report_add_time(doc, "used", info->used_wall_s);
    json_add_u64(doc, "readers", info->readers);
    cJSON_AddBoolToObject(doc, "containerd", info->foreign);
    add_worth(doc, info);
    if (cache_link_any(r->cache, &info->digest, repository))
        report_add_text(doc, "repository", repository);
    return doc;
}

cJSON *
report_blob(const struct report *r, const struct digest *d)
{
    struct blob_info info;
    return cache_info(r->cache, d, &info) ? NULL : report_blob_info(r, &info);
}

/* ---- images ---- */

static const char *
kind_text(enum manifest_kind kind)
{
    switch (kind) {
    case MANIFEST_IMAGE:
        return "image";
    case MANIFEST_INDEX:
        return "index";
    case MANIFEST_ARTIFACT:
        return "artifact";
    }
    never("manifest kind");
}

cJSON *
report_blob_wanted(const struct report *r, const struct digest *d, uint64_t size)
{
    cJSON *doc = report_blob(r, d);
    if (doc)
        return doc;
    char digest[DIGEST_TEXT_MAX];
    digest_print(d, digest);
    doc = cJSON_CreateObject();
    report_add_text(doc, "digest", digest);
    report_add_text(doc, "phase", "absent");
    add_size(doc, "size_bytes", size);
    return doc;
}

/* Adds what the cached manifest d names; nothing when it is not here. */
static void
add_manifest(const struct report *r, const char *key, const struct digest *d, unsigned depth,
             cJSON *to)
{
    AUTO(buf_release) struct buf body;
    buf_init(&body, MANIFEST_BYTES_MAX);
    struct link link;
    if (!cache_link_get(r->cache, key, 0, d, &link) || cache_get(r->cache, d, &body))
        return;
    AUTO(manifest_release) struct manifest m = {0};
    report_add_text(to, "media_type", link.media_type);
    if (manifest_parse(buf_text(&body), body.len, manifest_type(link.media_type), &m))
        return;
    report_add_text(to, "kind", kind_text(m.kind));
    cJSON *list = cJSON_AddArrayToObject(to, "content");
    for (size_t i = 0; i < m.child_count; i++) {
        cJSON *child = report_blob_wanted(r, &m.children[i].digest, m.children[i].size);
        if (m.kind == MANIFEST_INDEX && depth + 1 < IMAGE_DEPTH_MAX)
            add_manifest(r, key, &m.children[i].digest, depth + 1, child);
        cJSON_AddItemToArray(list, child);
    }
}

/* The digest of a tag as it was last seen, with its age into `to`. */
static bool
tag_digest(const struct report *r, const char *key, const char *tag, struct digest *ret, cJSON *to)
{
    char name[CACHE_TAG_KEY_MAX];
    struct tag t;
    if (text_printf(name, sizeof name, "%s:%s", key, tag) || !cache_tag_get(r->cache, name, &t))
        return false;
    report_add_text(to, "tag", tag);
    report_add_time(to, "tag_checked", t.checked_wall_s);
    *ret = t.digest;
    return true;
}

cJSON *
report_image(const struct report *r, const char *host, const char *repository,
             const char *reference)
{
    char key[CACHE_NAME_MAX];
    struct ref ref;
    if (text_printf(key, sizeof key, "%s/%s", host, repository) ||
        ref_parse(reference, strlen(reference), &ref))
        return NULL;
    cJSON *doc = cJSON_CreateObject();
    struct digest d = ref.digest;
    struct link link;
    bool known = ref.by_digest ? cache_link_get(r->cache, key, 0, &d, &link)
                               : tag_digest(r, key, ref.tag, &d, doc);
    if (!known) {
        cJSON_Delete(doc);
        return NULL;
    }
    report_add_text(doc, "repository", key);
    cJSON *top = report_blob_wanted(r, &d, CACHE_SIZE_UNKNOWN);
    add_manifest(r, key, &d, 0, top);
    cJSON_AddItemToObject(doc, "manifest", top);
    return doc;
}
