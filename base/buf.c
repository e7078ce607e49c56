/* A growable run of bytes. Invariants: len <= limit; data[len] is 0 when data is set. */
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_CAP 64 /* most bufs hold a line or a small document */

void
buf_init(struct buf *b, size_t limit)
{
    must(limit < SIZE_MAX / 2);
    *b = (struct buf){.limit = limit};
}

void
buf_release(struct buf *b)
{
    mem_free(b->data);
    buf_init(b, b->limit);
}

void
buf_clear(struct buf *b)
{
    buf_cut(b, 0);
}

/* Room for `more` bytes and the 0 byte. */
static int
reserve(struct buf *b, size_t more)
{
    if (more > b->limit - b->len)
        return ERR_LIMIT;
    size_t need = b->len + more + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap == 0 ? FIRST_CAP : b->cap * 2;
    if (cap > b->limit + 1)
        cap = b->limit + 1;
    if (cap < need)
        cap = need;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
    return 0;
}

int
buf_add(struct buf *b, const void *bytes, size_t len)
{
    int rc = reserve(b, len);

    if (rc < 0)
        return rc;
    if (len > 0)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int
buf_add_text(struct buf *b, const char *text)
{
    return buf_add(b, text, strlen(text));
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    must(len >= 0);
    int rc = reserve(b, (size_t)len);
    if (rc < 0)
        return rc;
    va_start(args, fmt);
    (void)vsnprintf(b->data + b->len, (size_t)len + 1, fmt, args);
    va_end(args);
    b->len += (size_t)len;
    return 0;
}

void
buf_cut(struct buf *b, size_t len)
{
    must(len <= b->len);
    b->len = len;
    if (b->data != NULL)
        b->data[len] = '\0';
}

const char *
buf_text(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}
