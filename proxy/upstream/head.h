/* The head of an upstream's answer, as far as it matters here. Pure. */
#ifndef PROXY_HEAD_H
#define PROXY_HEAD_H

#include "base/digest.h"
#include "cache/cache.h"
#include "p2p/p2p.h"

#define HEAD_CHALLENGE_MAX 2048
#define HEAD_LOCATION_MAX  8192

struct head {
    int status;              /* 0 before the status line */
    uint64_t content_length; /* CACHE_SIZE_UNKNOWN when absent */
    bool has_range;          /* Content-Range: bytes start-(end-1)/size */
    struct gap range;
    uint64_t range_size;    /* CACHE_SIZE_UNKNOWN for "*" */
    int64_t retry_after_ms; /* -1 when absent or not understood */
    bool encoded;           /* a Content-Encoding other than identity */
    bool bad;               /* contradicting or broken lines: nothing of it may be trusted */
    char etag[128];         /* strong ones only, with quotes */
    char content_type[CACHE_TYPE_MAX];
    char docker_digest[DIGEST_TEXT_MAX];
    char link[512], filters[64];
    char challenge[HEAD_CHALLENGE_MAX]; /* all WWW-Authenticate lines, joined by commas */
    char location[HEAD_LOCATION_MAX];
    /* Of a peer: PIECE_CRC as it came, "" when absent; PIECE_BUSY, -1 when absent. */
    char crcs[PIECE_BLOCKS_MAX * 8 + 1];
    int64_t busy_ms;
    bool zstd; /* PIECE_CODING says so */
};

/* Empty, with the unknowns set. */
void head_clear(struct head *h);
/* One line as it came, with or without its line end. A status line starts anew. Wall time
 * makes a wait out of a Retry-After date. */
void head_line(struct head *h, const char *line, size_t len, int64_t wall_s);

/* "bytes 0-99/200" or "bytes 0-99/" and "*": 0 or ERR_SYNTAX. */
CHECKED int head_content_range(const char *value, struct gap *ret, uint64_t *ret_size);
/* Seconds or an HTTP date: 0 or ERR_SYNTAX; a date in the past is 0 ms. */
CHECKED int head_retry_after(const char *value, int64_t wall_s, int64_t *ret_wait_ms);

#endif
