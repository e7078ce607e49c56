/* The Link header of a list in pages, made to point at this node. Pure. */
#ifndef PROXY_PAGELINK_H
#define PROXY_PAGELINK_H

#include "proxy/api/route.h"

#define PAGELINK_MAX 2048
/* `link` is upstream's: <TARGET>; rel="next". The result keeps its query only, with the name
 * and ns that the client used. ERR_SYNTAX, ERR_LIMIT. */
CHECKED int pagelink_rewrite(const char *link, const struct route *route,
                             char ret_link[PAGELINK_MAX]);

#endif
