/* UDP sockets, the multicast group, and which interfaces it is joined on. */
#include "p2p/net.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>

/* A beacon a second of 1,000 nodes, and a burst of hints, while the thread decides. */
#define RECEIVE_BYTES (1024 * 1024)

/* An interface that the group is joined on. */
struct link {
    unsigned index;
    int family;
};

struct net {
    struct node_addr bound; /* fixed at open, like the next three */
    int family;             /* of main_fd */
    int main_fd;
    int group_fd[2]; /* hears the group: IPv4, IPv6; main_fd or a socket of its own or -1 */
    bool multicast;
    size_t links_count;
    struct link links[NET_LINKS_MAX];
};

static const struct in6_addr *
group6(struct in6_addr *room)
{
    must(inet_pton(AF_INET6, NET_GROUP6, room) == 1);
    return room;
}

static struct in_addr
group4(void)
{
    struct in_addr group;
    must(inet_pton(AF_INET, NET_GROUP4, &group) == 1);
    return group;
}

static int
set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* ---- open ---- */

/* ret_fd is the caller's to close, also after an error. */
static int
new_socket(int family, int *ret_fd)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    (void)set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES); /* the system may give less */
    /* Where it is not known (emulators) groups of others on this port come, too: not sealed. */
    (void)set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
    int rc = set(fd, IPPROTO_IP, IP_MULTICAST_TTL, 1);
    rc = rc < 0 ? rc : set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    if (family == AF_INET6) {
        rc = rc < 0 ? rc : set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        rc = rc < 0 ? rc : set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        rc = rc < 0 ? rc : set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1);
    }
    return rc;
}

static int
bind_main(struct net *n, const struct sockaddr *at, socklen_t len)
{
    struct sockaddr_storage got;
    socklen_t got_len = sizeof got;
    n->family = at->sa_family;
    int rc = new_socket(n->family, &n->main_fd);
    if (rc < 0)
        return rc;
    if (bind(n->main_fd, at, len) < 0 ||
        getsockname(n->main_fd, (struct sockaddr *)&got, &got_len) < 0)
        return -errno;
    return addr_of((struct sockaddr *)&got, &n->bound) ? 0 : -EAFNOSUPPORT;
}

/* The group's own socket, beside one that is bound to a single address. Others on this machine
 * may hear the group, too. */
static int
bind_group(int family, uint16_t port, int *ret_fd)
{
    struct sockaddr_in in4 = {AF_INET, htons(port), group4(), {0}};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    (void)group6(&in6.sin6_addr);
    bool v4 = family == AF_INET;
    int rc = new_socket(family, ret_fd);
    rc = rc < 0 ? rc : set(*ret_fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc < 0)
        return rc;
    if (bind(*ret_fd, v4 ? (struct sockaddr *)&in4 : (struct sockaddr *)&in6,
             v4 ? sizeof in4 : sizeof in6) < 0)
        return -errno;
    return 0;
}

static int
open_groups(struct net *n)
{
    bool v4 = addr_is_v4(&n->bound);
    if (!n->multicast)
        return 0;
    if (addr_is_any(&n->bound)) {
        n->group_fd[0] = n->main_fd;
        n->group_fd[1] = v4 ? -1 : n->main_fd;
        return 0;
    }
    return bind_group(v4 ? AF_INET : AF_INET6, n->bound.port, &n->group_fd[v4 ? 0 : 1]);
}

static int
open_at(struct net *n, const char *host, const char *port, struct err *e)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *all = NULL;
    int code = getaddrinfo(host[0] ? host : "0.0.0.0", port, &hints, &all);
    if (code != 0 || all == NULL)
        return err_set(e, ERR_CONFIG, "p2p.listen: %s: %s", host, gai_strerror(code));
    int rc = bind_main(n, all->ai_addr, all->ai_addrlen);
    freeaddrinfo(all);
    rc = rc < 0 ? rc : open_groups(n);
    return rc < 0 ? err_set(e, rc, "p2p.listen: %s port %s, UDP: %s", host, port, err_text(rc)) : 0;
}

/* What this node shouts it need not hear: each of its own datagrams would wake it once more. That
 * mutes it for the whole machine, where only a wildcard is sure to have its port alone. */
static void
hear_others_only(const struct net *n)
{
    int fds[NET_FDS_MAX];
    size_t count = net_fds(n, fds);
    for (size_t i = 0; i < count && addr_is_any(&n->bound); i++) {
        (void)set(fds[i], IPPROTO_IP, IP_MULTICAST_LOOP, 0);
        (void)set(fds[i], IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0); /* not known to one of IPv4 */
    }
}

int
net_open(const char *listen, bool multicast, struct net **ret, struct err *e)
{
    char host[ADDR_HOST_MAX], port[8];
    uint16_t number;
    if (addr_split(listen, host, &number) < 0 || text_printf(port, sizeof port, "%u", number) < 0)
        return err_set(e, ERR_CONFIG, "p2p.listen: %s: expected HOST:PORT", listen);
    struct net *n = mem_zalloc(sizeof *n);
    n->main_fd = n->group_fd[0] = n->group_fd[1] = -1;
    n->multicast = multicast;
    int rc = open_at(n, host, port, e);
    if (rc < 0) {
        net_close(n);
        return rc;
    }
    hear_others_only(n);
    net_rejoin(n);
    *ret = n;
    return 0;
}

void
net_close(struct net *n)
{
    if (n == NULL)
        return;
    for (size_t i = 0; i < ARRAY_LEN(n->group_fd); i++)
        if (n->group_fd[i] != n->main_fd)
            fd_close(&n->group_fd[i]);
    fd_close(&n->main_fd);
    mem_free(n);
}

size_t
net_fds(const struct net *n, int ret_fds[NET_FDS_MAX])
{
    size_t count = 0;
    ret_fds[count++] = n->main_fd;
    for (size_t i = 0; i < ARRAY_LEN(n->group_fd); i++)
        if (n->group_fd[i] >= 0 && n->group_fd[i] != n->main_fd)
            ret_fds[count++] = n->group_fd[i];
    return count;
}

const struct node_addr *
net_bound(const struct net *n)
{
    return &n->bound;
}

/* ---- interfaces ---- */

static int
group_fd(const struct net *n, int family)
{
    return n->group_fd[family == AF_INET ? 0 : 1];
}

static void
join(struct net *n, unsigned index, int family)
{
    int rc;
    for (size_t i = 0; i < n->links_count; i++)
        if (n->links[i].index == index && n->links[i].family == family)
            return;
    if (n->links_count == NET_LINKS_MAX)
        return;
    if (family == AF_INET) {
        struct ip_mreqn want = {.imr_multiaddr = group4(), .imr_ifindex = (int)index};
        rc = setsockopt(group_fd(n, family), IPPROTO_IP, IP_ADD_MEMBERSHIP, &want, sizeof want);
    } else {
        struct ipv6_mreq want = {.ipv6mr_interface = index};
        (void)group6(&want.ipv6mr_multiaddr);
        rc = setsockopt(group_fd(n, family), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &want, sizeof want);
    }
    /* Still joined from last time, as a rule: what the interface lost is joined anew. */
    if (rc == 0 || errno == EADDRINUSE)
        n->links[n->links_count++] = (struct link){index, family};
}

/* May the group be joined at that address of an interface? A socket bound to one address speaks
 * on its interface only. */
static bool
is_ours(const struct net *n, const struct ifaddrs *i)
{
    struct node_addr a, mask;
    bool any = addr_is_any(&n->bound);
    if (i->ifa_addr == NULL || (i->ifa_flags & IFF_UP) == 0 || !addr_of(i->ifa_addr, &a))
        return false;
    if (any)
        return (i->ifa_flags & IFF_MULTICAST) != 0 && (i->ifa_flags & IFF_LOOPBACK) == 0;
    return i->ifa_netmask != NULL && addr_of(i->ifa_netmask, &mask) &&
           addr_same_net(&a, &n->bound, &mask);
}

void
net_rejoin(struct net *n)
{
    struct ifaddrs *all = NULL;
    if (!n->multicast || getifaddrs(&all) < 0)
        return;
    n->links_count = 0;
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
        if (is_ours(n, i) && group_fd(n, i->ifa_addr->sa_family) >= 0)
            join(n, if_nametoindex(i->ifa_name), i->ifa_addr->sa_family);
    }
    freeifaddrs(all);
}

/* The source address that the system would use on the way to `to`. */
static bool
source_towards(const char *to, struct node_addr *ret)
{
    struct node_addr a;
    struct sockaddr_storage at;
    socklen_t len;
    if (addr_parse(to, &a) < 0)
        never("an address of ours that is none");
    int family = addr_is_v4(&a) ? AF_INET : AF_INET6;
    AUTO(fd_close) int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !addr_to(&a, family, &at, &len) || connect(fd, (struct sockaddr *)&at, len) < 0)
        return false;
    len = sizeof at;
    return getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
           addr_of((struct sockaddr *)&at, ret) && !addr_is_any(ret);
}

static bool
source_of_any(bool v4, struct node_addr *ret)
{
    struct ifaddrs *all = NULL;
    bool found = false;
    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next)
        found = i->ifa_addr != NULL && (i->ifa_flags & IFF_UP) != 0 &&
                (i->ifa_flags & IFF_LOOPBACK) == 0 && addr_of(i->ifa_addr, ret) &&
                addr_is_v4(ret) == v4;
    freeifaddrs(all);
    return found;
}

bool
net_is_wired(const struct node_addr *source)
{
    struct ifaddrs *all = NULL;
    bool radio = false;
    if (getifaddrs(&all) < 0)
        return true;
    for (const struct ifaddrs *i = all; i != NULL && !radio; i = i->ifa_next) {
        struct node_addr a;
        char path[64];
        radio = i->ifa_addr != NULL && addr_of(i->ifa_addr, &a) &&
                memcmp(a.ip, source->ip, sizeof a.ip) == 0 &&
                text_printf(path, sizeof path, "/sys/class/net/%s/wireless", i->ifa_name) == 0 &&
                access(path, F_OK) == 0;
    }
    freeifaddrs(all);
    return !radio;
}

struct node_addr
net_source(const struct net *n)
{
    struct node_addr a = n->bound;
    bool v4 = addr_is_v4(&n->bound);
    /* Any address of the world shows its route; nothing is sent. */
    if (addr_is_any(&a) && !source_towards("192.88.99.1:9", &a) &&
        !source_towards(NET_GROUP4 ":9", &a) && !source_of_any(true, &a) &&
        (v4 || (!source_towards("[2001:4860::1]:9", &a) && !source_of_any(false, &a))) &&
        addr_parse(v4 ? "127.0.0.1:9" : "[::1]:9", &a) < 0)
        never("loopback is no address");
    a.port = n->bound.port;
    return a;
}

/* ---- datagrams ---- */

void
net_send(struct net *n, const struct node_addr *to, const uint8_t *msg, size_t len)
{
    struct sockaddr_storage at;
    socklen_t at_len;
    if (addr_is_usable(to) && addr_to(to, n->family, &at, &at_len))
        (void)sendto(n->main_fd, msg, len, MSG_NOSIGNAL, (struct sockaddr *)&at, at_len);
}

static void
shout4(const struct net *n, unsigned index, const uint8_t *msg, size_t len)
{
    struct sockaddr_in to = {AF_INET, htons(n->bound.port), group4(), {0}};
    struct ip_mreqn by = {.imr_ifindex = (int)index};
    /* From the group's own socket when there is one: the main one may be of another family. */
    int fd = group_fd(n, AF_INET);
    if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof by) == 0)
        (void)sendto(fd, msg, len, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to);
}

static void
shout6(const struct net *n, unsigned index, const uint8_t *msg, size_t len)
{
    struct sockaddr_in6 to = {
        .sin6_family = AF_INET6, .sin6_port = htons(n->bound.port), .sin6_scope_id = index};
    int fd = group_fd(n, AF_INET6);
    (void)group6(&to.sin6_addr);
    if (set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)index) == 0)
        (void)sendto(fd, msg, len, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to);
}

void
net_shout(struct net *n, const uint8_t *msg, size_t len)
{
    for (size_t i = 0; i < n->links_count; i++) {
        if (n->links[i].family == AF_INET)
            shout4(n, n->links[i].index, msg, len);
        else
            shout6(n, n->links[i].index, msg, len);
    }
}

static bool
to_group(struct msghdr *head)
{
    struct in6_addr six;
    (void)group6(&six);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c != NULL; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            return info.ipi_addr.s_addr == group4().s_addr;
        }
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            return memcmp(&info.ipi6_addr, &six, sizeof six) == 0;
        }
    }
    return false;
}

static bool
receive(int fd, struct net_heard *ret)
{
    struct sockaddr_storage from;
    char control[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct iovec bytes = {ret->bytes, sizeof ret->bytes};
    for (;;) {
        struct msghdr head = {.msg_name = &from,
                              .msg_namelen = sizeof from,
                              .msg_iov = &bytes,
                              .msg_iovlen = 1,
                              .msg_control = control,
                              .msg_controllen = sizeof control};
        ssize_t n = recvmsg(fd, &head, MSG_DONTWAIT);
        /* Another errno is about a datagram that was sent and found nobody. */
        if (n < 0 && (errno == EAGAIN || errno == EBADF))
            return false;
        if (n < 0 || (head.msg_flags & MSG_TRUNC) != 0 ||
            !addr_of((struct sockaddr *)&from, &ret->from))
            continue;
        ret->len = (size_t)n;
        ret->by_multicast = to_group(&head);
        return true;
    }
}

bool
net_next(struct net *n, struct net_heard *ret)
{
    int fds[NET_FDS_MAX];
    size_t count = net_fds(n, fds);
    for (size_t i = 0; i < count; i++)
        if (receive(fds[i], ret))
            return true;
    return false;
}
