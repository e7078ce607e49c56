/* What the cache writes to disk besides blobs: records of the journal and piece maps,
 * each with a CRC32C. Pure; the decoders take any bytes.
 *
 *   journal record:  u32 len  u32 crc  payload[len]       payload: u8 kind, then its fields
 *   piece map:       u32 magic  u8 alg  digest  u64 size  u32 count  u32 filled[count]  u32 crc
 *
 * All numbers are little-endian. */
#ifndef CACHE_RECORD_H
#define CACHE_RECORD_H

#include "cache/cache.h"

struct pieces;

/* Kinds are never renumbered; a decoder skips kinds that it does not know. */
enum record_kind {
    RECORD_OTHER = 0,    /* well formed, of a later version */
    RECORD_TAG = 1,      /* key, tag */
    RECORD_TAG_DROP = 2, /* key */
    RECORD_LINK = 3,     /* key (a repository), principal, digest, link */
    RECORD_FACT = 4,     /* digest, fact */
    RECORD_FORMAT = 5,   /* version: the first record of a journal */
    RECORD_WORTH = 6,    /* digest, worth */
    RECORD_CHECKED = 7,  /* digest, checked */
};

/* What is known of a stored blob besides its bytes. */
struct fact {
    uint64_t size;
    int64_t stored_wall_s, used_wall_s;
    uint64_t from_bytes[BLOB_SOURCES];
};

/* What keeps a stored blob here. */
struct worth {
    uint32_t requests; /* of the site, decayed until at_wall_s, in 1/65536 */
    uint32_t at_wall_s, asked_wall_s;
    bool pinned;
};

/* A file of containerd's whose bytes are right. */
struct checked {
    uint64_t ino, size;
    int64_t mtime_ns, ctime_ns;
};

struct record {
    enum record_kind kind;
    char key[CACHE_TAG_KEY_MAX];
    struct digest digest;
    uint64_t principal;
    struct tag tag;
    struct link link;
    struct fact fact;
    uint32_t version;
    struct worth worth;
    struct checked checked;
};

/* Longest record with its frame. */
#define RECORD_MAX_BYTES 1024

/* Appends the record; ERR_LIMIT when it does not fit ret. */
CHECKED int record_encode(const struct record *r, struct buf *ret);
/* The first record of the bytes. 0; ERR_AGAIN when it is cut off; ERR_SYNTAX when it is
 * damaged. On 0 ret_used tells its length; on an error the outputs are unchanged. */
CHECKED int record_decode(const void *bytes, size_t len, struct record *ret, size_t *ret_used);

/* Words of a blob (words.h), as a file. */
size_t record_words_bytes(uint32_t count); /* at most */
CHECKED int record_words_encode(const struct digest *d, uint64_t size, const uint8_t *words,
                                uint32_t count, struct buf *ret);
/* ret_words: in place. ERR_SYNTAX also when they belong to another blob, or are of a version that
 * is not known here. */
CHECKED int record_words_decode(const void *bytes, size_t len, const struct digest *d,
                                uint64_t size, uint32_t count, const uint8_t **ret_words);

CHECKED int record_map_encode(const struct digest *d, const struct pieces *p, struct buf *ret);
/* ERR_SYNTAX also when the map belongs to another digest. */
CHECKED int record_map_decode(const void *bytes, size_t len, const struct digest *d,
                              struct pieces **ret);

#endif
