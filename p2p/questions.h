/* Which blobs many nodes of the site asked for just now (WHOHAS). Who opens such a blob need not
 * ask, too: whoever holds it told the tracker, which names it to those that announce that they want
 * it. (Not a holder of SWARMS_MAX other blobs that are in use; but that one answers no question,
 * either.) So what a node hears of questions does not grow with its site, and the popularity that
 * the cache counts by them stays behind in a large one. Who does not ask still waits
 * SWARM_WHOHAS_MS, once. Pure. */
#ifndef P2P_QUESTIONS_H
#define P2P_QUESTIONS_H

#include "base/digest.h"

#define QUESTIONS_ENOUGH 32   /* questions about one blob */
#define QUESTIONS_MS     1000 /* within that time */
#define QUESTIONS_BLOBS  64   /* the one that was asked for first gives up its place */

struct questions {
    struct questions_blob {
        struct digest digest;
        int64_t since_ms; /* its first question */
        unsigned count;   /* 0: no blob */
    } list[QUESTIONS_BLOBS];
};

void questions_heard(struct questions *q, const struct digest *digest, int64_t now_ms);
CHECKED bool questions_suffice(const struct questions *q, const struct digest *digest,
                               int64_t now_ms);

#endif
