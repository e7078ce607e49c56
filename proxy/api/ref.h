/* Names of the OCI distribution spec: repositories, tags and references. Pure. */
#ifndef PROXY_REF_H
#define PROXY_REF_H

#include "base/digest.h"

#define REF_TAG_MAX 129 /* 128 bytes, terminated */

struct ref {
    bool by_digest;
    struct digest digest;  /* by_digest */
    char tag[REF_TAG_MAX]; /* otherwise */
};

/* 0; ERR_SYNTAX for what looks like a digest and is none; ERR_NOT_FOUND for what cannot be
 * a tag either. */
CHECKED int ref_parse(const char *text, size_t len, struct ref *ret);
/* "alg:hex" or the tag. */
#define REF_TEXT_MAX DIGEST_TEXT_MAX
void ref_print(const struct ref *r, char ret_text[REF_TEXT_MAX]);
/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* components with slashes between them. */
bool ref_is_name(const char *text, size_t len);

#endif
