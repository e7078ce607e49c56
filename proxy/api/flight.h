/*
 * Single flight: of several threads that want the same thing from upstream, one asks and
 * the others wait for what it learned. Any thread.
 */
#ifndef PROXY_FLIGHT_H
#define PROXY_FLIGHT_H

#include "proxy/api/reason.h"

struct flight;
struct flight *flight_new(void);
void flight_free(struct flight *f); /* nobody is inside */
/* True: the caller asks, and then calls flight_land. False: another one did; ret_outcome
 * says how it went (REASON_upstream when deadline_ms, clock_ms, passed first). */
CHECKED bool flight_start(struct flight *f, const char *key, int64_t deadline_ms,
                          enum reason *ret_outcome);
void flight_land(struct flight *f, const char *key, enum reason outcome);

#endif
