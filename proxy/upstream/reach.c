/* Counts requests to other nodes that nobody answers. */
#include "proxy/upstream/reach.h"

void
reach_answered(struct reach *r)
{
    *r = (struct reach){0};
}

void
reach_failed(struct reach *r, const struct node_id *node, int64_t now_ms)
{
    if (r->tries > 0 && now_ms - r->last_ms > REACH_OLD_MS)
        reach_answered(r);
    if (r->tries == 0) {
        r->node = *node;
        r->first_ms = now_ms;
    }
    r->several = r->several || !node_equal(&r->node, node);
    r->last_ms = now_ms;
    r->tries++;
}

bool
reach_is_lost(const struct reach *r, size_t others, int64_t now_ms)
{
    return others > 0 && r->tries >= REACH_TRIES_MIN && r->last_ms - r->first_ms >= REACH_LOST_MS &&
           (r->several || others == 1) && now_ms - r->last_ms < REACH_AGAIN_MS;
}
