/* Nodes that gave wrong bytes. */
#include "p2p/bans.h"

static struct ban *
find(struct bans *b, const struct node_id *node)
{
    for (size_t i = 0; i < b->count; i++)
        if (node_equal(&b->list[i].node, node))
            return &b->list[i];
    return NULL;
}

static struct ban *
place(struct bans *b)
{
    if (b->count < BANS_MAX)
        return &b->list[b->count++];
    struct ban *first = &b->list[0];
    for (size_t i = 1; i < b->count; i++)
        if (b->list[i].until_ms < first->until_ms)
            first = &b->list[i];
    return first;
}

void
bans_set(struct bans *b, const struct node_id *node, int64_t until_ms)
{
    struct ban *ban = find(b, node);
    if (ban == NULL)
        ban = place(b);
    *ban = (struct ban){*node, until_ms};
}

bool
bans_add(struct bans *b, const struct node_id *node, int64_t now_ms, int64_t *ret_until_ms)
{
    struct ban *known = find(b, node);
    if (known != NULL && now_ms < known->until_ms)
        return false;
    *ret_until_ms = known != NULL ? INT64_MAX : now_ms + BAN_MS;
    bans_set(b, node, *ret_until_ms);
    return true;
}

bool
bans_hold(const struct bans *b, const struct node_id *node, int64_t now_ms)
{
    for (size_t i = 0; i < b->count; i++)
        if (node_equal(&b->list[i].node, node))
            return now_ms < b->list[i].until_ms;
    return false;
}
