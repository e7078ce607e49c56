/* Pieces for another site as one zstd frame, when that pays: what is asked for is sampled, so that
 * bytes which are compressed already (gzip layers) go out as before after a few microseconds. */
#ifndef PROXY_SQUEEZE_H
#define PROXY_SQUEEZE_H

#include "base/must.h"

struct MHD_Response;
struct squeeze;
struct uploads;

#define SQUEEZE_BYTES_MIN (16u * 1024)

/* ---- the decision: pure ---- */

struct squeeze_facts {
    uint64_t len;      /* of the range, bytes */
    unsigned permille; /* of the sample */
    unsigned running;  /* bodies that are packed now, and how many may be at most */
    unsigned running_max;
    uint64_t link_rate; /* bytes/s to this node lately, 0: not known */
    uint64_t pack_rate; /* bytes/s that a processor here packs, 0: not known */
};
/* Worth a look at the bytes? `permille` is not looked at. */
bool squeeze_may(const struct squeeze_facts *f);
bool squeeze_pays(const struct squeeze_facts *f);

/* ---- any thread ---- */

struct squeeze *squeeze_new(unsigned running_max);
void squeeze_free(struct squeeze *s); /* NULL is fine */

/* Decides for [pos, pos + len) of a file; true: a body must follow. */
CHECKED bool squeeze_start(struct squeeze *s, int fd, uint64_t pos, uint64_t len,
                           uint64_t link_rate);
/* That body. Takes fd. Adds what it gives to *sent while the request lives; `uploads` paces it. */
struct MHD_Response *squeeze_body(struct squeeze *s, struct uploads *uploads, int fd, uint64_t pos,
                                  uint64_t len, uint64_t *sent);

#endif
