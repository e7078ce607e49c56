/* Counts requests to other nodes that nobody answers. */
#include "proxy/upstream/reach.h"

void
reach_answered(struct reach *r)
{
    *r = (struct reach){.ever = true};
}

static void
forget(struct reach *r)
{
    *r = (struct reach){.ever = r->ever};
}

void
reach_failed(struct reach *r, const struct node_id *node, int64_t now_ms)
{
    if (r->tries > 0 && now_ms - r->last_ms > REACH_OLD_MS)
        forget(r);
    if (r->tries == 0) {
        r->node = *node;
        r->first_ms = now_ms;
    }
    r->several = r->several || !node_equal(&r->node, node);
    r->last_ms = now_ms;
    r->tries++;
}

bool
reach_look(struct reach *r, size_t others, int64_t now_ms)
{
    if (others == 0)
        forget(r);
    int64_t limit_ms = r->ever ? REACH_LOST_MS : REACH_WALL_MS;
    return r->tries >= REACH_TRIES_MIN && r->last_ms - r->first_ms >= limit_ms &&
           (r->several || others == 1) && now_ms - r->last_ms < REACH_AGAIN_MS;
}
