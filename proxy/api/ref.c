/* The grammar of repository names, tags and digests. */
#include "proxy/api/ref.h"
#include "base/err.h"
#include "base/text.h"
#include <string.h>

static bool
is_lower_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool
is_tag_char(char c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
}

static bool
is_tag(const char *text, size_t len)
{
    if (len == 0 || len >= REF_TAG_MAX || text[0] == '.' || text[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++)
        if (!is_tag_char(text[i]))
            return false;
    return true;
}

int
ref_parse(const char *text, size_t len, struct ref *ret)
{
    struct ref r = {0};
    if (memchr(text, ':', len)) {
        r.by_digest = true;
        if (digest_parse(text, len, &r.digest) < 0)
            return ERR_SYNTAX;
    } else {
        if (!is_tag(text, len))
            return ERR_NOT_FOUND;
        memcpy(r.tag, text, len);
    }
    *ret = r;
    return 0;
}

void
ref_print(const struct ref *r, char ret_text[REF_TEXT_MAX])
{
    if (r->by_digest)
        digest_print(&r->digest, ret_text);
    else
        must(text_copy(ret_text, REF_TEXT_MAX, r->tag) == 0);
}

/* Length of the separator at text: one dot, one or two underscores, any dashes. */
static size_t
separator_len(const char *text, size_t len)
{
    size_t n = 0;
    if (text[0] == '.')
        return 1;
    if (text[0] == '_')
        return len > 1 && text[1] == '_' ? 2 : 1;
    while (n < len && text[n] == '-')
        n++;
    return n;
}

bool
ref_is_name(const char *text, size_t len)
{
    bool after_alnum = false;
    for (size_t i = 0; i < len;) {
        if (is_lower_or_digit(text[i])) {
            after_alnum = true;
            i++;
            continue;
        }
        size_t n = text[i] == '/' ? 1 : separator_len(text + i, len - i);
        if (n == 0 || !after_alnum)
            return false;
        after_alnum = false;
        i += n;
    }
    return after_alnum;
}
