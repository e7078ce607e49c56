/* A registry in this process that behaves as the repository's name says, and remembers what it
 * was asked; or, as its `peer` says, another node. One thread per connection, plain http on a free
 * port of 127.0.0.1. */
#ifndef TESTS_FAKEREG_H
#define TESTS_FAKEREG_H

#include "base/digest.h"
#include "base/hash.h"
#include "base/must.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAKE_BYTES    (3u * 1024 * 1024 + 77)
#define FAKE_SEEN_MAX 256
#define FAKE_CUT      (1024u * 1024 + 7)

struct fake_seen {
    char method[8], path[300], range[64], authorization[128], host[64], if_range[64];
    char encoding[64];
    char auth[160], class[32]; /* of a request to a peer */
};

/* HALF: of the first request, until there is another one. */
enum fake_peer {
    FAKE_GOOD,
    FAKE_WRONG,
    FAKE_BUSY,
    FAKE_SHORT,
    FAKE_ABSENT,
    FAKE_BARE,
    FAKE_MUTE,
    FAKE_HALF
};

struct fake {
    int listen_fd;
    unsigned port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct fake_seen seen[FAKE_SEEN_MAX]; /* lock */
    size_t count;                         /* lock */
    unsigned open;                        /* lock: connections */
    pthread_cond_t closed;
    enum fake_peer peer; /* fixed before it is asked */
    int stop_fd[2];      /* readable when the server ends */
    unsigned char *bytes;
    struct digest digest;
    char digest_text[DIGEST_TEXT_MAX];
};

struct fake_job {
    struct fake *f;
    int fd;
};

static void
fake_send(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += n;
        len -= (size_t)n;
    }
}

static void
fake_text(int fd, const char *text)
{
    fake_send(fd, text, strlen(text));
}

static void
fake_field(const char *head, const char *name, char *ret, size_t cap)
{
    const char *at = strcasestr(head, name);
    ret[0] = '\0';
    if (at == NULL)
        return;
    at += strlen(name);
    size_t len = strcspn(at, "\r");
    if (len >= cap)
        len = cap - 1;
    memcpy(ret, at, len);
    ret[len] = '\0';
}

/* How often that path was asked for so far, this time included. */
static unsigned
fake_note(struct fake *f, const char *head)
{
    struct fake_seen s = {0};
    (void)sscanf(head, "%7s %299s", s.method, s.path);
    fake_field(head, "\r\nRange: ", s.range, sizeof s.range);
    fake_field(head, "\r\nIf-Range: ", s.if_range, sizeof s.if_range);
    fake_field(head, "\r\nAuthorization: ", s.authorization, sizeof s.authorization);
    fake_field(head, "\r\nHost: ", s.host, sizeof s.host);
    fake_field(head, "\r\nAccept-Encoding: ", s.encoding, sizeof s.encoding);
    fake_field(head, "\r\nPs-Auth: ", s.auth, sizeof s.auth);
    fake_field(head, "\r\nPs-Class: ", s.class, sizeof s.class);
    unsigned n = 1;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++)
        n += strcmp(f->seen[i].path, s.path) == 0;
    if (f->count < FAKE_SEEN_MAX)
        f->seen[f->count++] = s;
    pthread_mutex_unlock(&f->lock);
    return n;
}

static void
fake_blob_head(int fd, const char *status, size_t length, const char *more)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 %s\r\nContent-Length: %zu\r\nETag: \"tag\"\r\n%s\r\n", status, length,
                   more);
    fake_text(fd, text);
}

/* Sends the blob as a good registry does, at most `max` bytes of it. True when all was sent. */
static bool
fake_blob(struct fake *f, int fd, const char *head, size_t max)
{
    char range[64];
    size_t start = 0;
    size_t end = FAKE_BYTES;
    fake_field(head, "\r\nRange: bytes=", range, sizeof range);
    if (range[0] != '\0') {
        char *dash = NULL;
        start = strtoul(range, &dash, 10);
        if (dash[1] != '\0')
            end = strtoul(dash + 1, NULL, 10) + 1;
        char more[128];
        (void)snprintf(more, sizeof more, "Content-Range: bytes %zu-%zu/%u\r\n", start, end - 1,
                       FAKE_BYTES);
        fake_blob_head(fd, "206 Partial Content", end - start, more);
    } else {
        fake_blob_head(fd, "200 OK", FAKE_BYTES, "");
    }
    size_t len = end - start < max ? end - start : max;
    fake_send(fd, f->bytes + start, len);
    return len == end - start;
}

/* Silent until the client leaves or the test ends. */
static void
fake_hang(struct fake *f, int fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLRDHUP}, {.fd = f->stop_fd[0], .events = POLLIN}};
    (void)poll(p, 2, -1);
}

/* Requests whose path holds `part`, copied. */
static size_t
fake_asked(struct fake *f, const char *part, struct fake_seen *ret, size_t max)
{
    size_t n = 0;
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++) {
        if (strstr(f->seen[i].path, part) == NULL)
            continue;
        if (n < max)
            ret[n] = f->seen[i];
        n++;
    }
    pthread_mutex_unlock(&f->lock);
    return n;
}

#define FAKE_LATE_MS 2400 /* longer than a first try is waited for */

static void
fake_be_late(struct fake *f)
{
    struct pollfd p = {.fd = f->stop_fd[0], .events = POLLIN};
    (void)poll(&p, 1, FAKE_LATE_MS);
}

/* Until it was asked so often for such a path, or the test ends. */
static void
fake_wait_for(struct fake *f, const char *part, size_t times)
{
    struct pollfd p = {.fd = f->stop_fd[0], .events = POLLIN};
    struct fake_seen seen[1];
    while (fake_asked(f, part, seen, 1) < times && poll(&p, 1, 5) == 0)
        ;
}

/* Byte after byte of what was asked for, until the client leaves or the test ends. */
static void
fake_drip(struct fake *f, int fd, const char *head)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLRDHUP}, {.fd = f->stop_fd[0], .events = POLLIN}};
    char range[64];
    (void)fake_blob(f, fd, head, 0);
    fake_field(head, "\r\nRange: bytes=", range, sizeof range);
    for (size_t at = strtoul(range, NULL, 10); at < FAKE_BYTES && poll(p, 2, 20) == 0; at++)
        fake_send(fd, f->bytes + at, 1);
}

static bool
fake_token_flow(struct fake *f, int fd, const char *head, const char *repository)
{
    char proof[128];
    char text[512];
    fake_field(head, "\r\nAuthorization: ", proof, sizeof proof);
    if (strcmp(proof, "Bearer good") == 0)
        return false;
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nWWW-Authenticate: Bearer "
                   "realm=\"http://127.0.0.1:%u/token\",service=\"fake\","
                   "scope=\"repository:%s:pull\"\r\n\r\n{}",
                   f->port, repository);
    fake_text(fd, text);
    return true;
}

#define FAKE_EMPTY(status, more) \
    (fake_text(fd, "HTTP/1.1 " status "\r\nContent-Length: 0\r\n" more "\r\n"), true)

/* True: the connection stays open. */
static bool
fake_serve_blob(struct fake *f, int fd, const char *head, const char *repo, unsigned nth)
{
    char text[512];
    if (strcmp(repo, "cut") == 0 && nth == 1)
        return fake_blob(f, fd, head, FAKE_CUT);
    if (strcmp(repo, "norange") == 0 || (strcmp(repo, "norange1") == 0 && nth == 1)) {
        fake_blob_head(fd, "200 OK", FAKE_BYTES, "");
        fake_send(fd, f->bytes, nth == 1 ? FAKE_CUT : FAKE_BYTES);
        return nth > 1;
    }
    if (strncmp(repo, "token", 5) == 0 && fake_token_flow(f, fd, head, repo))
        return true;
    if (strcmp(repo, "expire") == 0 && (nth == 1 || nth == 3)) {
        (void)snprintf(text, sizeof text,
                       "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\"\r\n", f->port);
        fake_blob_head(fd, "401 Unauthorized", 0, text);
        return true;
    }
    if (strcmp(repo, "expire") == 0 && nth == 2)
        return fake_blob(f, fd, head, FAKE_CUT);
    if (strcmp(repo, "basic") == 0) {
        char proof[128];
        fake_field(head, "\r\nAuthorization: ", proof, sizeof proof);
        if (strcmp(proof, "Basic bWU6cGFzcw==") != 0)
            return FAKE_EMPTY("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n");
    }
    if (strcmp(repo, "busy") == 0 && nth == 1)
        return FAKE_EMPTY("429 Too Many Requests", "Retry-After: 1\r\n");
    if (strcmp(repo, "verybusy") == 0)
        return FAKE_EMPTY("503 Service Unavailable", "Retry-After: 600\r\n");
    if (strncmp(repo, "moved", 5) == 0) {
        (void)snprintf(text, sizeof text,
                       "HTTP/1.1 307 x\r\nContent-Length: 0\r\nLocation: "
                       "http://localhost:%u/store/%s?sig=S3CRET\r\n\r\n",
                       f->port, f->digest_text);
        fake_text(fd, text);
        return true;
    }
    if (strcmp(repo, "loop") == 0) {
        (void)snprintf(
            text, sizeof text,
            "HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: /v2/loop/blobs/x%u\r\n\r\n", nth);
        fake_text(fd, text);
        return true;
    }
    if (strcmp(repo, "metadata") == 0)
        return FAKE_EMPTY("302 Found", "Location: http://169.254.169.254/latest\r\n");
    if (strcmp(repo, "stall") == 0 && nth == 1) {
        (void)fake_blob(f, fd, head, FAKE_CUT);
        fake_hang(f, fd);
        return false;
    }
    if (strcmp(repo, "drip") == 0 && nth == 1) {
        fake_drip(f, fd, head);
        return false;
    }
    if (strcmp(repo, "mute") == 0) {
        fake_hang(f, fd);
        return false;
    }
    if (strncmp(repo, "mute1", 5) == 0 && nth == 1) {
        fake_hang(f, fd);
        return false;
    }
    if (strcmp(repo, "late") == 0)
        fake_be_late(f);
    if (strcmp(repo, "gonelater") == 0)
        fake_wait_for(f, "/norange/", 3);
    if (strncmp(repo, "gone", 4) == 0)
        return FAKE_EMPTY("404 Not Found", "");
    if (strcmp(repo, "forbidden") == 0)
        return FAKE_EMPTY("403 Forbidden", "");
    if (strcmp(repo, "broken") == 0 || strcmp(repo, "drip") == 0 ||
        strcmp(repo, "mute1broken") == 0 || (strcmp(repo, "flaky") == 0 && nth <= 2))
        return FAKE_EMPTY("500 Oops", "");
    if (strcmp(repo, "gzip") == 0) {
        fake_blob_head(fd, "200 OK", FAKE_BYTES, "Content-Encoding: gzip\r\n");
        return false;
    }
    if (strcmp(repo, "otherrange") == 0 && nth > 1) {
        (void)snprintf(text, sizeof text, "Content-Range: bytes 0-%u/%u\r\n", FAKE_BYTES - 1,
                       FAKE_BYTES);
        fake_blob_head(fd, "206 Partial Content", FAKE_BYTES, text);
        return false;
    }
    if (strcmp(repo, "otherrange") == 0)
        return fake_blob(f, fd, head, FAKE_CUT);
    if (strcmp(repo, "nolength") == 0) {
        fake_text(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        fake_send(fd, f->bytes, FAKE_BYTES);
        return false;
    }
    if (strcmp(repo, "evilrealm") == 0)
        return FAKE_EMPTY("401 Unauthorized",
                          "WWW-Authenticate: Bearer realm=\"http://evil.example/t\"\r\n");
    return fake_blob(f, fd, head, FAKE_BYTES);
}

static bool
fake_serve_manifest(struct fake *f, int fd, const char *head, const char *repo, unsigned nth)
{
    bool is_head = strncmp(head, "HEAD", 4) == 0;
    if (strcmp(repo, "token") == 0 && fake_token_flow(f, fd, head, repo))
        return true;
    if (strcmp(repo, "denied") == 0)
        return FAKE_EMPTY("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n");
    if (strcmp(repo, "gone") == 0)
        return FAKE_EMPTY("404 Not Found", "");
    if (strcmp(repo, "broken") == 0 || (strcmp(repo, "flaky") == 0 && nth == 1))
        return FAKE_EMPTY("502 Bad Gateway", "");
    if (strcmp(repo, "busyask") == 0)
        return FAKE_EMPTY("429 Too Many Requests", "Retry-After: 60\r\n");
    if (strcmp(repo, "mute") == 0) {
        fake_hang(f, fd);
        return false;
    }
    if (strcmp(repo, "late") == 0)
        fake_be_late(f);
    char text[512];
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: application/x\r\n"
                   "Docker-Content-Digest: %s\r\n\r\n%s",
                   f->digest_text, is_head ? "" : "{\"manifest\"!}");
    fake_text(fd, text);
    return true;
}

static bool
fake_serve_token(struct fake *f, int fd, const char *head, unsigned nth)
{
    char text[512];
    if (strstr(head, "scope=repository%3Atokenmute") != NULL && nth == 1) {
        fake_hang(f, fd);
        return false;
    }
    const char *answer = strstr(head, "scope=repository%3Atokendenied") != NULL
                             ? ""
                             : "{\"token\":\"good\",\"expires_in\":300}";
    (void)snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s",
                   answer[0] != '\0' ? "200 OK" : "401 Unauthorized", strlen(answer), answer);
    fake_text(fd, text);
    return true;
}

/* A piece as another node sends it: 206 with checksums, unless it shall be without. The wrong one
 * has a flipped bit in the middle, the short one ends there. */
static bool
fake_serve_piece(struct fake *f, int fd, const char *head)
{
    enum { BLOCK = 128 * 1024 };
    static const char busy[] = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nPs-Busy-Ms: 70\r\n\r\n";
    char range[64], sums[512] = "", text[1024];
    char *dash = NULL;
    if (f->peer == FAKE_BUSY) {
        fake_text(fd, busy);
        return true;
    }
    if (f->peer == FAKE_ABSENT)
        return FAKE_EMPTY("404 Not Found", "");
    if (f->peer == FAKE_MUTE) {
        fake_hang(f, fd);
        return false;
    }
    fake_field(head, "\r\nRange: bytes=", range, sizeof range);
    size_t start = strtoul(range, &dash, 10), end = strtoul(dash + 1, NULL, 10) + 1;
    size_t len = end - start;
    for (size_t at = 0; at < len; at += BLOCK) {
        size_t n = len - at < BLOCK ? len - at : BLOCK;
        (void)snprintf(sums + strlen(sums), 9, "%08x", hash_crc32c(f->bytes + start + at, n));
    }
    if (f->peer == FAKE_BARE || strstr(head, "\r\nPs-Crc32c: none\r\n") != NULL)
        sums[0] = '\0';
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 206 Partial\r\nContent-Length: %zu\r\nContent-Range: bytes "
                   "%zu-%zu/%u\r\nPs-Crc32c: %s\r\n\r\n",
                   len, start, end - 1, FAKE_BYTES, sums);
    fake_text(fd, text);
    bool whole = f->peer != FAKE_SHORT && f->peer != FAKE_WRONG;
    if (f->peer == FAKE_HALF) {
        fake_send(fd, f->bytes + start, len / 2);
        fake_wait_for(f, "/p2p/", 2);
        start += len / 2;
        len -= len / 2;
    }
    fake_send(fd, f->bytes + start, whole ? len : BLOCK + 9);
    if (f->peer == FAKE_WRONG) {
        unsigned char flipped = f->bytes[start + BLOCK + 9] ^ 1;
        fake_send(fd, &flipped, 1);
        fake_send(fd, f->bytes + start + BLOCK + 10, len - BLOCK - 10);
    }
    return f->peer != FAKE_SHORT;
}

static bool
fake_serve(struct fake *f, int fd, const char *head)
{
    unsigned nth = fake_note(f, head);
    char path[300] = "";
    char repo[64] = "";
    (void)sscanf(head, "%*s %299s", path);
    (void)sscanf(path, "/v2/%63[^/]/", repo);
    if (strncmp(path, "/p2p/v1/blob/", 13) == 0)
        return fake_serve_piece(f, fd, head);
    if (strncmp(path, "/token", 6) == 0)
        return fake_serve_token(f, fd, head, nth);
    if (strncmp(path, "/store/", 7) == 0)
        return fake_blob(f, fd, head, FAKE_BYTES);
    if (strstr(path, "/blobs/") != NULL)
        return fake_serve_blob(f, fd, head, repo, nth);
    return fake_serve_manifest(f, fd, head, repo, nth);
}

static void *
fake_connection(void *arg)
{
    struct fake_job *job = arg;
    struct fake *f = job->f;
    int fd = job->fd;
    free(job);
    char head[8192];
    size_t held = 0;
    for (bool keep = true; keep;) {
        ssize_t n = recv(fd, head + held, sizeof head - held - 1, 0);
        if (n <= 0)
            break;
        held += (size_t)n;
        head[held] = '\0';
        if (strstr(head, "\r\n\r\n") == NULL)
            continue;
        keep = fake_serve(f, fd, head);
        held = 0;
    }
    (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
    pthread_mutex_lock(&f->lock);
    f->open--;
    pthread_cond_broadcast(&f->closed);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static void *
fake_accept(void *arg)
{
    struct fake *f = arg;
    for (;;) {
        int fd = accept(f->listen_fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct fake_job *job = malloc(sizeof *job);
        must(job != NULL);
        *job = (struct fake_job){f, fd};
        pthread_mutex_lock(&f->lock);
        f->open++;
        pthread_mutex_unlock(&f->lock);
        pthread_t t;
        must(pthread_create(&t, NULL, fake_connection, job) == 0);
        (void)pthread_detach(t);
    }
}

static void
fake_start(struct fake *f)
{
    memset(f, 0, sizeof *f);
    (void)pthread_mutex_init(&f->lock, NULL);
    (void)pthread_cond_init(&f->closed, NULL);
    must(pipe(f->stop_fd) == 0);
    f->bytes = malloc(FAKE_BYTES);
    must(f->bytes != NULL);
    uint32_t x = 12345;
    for (size_t i = 0; i < FAKE_BYTES; i++) {
        x = x * 1664525u + 1013904223u;
        f->bytes[i] = (unsigned char)(x >> 24);
    }
    digest_of(DIGEST_SHA256, f->bytes, FAKE_BYTES, &f->digest);
    digest_print(&f->digest, f->digest_text);
    f->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    must(bind(f->listen_fd, (struct sockaddr *)&at, sizeof at) == 0);
    must(listen(f->listen_fd, 64) == 0);
    must(getsockname(f->listen_fd, (struct sockaddr *)&at, &len) == 0);
    f->port = ntohs(at.sin_port);
    must(pthread_create(&f->thread, NULL, fake_accept, f) == 0);
}

/* After the fetch is closed: its connections are gone then. */
static void
fake_stop(struct fake *f)
{
    (void)shutdown(f->listen_fd, SHUT_RDWR);
    (void)pthread_join(f->thread, NULL);
    (void)close(f->listen_fd);
    (void)!write(f->stop_fd[1], "x", 1);
    pthread_mutex_lock(&f->lock);
    while (f->open > 0)
        pthread_cond_wait(&f->closed, &f->lock);
    pthread_mutex_unlock(&f->lock);
    (void)close(f->stop_fd[0]);
    (void)close(f->stop_fd[1]);
    free(f->bytes);
}

#endif
