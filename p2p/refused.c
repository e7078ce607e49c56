/* A ring of counts for each kind, and the last addresses. */
#include "p2p/refused.h"
#include "base/text.h"
#include <string.h>

#define WIDTH_MS (REFUSED_SPAN_MS / REFUSED_BUCKETS)

const char *
refused_name(enum refused_kind kind)
{
    static const char *const names[] = {"key", "clock", "replay", "version", "syntax", "id"};
    must(kind < REFUSED_KINDS);
    return names[kind];
}

/* Is the bucket of that number counted now? */
static bool
is_lately(int64_t number, int64_t now_ms)
{
    return number > now_ms / WIDTH_MS - REFUSED_BUCKETS;
}

/* What is longer than there is place for is no address, and is not kept. */
static void
note_from(struct refused_of *of, const char *from, int64_t now_ms)
{
    size_t at = 0;
    for (size_t i = 0; i < REFUSED_FROM_MAX; i++) {
        if (of->from[i].last_ms > 0 && strcmp(of->from[i].text, from) == 0) {
            of->from[i].last_ms = now_ms;
            return;
        }
        if (of->from[i].last_ms < of->from[at].last_ms)
            at = i;
    }
    if (text_copy(of->from[at].text, sizeof of->from[at].text, from) == 0)
        of->from[at].last_ms = now_ms;
}

void
refused_note(struct refused *r, enum refused_kind kind, const char *from, int64_t now_ms)
{
    struct refused_of *of = &r->of[kind];
    int64_t number = now_ms / WIDTH_MS;
    size_t at = (size_t)(number % REFUSED_BUCKETS);
    if (of->buckets[at].number != number) {
        of->buckets[at].number = number;
        of->buckets[at].count = 0;
    }
    of->buckets[at].count++;
    of->last_ms = now_ms > 0 ? now_ms : 1;
    if (from != NULL)
        note_from(of, from, of->last_ms);
}

/* Those of the buckets that count, the newest first. */
static void
list_from(const struct refused_of *of, int64_t now_ms, struct refused_lately *ret)
{
    for (size_t i = 0; i < REFUSED_FROM_MAX; i++) {
        int64_t last_ms = of->from[i].last_ms;
        if (last_ms == 0 || !is_lately(last_ms / WIDTH_MS, now_ms))
            continue;
        size_t at = 0; /* how many are newer */
        for (size_t j = 0; j < REFUSED_FROM_MAX; j++) {
            int64_t other_ms = of->from[j].last_ms;
            at += other_ms > last_ms || (other_ms == last_ms && j < i);
        }
        memcpy(ret->from[at], of->from[i].text, REFUSED_FROM_TEXT);
        ret->from_count++;
    }
}

void
refused_look(const struct refused *r, enum refused_kind kind, int64_t now_ms,
             struct refused_lately *ret)
{
    const struct refused_of *of = &r->of[kind];
    *ret = (struct refused_lately){.last_ms_ago = -1};
    for (size_t i = 0; i < REFUSED_BUCKETS; i++)
        if (is_lately(of->buckets[i].number, now_ms))
            ret->count += of->buckets[i].count;
    if (ret->count > 0)
        ret->last_ms_ago = now_ms - of->last_ms;
    list_from(of, now_ms, ret);
}
