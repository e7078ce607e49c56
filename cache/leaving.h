/* The blobs that are to leave, and what the site said of each. Everything NEEDS cache->lock and
 * does no I/O. */
#ifndef CACHE_LEAVING_H
#define CACHE_LEAVING_H

#include "cache/inside.h"

/* May it go now? */
bool leaving_may(struct cache *c, const struct entry *e) NEEDS(c->lock);
/* It is to leave and must not go yet: somebody is asked. False: there is no place for one more. */
bool leaving_ask(struct cache *c, struct entry *e) NEEDS(c->lock);
/* Must it stay for now? */
bool leaving_stays(struct cache *c, const struct entry *e) NEEDS(c->lock);
bool leaving_is_last(struct cache *c, const struct entry *e) NEEDS(c->lock);
struct leaving *leaving_find(struct cache *c, const struct entry *e) NEEDS(c->lock);
void leaving_forget(struct cache *c, struct entry *e) NEEDS(c->lock);
/* Bytes of those that stay until an answer comes, another node has them, or a short time is over.
 */
uint64_t leaving_bytes(struct cache *c) NEEDS(c->lock);
/* Forgets words that are too old; returns when the next one is (clock_ms), INT64_MAX: there is
 * none. */
int64_t leaving_expire(struct cache *c) NEEDS(c->lock);
/* All may go, whatever was said. */
void leaving_release(struct cache *c) NEEDS(c->lock);
/* Asks for those that nobody was asked for yet; without the lock. Disk thread. */
void leaving_send(struct cache *c);

#endif
