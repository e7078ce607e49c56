/* peersync doctor: who is at an address, HOST:PORT. */
#include "base/fs.h"
#include "base/mem.h"
#include "proxy/cli/doctor.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* NULL: it has no address now. Caller frees with freeaddrinfo. */
static struct addrinfo *
resolve(const char *address)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *all = NULL;
    AUTO(mem_free_text) char *host = mem_strdup(*address == '[' ? address + 1 : address);
    char *colon = strrchr(host, ':');
    if (!colon)
        return NULL;
    if (colon > host && colon[-1] == ']')
        colon[-1] = 0;
    *colon = 0;
    return getaddrinfo(host, colon + 1, &hints, &all) == 0 ? all : NULL;
}

static bool
connects(const struct addrinfo *a)
{
    AUTO(fd_close)
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int failure = 0;
    socklen_t len = sizeof failure;
    if (fd < 0)
        return false;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return true;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    return errno == EINPROGRESS && poll(&wait, 1, (int)DOCTOR_MS) == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len) == 0 && failure == 0;
}

bool
doctor_listens(const char *address)
{
    struct addrinfo *all = resolve(address);
    bool found = false;
    for (const struct addrinfo *a = all; a && !found; a = a->ai_next)
        found = connects(a);
    if (all)
        freeaddrinfo(all);
    return found;
}

static bool
is_loopback(const struct addrinfo *a)
{
    struct sockaddr_in in;
    if (a->ai_family != AF_INET)
        return false;
    memcpy(&in, a->ai_addr, sizeof in);
    return ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool
same_port(const struct addrinfo *a, const struct addrinfo *b)
{
    struct sockaddr_in x, y; /* of both families the port is at the same place */
    memcpy(&x, a->ai_addr, sizeof x);
    memcpy(&y, b->ai_addr, sizeof y);
    return x.sin_port == y.sin_port;
}

bool
doctor_is_own(const char *address, const char *own)
{
    struct addrinfo *mine = resolve(own), *all = mine ? resolve(address) : NULL;
    bool found = false;
    for (const struct addrinfo *a = all; a && !found; a = a->ai_next)
        found = (a->ai_addrlen == mine->ai_addrlen &&
                 memcmp(a->ai_addr, mine->ai_addr, a->ai_addrlen) == 0) ||
                (is_loopback(a) && !is_loopback(mine) && same_port(a, mine));
    if (all)
        freeaddrinfo(all);
    if (mine)
        freeaddrinfo(mine);
    return found;
}
