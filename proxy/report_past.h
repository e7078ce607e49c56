/* What happened lately, as JSON. Fields keep their names.
 *
 *   GET /api/v1/pulls     pulls of clients, the newest first, 32 at most
 *   pulls      [{id, repository, reference, client, agent, begun, over, running, took_ms, bytes,
 *              from_bytes: {cache, peer, remote_peer, upstream}, refused, omitted, why, parts,
 * steps}] begun: RFC 3339; over: nothing was asked for five seconds; refused: requests that were
 *              left to the runtime; omitted: steps that are not listed; why: a sentence
 *   parts      where the time went, in ms: {manifest_ms, blobs_ms, client_ms, idle_ms, wait_ms:
 *              {turn, upstream, peers, upstream_and_peers, check}}; manifest: until manifests were
 *              answered; blobs: clients waited for bytes; client: bytes waited for the client;
 * idle: no request was open; wait: what the fetches behind the blobs waited for steps      its
 * requests: [{what: "manifest" or "blob", reference, at_ms, first_byte_ms, starved_ms, took_ms,
 * bytes, status, source, why, complete, fetch}]; at_ms: since the pull's begin; starved_ms: after
 * the first byte, it waited for more; fetch: of a blob that was not here: {took_ms, size_bytes,
 * wait_ms, from_bytes, attempts, peer_attempts, failures, peer_failures, trouble}
 *
 *   GET /api/v1/events    log events of note, the newest first, some of each kind
 *   events     [{time, event, level, text, number, fields}]; number: how many of that kind since
 *              start; fields: texts by name */
#ifndef PROXY_REPORT_PAST_H
#define PROXY_REPORT_PAST_H

#include "proxy/report.h"

cJSON *report_pulls(const struct report *r); /* not before SERVING */
cJSON *report_events(void);
/* {turn, upstream ...}: what a fetch waited for, in ms. */
void report_add_waits(cJSON *to, const int64_t wait_ms[FETCH_WAITS]);

#endif
