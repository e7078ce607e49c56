/* Credentials of a docker config.json. Pure; the file is read by its owner (upstream.c). */
#ifndef PROXY_CREDS_H
#define PROXY_CREDS_H

#include "base/err.h"

struct creds {
    char *user, *password; /* NULL when the file holds an identity token only */
    char *identity;        /* refresh token, or NULL */
};

/* Finds what the file holds for a registry, known by the name that clients use or by the host
 * (with port, if it is not the default) of its URL. 0; ERR_NOT_FOUND; ERR_SYNTAX or ERR_LIMIT with
 * a sentence that names no secret. An entry that only a credential helper could answer is
 * ERR_NOT_FOUND with a sentence that says so. */
CHECKED int creds_find(const char *json, size_t len, const char *host, const char *url_host,
                       struct creds *ret, struct err *e);
void creds_release(struct creds *c); /* for AUTO; wipes */

#endif
