/* What a site's tracker knows and decides: who has what, who fetches what over the WAN. All of it
 * is soft state, made of announcements, so a deputy that reads copies of them knows the same. Pure;
 * memory grows with announced blobs up to the limits below.
 *
 * Grants go to the lowest piece that nobody holds or fetches, at or behind the lowest cursor; each
 * piece once. Who fetches: as many nodes as climb.h says, the faster ones first; who fetches
 * already goes on unless another is TRACKER_FASTER times faster. */
#ifndef P2P_TRACKER_H
#define P2P_TRACKER_H

#include "p2p/lease.h"
#include "p2p/preseed.h"
#include "p2p/replicas.h"
#include "p2p/wire.h"

#define TRACKER_BLOBS_MAX     512
#define TRACKER_NODES_MAX     1024
#define TRACKER_ENTRY_TTL_MS  15000 /* three announcements */
#define TRACKER_QUARANTINE_MS 2000
#define TRACKER_FAIR_F        3 /* times its fair time a piece may take */
/* A piece is left to its holder that brings the rest of it in so many times what another one needs:
 * five long round trips of a new connection beside a full WAN, and the fair time. */
#define TRACKER_SOON_F   3
#define TRACKER_BEGIN_MS 1000
/* A new connection has brought so much by then, also beside a full WAN; a thin one has not. */
#define TRACKER_SIGN_MS    500
#define TRACKER_SIGN_BYTES 16384
/* All readers wait for a piece, and its holder gave no sign for so long: a node that was not tried
 * yet gets it, too. A registry may be that slow to begin: so the holder goes on. */
#define TRACKER_RACE_MS   500
#define TRACKER_AGAIN_MS  250 /* the same for one known to be fast, once it was tried in vain */
#define TRACKER_DEAR      32  /* pieces in what the site pulls: with fewer, races wait, */
#define TRACKER_CHEAP     128 /* and with fewer there are none where it seems to be the WAN */
#define TRACKER_RACES_MAX 4   /* for one piece */
#define TRACKER_TRIED     4   /* nodes: then one of which nothing is known races no more */
#define TRACKER_HOPELESS  16  /* times slower than another node would be */
/* There is no sign of it yet: who is fast comes by soon, as its leases are short. */
#define TRACKER_HURRY_MS          100
#define TRACKER_SHORT_MS          250  /* of work */
#define TRACKER_LOST_MS           2000 /* a piece that readers wait for is not left to who is busy */
#define TRACKER_PAUSE_MS          500  /* of who failed when nobody else could take over */
#define TRACKER_QUARANTINE_MS_MAX 128000
#define TRACKER_BUSY_MS           100 /* of a site that has no place for an upload */
/* After a registry had no place (429, 5xx) the site leaves it alone, twice as long each time; then
 * one node tries, until bytes come. */
#define TRACKER_REST_MS     1000
#define TRACKER_REST_MS_MAX 60000
#define TRACKER_FASTER      2
#define TRACKER_NUDGE_MS    50   /* between two nudges of one node */
#define TRACKER_DOUBT_MS    2000 /* ten announcements */
/* What it said it had is asked for again after a doubt; but it gets no lease for so long. */
#define TRACKER_BARREN_MS    30000
#define TRACKER_DOUBTERS_MAX 8    /* so many are enough in any site */
#define TRACKER_PEERS_MS     1000 /* between two full lists of peers to one node */
#define TRACKER_ORDERS_MAX   64
#define TRACKER_SOURCES_MAX  65 /* upstream and 64 other sites */
#define TRACKER_REMOTES_MAX  4  /* holders in other sites of one blob */
#define TRACKER_REMOTE_MS    60000
#define TRACKER_ASK_AGAIN_MS 100  /* the second question to other sites about one blob */
#define TRACKER_ASK_MS       5000 /* all later ones */

struct tracker;

/* To be sent at once: to the holder of a lease, or to a node that should ask for one. */
struct tracker_order {
    struct node_id node;
    bool nudge;            /* only the digest counts */
    struct wire_trim trim; /* end 0: give the lease up */
};
struct tracker_orders {
    size_t count;
    struct tracker_order list[TRACKER_ORDERS_MAX]; /* what does not fit comes with a later tick */
};

struct tracker_sum {
    unsigned blobs, fetchers; /* n_f now */
    uint64_t grants, revocations, expiries, trims;
};

struct tracker *tracker_new(void);
void tracker_free(struct tracker *t); /* NULL is fine */
/* In office with that epoch, or, with 0, only reading along. Leases that are known stay. */
void tracker_office(struct tracker *t, uint32_t epoch);
/* Has the site other nodes, whatever they want? */
void tracker_company(struct tracker *t, bool company);

void tracker_blob(struct tracker *t, const struct node_id *node, const struct node_addr *addr,
                  const struct wire_blob *said, int64_t now_ms, struct tracker_orders *orders);
void tracker_fetching(struct tracker *t, const struct node_id *node,
                      const struct wire_fetching *said, int64_t now_ms,
                      struct tracker_orders *orders);
/* Of a node that is banned: what it fetches under a lease is of no use to the others, who are given
 * it now. What it took for itself is left to it. */
void tracker_stop(const struct tracker *t, const struct node_id *node,
                  const struct wire_fetching *said, struct tracker_orders *orders);
/* A piece that somebody told of. */
void tracker_have(struct tracker *t, const struct node_id *node, const struct wire_have *said);
/* It keeps a window of pieces only; until it announces the blob anew. */
void tracker_window(struct tracker *t, const struct node_id *node, const struct wire_window *said);
/* `node` asked another in vain for what it says to hold. When half of those that want the blob say
 * so, it counts as one that holds nothing, until they do not for TRACKER_DOUBT_MS, and its leases
 * go to others. */
void tracker_doubt(struct tracker *t, const struct node_id *node, const struct wire_doubt *said,
                   int64_t now_ms);
void tracker_gone(struct tracker *t, const struct node_id *node); /* dead or left */

/* A lease for a node that announced idle leases; false: none now. Needs an office. */
bool tracker_grant(struct tracker *t, const struct node_id *node, const struct digest *digest,
                   int64_t now_ms, struct wire_grant *ret, struct tracker_orders *orders);
/* Other sites. A blob to ask their trackers for now, from index *at on, which moves. */
bool tracker_asks(struct tracker *t, int64_t now_ms, size_t *at, struct digest *ret);
/* What one of them answered. */
void tracker_remote(struct tracker *t, const struct wire_site_have *said, uint64_t site,
                    int64_t now_ms, struct tracker_orders *orders);
/* A node here that holds the blob whole; false: none is known. */
bool tracker_holder(struct tracker *t, const struct digest *digest, struct wire_site_have *ret);
/* Tells nodes that wait for a lease of the blob when there are places: they need not guess. */
void tracker_nudge(struct tracker *t, const struct digest *digest, int64_t now_ms,
                   struct tracker_orders *orders);
/* Peers of a blob for `node`, from index *at on, which moves; false at the end or when the node
 * got them less than TRACKER_PEERS_MS ago. The bits live until the next announcement. */
bool tracker_peer(struct tracker *t, const struct node_id *node, const struct digest *digest,
                  int64_t now_ms, size_t *at, struct wire_peer *ret);
/* Revokes, expires, forgets. */
void tracker_tick(struct tracker *t, int64_t now_ms, struct tracker_orders *orders);
int64_t tracker_wake_ms(const struct tracker *t, int64_t now_ms);

/* No client of the site waits for bytes, as far as announced. */
bool tracker_quiet(const struct tracker *t);
/* What is popular, and its copies; goes on after a blob is forgotten here. */
struct replicas *tracker_replicas(struct tracker *t);
/* What this and other sites pull. */
struct preseed *tracker_preseed(struct tracker *t);

/* In that size: two that name different ones do not get the same blob. */
bool tracker_knows(const struct tracker *t, const struct digest *digest, uint64_t size);
struct tracker_sum tracker_sum(const struct tracker *t);

#endif
