/* When are bodies let gather? A turn of the fetch thread for every few packets costs more than what
 * they bring, and nobody waits for them; but where much comes, a turn that comes late holds up who
 * sends, whose window is full. What comes is judged over spans that a burst of a LAN port does not
 * fill. Pure.
 *
 *   trickle --a span that brought GATHER_BYTES in each GATHER_US--> flood
 *   flood --one that brought less--> trickle
 */
#ifndef PROXY_GATHER_H
#define PROXY_GATHER_H

#include "base/err.h"

#define GATHER_US      4000
#define GATHER_BYTES   (128u * 1024)
#define GATHER_SPAN_US (8 * GATHER_US) /* at least */

struct gather {
    bool flood;
    int64_t since_us; /* of the span */
    uint64_t bytes;   /* in it so far */
};

/* Shall the next turn wait for up to GATHER_US? came_bytes: in this one, which began then. */
CHECKED bool gather_look(struct gather *g, uint64_t came_bytes, int64_t now_us);

#endif
