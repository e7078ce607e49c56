/*
 * The registry API of this node: one listening socket, a thread for each connection,
 * and everything that happens between a request and its answer.
 *
 * Order of life: server_listen (or server_passed), server_open, server_reload any
 * number of times, server_drain, server_close. One thread (main) calls these.
 */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "base/err.h"

struct cache;
struct fetch;
struct p2p;
struct pulls;
struct server;
struct settings;

/* A listening TCP socket on "host:port", "1.2.3.4:5000", "[::1]:5000" or ":5000" (all
 * addresses); port 0 picks a free one. The sentence in e says which address and why not. */
CHECKED int server_listen(const char *address, int *ret_fd, struct err *e);
/* The first socket that systemd passed (LISTEN_PID, LISTEN_FDS): 0, or ERR_NOT_FOUND when
 * there is none. Forgets the variables, so that only the first call finds it. */
CHECKED int server_passed(int *ret_fd);
/* "127.0.0.1:5000" or "[::1]:5000": where a socket really listens. */
#define SERVER_ADDRESS_MAX 64
CHECKED int server_address(int fd, char ret_text[SERVER_ADDRESS_MAX]);

struct server_config {
    struct settings *settings; /* the server takes a reference of its own */
    struct cache *cache;       /* this and the next three outlive the server */
    struct fetch *fetch;
    struct pulls *pulls;
    struct p2p *p2p; /* NULL: this node runs alone */
    int listen_fd;   /* the server's from here on, also when server_open fails */
};

/* Answers requests from here on. */
CHECKED int server_open(const struct server_config *config, struct server **ret, struct err *e);
/* Requests that begin from now on see the new settings; running ones keep theirs. */
void server_reload(struct server *s, struct settings *settings);
/* Accepts nothing more, ends idle connections and waits until the running requests are
 * answered or deadline_ms (clock_ms) has come. True when none is left. */
bool server_drain(struct server *s, int64_t deadline_ms);
/* Cuts what still runs (FIN), joins all threads. NULL is fine. */
void server_close(struct server *s);

#endif
