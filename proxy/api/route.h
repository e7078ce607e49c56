/*
 * What a request target asks for, and of which registry. Pure.
 *
 *   /v2/                                 the registry answers
 *   /v2/NAME/manifests/REFERENCE         by tag or digest
 *   /v2/NAME/blobs/DIGEST
 *   /v2/NAME/tags/list
 *   /v2/NAME/referrers/DIGEST
 *
 * Three ways to name the registry: ?ns=HOST, NAME = HOST/REPOSITORY, or neither.
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include "proxy/api/reason.h"
#include "proxy/api/ref.h"

#define ROUTE_HOST_MAX  256
#define ROUTE_NAME_MAX  512
#define ROUTE_QUERY_MAX 1024

enum route_kind { ROUTE_PING, ROUTE_MANIFEST, ROUTE_BLOB, ROUTE_TAGS, ROUTE_REFERRERS };

struct route {
    enum route_kind kind;
    char name[ROUTE_NAME_MAX];   /* as the client wrote it; not yet checked as a name */
    char ns[ROUTE_HOST_MAX];     /* decoded, lower case; "" when not given */
    struct ref ref;              /* MANIFEST, BLOB and REFERRERS (digests there) */
    char query[ROUTE_QUERY_MAX]; /* as it was sent, without ns */
};

/* `target` is path and query as sent. */
CHECKED enum reason route_parse(const char *target, struct route *ret);

/* Where it lives: which registry and which repository there. */
struct place {
    char host[ROUTE_HOST_MAX];
    const char *repository; /* inside route->name */
};
/* `known` tells whether a host is configured by its own name (exact) or at all. */
CHECKED enum reason route_place(const struct route *route, const char *default_host,
                                bool (*known)(void *arg, const char *host, bool exact), void *arg,
                                struct place *ret);

#endif
