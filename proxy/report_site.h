/* The site as a picture: its nodes, who sends to whom right now, what crosses the WAN, and sums of
 * other sites. The fields stand in configs/api.md and keep their names. Asking is looking: nodes
 * are asked what they carry, at most every TRAFFIC_ASK_MS, and what they say is in the answers from
 * the next one on.
 *
 *   GET /api/v1/site */
#ifndef PROXY_REPORT_SITE_H
#define PROXY_REPORT_SITE_H

#include "proxy/report.h"

cJSON *report_site(const struct report *r);

#endif
