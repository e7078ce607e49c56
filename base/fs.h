/* Files. Every call that changes or reads the disk goes through here, so that a
 * test can make the Nth one fail (base/fault.h). Errors are -errno. Any thread. */
#ifndef BASE_FS_H
#define BASE_FS_H

#include "base/must.h"
#include <sys/types.h>

struct buf;

void fd_close(int *fd); /* for AUTO(fd_close); never retried; sets -1 */

/* An error of a disk that is full, read-only or broken, which may pass; not of who asked. */
bool fs_is_trouble(int rc);
/* Folders: creates missing parents; 0700. Returns an O_DIRECTORY descriptor. */
CHECKED int fs_open_dir(const char *path, bool create, int *ret_fd);
CHECKED int fs_make_dir_at(int dir_fd, const char *name); /* existing is fine */
/* Files below a folder, O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK (a fifo of that name stops nobody),
 * mode 0600. */
CHECKED int fs_open_at(int dir_fd, const char *name, int flags, int *ret_fd);
/* All or an error: -EIO on a short file. */
CHECKED int fs_read_at(int fd, uint64_t offset, void *ret, size_t len);
CHECKED int fs_write_at(int fd, uint64_t offset, const void *bytes, size_t len);
/* Adds the whole file to ret, or nothing (its limit holds: ERR_LIMIT). */
CHECKED int fs_read_file(int dir_fd, const char *name, struct buf *ret);
/* Makes the file at least `len` long with its space reserved: fallocate, or only longer
 * where the file system cannot reserve, or lies in memory (tmpfs): then *ret_reserved,
 * unless NULL, is false. */
CHECKED int fs_reserve(int fd, uint64_t len, bool *ret_reserved);
CHECKED int fs_truncate(int fd, uint64_t len);
/* A file in memory, without a name, `len` long and empty: only what is written takes room. */
CHECKED int fs_open_memory(uint64_t len, int *ret_fd);
/* Its bytes there take no room any more, and read as zeros. */
CHECKED int fs_punch(int fd, uint64_t offset, uint64_t len);
CHECKED int fs_sync(int fd);                                    /* fsync */
CHECKED int fs_sync_data(int fd);                               /* fdatasync */
void fs_start_writeback(int fd, uint64_t offset, uint64_t len); /* a hint, no error */
/* A hint: the next read is to come from the disk, not from memory. */
void fs_drop_cached(int fd);
CHECKED int fs_size(int fd, uint64_t *ret);
/* Of a regular file below a folder; -EINVAL for anything else, links included. */
CHECKED int fs_size_at(int dir_fd, const char *name, uint64_t *ret);
/* Which file, and which state of it: differs once it was replaced, written to or touched. */
struct fs_id {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns; /* since 1970 */
};
/* -ENOENT: it has no name any more; -EINVAL: it is no regular file. */
CHECKED int fs_id(int fd, struct fs_id *ret);
/* Of a regular file below a folder: -EINVAL when it is none; -EACCES when this process may not
 * read it, ret is set then. */
CHECKED int fs_id_at(int dir_fd, const char *name, struct fs_id *ret);
bool fs_id_equal(const struct fs_id *a, const struct fs_id *b);
CHECKED int fs_rename_at(int from_dir, const char *from, int to_dir, const char *to);
CHECKED int fs_unlink_at(int dir_fd, const char *name);
/* What the file system has, and what of it this process may take. total_files is 0 where files are
 * not counted (btrfs), free_files then UINT64_MAX. */
struct fs_space {
    uint64_t free_bytes, total_bytes;
    uint64_t free_files, total_files; /* inodes */
};
CHECKED int fs_space(int dir_fd, struct fs_space *ret);
/* Calls fn for each entry but . and .., in no order; stops at its first non-zero. */
CHECKED int fs_each(int dir_fd, int (*fn)(void *arg, const char *name), void *arg);
/* Exclusive lock on the file for the life of the descriptor; -EWOULDBLOCK when taken. */
CHECKED int fs_lock(int fd);

#endif
