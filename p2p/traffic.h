/* What the nodes of a site say of their traffic, for a picture of the whole site. Nothing is asked
 * while nobody looks: a look asks, and is answered by the next one. Pure: time is an argument. */
#ifndef P2P_TRAFFIC_H
#define P2P_TRAFFIC_H

#include "p2p/plan.h"

/* Largest flows that a node tells of. */
#define TRAFFIC_FLOWS_MAX 8
/* Between two questions to a site of TRAFFIC_CROWD nodes; in a larger one longer. */
#define TRAFFIC_ASK_MS 1500
#define TRAFFIC_CROWD  64
/* What was said so long ago is not shown. */
#define TRAFFIC_STALE_MS 60000
/* Between two answers of this node. */
#define TRAFFIC_TELL_MS 10

/* Body bytes of blobs since that node began, and now in bytes/s. */
struct traffic {
    uint64_t upstream_bytes, remote_bytes, peer_bytes, sent_bytes;
    uint64_t upstream_rate, remote_rate, peer_rate, sent_rate;
    size_t flows_count;
    struct traffic_flow {
        struct node_id from; /* none: a registry */
        uint64_t rate;
    } flows[TRAFFIC_FLOWS_MAX];
};

struct traffics;

struct traffics *traffic_new(void);
void traffic_free(struct traffics *t); /* NULL is fine */
/* Somebody looks: asks the nodes of the site, when that is due. */
void traffic_look(struct traffics *t, const struct members *m, uint64_t site, int64_t now_ms,
                  struct plan *p);
/* A node asks: `own` is what this one has to say. */
void traffic_asked(struct traffics *t, const struct member *from, const struct traffic *own,
                   int64_t now_ms, struct plan *p);
void traffic_hear(struct traffics *t, const struct node_id *from, const struct wire_traffic *said,
                  int64_t now_ms);
/* A flow of the node that was heard last in this datagram. */
void traffic_hear_flow(struct traffics *t, const struct node_id *from,
                       const struct wire_flow *said);
void traffic_gone(struct traffics *t, const struct node_id *node);
/* What that node said lately, and how long ago; NULL: nothing. */
const struct traffic *traffic_of(const struct traffics *t, const struct node_id *node,
                                 int64_t now_ms, int64_t *ret_age_ms);

#endif
