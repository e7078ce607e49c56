/* Text of the configuration by type: pure parsing, and the words that say what a type is. */
#include "base/config_value.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

#define PERCENT_MAX 95 /* a file system needs some air */

/* What a text meant; moved into the value only when all of it is right. */
struct parsed {
    int64_t number;
    bool percent;
};

static int
parse_int(const char *s, int64_t *ret)
{
    bool negative = *s == '-';
    uint64_t n;
    if (text_u64(s + negative, strlen(s + negative), &n) || n > INT64_MAX)
        return ERR_SYNTAX;
    *ret = negative ? -(int64_t)n : (int64_t)n;
    return 0;
}

static int
parse_bool(const char *s, int64_t *ret)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(s, words[i]) == 0) {
            *ret = (int64_t)(i % 2);
            return 0;
        }
    }
    return ERR_SYNTAX;
}

static int
parse_size(const char *s, int64_t *ret)
{
    uint64_t bytes;
    if (text_size(s, &bytes) || bytes > INT64_MAX)
        return ERR_SYNTAX;
    *ret = (int64_t)bytes;
    return 0;
}

static int
parse_percent(const char *s, int64_t *ret)
{
    uint64_t n;
    if (text_u64(s, strlen(s) - 1, &n) || n < 1 || n > PERCENT_MAX)
        return ERR_SYNTAX;
    *ret = (int64_t)n;
    return 0;
}

static int
parse_choice(const char *choices, const char *s, int64_t *ret)
{
    size_t len = strlen(s);
    int64_t place = 0;
    for (const char *at = choices; at; place++) {
        const char *bar = strchr(at, '|');
        size_t word = bar ? (size_t)(bar - at) : strlen(at);
        if (word == len && memcmp(at, s, len) == 0) {
            *ret = place;
            return 0;
        }
        at = bar ? bar + 1 : NULL;
    }
    return ERR_SYNTAX;
}

/* HOST:PORT. The host is a name, an IPv4 address or an IPv6 address in brackets. */
static int
parse_address(const char *s, int64_t *ret_port)
{
    const char *colon = strrchr(s, ':');
    uint64_t port;
    if (!colon || colon == s || text_u64(colon + 1, strlen(colon + 1), &port) || port > 65535)
        return ERR_SYNTAX;
    size_t host = (size_t)(colon - s);
    bool brackets = s[0] == '[' && host > 2 && s[host - 1] == ']';
    if (!brackets && (memchr(s, ':', host) || strpbrk(s, "[]/ ")))
        return ERR_SYNTAX;
    *ret_port = (int64_t)port;
    return 0;
}

bool
config_is_address(const char *text)
{
    int64_t port;
    return parse_address(text, &port) == 0;
}

static int
parse_path(const struct config_key *k, const char *s)
{
    bool empty_is_fine = k->fallback && k->fallback[0] == 0;
    return s[0] == '/' || (s[0] == 0 && empty_is_fine) ? 0 : ERR_SYNTAX;
}

static int
parse(const struct config_key *k, const char *s, struct parsed *ret)
{
    switch (k->type) {
    case CONFIG_TEXT:
    case CONFIG_TEXTS:
        return 0;
    case CONFIG_PATH:
        return parse_path(k, s);
    case CONFIG_ADDRESS:
        return parse_address(s, &ret->number);
    case CONFIG_BOOL:
        return parse_bool(s, &ret->number);
    case CONFIG_INT:
        return parse_int(s, &ret->number);
    case CONFIG_SIZE:
        return parse_size(s, &ret->number);
    case CONFIG_SHARE:
        ret->percent = text_ends(s, "%");
        return ret->percent ? parse_percent(s, &ret->number) : parse_size(s, &ret->number);
    case CONFIG_DURATION:
        return text_duration(s, &ret->number);
    case CONFIG_CHOICE:
        return parse_choice(k->choices, s, &ret->number);
    case CONFIG_LIST:
        return ERR_SYNTAX;
    }
    never("config type");
}

static bool
has_range(const struct config_key *k)
{
    return k->type == CONFIG_INT || k->type == CONFIG_SIZE || k->type == CONFIG_SHARE ||
           k->type == CONFIG_DURATION;
}

static bool
in_range(const struct config_key *k, const struct parsed *p)
{
    return !has_range(k) || p->percent || (p->number >= k->min && p->number <= k->max);
}

static const char *
type_words(enum config_type type)
{
    switch (type) {
    case CONFIG_TEXT:
        return "text";
    case CONFIG_PATH:
        return "an absolute path";
    case CONFIG_ADDRESS:
        return "HOST:PORT";
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_INT:
        return "a whole number";
    case CONFIG_SIZE:
        return "a size such as 20GiB";
    case CONFIG_SHARE:
        return "a size such as 20GiB, or 1% .. 95%";
    case CONFIG_DURATION:
        return "a duration such as 30s";
    case CONFIG_CHOICE:
        return "one of";
    case CONFIG_TEXTS:
        return "a list of texts";
    case CONFIG_LIST:
        return "a list of sections";
    }
    never("config type");
}

/* A bound in the words in which it would be written. */
static int
describe_bound(enum config_type type, int64_t n, struct buf *ret)
{
    char text[TEXT_SIZE_MAX];
    if (type == CONFIG_DURATION) {
        text_print_duration(n, text);
        return buf_add_text(ret, n == 0 ? "0s" : text);
    }
    static const struct {
        const char *unit;
        int shift;
    } units[] = {{"TiB", 40}, {"GiB", 30}, {"MiB", 20}, {"KiB", 10}};
    for (size_t i = 0; type != CONFIG_INT && i < ARRAY_LEN(units); i++) {
        int64_t unit = INT64_C(1) << units[i].shift;
        if (n >= unit && n % unit == 0)
            return buf_printf(ret, "%lld%s", (long long)(n / unit), units[i].unit);
    }
    return buf_printf(ret, "%lld", (long long)n);
}

int
config_value_describe(const struct config_key *k, struct buf *ret)
{
    int bad = buf_add_text(ret, type_words(k->type));
    if (!bad && k->type == CONFIG_PATH && parse_path(k, "") == 0)
        bad = buf_add_text(ret, " or nothing");
    if (!bad && k->type == CONFIG_CHOICE) {
        bad = buf_add_text(ret, " ");
        for (const char *c = k->choices; !bad && *c; c++)
            bad = *c == '|' ? buf_add_text(ret, ", ") : buf_add(ret, c, 1);
    }
    if (!bad && has_range(k)) {
        bad = buf_add_text(ret, ", ");
        bad = bad ? bad : describe_bound(k->type, k->min, ret);
        bad = bad ? bad : buf_add_text(ret, " .. ");
        bad = bad ? bad : describe_bound(k->type, k->max, ret);
    }
    return bad;
}

static int
complain(const struct config_key *k, const char *text, size_t len, struct err *e)
{
    AUTO(buf_release) struct buf words;
    buf_init(&words, 256);
    char shown[64];
    text_escape(shown, sizeof shown, text, len);
    if (config_value_describe(k, &words))
        buf_clear(&words);
    return err_set(e, ERR_CONFIG, "expected %s, not \"%s\"", buf_text(&words), shown);
}

static bool
has_control_bytes(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            return true;
    }
    return false;
}

static int
check_text(const char *text, size_t len, struct err *e)
{
    if (len >= CONFIG_TEXT_MAX)
        return err_set(e, ERR_CONFIG, "longer than %d bytes", CONFIG_TEXT_MAX - 1);
    if (has_control_bytes(text, len))
        return err_set(e, ERR_CONFIG, "control bytes are not allowed");
    return 0;
}

int
config_value_set(const struct config_key *k, const char *text, size_t len, struct config_value *ret,
                 struct err *e)
{
    int bad = check_text(text, len, e);
    if (bad)
        return bad;
    AUTO(mem_free_text) char *copy = mem_strndup(text, len);
    struct parsed p = {0, false};
    if (parse(k, copy, &p) || !in_range(k, &p))
        return complain(k, text, len, e);
    mem_free(ret->text);
    ret->text = copy;
    copy = NULL;
    ret->number = p.number;
    ret->percent = p.percent;
    return 0;
}

int
config_value_add(const struct config_key *k, const char *text, size_t len, struct config_value *v,
                 struct err *e)
{
    must(k->type == CONFIG_TEXTS);
    int bad = check_text(text, len, e);
    if (bad)
        return bad;
    if (len == 0)
        return err_set(e, ERR_CONFIG, "an empty element");
    if (v->text_count >= CONFIG_TEXTS_MAX)
        return err_set(e, ERR_CONFIG, "more than %d elements", CONFIG_TEXTS_MAX);
    v->texts = mem_realloc(v->texts, (v->text_count + 1) * sizeof *v->texts);
    v->texts[v->text_count++] = mem_strndup(text, len);
    return 0;
}

void
config_value_clear(struct config_value *v)
{
    for (size_t i = 0; i < v->text_count; i++)
        mem_free(v->texts[i]);
    mem_free(v->texts);
    mem_free(v->text);
    *v = (struct config_value){0};
}
