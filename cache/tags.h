/* Tags and links in memory, bounded: the ones put longest ago leave first. The owner brings
 * the lock. Names and media types are kept once however many links share them. */
#ifndef CACHE_TAGS_H
#define CACHE_TAGS_H

#include "cache/cache.h"
#include "cache/record.h"

#define TAGS_MAX  16384 /* about 600 bytes each */
#define LINKS_MAX 65536 /* about 120 bytes each */
/* Repositories and principals that may name one digest; common base layers have many. */
#define LINKS_OF_DIGEST_MAX 256

struct tags;

struct tags *tags_new(void);
void tags_free(struct tags *t); /* NULL is fine */

bool tags_get(const struct tags *t, const char *key, struct tag *ret);
/* True when this is news worth a record: not only a later time within a minute. */
bool tags_put(struct tags *t, const char *key, const struct tag *tag);
bool tags_drop(struct tags *t, const char *key); /* true when it was there */

bool tags_link_get(const struct tags *t, const char *repository, uint64_t principal,
                   const struct digest *d, struct link *ret);
bool tags_link_put(struct tags *t, const char *repository, uint64_t principal,
                   const struct digest *d, const struct link *link);
bool tags_link_any(const struct tags *t, const struct digest *d,
                   char ret_repository[CACHE_NAME_MAX]);

/* See cache_each_name. */
void tags_each(const struct tags *t, void (*each)(void *arg, const char *name, const struct tag *t),
               void *arg);

void tags_count(const struct tags *t, size_t *ret_tags, size_t *ret_links);
/* Takes a record of the journal; kinds that are not about tags are ignored. */
void tags_replay(struct tags *t, const struct record *r);
/* Everything as records, those put longest ago first. Stops quietly at the limit of ret. */
void tags_dump(const struct tags *t, struct buf *ret);

#endif
