/* Small pure functions on text. No locale, no allocation. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/must.h"

/* Decimal digits only, whole input, no sign, no overflow: 0 or ERR_SYNTAX. */
CHECKED int text_u64(const char *s, size_t len, uint64_t *ret);
/* "20GiB", "512KiB", "1GB", "4096": bytes. 0 or ERR_SYNTAX. */
CHECKED int text_size(const char *s, uint64_t *ret_bytes);
/* "250ms", "30s", "5m", "24h", "7d", "1h30m", "0": milliseconds. 0 or ERR_SYNTAX. */
CHECKED int text_duration(const char *s, int64_t *ret_ms);
/* The three forms of an HTTP date (RFC 9110 5.6.7), white space around allowed: seconds since 1970.
 * 0 or ERR_SYNTAX. */
CHECKED int text_http_date(const char *s, int64_t *ret_s);
/* Printable forms; `ret` always terminated. */
#define TEXT_SIZE_MAX 24
void text_print_size(uint64_t bytes, char ret[TEXT_SIZE_MAX]);      /* "1.5 GiB" */
void text_print_duration(int64_t wait_ms, char ret[TEXT_SIZE_MAX]); /* "1m30s": two units */
/* Copies at most cap-1 bytes, always terminates; ERR_LIMIT when it did not fit
 * (then ret holds "" ). */
CHECKED int text_copy(char *ret, size_t cap, const char *s);
PRINTF(3, 4) CHECKED int text_printf(char *ret, size_t cap, const char *fmt, ...);
/* Bytes below 0x20, 0x7f and above 0x7e, `"` and `\` as \xHH; cut at cap with "...". */
void text_escape(char *ret, size_t cap, const char *s, size_t len);
bool text_starts(const char *s, const char *prefix);
bool text_ends(const char *s, const char *suffix);
bool text_equal_nocase(const char *a, const char *b); /* ASCII only */
/* Lower-case hex, both ways. ret of hex_decode holds len/2 bytes; 0 or ERR_SYNTAX. */
void text_hex(char *ret, const void *bytes, size_t len); /* 2*len+1 bytes */
CHECKED int text_unhex(void *ret, const char *hex, size_t len);
/* One of the two words: 1 blob, 2 blobs. */
const char *text_plural(uint64_t count, const char *one, const char *many);
/* Number of single-character edits between two short words (for "did you mean"). */
size_t text_distance(const char *a, const char *b);

#endif
