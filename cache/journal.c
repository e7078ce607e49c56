/* The journal: records one behind the other (record.h), appended, synced in batches, and
 * rewritten when most of it is old. A crash may tear the last batch; its tail is cut at the
 * next start. With damage in the middle, what is before and behind it is written anew: new records
 * never stand behind damaged ones. */
#include "cache/journal.h"
#include "base/buf.h"
#include "base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define JOURNAL_NAME        "journal"
#define JOURNAL_UNREAD_NAME JOURNAL_NAME ".unread"
/* What a sector that cannot be read costs, and how many are tried: a disk may take seconds for
 * each. */
#define STEP_BYTES     4096u
#define LOST_STEPS_MAX 16
/* Rewriting costs its size once; this keeps it rare and the start short. */
#define REWRITE_MIN_BYTES (4u * 1024 * 1024)
#define REWRITE_FACTOR    4

/* Calls fn for each record that is whole, also behind what is damaged: the next one begins where
 * length and checksum fit again. Returns where the last one ends, and what of the bytes before that
 * was passed over. */
static size_t
replay(const struct buf *bytes, void (*fn)(void *arg, const struct record *r), void *arg,
       size_t *ret_damaged)
{
    size_t at = 0, end = 0;
    struct record r;
    size_t used;
    *ret_damaged = 0;
    while (at < bytes->len) {
        if (record_decode(bytes->data + at, bytes->len - at, &r, &used) < 0) {
            at++;
            continue;
        }
        fn(arg, &r);
        *ret_damaged += at - end;
        at += used;
        end = at;
    }
    return end;
}

/* Both once more when the disk says no. */
static int
open_for_reading(const struct store *s, int *ret_fd)
{
    int rc = store_open_file(s, JOURNAL_NAME, O_RDONLY, ret_fd);
    return rc < 0 ? store_open_file(s, JOURNAL_NAME, O_RDONLY, ret_fd) : rc;
}

static int
read_step(int fd, uint64_t at, uint8_t *ret, size_t len)
{
    int rc = fs_read_at(fd, at, ret, len);
    return rc < 0 ? fs_read_at(fd, at, ret, len) : rc;
}

int
journal_check(const struct store *s)
{
    AUTO(fd_close) int fd = -1;
    uint64_t size = 0;
    uint8_t first[RECORD_MAX_BYTES];
    if (open_for_reading(s, &fd) < 0 || fs_size(fd, &size) < 0) {
        return 0;
    }
    size_t len = size < sizeof first ? (size_t)size : sizeof first;
    struct record r;
    size_t used;
    if (read_step(fd, 0, first, len) < 0 || record_decode(first, len, &r, &used) < 0) {
        return 0;
    }
    return r.kind == RECORD_FORMAT && r.version > JOURNAL_VERSION ? ERR_VERSION : 0;
}

int
journal_head(struct buf *ret)
{
    struct record r = {.kind = RECORD_FORMAT, .version = JOURNAL_VERSION};
    return record_encode(&r, ret);
}

/* Zeros stand for what the disk does not give. True when it gave all. */
static bool
read_what_can_be(int fd, struct buf *ret)
{
    uint8_t step[STEP_BYTES];
    uint64_t size;
    unsigned lost = 0;
    if (fs_size(fd, &size) < 0 || size > ret->limit) {
        return false;
    }
    for (uint64_t at = 0; at < size && lost <= LOST_STEPS_MAX; at += sizeof step) {
        size_t len = size - at < sizeof step ? (size_t)(size - at) : sizeof step;
        if (read_step(fd, at, step, len) < 0) {
            memset(step, 0, len);
            lost++;
        }
        if (buf_add(ret, step, len) < 0) {
            return false;
        }
    }
    return lost == 0;
}

void
journal_open(struct journal *j, const struct store *s,
             void (*fn)(void *arg, const struct record *r), void *arg, uint64_t *ret_cut_bytes)
{
    *j = (struct journal){.store = s, .fd = -1};
    *ret_cut_bytes = 0;
    AUTO(buf_release) struct buf bytes;
    buf_init(&bytes, JOURNAL_MAX_BYTES);
    AUTO(fd_close) int fd = -1;
    int rc = open_for_reading(s, &fd);
    if (rc < 0) {
        j->unread = rc != -ENOENT;
        return;
    }
    bool all = read_what_can_be(fd, &bytes);
    size_t damaged, good = replay(&bytes, fn, arg, &damaged);
    *ret_cut_bytes = damaged + bytes.len - good;
    fd_close(&fd);
    j->unread = !all;
    if (!all || damaged > 0) {
        return; /* what was read is written anew, elsewhere */
    }
    rc = store_open_file(s, JOURNAL_NAME, O_RDWR, &fd);
    if (rc == 0 && good < bytes.len) {
        rc = fs_truncate(fd, good);
    }
    if (rc == 0) {
        j->fd = fd;
        j->size = good;
        fd = -1;
    }
}

void
journal_close(struct journal *j)
{
    fd_close(&j->fd);
}

int
journal_append(struct journal *j, const struct buf *records)
{
    if (j->fd < 0) {
        return ERR_STORE;
    }
    int rc = fs_write_at(j->fd, j->size, records->data, records->len);
    if (rc == 0) {
        rc = fs_sync_data(j->fd);
    }
    if (rc < 0) {
        fd_close(&j->fd);
        return rc;
    }
    j->size += records->len;
    return 0;
}

int
journal_rewrite(struct journal *j, const struct buf *records)
{
    fd_close(&j->fd);
    if (j->unread) {
        j->unread = store_rename_file(j->store, JOURNAL_NAME, JOURNAL_UNREAD_NAME) < 0;
    }
    int rc = store_write_file(j->store, JOURNAL_NAME, records);
    if (rc == 0) {
        rc = store_open_file(j->store, JOURNAL_NAME, O_RDWR, &j->fd);
    }
    if (rc == 0) {
        j->size = j->base_bytes = records->len;
    }
    return rc;
}

bool
journal_wants_rewrite(const struct journal *j)
{
    return j->fd < 0 || (j->size > REWRITE_MIN_BYTES && j->size / REWRITE_FACTOR > j->base_bytes);
}
