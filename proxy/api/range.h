/* The Range header of RFC 9110, bytes only. Pure. */
#ifndef PROXY_RANGE_H
#define PROXY_RANGE_H

#include "base/must.h"

enum range_kind {
    RANGE_NONE,   /* absent, several ranges, another unit or not understood: all bytes */
    RANGE_FROM,   /* a-b, and a- with last UINT64_MAX */
    RANGE_SUFFIX, /* -n: the last n bytes */
};

struct range {
    enum range_kind kind;
    uint64_t first, last; /* FROM: inclusive; last may be below first */
    uint64_t suffix;      /* SUFFIX: bytes */
};

/* Any text; NULL is no header. */
void range_parse(const char *text, struct range *ret);

enum range_verdict { RANGE_FULL, RANGE_PART, RANGE_BAD };
struct span {
    uint64_t start, end; /* half-open */
    /* Asked for for its own sake: it has an end of its own. Who wants the rest of what was cut
     * leaves the end open (all runtimes do). */
    bool apart;
};
/* What to answer for a blob of `size` bytes: FULL is 200, PART 206, BAD 416. "bytes=0-" is
 * FULL unless the blob is whole on disk: 200 keeps containerd on a single stream. */
enum range_verdict range_apply(const struct range *r, uint64_t size, bool whole, struct span *ret);

/* Nothing of it is kept: longer ones are fetched with the whole blob, once for the site. */
#define RANGE_ALONE_MAX (UINT64_C(4) << 20)
/* May it be asked of the registry alone, while nobody fetches the blob, or while others do? Then it
 * does not wait for all of the blob, and does not make it come: a footer, a table of contents. It
 * ends in the last eighth. Beside others' fetch it reaches the held-back tail, and is small, so
 * that who reads the whole in parts fetches little of it twice. */
bool range_comes_alone(const struct span *part, uint64_t size, bool fetched);

#endif
