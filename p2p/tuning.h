/* Rules of the swarm that the simulator leaves out one at a time, to see what each is worth (make
 * sim-ablate). Set before the first step, by the simulator only; the daemon has all of them. */
#ifndef P2P_TUNING_H
#define P2P_TUNING_H

#include "base/must.h"

struct tuning {
    bool no_leases;     /* pieces of the WAN go to owners by hash, as without a tracker */
    bool no_revocation; /* a slow lease stays where it is */
    bool in_order;      /* the lowest piece always */
    bool rarest;        /* the rarest piece always */
    bool no_window;     /* a source is as fast as its last block */
    bool no_deputy;     /* nobody gets copies of announcements */
};
extern struct tuning tuning;

#endif
