/* A fill that goes alone: claims whatever is missing, asks its registry, tries again. */
#ifndef PROXY_SOLO_H
#define PROXY_SOLO_H

#include "proxy/upstream/fill_inside.h"

/* One turn; `woken`: a reader waits where nobody comes, or a window has room. */
void solo_step(struct fill *f, int64_t now_ms, bool woken);

#endif
