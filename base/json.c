/* cJSON behind a fence. What cJSON would let through is refused in three steps:
 *
 *   scan    before it: depth, strict numbers, control bytes and \u0000 in strings
 *   budget  while it parses: its allocations count against JSON_BUDGET_BYTES
 *   keys    behind it: no object names a key twice */
#include "base/json.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EXACT_MAX 9007199254740991.0 /* 2^53 - 1: from here on doubles skip integers */

/* Counts only while this thread parses; outside of that cJSON gets plain memory. */
static _Thread_local struct {
    bool counting;
    bool overdrawn;
    size_t left_bytes;
} budget;

static void *
budget_alloc(size_t bytes)
{
    if (!budget.counting)
        return mem_alloc(bytes);
    if (bytes > budget.left_bytes) {
        budget.overdrawn = true;
        return NULL;
    }
    budget.left_bytes -= bytes;
    return mem_alloc(bytes);
}

void
json_init(void)
{
    cJSON_Hooks hooks = {.malloc_fn = budget_alloc, .free_fn = mem_free};

    cJSON_InitHooks(&hooks);
}

struct scan {
    const char *at, *end;
    unsigned depth;
};

static size_t
skip_digits(struct scan *s)
{
    const char *start = s->at;

    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return (size_t)(s->at - start);
}

static bool
skip_byte(struct scan *s, const char *any_of)
{
    if (s->at == s->end || *s->at == '\0' || strchr(any_of, *s->at) == NULL)
        return false;
    s->at++;
    return true;
}

/* RFC 8259, section 6: -? int frac? exp? */
static int
scan_number(struct scan *s)
{
    (void)skip_byte(s, "-");
    if (!skip_byte(s, "0") && skip_digits(s) == 0)
        return ERR_SYNTAX;
    if (skip_byte(s, ".") && skip_digits(s) == 0)
        return ERR_SYNTAX;
    if (skip_byte(s, "eE")) {
        (void)skip_byte(s, "+-");
        if (skip_digits(s) == 0)
            return ERR_SYNTAX;
    }
    /* "01", "1.2.3" and "1-2" go on here. */
    bool more = s->at < s->end && *s->at != '\0' && strchr("0123456789+-.eE", *s->at) != NULL;
    return more ? ERR_SYNTAX : 0;
}

/* From behind the opening quote to behind the closing one. */
static int
scan_string(struct scan *s)
{
    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at++;
        if (c == '"')
            return 0;
        if (c < 0x20)
            return ERR_SYNTAX;
        if (c != '\\')
            continue;
        if (s->end - s->at >= 5 && memcmp(s->at, "u0000", 5) == 0)
            return ERR_SYNTAX;
        if (s->at < s->end)
            s->at++;
    }
    return ERR_SYNTAX;
}

static int
scan_one(struct scan *s)
{
    char c = *s->at;

    if (c == '-' || (c >= '0' && c <= '9'))
        return scan_number(s);
    s->at++;
    if (c == '"')
        return scan_string(s);
    if ((c == '{' || c == '[') && ++s->depth > JSON_DEPTH_MAX)
        return ERR_LIMIT;
    if ((c == '}' || c == ']') && s->depth-- == 0)
        return ERR_SYNTAX;
    /* cJSON takes any byte up to the space for white space. */
    if ((unsigned char)c < 0x20 && c != '\t' && c != '\n' && c != '\r')
        return ERR_SYNTAX;
    return 0;
}

static int
scan(const char *text, size_t len)
{
    struct scan s = {.at = text, .end = text + len};
    int rc = 0;

    while (rc == 0 && s.at < s.end)
        rc = scan_one(&s);
    return rc;
}

/* Looks the key up in an open table of `slots` keys, a power of two; false when it is there. */
static bool
insert_key(const char **table, size_t slots, const char *key)
{
    size_t i = (size_t)hash_bytes(key, strlen(key)) & (slots - 1);

    while (table[i] != NULL) {
        if (strcmp(table[i], key) == 0)
            return false;
        i = (i + 1) & (slots - 1);
    }
    table[i] = key;
    return true;
}

/* A table, since comparing all pairs of a hostile object would take minutes. */
static bool
keys_differ(const cJSON *obj)
{
    size_t count = 0;
    size_t slots = 4;
    bool differ = true;
    const cJSON *item;

    cJSON_ArrayForEach(item, obj) count++;
    while (slots < count * 2)
        slots *= 2;
    const char **table = mem_zalloc(slots * sizeof(*table));
    cJSON_ArrayForEach(item, obj)
    {
        differ = insert_key(table, slots, item->string);
        if (!differ)
            break;
    }
    mem_free(table);
    return differ;
}

/* Depth is bounded by the scan. */
static bool
all_keys_differ(const cJSON *value)
{
    const cJSON *item;

    if (cJSON_IsObject(value) && value->child != NULL && !keys_differ(value))
        return false;
    cJSON_ArrayForEach(item, value)
    {
        if (item->child != NULL && !all_keys_differ(item))
            return false;
    }
    return true;
}

static bool
only_space(const char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at) != NULL)
        at++;
    return at == end;
}

static cJSON *
parse_counted(const char *text, size_t len, const char **ret_end)
{
    budget.counting = true;
    budget.overdrawn = false;
    budget.left_bytes = JSON_BUDGET_BYTES;
    cJSON *doc = cJSON_ParseWithLengthOpts(text, len, ret_end, false);
    budget.counting = false;
    return doc;
}

int
json_parse(const char *text, size_t len, cJSON **ret)
{
    const char *end = NULL;

    if (len > JSON_BUDGET_BYTES)
        return ERR_LIMIT;
    int rc = scan(text, len);
    if (rc < 0)
        return rc;
    AUTO(json_free) cJSON *doc = parse_counted(text, len, &end);
    if (doc == NULL)
        return budget.overdrawn ? ERR_LIMIT : ERR_SYNTAX;
    if (!only_space(end, text + len) || !all_keys_differ(doc))
        return ERR_SYNTAX;
    *ret = doc;
    doc = NULL;
    return 0;
}

void
json_free(cJSON **doc)
{
    cJSON_Delete(*doc);
    *doc = NULL;
}

static const cJSON *
member(const cJSON *obj, const char *key)
{
    return cJSON_IsObject(obj) ? cJSON_GetObjectItemCaseSensitive(obj, key) : NULL;
}

const char *
json_text(const cJSON *obj, const char *key)
{
    const cJSON *item = member(obj, key);

    return cJSON_IsString(item) ? item->valuestring : NULL;
}

const cJSON *
json_array(const cJSON *obj, const char *key)
{
    const cJSON *item = member(obj, key);

    return cJSON_IsArray(item) ? item : NULL;
}

const cJSON *
json_object(const cJSON *obj, const char *key)
{
    const cJSON *item = member(obj, key);

    return cJSON_IsObject(item) ? item : NULL;
}

int
json_u64(const cJSON *obj, const char *key, uint64_t *ret)
{
    const cJSON *item = member(obj, key);

    if (item == NULL)
        return ERR_NOT_FOUND;
    if (cJSON_IsRaw(item)) /* json_add_u64 made it */
        return text_u64(item->valuestring, strlen(item->valuestring), ret);
    if (!cJSON_IsNumber(item))
        return ERR_SYNTAX;
    double v = item->valuedouble;
    if (!(v >= 0 && v <= EXACT_MAX) || v != (double)(uint64_t)v)
        return ERR_SYNTAX;
    *ret = (uint64_t)v;
    return 0;
}

void
json_add_u64(cJSON *obj, const char *key, uint64_t value)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%" PRIu64, value);
    must(cJSON_AddRawToObject(obj, key, digits) != NULL);
}

char *
json_print(const cJSON *doc, bool pretty)
{
    char *text = pretty ? cJSON_Print(doc) : cJSON_PrintUnformatted(doc);

    must(text != NULL);
    return text;
}
