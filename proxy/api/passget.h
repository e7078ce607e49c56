/* Lists that are passed through from upstream: tags and referrers. */
#ifndef PROXY_PASSGET_H
#define PROXY_PASSGET_H

#include "proxy/api/request.h"

/* Fills request->passed. */
CHECKED enum reason passget_acquire(struct request *r);

#endif
