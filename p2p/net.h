/* The UDP side: datagrams to one node or, by multicast, to all of the LAN. p2p thread only, but
 * for net_open. Datagrams are whole messages, sealed by others.
 *
 * A socket bound to a wildcard hears unicast and multicast; one bound to a single address hears
 * no multicast, so a second one bound to the group stands beside it. */
#ifndef P2P_NET_H
#define P2P_NET_H

#include "base/err.h"
#include "p2p/addr.h"

#define NET_GROUP4    "239.255.112.115"
#define NET_GROUP6    "ff15::7073"
#define NET_FDS_MAX   2
#define NET_LINKS_MAX 8    /* interfaces that multicast goes out of */
#define NET_BYTES_MAX 1500 /* of a datagram; ours are smaller */
#define NET_REJOIN_MS 30000

struct net;

/* "host:port"; port 0: any. 0, ERR_CONFIG or -errno, with e set. */
CHECKED int net_open(const char *listen, bool multicast, struct net **ret, struct err *e);
void net_close(struct net *n); /* NULL is fine */
/* Descriptors to wait on: fills at most NET_FDS_MAX, returns how many. */
size_t net_fds(const struct net *n, int ret_fds[NET_FDS_MAX]);
/* Where the first socket is bound; the host may be a wildcard. */
const struct node_addr *net_bound(const struct net *n);
/* How a datagram to another node would name its source: the bound host, or that of the route to
 * the group, to the world, or of any interface that is up. The port is the bound one. */
struct node_addr net_source(const struct net *n);
/* Is the interface with that address no radio? True also when there is none. */
bool net_is_wired(const struct node_addr *source);
/* Looks for interfaces that came or went, and joins the group there again. */
void net_rejoin(struct net *n);
/* Lost when the socket is full, like any datagram. */
void net_send(struct net *n, const struct node_addr *to, const uint8_t *msg, size_t len);
void net_shout(struct net *n, const uint8_t *msg, size_t len); /* nothing without multicast */

struct net_heard {
    struct node_addr from;
    bool by_multicast;
    size_t len;
    uint8_t bytes[NET_BYTES_MAX];
};
/* The next datagram; false: none is there. */
bool net_next(struct net *n, struct net_heard *ret);

#endif
