/* A blob at rest as zstd frames, each of FRAME_BYTES of it, so that any byte is had by undoing one
 * frame: the seekable format of zstd (contrib/seekable_format in its sources), which `zstd -d`
 * undoes, too.
 *
 *   frame 0 | frame 1 | ... | 0x184D2A5E u32, length u32 | (packed u32, plain u32) per frame |
 *   count u32 | 0 u8 | 0x8F92EAB1 u32                                     all little-endian
 *
 * Each frame has a checksum, so a bit that the disk lost is noticed when it is read. Errors:
 * -errno, -EBADMSG when the file is not what was written. Any thread. */
#ifndef CACHE_FRAMES_H
#define CACHE_FRAMES_H

#include "base/must.h"

struct frames;

#define FRAME_BYTES (256u * 1024)
/* 256 GiB; a longer blob stays as it came. */
#define FRAMES_MAX (1u << 20)

/* Of a file; it stays the caller's. */
CHECKED int frames_open(int fd, struct frames **ret);
void frames_free(struct frames *f); /* NULL is fine */
uint64_t frames_plain_bytes(const struct frames *f);
/* Bytes of the blob; f NULL: the file is the blob itself. What was undone last is kept for the next
 * read. */
CHECKED int frames_read(struct frames *f, int fd, uint64_t pos, void *ret, size_t len);

/* Writes the first `size` bytes of one file as frames to another, which is empty or only reserved.
 * Before each frame `go_on` is told what the last one was and took; false ends it with ERR_CLOSED.
 * ERR_LIMIT: it would be longer than max_bytes. Returns its length. */
CHECKED int64_t frames_pack(int from, uint64_t size, int to, uint64_t max_bytes,
                            bool (*go_on)(void *arg, size_t bytes, int64_t took_ms), void *arg);

/* What frames_open makes of a table: pure. `table` is the end of a file of file_bytes, from the
 * first magic number on. */
size_t frames_table_bytes(uint32_t count);
CHECKED int frames_parse(const uint8_t *table, size_t len, uint64_t file_bytes,
                         struct frames **ret);

#endif
