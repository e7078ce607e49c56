/*
 * wanem: a WAN in user space, for labs of network namespaces.
 *
 *   wanem -S SOCKET [-f FILE] [-p PIDFILE] [-l LOG] [-d] [-n]   is the WAN (orders: order.h)
 *   wanem -c SOCKET ORDER...                                    tells it something
 *
 *   -f  orders to begin with, one a line       -d  to the background once all is set up
 *   -l  its log when in the background         -n  every TCP segment is a packet of its own: slower
 *
 * Each site has a router namespace with a TUN device; packets are forwarded between the devices by
 * prefix of the target. One process is the whole WAN: a simulation of events (event.h, wan.h) that
 * the clock paces. It needs Linux 5.11 for epoll_pwait2.
 */
#include "base/fs.h"
#include "base/text.h"
#include "tests/netlab/control.h"
#include "tests/netlab/order.h"
#include "tests/netlab/report.h"
#include "tests/netlab/tun.h"
#include "tests/netlab/wan.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRAIN_NS \
    UINT64_C(100000) /* one pass over all queues per 0.1 ms: small batches under load */
#define TAG_LISTENER (UINT64_C(1) << 32) /* of epoll; a plain number is a site */
#define TAG_CLIENT   (UINT64_C(2) << 32)

struct options {
    const char *socket, *orders, *pidfile, *log;
    bool background;
};

static int poller = -1;
static volatile sig_atomic_t stop;

static void
on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void
watch(int fd, uint64_t tag)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = tag};
    must(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void
watch_site(int fd, size_t site)
{
    watch(fd, site);
}

static int
run_orders(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        (void)fprintf(stderr, "wanem: %s: %s\n", path, strerror(errno));
        return -errno;
    }
    char line[ORDER_BYTES_MAX];
    int code = 0;
    for (int n = 1; code == 0 && fgets(line, sizeof line, f); n++) {
        AUTO(buf_release) struct buf out;
        buf_init(&out, ORDER_BYTES_MAX);
        if (!order_run(line, &out)) {
            (void)fprintf(stderr, "wanem: %s:%d: %s", path, n, buf_text(&out));
            code = ERR_SYNTAX;
        }
    }
    (void)fclose(f);
    return code;
}

/* Wakes up on time, also when every core is busy. */
static void
be_punctual(void)
{
    struct sched_param urgent = {.sched_priority = 1};
    (void)prctl(PR_SET_TIMERSLACK, 1ul);
    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &urgent) != 0)
        (void)setpriority(PRIO_PROCESS, 0, -20);
}

static int
write_pid(const char *path)
{
    FILE *f = fopen(path, "we");
    bool right = f && fprintf(f, "%d\n", (int)getpid()) > 0;
    if (!f || fclose(f) != 0 || !right) {
        (void)fprintf(stderr, "wanem: %s: %s\n", path, strerror(errno));
        return -EIO;
    }
    return 0;
}

/* Standard input, output and error go away from whoever started this. */
static void
detach(const char *log)
{
    AUTO(fd_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    AUTO(fd_close)
    int out = open(log ? log : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (null < 0 || out < 0)
        return;
    (void)!dup2(null, STDIN_FILENO);
    (void)!dup2(out, STDOUT_FILENO);
    (void)!dup2(out, STDERR_FILENO);
}

/* Waits for the next event, for packets or for orders; for the grain to pass, at least. */
static int
wait_for_work(uint64_t not_before_ns, struct epoll_event *ret, int room)
{
    uint64_t now_ns = event_now_ns(), due_ns;
    if (now_ns < not_before_ns) {
        struct timespec rest = {.tv_nsec = (long)(not_before_ns - now_ns)};
        (void)nanosleep(&rest, NULL);
        now_ns = event_now_ns();
    }
    if (!event_next(&due_ns))
        return epoll_pwait2(poller, ret, room, NULL, NULL);
    struct timespec wait = {0};
    if (due_ns > now_ns)
        wait =
            (struct timespec){(time_t)((due_ns - now_ns) / NSEC), (long)((due_ns - now_ns) % NSEC)};
    return epoll_pwait2(poller, ret, room, &wait, NULL);
}

static void
serve(int listener, uint64_t tag, uint64_t now_ns)
{
    int fd;
    if (tag == TAG_LISTENER) {
        if (control_accept(listener, &fd))
            watch(fd, TAG_CLIENT | (uint32_t)fd);
    } else if (tag & TAG_CLIENT) {
        control_serve((int)(uint32_t)tag);
    } else {
        tun_read((size_t)tag, now_ns);
    }
}

static int
loop(int listener)
{
    uint64_t not_before_ns = 0;
    while (!stop && !order_quit()) {
        struct epoll_event events[WAN_SITES_MAX];
        int count = wait_for_work(not_before_ns, events, WAN_SITES_MAX);
        if (count < 0 && errno != EINTR) {
            (void)fprintf(stderr, "wanem: epoll: %s\n", strerror(errno));
            return 1;
        }
        uint64_t now_ns = event_now_ns();
        not_before_ns = now_ns + GRAIN_NS;
        report_pass();
        wan_run(now_ns); /* first, so that queues are as full as they are now */
        for (int i = 0; i < count; i++)
            serve(listener, events[i].data.u64, now_ns);
    }
    return 0;
}

/* All up to the first packet; `started` is told at its end. */
static int
run(const struct options *o, int started)
{
    struct sigaction act = {.sa_handler = on_signal};
    must(sigaction(SIGTERM, &act, NULL) == 0 && sigaction(SIGINT, &act, NULL) == 0);
    must((poller = epoll_create1(EPOLL_CLOEXEC)) >= 0);
    AUTO(fd_close) int listener = -1;
    struct err e = {0};
    if (control_listen(o->socket, &listener, &e) < 0) {
        (void)fprintf(stderr, "wanem: %s\n", e.text);
        return 1;
    }
    watch(listener, TAG_LISTENER);
    order_on_site(watch_site);
    if ((o->orders && run_orders(o->orders) < 0) || (o->pidfile && write_pid(o->pidfile) < 0))
        return 1;
    be_punctual();
    if (o->background) {
        detach(o->log);
        if (write(started, "", 1) != 1)
            return 1;
        fd_close(&started);
    }
    int code = loop(listener);
    (void)unlink(o->socket);
    if (o->pidfile)
        (void)unlink(o->pidfile);
    return code;
}

/* The parent stays until the child has set everything up. */
static int
run_in_background(const struct options *o)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0)
        return 1;
    pid_t child = fork();
    if (child < 0)
        return 1;
    if (child == 0) {
        fd_close(&pipe_fds[0]);
        (void)setsid();
        return run(o, pipe_fds[1]);
    }
    char byte;
    fd_close(&pipe_fds[1]);
    int code = read(pipe_fds[0], &byte, 1) == 1 ? 0 : 1;
    fd_close(&pipe_fds[0]);
    return code;
}

static int
usage(void)
{
    (void)fprintf(stderr, "usage: wanem -S SOCKET [-f FILE] [-p PIDFILE] [-l LOG] [-d] [-n]\n"
                          "       wanem -c SOCKET ORDER...\n");
    return 2;
}

int
main(int argc, char **argv)
{
    struct options o = {0};
    for (int c; (c = getopt(argc, argv, "+S:f:p:l:c:dn")) != -1;) {
        if (c == 'c')
            return control_ask(optarg, argv + optind, argc - optind);
        if (c == 'S')
            o.socket = optarg;
        else if (c == 'f')
            o.orders = optarg;
        else if (c == 'p')
            o.pidfile = optarg;
        else if (c == 'l')
            o.log = optarg;
        else if (c == 'd')
            o.background = true;
        else if (c == 'n')
            order_without_trains();
        else
            return usage();
    }
    if (!o.socket || optind != argc)
        return usage();
    return o.background ? run_in_background(&o) : run(&o, -1);
}
