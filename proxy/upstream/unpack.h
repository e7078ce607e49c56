/* A body that another site sends as one zstd frame, undone between curl and a run. Bounded by the
 * caller: who gets more than it wants says so. */
#ifndef PROXY_UNPACK_H
#define PROXY_UNPACK_H

#include "base/must.h"

struct unpack;

/* As struct call_ops.body says. */
typedef int (*unpack_give)(void *arg, const char *bytes, size_t len);

/* More than packed_max bytes are refused. */
struct unpack *unpack_new(uint64_t packed_max);
/* Counts what was saved; NULL is fine. */
void unpack_free(struct unpack *u);
/* The next bytes of the frame, given on as the bytes they stand for. What give said when it was not
 * 0: after ERR_AGAIN the same bytes come again, perhaps with more behind them. ERR_SYNTAX: no such
 * frame. ret_news: how many of these were not taken by a call before. */
CHECKED int unpack_body(struct unpack *u, const char *bytes, size_t len, unpack_give give,
                        void *arg, size_t *ret_news);

#endif
