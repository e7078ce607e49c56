/* A ring. */
#include "proxy/upstream/history.h"
#include "base/mem.h"

void
history_init(struct history *h)
{
    *h = (struct history){0};
    lock_init(&h->lock, LOCK_LEAF);
}

void
history_release(struct history *h)
{
    lock_release(&h->lock);
    mem_free(h->list);
    h->list = NULL;
}

void
history_add(struct history *h, const struct fetched_info *one)
{
    lock_take(&h->lock);
    if (h->list == NULL)
        h->list = mem_alloc(FETCHED_MAX * sizeof *h->list);
    h->list[h->next] = *one;
    h->next = (h->next + 1) % FETCHED_MAX;
    h->count += h->count < FETCHED_MAX;
    lock_drop(&h->lock);
}

size_t
history_list(struct history *h, struct fetched_info *ret, size_t max)
{
    lock_take(&h->lock);
    size_t count = h->count < max ? h->count : max;
    for (size_t i = 0; i < count; i++)
        ret[i] = h->list[(h->next + FETCHED_MAX - 1 - i) % FETCHED_MAX];
    lock_drop(&h->lock);
    return count;
}
