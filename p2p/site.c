/* Finds out the site: configuration, gateway, network. */
#include "p2p/site.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
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
    ret->id = id | SITE_AUTO;
    ret->from = from;
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
    return fs_open_dir("/proc/net", false, &fd) == 0 && fs_read_file(fd, name, ret) == 0;
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
find_mac(uint32_t ip, const char *dev, uint8_t ret_mac[6])
{
    bool found = false;
    int64_t until_ms = clock_ms() + SITE_WAIT_MS;
    for (unsigned i = 0; !found && clock_ms() < until_ms; i++) {
        AUTO(buf_release) struct buf text;
        found = read_proc("arp", &text) && site_read_arp(buf_text(&text), ip, dev, ret_mac);
        if (i == 0 && !found)
            poke(ip);
        if (!found)
            clock_sleep_ms(WAIT_STEP_MS);
    }
    return found;
}

static bool
by_gateway(struct site *ret)
{
    AUTO(buf_release) struct buf text;
    uint32_t ip;
    char dev[16];
    uint8_t who[6 + sizeof ip];
    if (!read_proc("route", &text) || !site_read_route(buf_text(&text), &ip, dev) ||
        !find_mac(ip, dev, who))
        return false;
    memcpy(who + 6, &ip, sizeof ip);
    decide(ret, hash("gateway", who, sizeof who), "gateway");
    return true;
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

/* ---- outside ---- */

void
site_open(const char *name, const struct node_addr *source, struct site *ret)
{
    if (strcmp(name, "auto") != 0 && text_copy(ret->name, sizeof ret->name, name) == 0) {
        ret->id = hash("name", name, strlen(name)) & ~SITE_AUTO;
        ret->from = "configuration";
        return;
    }
    if (!addr_is_loopback(source) && by_gateway(ret))
        return;
    struct node_addr net = network_of(source);
    decide(ret, hash("network", net.ip, sizeof net.ip), "network");
}

bool
site_heard(struct site *s, uint64_t other)
{
    if ((s->id & SITE_AUTO) == 0 || other >= s->id)
        return false;
    s->id = other;
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
