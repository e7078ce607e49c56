/* Blobs at rest as zstd frames. */
#include "cache/frames.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/zstd.h"
#include <errno.h>
#include <string.h>

#define TABLE_MAGIC  0x184D2A5Eu /* a skippable frame of zstd */
#define FOOTER_MAGIC 0x8F92EAB1u
#define HEAD_BYTES   8u
#define ITEM_BYTES   8u
#define FOOTER_BYTES 9u

struct frames {
    /* fixed at birth */
    uint32_t count;
    uint64_t plain_bytes;
    uint64_t *starts; /* in the file; starts[count]: where the table begins */

    struct lock lock;
    uint32_t kept; /* lock; which frame, when there is one */
    uint8_t *room; /* lock; its content, or NULL; whoever reads it takes it away meanwhile */
};

/* ---- the table ---- */

static uint32_t
get_u32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int
put_u32(struct buf *to, uint32_t x)
{
    uint8_t bytes[4] = {(uint8_t)x, (uint8_t)(x >> 8), (uint8_t)(x >> 16), (uint8_t)(x >> 24)};
    return buf_add(to, bytes, sizeof bytes);
}

size_t
frames_table_bytes(uint32_t count)
{
    return HEAD_BYTES + (size_t)count * ITEM_BYTES + FOOTER_BYTES;
}

/* The number of frames that a footer tells; 0: it is none. */
static uint32_t
count_of(const uint8_t *footer)
{
    uint32_t count = get_u32(footer);
    bool good = footer[4] == 0 && get_u32(footer + 5) == FOOTER_MAGIC && count <= FRAMES_MAX;
    return good ? count : 0;
}

static struct frames *
frames_new(uint32_t count)
{
    struct frames *f = mem_zalloc(sizeof *f);
    f->count = count;
    f->starts = mem_zalloc(((size_t)count + 1) * sizeof f->starts[0]);
    lock_init(&f->lock, LOCK_LEAF);
    return f;
}

void
frames_free(struct frames *f)
{
    if (f == NULL) {
        return;
    }
    lock_release(&f->lock);
    mem_free(f->room);
    mem_free(f->starts);
    mem_free(f);
}

/* All frames but the last are full. */
static bool
read_items(struct frames *f, const uint8_t *items)
{
    for (uint32_t i = 0; i < f->count; i++) {
        uint32_t packed = get_u32(items + (size_t)i * ITEM_BYTES);
        uint32_t plain = get_u32(items + (size_t)i * ITEM_BYTES + 4);
        bool last = i + 1 == f->count;
        if (packed == 0 || packed > zstd_frame_max(FRAME_BYTES) || plain == 0 ||
            plain > FRAME_BYTES || (plain < FRAME_BYTES && !last)) {
            return false;
        }
        f->starts[i + 1] = f->starts[i] + packed;
        f->plain_bytes += plain;
    }
    return true;
}

int
frames_parse(const uint8_t *table, size_t len, uint64_t file_bytes, struct frames **ret)
{
    uint32_t count = len < frames_table_bytes(1) ? 0 : count_of(table + len - FOOTER_BYTES);
    if (count == 0 || len != frames_table_bytes(count) || get_u32(table) != TABLE_MAGIC ||
        get_u32(table + 4) != len - HEAD_BYTES) {
        return -EBADMSG;
    }
    struct frames *f = frames_new(count);
    if (!read_items(f, table + HEAD_BYTES) || f->starts[count] + len != file_bytes) {
        frames_free(f);
        return -EBADMSG;
    }
    *ret = f;
    return 0;
}

int
frames_open(int fd, struct frames **ret)
{
    uint8_t footer[FOOTER_BYTES] = {0};
    uint64_t size;
    int rc = fs_size(fd, &size);
    if (rc == 0 && size < frames_table_bytes(1)) {
        rc = -EBADMSG;
    }
    if (rc == 0) {
        rc = fs_read_at(fd, size - FOOTER_BYTES, footer, FOOTER_BYTES);
    }
    if (rc < 0) {
        return rc;
    }
    uint32_t count = count_of(footer);
    size_t len = frames_table_bytes(count);
    if (count == 0 || len > size) {
        return -EBADMSG;
    }
    uint8_t *table = mem_alloc(len);
    rc = fs_read_at(fd, size - len, table, len);
    if (rc == 0) {
        rc = frames_parse(table, len, size, ret);
    }
    mem_free(table);
    return rc;
}

uint64_t
frames_plain_bytes(const struct frames *f)
{
    return f->plain_bytes;
}

/* ---- reading ---- */

static size_t
plain_of(const struct frames *f, uint32_t frame)
{
    uint64_t left = f->plain_bytes - (uint64_t)frame * FRAME_BYTES;
    return left < FRAME_BYTES ? (size_t)left : FRAME_BYTES;
}

static int
undo(const struct frames *f, int fd, uint32_t frame, uint8_t *ret)
{
    size_t len = (size_t)(f->starts[frame + 1] - f->starts[frame]);
    uint8_t *packed = mem_alloc(len);
    int rc = fs_read_at(fd, f->starts[frame], packed, len);
    if (rc == 0 && zstd_unframe(packed, len, ret, plain_of(f, frame)) < 0) {
        rc = -EBADMSG;
    }
    mem_free(packed);
    return rc;
}

/* Takes away what is kept when it is that frame: else NULL. */
static uint8_t *
take_kept(struct frames *f, uint32_t frame)
{
    uint8_t *room = NULL;
    lock_take(&f->lock);
    if (f->room != NULL && f->kept == frame) {
        room = f->room;
        f->room = NULL;
    }
    lock_drop(&f->lock);
    return room;
}

static void
keep(struct frames *f, uint32_t frame, uint8_t *room)
{
    lock_take(&f->lock);
    uint8_t *old = f->room;
    f->room = room;
    f->kept = frame;
    lock_drop(&f->lock);
    mem_free(old);
}

static int
read_part(struct frames *f, int fd, uint32_t frame, size_t at, uint8_t *ret, size_t len)
{
    int rc = 0;
    if (len == plain_of(f, frame)) {
        return undo(f, fd, frame, ret);
    }
    uint8_t *room = take_kept(f, frame);
    if (room == NULL) {
        room = mem_alloc(FRAME_BYTES);
        rc = undo(f, fd, frame, room);
    }
    if (rc < 0) {
        mem_free(room);
        return rc;
    }
    memcpy(ret, room + at, len);
    keep(f, frame, room);
    return 0;
}

int
frames_read(struct frames *f, int fd, uint64_t pos, void *ret, size_t len)
{
    if (f == NULL) {
        return fs_read_at(fd, pos, ret, len);
    }
    must(pos <= f->plain_bytes && len <= f->plain_bytes - pos);
    int rc = 0;
    for (size_t done = 0; done < len && rc == 0;) {
        uint32_t frame = (uint32_t)((pos + done) / FRAME_BYTES);
        size_t at = (size_t)((pos + done) % FRAME_BYTES);
        size_t n = plain_of(f, frame) - at;
        n = n < len - done ? n : len - done;
        rc = read_part(f, fd, frame, at, (uint8_t *)ret + done, n);
        done += n;
    }
    return rc;
}

/* ---- writing ---- */

/* What is written, and the items of the table so far. */
struct writer {
    int fd;
    uint64_t at, max_bytes;
    struct buf items, frame;
};

static int
write_frame(struct writer *w, const uint8_t *bytes, size_t len)
{
    buf_clear(&w->frame);
    int rc = zstd_frame(bytes, len, &w->frame);
    if (rc == 0) {
        rc = put_u32(&w->items, (uint32_t)w->frame.len);
    }
    if (rc == 0) {
        rc = put_u32(&w->items, (uint32_t)len);
    }
    must(rc == 0); /* all have room for the most */
    if (w->at + w->frame.len + w->items.len + HEAD_BYTES + FOOTER_BYTES > w->max_bytes) {
        return ERR_LIMIT;
    }
    rc = fs_write_at(w->fd, w->at, w->frame.data, w->frame.len);
    w->at += w->frame.len;
    return rc;
}

static int
write_table(struct writer *w)
{
    AUTO(buf_release) struct buf table;
    uint32_t count = (uint32_t)(w->items.len / ITEM_BYTES);
    buf_init(&table, frames_table_bytes(count));
    int rc = put_u32(&table, TABLE_MAGIC);
    rc = rc < 0 ? rc : put_u32(&table, (uint32_t)(w->items.len + FOOTER_BYTES));
    rc = rc < 0 ? rc : buf_add(&table, w->items.data, w->items.len);
    rc = rc < 0 ? rc : put_u32(&table, count);
    rc = rc < 0 ? rc : buf_add(&table, "", 1);
    rc = rc < 0 ? rc : put_u32(&table, FOOTER_MAGIC);
    must(rc == 0);
    rc = fs_write_at(w->fd, w->at, table.data, table.len);
    w->at += table.len;
    return rc;
}

static int
write_all(struct writer *w, int from, uint64_t size,
          bool (*go_on)(void *arg, size_t bytes, int64_t took_ms), void *arg)
{
    uint8_t *room = mem_alloc(FRAME_BYTES);
    int64_t took_ms = 0;
    int rc = 0;
    size_t n = 0;
    for (uint64_t at = 0; at < size && rc == 0; at += n) {
        rc = go_on(arg, n, took_ms) ? 0 : ERR_CLOSED;
        int64_t begun_ms = clock_ms();
        n = size - at < FRAME_BYTES ? (size_t)(size - at) : FRAME_BYTES;
        rc = rc < 0 ? rc : fs_read_at(from, at, room, n);
        rc = rc < 0 ? rc : write_frame(w, room, n);
        took_ms = clock_ms() - begun_ms;
    }
    mem_free(room);
    return rc < 0 ? rc : write_table(w);
}

int64_t
frames_pack(int from, uint64_t size, int to, uint64_t max_bytes,
            bool (*go_on)(void *arg, size_t bytes, int64_t took_ms), void *arg)
{
    uint64_t count = (size + FRAME_BYTES - 1) / FRAME_BYTES;
    must(count > 0 && count <= FRAMES_MAX);
    struct writer w = {.fd = to, .max_bytes = max_bytes};
    buf_init(&w.items, (size_t)count * ITEM_BYTES);
    buf_init(&w.frame, zstd_frame_max(FRAME_BYTES));
    int rc = write_all(&w, from, size, go_on, arg);
    if (rc == 0) {
        rc = fs_truncate(to, w.at);
    }
    buf_release(&w.items);
    buf_release(&w.frame);
    return rc < 0 ? rc : (int64_t)w.at;
}
