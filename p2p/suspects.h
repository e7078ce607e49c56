/* Nodes that broke promises: SWARM_REFUSED_MAX times in a row they said that they have a piece of a
 * blob and did not give it, and gave no piece of any other meanwhile. What such a node says of any
 * blob is not believed for SWARM_DOUBT_MS, twice as long each time; one piece that it gives, or its
 * end, makes all forgotten. So it is with one whose peer port takes no connection. Pure.
 *
 *   trusted --refusals in a row--> not believed --time--> asked again --refusals--> not believed
 *      ^---------- a piece, or it is gone ----------------------'  */
#ifndef P2P_SUSPECTS_H
#define P2P_SUSPECTS_H

#include "p2p/node.h"

#define SUSPECTS_MAX 64 /* the one that is asked again first gives up its place */

struct suspects {
    size_t count;
    struct suspect {
        struct node_id node;
        unsigned times;
        int64_t since_ms; /* its first refusal */
        int64_t until_ms; /* then it is asked again */
    } list[SUSPECTS_MAX];
};

void suspects_add(struct suspects *s, const struct node_id *node, int64_t since_ms, int64_t now_ms);
void suspects_clear(struct suspects *s, const struct node_id *node);
/* Is nothing believed that it says? */
CHECKED bool suspects_hold(const struct suspects *s, const struct node_id *node, int64_t now_ms);

#endif
