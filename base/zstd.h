/* zstd within bounds, for bytes between nodes and in our own files: a low level, frames with a
 * checksum that a reader undoes with 256 KiB of history, and readers that refuse whatever wants
 * more. A thread each. */
#ifndef BASE_ZSTD_H
#define BASE_ZSTD_H

#include "base/must.h"

struct buf;

/* ---- all at once ---- */

/* Adds one frame to ret: 0, or ERR_LIMIT when it would not be shorter than len or does not fit. */
CHECKED int zstd_pack(const void *bytes, size_t len, struct buf *ret);
/* The same, but a frame also when it gets longer: of at most zstd_frame_max(len) bytes. */
CHECKED int zstd_frame(const void *bytes, size_t len, struct buf *ret);
size_t zstd_frame_max(size_t len);
/* Its content, exactly `size` bytes, to where it is wanted: 0 or ERR_SYNTAX. */
CHECKED int zstd_unframe(const void *frame, size_t len, void *ret, size_t size);
/* Adds the content of one frame, which must be exactly `size` bytes: 0, ERR_SYNTAX, or ERR_LIMIT by
 * the limit of ret; then nothing is added. */
CHECKED int zstd_unpack(const void *frame, size_t len, size_t size, struct buf *ret);
/* What packing makes of the bytes in thousandths of their length; 1000 when nothing. */
unsigned zstd_permille(const void *bytes, size_t len);

/* Is [pos, pos + len) of a file compressed already? The same of a few places of it, evenly over it;
 * more than 1000 when they cannot be read. What shrinks to ZSTD_WORTH or more is left as it is. */
#define ZSTD_WORTH       900
#define ZSTD_SAMPLE_STEP 4096
#define ZSTD_SAMPLES     4
unsigned zstd_sample(int fd, uint64_t pos, uint64_t len);

/* ---- as a stream ---- */

/* What one step may take and where it puts what comes out; then how much it took and put. */
struct zstd_step {
    const void *from;
    size_t from_len, taken;
    void *to;
    size_t to_cap, put;
};

struct zstd_writer;
struct zstd_writer *zstd_writer_new(uint64_t size); /* of all that will be written */
void zstd_writer_free(struct zstd_writer *w);       /* NULL is fine */
/* Takes some of the bytes and gives some of the frame. `last`: no bytes follow these. True: the
 * frame is whole, and the writer done. */
bool zstd_write(struct zstd_writer *w, struct zstd_step *s, bool last);

struct zstd_reader;
/* Refuses, with ERR_SYNTAX, to read more than `packed_max` bytes: whoever sends a stream that gives
 * little for much is not waited for. How much comes out is the caller's to bound. */
struct zstd_reader *zstd_reader_new(uint64_t packed_max);
void zstd_reader_free(struct zstd_reader *r); /* NULL is fine */
/* The same the other way. 0 or ERR_SYNTAX. */
CHECKED int zstd_read(struct zstd_reader *r, struct zstd_step *s);

#endif
