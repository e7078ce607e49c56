/* File-system calls: one fault point before each, retried on EINTR, whole or an error. */
#include "base/fs.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FOLDER_MODE 0700
#define FILE_MODE   0600

void
fd_close(int *fd)
{
    int kept = errno;

    /* Linux frees the descriptor whatever close() says; a retry could hit another's. */
    if (*fd >= 0)
        (void)close(*fd); /* house: banned elsewhere, so that all of them end here */
    *fd = -1;
    errno = kept;
}

/* 0 or -errno of a call that returns -1 on failure. */
static int
result(int rc)
{
    return rc < 0 ? -errno : 0;
}

int
fs_make_dir_at(int dir_fd, const char *name)
{
    int rc = fault_point("mkdir");

    if (rc < 0)
        return rc;
    rc = result(mkdirat(dir_fd, name, FOLDER_MODE));
    return rc == -EEXIST ? 0 : rc;
}

/* mkdir -p: an existing part that is no folder shows when the whole is opened. */
static int
make_dirs(const char *path)
{
    char part[PATH_MAX];

    if (text_copy(part, sizeof(part), path) < 0)
        return -ENAMETOOLONG;
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = fs_make_dir_at(AT_FDCWD, part);
        if (rc < 0)
            return rc;
        *slash = '/';
    }
    return fs_make_dir_at(AT_FDCWD, part);
}

bool
fs_is_trouble(int rc)
{
    return rc == -EROFS || rc == -ENOSPC || rc == -EDQUOT || rc == -EIO;
}

static int
open_folder(const char *path, int *ret_fd)
{
    int rc = fault_point("open");

    if (rc < 0)
        return rc;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int
fs_open_dir(const char *path, bool create, int *ret_fd)
{
    if (path[0] == '\0')
        return -ENOENT;
    int rc = open_folder(path, ret_fd);
    if (rc != -ENOENT || !create)
        return rc;
    rc = make_dirs(path);
    if (rc < 0)
        return rc;
    return open_folder(path, ret_fd);
}

int
fs_open_at(int dir_fd, const char *name, int flags, int *ret_fd)
{
    int rc = fault_point("open");

    if (rc < 0)
        return rc;
    int fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int
fs_read_at(int fd, uint64_t offset, void *ret, size_t len)
{
    char *at = ret;
    int rc = fault_point("read");

    if (rc < 0)
        return rc;
    while (len > 0) {
        ssize_t n = pread(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int
fs_write_at(int fd, uint64_t offset, const void *bytes, size_t len)
{
    const char *at = bytes;
    int rc = fault_point("write");

    if (rc < 0)
        return rc;
    while (len > 0) {
        ssize_t n = pwrite(fd, at, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

int
fs_read_file(int dir_fd, const char *name, struct buf *ret)
{
    char chunk[8192];
    AUTO(fd_close) int fd = -1;
    size_t len_before = ret->len;
    int rc = fs_open_at(dir_fd, name, O_RDONLY, &fd);

    if (rc == 0)
        rc = fault_point("read");
    while (rc == 0) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n == 0)
            return 0;
        if (n > 0) {
            rc = buf_add(ret, chunk, (size_t)n);
        } else if (errno != EINTR) {
            rc = -errno;
        }
    }
    buf_cut(ret, len_before);
    return rc;
}

static int
allocate(int fd, uint64_t len)
{
    int rc;

    do {
        rc = result(fallocate(fd, 0, 0, (off_t)len));
    } while (rc == -EINTR);
    return rc;
}

/* There to reserve is to write: the kernel clears every page, seconds for a large blob. */
static bool
lies_in_memory(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) != 0)
        return false;
    uint32_t type = (uint32_t)fs.f_type; /* 32 bits on each machine, signed on some */
    return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

int
fs_reserve(int fd, uint64_t len, bool *ret_reserved)
{
    struct stat st;
    int rc = fault_point("fallocate");

    if (ret_reserved != NULL)
        *ret_reserved = true;
    if (rc < 0 || len == 0)
        return rc;
    rc = lies_in_memory(fd) ? -EOPNOTSUPP : allocate(fd, len);
    if (rc != -EOPNOTSUPP && rc != -EINVAL)
        return rc;
    if (ret_reserved != NULL)
        *ret_reserved = false;
    if (fstat(fd, &st) < 0)
        return -errno;
    return (uint64_t)st.st_size >= len ? 0 : result(ftruncate(fd, (off_t)len));
}

int
fs_truncate(int fd, uint64_t len)
{
    int rc = fault_point("ftruncate");

    return rc < 0 ? rc : result(ftruncate(fd, (off_t)len));
}

int
fs_open_memory(uint64_t len, int *ret_fd)
{
    int rc = fault_point("memfd_create");
    int fd = rc < 0 ? -1 : memfd_create("peersync", MFD_CLOEXEC);

    if (fd < 0)
        return rc < 0 ? rc : -errno;
    rc = result(ftruncate(fd, (off_t)len));
    if (rc < 0)
        fd_close(&fd);
    else
        *ret_fd = fd;
    return rc;
}

int
fs_punch(int fd, uint64_t offset, uint64_t len)
{
    int rc = fault_point("fallocate");

    return rc < 0 ? rc
                  : result(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                                     (off_t)len));
}

int
fs_sync(int fd)
{
    int rc = fault_point("fsync");

    return rc < 0 ? rc : result(fsync(fd));
}

int
fs_sync_data(int fd)
{
    int rc = fault_point("fdatasync");

    return rc < 0 ? rc : result(fdatasync(fd));
}

void
fs_start_writeback(int fd, uint64_t offset, uint64_t len)
{
    if (fault_point("sync_file_range") == 0)
        (void)sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

void
fs_drop_cached(int fd)
{
    if (fault_point("fadvise") == 0)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

int
fs_size(int fd, uint64_t *ret)
{
    struct stat st;
    int rc = fault_point("fstat");

    if (rc < 0)
        return rc;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret = (uint64_t)st.st_size;
    return 0;
}

static int64_t
nanoseconds(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static struct fs_id
id_of(const struct stat *st)
{
    return (struct fs_id){.dev = (uint64_t)st->st_dev,
                          .ino = (uint64_t)st->st_ino,
                          .size = (uint64_t)st->st_size,
                          .mtime_ns = nanoseconds(&st->st_mtim),
                          .ctime_ns = nanoseconds(&st->st_ctim)};
}

int
fs_id(int fd, struct fs_id *ret)
{
    struct stat st;
    int rc = fault_point("fstat");

    if (rc < 0)
        return rc;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret = id_of(&st);
    return st.st_nlink == 0 ? -ENOENT : S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

static int
stat_file_at(int dir_fd, const char *name, struct stat *ret)
{
    int rc = fault_point("fstatat");

    if (rc < 0)
        return rc;
    if (fstatat(dir_fd, name, ret, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISREG(ret->st_mode) ? 0 : -EINVAL;
}

int
fs_id_at(int dir_fd, const char *name, struct fs_id *ret)
{
    struct stat st;
    int rc = stat_file_at(dir_fd, name, &st);

    if (rc < 0)
        return rc;
    *ret = id_of(&st);
    /* AT_EACCESS: with the capabilities that the process has. */
    return result(faccessat(dir_fd, name, R_OK, AT_EACCESS));
}

bool
fs_id_equal(const struct fs_id *a, const struct fs_id *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

int
fs_size_at(int dir_fd, const char *name, uint64_t *ret)
{
    struct stat st;
    int rc = stat_file_at(dir_fd, name, &st);

    if (rc < 0)
        return rc;
    *ret = (uint64_t)st.st_size;
    return 0;
}

int
fs_rename_at(int from_dir, const char *from, int to_dir, const char *to)
{
    int rc = fault_point("rename");

    return rc < 0 ? rc : result(renameat(from_dir, from, to_dir, to));
}

int
fs_unlink_at(int dir_fd, const char *name)
{
    int rc = fault_point("unlink");

    return rc < 0 ? rc : result(unlinkat(dir_fd, name, 0));
}

int
fs_space(int dir_fd, struct fs_space *ret)
{
    struct statvfs st;
    int rc = fault_point("statvfs");

    if (rc < 0)
        return rc;
    if (fstatvfs(dir_fd, &st) < 0)
        return -errno;
    *ret = (struct fs_space){
        .free_bytes = (uint64_t)st.f_bavail * st.f_frsize,
        .total_bytes = (uint64_t)st.f_blocks * st.f_frsize,
        .free_files = st.f_files == 0 ? UINT64_MAX : st.f_favail,
        .total_files = st.f_files,
    };
    return 0;
}

static bool
is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* A descriptor of its own, since reading moves the position. */
static int
open_listing(int dir_fd, DIR **ret)
{
    AUTO(fd_close) int fd = -1;
    int rc = fs_open_at(dir_fd, ".", O_RDONLY | O_DIRECTORY, &fd);

    if (rc < 0)
        return rc;
    DIR *dir = fdopendir(fd);
    if (dir == NULL)
        return -errno;
    fd = -1; /* belongs to dir now */
    *ret = dir;
    return 0;
}

int
fs_each(int dir_fd, int (*fn)(void *arg, const char *name), void *arg)
{
    DIR *dir = NULL;
    int rc = open_listing(dir_fd, &dir);

    if (rc < 0)
        return rc;
    must(dir != NULL);
    while (rc == 0) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            rc = -errno;
            break;
        }
        if (!is_dots(entry->d_name))
            rc = fn(arg, entry->d_name);
    }
    (void)closedir(dir);
    return rc;
}

int
fs_lock(int fd)
{
    int rc = fault_point("flock");

    return rc < 0 ? rc : result(flock(fd, LOCK_EX | LOCK_NB));
}
