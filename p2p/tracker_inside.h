/* What the files of the tracker share: tracker.c (what is announced), tracker_grant.c (who fetches
 * what), tracker_race.c (what all wait for is given to a second node) and tracker_peers.c (who is
 * named to whom).
 *
 *   tracker -- blob -- book of leases, of[] per piece
 *           |       `- entries: node, bits held, cursor, what it may and wants
 *           `- nodes: address, WAN rate, quarantine
 *
 * Invariants:
 *  1. holders[p] is the number of entries that count and whose bit p is set; an entry counts whose
 *     node serves, and is not doubted by too many.
 *  2. A piece is granted only while holders[p] and of[p] are 0, so never twice at a time; who lost
 *     its lease in a race may go on with that one piece.
 *  3. A node in quarantine gets no lease while anybody else could have it. */
#ifndef P2P_TRACKER_INSIDE_H
#define P2P_TRACKER_INSIDE_H

#include "p2p/bits.h"
#include "p2p/climb.h"
#include "p2p/pick.h"
#include "p2p/piece.h"
#include "p2p/rank.h"
#include "p2p/tracker.h"

#define TRACKER_HINTS 4096

struct tracker_node {
    struct node_id id;
    struct node_addr addr;
    uint64_t wan_rate; /* bytes/s, 0: not known */
    unsigned strikes;  /* revocations in a row */
    int64_t free_ms;   /* end of its quarantine */
    int64_t pause_ms;  /* it failed when nobody could take over: nothing before */
    bool tried;        /* it got a lease since it was announced, whatever came of it */
    bool used;
};

struct tracker_entry {
    unsigned node;
    uint8_t flags;
    uint16_t idle;
    uint64_t cursor;
    uint32_t first, end; /* its window of pieces; end 0: it takes all */
    int64_t since_ms, announced_ms, peers_ms, nudged_ms;
    bool seeds;        /* it takes a copy that has to come from another site */
    bool peers_helped; /* the last list of peers named pieces that it lacked */
    int64_t barren_ms; /* until then it fetches for nobody, as it was doubted by too many */
    struct tracker_doubter {
        unsigned node;
        int64_t until_ms; /* 0: free */
    } doubters[TRACKER_DOUBTERS_MAX];
    uint16_t *near; /* its neighbours: where their entries stand, while near_moves is the blob's */
    size_t near_count;
    uint32_t near_moves;
    bool counts;
    uint8_t bits[];
};

/* Where a lease may be fetched: upstream is the first, the others are sites. */
struct tracker_source {
    uint64_t site;
    struct rank rank;
    int64_t gave_ms; /* when bytes last came */
};

/* A node of another site that holds a blob whole. */
struct tracker_remote {
    unsigned source;
    struct node_id node;
    struct node_addr addr;
    int64_t until_ms;
};

/* The piece that was given to one node after the other, and who lost its lease of it so. */
struct tracker_race {
    uint32_t piece;
    unsigned losers_count, losers[TRACKER_RACES_MAX];
};

struct tracker_blob {
    struct digest digest;
    struct lease_book book;
    size_t entries_count, entries_cap;
    struct tracker_entry **entries;
    uint64_t *hashes;                     /* of their nodes, in the same order: pick_hash() */
    uint32_t moves;                       /* how often one came, or went */
    unsigned wanting;                     /* how many want bytes for a client: tracker_wants() */
    unsigned seeding;                     /* how many take it from other sites: e->seeds */
    int64_t oldest_ms;                    /* none was announced before */
    int64_t doubts_ms;                    /* until then one of them may be doubted; 0: none is */
    uint16_t entry_at[TRACKER_NODES_MAX]; /* by node: where its entry stands, if it has one */
    uint8_t *of;                          /* per piece, for the book */
    uint16_t *holders;                    /* per piece */
    uint32_t granted_pieces;              /* in all, also again */
    int64_t touched_ms;
    size_t remotes_count;
    struct tracker_remote remotes[TRACKER_REMOTES_MAX];
    unsigned rests;  /* how often upstream had no place for it since it last gave bytes */
    int64_t rest_ms; /* until then nobody fetches it there */
    struct tracker_race race;
    int64_t lost_ms; /* when a lease last ended before its time */
    unsigned asks;   /* how often other sites were asked, and when last */
    int64_t asked_ms;
};

struct tracker {
    uint32_t epoch; /* 0: out of office */
    bool company;   /* the site has other nodes */
    uint32_t lease_ids;
    size_t blobs_count;
    struct tracker_blob *blobs[TRACKER_BLOBS_MAX];
    size_t nodes_count;
    struct tracker_node nodes[TRACKER_NODES_MAX];
    uint16_t last_node_at[TRACKER_HINTS]; /* by id: index where it may stand, or anything */
    struct climb climb;
    struct replicas *replicas;
    struct preseed *preseed;
    unsigned sources_count;
    struct tracker_source sources[TRACKER_SOURCES_MAX];
    unsigned lent; /* how often a holder was named to another site */
    struct tracker_sum sum;
};

static inline unsigned
tracker_hint(const struct node_id *id)
{
    return (id->bytes[0] | (unsigned)id->bytes[1] << 8) % TRACKER_HINTS;
}

struct tracker_blob *tracker_find(const struct tracker *t, const struct digest *digest);
int tracker_node(const struct tracker *t, const struct node_id *id); /* its index, or -1 */
struct tracker_entry *tracker_entry(const struct tracker_blob *b, unsigned node); /* or NULL */
/* Would what it fetches reach nobody? */
bool tracker_is_barren(const struct tracker_blob *b, const struct tracker_entry *e, int64_t now_ms);
/* Does its node want bytes for a client, not only for a copy more? */
static inline bool
tracker_wants(uint8_t flags)
{
    return (flags & (WIRE_WANTS | WIRE_FOR_COPY)) == WIRE_WANTS;
}
/* May it fetch? What comes before anybody asked for it yields to all clients of the site. */
static inline bool
tracker_takes(const struct tracker *t, const struct tracker_entry *e)
{
    return tracker_wants(e->flags) || (e->seeds && tracker_quiet(t));
}
/* Its leases are long because one node wanted it alone, from upstream: that is over. */
void tracker_shorten(struct tracker *t, struct tracker_blob *b, int64_t now_ms,
                     struct tracker_orders *orders);

/* Where `len` bytes are fetched at least cost: index of a remote of the blob, or: */
#define TRACKER_UPSTREAM (-1)
#define TRACKER_NOWHERE  (-2)
int tracker_choose(struct tracker *t, struct tracker_blob *b, bool upstream, int64_t now_ms,
                   uint64_t len);
bool tracker_has_remote(const struct tracker *t, const struct tracker_blob *b, int64_t now_ms);
void tracker_source_gave(struct tracker *t, const struct lease *l, uint64_t bytes, int64_t now_ms);
void tracker_remote_failed(struct tracker *t, struct tracker_blob *b, unsigned source,
                           int64_t now_ms);

/* May the node fetch the blob now: it wants it, has a source, and is in no quarantine? */
bool tracker_could_fetch(const struct tracker *t, const struct tracker_blob *b,
                         const struct tracker_entry *e, int64_t now_ms);
/* How long a holder has for a piece before it is asked whether others could do better. */
int64_t tracker_time_ms(const struct tracker *t, const struct tracker_blob *b,
                        const struct lease *l);
/* Does the piece on its way come about as soon as from somebody who begins with it now? What is
 * here and on the way of it would be lost. */
bool tracker_brings_soon(const struct tracker *t, const struct tracker_blob *b,
                         const struct lease *l, int64_t now_ms);
/* Is there a node that could fetch, would be done with the piece by now, and is known to be
 * TRACKER_HOPELESS times faster than the holder, that brings rate bytes/s, in its share? */
bool tracker_is_outdone(const struct tracker *t, const struct tracker_blob *b,
                        const struct lease *l, uint64_t rate, int64_t now_ms);
/* Would the node fetch so much faster than the holder of the lease, as far as is known? */
bool tracker_is_faster(const struct tracker *t, const struct tracker_entry *e,
                       const struct lease *l, int64_t now_ms);

bool tracker_fetches(const struct tracker *t, unsigned node); /* of any blob */
/* A lease ends that was not done. */
void tracker_lose(struct tracker_blob *b, struct lease *l, enum lease_phase phase, int64_t now_ms);

/* Should the node take over the piece that all readers wait for? Then its lease has ended, and its
 * holder goes on without one: who has it first stops the other. */
bool tracker_race(struct tracker *t, struct tracker_blob *b, const struct tracker_entry *e,
                  int64_t now_ms, uint32_t *ret_piece);
/* Nodes that were not tried may be faster than those that were, and the site pulls many pieces. */
bool tracker_unproven(const struct tracker *t, uint32_t piece_bytes);
/* Do readers wait for a piece of which there is no sign? */
bool tracker_is_urgent(const struct tracker *t, const struct tracker_blob *b, int64_t now_ms);
/* The piece that is better fetched by a node that is not busy; the number of pieces: none. */
uint32_t tracker_kept_for_racer(const struct tracker *t, struct tracker_blob *b, int64_t now_ms);
/* The node that should ask for that piece now, or NULL. */
struct tracker_entry *tracker_racer(struct tracker *t, struct tracker_blob *b, int64_t now_ms,
                                    struct tracker_orders *orders);
/* The holder of a lease has a piece: who lost that one is slow. */
void tracker_race_won(struct tracker *t, struct tracker_blob *b, const struct lease *l,
                      int64_t now_ms);
/* Did it lose its lease of the piece so? */
bool tracker_race_loser(const struct tracker_blob *b, uint32_t piece, unsigned node);
/* The node is gone; another one may get its place. */
void tracker_race_forget(struct tracker_blob *b, unsigned node);
/* Is the lease of a piece that somebody else has meanwhile? */
bool tracker_race_lost(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
                       int64_t now_ms);

/* Could any other node take a lease over? */
bool tracker_has_other(const struct tracker *t, const struct tracker_blob *b, unsigned node,
                       int64_t now_ms);
/* Appends an order to the holder of a lease; a full list drops it: a later tick repeats it. */
void tracker_order(const struct tracker *t, const struct tracker_blob *b, const struct lease *l,
                   uint32_t end, enum wire_trim_why why, struct tracker_orders *orders);
/* The lease shall end before piece `end`. */
void tracker_trim(const struct tracker *t, const struct tracker_blob *b, struct lease *l,
                  uint32_t end, int64_t now_ms, struct tracker_orders *orders);
void tracker_strike(struct tracker_node *n, int64_t now_ms); /* quarantine, longer each time */
void tracker_forget_old(struct tracker *t, int64_t now_ms);  /* not announced for long */

#endif
