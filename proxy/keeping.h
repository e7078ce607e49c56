/* Joins what the cache wants to let go with what the site says of it, and takes over the last
 * copies of other nodes. Its ops run on the p2p thread, but for keeping_ask, which runs on the disk
 * thread; none blocks. */
#ifndef PROXY_KEEPING_H
#define PROXY_KEEPING_H

#include "cache/cache.h"
#include "p2p/p2p.h"

struct fetch;
struct keeping;
struct settings;

struct keeping *keeping_new(struct cache *cache, struct fetch *fetch, struct settings *settings);
void keeping_free(struct keeping *k); /* NULL is fine */
void keeping_reload(struct keeping *k, struct settings *settings);
/* From now on the cache asks the site before it lets go; until keeping_stop. */
void keeping_start(struct keeping *k, struct p2p *p2p);
void keeping_stop(struct keeping *k);

/* For struct p2p_ops. */
bool keeping_holds(struct keeping *k, const struct digest *blob);
bool keeping_offer(struct keeping *k, const struct digest *blob, struct parting_offer *ret);
enum parting_taken keeping_take(struct keeping *k, const struct parting_offer *offer);
void keeping_said(struct keeping *k, const struct parting *said);

#endif
