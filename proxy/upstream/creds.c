/*
 * docker config.json:
 *
 *   {"auths": {"https://index.docker.io/v1/": {"auth": base64("user:password")},
 *              "registry.local:5000": {"username": "u", "password": "p"},
 *              "r.example": {"identitytoken": "..."}},
 *    "credsStore": "...", "credHelpers": {"host": "..."}}
 *
 * Programs named by credsStore and credHelpers are not run.
 */
#include "proxy/upstream/creds.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/upstream/url.h"
#include <openssl/crypto.h>
#include <string.h>

#define SECRET_MAX 16384 /* identity tokens of cloud registries are a few KiB */

static void
wipe(char **text)
{
    if (*text != NULL)
        OPENSSL_cleanse(*text, strlen(*text));
    mem_free_text(text);
}

void
creds_release(struct creds *c)
{
    wipe(&c->user);
    wipe(&c->password);
    wipe(&c->identity);
}

static bool
is_hub(const char *host)
{
    return text_equal_nocase(host, "docker.io") || text_equal_nocase(host, "index.docker.io") ||
           text_equal_nocase(host, "registry-1.docker.io");
}

/* "https://index.docker.io/v1/" -> "index.docker.io". A key with another path names a part of a
 * registry: no match. */
static bool
key_host(const char *key, char *ret, size_t cap)
{
    const char *scheme = strstr(key, "://");
    const char *host = scheme != NULL ? scheme + 3 : key;
    size_t len = strcspn(host, "/");
    const char *path = host + len;
    static const char *const paths[] = {"", "/", "/v1", "/v1/", "/v2", "/v2/"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        if (strcmp(path, paths[i]) == 0 && len > 0 && len < cap) {
            memcpy(ret, host, len);
            ret[len] = '\0';
            return true;
        }
    }
    return false;
}

static bool
key_matches(const char *key, const char *host, const char *url_host)
{
    char name[URL_HOST_MAX];
    if (!key_host(key, name, sizeof name))
        return false;
    return text_equal_nocase(name, host) || text_equal_nocase(name, url_host) ||
           (is_hub(name) && is_hub(host));
}

static int
digit64(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Strict base64; padding may be missing. ret holds 3 * len / 4 + 1 bytes. */
static int
decode64(const char *text, char *ret)
{
    size_t len = strcspn(text, "=");
    if (strspn(text + len, "=") != strlen(text + len) || strlen(text + len) > 2 || len % 4 == 1)
        return ERR_SYNTAX;
    unsigned bits = 0;
    unsigned held = 0;
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = digit64(text[i]);
        if (digit < 0)
            return ERR_SYNTAX;
        bits = (bits << 6 | (unsigned)digit) & 0xffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            ret[out++] = (char)(bits >> held & 0xff);
        }
    }
    ret[out] = '\0';
    return memchr(ret, '\0', out) == NULL ? 0 : ERR_SYNTAX;
}

static int
take_basic(const char *auth, struct creds *ret)
{
    size_t len = strlen(auth);
    if (len > SECRET_MAX)
        return ERR_LIMIT;
    AUTO(wipe) char *plain = mem_zalloc(len + 1);
    int code = decode64(auth, plain);
    char *colon = code == 0 ? strchr(plain, ':') : NULL;
    if (colon == NULL)
        return ERR_SYNTAX;
    ret->user = mem_strndup(plain, (size_t)(colon - plain));
    ret->password = mem_strdup(colon + 1);
    OPENSSL_cleanse(plain, len);
    return 0;
}

static bool
is_secret(const char *text)
{
    return text != NULL && text[0] != '\0' && strlen(text) <= SECRET_MAX && url_is_clean(text);
}

static int
take_entry(const cJSON *entry, const char *key, struct creds *ret, struct err *e)
{
    const char *identity = json_text(entry, "identitytoken");
    const char *auth = json_text(entry, "auth");
    const char *user = json_text(entry, "username");
    const char *password = json_text(entry, "password");
    struct creds c = {0};
    int code = 0;

    if (is_secret(user) && is_secret(password)) {
        c.user = mem_strdup(user);
        c.password = mem_strdup(password);
    } else if (is_secret(auth)) {
        code = take_basic(auth, &c);
    }
    if (is_secret(identity))
        c.identity = mem_strdup(identity);
    if (code == 0 && c.user == NULL && c.identity == NULL)
        code = ERR_NOT_FOUND;
    if (code == 0 && c.user != NULL && (!url_is_clean(c.user) || !url_is_clean(c.password)))
        code = ERR_SYNTAX;
    if (code != 0) {
        creds_release(&c);
        return err_set(e, code,
                       "auths \"%.100s\": expected \"auth\" (base64 of user:password), "
                       "\"username\" and \"password\", or \"identitytoken\"",
                       key);
    }
    *ret = c;
    return 0;
}

static int
say_missing(const cJSON *doc, const char *host, struct err *e)
{
    const cJSON *helpers = json_object(doc, "credHelpers");
    if (json_text(doc, "credsStore") != NULL || json_text(helpers, host) != NULL)
        return err_set(e, ERR_NOT_FOUND,
                       "no entry for %.100s in \"auths\"; credsStore and credHelpers are not "
                       "supported: write an \"auths\" entry with \"auth\"",
                       host);
    return err_set(e, ERR_NOT_FOUND, "no entry for %.100s in \"auths\"", host);
}

int
creds_find(const char *json, size_t len, const char *host, const char *url_host, struct creds *ret,
           struct err *e)
{
    AUTO(json_free) cJSON *doc = NULL;
    int code = json_parse(json, len, &doc);
    if (code != 0)
        return err_set(e, code, "expected a docker config.json: %s", err_text(code));
    const cJSON *entry = NULL;
    const cJSON *auths = json_object(doc, "auths");
    cJSON_ArrayForEach(entry, auths)
    {
        if (cJSON_IsObject(entry) && key_matches(entry->string, host, url_host) &&
            entry->child != NULL)
            return take_entry(entry, entry->string, ret, e);
    }
    return say_missing(doc, host, e);
}
