/* Between node_addr, sockaddr and text. */
#include "p2p/addr.h"
#include "base/err.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool
addr_of(const struct sockaddr *from, struct node_addr *ret)
{
    struct node_addr a = {.port = 0};
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        memcpy(a.ip, mapped, sizeof mapped);
        memcpy(a.ip + 12, &in.sin_addr, 4);
        a.port = ntohs(in.sin_port);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, from, sizeof in);
        if (IN6_IS_ADDR_LINKLOCAL(&in.sin6_addr))
            return false;
        memcpy(a.ip, &in.sin6_addr, 16);
        a.port = ntohs(in.sin6_port);
    } else {
        return false;
    }
    *ret = a;
    return true;
}

bool
addr_is_v4(const struct node_addr *a)
{
    return memcmp(a->ip, mapped, sizeof mapped) == 0;
}

bool
addr_to(const struct node_addr *a, int family, struct sockaddr_storage *ret, socklen_t *ret_len)
{
    memset(ret, 0, sizeof *ret);
    if (family == AF_INET) {
        if (!addr_is_v4(a))
            return false;
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(a->port)};
        memcpy(&in.sin_addr, a->ip + 12, 4);
        memcpy(ret, &in, sizeof in);
        *ret_len = sizeof in;
        return true;
    }
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(a->port)};
    memcpy(&in.sin6_addr, a->ip, 16);
    memcpy(ret, &in, sizeof in);
    *ret_len = sizeof in;
    return family == AF_INET6;
}

void
addr_print_host(const struct node_addr *a, char ret_text[ADDR_TEXT_MAX])
{
    bool v4 = addr_is_v4(a);
    if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a->ip + 12 : a->ip, ret_text, ADDR_TEXT_MAX) ==
        NULL)
        never("an address that has no text");
}

void
addr_print(const struct node_addr *a, char ret_text[ADDR_TEXT_MAX])
{
    char host[ADDR_TEXT_MAX];
    addr_print_host(a, host);
    const char *form = addr_is_v4(a) ? "" : "[";
    if (text_printf(ret_text, ADDR_TEXT_MAX, "%s%s%s:%u", form, host, *form ? "]" : "",
                    (unsigned)a->port) < 0)
        never("an address longer than any");
}

bool
addr_equal(const struct node_addr *a, const struct node_addr *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

bool
addr_same_net(const struct node_addr *a, const struct node_addr *b, const struct node_addr *mask)
{
    bool v4 = addr_is_v4(a);
    if (v4 != addr_is_v4(b) || v4 != addr_is_v4(mask))
        return false;
    for (size_t i = v4 ? 12 : 0; i < sizeof a->ip; i++)
        if (((a->ip[i] ^ b->ip[i]) & mask->ip[i]) != 0)
            return false;
    return true;
}

bool
addr_is_any(const struct node_addr *a)
{
    static const uint8_t zero[16];
    return addr_is_v4(a) ? memcmp(a->ip + 12, zero, 4) == 0 : memcmp(a->ip, zero, 16) == 0;
}

bool
addr_is_loopback(const struct node_addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return addr_is_v4(a) ? a->ip[12] == 127 : memcmp(a->ip, one, 16) == 0;
}

bool
addr_is_usable(const struct node_addr *a)
{
    bool group = addr_is_v4(a) ? a->ip[12] >= 224 : a->ip[0] == 0xff;
    return a->port != 0 && !group && !addr_is_any(a);
}

int
addr_split(const char *text, char ret_host[ADDR_HOST_MAX], uint16_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return ERR_SYNTAX;
    const char *host = text;
    size_t len = (size_t)(colon - text);
    uint64_t port = 0;
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len) != NULL) {
        return ERR_SYNTAX;
    }
    if (len >= ADDR_HOST_MAX || text_u64(colon + 1, strlen(colon + 1), &port) < 0 ||
        port > UINT16_MAX)
        return ERR_SYNTAX;
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    *ret_port = (uint16_t)port;
    return 0;
}

int
addr_parse(const char *text, struct node_addr *ret)
{
    char host[ADDR_HOST_MAX];
    struct node_addr a = {.port = 0};
    if (addr_split(text, host, &a.port) < 0)
        return ERR_SYNTAX;
    if (inet_pton(AF_INET, host, a.ip + 12) == 1)
        memcpy(a.ip, mapped, sizeof mapped);
    else if (inet_pton(AF_INET6, host, a.ip) != 1)
        return ERR_SYNTAX;
    *ret = a;
    return 0;
}
