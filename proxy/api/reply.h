/*
 * Answers as libmicrohttpd responses, with the headers that every answer of the registry API
 * has. Each call queues one; false when that was not possible, then the connection ends.
 */
#ifndef PROXY_REPLY_H
#define PROXY_REPLY_H

#include "base/must.h"
#include "proxy/api/range.h"
#include "proxy/api/reason.h"
#include <sys/types.h>

struct answer;
struct digest;
struct page;
struct request;

/* `size` is for Content-Range of a 416. */
bool reply_refusal(struct request *r, enum reason why, uint64_t size);
bool reply_ping(struct request *r);
bool reply_page(struct request *r, struct page *p);
/* Upstream's list (tags, referrers) with its Link made ours. */
bool reply_passed(struct request *r, const struct answer *a);

/* A blob, whole or a part of it. */
struct reply_blob {
    const struct digest *digest;
    uint64_t size;
    struct span span;
    bool partial; /* 206 */
};
/* No body: HEAD. */
bool reply_blob_head(struct request *r, const struct reply_blob *b);
/* By sendfile; the descriptor is taken, also on failure. */
bool reply_blob_file(struct request *r, const struct reply_blob *b, int fd);
/* By a reader: bytes at pos of the span into buf, at least one; negative ends the connection
 * short of its length, with FIN. `release` is called once, also on failure. */
bool reply_blob_reader(struct request *r, const struct reply_blob *b,
                       ssize_t (*read)(void *arg, uint64_t pos, char *buf, size_t max), void *arg,
                       void (*release)(void *arg));

#endif
