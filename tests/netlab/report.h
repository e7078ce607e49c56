/* The counters of the WAN as lines of KEY=VALUE: link SITE.up|SITE.down, path FROM TO, host
 * ADDRESS, and one `loop` line that says whether the emulator kept up. */
#ifndef TESTS_NETLAB_REPORT_H
#define TESTS_NETLAB_REPORT_H

#include "base/buf.h"

#define REPORT_BYTES_MAX (4u << 20) /* 64 sites with 256 hosts each, and all paths */

/* Adds them; what goes beyond the limit of ret is left out. */
void report_stats(struct buf *ret);
/* The loop began another pass. */
void report_pass(void);

#endif
