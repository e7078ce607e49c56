/* Which certificate authorities are believed: the system's bundle and folder, and for a registry
 * its own file besides. A store is parsed once and shared by all connections; libcurl alone
 * would parse the bundle for each of them, tens of milliseconds before the first byte. Fetch
 * thread only. */
#ifndef PROXY_TRUST_H
#define PROXY_TRUST_H

#include "proxy/upstream/reread.h"
#include <curl/curl.h>
#include <openssl/x509_vfy.h>

struct trust {
    const char *folder;   /* of hashed names, read on demand; or NULL */
    struct reread bundle; /* path "" for none */
    X509_STORE *store;    /* NULL before the first use */
    unsigned version;     /* rises when the bundle changes */
};

/* Where libcurl was built to look. Reads nothing yet. */
void trust_open(struct trust *t);
void trust_close(struct trust *t);
/* Reads the bundle when it is new; after it, `version` tells whether anything changed. */
void trust_look(struct trust *t);

/* The system's authorities (after trust_look) and those of a PEM file. */
CHECKED int trust_open_store(const struct trust *t, const char *pem_path, X509_STORE **ret,
                             struct err *e);
void trust_close_store(X509_STORE **store); /* NULL inside is fine */

/* A store of its own, or nothing (all zero): the system's. */
struct trust_more {
    const char *pem_path; /* also keeps its connections apart from those that trust less */
    X509_STORE *store;
};
/* Sets either on a handle. Returns a reference to close after the handle. */
X509_STORE *trust_set(struct trust *t, const struct trust_more *more, CURL *easy);

#endif
