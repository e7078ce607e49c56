/* Reads the few header lines that decide what is done with an answer. */
#include "proxy/upstream/head.h"
#include "base/err.h"
#include "base/text.h"
#include "proxy/upstream/url.h"
#include <string.h>

#define LINE_MAX_BYTES    16384         /* longer header lines are refused */
#define BUSY_MS_MAX       10000         /* a longer wait of a peer is understood as that */
#define RETRY_AFTER_S_MAX (24 * 3600LL) /* a longer wait is understood as a day */

void
head_clear(struct head *h)
{
    *h = (struct head){
        .content_length = CACHE_SIZE_UNKNOWN,
        .range_size = CACHE_SIZE_UNKNOWN,
        .retry_after_ms = -1,
        .busy_ms = -1,
    };
}

int
head_content_range(const char *value, struct gap *ret, uint64_t *ret_size)
{
    if (strncasecmp(value, "bytes ", 6) != 0)
        return ERR_SYNTAX;
    const char *start = value + 6;
    const char *dash = strchr(start, '-');
    const char *slash = strchr(start, '/');
    if (dash == NULL || slash == NULL || slash < dash)
        return ERR_SYNTAX;
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t size = CACHE_SIZE_UNKNOWN;
    if (text_u64(start, (size_t)(dash - start), &first) != 0 ||
        text_u64(dash + 1, (size_t)(slash - dash - 1), &last) != 0)
        return ERR_SYNTAX;
    if (strcmp(slash + 1, "*") != 0 && text_u64(slash + 1, strlen(slash + 1), &size) != 0)
        return ERR_SYNTAX;
    if (last < first || last >= size)
        return ERR_SYNTAX;
    *ret = (struct gap){first, last + 1};
    *ret_size = size;
    return 0;
}

int
head_retry_after(const char *value, int64_t wall_s, int64_t *ret_wait_ms)
{
    uint64_t seconds = 0;
    int64_t wait_s = 0;
    if (text_u64(value, strlen(value), &seconds) == 0) {
        wait_s = seconds > RETRY_AFTER_S_MAX ? RETRY_AFTER_S_MAX : (int64_t)seconds;
    } else {
        int64_t at_s = 0;
        if (text_http_date(value, &at_s) < 0)
            return ERR_SYNTAX;
        wait_s = at_s > wall_s ? at_s - wall_s : 0;
    }
    *ret_wait_ms = (wait_s < RETRY_AFTER_S_MAX ? wait_s : RETRY_AFTER_S_MAX) * 1000;
    return 0;
}

static void
take_length(struct head *h, const char *value)
{
    uint64_t length = 0;
    if (text_u64(value, strlen(value), &length) != 0 ||
        (h->content_length != CACHE_SIZE_UNKNOWN && h->content_length != length))
        h->bad = true;
    else
        h->content_length = length;
}

static void
take_range(struct head *h, const char *value)
{
    if (text_starts(value, "bytes */")) /* of a 416: says the size only */
        return;
    if (h->has_range || head_content_range(value, &h->range, &h->range_size) != 0)
        h->bad = true;
    h->has_range = true;
}

static void
take_retry_after(struct head *h, const char *value, int64_t wall_s)
{
    int64_t wait_ms = 0;
    if (head_retry_after(value, wall_s, &wait_ms) == 0)
        h->retry_after_ms = wait_ms;
}

static void
take_etag(struct head *h, const char *value)
{
    size_t len = strlen(value);
    bool strong = len >= 2 && value[0] == '"' && strchr(value + 1, '"') == value + len - 1;
    if (!strong || text_copy(h->etag, sizeof h->etag, value) != 0)
        h->etag[0] = '\0';
}

static void
take_challenge(struct head *h, const char *value)
{
    size_t used = strlen(h->challenge);
    const char *comma = used > 0 ? ", " : "";
    if (text_printf(h->challenge + used, sizeof h->challenge - used, "%s%s", comma, value) != 0)
        h->challenge[used] = '\0'; /* what does not fit is not offered */
}

/* A value that does not fit counts as absent. */
static void
take_text(char *ret, size_t cap, const char *value)
{
    if (text_copy(ret, cap, value) != 0)
        ret[0] = '\0';
}

static void
take_busy(struct head *h, const char *value)
{
    uint64_t ms = 0;
    if (text_u64(value, strlen(value), &ms) == 0)
        h->busy_ms = ms < BUSY_MS_MAX ? (int64_t)ms : BUSY_MS_MAX;
}

static void
take_coding(struct head *h, const char *value)
{
    h->zstd = strcmp(value, PIECE_ZSTD) == 0;
    h->bad = h->bad || !h->zstd; /* nobody asks for another */
}

static void
take_field(struct head *h, const char *name, const char *value, int64_t wall_s)
{
    if (text_equal_nocase(name, "Content-Length"))
        take_length(h, value);
    else if (text_equal_nocase(name, "Content-Range"))
        take_range(h, value);
    else if (text_equal_nocase(name, "Retry-After"))
        take_retry_after(h, value, wall_s);
    else if (text_equal_nocase(name, "Content-Encoding"))
        h->encoded = value[0] != '\0' && !text_equal_nocase(value, "identity");
    else if (text_equal_nocase(name, "ETag"))
        take_etag(h, value);
    else if (text_equal_nocase(name, "WWW-Authenticate"))
        take_challenge(h, value);
    else if (text_equal_nocase(name, "Content-Type"))
        take_text(h->content_type, sizeof h->content_type, value);
    else if (text_equal_nocase(name, "Docker-Content-Digest"))
        take_text(h->docker_digest, sizeof h->docker_digest, value);
    else if (text_equal_nocase(name, "Link"))
        take_text(h->link, sizeof h->link, value);
    else if (text_equal_nocase(name, "OCI-Filters-Applied"))
        take_text(h->filters, sizeof h->filters, value);
    else if (text_equal_nocase(name, PIECE_CRC))
        take_text(h->crcs, sizeof h->crcs, value);
    else if (text_equal_nocase(name, PIECE_BUSY))
        take_busy(h, value);
    else if (text_equal_nocase(name, PIECE_CODING))
        take_coding(h, value);
    else if (text_equal_nocase(name, "Location"))
        take_text(h->location, sizeof h->location, value);
}

static void
take_status(struct head *h, const char *line)
{
    head_clear(h);
    const char *space = strchr(line, ' ');
    uint64_t status = 0;
    if (space == NULL || strlen(space) < 4 || text_u64(space + 1, 3, &status) != 0)
        h->bad = true;
    h->status = (int)status;
}

void
head_line(struct head *h, const char *line, size_t len, int64_t wall_s)
{
    char text[LINE_MAX_BYTES];
    while (len > 0 && strchr("\r\n \t", line[len - 1]) != NULL)
        len--;
    if (len >= sizeof text || memchr(line, '\0', len) != NULL) {
        h->bad = true;
        return;
    }
    memcpy(text, line, len);
    text[len] = '\0';
    if (text_starts(text, "HTTP/")) {
        take_status(h, text);
        return;
    }
    char *colon = strchr(text, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    char *value = colon + 1;
    value += strspn(value, " \t");
    if (url_is_clean(value))
        take_field(h, text, value, wall_s);
}
