/* Other nodes as sources of pieces: plain HTTP to the address that a member of the cluster says it
 * has, each request signed. No proxy, no redirect, nothing that belongs to a registry. Fetch
 * thread only. */
#ifndef PROXY_PEER_H
#define PROXY_PEER_H

#include "p2p/p2p.h"
#include "proxy/upstream/source.h"

#define PEER_CONNECT_MS 500
#define PEER_HEAD_MS    2000 /* connect to end of head; a full one says so within 20 ms */

struct peers;

struct peers *peers_new(void);
void peers_free(struct peers *p); /* NULL is fine; nothing may be held */

/* The source for a node; there is one as long as somebody holds it. What it gives counts as
 * `body_source`. */
struct source *peer_take(struct peers *all, struct p2p *p2p, const struct node_id *id,
                         const struct node_addr *addr, enum blob_source body_source);
void peer_drop(struct source **s);
void peer_count(enum swarm_end how); /* a request to one ended so: its metric */

/* "1.2.3.4:5" or "[::1]:5"; pure. */
void peer_name(const struct node_addr *addr, char ret[SOURCE_NAME_MAX]);

#endif
