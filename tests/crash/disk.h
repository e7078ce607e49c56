/* What a power cut may leave of a log.
 *
 * The rules of the disk: fsync keeps a file's bytes and length, fdatasync the same as far as they
 * are needed to read it back, fsync of a folder the names in it. A rename is kept when the folder
 * of the new name is. Everything else may be there or not, whatever came before or after it; a
 * write may be there in part. A rename is there as a whole or not at all. */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include "tests/crash/oplog.h"

/* What of the unsynced calls is there. */
enum cut {
    CUT_NOTHING,
    CUT_ALL,
    CUT_METADATA,  /* names and lengths; the bytes are zeros */
    CUT_DATA,      /* bytes, as far as the file was long */
    CUT_TORN_512,  /* all, but the last write stops after 512 bytes */
    CUT_TORN_4096, /* the same after 4096 */
    CUT_SHUFFLED,  /* any of them, by a seed; writes in pages or, of an odd seed, in sectors */
    CUTS
};
const char *cut_name(enum cut how);

struct disk; /* files and names */

/* For each call the sync that makes it last, SIZE_MAX: none. Free with mem_free. */
size_t *disk_kept_by(const struct oplog *log);
/* The first `count` calls, then the cut. Free with disk_free. */
struct disk *disk_after(const struct oplog *log, const size_t *kept_by, size_t count, enum cut how,
                        uint64_t seed);
uint64_t disk_hash(const struct disk *d);                 /* the same for the same content */
void disk_make(const struct disk *d, const char *folder); /* which exists and is empty */
void disk_free(struct disk *d);

#endif
