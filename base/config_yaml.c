/*
 * YAML events into the values of the table, one document at a time.
 *
 *   stream -> document -> map (sections) -> scalar | list of texts | list of maps
 *
 * The table bounds the depth: a key that it does not have is an error at once, so nothing
 * nests deeper than the table does. Anchors, aliases and tags are refused where they are
 * seen; a scalar is text, whatever YAML would make of it, and the table gives it a type.
 */
#include "base/config_yaml.h"
#include "base/mem.h"
#include "base/text.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define SECTIONS_MAX 32 /* of one document; the table has fewer */

struct reader {
    struct config *c;
    const char *file;
    struct err *e;
    yaml_parser_t parser;
    yaml_event_t event;                           /* the current one; zeroed when there is none */
    char sections[SECTIONS_MAX][CONFIG_NAME_MAX]; /* seen outside of lists */
    size_t section_count;
};

/* "FILE:LINE:COLUMN: text" at a mark. */
PRINTF(3, 4)
static int
fail_at(struct reader *r, const yaml_mark_t *mark, const char *fmt, ...)
{
    char text[sizeof r->e->text];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(r->e, ERR_CONFIG, "%s:%zu:%zu: %s", r->file, mark->line + 1, mark->column + 1,
                   text);
}

/* The message in r->e, said by somebody who knew no place, gets one. */
static int
place_error(struct reader *r, const yaml_mark_t *mark, const char *name)
{
    char text[sizeof r->e->text];
    (void)snprintf(text, sizeof text, "%s", r->e->text);
    return fail_at(r, mark, "%s: %s", name, text);
}

static bool
has_anchor_or_tag(const yaml_event_t *ev)
{
    if (ev->type == YAML_SCALAR_EVENT)
        return ev->data.scalar.anchor || ev->data.scalar.tag;
    if (ev->type == YAML_SEQUENCE_START_EVENT)
        return ev->data.sequence_start.anchor || ev->data.sequence_start.tag;
    if (ev->type == YAML_MAPPING_START_EVENT)
        return ev->data.mapping_start.anchor || ev->data.mapping_start.tag;
    return ev->type == YAML_ALIAS_EVENT;
}

CHECKED static int
next(struct reader *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        memset(&r->event, 0, sizeof r->event);
        const char *why = r->parser.problem ? r->parser.problem : "cannot be read";
        return fail_at(r, &r->parser.problem_mark, "not YAML: %s", why);
    }
    if (has_anchor_or_tag(&r->event))
        return fail_at(r, &r->event.start_mark, "anchors, aliases and tags are not allowed");
    return 0;
}

/* A key without a value ("p2p:" whose lines are all commented out). */
static bool
is_nothing(const yaml_event_t *ev)
{
    return ev->type == YAML_SCALAR_EVENT && ev->data.scalar.length == 0 &&
           ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static const char *
scalar(const yaml_event_t *ev)
{
    return (const char *)ev->data.scalar.value;
}

static bool
is_section(const struct config *c, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < c->count; i++) {
        if (strncmp(c->keys[i].name, name, len) == 0 && c->keys[i].name[len] == '.')
            return true;
    }
    return false;
}

static const char *
leaf(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* "a.b.c" becomes "a.b", "a" becomes "". */
static void
cut_leaf(char *name)
{
    char *dot = strrchr(name, '.');
    *(dot ? dot : name) = 0;
}

/* What was probably meant: the same word in another section, else the key or section that
 * is the fewest edits away. False when nothing is near. */
static bool
nearest(const struct config *c, const char *name, char ret[CONFIG_NAME_MAX])
{
    size_t least = strlen(name) / 4 + 3;
    bool found = false;
    for (size_t i = 0; i < c->count; i++) {
        const char *known = c->keys[i].name;
        if (strcmp(leaf(known), leaf(name)) == 0)
            return text_copy(ret, CONFIG_NAME_MAX, known) == 0;
        char part[CONFIG_NAME_MAX]; /* the key, then the sections that it is in */
        for (int bad = text_copy(part, sizeof part, known); !bad && *part; cut_leaf(part)) {
            size_t edits = text_distance(part, name);
            if (edits < least) {
                least = edits;
                found = text_copy(ret, CONFIG_NAME_MAX, part) == 0;
            }
        }
    }
    return found;
}

static int
fail_unknown(struct reader *r, const yaml_mark_t *mark, const char *name)
{
    char shown[CONFIG_NAME_MAX], known[CONFIG_NAME_MAX];
    text_escape(shown, sizeof shown, name, strlen(name));
    if (nearest(r->c, name, known))
        return fail_at(r, mark, "%s: unknown key; did you mean %s?", shown, known);
    return fail_at(r, mark, "%s: unknown key", shown);
}

static int
read_scalar(struct reader *r, const struct config_key *k, struct config_value *v)
{
    const yaml_event_t *ev = &r->event;
    if (ev->type != YAML_SCALAR_EVENT)
        return fail_at(r, &ev->start_mark, "%s: expected a single value", k->name);
    if (config_value_set(k, scalar(ev), ev->data.scalar.length, v, r->e))
        return place_error(r, &ev->start_mark, k->name);
    return 0;
}

static int
read_texts(struct reader *r, const struct config_key *k, struct config_value *v)
{
    if (r->event.type != YAML_SEQUENCE_START_EVENT && !is_nothing(&r->event))
        return fail_at(r, &r->event.start_mark, "%s: expected a list: [a, b]", k->name);
    struct config_value old = *v;
    *v = (struct config_value){.place = old.place, .layer = old.layer};
    old.place.file = NULL;
    config_value_clear(&old);
    if (is_nothing(&r->event))
        return 0;
    for (;;) {
        int bad = next(r);
        if (bad || r->event.type == YAML_SEQUENCE_END_EVENT)
            return bad;
        if (r->event.type != YAML_SCALAR_EVENT)
            return fail_at(r, &r->event.start_mark, "%s: expected a text", k->name);
        if (config_value_add(k, scalar(&r->event), r->event.data.scalar.length, v, r->e))
            return place_error(r, &r->event.start_mark, k->name);
    }
}

static int read_map(struct reader *r, const char *prefix, struct config_item *item);

/* Puts the item into its list: in the place of the one of the same name, or behind all. */
static int
put_item(struct reader *r, const struct config_key *k, const yaml_mark_t *mark,
         struct config_item *item)
{
    struct config_list *l = &r->c->lists[k - r->c->keys];
    const struct config_key *name_key = k + 1;
    size_t name = (size_t)(name_key - r->c->keys);
    if (!item->values[name].place.file)
        return fail_at(r, mark, "%s: missing", name_key->name);
    for (size_t i = 0; i < l->count; i++) {
        struct config_item *old = l->items[i];
        if (strcmp(old->values[name].text, item->values[name].text) != 0)
            continue;
        if (old->layer == item->layer)
            return fail_at(r, mark, "%s: \"%s\" stands here twice", name_key->name,
                           item->values[name].text);
        l->items[i] = item;
        config_item_free(r->c, old);
        return 0;
    }
    if ((int64_t)l->count >= k->max)
        return fail_at(r, mark, "%s: more than %lld", k->name, (long long)k->max);
    l->items = mem_realloc(l->items, (l->count + 1) * sizeof(struct config_item *));
    l->items[l->count++] = item;
    return 0;
}

static int
read_item(struct reader *r, const struct config_key *k)
{
    yaml_mark_t mark = r->event.start_mark;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return fail_at(r, &mark, "%s: expected sections: [{%s: ...}]", k->name, leaf(k[1].name));
    struct config_item *item = config_item_new(r->c);
    item->layer = r->c->layer;
    char prefix[CONFIG_NAME_MAX + 4];
    int bad = text_printf(prefix, sizeof prefix, "%s[].", k->name);
    bad = bad ? bad : read_map(r, prefix, item);
    bad = bad ? bad : put_item(r, k, &mark, item);
    if (bad)
        config_item_free(r->c, item);
    return bad;
}

static int
read_list(struct reader *r, const struct config_key *k)
{
    if (is_nothing(&r->event))
        return 0;
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return fail_at(r, &r->event.start_mark, "%s: expected a list", k->name);
    for (;;) {
        int bad = next(r);
        if (bad || r->event.type == YAML_SEQUENCE_END_EVENT)
            return bad;
        bad = read_item(r, k);
        if (bad)
            return bad;
    }
}

static int
read_key(struct reader *r, const struct config_key *k, const yaml_mark_t *mark,
         struct config_item *item)
{
    struct config_value *v = &(item ? item->values : r->c->values)[k - r->c->keys];
    if (v->layer == r->c->layer)
        return fail_at(r, mark, "%s: stands here twice", k->name);
    /* An empty list of sections counts as none only when it is written out: []. */
    if (k->type == CONFIG_LIST && is_nothing(&r->event))
        return 0;
    v->layer = r->c->layer;
    v->place = (struct config_place){r->file, (unsigned)mark->line + 1, (unsigned)mark->column + 1};
    if (k->type == CONFIG_LIST)
        return read_list(r, k);
    return k->type == CONFIG_TEXTS ? read_texts(r, k, v) : read_scalar(r, k, v);
}

/* A section of a list item repeats with each item; there only its keys are checked. */
static int
note_section(struct reader *r, const yaml_mark_t *mark, const char *name)
{
    for (size_t i = 0; i < r->section_count; i++) {
        if (strcmp(r->sections[i], name) == 0)
            return fail_at(r, mark, "%s: stands here twice", name);
    }
    must(r->section_count < SECTIONS_MAX);
    return text_copy(r->sections[r->section_count++], CONFIG_NAME_MAX, name);
}

static int
read_section(struct reader *r, const char *name, struct config_item *item)
{
    if (is_nothing(&r->event))
        return 0;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return fail_at(r, &r->event.start_mark, "%s: expected a section with keys", name);
    char prefix[CONFIG_NAME_MAX + 4];
    int bad = text_printf(prefix, sizeof prefix, "%s.", name);
    return bad ? bad : read_map(r, prefix, item);
}

/* One "key: value"; the current event is the key. */
static int
read_pair(struct reader *r, const char *prefix, struct config_item *item)
{
    yaml_mark_t mark = r->event.start_mark;
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail_at(r, &mark, "expected a key");
    char name[CONFIG_NAME_MAX];
    if (strlen(scalar(&r->event)) != r->event.data.scalar.length ||
        text_printf(name, sizeof name, "%s%s", prefix, scalar(&r->event)))
        return fail_at(r, &mark, "no such key");
    const struct config_key *k = config_find(r->c, name);
    if (!k && !is_section(r->c, name))
        return fail_unknown(r, &mark, name);
    int bad = k || item ? 0 : note_section(r, &mark, name);
    bad = bad ? bad : next(r);
    if (bad)
        return bad;
    return k ? read_key(r, k, &mark, item) : read_section(r, name, item);
}

static int
read_map(struct reader *r, const char *prefix, struct config_item *item)
{
    for (;;) {
        int bad = next(r);
        if (bad || r->event.type == YAML_MAPPING_END_EVENT)
            return bad;
        bad = read_pair(r, prefix, item);
        if (bad)
            return bad;
    }
}

static int
read_document(struct reader *r)
{
    int bad = next(r);
    if (bad)
        return bad;
    if (r->event.type == YAML_MAPPING_START_EVENT)
        bad = read_map(r, "", NULL);
    else if (!is_nothing(&r->event))
        bad = fail_at(r, &r->event.start_mark, "expected keys: \"listen: HOST:PORT\"");
    return bad ? bad : next(r); /* the end of the document */
}

static int
read_stream(struct reader *r)
{
    int bad = next(r); /* the start of the stream */
    bad = bad ? bad : next(r);
    if (bad || r->event.type == YAML_STREAM_END_EVENT)
        return bad; /* an empty file */
    bad = read_document(r);
    bad = bad ? bad : next(r);
    if (!bad && r->event.type != YAML_STREAM_END_EVENT)
        bad = fail_at(r, &r->event.start_mark, "a second document is not allowed");
    return bad;
}

int
config_yaml_read(struct config *c, const char *text, size_t len, const char *file, struct err *e)
{
    struct err scratch = {0};
    struct reader r = {.c = c, .file = file, .e = e ? e : &scratch};
    if (!yaml_parser_initialize(&r.parser))
        return err_set(e, ERR_LIMIT, "%s: no memory for the YAML parser", file);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    int bad = read_stream(&r);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    return bad;
}
