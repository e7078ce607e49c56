/* Wires the swarm to this node: the cluster key, the p2p thread, the fetch thread that carries its
 * orders out, and the peer port that others come to. Main thread only.
 *
 * Order of life: peering_listen, peering_open, peering_prepare and _reload any number of times,
 * peering_close when the fetch thread has nothing more to say. */
#ifndef PROXY_PEERING_H
#define PROXY_PEERING_H

#include "base/err.h"

struct cache;
struct fetch;
struct p2p;
struct peering;
struct settings;

/* Reads the keys and takes the port, so that a broken key or a second daemon ends the start before
 * anything is touched. *ret stays NULL when this node is to be alone: no key, or p2p.enabled
 * false. ERR_CONFIG or -errno with e set. */
CHECKED int peering_listen(const struct settings *s, struct peering **ret, struct err *e);
/* cache and fetch outlive the peering. */
CHECKED int peering_open(struct peering *p, struct settings *s, struct cache *cache,
                         struct fetch *fetch, struct err *e);
struct p2p *peering_p2p(struct peering *p); /* NULL before it is open; of a NULL: NULL */
/* Before settings are taken over (p2p.key_file did not change): reads the keys again, which
 * peering_reload then uses. ERR_CONFIG or -errno with e set: none that could be used, or the first
 * for a node that runs alone. NULL is fine, as below. */
CHECKED int peering_prepare(struct peering *p, const struct settings *s, struct err *e);
void peering_reload(struct peering *p, struct settings *s);
void peering_close(struct peering *p);

#endif
