/*
 * The HTTP server below the registry API: one libmicrohttpd daemon without a listening
 * socket, which gets connections from the accept thread and runs a thread for each.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "base/err.h"
#include <sys/socket.h>

struct conns;
struct listener;
struct rooms;
struct settings;

struct listener_config {
    struct rooms *rooms;
    struct conns *conns;
    /* The settings for a request that begins now; the caller owns the reference. */
    struct settings *(*settings)(void *arg);
    void *arg;
};

CHECKED int listener_open(const struct listener_config *config, struct listener **ret,
                          struct err *e);
/* Takes the connection: its thread starts, or it is closed. The accept thread only. */
void listener_add(struct listener *l, int fd, const struct sockaddr_storage *address);
void listener_close(struct listener *l); /* ends all connections; NULL is fine */

#endif
