/* The only file that knows libzstd. Its calls fail for want of memory, which mem.h would abort on,
 * or because of what they are given. */
#include "base/zstd.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include <zstd.h>

#define LEVEL 1
/* 256 KiB. A tar of /usr/lib shrinks to 36.0 % with 128 KiB, 34.9 % with this, 34.6 % with 512 KiB.
 */
#define WINDOW_LOG     18
#define CHECKSUM_BYTES 4

static ZSTD_CCtx *
new_compressor(void)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    must(c != NULL);
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, LEVEL)));
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, WINDOW_LOG)));
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)));
    return c;
}

static ZSTD_DCtx *
new_decompressor(void)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();
    must(d != NULL);
    must(!ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, WINDOW_LOG)));
    return d;
}

/* ---- all at once ---- */

/* A frame of at most `cap` bytes. */
static int
pack(const void *bytes, size_t len, size_t cap, struct buf *ret)
{
    char *room = mem_alloc(cap);
    ZSTD_CCtx *c = new_compressor();
    size_t n = ZSTD_compress2(c, room, cap, bytes, len);
    int rc = ZSTD_isError(n) ? ERR_LIMIT : buf_add(ret, room, n);
    (void)ZSTD_freeCCtx(c);
    mem_free(room);
    return rc;
}

int
zstd_pack(const void *bytes, size_t len, struct buf *ret)
{
    return len < 2 ? ERR_LIMIT : pack(bytes, len, len - 1, ret);
}

int
zstd_frame(const void *bytes, size_t len, struct buf *ret)
{
    return pack(bytes, len, zstd_frame_max(len), ret);
}

int
zstd_unframe(const void *frame, size_t len, void *ret, size_t size)
{
    size_t n = ZSTD_decompress(ret, size, frame, len);
    return ZSTD_isError(n) || n != size ? ERR_SYNTAX : 0;
}

size_t
zstd_frame_max(size_t len)
{
    return ZSTD_compressBound(len) + CHECKSUM_BYTES;
}

int
zstd_unpack(const void *frame, size_t len, size_t size, struct buf *ret)
{
    if (size > ret->limit - ret->len) {
        return ERR_LIMIT;
    }
    char *room = mem_alloc(size + 1);
    ZSTD_DCtx *d = new_decompressor();
    ZSTD_outBuffer out = {room, size + 1, 0}; /* one more: who has more is found out */
    ZSTD_inBuffer in = {frame, len, 0};
    size_t left = ZSTD_decompressStream(d, &out, &in);
    bool whole = left == 0 && in.pos == in.size && out.pos == size;
    int rc = whole ? buf_add(ret, room, size) : ERR_SYNTAX;
    (void)ZSTD_freeDCtx(d);
    mem_free(room);
    return rc;
}

unsigned
zstd_permille(const void *bytes, size_t len)
{
    size_t cap = ZSTD_compressBound(len);
    void *room = mem_alloc(cap);
    size_t n = ZSTD_compress(room, cap, bytes, len, LEVEL);
    mem_free(room);
    return len == 0 || ZSTD_isError(n) || n >= len ? 1000 : (unsigned)(n * 1000 / len);
}

unsigned
zstd_sample(int fd, uint64_t pos, uint64_t len)
{
    uint8_t room[ZSTD_SAMPLES * ZSTD_SAMPLE_STEP];
    must(len >= sizeof room);
    uint64_t stride = (len - ZSTD_SAMPLE_STEP) / (ZSTD_SAMPLES - 1);
    for (unsigned i = 0; i < ZSTD_SAMPLES; i++) {
        if (fs_read_at(fd, pos + i * stride, room + (size_t)i * ZSTD_SAMPLE_STEP,
                       ZSTD_SAMPLE_STEP) < 0) {
            return 1001;
        }
    }
    return zstd_permille(room, sizeof room);
}

/* ---- as a stream ---- */

struct zstd_writer {
    ZSTD_CCtx *c;
};

struct zstd_writer *
zstd_writer_new(uint64_t size)
{
    struct zstd_writer *w = mem_alloc(sizeof *w);
    w->c = new_compressor();
    must(!ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(w->c, size)));
    return w;
}

void
zstd_writer_free(struct zstd_writer *w)
{
    if (w != NULL) {
        (void)ZSTD_freeCCtx(w->c);
    }
    mem_free(w);
}

bool
zstd_write(struct zstd_writer *w, struct zstd_step *s, bool last)
{
    ZSTD_inBuffer in = {s->from, s->from_len, 0};
    ZSTD_outBuffer out = {s->to, s->to_cap, 0};
    size_t left = ZSTD_compressStream2(w->c, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
    must(!ZSTD_isError(left));
    s->taken = in.pos;
    s->put = out.pos;
    return last && left == 0;
}

struct zstd_reader {
    ZSTD_DCtx *d;
    uint64_t left; /* that may still be read */
};

struct zstd_reader *
zstd_reader_new(uint64_t packed_max)
{
    struct zstd_reader *r = mem_alloc(sizeof *r);
    *r = (struct zstd_reader){new_decompressor(), packed_max};
    return r;
}

void
zstd_reader_free(struct zstd_reader *r)
{
    if (r != NULL) {
        (void)ZSTD_freeDCtx(r->d);
    }
    mem_free(r);
}

int
zstd_read(struct zstd_reader *r, struct zstd_step *s)
{
    ZSTD_inBuffer in = {s->from, s->from_len, 0};
    ZSTD_outBuffer out = {s->to, s->to_cap, 0};
    s->taken = s->put = 0;
    size_t left = ZSTD_decompressStream(r->d, &out, &in);
    if (ZSTD_isError(left) || in.pos > r->left) {
        return ERR_SYNTAX;
    }
    r->left -= in.pos;
    s->taken = in.pos;
    s->put = out.pos;
    return 0;
}
