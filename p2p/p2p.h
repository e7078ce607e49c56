/* The front door of p2p/: who is there, who has what, and which source to ask next.
 *
 * step.h   pure: a note in, a plan out; the thread that owns it carries plans out
 * seal.h   pure: seals around messages between nodes
 * slots.h  pure: who may take bytes from this node now
 * view.h   an immutable snapshot of sources, replaced whole by its owner
 * rank.h   pure: throughput estimate of a source and the choice between sources
 *
 * One node alone has one source per registry; the swarm adds peers to the view. */
#ifndef P2P_P2P_H
#define P2P_P2P_H

#include "p2p/rank.h"
#include "p2p/seal.h"
#include "p2p/slots.h"
#include "p2p/step.h"
#include "p2p/view.h"

#endif
