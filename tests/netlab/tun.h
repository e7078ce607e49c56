/* The TUN devices of the sites' routers. */
#ifndef TESTS_NETLAB_TUN_H
#define TESTS_NETLAB_TUN_H

#include "base/err.h"

/* Creates the device in the network namespace of that file; the descriptor keeps it alive. With
 * trains, TCP data comes as trains of segments. 0 or -errno with e set. */
CHECKED int tun_open(const char *netns, const char *device, bool trains, int *ret_fd,
                     struct err *e);
/* Takes what waits at the TUN of a site, a batch at most, and sends it into the WAN. */
void tun_read(size_t site, uint64_t now_ns);

#endif
