/* A small table, searched from its start: a node exchanges with a few dozen others at a time. */
#include "p2p/flow.h"

static void
roll(struct flow *f, int64_t now_ms)
{
    int64_t took_ms = now_ms - f->window_ms;
    if (took_ms < FLOW_WINDOW_MS)
        return;
    for (int way = 0; way < FLOW_WAYS; way++) {
        f->rate[way] = f->fresh[way] * 1000 / (uint64_t)took_ms;
        f->fresh[way] = 0;
    }
    f->window_ms = now_ms;
}

static struct flow *
place(struct flows *f, const struct node_id *node, int64_t now_ms)
{
    size_t oldest = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (node_equal(&f->list[i].node, node))
            return &f->list[i];
        if (f->list[i].used_ms < f->list[oldest].used_ms)
            oldest = i;
    }
    struct flow *one = &f->list[f->count < FLOWS_MAX ? f->count++ : oldest];
    *one = (struct flow){.node = *node, .window_ms = now_ms};
    return one;
}

void
flow_note(struct flows *f, const struct node_id *node, enum flow_way way, uint64_t bytes,
          int64_t now_ms)
{
    struct flow *one = place(f, node, now_ms);
    roll(one, now_ms);
    one->bytes[way] += bytes;
    one->fresh[way] += bytes;
    one->used_ms = now_ms;
}

size_t
flow_list(struct flows *f, int64_t now_ms, struct flow ret[FLOWS_MAX])
{
    for (size_t i = 0; i < f->count; i++) {
        roll(&f->list[i], now_ms);
        ret[i] = f->list[i];
    }
    return f->count;
}
