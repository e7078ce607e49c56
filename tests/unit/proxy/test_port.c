/* The peer port on a real socket: whole and half-filled blobs, seals, slots, rate, stalls. */
#include "base/hash.h"
#include "base/metric.h"
#include "base/thread.h"
#include "base/zstd.h"
#include "p2p/p2p.h"
#include "proxy/api/server.h"
#include "proxy/peer/port.h"
#include "proxy/settings.h"
#include "tests/unit/cache/room.h"
#include "tests/unit/proxy/got.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>

static const struct seal_key key = {{7}}, other_key = {{8}};

struct house {
    struct room room;
    char dirs[3][64];
    struct p2p *own, *other, *stranger;
    struct settings *settings;
    struct port *port;
    int number;
};

static void
get(void *arg, const struct digest *blob, const struct swarm_get *g)
{
    (void)arg, (void)blob, (void)g;
}

static void
stop(void *arg, const struct digest *blob, uint32_t g, uint32_t end)
{
    (void)arg, (void)blob, (void)g, (void)end;
}

static uint64_t
stored(void *arg, const struct digest *blob)
{
    (void)arg, (void)blob;
    return 0;
}

static struct p2p *
swarm(char dir[64], const struct seal_key *k)
{
    static const struct p2p_ops ops = {.get = get, .stop = stop, .stored = stored};
    struct p2p *p = NULL;
    struct err e = {0};
    struct seal_keys keys = {1, {*k}};
    make_folder(dir);
    struct p2p_config c = {
        .listen = "127.0.0.1:0", .advertise = "auto", .site = "here", .dir = dir, .keys = &keys};
    if (p2p_open(&c, &ops, &p, &e) < 0)
        fail_msg("%s", e.text);
    return p;
}

static struct settings *
limits(const char *text)
{
    struct settings *s = NULL;
    struct err e = {0};
    if (settings_parse(text, strlen(text), "test", &s, &e) < 0)
        fail_msg("%s", e.text);
    return s;
}

static void
open_house(struct house *h, const char *yaml)
{
    struct err e = {0};
    char address[SERVER_ADDRESS_MAX];
    int fd = -1;
    memset(h, 0, sizeof *h);
    room_init(&h->room, 256 * (uint64_t)MIB);
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    assert_int_equal(sigaction(SIGPIPE, &ignored, NULL), 0);
    h->own = swarm(h->dirs[0], &key);
    h->other = swarm(h->dirs[1], &key);
    h->stranger = swarm(h->dirs[2], &other_key);
    h->settings = limits(yaml);
    if (server_listen("127.0.0.1:0", &fd, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(server_address(fd, address), 0);
    h->number = (int)strtol(strrchr(address, ':') + 1, NULL, 10);
    struct port_config c = {h->settings, h->room.cache, h->own, fd};
    if (port_open(&c, &h->port, &e) < 0)
        fail_msg("%s", e.text);
}

static void
close_house(struct house *h)
{
    port_close(h->port);
    p2p_close(h->own);
    p2p_close(h->other);
    p2p_close(h->stranger);
    settings_release(&h->settings);
    room_release(&h->room);
    for (size_t i = 0; i < ARRAY_LEN(h->dirs); i++)
        (void)nftw(h->dirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- a client ---- */

static int
dial(const struct house *h)
{
    return got_connect(h->number);
}

/* Everything until the other side ends. */
static void
take(int fd, struct got *ret)
{
    *ret = (struct got){0};
    got_read(fd, ret);
    assert_false(ret->reset);
    got_split(ret, false);
}

static void
say(int fd, const void *bytes, size_t len)
{
    assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
}

/* `what` is signed by `by`; `range` is sent. NULL: without. */
static int
begin(struct house *h, struct p2p *by, const char *what, const char *path, const char *range)
{
    char auth[SEAL_TEXT_MAX] = "";
    if (by)
        assert_int_equal(p2p_sign(by, what, auth), 0);
    char *text = mem_printf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s%s%s%s%s%s\r\n",
                            path, by ? "Ps-Auth: " : "", auth, by ? "\r\n" : "",
                            range ? "Range: " : "", range ? range : "", range ? "\r\n" : "");
    int fd = dial(h);
    say(fd, text, strlen(text));
    mem_free(text);
    return fd;
}

static int
ask_as(struct house *h, struct p2p *by, const char *path, const char *range, struct got *ret)
{
    char *what = mem_printf(range ? "GET %s %s" : "GET %s", path, range);
    int fd = begin(h, by, what, path, range);
    mem_free(what);
    take(fd, ret);
    fd_close(&fd);
    return ret->status;
}

/* The answer to another node that says one thing more. */
static void
ask_saying(struct house *h, const char *path, const char *range, const char *line, struct got *ret)
{
    char auth[SEAL_TEXT_MAX];
    char *what = mem_printf("GET %s %s", path, range);
    assert_int_equal(p2p_sign(h->other, what, auth), 0);
    char *text = mem_printf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPs-Auth: %s\r\n"
                            "Range: %s\r\n%s\r\n\r\n",
                            path, auth, range, line);
    int fd = dial(h);
    say(fd, text, strlen(text));
    take(fd, ret);
    fd_close(&fd);
    mem_free(what);
    mem_free(text);
}

static int
status_of(struct house *h, struct p2p *by, const char *path, const char *range)
{
    struct got g;
    int status = ask_as(h, by, path, range, &g);
    buf_release(&g.body);
    return status;
}

static void
path_of(const struct digest *d, char ret[256])
{
    char text[DIGEST_TEXT_MAX];
    digest_print(d, text);
    (void)snprintf(ret, 256, "%s%s", PIECE_PATH, text);
}

/* The sums of the answer are those of the bytes. */
static void
check(const struct got *g, const uint8_t *body, size_t len)
{
    char sums[PIECE_BLOCKS_MAX * 8 + 1] = "";
    assert_int_equal(g->body.len, len);
    assert_memory_equal(g->body.data, body, len);
    for (size_t at = 0, n = 0; at < len; at += PIECE_BLOCK_BYTES, n += 8) {
        size_t part = len - at < PIECE_BLOCK_BYTES ? len - at : PIECE_BLOCK_BYTES;
        (void)snprintf(sums + n, 9, "%08x", hash_crc32c(body + at, part));
    }
    assert_string_equal(got_header(g, PIECE_CRC), sums);
}

static struct blob *
half_filled(struct house *h, const struct digest *d, const uint8_t *body, size_t size, size_t have)
{
    enum cache_got got;
    struct blob *b = cache_acquire(h->room.cache, d, &got);
    assert_int_equal(got, CACHE_LEAD);
    assert_int_equal(blob_begin(b, size), 0);
    struct gap gap;
    assert_true(blob_claim(b, UINT64_MAX, &gap));
    assert_int_equal(blob_write(b, 0, body, have, BLOB_FROM_UPSTREAM), 0);
    return b;
}

/* ---- tests ---- */

static void
a_stored_blob_comes_in_parts_and_whole(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    struct got g;
    char path[256];
    size_t size = 3 * MIB + 4321;
    uint8_t *body = make_body(1, size, &d);
    open_house(&h, "");
    assert_int_equal(put_whole(h.room.cache, &d, body, size), 0);
    path_of(&d, path);
    assert_int_equal(ask_as(&h, h.other, path, NULL, &g), 200);
    check(&g, body, size);
    buf_release(&g.body);
    assert_int_equal(ask_as(&h, h.other, path, "bytes=1000000-2100000", &g), 206);
    check(&g, body + 1000000, 1100001);
    char range[64];
    (void)snprintf(range, sizeof range, "bytes 1000000-2100000/%zu", size);
    assert_string_equal(got_header(&g, "Content-Range"), range);
    buf_release(&g.body);
    ask_saying(&h, path, "bytes=1000000-2100000", "Ps-Crc32c: none", &g);
    assert_int_equal(g.status, 206);
    assert_string_equal(got_header(&g, PIECE_CRC), "");
    assert_int_equal(g.body.len, 1100001);
    assert_memory_equal(g.body.data, body + 1000000, 1100001);
    buf_release(&g.body);
    char digest[DIGEST_TEXT_MAX];
    digest_print(&d, digest);
    (void)snprintf(path, sizeof path, "%s%s", PIECE_MANIFEST_PATH, digest);
    assert_int_equal(ask_as(&h, h.other, path, NULL, &g), 200);
    check(&g, body, size);
    buf_release(&g.body);
    close_house(&h);
    mem_free(body);
}

/* Also to who asks for no sums, for which all of it is read first. */
static void
what_became_shorter_on_the_disk_is_not_here(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    struct got g;
    char path[256], file[256];
    uint8_t *body = make_body(11, 2 * MIB, &d);
    open_house(&h, "");
    assert_int_equal(put_whole(h.room.cache, &d, body, 2 * MIB), 0);
    path_of(&d, path);
    blob_path(&h.room, &d, file);
    struct blob *b = cache_find(h.room.cache, &d); /* open before, or that it changed is seen */
    assert_non_null(b);
    assert_int_equal(truncate(file, MIB), 0);
    ask_saying(&h, path, "bytes=0-1048575", "Ps-Crc32c: none", &g);
    assert_int_equal(g.status, 206);
    assert_int_equal(g.body.len, MIB);
    buf_release(&g.body);
    ask_saying(&h, path, "bytes=0-1048576", "Ps-Crc32c: none", &g);
    assert_int_equal(g.status, 404);
    buf_release(&g.body);
    blob_release(&b);
    close_house(&h);
    mem_free(body);
}

static void
a_blob_in_flight_gives_what_is_held_and_nothing_else(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    struct got g;
    char path[256];
    size_t size = 2 * MIB, have = MIB + 77;
    uint8_t *body = make_body(2, size, &d);
    open_house(&h, "");
    path_of(&d, path);
    assert_int_equal(status_of(&h, h.other, path, "bytes=0-9"), 404);
    struct blob *b = half_filled(&h, &d, body, size, have);
    assert_int_equal(ask_as(&h, h.other, path, "bytes=262144-1048652", &g), 206);
    check(&g, body + 262144, 1048652 - 262144 + 1);
    buf_release(&g.body);
    assert_int_equal(status_of(&h, h.other, path, "bytes=262144-1048653"), 404);
    assert_int_equal(status_of(&h, h.other, path, NULL), 404);
    assert_int_equal(status_of(&h, h.other, path, "bytes=1500000-1500001"), 404);
    assert_int_equal(status_of(&h, h.other, path, "bytes=0-2097152"), 416);
    blob_release(&b);
    /* The thread of the last answer may hold it for a moment longer. */
    int status = 0;
    for (int64_t end_ms = clock_ms() + 10000; status != 404 && clock_ms() < end_ms;)
        status = status_of(&h, h.other, path, "bytes=0-9");
    assert_int_equal(status, 404);
    close_house(&h);
    mem_free(body);
}

static void
the_tail_is_not_held_back_from_nodes(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    struct got g;
    char path[256];
    size_t size = 2 * MIB;
    uint8_t *body = make_body(3, size, &d);
    open_house(&h, "");
    /* One byte is missing before it: it can never be verified. */
    enum cache_got got;
    struct blob *b = cache_acquire(h.room.cache, &d, &got);
    struct gap gap;
    assert_int_equal(blob_begin(b, size), 0);
    assert_true(blob_claim_in(b, size - 256 * KIB, size, &gap));
    assert_int_equal(blob_write(b, gap.start, body + gap.start, 256 * KIB, BLOB_FROM_PEER), 0);
    path_of(&d, path);
    assert_int_equal(ask_as(&h, h.other, path, "bytes=2097000-2097151", &g), 206);
    check(&g, body + 2097000, 152);
    buf_release(&g.body);
    blob_release(&b);
    close_house(&h);
    mem_free(body);
}

/* Undoes the chunks of a body without a length. */
static void
join_chunks(struct buf *body, struct buf *ret)
{
    char *at = body->data;
    for (;;) {
        char *end;
        unsigned long n = strtoul(at, &end, 16);
        assert_memory_equal(end, "\r\n", 2);
        if (n == 0)
            return;
        assert_true(end + 2 + n + 2 <= body->data + body->len);
        assert_int_equal(buf_add(ret, end + 2, n), 0);
        at = end + 2 + n + 2;
    }
}

/* What can be packed is, range and checksums are of the bytes themselves; noise comes as ever. */
static void
pieces_for_another_site_are_packed_when_that_pays(const char *limit)
{
    struct house h;
    struct digest d, noisy;
    struct got g;
    static const char zstd[] = "Ps-Accept: zstd";
    char path[256], sums[GOT_HEADER_MAX];
    size_t size = 3 * MIB, from = 300000, len = MIB + 5;
    uint8_t *noise = make_body(21, size, &noisy), *body = mem_alloc(size);
    for (size_t i = 0; i < size; i++)
        body[i] = (uint8_t)("0123456789abcdef"[noise[i] % 16]);
    digest_of(DIGEST_SHA256, body, size, &d);
    open_house(&h, limit);
    assert_int_equal(put_whole(h.room.cache, &d, body, size), 0);
    assert_int_equal(put_whole(h.room.cache, &noisy, noise, size), 0);
    uint64_t uploaded = metric_get(M_peer_upload), saved = metric_get(M_saved_sent);
    path_of(&d, path);
    ask_saying(&h, path, "bytes=300000-1348580", zstd, &g);
    assert_int_equal(g.status, 206);
    assert_string_equal(got_header(&g, PIECE_CODING), PIECE_ZSTD);
    assert_string_equal(got_header(&g, "Content-Range"), "bytes 300000-1348580/3145728");
    AUTO(buf_release) struct buf frame;
    buf_init(&frame, size);
    join_chunks(&g.body, &frame);
    assert_true(frame.len < len * 6 / 10);
    assert_true(metric_get(M_peer_upload) - uploaded == frame.len);
    assert_true(metric_get(M_saved_sent) - saved == len - frame.len);
    buf_clear(&g.body);
    assert_int_equal(zstd_unpack(frame.data, frame.len, len, &g.body), 0);
    check(&g, body + from, len);
    (void)snprintf(sums, sizeof sums, "%s", got_header(&g, PIECE_CRC));
    buf_release(&g.body);
    path_of(&noisy, path);
    ask_saying(&h, path, "bytes=300000-1348580", zstd, &g);
    assert_string_equal(got_header(&g, PIECE_CODING), "");
    check(&g, noise + from, len);
    buf_release(&g.body);
    /* Who did not ask for it gets bytes. */
    path_of(&d, path);
    assert_int_equal(ask_as(&h, h.other, path, "bytes=300000-1348580", &g), 206);
    check(&g, body + from, len);
    assert_string_equal(got_header(&g, PIECE_CRC), sums);
    buf_release(&g.body);
    close_house(&h);
    mem_free(noise);
    mem_free(body);
}

static void
another_site_gets_packed_pieces(void **state)
{
    (void)state;
    pieces_for_another_site_are_packed_when_that_pays("");
}

static void
also_below_a_rate(void **state)
{
    (void)state;
    pieces_for_another_site_are_packed_when_that_pays("limits: {upload_rate: 64MiB}");
}

static void
without_the_right_seal_nothing_is_told(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    char path[256], what[512];
    uint8_t *body = make_body(4, 1000, &d);
    open_house(&h, "");
    assert_int_equal(put_whole(h.room.cache, &d, body, 1000), 0);
    path_of(&d, path);
    assert_int_equal(status_of(&h, NULL, path, NULL), 403);
    assert_int_equal(status_of(&h, NULL, path, "bytes=5000000-0"), 403);
    assert_int_equal(status_of(&h, h.stranger, path, NULL), 403);
    assert_int_equal(status_of(&h, h.stranger, path, "bytes=0-9"), 403);
    (void)snprintf(what, sizeof what, "GET %s bytes=0-9", path);
    struct got g;
    int fd = begin(&h, h.other, what, path, "bytes=0-99"); /* another range than the signed */
    take(fd, &g);
    fd_close(&fd);
    assert_int_equal(g.status, 403);
    buf_release(&g.body);
    assert_int_equal(status_of(&h, h.other, path, "bytes=0-9"), 206);
    close_house(&h);
    mem_free(body);
}

static void
a_header_serves_once(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    char path[256], what[512], auth[SEAL_TEXT_MAX];
    uint8_t *body = make_body(5, 1000, &d);
    open_house(&h, "");
    assert_int_equal(put_whole(h.room.cache, &d, body, 1000), 0);
    path_of(&d, path);
    (void)snprintf(what, sizeof what, "GET %s", path);
    assert_int_equal(p2p_sign(h.other, what, auth), 0);
    char *text = mem_printf(
        "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nPs-Auth: %s\r\n\r\n", path, auth);
    for (int i = 0; i < 2; i++) {
        struct got g;
        int fd = dial(&h);
        say(fd, text, strlen(text));
        take(fd, &g);
        fd_close(&fd);
        assert_int_equal(g.status, i == 0 ? 200 : 403);
        buf_release(&g.body);
    }
    mem_free(text);
    close_house(&h);
    mem_free(body);
}

static int
post(struct house *h, const char *headers, const void *bytes, size_t len)
{
    struct got g;
    int fd = dial(h);
    char *text = mem_printf(
        "POST /p2p/v1/control HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", headers);
    say(fd, text, strlen(text));
    if (len > 0)
        say(fd, bytes, len);
    mem_free(text);
    take(fd, &g);
    fd_close(&fd);
    buf_release(&g.body);
    return g.status;
}

static void
a_message_is_a_sealed_body_of_told_length(void **state)
{
    (void)state;
    struct house h;
    open_house(&h, "");
    uint8_t msg[SEAL_HEAD + SEAL_MAC];
    struct seal_head head = {.kind = SEAL_REQUEST,
                             .sender = {{9}},
                             .stamp_ms = (uint64_t)clock_wall_s() * 1000,
                             .boot = 1,
                             .seq = 1};
    char length[64];
    size_t len = seal_close(&other_key, &head, msg);
    (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", len);
    assert_int_equal(post(&h, length, msg, len), 403);
    assert_int_equal(post(&h, "Content-Length: 3\r\n", "abc", 3), 400);
    assert_int_equal(post(&h, "", NULL, 0), 411);
    assert_int_equal(post(&h, "Content-Length: 3\r\nContent-Length: 3\r\n", "abc", 3), 400);
    assert_int_equal(post(&h, "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "abc", 3),
                     400);
    assert_int_equal(post(&h, "Content-Length: 70000\r\n", NULL, 0), 413);
    len = seal_close(&key, &head, msg);
    int status = post(&h, length, msg, len);
    assert_true(status == 404 || status == 200); /* the key is right; the node is not known */
    assert_int_equal(post(&h, length, msg, len), 403);
    close_house(&h);
}

static void
what_is_no_request_of_a_node_is_refused(void **state)
{
    (void)state;
    struct house h;
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404},
        {"PUT /p2p/v1/control HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405},
        {"GET /p2p/v1/control HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405},
        {"GET /p2p/v1/control HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
        {"GET /p2p/v1/control HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400},
        {"GET /p2p/v1/%63ontrol HTTP/1.1\r\nHost: x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\n folded: 1\r\n\r\n", 400},
    };
    open_house(&h, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct got g;
        int fd = dial(&h);
        say(fd, cases[i].text, strlen(cases[i].text));
        take(fd, &g);
        fd_close(&fd);
        assert_int_equal(g.status, cases[i].status);
        buf_release(&g.body);
    }
    close_house(&h);
}

/* A reader that asks for 4 MiB and takes nothing of it. */
static int
begin_stalled(struct house *h, const char *path)
{
    char *what = mem_printf("GET %s bytes=0-4194303", path);
    int fd = dial(h);
    int small = 4096;
    fd_close(&fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)h->number),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    char auth[SEAL_TEXT_MAX];
    assert_int_equal(p2p_sign(h->other, what, auth), 0);
    char *text = mem_printf("GET %s HTTP/1.1\r\nHost: x\r\nRange: bytes=0-4194303\r\n"
                            "Ps-Auth: %s\r\n\r\n",
                            path, auth);
    say(fd, text, strlen(text));
    mem_free(text);
    mem_free(what);
    return fd;
}

static void
busy_is_told_honestly_and_a_stalled_reader_loses_its_slot(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    struct got g;
    char path[256];
    uint8_t *body = make_body(6, 16 * MIB, &d);
    open_house(&h, "limits: {peer_uploads: 1}\n");
    assert_int_equal(put_whole(h.room.cache, &d, body, 16 * MIB), 0);
    path_of(&d, path);
    assert_int_equal(status_of(&h, h.other, path, "bytes=0-9"), 206);
    int64_t start_ms = clock_ms();
    int fd = begin_stalled(&h, path);
    /* Within the queue's 20 ms it may wait its turn; it never gets one before the other's end. */
    while (ask_as(&h, h.other, path, "bytes=0-9", &g) == 206) {
        assert_true(clock_ms() - start_ms < 1000); /* the slow one has not come yet */
        buf_release(&g.body);
    }
    assert_int_equal(g.status, 503);
    assert_in_range(strtoul(got_header(&g, PIECE_BUSY), NULL, 10), 1, 60000);
    buf_release(&g.body);
    while (status_of(&h, h.other, path, "bytes=0-9") == 503)
        assert_true(clock_ms() - start_ms < 20000);
    assert_in_range(clock_ms() - start_ms, 3000, 14000);
    fd_close(&fd);
    close_house(&h);
    mem_free(body);
}

/* From now on its kernel drops what comes for it: no byte is acknowledged, and nothing is said, as
 * when its power is cut. */
static void
vanish(int fd)
{
    struct sock_filter drop_all = {.code = BPF_RET | BPF_K, .k = 0};
    struct sock_fprog program = {.len = 1, .filter = &drop_all};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0);
}

static void
take_some(int fd, size_t len)
{
    char block[1024];
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(fd, block, sizeof block, 0);
        assert_true(n > 0);
        got += (size_t)n;
    }
}

static void
who_vanished_loses_its_slot_and_who_is_slow_keeps_it(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    char path[256];
    uint8_t *body = make_body(10, 16 * MIB, &d);
    open_house(&h, "limits: {peer_uploads: 2}\n");
    assert_int_equal(put_whole(h.room.cache, &d, body, 16 * MIB), 0);
    path_of(&d, path);
    int slow = begin_stalled(&h, path), gone = begin_stalled(&h, path);
    take_some(slow, 8 * KIB);
    take_some(gone, 64 * KIB);
    assert_int_equal(status_of(&h, h.other, path, "bytes=0-9"), 503);
    vanish(gone);
    int64_t start_ms = clock_ms(), last_ms = start_ms, longest_ms = 0;
    do {
        assert_true(clock_ms() - start_ms < 30000);
        int64_t now_ms = clock_ms();
        longest_ms = now_ms - last_ms > longest_ms ? now_ms - last_ms : longest_ms;
        last_ms = now_ms;
        if (longest_ms < 2000) /* else it was this machine that stood still */
            take_some(slow, 8 * KIB);
        clock_sleep_ms(100);
    } while (status_of(&h, h.other, path, "bytes=0-9") == 503);
    if (longest_ms < 2000 && clock_ms() - last_ms < 2000)
        take_some(slow, 64 * KIB);
    fd_close(&slow);
    fd_close(&gone);
    close_house(&h);
    mem_free(body);
}

static void
without_uploads_every_node_is_sent_away(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    struct got g;
    char path[256];
    uint8_t *body = make_body(7, 1000, &d);
    open_house(&h, "limits: {peer_uploads: 0}\n");
    assert_int_equal(put_whole(h.room.cache, &d, body, 1000), 0);
    path_of(&d, path);
    assert_int_equal(ask_as(&h, h.other, path, NULL, &g), 503);
    assert_string_equal(got_header(&g, PIECE_BUSY), "60000");
    buf_release(&g.body);
    struct settings *more = limits("limits: {peer_uploads: 2}\n");
    port_reload(h.port, more);
    assert_int_equal(status_of(&h, h.other, path, NULL), 200);
    settings_release(&more);
    close_house(&h);
    mem_free(body);
}

struct puller {
    struct house *h;
    const char *path;
    int count;
    uint64_t bytes;
    struct thread thread;
};

static void
pull(void *arg)
{
    struct puller *p = arg;
    for (int i = 0; i < p->count; i++) {
        struct got g;
        assert_int_equal(ask_as(p->h, p->h->other, p->path, "bytes=0-1048575", &g), 206);
        p->bytes += g.body.len;
        buf_release(&g.body);
    }
}

static void
all_uploads_together_keep_the_rate(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    char path[256];
    uint8_t *body = make_body(8, 4 * MIB, &d);
    open_house(&h, "limits: {upload_rate: 4MiB}\n");
    assert_int_equal(put_whole(h.room.cache, &d, body, 4 * MIB), 0);
    path_of(&d, path);
    struct puller pullers[4];
    uint64_t before = metric_get(M_peer_upload), sum = 0;
    int64_t start_us = clock_us();
    for (size_t i = 0; i < ARRAY_LEN(pullers); i++) {
        pullers[i] = (struct puller){.h = &h, .path = path, .count = 3};
        assert_int_equal(thread_start(&pullers[i].thread, "pull", pull, &pullers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(pullers); i++) {
        thread_join(&pullers[i].thread);
        sum += pullers[i].bytes;
    }
    int64_t took_us = clock_us() - start_us;
    assert_int_equal(sum, 12 * MIB);
    assert_int_equal(metric_get(M_peer_upload) - before, sum);
    assert_in_range(took_us, 2700000, 9000000); /* 3 s; a busy machine may take its time */
    close_house(&h);
    mem_free(body);
}

static void
a_connection_serves_many_requests(void **state)
{
    (void)state;
    struct house h;
    struct digest d;
    char path[256], what[512], auth[SEAL_TEXT_MAX];
    uint8_t *body = make_body(9, 300000, &d);
    open_house(&h, "");
    assert_int_equal(put_whole(h.room.cache, &d, body, 300000), 0);
    path_of(&d, path);
    int fd = dial(&h);
    for (int i = 0; i < 50; i++) {
        (void)snprintf(what, sizeof what, "GET %s bytes=%d-%d", path, i, i + 999);
        assert_int_equal(p2p_sign(h.other, what, auth), 0);
        char *text = mem_printf("GET %s HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-%d\r\n"
                                "Ps-Auth: %s\r\n\r\n",
                                path, i, i + 999, auth);
        say(fd, text, strlen(text));
        mem_free(text);
        char room[4096];
        size_t len = 0;
        const char *end = NULL;
        while (!end || len < (size_t)(end - room) + 4 + 1000) {
            ssize_t n = recv(fd, room + len, sizeof room - 1 - len, 0);
            assert_true(n > 0);
            len += (size_t)n;
            room[len] = 0;
            end = end ? end : strstr(room, "\r\n\r\n");
        }
        assert_memory_equal(end + 4, body + i, 1000);
    }
    fd_close(&fd);
    close_house(&h);
    mem_free(body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_blob_comes_in_parts_and_whole),
        cmocka_unit_test(what_became_shorter_on_the_disk_is_not_here),
        cmocka_unit_test(a_blob_in_flight_gives_what_is_held_and_nothing_else),
        cmocka_unit_test(the_tail_is_not_held_back_from_nodes),
        cmocka_unit_test(another_site_gets_packed_pieces),
        cmocka_unit_test(also_below_a_rate),
        cmocka_unit_test(without_the_right_seal_nothing_is_told),
        cmocka_unit_test(a_header_serves_once),
        cmocka_unit_test(a_message_is_a_sealed_body_of_told_length),
        cmocka_unit_test(what_is_no_request_of_a_node_is_refused),
        cmocka_unit_test(busy_is_told_honestly_and_a_stalled_reader_loses_its_slot),
        cmocka_unit_test(who_vanished_loses_its_slot_and_who_is_slow_keeps_it),
        cmocka_unit_test(without_uploads_every_node_is_sent_away),
        cmocka_unit_test(all_uploads_together_keep_the_rate),
        cmocka_unit_test(a_connection_serves_many_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
