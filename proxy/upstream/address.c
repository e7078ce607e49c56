/* The special-purpose address registries of IANA as two tables. */
#include "proxy/upstream/address.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct range4 {
    uint32_t prefix;
    unsigned bits;
    enum address_kind kind;
};

static const struct range4 ranges4[] = {
    {0x00000000, 8, ADDRESS_SPECIAL},     /* 0.0.0.0/8 this network */
    {0x0a000000, 8, ADDRESS_PRIVATE},     /* 10.0.0.0/8 */
    {0x64400000, 10, ADDRESS_PRIVATE},    /* 100.64.0.0/10 shared */
    {0x7f000000, 8, ADDRESS_PRIVATE},     /* 127.0.0.0/8 loopback */
    {0xa9fe0000, 16, ADDRESS_LINK_LOCAL}, /* 169.254.0.0/16 */
    {0xac100000, 12, ADDRESS_PRIVATE},    /* 172.16.0.0/12 */
    {0xc0000000, 24, ADDRESS_SPECIAL},    /* 192.0.0.0/24 protocol assignments */
    {0xc0000200, 24, ADDRESS_SPECIAL},    /* 192.0.2.0/24 documentation */
    {0xc0a80000, 16, ADDRESS_PRIVATE},    /* 192.168.0.0/16 */
    {0xc6120000, 15, ADDRESS_SPECIAL},    /* 198.18.0.0/15 benchmarks */
    {0xc6336400, 24, ADDRESS_SPECIAL},    /* 198.51.100.0/24 documentation */
    {0xcb007100, 24, ADDRESS_SPECIAL},    /* 203.0.113.0/24 documentation */
    {0xe0000000, 3, ADDRESS_SPECIAL},     /* 224.0.0.0/3 multicast, reserved */
};

struct range6 {
    uint8_t prefix[4];
    unsigned bits;
    enum address_kind kind;
};

static const struct range6 ranges6[] = {
    {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},
    {{0xfc, 0x00}, 7, ADDRESS_PRIVATE},              /* unique local */
    {{0xfe, 0xc0}, 10, ADDRESS_PRIVATE},             /* site local, deprecated */
    {{0xff, 0x00}, 8, ADDRESS_SPECIAL},              /* multicast */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDRESS_SPECIAL}, /* documentation */
    {{0x20, 0x01, 0x00, 0x00}, 23, ADDRESS_SPECIAL}, /* protocol assignments, Teredo */
};

static enum address_kind
kind4(uint32_t ip)
{
    for (size_t i = 0; i < ARRAY_LEN(ranges4); i++)
        if ((ip ^ ranges4[i].prefix) >> (32 - ranges4[i].bits) == 0)
            return ranges4[i].kind;
    return ADDRESS_PUBLIC;
}

static uint32_t
big32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static enum address_kind
kind6(const uint8_t ip[16])
{
    static const uint8_t zero[15], mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

    if (memcmp(ip, mapped, sizeof mapped) == 0 || memcmp(ip, nat64, sizeof nat64) == 0)
        return kind4(big32(ip + 12));
    if (ip[0] == 0x20 && ip[1] == 0x02) /* 6to4 */
        return kind4(big32(ip + 2));
    if (memcmp(ip, zero, 15) == 0)
        return ip[15] == 1 ? ADDRESS_PRIVATE : ADDRESS_SPECIAL;
    for (size_t i = 0; i < ARRAY_LEN(ranges6); i++)
        if ((big32(ip) ^ big32(ranges6[i].prefix)) >> (32 - ranges6[i].bits) == 0)
            return ranges6[i].kind;
    return (ip[0] & 0xe0) == 0x20 ? ADDRESS_PUBLIC : ADDRESS_SPECIAL; /* 2000::/3 */
}

enum address_kind
address_kind(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, a, sizeof in);
        return kind4(ntohl(in.sin_addr.s_addr));
    }
    if (a->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, a, sizeof in6);
        return kind6(in6.sin6_addr.s6_addr);
    }
    return ADDRESS_SPECIAL;
}

enum address_kind
address_kind_text(const char *ip)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, ip, &four) == 1)
        return kind4(ntohl(four.s_addr));
    if (inet_pton(AF_INET6, ip, &six) == 1)
        return kind6(six.s6_addr);
    return ADDRESS_SPECIAL;
}

bool
address_allowed(enum address_kind kind, enum address_rule rule)
{
    switch (rule) {
    case ADDRESS_RULE_ANY:
        return true;
    case ADDRESS_RULE_NEAR:
        return kind == ADDRESS_PUBLIC || kind == ADDRESS_PRIVATE;
    case ADDRESS_RULE_PUBLIC:
        return kind == ADDRESS_PUBLIC;
    }
    never("rule");
}
