/* Splits a request target and finds the registry that it names. */
#include "proxy/api/route.h"
#include "base/err.h"
#include "base/text.h"
#include <string.h>

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool
is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == ':' ||
           c == '_' || c == '[' || c == ']';
}

/* One level of %XX, to lower case; only what a host and port may hold. */
static bool
decode_host(const char *s, size_t len, char ret[ROUTE_HOST_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (c == '%') {
            if (i + 2 >= len || hex_digit(s[i + 1]) < 0 || hex_digit(s[i + 2]) < 0)
                return false;
            c = (char)(hex_digit(s[i + 1]) * 16 + hex_digit(s[i + 2]));
            i += 2;
        }
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (!is_host_char(c) || n + 1 >= ROUTE_HOST_MAX)
            return false;
        ret[n++] = c;
    }
    ret[n] = 0;
    return n > 0;
}

/* Takes ns out of the query and keeps the rest as it is. */
static enum reason
split_query(const char *query, struct route *r)
{
    size_t used = 0;
    while (*query) {
        size_t len = strcspn(query, "&");
        if (len >= 3 && memcmp(query, "ns=", 3) == 0) {
            if (r->ns[0] || !decode_host(query + 3, len - 3, r->ns))
                return REASON_malformed;
        } else if (len > 0) {
            if (used + len + 2 > ROUTE_QUERY_MAX)
                return REASON_target_long;
            if (used > 0)
                r->query[used++] = '&';
            memcpy(r->query + used, query, len);
            used += len;
        }
        query += len + (query[len] == '&');
    }
    return REASON_NONE;
}

/* The last slash-separated word before `end`, and where it starts. */
static const char *
last_word(const char *path, const char *end)
{
    while (end > path && end[-1] != '/')
        end--;
    return end;
}

static const struct {
    const char *word;
    enum route_kind kind;
} endpoints[] = {
    {"manifests", ROUTE_MANIFEST},
    {"blobs", ROUTE_BLOB},
    {"tags", ROUTE_TAGS},
    {"referrers", ROUTE_REFERRERS},
};

static bool
find_endpoint(const char *word, size_t len, enum route_kind *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        if (strlen(endpoints[i].word) == len && memcmp(endpoints[i].word, word, len) == 0) {
            *ret = endpoints[i].kind;
            return true;
        }
    }
    return false;
}

static enum reason
read_reference(const char *text, size_t len, struct route *r)
{
    if (r->kind == ROUTE_TAGS)
        return len == 4 && memcmp(text, "list", 4) == 0 ? REASON_NONE : REASON_no_route;
    int err = ref_parse(text, len, &r->ref);
    if (err == ERR_SYNTAX)
        return REASON_digest_invalid;
    if (r->kind == ROUTE_MANIFEST)
        return err < 0 ? REASON_tag_invalid : REASON_NONE;
    return err < 0 || !r->ref.by_digest ? REASON_digest_invalid : REASON_NONE;
}

/* NAME/ENDPOINT/REFERENCE, read from its end: a name may hold the endpoints' words. */
static enum reason
split_path(const char *path, size_t len, struct route *r)
{
    const char *end = path + len;
    const char *reference = last_word(path, end);
    if (reference == path)
        return REASON_no_route;
    const char *word = last_word(path, reference - 1);
    if (word == path || !find_endpoint(word, (size_t)(reference - 1 - word), &r->kind))
        return REASON_no_route;
    size_t name_len = (size_t)(word - 1 - path);
    if (name_len >= ROUTE_NAME_MAX)
        return REASON_name_invalid;
    memcpy(r->name, path, name_len);
    return read_reference(reference, (size_t)(end - reference), r);
}

enum reason
route_parse(const char *target, struct route *ret)
{
    struct route r = {0};
    size_t len = strcspn(target, "?");
    if (target[len] == '?') {
        enum reason why = split_query(target + len + 1, &r);
        if (why)
            return why;
    }
    if (strncmp(target, "/v2", 3) != 0 || (len > 3 && target[3] != '/'))
        return REASON_no_route;
    if (len > 4) {
        enum reason why = split_path(target + 4, len - 4, &r);
        if (why)
            return why;
    }
    *ret = r;
    return REASON_NONE;
}

static bool
looks_like_host(const char *s)
{
    return strcmp(s, "localhost") == 0 || strpbrk(s, ".:") != NULL;
}

/* The first component of the name when it looks like a host, else "". */
static void
read_prefix(const char *name, char ret_host[ROUTE_HOST_MAX])
{
    size_t len = strcspn(name, "/");
    ret_host[0] = 0;
    if (name[len] != '/' || !decode_host(name, len, ret_host) || !looks_like_host(ret_host))
        ret_host[0] = 0;
}

enum reason
route_place(const struct route *route, const char *default_host,
            bool (*known)(void *arg, const char *host, bool exact), void *arg, struct place *ret)
{
    char prefix[ROUTE_HOST_MAX];
    read_prefix(route->name, prefix);
    struct place p = {.repository = route->name};
    const char *host = default_host;
    if (route->ns[0]) {
        host = route->ns;
        if (!known(arg, host, false))
            return REASON_registry_unknown;
        if (prefix[0] && known(arg, prefix, true)) {
            if (strcmp(prefix, host) != 0)
                return REASON_registry_ambiguous;
            p.repository = strchr(route->name, '/') + 1;
        }
    } else if (prefix[0]) {
        host = prefix;
        if (!known(arg, host, false))
            return REASON_registry_unknown;
        p.repository = strchr(route->name, '/') + 1;
    } else if (!host[0] || !known(arg, host, false)) {
        return REASON_registry_unknown; /* clients have to name it here */
    }
    if (!ref_is_name(p.repository, strlen(p.repository)))
        return REASON_name_invalid;
    must(text_copy(p.host, sizeof p.host, host) == 0);
    *ret = p;
    return REASON_NONE;
}
