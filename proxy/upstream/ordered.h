/* A fill that makes the requests which the swarm orders: of its registry, of other nodes. */
#ifndef PROXY_ORDERED_H
#define PROXY_ORDERED_H

#include "proxy/upstream/fill_inside.h"

/* Tells the swarm that the blob is wanted, once it has begun; false: it is none for the swarm. */
bool ordered_open(struct fill *f, int64_t now_ms);
/* One turn; `woken`: a reader waits where nobody comes. May leave the swarm: then f->ordered is
 * NULL. */
void ordered_step(struct fill *f, int64_t now_ms, bool woken);
void ordered_get(struct fill *f, const struct swarm_get *get);
/* That request ends before piece `end`; request 0: the swarm has no place for the blob. */
void ordered_stop(struct fill *f, uint32_t get, uint32_t end);
/* A client waits for it from now on. */
void ordered_hurry(struct fill *f, int64_t now_ms);
/* Pieces are missing again: the time without bytes counts from now. */
void ordered_again(struct fill *f, int64_t now_ms);
/* Leaves the swarm; what it ordered of the registry goes on. */
void ordered_quit(struct fill *f);
/* Forgets the orders; their requests are stopped. `leave`: the swarm is told. NULL is fine. */
void ordered_close(struct fill *f, bool leave);
/* A blob that was in the swarm is whole here: its other nodes may have it. */
void ordered_seed(struct fill *f);

#endif
