/* Reads and writes little-endian records without ever leaving their bounds. */
#include "base/cursor.h"
#include <string.h>

void
cursor_init(struct cursor *c, const void *bytes, size_t len)
{
    *c = (struct cursor){.at = bytes, .end = (const uint8_t *)bytes + len};
}

const uint8_t *
cursor_bytes(struct cursor *c, size_t n)
{
    const uint8_t *here = c->at;

    if (c->bad || n > (size_t)(c->end - c->at)) {
        c->bad = true;
        return NULL;
    }
    c->at += n;
    return here;
}

static uint64_t
little(struct cursor *c, size_t n)
{
    const uint8_t *b = cursor_bytes(c, n);
    uint64_t v = 0;

    if (b == NULL)
        return 0;
    for (size_t i = n; i > 0; i--)
        v = v << 8 | b[i - 1];
    return v;
}

uint8_t
cursor_u8(struct cursor *c)
{
    return (uint8_t)little(c, 1);
}

uint16_t
cursor_u16(struct cursor *c)
{
    return (uint16_t)little(c, 2);
}

uint32_t
cursor_u32(struct cursor *c)
{
    return (uint32_t)little(c, 4);
}

uint64_t
cursor_u64(struct cursor *c)
{
    return little(c, 8);
}

void
cursor_text(struct cursor *c, char *ret, size_t cap)
{
    must(cap > 0);
    size_t len = cursor_u16(c);
    const uint8_t *b = cursor_bytes(c, len);

    ret[0] = '\0';
    if (b == NULL || len >= cap || memchr(b, 0, len) != NULL) {
        c->bad = true;
        return;
    }
    memcpy(ret, b, len);
    ret[len] = '\0';
}

bool
cursor_done(const struct cursor *c)
{
    return !c->bad && c->at == c->end;
}

void
scribe_init(struct scribe *s, void *room, size_t cap)
{
    *s = (struct scribe){.start = room, .at = room, .end = (uint8_t *)room + cap};
}

void
scribe_bytes(struct scribe *s, const void *bytes, size_t n)
{
    if (s->bad || n > (size_t)(s->end - s->at)) {
        s->bad = true;
        return;
    }
    if (n > 0)
        memcpy(s->at, bytes, n);
    s->at += n;
}

static void
put(struct scribe *s, uint64_t v, size_t n)
{
    uint8_t b[8];

    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    scribe_bytes(s, b, n);
}

void
scribe_u8(struct scribe *s, uint8_t v)
{
    put(s, v, 1);
}

void
scribe_u16(struct scribe *s, uint16_t v)
{
    put(s, v, 2);
}

void
scribe_u32(struct scribe *s, uint32_t v)
{
    put(s, v, 4);
}

void
scribe_u64(struct scribe *s, uint64_t v)
{
    put(s, v, 8);
}

void
scribe_text(struct scribe *s, const char *text)
{
    size_t len = strnlen(text, (size_t)UINT16_MAX + 1);

    if (len > UINT16_MAX || len + 2 > (size_t)(s->end - s->at)) {
        s->bad = true;
        return;
    }
    scribe_u16(s, (uint16_t)len);
    scribe_bytes(s, text, len);
}

size_t
scribe_room(const struct scribe *s)
{
    return (size_t)(s->end - s->at);
}

size_t
scribe_len(const struct scribe *s)
{
    return (size_t)(s->at - s->start);
}
