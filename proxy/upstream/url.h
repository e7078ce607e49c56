/* Absolute http and https URLs, taken apart for the rules of security: who may see
 * credentials, where a redirect may lead. Pure. */
#ifndef PROXY_URL_H
#define PROXY_URL_H

#include "base/must.h"

#define URL_MAX      8192 /* signed URLs of object stores stay below 4 KiB */
#define URL_HOST_MAX 256

struct url {
    char *text; /* whole and normalised, without fragment */
    bool tls;
    char host[URL_HOST_MAX]; /* lower case, IPv6 in brackets */
    unsigned port;
};

/* 0, ERR_SYNTAX, or ERR_REFUSED for a user in it or another scheme. */
CHECKED int url_parse(const char *text, struct url *ret);
/* Where a Location header leads from `base`. Errors as url_parse. */
CHECKED int url_join(const struct url *base, const char *location, struct url *ret);
void url_release(struct url *u); /* for AUTO; leaves an empty url */
/* Same scheme, host and port: what credentials are bound to. */
bool url_same_origin(const struct url *a, const struct url *b);
/* The host is an address, not a name. */
bool url_is_literal(const struct url *u);
/* A plain DNS name: labels of letters, digits and inner hyphens, a letter in the last one. */
bool url_is_dns_name(const char *host);
/* No byte that could end a header line or a request line. */
bool url_is_clean(const char *text);

#endif
