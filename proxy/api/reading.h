/*
 * One client's way through one blob: waits for bytes, and goes on with another source of the
 * same blob when one fails, so that the client sees a pause at most.
 *
 * It belongs to the thread of the request; the request outlives it or has been accounted.
 */
#ifndef PROXY_READING_H
#define PROXY_READING_H

#include "proxy/api/range.h"
#include "proxy/api/request.h"
#include <sys/types.h>

/* What to do when a blob has failed with `code` under a reader. fresh: it got nothing yet. Pure. */
enum reading_next {
    READING_PASS,  /* the cache has no room or no disk: through memory */
    READING_AGAIN, /* once more from the cache's door: another lead goes on at the same byte */
    READING_GIVE_UP,
};
enum reading_next reading_judge(int code, bool passing, bool may_try_again, bool fresh);

/* Joins or leads the blob. Never NULL. `size` from a link, or CACHE_SIZE_UNKNOWN. `alone`: only
 * this part is asked for, of the registry, unless it fails; NULL: it is not, or not known yet. */
struct reading *reading_open(struct request *r, const struct digest *d, uint64_t size,
                             const struct span *alone);
void reading_close(void *reading); /* NULL is fine */
enum cache_got reading_got(const struct reading *g);
struct blob *reading_blob(struct reading *g);
/* Waits until the size is known. 0, or why there is nothing to be read: ERR_TIMEOUT,
 * ERR_CLOSED (nobody waits any more), or what the blob failed with. */
CHECKED int reading_size(struct reading *g, int64_t deadline_ms, uint64_t *ret);
/* Sets what is to be read and waits for its first byte. Errors as above. */
CHECKED int reading_begin(struct reading *g, const struct span *span, int64_t deadline_ms);
/* For reply_blob_reader: bytes at pos of the span, or a negative end. */
ssize_t reading_read(void *reading, uint64_t pos, char *buf, size_t max);

#endif
