/* What other sites pull: a blob that a quarter of the sites pulled within ten minutes is likely to
 * be asked for here, too, and may come before. The tracker tells those of other sites what clients
 * pull here, counts what they tell, and has a copy taken from one of them (replicas.h), if the
 * operator wants that (p2p.preseed). Pure. */
#ifndef P2P_PRESEED_H
#define P2P_PRESEED_H

#include "p2p/wire.h"

#define PRESEED_MS        (10 * 60 * 1000) /* that long a pull counts */
#define PRESEED_PART      4                /* a site in so many ... */
#define PRESEED_SITES_MIN 2                /* ... but at least so many */
#define PRESEED_SITES_MAX 32               /* and so many are enough, however many there are */
#define PRESEED_BLOBS_MAX 256              /* of which nothing was heard for longest goes first */
#define PRESEED_SAY_MS    60000            /* said again: datagrams are lost, trackers change */
#define PRESEED_HEARD_MS  (2 * PRESEED_SAY_MS) /* that long it counts, so that one may be lost */

struct preseed;

struct preseed *preseed_new(void);
void preseed_free(struct preseed *p); /* NULL is fine */
/* A client of the own site wants it. */
void preseed_pulled(struct preseed *p, const struct digest *digest, uint64_t size, int64_t now_ms);
/* The tracker of another site says that one of its clients does. */
void preseed_heard(struct preseed *p, const struct digest *digest, uint64_t size, uint64_t site,
                   int64_t now_ms);
/* What to tell the other sites now; false: nothing more. */
bool preseed_tell(struct preseed *p, int64_t now_ms, struct digest *ret_digest, uint64_t *ret_size);
/* A blob that enough of so many other sites pulled, and nobody here; each once in PRESEED_MS.
 * False: none. */
bool preseed_due(struct preseed *p, size_t other_sites, int64_t now_ms, struct digest *ret_digest,
                 uint64_t *ret_size);

#endif
