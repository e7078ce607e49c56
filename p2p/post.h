/* Control requests to other nodes: POST /p2p/v1/control with a sealed body, the answer sealed,
 * too. p2p thread only; it never waits.
 *
 * Each node has a line of its own: one request at a time, so that what is said later is heard
 * later, and a few that wait. A line that is full forgets the oldest: whatever matters is said
 * again by the next announcement. */
#ifndef P2P_POST_H
#define P2P_POST_H

#include "base/err.h"
#include "p2p/addr.h"
#include "p2p/sealer.h"
#include <curl/curl.h>

#define POST_PATH        "/p2p/v1/control"
#define POST_LINES_MAX   32 /* tracker, deputy, trackers of other sites */
#define POST_WAITING_MAX 8  /* of one line */
#define POST_WAIT_MS     1000

struct post;

CHECKED int post_open(struct sealer *sealer, struct post **ret, struct err *e);
void post_close(struct post *p);   /* NULL is fine; requests end unheard */
CURLM *post_multi(struct post *p); /* to sleep on */

/* `answered`: its reply is wanted from post_next. The body is copied. */
void post_send(struct post *p, const struct node_id *to, const struct node_addr *addr,
               const uint8_t *body, size_t len, bool answered);
/* Moves all lines as far as they go, and starts what waits. */
void post_turn(struct post *p);
/* The next answer that was wanted, opened; its bytes live until the next call. */
bool post_next(struct post *p, const uint8_t **ret_body, size_t *ret_len);

#endif
