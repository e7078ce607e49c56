/* Content digests as the OCI image spec writes them: "sha256:" and 64, or
 * "sha512:" and 128 lower-case hex digits; nothing else is accepted. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/must.h"

enum digest_alg { DIGEST_SHA256, DIGEST_SHA512 };

/* Plain data: compare with digest_equal, use whole as a hash key (unused bytes are 0). */
struct digest {
    uint32_t alg; /* enum digest_alg; fixed width, no padding */
    uint8_t bytes[64];
};

#define DIGEST_TEXT_MAX (7 + 128 + 1)

CHECKED int digest_parse(const char *text, size_t len, struct digest *ret); /* 0, ERR_SYNTAX */
void digest_print(const struct digest *d, char ret_text[DIGEST_TEXT_MAX]);
void digest_hex(const struct digest *d, char ret_hex[129]); /* without "sha256:" */
const char *digest_alg_name(const struct digest *d);        /* "sha256" */
size_t digest_len(const struct digest *d);                  /* bytes: 32 or 64 */
bool digest_equal(const struct digest *a, const struct digest *b);
void digest_of(enum digest_alg alg, const void *bytes, size_t len, struct digest *ret);

/* Bytes of SHA-256 a second that one core does, measured in its own time, not counting what else
 * runs on it: a millisecond with the instructions for it, 15 without. Never 0. */
uint64_t digest_rate(void);

/* Progressive hashing (EVP). One thread at a time. */
struct digester;
struct digester *digester_new(enum digest_alg alg);
struct digester *digester_copy(const struct digester *d); /* same state so far */
void digester_add(struct digester *d, const void *bytes, size_t len);
void digester_finish(struct digester *d, struct digest *ret); /* then only free */
void digester_free(struct digester *d);

#endif
