/*
 * The HTTP guard: libmicrohttpd's parser is lenient, so each request is checked again
 * before anything looks at it. All but guard_request are pure.
 *
 * A daemon that uses it sets MHD_OPTION_UNESCAPE_CALLBACK to guard_keep_escapes and
 * MHD_OPTION_STRICT_FOR_CLIENT to 1, calls guard_request on the handler's first call and
 * queues a refusal there (which also ends the connection); good answers wait for the
 * second call.
 */
#ifndef PROXY_GUARD_H
#define PROXY_GUARD_H

#include "base/must.h"

struct MHD_Connection;

#define GUARD_TARGET_MAX       2048  /* bytes of path and query */
#define GUARD_HEADER_BYTES_MAX 16384 /* request line and headers together */

/* Leaves %XX as it was sent, so that paths are judged as bytes. */
size_t guard_keep_escapes(void *cls, struct MHD_Connection *c, char *text);

/* What is wrong with it, as a sentence; NULL when nothing is. Pure. */
const char *guard_target(const char *target); /* path and query as sent */
const char *guard_header(const char *name, size_t name_len, const char *value, size_t value_len);
/* The bytes of a header as they came, for what a parser would hide; `complete`: with its
 * empty line, which it must then have. */
const char *guard_head(const char *bytes, size_t len, bool complete);

/* How long the body is that a request announces: exactly one Content-Length, digits only, and no
 * Transfer-Encoding. 0, or the status to refuse it with (400, 411, 413). */
CHECKED unsigned guard_body(struct MHD_Connection *c, size_t max, size_t *ret_len);
/* Judges a request whose header has been read. 0, or the status to refuse it with (400,
 * 414) and why. */
CHECKED unsigned guard_request(struct MHD_Connection *c, const char *method, const char *target,
                               const char **ret_why);

#endif
