/* Keyed hash for tables whose keys come from outside (SipHash-1-3 with a key
 * drawn at start), and CRC32C for records on disk and bytes between nodes. Any thread. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/must.h"

#define HASH_KEY_BYTES 16

/* With the key of this process, which is drawn at the first use. */
uint64_t hash_bytes(const void *bytes, size_t len);
/* With a given key: pure. */
uint64_t hash_keyed(const uint8_t key[HASH_KEY_BYTES], const void *bytes, size_t len);
uint32_t hash_crc32c(const void *bytes, size_t len);
/* Of all bytes so far, when `before` is that of those before these; 0: there are none. */
uint32_t hash_crc32c_add(uint32_t before, const void *bytes, size_t len);
/* The same without the processor's instruction, for processors that have none. */
uint32_t hash_crc32c_plain(uint32_t before, const void *bytes, size_t len);

/* uthash with the keyed hash and our allocator: include this, never <uthash.h>. */
#define HASH_FUNCTION(key, len, hashv) ((hashv) = (unsigned)hash_bytes((key), (len)))
#define uthash_malloc(n)               mem_alloc(n)
#define uthash_free(p, n)              mem_free(p)
#include "base/mem.h"
#include <uthash.h>
#include <utlist.h>

#endif
