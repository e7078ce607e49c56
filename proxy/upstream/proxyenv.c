/* Which proxy a request takes. no_proxy items are names (a suffix of whole labels), addresses,
 * address ranges (10.0.0.0/8, fd00::/8) or "*"; a port in an item is ignored. */
#include "proxy/upstream/proxyenv.h"
#include "base/mem.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static char *
first_of(const char *a, const char *b, const char *c, const char *d)
{
    const char *names[] = {a, b, c, d};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return mem_strdup(value);
    }
    return mem_strdup("");
}

void
proxyenv_read(struct proxyenv *ret)
{
    ret->http = first_of("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY");
    ret->https = first_of("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY");
    ret->none = first_of("no_proxy", "NO_PROXY", "no_proxy", "NO_PROXY");
}

void
proxyenv_release(struct proxyenv *p)
{
    mem_free(p->http);
    mem_free(p->https);
    mem_free(p->none);
    *p = (struct proxyenv){0};
}

static bool
prefix_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned whole = bits / 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

/* `item` is an address or a range, `host` an address without brackets. */
static bool
in_range(char *item, const char *host)
{
    uint8_t a[16];
    uint8_t b[16];
    uint64_t bits = UINT64_MAX;
    char *slash = strchr(item, '/');
    if (slash != NULL) {
        *slash = '\0';
        if (text_u64(slash + 1, strlen(slash + 1), &bits) != 0)
            return false;
    }
    int family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
    unsigned all = family == AF_INET6 ? 128 : 32;
    if (inet_pton(family, item, a) != 1 || inet_pton(family, host, b) != 1)
        return false;
    return prefix_equal(a, b, bits < all ? (unsigned)bits : all);
}

static bool
name_matches(const char *item, const char *host)
{
    while (*item == '.' || *item == '*')
        item++;
    size_t item_len = strlen(item);
    size_t host_len = strlen(host);
    if (item_len == 0 || host_len < item_len ||
        !text_equal_nocase(host + host_len - item_len, item))
        return false;
    return host_len == item_len || host[host_len - item_len - 1] == '.';
}

static void
bare_host(const char *host, char ret[URL_HOST_MAX])
{
    size_t len = strlen(host);
    bool brackets = host[0] == '[' && host[len - 1] == ']';
    memcpy(ret, brackets ? host + 1 : host, brackets ? len - 2 : len);
    ret[brackets ? len - 2 : len] = '\0';
}

static void
drop_port(char *item)
{
    char *colon = strchr(item, ':');
    if (item[0] == '[') {
        char *end = strchr(item, ']');
        if (end != NULL) {
            *end = '\0';
            memmove(item, item + 1, strlen(item)); /* with its 0 byte */
        }
    } else if (colon != NULL && strchr(colon + 1, ':') == NULL) {
        *colon = '\0';
    }
}

static bool
is_excepted(const char *list, const char *url_host)
{
    char host[URL_HOST_MAX];
    bare_host(url_host, host);
    while (*list != '\0') {
        list += strspn(list, ", ");
        size_t len = strcspn(list, ", ");
        char item[URL_HOST_MAX];
        if (len > 0 && len < sizeof item) {
            memcpy(item, list, len);
            item[len] = '\0';
            if (strcmp(item, "*") == 0)
                return true;
            drop_port(item);
            if (name_matches(item, host) || in_range(item, host))
                return true;
        }
        list += len;
    }
    return false;
}

const char *
proxyenv_for(const struct proxyenv *p, const struct url *u)
{
    if (is_excepted(p->none, u->host))
        return "";
    return u->tls ? p->https : p->http;
}
