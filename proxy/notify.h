/* What systemd is told: one datagram a message to $NOTIFY_SOCKET, nothing without it. */
#ifndef PROXY_NOTIFY_H
#define PROXY_NOTIFY_H

#include "base/must.h"

/* A hint: no error comes back. Lines such as "READY=1" or "STATUS=text". */
PRINTF(1, 2) void notify_send(const char *fmt, ...);
/* RELOADING=1 with the time that systemd 253 and later want beside it. */
void notify_reloading(void);
/* How often WATCHDOG=1 is expected, or 0: never. */
int64_t notify_watchdog_ms(void);

#endif
