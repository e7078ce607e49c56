/* Which certificate authorities are believed. The system's folder of hashed names is used
 * where there is one: it is read on demand, while parsing the whole bundle costs each new
 * connection tens of milliseconds. Fetch thread only. */
#ifndef PROXY_TRUST_H
#define PROXY_TRUST_H

#include "base/err.h"
#include <curl/curl.h>
#include <openssl/x509_vfy.h>

struct trust {
    const char *folder; /* hashed names, or NULL */
    const char *bundle; /* used when there is no folder, or NULL */
};

/* What this machine has, as libcurl was built to find it. */
void trust_find(struct trust *ret);

/* The default authorities and those of a PEM file. */
CHECKED int trust_open_store(const struct trust *t, const char *pem_path, X509_STORE **ret,
                             struct err *e);
void trust_close_store(X509_STORE **store); /* NULL inside is fine */

/* A store of its own, or nothing (all zero): the default. */
struct trust_more {
    const char *pem_path; /* also keeps its connections apart from those that trust less */
    X509_STORE *store;
};
/* Sets either on a handle; the store must live as long as the handle (X509_STORE_up_ref). */
void trust_set(const struct trust *t, const struct trust_more *more, CURL *easy);

#endif
