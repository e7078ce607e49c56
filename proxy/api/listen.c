/* Listening sockets: made from "host:port", or passed by systemd. */
#include "base/fs.h"
#include "base/text.h"
#include "proxy/api/server.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG   1024
#define PASSED_FD 3 /* the first one, by the protocol of sd_listen_fds(3) */

/* Splits "host:port", "[v6]:port" and ":port". */
static int
split(const char *address, char ret_host[256], char ret_port[8])
{
    const char *colon = strrchr(address, ':');
    if (!colon || text_copy(ret_port, 8, colon + 1) < 0)
        return ERR_SYNTAX;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
        address++;
        len -= 2;
    }
    uint64_t port = 0;
    if (len > 255 || text_u64(ret_port, strlen(ret_port), &port) < 0 || port > 65535)
        return ERR_SYNTAX;
    memcpy(ret_host, address, len);
    ret_host[len] = 0;
    return 0;
}

static int
bind_to(const struct addrinfo *where, const char *address, int *ret_fd, struct err *e)
{
    const int on = 1;
    const int off = 0;
    int fd = socket(where->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_errno(e, "listen on %s", address);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (where->ai_family == AF_INET6) /* "all addresses" is those of IPv4 too */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, where->ai_addr, where->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
        int err = errno == EADDRINUSE
                      ? err_set(e, -EADDRINUSE,
                                "%s: another program listens there; ss -ltnp names it", address)
                      : err_errno(e, "listen on %s", address);
        fd_close(&fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

/* ERR_NOT_FOUND when there is no address of that family. */
static int
bind_family(const struct addrinfo *all, int family, const char *address, int *ret_fd, struct err *e)
{
    while (all && all->ai_family != family)
        all = all->ai_next;
    return all ? bind_to(all, address, ret_fd, e) : ERR_NOT_FOUND;
}

int
server_listen(const char *address, int *ret_fd, struct err *e)
{
    char host[256];
    char port[8];
    if (split(address, host, port) < 0)
        return err_set(e, ERR_SYNTAX, "listen on %s: expected HOST:PORT", address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *all = NULL;
    int code = getaddrinfo(host[0] ? host : NULL, port, &hints, &all);
    if (code != 0)
        return err_set(e, ERR_NOT_FOUND, "listen on %s: %s", address, gai_strerror(code));
    /* A name of both families is meant for clients that use 127.0.0.1; no name for all. */
    int family = host[0] ? AF_INET : AF_INET6;
    int err = bind_family(all, family, address, ret_fd, e);
    if (err == ERR_NOT_FOUND || (err < 0 && !host[0]))
        err = bind_to(all, address, ret_fd, e);
    freeaddrinfo(all);
    return err;
}

int
server_passed(int *ret_fd)
{
    const char *pid = getenv("LISTEN_PID");
    const char *count = getenv("LISTEN_FDS");
    uint64_t for_pid = 0;
    uint64_t fds = 0;
    bool ours = pid && count && text_u64(pid, strlen(pid), &for_pid) == 0 &&
                text_u64(count, strlen(count), &fds) == 0 && for_pid == (uint64_t)getpid() &&
                fds > 0;
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    int accepts = 0;
    socklen_t len = sizeof accepts;
    if (!ours || getsockopt(PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) < 0 || !accepts)
        return ERR_NOT_FOUND;
    if (fcntl(PASSED_FD, F_SETFL, O_NONBLOCK) < 0 || fcntl(PASSED_FD, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    *ret_fd = PASSED_FD;
    return 0;
}

int
server_address(int fd, char ret_text[SERVER_ADDRESS_MAX])
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return -errno;
    char host[INET6_ADDRSTRLEN];
    char port[8];
    if (getnameinfo((struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return ERR_NOT_FOUND;
    bool v6 = address.ss_family == AF_INET6;
    return text_printf(ret_text, SERVER_ADDRESS_MAX, v6 ? "[%s]:%s" : "%s:%s", host, port);
}
