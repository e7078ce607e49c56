/*
 * pull: the bench's client. N threads each GET their path over plain HTTP/1.1, again and again,
 * and say when the first and the last body byte came. By default the kernel drops the body
 * (MSG_TRUNC), so that the client costs next to nothing and the server is what is measured.
 *
 *   pull [-n CONNECTIONS] [-r REPEATS] [-m drop|copy|sha256] [-q] HOST PORT PATH...
 *   pull -i [-n CONNECTIONS] ... HOST PORT MANIFEST BLOB...
 *
 * Connection i takes path i modulo the number of paths. With -i as a runtime pulls an image: the
 * first path alone, then each other one once, by whichever connection is free. Output, one line per
 * response and a sum; a stall is the longest time without a byte in the middle of a body:
 *   get path=0 status=200 bytes=1073741824 at_us=17 first_us=412 total_us=85234 stall_us=80 \
 *     sha256=<hex or -> error=0
 *   sum gets=1 bytes=1073741824 us=85240 first_us_max=412 stall_us_max=80 failed=0
 * Exit 1 when a response was not a whole 200.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/thread.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024
#define REPEATS_MAX     1000000
#define CHUNK_BYTES     ((size_t)1024 * 1024)
#define HEAD_MAX        16384 /* as much head as any server here sends */
#define SILENCE_S       60    /* a server silent for so long has failed */

enum mode { MODE_DROP, MODE_COPY, MODE_SHA256 };

/* Fixed before the threads start. */
struct plan {
    struct addrinfo *address;
    const char *host;
    char **paths;
    size_t path_count;
    unsigned repeats;
    enum mode mode;
    bool quiet, image;
    int64_t began_us;
    _Atomic size_t next; /* path of an image, not asked for yet */
};

struct response {
    unsigned status;
    uint64_t length;                             /* Content-Length; 0 when absent */
    uint64_t bytes;                              /* of the body, so far */
    int64_t at_us, first_us, total_us, stall_us; /* at: when it was asked for */
    char sha256[65];
};

/* One connection after the other, in its own thread. */
struct worker {
    struct plan *plan;
    struct thread thread;
    char *room; /* CHUNK_BYTES */
    unsigned number, gets, failed;
    uint64_t bytes;
    int64_t first_us_max, stall_us_max;
};

static int
dial(const struct plan *p, int *ret_fd)
{
    int fd = socket(p->address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    struct timeval silence = {.tv_sec = SILENCE_S};
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence) != 0 ||
        connect(fd, p->address->ai_addr, p->address->ai_addrlen) != 0) {
        int code = -errno;
        fd_close(&fd);
        return code;
    }
    *ret_fd = fd;
    return 0;
}

static int
ask(int fd, const struct plan *p, const char *path)
{
    char head[2048];
    int code = text_printf(
        head, sizeof head,
        "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: peersync-bench\r\n"
        "Accept: application/vnd.oci.image.manifest.v1+json, */*\r\nConnection: close\r\n\r\n",
        path, p->host);
    if (code < 0)
        return code;
    size_t len = strlen(head);
    ssize_t sent = send(fd, head, len, MSG_NOSIGNAL);
    if (sent < 0)
        return -errno;
    return (size_t)sent == len ? 0 : -EIO;
}

/* Value of a header field inside a terminated head, or NULL. */
static const char *
field(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':')
            return line + 2 + len + 1 + strspn(line + 2 + len + 1, " ");
    }
    return NULL;
}

static int
parse_head(const char *head, struct response *r)
{
    uint64_t status = 0;
    if (strlen(head) < 12 || strncmp(head, "HTTP/1.", 7) != 0 ||
        text_u64(head + 9, 3, &status) != 0)
        return -EPROTO;
    r->status = (unsigned)status;
    const char *length = field(head, "Content-Length");
    if (length != NULL && text_u64(length, strcspn(length, "\r"), &r->length) != 0)
        return -EPROTO;
    return 0;
}

/* Reads the head; body bytes that came with it stay in `room`, their number in ret_extra. */
static int
take_head(int fd, char *room, struct response *r, char **ret_body, size_t *ret_extra)
{
    size_t have = 0;
    while (have < HEAD_MAX) {
        ssize_t n = recv(fd, room + have, HEAD_MAX - have, 0);
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        have += (size_t)n;
        room[have] = '\0';
        char *end = strstr(room, "\r\n\r\n");
        if (end == NULL)
            continue;
        end[2] = '\0';
        *ret_body = end + 4;
        *ret_extra = have - (size_t)(*ret_body - room);
        return parse_head(room, r);
    }
    return -EMSGSIZE;
}

static int
take_body(int fd, const struct worker *w, struct response *r, int64_t began_us,
          struct digester *sum)
{
    int flags = w->plan->mode == MODE_DROP ? MSG_TRUNC : 0;
    int64_t last_us = clock_us();
    while (r->bytes < r->length) {
        ssize_t n = recv(fd, w->room, CHUNK_BYTES, flags);
        if (n <= 0)
            return n < 0 ? -errno : -ECONNRESET;
        int64_t now_us = clock_us();
        if (r->bytes == 0)
            r->first_us = now_us - began_us;
        else if (now_us - last_us > r->stall_us)
            r->stall_us = now_us - last_us;
        last_us = now_us;
        r->bytes += (uint64_t)n;
        if (sum != NULL)
            digester_add(sum, w->room, (size_t)n);
    }
    return 0;
}

static void
print_sum(struct digester *sum, char ret_hex[65])
{
    struct digest d;
    char hex[129];
    digester_finish(sum, &d);
    digest_hex(&d, hex);
    memcpy(ret_hex, hex, 65);
}

static int
get(const struct worker *w, const char *path, struct response *r)
{
    AUTO(fd_close) int fd = -1;
    int64_t began_us = clock_us();
    char *body = NULL;
    size_t extra = 0;
    int code = dial(w->plan, &fd);
    if (code == 0)
        code = ask(fd, w->plan, path);
    if (code == 0)
        code = take_head(fd, w->room, r, &body, &extra);
    if (code < 0)
        return code;
    if (extra > 0)
        r->first_us = clock_us() - began_us;
    r->bytes = extra;
    struct digester *sum = w->plan->mode == MODE_SHA256 ? digester_new(DIGEST_SHA256) : NULL;
    if (sum != NULL)
        digester_add(sum, body, extra);
    code = take_body(fd, w, r, began_us, sum);
    r->total_us = clock_us() - began_us;
    if (sum != NULL) {
        print_sum(sum, r->sha256);
        digester_free(sum);
    }
    return code;
}

static void
get_path(struct worker *w, size_t path)
{
    const struct plan *p = w->plan;
    struct response r = {.sha256 = "-", .at_us = clock_us() - p->began_us};
    int code = get(w, p->paths[path], &r);
    w->gets++;
    w->bytes += r.bytes;
    if (code < 0 || r.status != 200)
        w->failed++;
    if (r.first_us > w->first_us_max)
        w->first_us_max = r.first_us;
    if (r.stall_us > w->stall_us_max)
        w->stall_us_max = r.stall_us;
    if (!p->quiet) {
        (void)printf("get path=%zu status=%u bytes=%llu at_us=%lld first_us=%lld total_us=%lld "
                     "stall_us=%lld sha256=%s error=%d\n",
                     path, r.status, (unsigned long long)r.bytes, (long long)r.at_us,
                     (long long)r.first_us, (long long)r.total_us, (long long)r.stall_us, r.sha256,
                     code);
    }
}

static void
work(void *arg)
{
    struct worker *w = arg;
    struct plan *p = w->plan;
    for (unsigned i = 0; i < p->repeats && !p->image; i++)
        get_path(w, w->number % p->path_count);
    for (size_t next; p->image && (next = atomic_fetch_add(&p->next, 1)) < p->path_count;)
        get_path(w, next);
}

static void
add(struct worker *sum, const struct worker *w)
{
    sum->gets += w->gets;
    sum->bytes += w->bytes;
    sum->failed += w->failed;
    if (w->first_us_max > sum->first_us_max)
        sum->first_us_max = w->first_us_max;
    if (w->stall_us_max > sum->stall_us_max)
        sum->stall_us_max = w->stall_us_max;
}

static unsigned
run(struct plan *p, unsigned connections)
{
    struct worker *all = mem_zalloc(connections * sizeof *all);
    struct worker sum = {0};
    for (unsigned i = 0; i < connections; i++) {
        all[i] = (struct worker){.plan = p, .number = i, .room = mem_alloc(CHUNK_BYTES)};
        memset(all[i].room, 0, CHUNK_BYTES); /* its pages exist before the clock starts */
    }
    p->began_us = clock_us();
    if (p->image)
        get_path(&all[0], p->next++);
    for (unsigned i = 0; i < connections; i++)
        must(thread_start(&all[i].thread, "pull", work, &all[i]) == 0);
    for (unsigned i = 0; i < connections; i++) {
        thread_join(&all[i].thread);
        add(&sum, &all[i]);
        mem_free(all[i].room);
    }
    (void)printf("sum gets=%u bytes=%llu us=%lld first_us_max=%lld stall_us_max=%lld failed=%u\n",
                 sum.gets, (unsigned long long)sum.bytes, (long long)(clock_us() - p->began_us),
                 (long long)sum.first_us_max, (long long)sum.stall_us_max, sum.failed);
    mem_free(all);
    return sum.failed;
}

static unsigned
number(const char *text, unsigned most)
{
    uint64_t n = 0;
    if (text_u64(text, strlen(text), &n) != 0 || n == 0 || n > most) {
        (void)fprintf(stderr, "pull: %s: expected 1..%u\n", text, most);
        exit(2);
    }
    return (unsigned)n;
}

static enum mode
mode_named(const char *text)
{
    static const char *const names[] = {"drop", "copy", "sha256"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0)
            return (enum mode)i;
    }
    (void)fprintf(stderr, "pull: %s: expected drop, copy or sha256\n", text);
    exit(2);
}

int
main(int argc, char **argv)
{
    struct plan p = {.repeats = 1};
    unsigned connections = 1;
    for (int option = 0; (option = getopt(argc, argv, "in:r:m:q")) != -1;) {
        switch (option) {
        case 'i':
            p.image = true;
            break;
        case 'n':
            connections = number(optarg, CONNECTIONS_MAX);
            break;
        case 'r':
            p.repeats = number(optarg, REPEATS_MAX);
            break;
        case 'm':
            p.mode = mode_named(optarg);
            break;
        case 'q':
            p.quiet = true;
            break;
        default:
            return 2;
        }
    }
    if (argc - optind < 3) {
        (void)fputs("usage: pull [-i] [-n N] [-r N] [-m drop|copy|sha256] [-q] HOST PORT PATH...\n",
                    stderr);
        return 2;
    }
    p.host = argv[optind];
    p.paths = argv + optind + 2;
    p.path_count = (size_t)(argc - optind - 2);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int code = getaddrinfo(p.host, argv[optind + 1], &hints, &p.address);
    if (code != 0) {
        (void)fprintf(stderr, "pull: %s: %s\n", p.host, gai_strerror(code));
        return 2;
    }
    unsigned failed = run(&p, connections);
    freeaddrinfo(p.address);
    return failed == 0 ? 0 : 1;
}
