/* Manifests by tag. */
#ifndef PROXY_TAGGET_H
#define PROXY_TAGGET_H

#include "proxy/api/request.h"

enum tag_plan {
    TAG_SERVE,          /* upstream said so lately */
    TAG_ASK,            /* nothing usable is known */
    TAG_ASK_ELSE_STALE, /* what is known stands in when upstream fails */
};
/* Pure. `age_ms`: since upstream confirmed it; negative after a clock jump. */
enum tag_plan tagget_judge(bool known, int64_t age_ms, int64_t revalidate_ms, int64_t stale_ms);

/* The manifest that the tag of the request names now. The caller owns a reference. */
CHECKED enum reason tagget_find(struct request *r, struct page **ret);

#endif
