/* Wires the swarm to this node: the cluster key, the p2p thread, the fetch thread that carries its
 * orders out, and the peer port that others come to. Main thread only.
 *
 * Order of life: peering_listen, peering_open, peering_reload any number of times, peering_close
 * when the fetch thread has nothing more to say. */
#ifndef PROXY_PEERING_H
#define PROXY_PEERING_H

#include "base/err.h"

struct cache;
struct fetch;
struct p2p;
struct peering;
struct settings;

/* Reads the key and takes the port, so that a broken key or a second daemon ends the start before
 * anything is touched. *ret stays NULL when this node is to be alone: no key, or p2p.enabled
 * false. ERR_CONFIG or -errno with e set. */
CHECKED int peering_listen(const struct settings *s, struct peering **ret, struct err *e);
/* cache and fetch outlive the peering. */
CHECKED int peering_open(struct peering *p, const struct settings *s, struct cache *cache,
                         struct fetch *fetch, struct err *e);
struct p2p *peering_p2p(struct peering *p); /* NULL before it is open; of a NULL: NULL */
void peering_reload(struct peering *p, const struct settings *s); /* NULL is fine, as below */
void peering_close(struct peering *p);

#endif
