/*
 * The table of the connections of one port that have a thread, and the rules for slow ones.
 *
 *   HEADER  a header is on its way          header_ms from its first byte
 *   BUSY    a request is being answered     the client takes at least slow_bytes in slow_ms, and
 *                                           something in still_ms; something to send is there at
 *                                           least every mute_ms
 *   IDLE    between two requests            idle_ms
 *
 * A connection in none of these bounds is shut down (FIN); its thread sees that and ends.
 * The thread of a connection moves its state, the accept thread sweeps.
 */
#ifndef PROXY_CONNS_H
#define PROXY_CONNS_H

#include "base/metric.h"
#include "base/must.h"
#include <sys/socket.h>

struct conn_rules {
    int64_t header_ms, idle_ms;
    int64_t slow_ms; /* over which the rate of a reader is judged */
    uint64_t slow_bytes;
    int64_t still_ms;         /* nothing is acknowledged of what was sent: the client is gone */
    int64_t mute_ms;          /* nothing to send: beyond every wait of an answer */
    const char *port;         /* for people */
    enum metric open, reaped; /* how many there are; ended by these rules */
};

enum conn_state { CONN_HEADER, CONN_BUSY, CONN_IDLE };

/* What the kernel knows about a connection. */
struct conn_gauge {
    uint64_t received_bytes, acked_bytes, queued_bytes;
    uint64_t rate; /* bytes/s, of the last bytes that were delivered */
};

/* Where its thread has brought a connection, when, and what had come in by then. */
struct conn_move {
    enum conn_state state;
    int64_t at_ms;
    uint64_t received_bytes; /* IDLE only */
};

/* What the sweep remembers of a connection between two looks. */
struct conn_watch {
    enum conn_state state;
    int64_t since_ms; /* of the state, or of the window in which a reader is judged */
    uint64_t acked_bytes;
    int64_t heard_ms; /* since when these two are so */
    uint64_t heard_bytes;
    bool heard_queued; /* something was in the queue */
};

/* Pure: false when the connection has to end. */
CHECKED bool conn_judge(const struct conn_rules *rules, struct conn_watch *w,
                        const struct conn_move *move, const struct conn_gauge *g, int64_t now_ms);
/* Pure: two addresses of one client; ports do not count. */
CHECKED bool conn_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

struct conns;
struct conn;

/* The rules are copied. */
struct conns *conns_new(const struct conn_rules *rules);
void conns_free(struct conns *t); /* when the listener has stopped */
struct conn *conns_add(struct conns *t, int fd, const struct sockaddr_storage *address);
struct conn *conns_find(struct conns *t, int fd);
/* Before the descriptor is closed. NULL is fine. */
void conns_remove(struct conns *t, struct conn *c);
unsigned conns_count(struct conns *t, const struct sockaddr_storage *address,
                     unsigned *ret_of_address);
/* Shuts down the one that has been IDLE longest, unless `wanted` are leaving already; of this
 * address only, if not NULL. Clients keep connections that they may never need again: who waits for
 * a place comes first. */
void conns_give_way(struct conns *t, const struct sockaddr_storage *address, unsigned wanted);
/* Shuts down those that are out of bounds, and the idle ones when draining. */
void conns_sweep(struct conns *t, int64_t now_ms, bool draining);
/* False when some are left at deadline_ms. */
CHECKED bool conns_wait_empty(struct conns *t, int64_t deadline_ms);

/* Its own thread. */
void conn_move(struct conn *c, enum conn_state state);
int conn_fd(const struct conn *c);
uint64_t conn_acked_bytes(const struct conn *c); /* that the client's kernel has taken */
uint64_t conn_rate(const struct conn *c); /* bytes/s that TCP delivered lately; 0: not known */
#define CONN_ADDRESS_MAX 48
void conn_address(const struct conn *c, char ret_text[CONN_ADDRESS_MAX]);

#endif
