/* The configuration as text: effective values, JSON, and the reference of the table. */
#include "base/buf.h"
#include "base/config_value.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS     96 /* of the reference */
#define NOTE_COLUMN 48 /* where the place of a value is told */

struct printer {
    struct buf *out;
    int bad;                       /* sticky */
    char section[CONFIG_NAME_MAX]; /* the one that is open, "" for none */
};

PRINTF(2, 3)
static void
put(struct printer *p, const char *fmt, ...)
{
    char line[CONFIG_TEXT_MAX * 2 + CONFIG_NAME_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    p->bad = p->bad ? p->bad : buf_add_text(p->out, line);
}

static bool
is_plain(const char *s)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_";
    static const char rest[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.:+-%@";
    size_t len = strlen(s);
    return len > 0 && strchr(first, s[0]) && strspn(s, rest) == len && s[len - 1] != ':';
}

/* A scalar that reads back as the same text. */
static void
put_scalar(struct printer *p, const char *s)
{
    if (is_plain(s)) {
        put(p, "%s", s);
        return;
    }
    put(p, "\"");
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            put(p, "\\");
        put(p, "%c", *s);
    }
    put(p, "\"");
}

static void
put_texts(struct printer *p, const struct config_value *v)
{
    put(p, "[");
    for (size_t i = 0; i < v->text_count; i++) {
        put(p, "%s", i ? ", " : "");
        put_scalar(p, v->texts[i]);
    }
    put(p, "]");
}

/* Opens and closes sections so that `name` can be written; returns its last part. */
static const char *
enter(struct printer *p, const char *name)
{
    const char *dot = strrchr(name, '.');
    char section[CONFIG_NAME_MAX] = "";
    if (dot)
        (void)snprintf(section, sizeof section, "%.*s", (int)(dot - name), name);
    if (strcmp(section, p->section) != 0) {
        if (section[0])
            put(p, "%s:\n", section);
        (void)snprintf(p->section, sizeof p->section, "%s", section);
    }
    return dot ? dot + 1 : name;
}

static const char *
indent(const struct printer *p)
{
    return p->section[0] ? "  " : "";
}

static size_t
column(const struct printer *p)
{
    const char *text = buf_text(p->out);
    const char *line = strrchr(text, '\n');
    return p->out->len - (line ? (size_t)(line + 1 - text) : 0);
}

static void
put_place(struct printer *p, const struct config_value *v)
{
    size_t at = column(p);
    put(p, "%*s # ", at < NOTE_COLUMN ? (int)(NOTE_COLUMN - at) : 0, "");
    if (!v->place.file || strcmp(v->place.file, "default") == 0)
        put(p, "default\n");
    else if (v->place.line == 0)
        put(p, "%s\n", v->place.file);
    else
        put(p, "%s:%u\n", v->place.file, v->place.line);
}

static void
put_value(struct printer *p, const struct config_key *k, const struct config_value *v)
{
    if (k->type == CONFIG_TEXTS)
        put_texts(p, v);
    else
        put_scalar(p, v->text ? v->text : "");
    put_place(p, v);
}

static bool
is_item_key(const struct config_key *k)
{
    return strstr(k->name, "[].") != NULL;
}

static void
put_list(struct printer *p, const struct config *c, const struct config_key *k)
{
    const struct config_list *l = &c->lists[k - c->keys];
    put(p, "%s:%s\n", enter(p, k->name), l->count ? "" : " []");
    for (size_t i = 0; i < l->count; i++) {
        const char *bullet = "- ";
        for (const struct config_key *f = k + 1; f < c->keys + c->count && is_item_key(f); f++) {
            put(p, "  %s%s: ", bullet, strrchr(f->name, '.') + 1);
            put_value(p, f, &l->items[i]->values[f - c->keys]);
            bullet = "  ";
        }
    }
}

int
config_print(const struct config *c, struct buf *ret)
{
    struct printer p = {.out = ret};
    for (size_t i = 0; i < c->count; i++) {
        const struct config_key *k = &c->keys[i];
        if (k->type == CONFIG_LIST) {
            put_list(&p, c, k);
        } else if (!is_item_key(k)) {
            const char *name = enter(&p, k->name);
            put(&p, "%s%s: ", indent(&p), name);
            put_value(&p, k, &c->values[i]);
        }
    }
    return p.bad;
}

/* ---- JSON ---- */

static cJSON *
json_value(const struct config_key *k, const struct config_value *v)
{
    if (k->type == CONFIG_BOOL)
        return cJSON_CreateBool(v->number != 0);
    if (k->type == CONFIG_INT)
        return cJSON_CreateNumber((double)v->number);
    if (k->type != CONFIG_TEXTS)
        return cJSON_CreateString(v->text ? v->text : "");
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < v->text_count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(v->texts[i]));
    return list;
}

static cJSON *
json_list(const struct config *c, const struct config_key *k)
{
    cJSON *list = cJSON_CreateArray();
    const struct config_list *l = &c->lists[k - c->keys];
    for (size_t i = 0; i < l->count; i++) {
        cJSON *item = cJSON_CreateObject();
        for (const struct config_key *f = k + 1; f < c->keys + c->count && is_item_key(f); f++)
            cJSON_AddItemToObject(item, strrchr(f->name, '.') + 1,
                                  json_value(f, &l->items[i]->values[f - c->keys]));
        cJSON_AddItemToArray(list, item);
    }
    return list;
}

/* The object that holds `name`, made when it is not there; sections are one deep or more. */
static cJSON *
json_parent(cJSON *root, const char *name)
{
    const char *dot;
    for (; (dot = strchr(name, '.')); name = dot + 1) {
        char part[CONFIG_NAME_MAX];
        (void)snprintf(part, sizeof part, "%.*s", (int)(dot - name), name);
        cJSON *next = cJSON_GetObjectItemCaseSensitive(root, part);
        root = next ? next : cJSON_AddObjectToObject(root, part);
    }
    return root;
}

cJSON *
config_print_json(const struct config *c)
{
    cJSON *root = cJSON_CreateObject();
    for (size_t i = 0; i < c->count; i++) {
        const struct config_key *k = &c->keys[i];
        if (is_item_key(k))
            continue;
        const char *dot = strrchr(k->name, '.');
        cJSON_AddItemToObject(json_parent(root, k->name), dot ? dot + 1 : k->name,
                              k->type == CONFIG_LIST ? json_list(c, k)
                                                     : json_value(k, &c->values[i]));
    }
    return root;
}

/* ---- reference ---- */

/* Help in comment lines, broken at spaces. */
static void
put_comment(struct printer *p, const char *margin, const char *text)
{
    size_t room = COLUMNS - strlen(margin);
    while (*text) {
        size_t len = strlen(text);
        if (len > room) {
            len = room;
            while (len > 0 && text[len] != ' ')
                len--;
            len = len ? len : room;
        }
        put(p, "%s%.*s\n", margin, (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

static void
put_expectation(struct printer *p, const char *margin, const struct config_key *k)
{
    AUTO(buf_release) struct buf words;
    buf_init(&words, 512);
    if (config_value_describe(k, &words))
        p->bad = ERR_LIMIT;
    put(p, "%sTakes %s.%s\n", margin, buf_text(&words), k->fallback ? "" : " Required.");
}

static void
put_reference_list(struct printer *p, const struct config_key *k, const struct config_key *end)
{
    put_comment(p, "# ", k->help);
    put(p, "# At most %lld. Each has these keys:\n", (long long)k->max);
    for (const struct config_key *f = k + 1; f < end && is_item_key(f); f++) {
        put(p, "#\n#   %s%s%s%s\n", strrchr(f->name, '.') + 1, f->fallback ? ": " : "",
            f->fallback && *f->fallback ? f->fallback : "",
            f->fallback && !*f->fallback ? "\"\"" : "");
        put_comment(p, "#     ", f->help);
        put_expectation(p, "#     ", f);
    }
    put(p, "%s: %s\n", k->name, k->fallback ? k->fallback : "[]");
}

int
config_print_reference(const struct config_key *keys, size_t count, const char *head,
                       struct buf *ret)
{
    struct printer p = {.out = ret};
    put_comment(&p, "# ", head);
    for (size_t i = 0; i < count; i++) {
        const struct config_key *k = &keys[i];
        if (is_item_key(k))
            continue;
        put(&p, "\n");
        const char *name = enter(&p, k->name);
        if (k->type == CONFIG_LIST) {
            put_reference_list(&p, k, keys + count);
            continue;
        }
        const char *margin = p.section[0] ? "  # " : "# ";
        put_comment(&p, margin, k->help);
        put_expectation(&p, margin, k);
        put(&p, "%s%s: ", indent(&p), name);
        if (k->type == CONFIG_TEXTS)
            put(&p, "[]");
        else
            put_scalar(&p, k->fallback ? k->fallback : "");
        put(&p, "\n");
    }
    return p.bad;
}
