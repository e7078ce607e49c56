/* WWW-Authenticate as registries send it (RFC 9110 11.6.1). Pure. */
#ifndef PROXY_CHALLENGE_H
#define PROXY_CHALLENGE_H

#include "base/must.h"

#define CHALLENGE_TEXT_MAX 4096

enum challenge_kind { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
    enum challenge_kind kind;
    char realm[512], service[256], scope[512], error[64]; /* "" when absent */
};

/* The best challenge among those of a header value (several header lines are joined by a
 * comma): Bearer with a realm, else Basic, else CHALLENGE_NONE. ERR_SYNTAX for text that is
 * no challenge list, has a control byte or a value over its bound. */
CHECKED int challenge_parse(const char *text, struct challenge *ret);

#endif
