/* What the nodes of a site say of their traffic, for a picture of the whole site, and what trackers
 * of other sites say of theirs: sums only. Nothing is asked while nobody looks: a look asks, and is
 * answered by the next one. Pure: time is an argument. */
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
/* Between two questions to other sites, and of a tracker that they ask to its own; as above. */
#define TRAFFIC_SITES_MS  3000
#define TRAFFIC_SITES_MAX 128 /* more are not shown */

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

/* What the tracker of a site said of it. */
struct traffic_site {
    int64_t heard_ms;
    struct wire_site_sums is;
};

struct traffics;

struct traffics *traffic_new(void);
void traffic_free(struct traffics *t); /* NULL is fine */
/* Somebody looks: asks the nodes of the site and, by way of its tracker (NULL: this node, or
 * there is none), other sites, when that is due. */
void traffic_look(struct traffics *t, const struct members *m, const struct member *tracker,
                  int64_t now_ms, struct plan *p);
/* A node asks: `own` is what this one has to say. */
void traffic_asked(struct traffics *t, const struct member *from, const struct traffic *own,
                   int64_t now_ms, struct plan *p);
void traffic_hear(struct traffics *t, const struct node_id *from, const struct wire_traffic *said,
                  int64_t now_ms);
/* A flow of the node that was heard last in this datagram. */
void traffic_hear_flow(struct traffics *t, const struct node_id *from,
                       const struct wire_flow *said);
/* A node of another site asks this tracker: it says what it knows, and asks its own site. */
void traffic_sums_asked(struct traffics *t, const struct members *m, const struct member *from,
                        const struct traffic *own, int64_t now_ms, struct plan *p);
/* A node of its site asks this tracker: it passes on what others said, and asks them. */
void traffic_relay(struct traffics *t, const struct members *m, const struct member *from,
                   int64_t now_ms, struct plan *p);
void traffic_site_hear(struct traffics *t, const struct wire_site_sums *said, int64_t now_ms);
void traffic_gone(struct traffics *t, const struct node_id *node);
/* What that node said lately, and how long ago; NULL: nothing. */
const struct traffic *traffic_of(const struct traffics *t, const struct node_id *node,
                                 int64_t now_ms, int64_t *ret_age_ms);
/* The next site of which something was said lately, from *at on, which moves; NULL: no more. */
const struct traffic_site *traffic_site_next(const struct traffics *t, size_t *at, int64_t now_ms);

#endif
