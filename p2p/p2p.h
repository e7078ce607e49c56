/* The front door of p2p/: which sources there are and which to ask next.
 *
 * view.h   an immutable snapshot of sources, replaced whole by its owner
 * rank.h   pure: throughput estimate of a source and the choice between sources
 *
 * One node alone has one source per registry; the swarm adds peers to the view. */
#ifndef P2P_P2P_H
#define P2P_P2P_H

#include "p2p/rank.h"
#include "p2p/view.h"

#endif
