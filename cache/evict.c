/* The eviction order. A later value rule replaces `older` and nothing else. */
#include "cache/evict.h"
#include <stdlib.h>

static int
older(const void *a, const void *b, void *items)
{
    const struct evict_item *list = items;
    const struct evict_item *x = &list[*(const size_t *)a];
    const struct evict_item *y = &list[*(const size_t *)b];
    return (x->age > y->age) - (x->age < y->age);
}

size_t
evict_choose(const struct evict_item *items, size_t count, uint64_t need_bytes, size_t *ret_order)
{
    size_t candidates = 0;
    for (size_t i = 0; i < count; i++) {
        if (!items[i].open) {
            ret_order[candidates++] = i;
        }
    }
    /* glibc's qsort_r passes the context as void *; `older` only reads it. */
    union {
        const struct evict_item *in;
        void *out;
    } context = {.in = items};
    qsort_r(ret_order, candidates, sizeof ret_order[0], older, context.out);

    uint64_t freed = 0;
    size_t chosen = 0;
    while (chosen < candidates && freed < need_bytes) {
        uint64_t size = items[ret_order[chosen++]].size;
        freed = size > UINT64_MAX - freed ? UINT64_MAX : freed + size;
    }
    return chosen;
}
