/* Blobs that wait for their words, the oldest first. Pure. */
#ifndef CACHE_WORDS_QUEUE_H
#define CACHE_WORDS_QUEUE_H

#include "base/digest.h"
#include <string.h>

#define WORDS_QUEUE_MAX 64

struct words_queue {
    struct digest digests[WORDS_QUEUE_MAX];
    unsigned count;
};

/* False: there is no place. */
static inline bool
words_queue_put(struct words_queue *q, const struct digest *d)
{
    bool fits = q->count < WORDS_QUEUE_MAX;
    if (fits) {
        q->digests[q->count++] = *d;
    }
    return fits;
}

/* There must be one. */
static inline struct digest
words_queue_take(struct words_queue *q)
{
    struct digest d = q->digests[0];
    memmove(q->digests, q->digests + 1, --q->count * sizeof d);
    return d;
}

#endif
