/* Bounds-checked reader and writer of little-endian records. Errors are sticky:
 * read or write everything, then look at `bad` once. Pure. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/must.h"

struct cursor {
    const uint8_t *at, *end;
    bool bad; /* something did not fit; all later reads give zeros */
};

void cursor_init(struct cursor *c, const void *bytes, size_t len);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
/* `n` bytes in place, or NULL and bad. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);
/* u16 length and that many bytes, copied and terminated; bad when over cap-1 or
 * when they hold a 0 byte. */
void cursor_text(struct cursor *c, char *ret, size_t cap);
bool cursor_done(const struct cursor *c); /* all read and nothing bad */

struct scribe {
    uint8_t *start, *at, *end;
    bool bad; /* did not fit; nothing is written any more */
};

void scribe_init(struct scribe *s, void *room, size_t cap);
void scribe_u8(struct scribe *s, uint8_t v);
void scribe_u16(struct scribe *s, uint16_t v);
void scribe_u32(struct scribe *s, uint32_t v);
void scribe_u64(struct scribe *s, uint64_t v);
void scribe_bytes(struct scribe *s, const void *bytes, size_t n);
void scribe_text(struct scribe *s, const char *text); /* as cursor_text reads it */
size_t scribe_len(const struct scribe *s);
size_t scribe_room(const struct scribe *s); /* bytes left */

#endif
