/* Which site a node is in, by its own judgement.
 *
 *   p2p.site            a name: two sites of different names never become one
 *   auto                hash of the default gateway's MAC and IPv4 address; without a gateway, of
 *                       the network that the node listens in
 *   heard by multicast  nodes that hear each other so are in one LAN: the smaller id wins, and one
 *                       from a configuration is smaller than all others, one from a network larger
 */
#ifndef P2P_SITE_H
#define P2P_SITE_H

#include "p2p/node.h"

#define SITE_NAME_MAX 64
#define SITE_AUTO     ((uint64_t)1 << 63) /* set in ids that nobody configured */
#define SITE_NETWORK  ((uint64_t)1 << 62) /* set in automatic ids that are not a gateway's */
#define SITE_TRIES    3 /* looks at a gateway that does not answer, before the network counts */

struct site {
    uint64_t id;
    char name[SITE_NAME_MAX];
    const char *from; /* "configuration", "gateway", "network", "multicast" */
    unsigned tries;
};

/* `name`: 1 .. SITE_NAME_MAX - 1 bytes, or "auto"; `source`: the address of this node. Waits for
 * the gateway's MAC up to SITE_WAIT_MS. */
#define SITE_WAIT_MS 500
void site_open(const char *name, const struct node_addr *source, struct site *ret);
/* Looks again, without waiting, when there was no gateway before or not even a network: a node may
 * start before they are there. True when the site is another one now. */
bool site_again(struct site *s, const struct node_addr *source);
/* A node of that site was heard by multicast: true when this node is in that site from now on. */
bool site_heard(struct site *s, uint64_t other);
/* A name for an id: that of s when it is the same. */
void site_print(const struct site *s, uint64_t id, char ret_name[SITE_NAME_MAX]);

/* The parts of the above that are pure: files of /proc/net as text. */
/* Gateway of the default route with the least metric, in network order; false: none. */
bool site_read_route(const char *text, uint32_t *ret_gateway, char ret_dev[16]);
/* MAC of that IPv4 address as arp(5) has it; false: not known. */
bool site_read_arp(const char *text, uint32_t ip, const char *dev, uint8_t ret_mac[6]);

#endif
