/*
 * status               meaning for a blob
 * 200                  GO; the bytes before the gap are skipped (Range was ignored)
 * 206                  GO if it starts where the gap starts, else BROKEN
 * 404 410              GONE ERR_NOT_FOUND
 * 401 403 451          GONE ERR_DENIED
 * 416                  GONE ERR_SIZE (we ask only below the known size)
 * 408 425 5xx          BROKEN ERR_UPSTREAM
 * anything else        GONE ERR_UPSTREAM
 *
 * A body with a Content-Encoding is BROKEN, a total length other than the known one
 * GONE ERR_SIZE: a blob of a wrong length is never begun.
 */
#include "proxy/upstream/judge.h"

static struct verdict
gone(int code, const char *reason)
{
    return (struct verdict){.kind = VERDICT_GONE, .code = code, .reason = reason};
}

static struct verdict
broken(const char *reason)
{
    return (struct verdict){.kind = VERDICT_BROKEN, .code = ERR_UPSTREAM, .reason = reason};
}

static struct verdict
go(uint64_t skip, uint64_t size, uint64_t known)
{
    if (size != CACHE_SIZE_UNKNOWN && known != CACHE_SIZE_UNKNOWN && size != known)
        return gone(ERR_SIZE, "length differs from the expected one");
    return (struct verdict){.kind = VERDICT_GO, .skip = skip, .size = size};
}

static struct verdict
judge_partial(const struct head *h, const struct gap *asked, uint64_t known)
{
    if (!h->has_range)
        return broken("206 without Content-Range");
    if (h->range.start != asked->start || h->range.end > asked->end)
        return broken("206 with another range than asked");
    if (h->content_length != CACHE_SIZE_UNKNOWN &&
        h->content_length != h->range.end - h->range.start)
        return broken("206 whose length is not its range's");
    return go(0, h->range_size, known);
}

static struct verdict
judge_refusal(int status)
{
    if (status == 404 || status == 410)
        return gone(ERR_NOT_FOUND, "not found");
    if (status == 401 || status == 403 || status == 451)
        return gone(ERR_DENIED, "access denied");
    if (status == 416)
        return gone(ERR_SIZE, "range beyond the end");
    if (status == 408 || status == 425 || status >= 500)
        return broken("server error");
    return gone(ERR_UPSTREAM, "unexpected status");
}

struct verdict
judge_blob(const struct head *h, const struct gap *asked, uint64_t size)
{
    if (h->status != 200 && h->status != 206)
        return judge_refusal(h->status);
    if (h->encoded)
        return broken("content encoding although identity was asked");
    if (h->status == 206)
        return judge_partial(h, asked, size);
    return go(asked->start, h->content_length, size);
}

struct verdict
judge_ask(const struct head *h)
{
    if ((h->status >= 500 && h->status != 501) || h->status == 408)
        return broken("server error");
    if (h->encoded)
        return broken("content encoding although identity was asked");
    return (struct verdict){.kind = VERDICT_GO, .size = h->content_length};
}

bool
judge_is_redirect(const struct head *h)
{
    return h->location[0] != '\0' && (h->status == 301 || h->status == 302 || h->status == 303 ||
                                      h->status == 307 || h->status == 308);
}

bool
judge_is_wait(const struct head *h)
{
    return h->status == 429 || (h->status == 503 && h->retry_after_ms >= 0);
}
