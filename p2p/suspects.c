/* Nodes that broke promises. */
#include "p2p/suspects.h"
#include "p2p/swarm.h"

static struct suspect *
find(struct suspects *s, const struct node_id *node)
{
    for (size_t i = 0; i < s->count; i++)
        if (node_equal(&s->list[i].node, node))
            return &s->list[i];
    return NULL;
}

static struct suspect *
place(struct suspects *s, const struct node_id *node, int64_t since_ms)
{
    struct suspect *first = &s->list[0];
    if (s->count < SUSPECTS_MAX)
        first = &s->list[s->count++];
    else
        for (size_t i = 1; i < s->count; i++)
            if (s->list[i].until_ms < first->until_ms)
                first = &s->list[i];
    *first = (struct suspect){.node = *node, .since_ms = since_ms};
    return first;
}

void
suspects_add(struct suspects *s, const struct node_id *node, int64_t since_ms, int64_t now_ms)
{
    struct suspect *one = find(s, node);
    if (one == NULL)
        one = place(s, node, since_ms);
    else if (now_ms < one->until_ms)
        return; /* answers to what was asked before */
    unsigned doublings = one->times < SWARM_DOUBTS_MAX ? one->times : SWARM_DOUBTS_MAX;
    one->until_ms = now_ms + ((int64_t)SWARM_DOUBT_MS << doublings);
    one->times++;
}

void
suspects_clear(struct suspects *s, const struct node_id *node)
{
    struct suspect *one = find(s, node);
    if (one != NULL)
        *one = s->list[--s->count];
}

bool
suspects_hold(const struct suspects *s, const struct node_id *node, int64_t now_ms)
{
    for (size_t i = 0; i < s->count; i++)
        if (node_equal(&s->list[i].node, node))
            return now_ms < s->list[i].until_ms;
    return false;
}
