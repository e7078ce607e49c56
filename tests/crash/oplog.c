/* The wrappers: each does the call and writes it down under one lock, so that the log has the true
 * order. A call that failed changed nothing and is not in the log. */
#include "tests/crash/oplog.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static struct oplog the_log;
static size_t room;
static bool recording;

int __real_openat64(int dir, const char *name, int flags, ...);
int __real_mkdirat(int dir, const char *name, mode_t mode);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t len, off_t at);
int __real_fallocate64(int fd, int mode, off_t at, off_t len);
int __real_ftruncate64(int fd, off_t len);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *name, int flags);

int __wrap_openat64(int dir, const char *name, int flags, ...);
int __wrap_mkdirat(int dir, const char *name, mode_t mode);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t at);
int __wrap_fallocate64(int fd, int mode, off_t at, off_t len);
int __wrap_ftruncate64(int fd, off_t len);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_unlinkat(int dir, const char *name, int flags);

static void
add(const struct op *op)
{
    if (!recording) {
        return;
    }
    if (the_log.count == room) {
        room = room * 2 + 256;
        the_log.ops = mem_realloc(the_log.ops, room * sizeof the_log.ops[0]);
    }
    the_log.ops[the_log.count++] = *op;
}

static void
add_of(int fd, struct op op)
{
    struct stat st;
    must(fstat(fd, &st) == 0);
    op.inode = st.st_ino;
    add(&op);
}

static ino_t
inode_at(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
}

static void
set_name(char ret[OP_NAME_MAX], const char *name)
{
    int n = snprintf(ret, OP_NAME_MAX, "%s", name);
    must(n >= 0 && n < OP_NAME_MAX && strchr(ret, '/') == NULL);
}

/* A folder of the log by descriptor, or the one above a path. */
static ino_t
folder_of(int dir, const char *name, char ret_name[OP_NAME_MAX])
{
    if (strchr(name, '/') == NULL) {
        set_name(ret_name, name);
        return inode_at(dir, ".");
    }
    AUTO(mem_free_text) char *above = mem_strdup(name);
    AUTO(mem_free_text) char *last = mem_strdup(name);
    set_name(ret_name, basename(last));
    return inode_at(AT_FDCWD, dirname(above));
}

int
__wrap_openat64(int dir, const char *name, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
    va_end(list);
    (void)pthread_mutex_lock(&order);
    ino_t before = (flags & O_CREAT) != 0 ? inode_at(dir, name) : 1;
    int fd = __real_openat64(dir, name, flags, mode);
    int error = errno;
    if (fd >= 0 && before == 0) {
        struct op op = {.kind = OP_MAKE};
        op.from = folder_of(dir, name, op.name);
        add_of(fd, op);
    } else if (fd >= 0 && (flags & O_TRUNC) != 0) {
        add_of(fd, (struct op){.kind = OP_SIZE});
    }
    (void)pthread_mutex_unlock(&order);
    errno = error;
    return fd;
}

int
__wrap_mkdirat(int dir, const char *name, mode_t mode)
{
    (void)pthread_mutex_lock(&order);
    int rc = __real_mkdirat(dir, name, mode);
    int error = errno;
    if (rc == 0) {
        struct op op = {.kind = OP_FOLDER, .inode = inode_at(dir, name)};
        op.from = folder_of(dir, name, op.name);
        add(&op);
    }
    (void)pthread_mutex_unlock(&order);
    errno = error;
    return rc;
}

ssize_t
__wrap_pwrite64(int fd, const void *bytes, size_t len, off_t at)
{
    (void)pthread_mutex_lock(&order);
    ssize_t n = __real_pwrite64(fd, bytes, len, at);
    int error = errno;
    if (n > 0 && recording) {
        struct op op = {.kind = OP_WRITE, .at = (uint64_t)at, .len = (uint64_t)n};
        op.bytes = mem_alloc((size_t)n);
        memcpy(op.bytes, bytes, (size_t)n);
        add_of(fd, op);
    }
    (void)pthread_mutex_unlock(&order);
    errno = error;
    return n;
}

/* The calls on one descriptor that are written down when they succeeded. */
#define ON_FD(call, ...)                      \
    (void)pthread_mutex_lock(&order);         \
    int rc = call;                            \
    int error = errno;                        \
    if (rc == 0) {                            \
        add_of(fd, (struct op){__VA_ARGS__}); \
    }                                         \
    (void)pthread_mutex_unlock(&order);       \
    errno = error;                            \
    return rc

int
__wrap_fallocate64(int fd, int mode, off_t at, off_t len)
{
    must(mode == 0);
    ON_FD(__real_fallocate64(fd, mode, at, len), .kind = OP_GROW, .len = (uint64_t)(at + len));
}

int
__wrap_ftruncate64(int fd, off_t len)
{
    ON_FD(__real_ftruncate64(fd, len), .kind = OP_SIZE, .len = (uint64_t)len);
}

int
__wrap_fsync(int fd)
{
    ON_FD(__real_fsync(fd), .kind = OP_SYNC);
}

int
__wrap_fdatasync(int fd)
{
    ON_FD(__real_fdatasync(fd), .kind = OP_SYNC_DATA);
}

int
__wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    (void)pthread_mutex_lock(&order);
    struct op op = {.kind = OP_RENAME, .inode = inode_at(from_dir, from)};
    op.from = folder_of(from_dir, from, op.name);
    op.to = folder_of(to_dir, to, op.to_name);
    int rc = __real_renameat(from_dir, from, to_dir, to);
    int error = errno;
    if (rc == 0) {
        add(&op);
    }
    (void)pthread_mutex_unlock(&order);
    errno = error;
    return rc;
}

int
__wrap_unlinkat(int dir, const char *name, int flags)
{
    (void)pthread_mutex_lock(&order);
    struct op op = {.kind = OP_UNLINK};
    op.from = folder_of(dir, name, op.name);
    int rc = __real_unlinkat(dir, name, flags);
    int error = errno;
    if (rc == 0) {
        add(&op);
    }
    (void)pthread_mutex_unlock(&order);
    errno = error;
    return rc;
}

void
oplog_begin(const char *folder)
{
    for (size_t i = 0; i < the_log.count; i++) {
        mem_free(the_log.ops[i].bytes);
    }
    mem_free(the_log.ops);
    room = 0;
    the_log = (struct oplog){.root = inode_at(AT_FDCWD, folder)};
    recording = true;
}

void
oplog_mark(uint64_t what, uint64_t value)
{
    (void)pthread_mutex_lock(&order);
    add(&(struct op){.kind = OP_MARK, .at = what, .len = value});
    (void)pthread_mutex_unlock(&order);
}

const struct oplog *
oplog_end(void)
{
    recording = false;
    return &the_log;
}

const char *
oplog_kind(enum op_kind kind)
{
    static const char *const names[] = {"make",   "folder", "write", "size",      "grow",
                                        "rename", "unlink", "fsync", "fdatasync", "mark"};
    return names[kind];
}
