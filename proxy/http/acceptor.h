/*
 * The accept thread: a connection gets a thread of its own only when the header of its first
 * request is here. What never gets that far costs a descriptor and a few bytes.
 */
#ifndef PROXY_ACCEPTOR_H
#define PROXY_ACCEPTOR_H

#include "base/err.h"

struct acceptor;
struct conns;
struct listener;

#define ACCEPTOR_WAITING_MAX    1024  /* connections without a thread; more stay in the backlog */
#define ACCEPTOR_PLACE_MS       5000  /* for a place below the limits, then refused */
#define ACCEPTOR_HEADER_MS      10000 /* for the whole header, from accept on */
#define ACCEPTOR_HEAD_BYTES_MAX 16384

struct acceptor_limits {
    unsigned connections, connections_per_address; /* with a thread */
};

struct acceptor_config {
    int listen_fd; /* taken, also when acceptor_open fails */
    struct conns *conns;
    struct listener *listener;
    struct acceptor_limits limits;
    /* Whole HTTP answers with Connection: close, for what gets no thread; they outlive it. */
    const char *malformed, *crowded;
    /* Every second, on the accept thread: it must not block. NULL: nothing. */
    void (*tick)(void *arg);
    void *arg;
};

/* What the first bytes of a connection are. Pure. */
enum acceptor_head {
    HEAD_MORE,  /* not complete yet */
    HEAD_READY, /* complete */
    HEAD_TLS,   /* a TLS client hello on the plain port */
    HEAD_BAD,   /* nothing that a request may hold */
    HEAD_LONG,  /* over ACCEPTOR_HEAD_BYTES_MAX */
};
enum acceptor_head acceptor_judge(const char *bytes, size_t len);

CHECKED int acceptor_open(const struct acceptor_config *config, struct acceptor **ret,
                          struct err *e);
/* Any thread. */
void acceptor_set_limits(struct acceptor *a, const struct acceptor_limits *limits);
/* Closes the listening socket and what has no thread yet; idle connections end. */
void acceptor_drain(struct acceptor *a);
void acceptor_close(struct acceptor *a); /* NULL is fine */

#endif
