/* The largest share of the time names the cause. */
#include "proxy/why.h"
#include "base/text.h"
#include <string.h>

#define QUICK_MS 1000

const struct fetched_info *
why_fetch(const struct pull *p, const struct pull_step *s, const struct fetched_info *done,
          size_t count)
{
    int64_t begun_ms = p->begun_ms + s->at_ms, ended_ms = begun_ms + s->took_ms;
    if (s->manifest || strcmp(s->source, "cache") == 0)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const struct fetched_info *f = &done[i];
        if (digest_equal(&f->digest, &s->digest) && f->ended_ms >= begun_ms &&
            f->ended_ms - f->took_ms <= ended_ms)
            return f;
    }
    return NULL;
}

/* When no request of the pull was open: what its steps, in the order of their begin, leave. */
static int64_t
idle_ms(const struct pull *p)
{
    int64_t covered_ms = 0, sum_ms = 0;
    for (;;) {
        const struct pull_step *next = NULL;
        for (size_t i = 0; i < p->steps_count; i++) {
            const struct pull_step *s = &p->steps[i];
            if (s->at_ms + s->took_ms > covered_ms && (!next || s->at_ms < next->at_ms))
                next = s;
        }
        if (!next)
            return sum_ms;
        if (next->at_ms > covered_ms)
            sum_ms += next->at_ms - covered_ms;
        covered_ms = next->at_ms + next->took_ms;
    }
}

static void
add_fetch(const struct fetched_info *f, struct why_parts *w)
{
    for (int i = 0; i < FETCH_WAITS; i++)
        w->wait_ms[i] += f->wait_ms[i];
    w->upstream_failures += f->trouble.upstream;
    w->peer_failures += f->trouble.peers;
    if (f->trouble.last[0])
        memcpy(w->trouble, f->trouble.last, sizeof w->trouble);
}

void
why_parts(const struct pull *p, const struct fetched_info *done, size_t count,
          struct why_parts *ret)
{
    *ret = (struct why_parts){.took_ms = p->last_ms - p->begun_ms, .idle_ms = idle_ms(p)};
    for (size_t i = 0; i < p->steps_count; i++) {
        const struct pull_step *s = &p->steps[i];
        const struct fetched_info *f = why_fetch(p, s, done, count);
        if (s->manifest) {
            ret->manifest_ms += s->took_ms;
            continue;
        }
        int64_t ours_ms = s->first_byte_ms + s->starved_ms;
        ret->blobs_ms += ours_ms;
        ret->client_ms += s->took_ms > ours_ms ? s->took_ms - ours_ms : 0;
        if (f)
            add_fetch(f, ret);
    }
}

static uint64_t
rate(uint64_t bytes, int64_t took_ms)
{
    return took_ms > 0 ? bytes * 1000 / (uint64_t)took_ms : 0;
}

static enum fetch_wait
largest(const struct why_parts *w)
{
    enum fetch_wait best = FETCH_WAIT_TURN;
    for (int i = 1; i < FETCH_WAITS; i++)
        if (w->wait_ms[i] > w->wait_ms[best])
            best = (enum fetch_wait)i;
    return best;
}

/* It waited for bytes: of whom? */
static void
tell_wait(const struct pull *p, const struct why_parts *w, char ret[WHY_TEXT_MAX])
{
    char size[TEXT_SIZE_MAX], speed[TEXT_SIZE_MAX];
    uint64_t wan = p->from_bytes[BLOB_FROM_UPSTREAM];
    uint64_t lan = p->from_bytes[BLOB_FROM_PEER] + p->from_bytes[BLOB_FROM_REMOTE_PEER];
    const char *text = "";
    switch (largest(w)) {
    case FETCH_WAIT_UPSTREAM:
        text_print_size(wan, size);
        text_print_size(rate(wan, w->took_ms), speed);
        (void)!text_printf(ret, WHY_TEXT_MAX, "the registry was slow: %s came over the WAN at %s/s",
                           size, speed);
        return;
    case FETCH_WAIT_PEERS:
        text_print_size(lan, size);
        text_print_size(rate(lan, w->took_ms), speed);
        (void)!text_printf(ret, WHY_TEXT_MAX, "waited for other nodes: %s came from them at %s/s",
                           size, speed);
        return;
    case FETCH_WAIT_BOTH:
        text_print_size(wan + lan, size);
        text_print_size(rate(wan + lan, w->took_ms), speed);
        (void)!text_printf(ret, WHY_TEXT_MAX,
                           "waited for the registry and other nodes together: %s at %s/s", size,
                           speed);
        return;
    case FETCH_WAIT_TURN:
        text = "waited for a turn: other nodes were fetching its pieces, or the registry asked to "
               "wait";
        break;
    case FETCH_WAIT_CHECK:
        text = "waited for the check of the digest and for the disk";
        break;
    case FETCH_WAITS:
        break;
    }
    (void)!text_copy(ret, WHY_TEXT_MAX, text);
}

/* Why the runtime had to get its blobs elsewhere; NULL when one came from here, or none was asked
 * for. */
static const char *
refusal(const struct pull *p)
{
    const char *why = NULL;
    for (size_t i = 0; i < p->steps_count; i++) {
        const struct pull_step *s = &p->steps[i];
        if (s->status < 400 && !s->manifest)
            return NULL;
        why = s->status < 400 ? NULL : s->why;
    }
    return why;
}

/* The share that speaks. */
static void
tell_cause(const struct pull *p, const struct why_parts *w, char ret[WHY_TEXT_MAX])
{
    char took[TEXT_SIZE_MAX];
    text_print_duration(w->took_ms, took);
    const char *refused = refusal(p);
    bool cached = p->from_cache > 0 && p->from_cache == p->bytes;
    if (p->running)
        (void)!text_copy(ret, WHY_TEXT_MAX, "still running");
    else if (refused)
        (void)!text_printf(ret, WHY_TEXT_MAX, "nothing of it came from here: %s", refused);
    else if (w->took_ms < QUICK_MS)
        (void)!text_printf(ret, WHY_TEXT_MAX, "quick: %s", took);
    else if (w->idle_ms * 2 > w->took_ms)
        (void)!text_copy(ret, WHY_TEXT_MAX,
                         "the client paused between its requests for more than half of the time");
    else if (w->manifest_ms * 2 > w->took_ms)
        (void)!text_copy(ret, WHY_TEXT_MAX,
                         "waited for the manifest: the registry was slow to "
                         "say what the tag stands for");
    else if (w->client_ms > w->blobs_ms)
        (void)!text_printf(ret, WHY_TEXT_MAX, "the client was slow to take what was ready%s",
                           cached ? ": all of it was in the cache" : "");
    else
        tell_wait(p, w, ret);
}

void
why_text(const struct pull *p, const struct why_parts *w, char ret[WHY_TEXT_MAX])
{
    char cause[WHY_TEXT_MAX] = "";
    tell_cause(p, w, cause);
    int bad = 0;
    if (w->upstream_failures)
        bad = text_printf(ret, WHY_TEXT_MAX, "%.120s; the registry failed %u %s: %.110s", cause,
                          w->upstream_failures, text_plural(w->upstream_failures, "time", "times"),
                          w->trouble);
    else if (w->peer_failures)
        bad = text_printf(ret, WHY_TEXT_MAX, "%.180s; other nodes failed %u %s", cause,
                          w->peer_failures, text_plural(w->peer_failures, "time", "times"));
    else
        memcpy(ret, cause, WHY_TEXT_MAX);
    must(bad == 0);
}
