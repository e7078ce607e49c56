#include "tests/netlab/control.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "tests/netlab/order.h"
#include "tests/netlab/report.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_BYTES  32768
#define ANSWER_WAIT_S  10
#define LISTEN_BACKLOG 64

static int
address_of(const char *path, struct sockaddr_un *ret, struct err *e)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (text_copy(ret->sun_path, sizeof ret->sun_path, path) < 0)
        return err_set(e, -ENAMETOOLONG, "%s: too long for a socket", path);
    return 0;
}

int
control_listen(const char *path, int *ret_fd, struct err *e)
{
    struct sockaddr_un address;
    if (address_of(path, &address, e) < 0)
        return e->code;
    AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path); /* left by one that was killed */
    mode_t mask = umask(0077);
    bool right = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                 listen(fd, LISTEN_BACKLOG) == 0;
    (void)umask(mask);
    if (!right)
        return err_errno(e, "listen on %s", path);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

bool
control_accept(int listener, int *ret_fd)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int room = (int)REPORT_BYTES_MAX;
    if (fd < 0)
        return false;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    *ret_fd = fd;
    return true;
}

static void
send_all(int fd, const struct buf *answer)
{
    for (size_t at = 0; at < answer->len;) {
        size_t part = answer->len - at > MESSAGE_BYTES ? MESSAGE_BYTES : answer->len - at;
        if (send(fd, answer->data + at, part, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            return;
        at += part;
    }
}

void
control_serve(int fd)
{
    char line[ORDER_BYTES_MAX];
    ssize_t len = recv(fd, line, sizeof line - 1, MSG_DONTWAIT);
    if (len > 0) {
        AUTO(buf_release) struct buf answer;
        buf_init(&answer, REPORT_BYTES_MAX);
        line[len] = 0;
        if (order_run(line, &answer))
            (void)!buf_add_text(&answer, "ok\n");
        send_all(fd, &answer);
    }
    fd_close(&fd);
}

static int
dial(const char *path, int *ret_fd, struct err *e)
{
    struct sockaddr_un address;
    if (address_of(path, &address, e) < 0)
        return e->code;
    AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct timeval wait = {.tv_sec = ANSWER_WAIT_S};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        return err_errno(e, "connect to %s", path);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* Prints the messages of the answer; true when it ended well. */
static bool
print_answer(int fd)
{
    static char message[MESSAGE_BYTES + 1];
    bool right = false;
    for (ssize_t len; (len = recv(fd, message, MESSAGE_BYTES, 0)) > 0;) {
        message[len] = 0;
        right = text_ends(message, "ok\n");
        FILE *to = text_starts(message, "error:") ? stderr : stdout;
        (void)fwrite(message, 1, (size_t)len - (right ? 3 : 0), to);
    }
    return right;
}

int
control_ask(const char *path, char **words, int count)
{
    AUTO(buf_release) struct buf line;
    AUTO(fd_close) int fd = -1;
    struct err e = {0};
    buf_init(&line, ORDER_BYTES_MAX - 1);
    for (int i = 0; i < count; i++)
        if (buf_printf(&line, "%s%s", i ? " " : "", words[i]) < 0) {
            (void)fprintf(stderr, "wanem: the order is too long\n");
            return 2;
        }
    if (dial(path, &fd, &e) < 0 || (send(fd, buf_text(&line), line.len, MSG_NOSIGNAL) < 0 &&
                                    err_errno(&e, "send to %s", path) < 0)) {
        (void)fprintf(stderr, "wanem: %s\n", e.text);
        return 2;
    }
    return print_answer(fd) ? 0 : 1;
}
