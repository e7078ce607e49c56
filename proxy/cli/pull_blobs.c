/* Gets blobs from the node and throws them away: a few at a time, each continued at the
 * same byte when its connection ends early. The node checks the digests. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/pull.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define PARALLEL        4 /* the node's prefetch gets the rest */
#define ATTEMPTS_MAX    4 /* without a byte between them */
#define TICK_MS         100
#define ERROR_BYTES_MAX 4096

/* One running request. */
struct run {
    CURL *curl;
    struct pull_blob *blob;
    uint64_t skip; /* bytes that a 200 to a ranged request repeats */
    struct buf error;
    bool began;
};

struct runs {
    struct pull *pull;
    CURLM *multi;
    struct run list[PARALLEL];
};

void
pull_error_text(const char *body, size_t len, long status, char *ret, size_t cap)
{
    AUTO(json_free) cJSON *doc = NULL;
    const cJSON *first = NULL;
    if (!json_parse(body, len, &doc))
        first = cJSON_GetArrayItem(json_array(doc, "errors"), 0);
    const char *message = json_text(first, "message");
    if (message)
        text_escape(ret, cap, message, strlen(message));
    else
        (void)snprintf(ret, cap, "HTTP status %ld", status);
}

static size_t
take(char *bytes, size_t one, size_t len, void *arg)
{
    struct run *r = arg;
    struct pull_blob *b = r->blob;
    len *= one;
    long status = 0;
    (void)curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) {
        int lost = buf_add(&r->error, bytes, len);
        (void)lost; /* too long: the status will do */
        return len;
    }
    if (!r->began && status == 200)
        r->skip = b->have;
    r->began = true;
    uint64_t skipped = len < r->skip ? len : r->skip;
    r->skip -= skipped;
    b->have += len - skipped;
    if (len > skipped)
        b->attempts = 1;
    return len;
}

static void
start(struct runs *runs, struct run *r, struct pull_blob *b)
{
    AUTO(mem_free_text)
    char *url = mem_printf("http://%s/v2/%s/blobs/%s?ns=%s", runs->pull->node, b->repository,
                           b->digest, b->host);
    r->curl = curl_easy_init();
    must(r->curl);
    r->blob = b;
    r->skip = 0;
    r->began = false;
    buf_init(&r->error, ERROR_BYTES_MAX);
    if (b->state == PULL_WAITING)
        b->started_ms = clock_ms();
    b->state = PULL_RUNNING;
    b->attempts++;
    (void)curl_easy_setopt(r->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(r->curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(r->curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(r->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(r->curl, CURLOPT_USERAGENT, "peersync/" PEERSYNC_VERSION);
    (void)curl_easy_setopt(r->curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(r->curl, CURLOPT_WRITEDATA, r);
    (void)curl_easy_setopt(r->curl, CURLOPT_PRIVATE, r);
    if (b->have)
        (void)curl_easy_setopt(r->curl, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)b->have);
    must(curl_multi_add_handle(runs->multi, r->curl) == CURLM_OK);
}

static void
start_more(struct runs *runs)
{
    size_t next = 0;
    for (size_t i = 0; i < PARALLEL; i++) {
        if (runs->list[i].curl)
            continue;
        while (next < runs->pull->count && runs->pull->blobs[next].state != PULL_WAITING)
            next++;
        if (next < runs->pull->count)
            start(runs, &runs->list[i], &runs->pull->blobs[next]);
    }
}

static void
drop(struct runs *runs, struct run *r)
{
    (void)curl_multi_remove_handle(runs->multi, r->curl);
    curl_easy_cleanup(r->curl);
    buf_release(&r->error);
    r->curl = NULL;
}

/* DONE, FAILED, or still RUNNING: to be continued. */
static void
judge(struct run *r, CURLcode code)
{
    struct pull_blob *b = r->blob;
    long status = 0;
    (void)curl_easy_getinfo(r->curl, CURLINFO_RESPONSE_CODE, &status);
    bool answered = status == 200 || status == 206;
    if (answered && b->have == b->size && code == CURLE_OK) {
        b->state = PULL_DONE;
    } else if (answered && b->have > b->size) {
        (void)snprintf(b->why, sizeof b->why, "longer than its manifest says");
        b->state = PULL_FAILED;
    } else if (status != 0 && !answered) {
        pull_error_text(buf_text(&r->error), r->error.len, status, b->why, sizeof b->why);
        b->state = PULL_FAILED;
    } else if (b->attempts >= ATTEMPTS_MAX) {
        (void)snprintf(b->why, sizeof b->why, "cut off: %s", curl_easy_strerror(code));
        b->state = PULL_FAILED;
    }
}

/* Takes what has ended; returns the last blob that came to its end, or NULL. */
static void
collect(struct runs *runs, void (*tick)(void *arg, const struct pull_blob *ended), void *arg)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(runs->multi, &left))) {
        struct run *r = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        struct pull_blob *b = r->blob;
        judge(r, m->data.result);
        drop(runs, r);
        if (b->state == PULL_RUNNING) {
            start(runs, r, b);
            continue;
        }
        b->ended_ms = clock_ms();
        tick(arg, b);
    }
}

int
pull_blobs(struct pull *p, void (*tick)(void *arg, const struct pull_blob *ended), void *arg)
{
    struct runs runs = {.pull = p, .multi = curl_multi_init()};
    if (!runs.multi)
        return cli_fail(CLI_FAILED, "no memory for requests");
    for (int running = 1; running > 0;) {
        start_more(&runs);
        must(curl_multi_perform(runs.multi, &running) == CURLM_OK);
        collect(&runs, tick, arg);
        start_more(&runs);
        for (size_t i = 0; i < PARALLEL; i++)
            running += runs.list[i].curl != NULL; /* one that was just started counts too */
        tick(arg, NULL);
        if (running > 0)
            (void)curl_multi_poll(runs.multi, NULL, 0, TICK_MS, NULL);
    }
    (void)curl_multi_cleanup(runs.multi);
    return 0;
}
