/* Questions of other sites that this tracker passed on to its own site and whose answers are out.
 * Pure. */
#ifndef P2P_SITES_H
#define P2P_SITES_H

#include "p2p/wire.h"

#define SITES_ASKS_MAX  64  /* the oldest goes */
#define SITES_ANSWER_MS 300 /* an answer that comes later is of no use any more */

struct sites {
    size_t count;
    struct sites_ask {
        struct digest digest;
        struct node_id node; /* the tracker that asked */
        int64_t until_ms;
    } asks[SITES_ASKS_MAX]; /* oldest first */
};

/* That node waits for the blob. True: nobody else did, so the site is to be asked. */
bool sites_wait(struct sites *s, const struct digest *digest, const struct node_id *node,
                int64_t now_ms);
/* A holder was found: one of those that wait for it, which is then forgotten; false: none is left.
 */
bool sites_found(struct sites *s, const struct digest *digest, int64_t now_ms,
                 struct node_id *ret_node);

#endif
