/* The site as a picture: its nodes, who sends to whom right now, and what crosses the WAN. Fields
 * keep their names.
 *
 *   GET /api/v1/site      asking is looking: the nodes of the site are asked what they carry, at
 * most every 1.5 s, and what they say is in the answers from the next one on alone, reason as in
 * /api/v1/peers self                  id of this node site                  of this node nodes
 * [{id, address, site, same_site, self, role, told_ms_ago, upstream_bytes, remote_bytes,
 * peer_bytes, sent_bytes, upstream_bytes_s, remote_bytes_s, peer_bytes_s, sent_bytes_s}], this one
 * first; the last eight are bytes of blobs since that node began, by where they came from, and what
 * it sent to others; now, in bytes/s. told_ms_ago: how old that is; null and no bytes for one that
 * said nothing lately flows                 [{from, to, bytes_s}] ids of nodes, or "upstream"; the
 * largest first wan, lan              {bytes, bytes_s} into and within the site, of the nodes that
 * told told                  how many nodes of the site told; of this many: nodes_here */
#ifndef PROXY_REPORT_SITE_H
#define PROXY_REPORT_SITE_H

#include "proxy/report.h"

cJSON *report_site(const struct report *r);

#endif
