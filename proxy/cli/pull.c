/*
 * peersync pull IMAGE...: asks the node for what an image is made of, so that it is cached.
 *
 *   name -> manifest -> (index: the platform's manifest) -> config and layers -> blobs
 */
#include "proxy/cli/pull.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/api/manifest.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define MANIFEST_S    60L
#define WHOLE_SECONDS 19 /* of RFC 3339 in UTC: texts compare like times */

struct document {
    char media_type[MANIFEST_TYPE_MAX];
    cJSON *json;
};

static size_t
take(char *bytes, size_t one, size_t len, void *arg)
{
    return buf_add(arg, bytes, one * len) ? 0 : one * len;
}

static int
read_document(CURL *curl, long status, const struct buf *body, const char *name,
              struct document *ret)
{
    char why[160];
    if (status != 200) {
        pull_error_text(buf_text(body), body->len, status, why, sizeof why);
        return cli_fail(CLI_FAILED, "%s: %s", name, why);
    }
    const char *type = NULL;
    (void)curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    if (!type || text_copy(ret->media_type, sizeof ret->media_type, manifest_type(type)) ||
        !*ret->media_type || json_parse(buf_text(body), body->len, &ret->json))
        return cli_fail(CLI_FAILED, "%s: the answer is no manifest", name);
    return 0;
}

static int
get_manifest(const struct pull *p, const struct image *image, const char *reference,
             struct document *ret)
{
    AUTO(mem_free_text)
    char *url = mem_printf("http://%s/v2/%s/manifests/%s?ns=%s", p->node, image->repository,
                           reference, image->host);
    AUTO(mem_free_text) char *name = mem_printf("%s/%s", image->host, image->repository);
    AUTO(mem_free_text) char *accept = mem_printf("Accept: %s", manifest_accept);
    struct curl_slist *headers = curl_slist_append(NULL, accept);
    struct buf body;
    buf_init(&body, MANIFEST_BYTES_MAX);
    CURL *curl = curl_easy_init();
    must(curl && headers);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, MANIFEST_S);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "peersync/" PEERSYNC_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    int bad = code == CURLE_OK ? read_document(curl, status, &body, name, ret)
                               : cli_fail(CLI_FAILED, "%s: %s", name, curl_easy_strerror(code));
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    buf_release(&body);
    return bad;
}

/* ---- what a manifest names ---- */

static bool
is_known(const struct pull *p, const char *digest)
{
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->blobs[i].digest, digest) == 0)
            return true;
    }
    return false;
}

static int
add_blob(struct pull *p, const struct image *image, const cJSON *descriptor)
{
    const char *text = cli_text(descriptor, "digest");
    struct digest d;
    uint64_t size;
    if (json_array(descriptor, "urls"))
        return 0; /* not distributable: runtimes get it from elsewhere */
    if (digest_parse(text, strlen(text), &d) || json_u64(descriptor, "size", &size))
        return cli_fail(CLI_FAILED, "%s: a descriptor without digest or size", image->repository);
    if (is_known(p, text))
        return 0;
    if (p->count == PULL_BLOBS_MAX)
        return cli_fail(CLI_FAILED, "more than %d blobs", PULL_BLOBS_MAX);
    p->blobs = mem_realloc(p->blobs, (p->count + 1) * sizeof *p->blobs);
    struct pull_blob *b = &p->blobs[p->count++];
    *b = (struct pull_blob){.size = size, .state = PULL_WAITING};
    must(!text_copy(b->digest, sizeof b->digest, text));
    must(!text_copy(b->host, sizeof b->host, image->host));
    must(!text_copy(b->repository, sizeof b->repository, image->repository));
    return 0;
}

static int
add_manifest(struct pull *p, const struct image *image, const cJSON *manifest)
{
    int bad = 0;
    const cJSON *one;
    const cJSON *config = json_object(manifest, "config");
    const cJSON *layers = json_array(manifest, "layers");
    if (!layers)
        layers = json_array(manifest, "blobs"); /* an artifact */
    if (config)
        bad = add_blob(p, image, config);
    cJSON_ArrayForEach(one, layers)
    {
        bad = bad ? bad : add_blob(p, image, one);
    }
    return bad;
}

/* The manifest of an index that fits best: same variant before any variant. */
static const char *
choose(const cJSON *index, const struct platform *wanted)
{
    const char *best = NULL;
    const cJSON *one;
    cJSON_ArrayForEach(one, json_array(index, "manifests"))
    {
        const cJSON *o = json_object(one, "platform");
        struct platform offered = {.os = ""};
        if (!o || text_copy(offered.os, sizeof offered.os, cli_text(o, "os")) ||
            text_copy(offered.architecture, sizeof offered.architecture,
                      cli_text(o, "architecture")) ||
            text_copy(offered.variant, sizeof offered.variant, cli_text(o, "variant")) ||
            !platform_fits(wanted, &offered))
            continue;
        if (strcmp(offered.variant, wanted->variant) == 0)
            return cli_text(one, "digest");
        best = best ? best : cli_text(one, "digest");
    }
    return best;
}

/* ---- what was there before ---- */

/* All of it is there; a verified blob only waits for its fsync. */
static bool
is_here(const cJSON *blob)
{
    const char *phase = cli_text(blob, "phase");
    return strcmp(phase, "whole") == 0 || strcmp(phase, "verified") == 0;
}

/* The digest is there in an answer of /api/v1/images; they nest two deep at most. */
static bool
is_here_in(const cJSON *part, const char *digest)
{
    if (strcmp(cli_text(part, "digest"), digest) == 0)
        return is_here(part);
    const cJSON *child;
    cJSON_ArrayForEach(child, json_array(part, "content"))
    {
        if (is_here_in(child, digest))
            return true;
    }
    return false;
}

static bool
was_known(const struct pull *p, const char *digest)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, p->known)
    {
        if (is_here_in(json_object(one, "manifest"), digest))
            return true;
    }
    return false;
}

/* Notes what is there before the manifest is asked for, which starts the rest. */
static int
look_first(struct pull *p, const struct image *image)
{
    AUTO(mem_free_text)
    char *path = mem_printf("/api/v1/images?registry=%s&repository=%s&reference=%s", image->host,
                            image->repository, image->reference);
    cJSON *doc = NULL;
    int bad = cli_find(p->cli, path, &doc);
    if (!bad && doc)
        cJSON_AddItemToArray(p->known, doc);
    return bad;
}

/* ---- images ---- */

static int
add_image(struct pull *p, const char *name, const struct platform *wanted)
{
    struct image image;
    if (image_parse(name, &image))
        return cli_fail(CLI_USAGE, "%s: expected an image such as docker.io/library/busybox:1.36",
                        name);
    struct document top = {.json = NULL}, child = {.json = NULL};
    int bad = look_first(p, &image);
    bad = bad ? bad : get_manifest(p, &image, image.reference, &top);
    const cJSON *manifest = top.json;
    if (!bad && json_array(top.json, "manifests")) {
        const char *digest = choose(top.json, wanted);
        bad = digest ? get_manifest(p, &image, digest, &child)
                     : cli_fail(CLI_FAILED, "%s: nothing for %s/%s in it", name, wanted->os,
                                wanted->architecture);
        manifest = child.json;
    }
    bad = bad ? bad : add_manifest(p, &image, manifest);
    json_free(&top.json);
    json_free(&child.json);
    return bad;
}

/* ---- before and after ---- */

/* Blobs that were whole before we came: known then, or stored in an earlier second. */
static int
mark_cached(struct pull *p)
{
    for (size_t i = 0; i < p->count; i++) {
        struct pull_blob *b = &p->blobs[i];
        AUTO(mem_free_text) char *path = mem_printf("/api/v1/blobs/%s", b->digest);
        AUTO(json_free) cJSON *doc = NULL;
        int bad = cli_find(p->cli, path, &doc);
        if (bad)
            return bad;
        bool here = is_here(doc);
        bool old = strncmp(cli_text(doc, "stored"), p->began, WHOLE_SECONDS) < 0;
        if (here && (old || was_known(p, b->digest)))
            b->state = PULL_CACHED;
    }
    return 0;
}

struct came {
    uint64_t cached, upstream, peers;
};

/* Where the bytes came from, as the node counted them. */
static int
count_sources(struct pull *p, struct came *ret)
{
    struct came came = {0};
    for (size_t i = 0; i < p->count; i++) {
        const struct pull_blob *b = &p->blobs[i];
        if (b->state == PULL_CACHED)
            came.cached += b->size;
        if (b->state != PULL_DONE)
            continue;
        AUTO(mem_free_text) char *path = mem_printf("/api/v1/blobs/%s", b->digest);
        AUTO(json_free) cJSON *doc = NULL;
        int bad = cli_find(p->cli, path, &doc);
        if (bad)
            return bad;
        const cJSON *from = json_object(doc, "from_bytes");
        came.upstream += cli_number(from, "upstream");
        came.peers += cli_number(from, "peer") + cli_number(from, "remote_peer");
    }
    *ret = came;
    return 0;
}

static int
print_json(const struct pull *p, const struct came *came, int64_t took_ms)
{
    static const char *const states[] = {[PULL_DONE] = "fetched", [PULL_CACHED] = "cached"};
    AUTO(json_free) cJSON *doc = cJSON_CreateObject();
    json_add_u64(doc, "took_ms", (uint64_t)took_ms);
    json_add_u64(doc, "cached_bytes", came->cached);
    json_add_u64(doc, "upstream_bytes", came->upstream);
    json_add_u64(doc, "peer_bytes", came->peers);
    cJSON *list = cJSON_AddArrayToObject(doc, "blobs");
    for (size_t i = 0; i < p->count; i++) {
        const struct pull_blob *b = &p->blobs[i];
        bool good = b->state == PULL_DONE || b->state == PULL_CACHED;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "digest", b->digest);
        json_add_u64(one, "size_bytes", b->size);
        cJSON_AddStringToObject(one, "result", good ? states[b->state] : "failed");
        cJSON_AddStringToObject(one, "why", good ? "" : b->why);
        cJSON_AddItemToArray(list, one);
    }
    return cli_print_json(doc);
}

static int
finish(struct pull *p)
{
    int64_t took_ms = clock_ms() - p->started_ms;
    int result = CLI_OK;
    for (size_t i = 0; i < p->count; i++) {
        const struct pull_blob *b = &p->blobs[i];
        if (b->state == PULL_FAILED)
            result = cli_fail(CLI_FAILED, "%s: %s", b->digest, b->why);
    }
    struct came came;
    int bad = count_sources(p, &came);
    if (bad || (p->cli->quiet && !p->cli->json))
        return bad ? bad : result;
    if (p->cli->json)
        return print_json(p, &came, took_ms) == CLI_OK ? result : CLI_FAILED;
    char cached[TEXT_SIZE_MAX], upstream[TEXT_SIZE_MAX], peers[TEXT_SIZE_MAX];
    text_print_size(came.cached, cached);
    text_print_size(came.upstream, upstream);
    text_print_size(came.peers, peers);
    (void)printf("%s in %lld.%lld s: %s were cached, %s came from upstream, %s from peers\n",
                 result ? "failed" : "done", (long long)(took_ms / 1000),
                 (long long)(took_ms % 1000 / 100), cached, upstream, peers);
    return result;
}

static int
find_node(struct pull *p)
{
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_get(p->cli, "/api/v1/status", &doc);
    if (bad)
        return bad;
    const char *listen = cli_text(doc, "listen");
    if (!*listen)
        return cli_fail(CLI_FAILED, "the daemon is %s", cli_text(doc, "state"));
    return cli_reachable(listen, p->node);
}

static int
pull_all(struct pull *p, const struct platform *wanted)
{
    int bad = find_node(p);
    for (int i = 0; i < p->cli->arg_count && !bad; i++)
        bad = add_image(p, p->cli->args[i], wanted);
    bad = bad ? bad : mark_cached(p);
    if (bad)
        return bad;
    struct pull_screen *screen = pull_screen_open(p);
    for (size_t i = 0; i < p->count; i++) {
        if (p->blobs[i].state == PULL_CACHED)
            pull_screen_tick(screen, &p->blobs[i]);
    }
    bad = pull_blobs(p, pull_screen_tick, screen);
    pull_screen_close(screen);
    return bad ? bad : finish(p);
}

int
cli_pull(const struct cli *cli)
{
    struct platform wanted;
    platform_here(&wanted);
    if (cli->platform && platform_parse(cli->platform, &wanted))
        return cli_fail(CLI_USAGE, "--platform: expected OS/ARCH such as linux/arm64, not \"%s\"",
                        cli->platform);
    struct pull p = {.cli = cli, .started_ms = clock_ms()};
    clock_wall_text(p.began);
    p.known = cJSON_CreateArray();
    int result = pull_all(&p, &wanted);
    json_free(&p.known);
    mem_free(p.blobs);
    return result;
}
