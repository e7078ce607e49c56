/* Reads the bytes through a small room that stays in the processor's cache. The body itself goes
 * by sendfile: measured over loopback both ways cost 0.55 to 0.65 CPU-s/GiB with the sums, and
 * sending from memory needs 4 MiB for each upload. */
#include "proxy/peer/sums.h"
#include "base/fs.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"

#define STEP_BYTES (64u * 1024)

static int
sum_block(int fd, uint64_t pos, size_t len, uint8_t *room, uint32_t *ret)
{
    uint32_t crc = 0;
    int rc = 0;
    for (size_t at = 0; at < len && rc == 0;) {
        size_t n = len - at < STEP_BYTES ? len - at : STEP_BYTES;
        rc = fs_read_at(fd, pos + at, room, n);
        if (rc == 0)
            crc = hash_crc32c_add(crc, room, n);
        at += n;
    }
    *ret = crc;
    return rc;
}

int
sums_print(int fd, uint64_t pos, size_t len, char ret_text[SUMS_TEXT_MAX])
{
    must(len <= PIECE_BYTES_MAX);
    uint8_t *room = mem_alloc(STEP_BYTES);
    char *to = ret_text;
    int rc = 0;
    *to = 0;
    for (size_t at = 0; at < len && rc == 0; at += PIECE_BLOCK_BYTES) {
        uint32_t crc = 0;
        size_t n = len - at < PIECE_BLOCK_BYTES ? len - at : PIECE_BLOCK_BYTES;
        rc = sum_block(fd, pos + at, n, room, &crc);
        size_t room_left = SUMS_TEXT_MAX - (size_t)(to - ret_text);
        must(text_printf(to, room_left, "%08x", crc) == 0);
        to += 8;
    }
    mem_free(room);
    return rc;
}
