/*
 * Builds answers.
 *
 *   header                            on
 *   Docker-Distribution-Api-Version   every answer
 *   OCI-Namespace                     every answer to a request with ns
 *   Docker-Content-Digest, ETag       manifests, blobs
 *   Accept-Ranges, Content-Range      blobs
 *   Content-Length                    every answer (libmicrohttpd, from the known size)
 *   Allow, WWW-Authenticate           405, 401 in pass mode
 */
#include "proxy/api/reply.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/api/pagelink.h"
#include "proxy/api/request.h"
#include "proxy/api/shelf.h"
#include <microhttpd.h>
#include <string.h>

/* Performance notes: 64 KiB blocks are no faster and cost 512 slow readers twice as much. */
#define READER_BLOCK_BYTES (32u * 1024)

static void
add(struct MHD_Response *m, const char *name, const char *value)
{
    must(MHD_add_response_header(m, name, value) == MHD_YES);
}

/* A value that upstream chose: one that libmicrohttpd refuses is left out. */
static void
add_foreign(struct MHD_Response *m, const char *name, const char *value)
{
    (void)MHD_add_response_header(m, name, value);
}

/* Takes the response. */
static bool
queue(struct request *r, struct MHD_Response *m, unsigned status)
{
    must(m != NULL);
    add(m, "Docker-Distribution-Api-Version", "registry/2.0");
    if (r->route.ns[0])
        add(m, "OCI-Namespace", r->route.ns);
    if (atomic_load(&r->rooms->draining))
        add(m, MHD_HTTP_HEADER_CONNECTION, "close");
    r->status = status;
    bool queued = MHD_queue_response(r->http, status, m) == MHD_YES;
    MHD_destroy_response(m);
    return queued;
}

bool
reply_refusal(struct request *r, enum reason why, uint64_t size)
{
    char body[REASON_BODY_MAX];
    size_t len = reason_body(why, body);
    struct MHD_Response *m = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_COPY);
    must(m != NULL);
    add(m, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    if (why == REASON_write)
        add(m, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (why == REASON_challenge)
        add_foreign(m, MHD_HTTP_HEADER_WWW_AUTHENTICATE, r->challenge);
    if (why == REASON_range) {
        char range[40];
        must(text_printf(range, sizeof range, "bytes */%llu", (unsigned long long)size) == 0);
        add(m, MHD_HTTP_HEADER_CONTENT_RANGE, range);
    }
    if (!r->head)
        r->body_bytes = len;
    r->why = why;
    return queue(r, m, reason_status(why));
}

bool
reply_ping(struct request *r)
{
    static char body[] = "{}";
    struct MHD_Response *m =
        MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    must(m != NULL);
    add(m, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    r->body_bytes = r->head ? 0 : sizeof body - 1;
    return queue(r, m, MHD_HTTP_OK);
}

static void
add_digest(struct MHD_Response *m, const struct digest *d)
{
    char text[DIGEST_TEXT_MAX];
    char etag[DIGEST_TEXT_MAX + 2];
    digest_print(d, text);
    must(text_printf(etag, sizeof etag, "\"%s\"", text) == 0);
    add(m, "Docker-Content-Digest", text);
    add(m, MHD_HTTP_HEADER_ETAG, etag);
}

static void
release_page(void *arg)
{
    struct page *p = arg;
    page_release(&p);
}

bool
reply_page(struct request *r, struct page *p)
{
    struct page *held = page_ref(p);
    struct MHD_Response *m = MHD_create_response_from_buffer_with_free_callback_cls(
        held->len, held->bytes, release_page, held);
    must(m != NULL);
    add(m, MHD_HTTP_HEADER_CONTENT_TYPE, held->type);
    add_digest(m, &held->digest);
    r->body_bytes = r->head ? 0 : held->len;
    return queue(r, m, MHD_HTTP_OK);
}

bool
reply_passed(struct request *r, const struct answer *a)
{
    struct MHD_Response *m =
        MHD_create_response_from_buffer(a->body.len, a->body.data, MHD_RESPMEM_MUST_COPY);
    must(m != NULL);
    bool index = r->route.kind == ROUTE_REFERRERS;
    add(m, MHD_HTTP_HEADER_CONTENT_TYPE,
        index ? "application/vnd.oci.image.index.v1+json" : "application/json");
    char link[PAGELINK_MAX];
    if (a->link[0] && pagelink_rewrite(a->link, &r->route, link) == 0)
        add(m, MHD_HTTP_HEADER_LINK, link);
    if (a->filters[0])
        add_foreign(m, "OCI-Filters-Applied", a->filters);
    r->body_bytes = r->head ? 0 : a->body.len;
    return queue(r, m, MHD_HTTP_OK);
}

static bool
queue_blob(struct request *r, const struct reply_blob *b, struct MHD_Response *m)
{
    must(m != NULL);
    add(m, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    add(m, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
    add_digest(m, b->digest);
    if (b->partial) {
        char range[80];
        must(text_printf(range, sizeof range, "bytes %llu-%llu/%llu",
                         (unsigned long long)b->span.start, (unsigned long long)b->span.end - 1,
                         (unsigned long long)b->size) == 0);
        add(m, MHD_HTTP_HEADER_CONTENT_RANGE, range);
    }
    r->body_bytes = r->head ? 0 : b->span.end - b->span.start;
    return queue(r, m, b->partial ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK);
}

/* NOLINTBEGIN(readability-non-const-parameter): the type is that of a reader. */
static ssize_t
never_read(void *arg, uint64_t pos, char *buf, size_t max)
{
    (void)arg;
    (void)pos;
    (void)buf;
    (void)max;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}
/* NOLINTEND(readability-non-const-parameter) */

bool
reply_blob_head(struct request *r, const struct reply_blob *b)
{
    return queue_blob(r, b, MHD_create_response_from_callback(b->size, 1, never_read, NULL, NULL));
}

bool
reply_blob_file(struct request *r, const struct reply_blob *b, int fd)
{
    struct MHD_Response *m =
        MHD_create_response_from_fd_at_offset64(b->span.end - b->span.start, fd, b->span.start);
    return queue_blob(r, b, m);
}

bool
reply_blob_reader(struct request *r, const struct reply_blob *b,
                  ssize_t (*read)(void *arg, uint64_t pos, char *buf, size_t max), void *arg,
                  void (*release)(void *arg))
{
    uint64_t len = b->span.end - b->span.start;
    size_t block = len < READER_BLOCK_BYTES ? (size_t)len + 1 : READER_BLOCK_BYTES;
    r->counted_by_reader = true;
    return queue_blob(r, b, MHD_create_response_from_callback(len, block, read, arg, release));
}
