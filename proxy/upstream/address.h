/* Which network addresses a connection may go to. Pure. */
#ifndef PROXY_ADDRESS_H
#define PROXY_ADDRESS_H

#include "base/must.h"
#include <sys/socket.h>

enum address_kind {
    ADDRESS_PUBLIC,
    ADDRESS_PRIVATE,    /* RFC 1918, unique local, shared, loopback */
    ADDRESS_LINK_LOCAL, /* 169.254/16 and fe80::/10: metadata services live there */
    ADDRESS_SPECIAL,    /* multicast, reserved, documentation, unspecified */
};

enum address_rule {
    ADDRESS_RULE_ANY,    /* the configuration names the host itself */
    ADDRESS_RULE_NEAR,   /* named by a registry that is itself at a private address */
    ADDRESS_RULE_PUBLIC, /* named by a stranger */
};

/* IPv4 inside IPv6 (mapped, NAT64, 6to4) is judged as IPv4. */
enum address_kind address_kind(const struct sockaddr *a);
enum address_kind address_kind_text(const char *ip); /* SPECIAL when it is none */
bool address_allowed(enum address_kind kind, enum address_rule rule);

#endif
