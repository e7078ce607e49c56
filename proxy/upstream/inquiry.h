/* One small request that somebody waits for: retries within its deadline. The fetch thread
 * moves it, the asker waits; each holds a reference. */
#ifndef PROXY_INQUIRY_H
#define PROXY_INQUIRY_H

#include "base/lock.h"
#include "base/mailbox.h"
#include "proxy/upstream/call.h"
#include "proxy/upstream/upstream.h"

struct inquiry;

/* Asker: makes one with two references. ERR_REFUSED: the path is too long or unclean. */
CHECKED int inquiry_new(const struct origin *o, const struct ask *a, struct inquiry **ret,
                        struct err *e);
/* Asker: waits for the end, at most until the deadline or until *stop (NULL: not). */
CHECKED int inquiry_wait(struct inquiry *q, const atomic_bool *stop, struct answer *ret,
                         struct err *e);
void inquiry_unref(struct inquiry **q);

/* Fetch thread: true when it is over (then inquiry_unref). */
bool inquiry_step(struct inquiry *q, struct wire *w, struct upstreams *u, struct rng *rng,
                  int64_t now_ms);
/* Fetch thread: ends it with a code. */
void inquiry_fail(struct inquiry *q, int code);

/* As the mail that carries it, and back. */
struct mail *inquiry_mail(struct inquiry *q);
struct inquiry *inquiry_of(struct mail *m);

#endif
