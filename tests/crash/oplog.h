/* What the cache did to its folder, call by call. crash.mk links the calls of base/fs.c that change
 * a disk to the wrappers of oplog.c, so the code under test is the daemon's, unchanged. */
#ifndef TESTS_CRASH_OPLOG_H
#define TESTS_CRASH_OPLOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum op_kind {
    OP_MAKE,      /* a file `inode` called from/name */
    OP_FOLDER,    /* a folder, the same */
    OP_WRITE,     /* bytes[len] at `at` of `inode` */
    OP_SIZE,      /* `inode` is len long */
    OP_GROW,      /* `inode` is at least len long */
    OP_RENAME,    /* from/name, which is `inode`, becomes to/to_name */
    OP_UNLINK,    /* from/name */
    OP_SYNC,      /* fsync of a file or folder */
    OP_SYNC_DATA, /* fdatasync */
    OP_MARK,      /* what the script says of this moment: `at`, `len` */
};

#define OP_NAME_MAX 192

struct op {
    enum op_kind kind;
    ino_t inode, from, to;
    uint64_t at, len;
    uint8_t *bytes;
    char name[OP_NAME_MAX], to_name[OP_NAME_MAX];
};

struct oplog {
    ino_t root; /* the folder of the cache */
    struct op *ops;
    size_t count;
};

/* One recording at a time; the calls of all threads are in it, in the order in which they were
 * done. The log is the recorder's until the next begin. */
void oplog_begin(const char *folder);
void oplog_mark(uint64_t what, uint64_t value);
const struct oplog *oplog_end(void);
const char *oplog_kind(enum op_kind kind);

#endif
