/* A growable run of bytes with a hard limit. Owned by one thread. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/must.h"

struct buf {
    char *data; /* NULL while empty; always followed by a 0 byte otherwise */
    size_t len; /* bytes in use, without the 0 byte */
    size_t cap;
    size_t limit; /* most bytes it may hold */
};

void buf_init(struct buf *b, size_t limit);
void buf_release(struct buf *b); /* also for AUTO(); leaves an empty buf with its limit */
void buf_clear(struct buf *b);   /* keeps the memory */
/* All return 0 or ERR_LIMIT, then nothing was added. */
CHECKED int buf_add(struct buf *b, const void *bytes, size_t len);
CHECKED int buf_add_text(struct buf *b, const char *text);
PRINTF(2, 3) CHECKED int buf_printf(struct buf *b, const char *fmt, ...);
/* Drops all behind the first `len` bytes; the memory stays. */
void buf_cut(struct buf *b, size_t len);
/* Text of the buffer, "" when empty. Valid until the next change. */
const char *buf_text(const struct buf *b);

#endif
