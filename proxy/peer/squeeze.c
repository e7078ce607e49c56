/* Packs while it sends: a body needs half a MiB, whatever its length, and at most running_max of
 * them run at a time, half of the processors. */
#include "proxy/peer/squeeze.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/zstd.h"
#include "proxy/peer/uploads.h"
#include <microhttpd.h>

#define READ_BYTES  (64u * 1024)
#define BLOCK_BYTES (64u * 1024)

struct squeeze {
    unsigned running_max; /* fixed at birth */
    struct lock lock;
    unsigned running;   /* lock */
    uint64_t pack_rate; /* lock; bytes/s, smoothed */
};

/* ---- the decision ---- */

bool
squeeze_may(const struct squeeze_facts *f)
{
    bool slow_link = f->link_rate == 0 || f->pack_rate == 0 || f->link_rate < f->pack_rate;
    return f->len >= SQUEEZE_BYTES_MIN && f->running < f->running_max && slow_link;
}

bool
squeeze_pays(const struct squeeze_facts *f)
{
    return squeeze_may(f) && f->permille < ZSTD_WORTH;
}

/* ---- shared ---- */

struct squeeze *
squeeze_new(unsigned running_max)
{
    struct squeeze *s = mem_zalloc(sizeof *s);
    s->running_max = running_max;
    lock_init(&s->lock, LOCK_LEAF);
    return s;
}

void
squeeze_free(struct squeeze *s)
{
    if (s == NULL)
        return;
    must(s->running == 0);
    lock_release(&s->lock);
    mem_free(s);
}

bool
squeeze_start(struct squeeze *s, int fd, uint64_t pos, uint64_t len, uint64_t link_rate)
{
    struct squeeze_facts f = {.len = len, .running_max = s->running_max, .link_rate = link_rate};
    lock_take(&s->lock);
    f.running = s->running;
    f.pack_rate = s->pack_rate;
    bool may = squeeze_may(&f);
    s->running += may;
    lock_drop(&s->lock);
    if (!may)
        return false;
    f.permille = zstd_sample(fd, pos, len);
    bool pays = squeeze_pays(&f);
    if (!pays) {
        lock_take(&s->lock);
        s->running--;
        lock_drop(&s->lock);
    }
    return pays;
}

/* ---- one body ---- */

struct body {
    struct squeeze *shared;
    struct uploads *uploads;
    struct zstd_writer *writer;
    uint64_t *sent;
    int fd;
    uint64_t pos, end;  /* of the file: what is to be read yet */
    size_t at, len;     /* of `room`: what is to be packed yet */
    bool whole;         /* the frame is: nothing follows */
    uint64_t packed;    /* bytes of the file */
    int64_t working_us; /* for them */
    uint8_t room[READ_BYTES];
};

/* False when the file cannot be read. */
static bool
fill_room(struct body *b)
{
    uint64_t left = b->end - b->pos;
    size_t n = left < READ_BYTES ? (size_t)left : READ_BYTES;
    if (b->at < b->len || n == 0)
        return true;
    if (fs_read_at(b->fd, b->pos, b->room, n) < 0)
        return false;
    b->pos += n;
    b->at = 0;
    b->len = n;
    return true;
}

/* Some of the frame, nothing when it is whole. False when the file cannot be read. */
static bool
pack(struct body *b, struct zstd_step *step)
{
    int64_t since_us = clock_us();
    while (step->put == 0 && !b->whole) {
        if (!fill_room(b))
            return false;
        step->from = b->room + b->at;
        step->from_len = b->len - b->at;
        b->whole = zstd_write(b->writer, step, b->pos == b->end);
        b->at += step->taken;
        b->packed += step->taken;
    }
    b->working_us += clock_us() - since_us;
    return true;
}

static ssize_t
read_packed(void *arg, uint64_t pos, char *to, // NOLINT(readability-non-const-parameter)
            size_t max)
{
    struct body *b = arg;
    struct zstd_step step = {.to = to, .to_cap = max};
    (void)pos;
    if (uploads_paced(b->uploads))
        step.to_cap = uploads_take(b->uploads, max);
    if (step.to_cap == 0 || !pack(b, &step))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    *b->sent += step.put;
    return step.put > 0 ? (ssize_t)step.put : MHD_CONTENT_READER_END_OF_STREAM;
}

static void
release(void *arg)
{
    struct body *b = arg;
    struct squeeze *s = b->shared;
    uint64_t rate = b->working_us > 0 ? b->packed * 1000000 / (uint64_t)b->working_us : 0;
    lock_take(&s->lock);
    s->running--;
    if (rate > 0)
        s->pack_rate = s->pack_rate == 0 ? rate : s->pack_rate - s->pack_rate / 8 + rate / 8;
    lock_drop(&s->lock);
    zstd_writer_free(b->writer);
    fd_close(&b->fd);
    mem_free(b);
}

struct MHD_Response *
squeeze_body(struct squeeze *s, struct uploads *uploads, int fd, uint64_t pos, uint64_t len,
             uint64_t *sent) // NOLINT(readability-non-const-parameter): the body writes there
{
    struct body *b = mem_zalloc(sizeof *b);
    *b = (struct body){.shared = s,
                       .uploads = uploads,
                       .writer = zstd_writer_new(len),
                       .sent = sent,
                       .fd = fd,
                       .pos = pos,
                       .end = pos + len};
    return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_packed, b,
                                             release);
}
