/* Refuses requests that two HTTP parsers could read in two ways. */
#include "proxy/http/guard.h"
#include "base/text.h"
#include <microhttpd.h>
#include <string.h>
#include <strings.h>

size_t
guard_keep_escapes(void *cls, struct MHD_Connection *c, char *text)
{
    (void)cls;
    (void)c;
    return strlen(text);
}

const char *
guard_target(const char *target)
{
    if (target[0] != '/')
        return "the path does not begin with a slash";
    size_t len = strcspn(target, "?");
    for (size_t i = 0; target[i]; i++) {
        unsigned char c = (unsigned char)target[i];
        if (c <= 0x20 || c >= 0x7f)
            return "the path holds a byte that must be encoded";
        if (i < len && c == '%')
            return "the path holds an escape";
        if (i < len && c == '.' && target[i + 1] == '.')
            return "the path holds two dots";
    }
    return NULL;
}

static bool
is_token(const char *s, size_t len)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == 0 || !strchr(marks, c)))
            return false;
    }
    return len > 0;
}

const char *
guard_header(const char *name, size_t name_len, const char *value, size_t value_len)
{
    if (!is_token(name, name_len))
        return "a header name is not a token";
    for (size_t i = 0; i < value_len; i++) {
        unsigned char c = (unsigned char)value[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return "a header value holds a control byte";
    }
    return NULL;
}

/* Field lines of a complete header: a name that is a token, a colon; one Host. What the
 * parser makes of others it does not tell, and a missing Host it answers by itself, with its
 * status line written twice. */
static const char *
judge_fields(const char *bytes, size_t len)
{
    unsigned hosts = 0;
    const char *end = bytes + len;
    const char *line = memchr(bytes, '\n', len);
    for (line++; line < end && line[0] != '\n' && line[0] != '\r'; line++) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        const char *colon = memchr(line, ':', (size_t)(line_end - line));
        if (!colon || !is_token(line, (size_t)(colon - line)))
            return "a header line has no name";
        hosts += colon - line == 4 && strncasecmp(line, "host", 4) == 0;
        line = line_end;
    }
    return hosts == 1 ? NULL : "not exactly one Host header";
}

const char *
guard_head(const char *bytes, size_t len, bool complete)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == 0)
            return "the header holds a zero byte";
        if (bytes[i] == '\r' && i + 1 < len && bytes[i + 1] != '\n')
            return "a carriage return stands alone";
        bool begins_line = i > 0 && bytes[i - 1] == '\n';
        if (begins_line && (bytes[i] == ' ' || bytes[i] == '\t'))
            return "a header line is folded";
    }
    return complete ? judge_fields(bytes, len) : NULL;
}

struct walk {
    size_t bytes;
    unsigned hosts;
    bool framed; /* Content-Length or Transfer-Encoding */
    const char *why;
};

static bool
is_name(const char *name, size_t len, const char *wanted)
{
    return strlen(wanted) == len && strncasecmp(name, wanted, len) == 0;
}

static enum MHD_Result
judge_header(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
             const char *value, size_t value_len)
{
    struct walk *w = cls;
    (void)kind;
    w->bytes += name_len + value_len + 4;
    w->hosts += is_name(name, name_len, "host");
    w->framed = w->framed || is_name(name, name_len, "content-length") ||
                is_name(name, name_len, "transfer-encoding");
    w->why = guard_header(name, name_len, value ? value : "", value_len);
    return w->why ? MHD_NO : MHD_YES;
}

unsigned
guard_request(struct MHD_Connection *c, const char *method, const char *target,
              const char **ret_why)
{
    struct walk w = {.bytes = strlen(target)};
    if (w.bytes > GUARD_TARGET_MAX) {
        *ret_why = "path and query are too long";
        return MHD_HTTP_URI_TOO_LONG;
    }
    w.why = guard_target(target);
    if (!w.why)
        (void)MHD_get_connection_values_n(c, MHD_HEADER_KIND, judge_header, &w);
    bool bodyless = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    int arguments = MHD_get_connection_values_n(c, MHD_GET_ARGUMENT_KIND, NULL, NULL);
    if (!w.why && w.bytes > GUARD_HEADER_BYTES_MAX)
        w.why = "the header is too long";
    if (!w.why && w.hosts != 1)
        w.why = "not exactly one Host header";
    if (!w.why && bodyless && w.framed)
        w.why = "a request that has no body says that it has one";
    if (!w.why && arguments > 0 && !strchr(target, '?'))
        w.why = "the path holds a zero byte";
    if (!w.why)
        return 0;
    *ret_why = w.why;
    return MHD_HTTP_BAD_REQUEST;
}

struct framing {
    unsigned lengths, encodings;
    const char *length;
    size_t digits;
};

static enum MHD_Result
note_framing(void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
             const char *value, size_t value_len)
{
    struct framing *f = cls;
    (void)kind;
    f->encodings += is_name(name, name_len, "transfer-encoding");
    if (is_name(name, name_len, "content-length")) {
        f->lengths++;
        f->length = value ? value : "";
        f->digits = value ? value_len : 0;
    }
    return MHD_YES;
}

unsigned
guard_body(struct MHD_Connection *c, size_t max, size_t *ret_len)
{
    struct framing f = {0};
    uint64_t len = 0;
    (void)MHD_get_connection_values_n(c, MHD_HEADER_KIND, note_framing, &f);
    if (f.lengths == 0 && f.encodings == 0)
        return MHD_HTTP_LENGTH_REQUIRED;
    if (f.lengths != 1 || f.encodings != 0 || text_u64(f.length, f.digits, &len) < 0)
        return MHD_HTTP_BAD_REQUEST;
    if (len > max)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    *ret_len = (size_t)len;
    return 0;
}
