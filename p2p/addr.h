/* Addresses of nodes as sockets and people have them. Pure; any thread. */
#ifndef P2P_ADDR_H
#define P2P_ADDR_H

#include "p2p/node.h"
#include <sys/socket.h>

#define ADDR_TEXT_MAX 56 /* "[v6]:port" */
#define ADDR_HOST_MAX 256

/* IPv4 is mapped. False for other families and for addresses that only one link knows. */
bool addr_of(const struct sockaddr *from, struct node_addr *ret);
/* For a socket of that family; false when it cannot send there. */
bool addr_to(const struct node_addr *a, int family, struct sockaddr_storage *ret,
             socklen_t *ret_len);
void addr_print(const struct node_addr *a, char ret_text[ADDR_TEXT_MAX]);
/* The same without the port: "10.0.0.1", "fd00::1". */
void addr_print_host(const struct node_addr *a, char ret_text[ADDR_TEXT_MAX]);
bool addr_equal(const struct node_addr *a, const struct node_addr *b);
/* Are both in one network of that mask? */
bool addr_same_net(const struct node_addr *a, const struct node_addr *b,
                   const struct node_addr *mask);
bool addr_is_v4(const struct node_addr *a);
bool addr_is_any(const struct node_addr *a); /* 0.0.0.0 or :: */
bool addr_is_loopback(const struct node_addr *a);
/* One node can be asked there: not a wildcard, a group or broadcast, and with a port. */
bool addr_is_usable(const struct node_addr *a);
/* "10.0.0.1:5002" or "[fd00::1]:5002", no names: 0 or ERR_SYNTAX. */
CHECKED int addr_parse(const char *text, struct node_addr *ret);
/* "host:port", "[v6]:port" or ":port" (then the host is ""): 0 or ERR_SYNTAX. */
CHECKED int addr_split(const char *text, char ret_host[ADDR_HOST_MAX], uint16_t *ret_port);

#endif
