/*
 * A request of another node, step by step:
 *
 *   judge     guard; the length of a body
 *   answer    parcel (what), admit (who), held (is it here), a turn, checksums, the body
 *   account   the slot goes on to the next one; metrics
 *
 *   status             when
 *   200, 206           all, or a part, with Ps-Crc32c
 *   400 405 411 413    not HTTP as it should be
 *   403                no seal, another key, a replay, another range than the signed one
 *   404                some of the bytes are not here; never fetched for another node
 *   416                a range outside of the blob or over 4 MiB
 *   503                busy; Ps-Busy-Ms says for how long. A message that got no answer in time
 *
 * Bytes go out whatever the phase of their blob: who gets them checks them, as we did not yet.
 */
#include "proxy/peer/demand.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "cache/cache.h"
#include "proxy/http/conns.h"
#include "proxy/http/guard.h"
#include "proxy/peer/parcel.h"
#include "proxy/peer/squeeze.h"
#include "proxy/peer/sums.h"
#include "proxy/peer/uploads.h"
#include <microhttpd.h>
#include <poll.h>
#include <string.h>

#define READER_BLOCK_BYTES (64u * 1024)

struct demand {
    /* fixed at the request line */
    struct demand_rooms *rooms;
    struct MHD_Connection *http;
    struct conn *conn;
    int64_t start_us;
    char target[PARCEL_TARGET_MAX]; /* "" when it is longer: nothing that we know */

    /* judge, answer */
    const char *method;
    struct buf body;
    struct parcel parcel;
    struct node_id from;  /* who asks, once it is admitted */
    uint64_t start, size; /* of the answer's bytes; of the whole blob */
    uint64_t body_bytes;

    /* account */
    unsigned status;
    bool uploads;           /* has a slot */
    enum uploads_room room; /* there */
    bool packed;            /* the body is a zstd frame, packed_bytes of it so far */
    uint64_t packed_bytes;
    int64_t turn_us;
    uint64_t acked_bytes; /* of the connection, before the body */
};

struct demand *
demand_new(struct demand_rooms *rooms, struct MHD_Connection *http, struct conn *conn,
           const char *target)
{
    struct demand *d = mem_zalloc(sizeof *d);
    d->rooms = rooms;
    d->http = http;
    d->conn = conn;
    d->start_us = clock_us();
    d->method = "";
    buf_init(&d->body, PARCEL_BODY_MAX);
    (void)!text_copy(d->target, sizeof d->target, target);
    return d;
}

/* ---- answers ---- */

static void
add(struct MHD_Response *m, const char *name, const char *value)
{
    must(MHD_add_response_header(m, name, value) == MHD_YES);
}

/* Takes the response. */
static bool
queue(struct demand *d, struct MHD_Response *m, unsigned status)
{
    must(m != NULL);
    d->status = status;
    bool queued = MHD_queue_response(d->http, status, m) == MHD_YES;
    MHD_destroy_response(m);
    return queued;
}

static bool
refuse(struct demand *d, unsigned status)
{
    struct MHD_Response *m = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    must(m != NULL);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        add(m, MHD_HTTP_HEADER_ALLOW, "GET, POST");
    return queue(d, m, status);
}

static bool
refuse_busy(struct demand *d, unsigned busy_ms)
{
    char text[TEXT_SIZE_MAX];
    must(text_printf(text, sizeof text, "%u", busy_ms) == 0);
    struct MHD_Response *m = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    must(m != NULL);
    add(m, PIECE_BUSY, text);
    return queue(d, m, MHD_HTTP_SERVICE_UNAVAILABLE);
}

bool
demand_judge(struct demand *d, const char *method, const struct listener_verdict *guard,
             bool *ret_refused)
{
    d->method = method;
    unsigned status = guard->status;
    size_t len = 0;
    if (status != 0)
        metric_add(M_guard_rejects, 1);
    if (status == 0 && strcmp(method, "POST") == 0)
        status = guard_body(d->http, PARCEL_BODY_MAX, &len);
    else if (status == 0 && strcmp(method, "GET") != 0)
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
    *ret_refused = status != 0;
    return status == 0 || refuse(d, status);
}

void
demand_body(struct demand *d, const char *bytes, size_t len)
{
    if (buf_add(&d->body, bytes, len) < 0)
        buf_clear(&d->body); /* longer than it said: no message any more */
}

/* ---- control ---- */

static unsigned
control_status(int code)
{
    switch (code) {
    case 0:
        return MHD_HTTP_OK;
    case ERR_SYNTAX:
    case ERR_LIMIT:
        return MHD_HTTP_BAD_REQUEST;
    case ERR_DENIED:
    case ERR_REFUSED:
        return MHD_HTTP_FORBIDDEN;
    case ERR_NOT_FOUND:
        return MHD_HTTP_NOT_FOUND;
    default: /* no answer in time, or at all */
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    }
}

static bool
answer_control(struct demand *d)
{
    AUTO(buf_release) struct buf reply;
    buf_init(&reply, PARCEL_BODY_MAX);
    int rc = p2p_control(d->rooms->p2p, (const uint8_t *)buf_text(&d->body), d->body.len, &reply);
    if (rc < 0)
        return refuse(d, control_status(rc));
    struct MHD_Response *m =
        MHD_create_response_from_buffer(reply.len, reply.data, MHD_RESPMEM_MUST_COPY);
    must(m != NULL);
    add(m, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    d->body_bytes = reply.len;
    return queue(d, m, MHD_HTTP_OK);
}

/* ---- bytes ---- */

static const char *
header(const struct demand *d, const char *name)
{
    return MHD_lookup_connection_value(d->http, MHD_HEADER_KIND, name);
}

static bool
admitted(struct demand *d, const char *range)
{
    char what[SEAL_SIGNED_MAX];
    const char *auth = header(d, PIECE_AUTH);
    return auth &&
           text_printf(what, sizeof what, range ? "GET %s %s" : "GET %s", d->target,
                       range ? range : "") == 0 &&
           p2p_admit(d->rooms->p2p, auth, what, &d->from) == 0;
}

static bool
is_gone(void *arg)
{
    struct pollfd p = {.fd = conn_fd(arg), .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0;
}

/* Sets what is to be sent, and a descriptor to read it from; of a blob in memory, or packed,
 * -1 until the demand has its turn, because it takes memory. 0 or the status of a refusal. */
static unsigned
find_bytes(struct demand *d, struct blob *b, int *ret_fd)
{
    struct blob_state state;
    struct gap kept;
    uint64_t end = 0;
    if (!b)
        return MHD_HTTP_NOT_FOUND;
    blob_look(b, 0, &state);
    if (state.size == CACHE_SIZE_UNKNOWN)
        return MHD_HTTP_NOT_FOUND;
    unsigned status = parcel_place(&d->parcel, state.size, &d->start, &end);
    if (status != 0)
        return status;
    d->size = state.size;
    d->body_bytes = end - d->start;
    if (blob_window(b, &kept))
        return d->start < kept.start || end > kept.end ? MHD_HTTP_NOT_FOUND : 0;
    if (blob_is_packed(b))
        return 0;
    return blob_held_fd(b, d->start, d->body_bytes, ret_fd) < 0 ? MHD_HTTP_NOT_FOUND : 0;
}

/* An upload below a rate limit: the bytes pass through here, as fast as they may. */
struct paced {
    struct uploads *uploads;
    int fd;
    uint64_t start, len;
};

static ssize_t
read_paced(void *arg, uint64_t pos, char *buf, size_t max)
{
    const struct paced *p = arg;
    size_t wanted = p->len - pos < max ? (size_t)(p->len - pos) : max;
    size_t n = wanted > 0 ? uploads_take(p->uploads, wanted) : 0;
    if (n == 0 || fs_read_at(p->fd, p->start + pos, buf, n) < 0)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    return (ssize_t)n;
}

static void
release_paced(void *arg)
{
    struct paced *p = arg;
    fd_close(&p->fd);
    mem_free(p);
}

/* Is the other node in another site? Only then it takes what is packed. */
static bool
is_far(const struct demand *d)
{
    const char *accept = header(d, PIECE_ACCEPT);
    return accept && strcmp(accept, PIECE_ZSTD) == 0;
}

/* A number of the other node: its id is a hash. */
static uint64_t
number_of(const struct node_id *node)
{
    uint64_t n;
    memcpy(&n, node->bytes, sizeof n);
    return n;
}

/* The other node can undo it, and it pays here. */
static bool
shall_pack(const struct demand *d, int fd)
{
    return is_far(d) && d->parcel.kind == PARCEL_BLOB &&
           squeeze_start(d->rooms->squeeze, fd, d->start, d->body_bytes, conn_rate(d->conn));
}

/* Takes the descriptor. */
static struct MHD_Response *
body_of(struct demand *d, int fd)
{
    d->packed = shall_pack(d, fd);
    if (d->packed)
        return squeeze_body(d->rooms->squeeze, d->rooms->uploads, fd, d->start, d->body_bytes,
                            &d->packed_bytes);
    if (!uploads_paced(d->rooms->uploads))
        return MHD_create_response_from_fd_at_offset64(d->body_bytes, fd, d->start);
    struct paced *p = mem_zalloc(sizeof *p);
    *p = (struct paced){d->rooms->uploads, fd, d->start, d->body_bytes};
    return MHD_create_response_from_callback(d->body_bytes, READER_BLOCK_BYTES, read_paced, p,
                                             release_paced);
}

static bool
send_bytes(struct demand *d, int fd, const char *sums)
{
    char range[80];
    struct MHD_Response *m = body_of(d, fd);
    must(m != NULL);
    add(m, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    if (sums[0])
        add(m, PIECE_CRC, sums);
    if (d->packed)
        add(m, PIECE_CODING, PIECE_ZSTD);
    if (d->parcel.ranged) {
        must(text_printf(range, sizeof range, "bytes %llu-%llu/%llu", (unsigned long long)d->start,
                         (unsigned long long)(d->start + d->body_bytes - 1),
                         (unsigned long long)d->size) == 0);
        add(m, MHD_HTTP_HEADER_CONTENT_RANGE, range);
    }
    d->acked_bytes = conn_acked_bytes(d->conn);
    return queue(d, m, d->parcel.ranged ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK);
}

/* A file that was cut short under us. On its way libmicrohttpd would turn in circles there. */
static int
check_length(const struct demand *d, int fd)
{
    uint64_t size = 0;
    int rc = fs_size(fd, &size);
    return rc == 0 && size < d->start + d->body_bytes ? ERR_NOT_FOUND : rc;
}

/* Those of the blocks, unless who asks compares all of it with a word. */
static int
print_sums(const struct demand *d, int fd, char ret[SUMS_TEXT_MAX])
{
    const char *asked = header(d, PIECE_CRC);
    ret[0] = 0;
    if (asked && strcmp(asked, PIECE_CRC_NONE) == 0)
        return check_length(d, fd);
    return sums_print(fd, d->start, (size_t)d->body_bytes, ret);
}

static bool
answer_bytes(struct demand *d)
{
    AUTO(fd_close) int fd = -1;
    AUTO(blob_release) struct blob *b = cache_find(d->rooms->cache, &d->parcel.digest);
    char sums[SUMS_TEXT_MAX];
    unsigned busy_ms = 0;
    unsigned status = find_bytes(d, b, &fd);
    if (status != 0)
        return refuse(d, status);
    /* Nobody shouts for a manifest; it keeps a client waiting and takes no time. */
    if (d->parcel.kind == PARCEL_MANIFEST)
        cache_heard(d->rooms->cache, &d->parcel.digest);
    bool small = d->parcel.kind == PARCEL_MANIFEST && d->body_bytes <= PIECE_BYTES_MIN;
    struct uploads_for whom = {d->parcel.class, is_far(d), number_of(&d->from)};
    int rc = small ? 0 : uploads_start(d->rooms->uploads, &whom, is_gone, d->conn, &busy_ms);
    if (rc == ERR_BUSY)
        return refuse_busy(d, busy_ms);
    if (rc < 0)
        return false;
    d->uploads = !small;
    d->room = (enum uploads_room)rc;
    d->turn_us = clock_us();
    if (fd < 0 && blob_held_fd(b, d->start, d->body_bytes, &fd) < 0)
        return refuse(d, MHD_HTTP_NOT_FOUND);
    /* What cannot be read is not here; its blob learns of it by its own reading. */
    if (print_sums(d, fd, sums) < 0)
        return refuse(d, MHD_HTTP_NOT_FOUND);
    int handed = fd;
    fd = -1;
    return send_bytes(d, handed, sums);
}

bool
demand_answer(struct demand *d)
{
    const char *range = header(d, MHD_HTTP_HEADER_RANGE);
    unsigned status = parcel_parse(d->method, d->target, range, header(d, PIECE_CLASS), &d->parcel);
    if (status == MHD_HTTP_RANGE_NOT_SATISFIABLE && !admitted(d, range))
        status = MHD_HTTP_FORBIDDEN;
    if (status != 0)
        return refuse(d, status);
    if (d->parcel.kind == PARCEL_CONTROL)
        return answer_control(d);
    return admitted(d, range) ? answer_bytes(d) : refuse(d, MHD_HTTP_FORBIDDEN);
}

/* ---- account ---- */

static enum metric
outcome(unsigned status)
{
    switch (status) {
    case MHD_HTTP_OK:
    case MHD_HTTP_PARTIAL_CONTENT:
        return M_peer_requests_sent;
    case MHD_HTTP_SERVICE_UNAVAILABLE:
        return M_peer_requests_busy;
    case MHD_HTTP_NOT_FOUND:
        return M_peer_requests_not_held;
    default:
        return M_peer_requests_refused;
    }
}

static uint64_t
bytes_sent(const struct demand *d, bool complete)
{
    if (d->packed)
        return d->packed_bytes;
    if (complete)
        return d->body_bytes;
    uint64_t taken = conn_acked_bytes(d->conn) - d->acked_bytes;
    return taken < d->body_bytes ? taken : d->body_bytes;
}

static void
write_line(const struct demand *d, uint64_t sent, bool complete)
{
    if (!log_enabled(LOG_EV_peer_request))
        return;
    char address[CONN_ADDRESS_MAX];
    conn_address(d->conn, address);
    LOG(peer_request, LOG_S("method", d->method), LOG_S("target", d->target),
        LOG_S("client", address), LOG_U("start", d->start), LOG_U("status", d->status),
        LOG_U("bytes", sent), LOG_U("waited_us", d->uploads ? d->turn_us - d->start_us : 0),
        LOG_U("us", clock_us() - d->start_us), LOG_S("end", complete ? "complete" : "cut"));
}

void
demand_account(struct demand *d, bool complete)
{
    uint64_t sent = 0;
    bool bytes = d->parcel.kind != PARCEL_CONTROL || d->status >= 400;
    if (d->status == MHD_HTTP_OK || d->status == MHD_HTTP_PARTIAL_CONTENT)
        sent = bytes_sent(d, complete);
    if (d->uploads) {
        uploads_end(d->rooms->uploads, d->room, number_of(&d->from), clock_us() - d->turn_us);
        metric_add(M_peer_upload, sent);
        if (sent > 0)
            p2p_carried(d->rooms->p2p, &d->from, FLOW_OUT, sent);
    }
    if (d->packed && complete && sent < d->body_bytes)
        metric_add(M_saved_sent, d->body_bytes - sent);
    if (d->status != 0 && bytes)
        metric_add(outcome(d->status), 1);
    write_line(d, sent, complete);
    buf_release(&d->body);
    mem_free(d);
}
