/* The version of the folder. */
#include "cache/format.h"
#include "base/buf.h"
#include "base/text.h"
#include <errno.h>

#define FORMAT_NAME      "FORMAT"
#define FORMAT_BYTES_MAX 32

static int
read_version(const struct store *s, struct buf *text, uint64_t *ret)
{
    *ret = UINT64_MAX; /* what is no number is not ours */
    int rc = store_read_file(s, FORMAT_NAME, text);
    if (rc == -ENOENT || (rc == 0 && text->len == 0)) {
        return -ENOENT;
    }
    if (rc < 0 && rc != ERR_LIMIT) {
        return rc;
    }
    size_t digits = rc == 0 ? text->len - (text->data[text->len - 1] == '\n') : 0;
    uint64_t version;
    if (text_u64(buf_text(text), digits, &version) == 0) {
        *ret = version;
    }
    return 0;
}

/* A disk that cannot be read is told by what is read next. */
int
format_check(const struct store *s, struct err *e)
{
    AUTO(buf_release) struct buf text;
    buf_init(&text, FORMAT_BYTES_MAX);
    uint64_t version;
    int rc = read_version(s, &text, &version);
    if (rc == -ENOENT) {
        (void)!format_set(s, FORMAT_PLAIN); /* best effort: none means the same */
        return 0;
    }
    if (rc < 0 || version <= FORMAT_PACKED) {
        return 0;
    }
    return err_set(e, ERR_VERSION,
                   "%s/" FORMAT_NAME
                   ": a later version of peersync wrote this folder (we know %d); "
                   "install that one again or give another cache.dir. Nothing was changed",
                   s->dir, FORMAT_PACKED);
}

int
format_set(const struct store *s, unsigned version)
{
    AUTO(buf_release) struct buf text;
    buf_init(&text, FORMAT_BYTES_MAX);
    uint64_t now;
    if (read_version(s, &text, &now) == 0 && now == version) {
        return 0;
    }
    buf_clear(&text);
    int rc = buf_printf(&text, "%u\n", version);
    return rc < 0 ? rc : store_write_file(s, FORMAT_NAME, &text);
}
