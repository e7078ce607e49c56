/* Errors. Every function that can fail returns 0 or a negative code: -errno
 * (-1 .. -4095) when the operating system said no, or an ERR_* code of err.def.
 * struct err carries the sentence for people: it is prefixed on the way up
 * ("open cache /x: mkdir /x/blobs: Permission denied") and logged once, where it
 * is handled. Any thread; a struct err belongs to one. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/must.h"

enum err_code {
    ERR_FIRST = -6000, /* codes rise from here, below every -errno */
#define X(name, text) ERR_##name,
#include "base/err.def"
#undef X
};

struct err {
    int code; /* 0: no error yet */
    char text[256];
};

/* Replaces what e says and returns code. `e` may be NULL (only the code is wanted). */
PRINTF(3, 4) int err_set(struct err *e, int code, const char *fmt, ...);
/* "what: <strerror>" from errno; returns -errno. */
PRINTF(2, 3) int err_errno(struct err *e, const char *fmt, ...);
/* Prefixes "context: " and returns e->code. `e` may be NULL: returns code 0, so pass one
 * where the code is needed. */
PRINTF(2, 3) int err_wrap(struct err *e, const char *fmt, ...);
/* Text of a code, of err.def or strerror; never NULL. */
const char *err_text(int code);

#endif
