/* Finds out the site: configuration, gateway, network. */
#include "p2p/site.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/text.h"
#include "p2p/addr.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <net/route.h>
#include <stdlib.h>
#include <unistd.h>

#define PROC_BYTES_MAX (256 * 1024) /* a host of many containers has long tables */
#define WAIT_STEP_MS   20
#define DISCARD_PORT   9

static uint64_t
hash(const char *kind, const void *bytes, size_t len)
{
    struct digest d;
    uint64_t id = 0;
    struct digester *h = digester_new(DIGEST_SHA256);
    digester_add(h, kind, strlen(kind) + 1);
    digester_add(h, bytes, len);
    digester_finish(h, &d);
    digester_free(h);
    for (size_t i = 0; i < sizeof id; i++)
        id = id << 8 | d.bytes[i];
    return id;
}

static void
name_it(struct site *s)
{
    const char *kind = (s->id & SITE_AUTO) != 0 ? "auto" : "named"; /* elsewhere, as it is called */
    if (text_printf(s->name, sizeof s->name, "%s-%012" PRIx64, kind, s->id & 0xffffffffffff) < 0)
        never("a number longer than a name");
}

static void
decide(struct site *ret, uint64_t id, const char *from)
{
    bool network = strcmp(from, "network") == 0;
    ret->id = (id & ~SITE_NETWORK) | SITE_AUTO | (network ? SITE_NETWORK : 0);
    ret->from = from;
    ret->tries = 0;
    name_it(ret);
}

/* ---- the default gateway ---- */

/* Columns of a line; blank ones between do not count. */
static size_t
split(char *line, char *columns[], size_t max)
{
    size_t count = 0;
    char *rest = line;
    for (char *word; count < max && (word = strsep(&rest, " \t")) != NULL;)
        if (*word != '\0')
            columns[count++] = word;
    return count;
}

/* The next line as a copy; false at the end. Longer ones are cut. */
static bool
next_line(const char **at, char *room, size_t cap)
{
    if (**at == '\0')
        return false;
    size_t len = strcspn(*at, "\n");
    size_t kept = len < cap - 1 ? len : cap - 1;
    memcpy(room, *at, kept);
    room[kept] = '\0';
    *at += len + ((*at)[len] == '\n' ? 1 : 0);
    return true;
}

bool
site_read_route(const char *text, uint32_t *ret_gateway, char ret_dev[16])
{
    char line[256], *columns[8];
    unsigned long best = ULONG_MAX;
    while (next_line(&text, line, sizeof line)) {
        if (split(line, columns, 8) < 8 || strcmp(columns[1], "00000000") != 0 ||
            strcmp(columns[7], "00000000") != 0)
            continue;
        unsigned long gateway = strtoul(columns[2], NULL, 16);
        unsigned long flags = strtoul(columns[3], NULL, 16);
        unsigned long metric = strtoul(columns[6], NULL, 10);
        if ((flags & RTF_GATEWAY) == 0 || gateway == 0 || metric >= best ||
            text_copy(ret_dev, 16, columns[0]) < 0)
            continue;
        best = metric;
        *ret_gateway = (uint32_t)gateway; /* printed as a number of this machine */
    }
    return best < ULONG_MAX;
}

/* "00:16:3e:00:00:01", and not all zero. */
static bool
read_mac(const char *text, uint8_t ret[6])
{
    static const uint8_t zero[6];
    if (strlen(text) != 17)
        return false;
    for (size_t i = 0; i < 6; i++)
        if ((i > 0 && text[3 * i - 1] != ':') || text_unhex(ret + i, text + 3 * i, 2) < 0)
            return false;
    return memcmp(ret, zero, sizeof zero) != 0;
}

bool
site_read_arp(const char *text, uint32_t ip, const char *dev, uint8_t ret_mac[6])
{
    char line[256], *columns[6];
    while (next_line(&text, line, sizeof line)) {
        struct in_addr a;
        if (split(line, columns, 6) == 6 && inet_pton(AF_INET, columns[0], &a) == 1 &&
            a.s_addr == ip && strcmp(columns[5], dev) == 0 && read_mac(columns[3], ret_mac))
            return true;
    }
    return false;
}

static bool
read_proc(const char *name, struct buf *ret)
{
    AUTO(fd_close) int fd = -1;
    buf_init(ret, PROC_BYTES_MAX);
    /* Not /proc/net: a service manager may hide all of /proc but processes. */
    return fs_open_dir("/proc/self/net", false, &fd) == 0 && fs_read_file(fd, name, ret) == 0;
}

/* The kernel asks for the MAC when there is something to send. */
static void
poke(uint32_t ip)
{
    struct sockaddr_in to = {AF_INET, htons(DISCARD_PORT), {ip}, {0}};
    AUTO(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)sendto(fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
}

static bool
look_up_mac(uint32_t ip, const char *dev, uint8_t ret_mac[6])
{
    AUTO(buf_release) struct buf text;
    return read_proc("arp", &text) && site_read_arp(buf_text(&text), ip, dev, ret_mac);
}

static bool
find_mac(uint32_t ip, const char *dev, int64_t wait_ms, uint8_t ret_mac[6])
{
    int64_t until_ms = clock_ms() + wait_ms;
    bool found = look_up_mac(ip, dev, ret_mac);
    if (!found)
        poke(ip);
    while (!found && clock_ms() < until_ms) {
        clock_sleep_ms(WAIT_STEP_MS);
        found = look_up_mac(ip, dev, ret_mac);
    }
    return found;
}

/* 0; ERR_NOT_FOUND: there is no gateway; ERR_TIMEOUT: it did not tell its MAC yet. */
static int
by_gateway(struct site *ret, int64_t wait_ms)
{
    AUTO(buf_release) struct buf text;
    uint32_t ip;
    char dev[16];
    uint8_t who[6 + sizeof ip];
    if (!read_proc("route", &text) || !site_read_route(buf_text(&text), &ip, dev))
        return ERR_NOT_FOUND;
    if (!find_mac(ip, dev, wait_ms, who))
        return ERR_TIMEOUT;
    memcpy(who + 6, &ip, sizeof ip);
    decide(ret, hash("gateway", who, sizeof who), "gateway");
    return 0;
}

/* ---- the network ---- */

/* The address with all bits behind the netmask cleared. */
static struct node_addr
network_of(const struct node_addr *source)
{
    struct node_addr net = *source;
    struct ifaddrs *all = NULL;
    net.port = 0;
    if (getifaddrs(&all) < 0)
        return net;
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        struct node_addr a, mask;
        if (i->ifa_addr == NULL || i->ifa_netmask == NULL || !addr_of(i->ifa_addr, &a) ||
            !addr_of(i->ifa_netmask, &mask) || !addr_same_net(&a, source, &mask))
            continue;
        for (size_t b = addr_is_v4(&a) ? 12 : 0; b < sizeof net.ip; b++)
            net.ip[b] &= mask.ip[b];
        break;
    }
    freeifaddrs(all);
    return net;
}

static void
by_network(struct site *ret, const struct node_addr *source)
{
    struct node_addr net = network_of(source);
    decide(ret, hash("network", net.ip, sizeof net.ip), "network");
}

/* ---- outside ---- */

void
site_open(const char *name, const struct node_addr *source, struct site *ret)
{
    if (strcmp(name, "auto") != 0 && text_copy(ret->name, sizeof ret->name, name) == 0) {
        ret->id = hash("name", name, strlen(name)) & ~SITE_AUTO;
        ret->from = "configuration";
        ret->tries = 0;
        return;
    }
    if (addr_is_loopback(source) || by_gateway(ret, SITE_WAIT_MS) < 0)
        by_network(ret, source);
}

bool
site_again(struct site *s, const struct node_addr *source)
{
    struct site now;
    if (strcmp(s->from, "network") != 0)
        return false;
    int rc = addr_is_loopback(source) ? ERR_NOT_FOUND : by_gateway(&now, 0);
    if (rc == ERR_TIMEOUT && s->tries++ < SITE_TRIES)
        return false;
    if (rc < 0)
        by_network(&now, source);
    if (now.id == s->id)
        return false;
    *s = now;
    return true;
}

bool
site_heard(struct site *s, uint64_t other)
{
    if ((s->id & SITE_AUTO) == 0 || other >= s->id)
        return false;
    s->id = other;
    s->tries = 0;
    s->from = "multicast";
    name_it(s);
    return true;
}

void
site_print(const struct site *s, uint64_t id, char ret_name[SITE_NAME_MAX])
{
    struct site other = {.id = id};
    if (id == s->id)
        memcpy(ret_name, s->name, SITE_NAME_MAX);
    else
        name_it(&other);
    if (id != s->id)
        memcpy(ret_name, other.name, SITE_NAME_MAX);
}
