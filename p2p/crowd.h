/* Which blobs many nodes of the site asked for just now (WHOHAS). Who opens such a blob need not
 * ask, too: whoever holds it told the tracker, which names it to those that announce that they want
 * it. (Not a holder of SWARMS_MAX other blobs that are in use; but that one answers no question,
 * either.) So what a node hears of questions does not grow with its site, and the popularity that
 * the cache counts by them stays behind in a large one. Who does not ask still waits
 * SWARM_WHOHAS_MS, once. Pure. */
#ifndef P2P_CROWD_H
#define P2P_CROWD_H

#include "base/digest.h"

#define CROWD_ENOUGH 32   /* questions about one blob */
#define CROWD_MS     1000 /* within that time */
#define CROWD_BLOBS  64   /* the one that was asked for first gives up its place */

struct crowd {
    struct crowd_blob {
        struct digest digest;
        int64_t since_ms; /* its first question */
        unsigned count;   /* 0: no blob */
    } list[CROWD_BLOBS];
};

void crowd_heard(struct crowd *c, const struct digest *digest, int64_t now_ms);
CHECKED bool crowd_suffices(const struct crowd *c, const struct digest *digest, int64_t now_ms);

#endif
