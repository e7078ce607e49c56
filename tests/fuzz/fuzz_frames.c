/* A packed blob, whatever stands in its file: it is refused, or what it says of itself fits to the
 * file, and any byte of it is read or refused. */
#include "base/fs.h"
#include "cache/frames.h"
#include "tests/fuzz/fuzz.h"
#include <errno.h>

#define READS 4

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(fd_close) int fd = -1;
    struct frames *f = NULL;
    must(fs_open_memory(0, &fd) == 0);
    must(size == 0 || fs_write_at(fd, 0, data, size) == 0);
    int rc = frames_open(fd, &f);
    must(rc == 0 || rc == -EBADMSG);
    if (rc < 0)
        return 0;
    uint64_t plain = frames_plain_bytes(f);
    must(plain > 0 && plain <= (uint64_t)FRAMES_MAX * FRAME_BYTES);
    must(frames_table_bytes((uint32_t)((plain + FRAME_BYTES - 1) / FRAME_BYTES)) <= size);
    uint8_t *room = mem_alloc(2 * FRAME_BYTES);
    for (uint64_t i = 0; i < READS; i++) {
        uint64_t at = plain / READS * i;
        size_t len = plain - at < 2 * FRAME_BYTES ? (size_t)(plain - at) : 2 * FRAME_BYTES;
        rc = frames_read(f, fd, at, room, len);
        must(rc == 0 || rc == -EBADMSG);
    }
    mem_free(room);
    frames_free(f);
    return 0;
}
