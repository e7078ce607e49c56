/* URLs by libcurl's own parser, so that what is judged is what is asked. */
#include "proxy/upstream/url.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

static void
handle_free(CURLU **h)
{
    curl_url_cleanup(*h);
    *h = NULL;
}

static void
part_free(char **part)
{
    curl_free(*part);
    *part = NULL;
}

bool
url_is_clean(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static bool
has_part(CURLU *h, CURLUPart part)
{
    AUTO(part_free) char *text = NULL;
    return curl_url_get(h, part, &text, 0) == CURLUE_OK;
}

static int
take_host(CURLU *h, struct url *ret)
{
    AUTO(part_free) char *host = NULL;
    AUTO(part_free) char *port = NULL;
    if (curl_url_get(h, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(h, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        return ERR_SYNTAX;
    uint64_t number = 0;
    if (strchr(host, '%') != NULL || text_copy(ret->host, sizeof ret->host, host) != 0 ||
        text_u64(port, strlen(port), &number) != 0 || number == 0 || number > 65535)
        return ERR_SYNTAX;
    ret->port = (unsigned)number;
    for (char *c = ret->host; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return 0;
}

/* Reads its own text again; false when that gives another one. An escape in a host is decoded
 * once per reading ("1%35" is 15, and that is 0.0.0.15): what is judged must be what is asked. */
static bool
is_settled(CURLU *h)
{
    AUTO(part_free) char *text = NULL;
    AUTO(part_free) char *again = NULL;
    return curl_url_get(h, CURLUPART_URL, &text, 0) == CURLUE_OK &&
           curl_url_set(h, CURLUPART_URL, text, 0) == CURLUE_OK &&
           curl_url_get(h, CURLUPART_URL, &again, 0) == CURLUE_OK && strcmp(text, again) == 0;
}

static int
take_apart(CURLU *h, struct url *ret)
{
    if (has_part(h, CURLUPART_USER) || has_part(h, CURLUPART_PASSWORD) ||
        has_part(h, CURLUPART_ZONEID))
        return ERR_REFUSED;
    if (curl_url_set(h, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK)
        return ERR_SYNTAX;
    AUTO(part_free) char *scheme = NULL;
    AUTO(part_free) char *text = NULL;
    if (curl_url_get(h, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(h, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return ERR_SYNTAX;
    struct url u = {.tls = strcmp(scheme, "https") == 0};
    if (!u.tls && strcmp(scheme, "http") != 0)
        return ERR_REFUSED;
    if (!is_settled(h))
        return ERR_SYNTAX;
    int code = take_host(h, &u);
    if (code != 0)
        return code;
    if (strlen(text) >= URL_MAX || !url_is_clean(text))
        return ERR_SYNTAX;
    u.text = mem_strdup(text);
    *ret = u;
    return 0;
}

static int
parse_from(const char *base, const char *text, struct url *ret)
{
    if (strlen(text) >= URL_MAX || !url_is_clean(text))
        return ERR_SYNTAX;
    AUTO(handle_free) CURLU *h = curl_url();
    must(h != NULL);
    if (base != NULL && curl_url_set(h, CURLUPART_URL, base, 0) != CURLUE_OK)
        return ERR_SYNTAX;
    unsigned flags = CURLU_NON_SUPPORT_SCHEME | (base != NULL ? CURLU_URLENCODE : 0);
    if (curl_url_set(h, CURLUPART_URL, text, flags) != CURLUE_OK)
        return ERR_SYNTAX;
    return take_apart(h, ret);
}

int
url_parse(const char *text, struct url *ret)
{
    return parse_from(NULL, text, ret);
}

int
url_join(const struct url *base, const char *location, struct url *ret)
{
    return parse_from(base->text, location, ret);
}

void
url_release(struct url *u)
{
    mem_free(u->text);
    *u = (struct url){0};
}

bool
url_same_origin(const struct url *a, const struct url *b)
{
    return a->tls == b->tls && a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* The parser turns every spelling of an IPv4 address into dotted digits. */
bool
url_is_literal(const struct url *u)
{
    return u->host[0] == '[' || u->host[strspn(u->host, "0123456789.")] == '\0';
}

static bool
is_label(const char *s, size_t len)
{
    if (len == 0 || len > 63 || s[0] == '-' || s[len - 1] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '-')
            return false;
    return true;
}

bool
url_is_dns_name(const char *host)
{
    if (strlen(host) >= URL_HOST_MAX - 2)
        return false;
    for (;;) {
        size_t len = strcspn(host, ".");
        if (!is_label(host, len))
            return false;
        if (host[len] == '\0')
            break;
        host += len + 1;
    }
    return isalpha((unsigned char)host[0]) != 0;
}
