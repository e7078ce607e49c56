/* Manifests by digest: from memory, from the cache, from the site, from upstream. */
#ifndef PROXY_MANIFESTGET_H
#define PROXY_MANIFESTGET_H

#include "proxy/api/request.h"

/* The manifest with that digest in the repository of the request, if it may be read. The
 * caller owns a reference. Sets request->source. */
CHECKED enum reason manifestget_digest(struct request *r, const struct digest *d,
                                       struct page **ret);
/* As manifestget_digest, for what upstream has under the reference, which is a tag. */
CHECKED enum reason manifestget_upstream(struct request *r, const struct ref *tag,
                                         struct page **ret);
/* Upstream has just said that a tag names it: with a yes that ages, all that it names is young
 * again, so that its blobs are not asked for one by one. */
void manifestget_renew(struct request *r, const struct page *p);
/* Upstream has just said no to the one who asked for it: it is closed, and all that it names. */
void manifestget_close(struct request *r, const struct digest *d);
/* Whether a containers/image client can be given it: it asks nobody else for the blobs of a
 * manifest that came from here. Other nodes of the site are trusted to have what is missing. */
CHECKED bool manifestget_can_deliver(struct request *r, const struct page *p);

/* Memory, then disk. NULL when neither has it, or not as this type. */
struct page *manifestget_on_hand(struct request *r, const struct digest *d, const char *media_type);
/* Bytes whose digest has been checked go into memory and to disk: 0 or REASON_manifest_refused. */
CHECKED enum reason manifestget_keep(struct request *r, const struct digest *d, const char *type,
                                     const struct buf *body, enum blob_source source,
                                     struct page **ret);
/* It has been read through the repository of the request: what it names is open there. */
void manifestget_open_up(struct request *r, const struct page *p);

#endif
