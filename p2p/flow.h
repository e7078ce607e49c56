/* Who gave this node bytes and whom it gave some, measured where the bytes pass: totals, and the
 * rate of the last whole second. Pure: time is an argument; the caller has a lock. */
#ifndef P2P_FLOW_H
#define P2P_FLOW_H

#include "p2p/node.h"

#define FLOWS_MAX      256 /* the node that was silent longest gives its place away */
#define FLOW_WINDOW_MS 1000

enum flow_way { FLOW_IN, FLOW_OUT, FLOW_WAYS };

struct flow {
    struct node_id node; /* none: all registries together */
    uint64_t bytes[FLOW_WAYS];
    uint64_t rate[FLOW_WAYS]; /* bytes/s in the last window */
    /* private */
    uint64_t fresh[FLOW_WAYS]; /* bytes of this window */
    int64_t window_ms, used_ms;
};

struct flows {
    size_t count;
    struct flow list[FLOWS_MAX];
};

void flow_note(struct flows *f, const struct node_id *node, enum flow_way way, uint64_t bytes,
               int64_t now_ms);
/* Copies all, with rates as of now; how many, FLOWS_MAX at most. */
size_t flow_list(struct flows *f, int64_t now_ms, struct flow ret[FLOWS_MAX]);

#endif
