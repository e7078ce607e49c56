/*
 * The HTTP server below a port: one libmicrohttpd daemon without a listening socket, which
 * gets connections from the accept thread and runs a thread for each. What the requests are
 * about is the business of its owner's `ops`, which run in the thread of the connection.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "base/err.h"
#include <stddef.h>
#include <sys/socket.h>

struct MHD_Connection;
struct conn;
struct conns;
struct listener;

/* What the guard found in a header: status 0 when nothing is wrong. */
struct listener_verdict {
    unsigned status;
    const char *why;
};

struct listener_ops {
    /* The request line has been read. Gives the request that the others get; never NULL. */
    void *(*begin)(void *arg, struct MHD_Connection *http, struct conn *conn, const char *target);
    /* The header has been read, nothing of a body. Sets *ret_refused when it queued an answer:
     * the connection ends behind it. Must refuse when the guard did. False: no answer could be
     * queued. */
    bool (*judge)(void *request, const char *method, const struct listener_verdict *guard,
                  bool *ret_refused);
    /* Bytes of its body. NULL: bodies are read and dropped. */
    void (*body)(void *request, const char *bytes, size_t len);
    /* All of it has been read: queues exactly one answer. False: that was not possible. */
    bool (*answer)(void *request);
    /* After the last byte or the end of the connection; frees the request. */
    void (*account)(void *request, bool complete);
};

struct listener_config {
    struct conns *conns;
    const struct listener_ops *ops;
    void *arg;
};

CHECKED int listener_open(const struct listener_config *config, struct listener **ret,
                          struct err *e);
/* Takes the connection: its thread starts, or it is closed. The accept thread only. */
void listener_add(struct listener *l, int fd, const struct sockaddr_storage *address);
void listener_close(struct listener *l); /* ends all connections; NULL is fine */

#endif
