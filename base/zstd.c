/* The only file that knows libzstd. Its calls fail for want of memory, which mem.h would abort on,
 * or because of what they are given. */
#include "base/zstd.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include <zstd.h>

#define LEVEL 1
/* 256 KiB. A tar of /usr/lib shrinks to 36.0 % with 128 KiB, 34.9 % with this, 34.6 % with 512 KiB.
 */
#define WINDOW_LOG 18

static ZSTD_CCtx *
new_compressor(void)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    must(c != NULL);
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, LEVEL)));
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, WINDOW_LOG)));
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

int
zstd_pack(const void *bytes, size_t len, struct buf *ret)
{
    if (len < 2) {
        return ERR_LIMIT;
    }
    char *room = mem_alloc(len - 1);
    ZSTD_CCtx *c = new_compressor();
    size_t n = ZSTD_compress2(c, room, len - 1, bytes, len);
    int rc = ZSTD_isError(n) ? ERR_LIMIT : buf_add(ret, room, n);
    (void)ZSTD_freeCCtx(c);
    mem_free(room);
    return rc;
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
