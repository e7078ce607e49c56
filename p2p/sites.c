/* Questions of other sites. */
#include "p2p/sites.h"
#include <string.h>

static void
drop(struct sites *s, size_t at)
{
    s->count--;
    memmove(&s->asks[at], &s->asks[at + 1], (s->count - at) * sizeof s->asks[0]);
}

bool
sites_wait(struct sites *s, const struct digest *digest, const struct node_id *node, int64_t now_ms)
{
    bool first = true;
    for (size_t i = s->count; i-- > 0;) {
        struct sites_ask *a = &s->asks[i];
        if (now_ms >= a->until_ms) {
            drop(s, i);
            continue;
        }
        if (!digest_equal(&a->digest, digest))
            continue;
        first = false;
        if (node_equal(&a->node, node))
            return false;
    }
    if (s->count == SITES_ASKS_MAX)
        drop(s, 0);
    s->asks[s->count++] = (struct sites_ask){*digest, *node, now_ms + SITES_ANSWER_MS};
    return first;
}

bool
sites_found(struct sites *s, const struct digest *digest, int64_t now_ms, struct node_id *ret_node)
{
    for (size_t i = s->count; i-- > 0;) {
        const struct sites_ask a = s->asks[i];
        if (!digest_equal(&a.digest, digest))
            continue;
        drop(s, i);
        if (now_ms >= a.until_ms)
            continue;
        *ret_node = a.node;
        return true;
    }
    return false;
}
