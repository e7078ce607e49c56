/* Why a request is refused: status, OCI error code and message. Pure. */
#ifndef PROXY_REASON_H
#define PROXY_REASON_H

#include "base/must.h"

enum reason {
    REASON_NONE, /* nothing is wrong */
#define X(id, status, code, message) REASON_##id,
#include "proxy/api/reason.def"
#undef X
    REASONS
};

unsigned reason_status(enum reason why);
const char *reason_text(enum reason why);
/* The JSON body of the OCI distribution spec. */
#define REASON_BODY_MAX 192
size_t reason_body(enum reason why, char ret_body[REASON_BODY_MAX]);

#endif
