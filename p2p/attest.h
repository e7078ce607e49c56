/* What pieces hash to, as nodes say that got them from the registry: SHA-256, the first word
 * stays. A tracker and its deputy keep them for nodes whose blob turned out wrong, so that these
 * find the pieces to blame. A word is no proof, the digest of the blob is. Pure. */
#ifndef P2P_ATTEST_H
#define P2P_ATTEST_H

#include "p2p/wire.h"

#define ATTEST_BYTES     32
#define ATTEST_RUN_MAX   (WIRE_BITS_MAX / ATTEST_BYTES) /* words in one record */
#define ATTEST_BLOBS_MAX 64   /* the one spoken of least lately is forgotten */
#define ATTEST_SAID_MAX  1024 /* own words that wait for the next announcement; more are lost */

struct attest;

struct attest *attest_new(void);
void attest_free(struct attest *a); /* NULL is fine */
/* Words for pieces from `first` on; what is no whole word is ignored. */
void attest_hear(struct attest *a, const struct digest *blob, uint32_t first,
                 const struct wire_bits *words);
/* The next run of words for a blob from piece *at on, which moves behind it; false: no more.
 * The bytes live until the next call of another function here. */
bool attest_next(const struct attest *a, const struct digest *blob, uint32_t *at,
                 struct wire_attested *ret);

/* Own words: kept, and told by attest_say as records, as far as there is room. */
void attest_own(struct attest *a, const struct digest *blob, uint32_t piece,
                const uint8_t word[ATTEST_BYTES]);
void attest_say(struct attest *a, struct scribe *out);
void attest_hush(struct attest *a); /* nobody is to be told */

#endif
