/* The blobs that were fetched last, with where the time went. The fetch thread adds, any thread
 * looks. */
#ifndef PROXY_HISTORY_H
#define PROXY_HISTORY_H

#include "base/lock.h"
#include "proxy/upstream/fetch.h"

struct history {
    struct lock lock;
    size_t count, next;        /* lock */
    struct fetched_info *list; /* lock; FETCHED_MAX, once there is one */
};

void history_init(struct history *h);
void history_release(struct history *h);
void history_add(struct history *h, const struct fetched_info *one);
/* Copies the newest first. */
size_t history_list(struct history *h, struct fetched_info *ret, size_t max);

#endif
