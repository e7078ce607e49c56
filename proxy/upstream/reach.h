/* Does any other node of the site answer requests? A firewall that lets datagrams
 * through and no connections makes a swarm in which all hear what others have, and nobody gets it:
 * each pull would wait for pieces in vain, and be far worse than one without other nodes. Pure.
 *
 *   able --REACH_TRIES_MIN failures in a row, of two nodes where there are two, over
 *     ^                              REACH_WALL_MS or REACH_LOST_MS--> lost
 *     '--an answer, or nobody is heard-- lost   no swarm until REACH_AGAIN_MS after the last one
 */
#ifndef PROXY_REACH_H
#define PROXY_REACH_H

#include "base/err.h"
#include "p2p/p2p.h"

#define REACH_TRIES_MIN 4
#define REACH_WALL_MS   2000 /* while nobody ever answered: it never worked */
/* Else: a LAN that is out is no firewall. Others are not heard any more before this is over:
 * MEMBER_DEAD_MS, and PEER_HEAD_MS for requests that were under way. */
#define REACH_LOST_MS  6000
#define REACH_AGAIN_MS 30000  /* then one more failure says that it still is so */
#define REACH_OLD_MS   600000 /* failures before such a pause say nothing any more */

struct reach {
    bool ever;                 /* somebody answered, since this node started */
    unsigned tries;            /* in vain since the last answer */
    int64_t first_ms, last_ms; /* of these */
    struct node_id node;       /* whom the first was for */
    bool several;              /* some were for another one */
};

void reach_answered(struct reach *r);
void reach_failed(struct reach *r, const struct node_id *node, int64_t now_ms);
/* Is it lost? `others`: nodes of the site that are heard; without any it forgets. */
CHECKED bool reach_look(struct reach *r, size_t others, int64_t now_ms);

#endif
