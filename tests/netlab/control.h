/* The control socket: one SOCK_SEQPACKET message is one order; the answer is a number of messages,
 * the last of which ends in "ok" or is an error. Nothing here blocks the WAN: a client that dawdles
 * loses its answer. */
#ifndef TESTS_NETLAB_CONTROL_H
#define TESTS_NETLAB_CONTROL_H

#include "base/err.h"

/* Listens; root only. 0 or -errno with e set. */
CHECKED int control_listen(const char *path, int *ret_fd, struct err *e);
/* The next client; false when there is none. */
CHECKED bool control_accept(int listener, int *ret_fd);
/* Carries out what the client orders, answers, closes it. */
void control_serve(int fd);
/* The other side: sends an order, prints the answer. The exit code. */
CHECKED int control_ask(const char *path, char **words, int count);

#endif
