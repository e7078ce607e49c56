/* An HTTP client on a plain socket, for tests of ports: bytes there, an answer back. */
#ifndef TESTS_UNIT_PROXY_GOT_H
#define TESTS_UNIT_PROXY_GOT_H

#include "base/buf.h"
#include "tests/unit/base/unit.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define GOT_HEADER_MAX 1024 /* a value and its end */

/* What came back. */
struct got {
    int status;
    char head[4096];
    struct buf body;
    bool whole; /* as long as Content-Length said */
    bool reset; /* RST instead of FIN */
};

static inline int
got_connect(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static inline void
got_release(struct got *g)
{
    buf_release(&g->body);
}

/* The value of a header, "" when absent; valid until the next call. */
static inline const char *
got_header(const struct got *g, const char *name)
{
    static _Thread_local char value[GOT_HEADER_MAX];
    size_t len = strlen(name);
    for (const char *line = strstr(g->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        const char *at = line + 2;
        if (strncasecmp(at, name, len) != 0 || at[len] != ':')
            continue;
        at += len + 1 + strspn(at + len + 1, " ");
        (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
        return value;
    }
    return "";
}

/* Until so much is there, or the end: what the last recv said. */
static inline ssize_t
got_receive(int fd, struct buf *ret, size_t enough)
{
    char block[65536];
    ssize_t n = 1;
    while (ret->len < enough && (n = recv(fd, block, sizeof block, 0)) > 0)
        assert_int_equal(buf_add(ret, block, (size_t)n), 0);
    return n;
}

/* Everything until the other side ends. */
static inline void
got_read(int fd, struct got *ret)
{
    buf_init(&ret->body, 128u << 20);
    ssize_t n = got_receive(fd, &ret->body, SIZE_MAX);
    ret->reset = n < 0 && errno == ECONNRESET;
}

/* Head and body apart; to a HEAD there is none. */
static inline void
got_split(struct got *g, bool head_only)
{
    const char *text = buf_text(&g->body);
    const char *end = g->body.len > 0 ? strstr(text, "\r\n\r\n") : NULL;
    if (!end)
        return;
    size_t len = (size_t)(end - text) + 4;
    assert_true(len < sizeof g->head);
    memcpy(g->head, text, len);
    g->head[len] = 0;
    memmove(g->body.data, g->body.data + len, g->body.len - len);
    buf_cut(&g->body, g->body.len - len);
    (void)sscanf(g->head, "HTTP/1.%*d %d", &g->status);
    const char *length = got_header(g, "Content-Length");
    g->whole = length[0] && strtoul(length, NULL, 10) == (head_only ? 0 : g->body.len);
    if (head_only)
        g->whole = g->body.len == 0;
}

#endif
