/* Where other nodes may be: seeds of the configuration, names resolved again and again, and the
 * nodes of the last run from DIR/peers. Names and the disk may take their time, so a thread of its
 * own waits for them; all calls return at once. */
#ifndef P2P_DISCOVER_H
#define P2P_DISCOVER_H

#include "base/err.h"
#include "p2p/addr.h"

#define DISCOVER_SEEDS_MAX     64  /* of the configuration */
#define DISCOVER_ADDRS_MAX     128 /* of all seeds together */
#define DISCOVER_PEERS_MAX     64  /* in the file */
#define DISCOVER_EVERY_MS      30000
#define DISCOVER_SOON_MS       2000 /* while a name has no address */
#define DISCOVER_FILE          "peers"
#define DISCOVER_FILE_EVERY_MS 60000

struct discover;

/* Seeds are HOST:PORT (the first IPv4 and IPv6 address of the name) or dns:NAME:PORT (all of them).
 * ERR_CONFIG when one is neither, with e set. */
CHECKED int discover_open(const char *dir, char *const *seeds, size_t count, struct discover **ret,
                          struct err *e);
/* NULL is fine. Does not wait for a name that is being resolved. */
void discover_close(struct discover *d);

/* Addresses of all seeds, if they changed since the caller's version: true. */
bool discover_seeds(struct discover *d, uint64_t *version, struct node_addr ret[DISCOVER_ADDRS_MAX],
                    size_t *ret_count);
/* The nodes of the last run; read once, at open. */
size_t discover_last(const struct discover *d, struct node_addr ret[DISCOVER_PEERS_MAX]);
/* Nodes that are heard now, for the file; the first DISCOVER_PEERS_MAX of them. */
void discover_remember(struct discover *d, const struct node_addr *peers, size_t count);

#endif
