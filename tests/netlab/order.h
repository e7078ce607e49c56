/* What can be told to the WAN, as lines of text: by a file at the start, by the control socket, by
 * itself later.
 *
 *   site NAME NETNS-FILE DEVICE NET/BITS    adds a site and its TUN device
 *   set SITE[.up|.down] KEY=VALUE...        rate=50mbit|unlimited delay=20ms jitter=2ms
 *                                           loss=0.1% queue=100ms|256k state=up|down
 *   path SITE SITE KEY=VALUE...             delay loss state: both ways, besides the links
 *   thin ADDRESS rate=RATE                  what that host gets from other sites
 *   at TIME ORDER...                        that order so long from now; cancel: forgets these
 *   stats | reset | seed N | quit           reset: the counters, not the settings */
#ifndef TESTS_NETLAB_ORDER_H
#define TESTS_NETLAB_ORDER_H

#include "base/buf.h"

#define ORDER_BYTES_MAX 1024

/* TCP data comes as single packets from now on: for sites that are still to be added. */
void order_without_trains(void);
/* Carries one line out. Adds the answer, or one line "error: ..." and returns false. */
CHECKED bool order_run(const char *line, struct buf *out);
/* Somebody said quit. */
bool order_quit(void);
/* A new TUN: its descriptor and its site, for the loop to wait on. */
void order_on_site(void (*added)(int fd, size_t site));

#endif
