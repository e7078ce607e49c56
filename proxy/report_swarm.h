/* What the node says of its swarm, as JSON; any thread. Fields keep their names.
 *
 *   GET /api/v1/peers
 *   alone       true: no swarm, and nothing below but
 *   reason      why
 *   id address  of this node; ids are 32 hex digits, their first 16 name a node for people
 *   site        the LAN that this node is in; site_from: how it was found
 *   role        member, deputy, candidate or tracker
 *   priority    of this node in elections; larger is better
 *   multicast   the LAN carries our multicast
 *   swarms      blobs that this node exchanges now
 *   refused     messages that were not believed since start: {key, clock, replay,
 *               version, syntax, id}
 *   refused_lately   in the last hour: [{reason, messages, last_ms_ago, from: [address]}]
 *   asked       for bytes by other nodes since start: {sent, busy, not_held, refused}
 *   tracker     null, or {id, address, self, epoch, since, since_ms_ago, why}; since: RFC 3339
 *   deputy      null, or {id, address, self}
 *   office      of the tracker itself: {blobs, fetchers, grants, revocations, expiries, trims}
 *   nodes       other nodes heard: {site: how many in this site, elsewhere}
 *   peers       [{id, address, site, same_site, role, priority, heard_ms_ago, queue_ms,
 *               free_bytes}], the tracker first, then by id; role: member, deputy or tracker
 *
 *   blobs       exchanged now: [{digest, size_bytes, wants, pieces, held, peers, lan_requests,
 *               wan_requests}]; wants false: it is only served to others
 *   copies      of the tracker itself, of blobs that are wanted often: [{digest, wanted, counted}],
 *               whole copies in the site; counted null: not yet
 *
 *   GET /api/v1/transfers, and the same in /api/v1/status
 *   swarm       of each transfer that the swarm takes part in: {pieces, held, peers, lan_requests,
 *               wan_requests}
 *
 *   GET /api/v1/blobs/DIGEST?holders=1   /api/v1/images?...&holders=1
 *   holders     of each blob: [{id, address, held_pieces, pieces}], other nodes that say now that
 *               they have it; not there on a node that runs alone
 *   copies      of each blob, as there: {wanted, counted} whole copies in this site, this node's
 *               included; wanted null: no tracker told
 *
 *   POST /api/v1/reach     asks a few nodes to connect to this one's p2p port
 *   asked       how many; reached: true when one could
 *
 * /api/v1/status has the same as /api/v1/peers in "p2p", but for the list of peers. */
#ifndef PROXY_REPORT_SWARM_H
#define PROXY_REPORT_SWARM_H

#include "proxy/report.h"

cJSON *report_swarm_peers(const struct report *r);
void report_swarm_add(const struct report *r, cJSON *to);
/* NULL when there is no swarm. */
cJSON *report_swarm_reach(const struct report *r);
/* Adds to transfers what the swarm knows of them. */
void report_swarm_transfers(const struct report *r, cJSON *list);
/* Asks all nodes who has the first LOCATE_BLOBS_MAX blobs that the document names. */
void report_swarm_holders(const struct report *r, cJSON *doc);
/* The metrics with a node in them. 0 or ERR_LIMIT. */
CHECKED int report_swarm_metrics(const struct report *r, struct buf *to);

/* Why a node with these settings has no swarm. Static text or inside ret_room. */
#define REPORT_SWARM_ALONE_MAX 300
const char *report_swarm_alone(const struct settings *s, char ret_room[REPORT_SWARM_ALONE_MAX]);

#endif
