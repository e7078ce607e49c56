/* Parses a Range header and applies it to a length. */
#include "proxy/api/range.h"
#include "base/text.h"
#include "cache/cache.h"
#include <string.h>
#include <strings.h>

/* Digits that overflow mean "beyond every end". */
static bool
number(const char *s, size_t len, uint64_t *ret)
{
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    if (text_u64(s, len, ret) < 0)
        *ret = UINT64_MAX;
    return true;
}

void
range_parse(const char *text, struct range *ret)
{
    *ret = (struct range){0};
    if (!text || strncasecmp(text, "bytes=", 6) != 0)
        return;
    text += 6 + strspn(text + 6, " \t");
    size_t len = strcspn(text, " \t");
    const char *dash = memchr(text, '-', len);
    if (!dash || text[len + strspn(text + len, " \t")] != 0)
        return;
    size_t left = (size_t)(dash - text);
    size_t right = len - left - 1;
    struct range r = {.kind = RANGE_FROM, .last = UINT64_MAX};
    if (left == 0) {
        r = (struct range){.kind = RANGE_SUFFIX};
        if (number(dash + 1, right, &r.suffix))
            *ret = r;
        return;
    }
    if (number(text, left, &r.first) && (right == 0 || number(dash + 1, right, &r.last)))
        *ret = r;
}

enum range_verdict
range_apply(const struct range *r, uint64_t size, bool whole, struct span *ret)
{
    *ret = (struct span){.end = size};
    switch (r->kind) {
    case RANGE_NONE:
        return RANGE_FULL;
    case RANGE_SUFFIX:
        if (r->suffix == 0 || size == 0)
            return RANGE_BAD;
        if (r->suffix < size)
            ret->start = size - r->suffix;
        ret->apart = true;
        return RANGE_PART;
    case RANGE_FROM:
        break;
    }
    if (r->first == 0 && r->last == UINT64_MAX && !whole)
        return RANGE_FULL;
    if (r->first >= size || r->last < r->first)
        return RANGE_BAD;
    ret->start = r->first;
    ret->apart = r->last != UINT64_MAX;
    if (r->last < size)
        ret->end = r->last + 1;
    return RANGE_PART;
}

bool
range_comes_alone(const struct span *part, uint64_t size, bool fetched)
{
    uint64_t len = part->end - part->start;
    if (!part->apart || part->start == 0 || len > RANGE_ALONE_MAX)
        return false;
    if (fetched)
        return part->end > blob_tail_start(size) && len <= size / 64;
    return part->end > size - size / 8 && len <= size / 2;
}
