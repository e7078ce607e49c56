/*
 * The peer port: what other nodes of the cluster ask this one over TCP, on its own socket with
 * its own limits. It gives away what the cache holds and hands sealed messages to p2p/; it never
 * asks anybody for anything.
 *
 * Order of life: port_open, port_reload any number of times, port_close. One thread calls these.
 */
#ifndef PROXY_PORT_H
#define PROXY_PORT_H

#include "base/err.h"

struct cache;
struct p2p;
struct port;
struct settings;

/* Each has a thread. Sites of 64 nodes need two or three connections of each node; in larger ones
 * the idle connections of a tracker give way to each other. */
#define PORT_CONNECTIONS_MAX             512
#define PORT_CONNECTIONS_PER_ADDRESS_MAX 64

struct port_config {
    const struct settings *settings; /* of limits; until port_open returns */
    struct cache *cache;             /* both outlive the port */
    struct p2p *p2p;
    int listen_fd; /* the port's from here on, also when port_open fails */
};

CHECKED int port_open(const struct port_config *config, struct port **ret, struct err *e);
void port_reload(struct port *p, const struct settings *settings);
/* Cuts what still runs, joins all threads. NULL is fine. */
void port_close(struct port *p);

#endif
