/*
 * The configuration as a table of values in layers.
 *
 *   default < file < folder, by name < environment
 *
 * A layer is one file or one environment variable: each value remembers its layer, so that
 * a key repeated within one is an error and a key of a later one overrides.
 */
#include "base/buf.h"
#include "base/config_value.h"
#include "base/config_yaml.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDER_FILES_MAX 256 /* a folder with more is not ours */

const struct config_key *
config_find(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->keys[i].name, name) == 0)
            return &c->keys[i];
    }
    return NULL;
}

static const struct config_value *
value_of(const struct config *c, const struct config_item *item, const char *name)
{
    const struct config_key *k = config_find(c, name);
    must(k && (item != NULL) == (strstr(name, "[].") != NULL));
    return &(item ? item->values : c->values)[k - c->keys];
}

/* All keys get their defaults; those that belong to lists or are lists stay empty. */
static struct config_value *
values_new(const struct config_key *keys, size_t count)
{
    struct config_value *values = mem_zalloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        if (keys[i].type == CONFIG_LIST || keys[i].type == CONFIG_TEXTS || !keys[i].fallback)
            continue;
        struct err e = {0};
        int bad =
            config_value_set(&keys[i], keys[i].fallback, strlen(keys[i].fallback), &values[i], &e);
        must(!bad); /* a default of the table is outside its own range */
    }
    return values;
}

static void
values_free(struct config_value *values, size_t count)
{
    for (size_t i = 0; values && i < count; i++)
        config_value_clear(&values[i]);
    mem_free(values);
}

struct config_item *
config_item_new(const struct config *c)
{
    struct config_item *it = mem_zalloc(sizeof *it);
    it->values = values_new(c->keys, c->count);
    return it;
}

void
config_item_free(const struct config *c, struct config_item *it)
{
    if (!it)
        return;
    values_free(it->values, c->count);
    mem_free(it);
}

int
config_open(const struct config_key *keys, size_t count, struct config **ret, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(keys[i].name) >= CONFIG_NAME_MAX)
            return err_set(e, ERR_CONFIG, "key name too long: %s", keys[i].name);
    }
    struct config *c = mem_zalloc(sizeof *c);
    c->keys = keys;
    c->count = count;
    c->values = values_new(keys, count);
    c->lists = mem_zalloc(count * sizeof *c->lists);
    *ret = c;
    return 0;
}

void
config_close(struct config **c)
{
    if (!*c)
        return;
    values_free((*c)->values, (*c)->count);
    for (size_t i = 0; i < (*c)->count; i++) {
        struct config_list *l = &(*c)->lists[i];
        for (size_t j = 0; j < l->count; j++)
            config_item_free(*c, l->items[j]);
        mem_free(l->items);
    }
    mem_free((*c)->lists);
    for (size_t i = 0; i < (*c)->name_count; i++)
        mem_free((*c)->names[i]);
    mem_free((*c)->names);
    mem_free(*c);
    *c = NULL;
}

const char *
config_layer(struct config *c, const char *name)
{
    c->names = mem_realloc(c->names, (c->name_count + 1) * sizeof *c->names);
    c->names[c->name_count] = mem_strdup(name);
    c->layer++;
    return c->names[c->name_count++];
}

int
config_parse(struct config *c, const char *text, size_t len, const char *name, struct err *e)
{
    if (len > CONFIG_BYTES_MAX)
        return err_set(e, ERR_CONFIG, "%s: larger than %u KiB", name, CONFIG_BYTES_MAX / 1024);
    return config_yaml_read(c, text, len, config_layer(c, name), e);
}

/* Read to the end and not by size, so that a pipe is a file too. */
static int
read_all(const char *path, struct buf *ret, struct err *e)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, "%s", path);
    char part[4096];
    for (;;) {
        ssize_t n = read(fd, part, sizeof part);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(e, "%s", path);
        if (buf_add(ret, part, (size_t)n))
            return err_set(e, ERR_CONFIG, "%s: larger than %u KiB", path, CONFIG_BYTES_MAX / 1024);
    }
}

int
config_file(struct config *c, const char *path, struct err *e)
{
    AUTO(buf_release) struct buf text;
    buf_init(&text, CONFIG_BYTES_MAX);
    int bad = read_all(path, &text, e);
    return bad ? bad : config_parse(c, buf_text(&text), text.len, path, e);
}

struct names {
    char *list[FOLDER_FILES_MAX];
    size_t count;
};

static void
names_release(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        mem_free(n->list[i]);
}

static int
collect_yaml(void *arg, const char *name)
{
    struct names *n = arg;
    if (name[0] == '.' || !text_ends(name, ".yaml"))
        return 0;
    if (n->count == FOLDER_FILES_MAX)
        return ERR_LIMIT;
    n->list[n->count++] = mem_strdup(name);
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int
config_folder(struct config *c, const char *path, struct err *e)
{
    AUTO(fd_close) int fd = -1;
    int bad = fs_open_dir(path, false, &fd);
    if (bad == -ENOENT)
        return 0;
    AUTO(names_release) struct names n = {.count = 0};
    bad = bad ? bad : fs_each(fd, collect_yaml, &n);
    if (bad)
        return err_set(e, bad, "%s: %s", path, err_text(bad));
    qsort(n.list, n.count, sizeof n.list[0], by_name);
    for (size_t i = 0; i < n.count && !bad; i++) {
        AUTO(mem_free_text) char *file = mem_printf("%s/%s", path, n.list[i]);
        bad = config_file(c, file, e);
    }
    return bad;
}

int
config_complete(struct config *c, struct err *e)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct config_key *k = &c->keys[i];
        if (k->type != CONFIG_LIST || c->values[i].layer > 0 || !k->fallback)
            continue;
        AUTO(mem_free_text) char *text = mem_printf("%s: %s", k->name, k->fallback);
        int bad = config_yaml_read(c, text, strlen(text), config_layer(c, "default"), e);
        if (bad)
            return bad;
    }
    return 0;
}

const char *
config_text(const struct config *c, const struct config_item *item, const char *name)
{
    const char *text = value_of(c, item, name)->text;
    return text ? text : "";
}

int64_t
config_number(const struct config *c, const struct config_item *item, const char *name)
{
    return value_of(c, item, name)->number;
}

bool
config_is_percent(const struct config *c, const struct config_item *item, const char *name)
{
    return value_of(c, item, name)->percent;
}

size_t
config_texts(const struct config *c, const char *name, const char *const **ret)
{
    const struct config_value *v = value_of(c, NULL, name);
    *ret = (const char *const *)v->texts;
    return v->text_count;
}

static const struct config_list *
list_of(const struct config *c, const char *list)
{
    const struct config_key *k = config_find(c, list);
    must(k && k->type == CONFIG_LIST);
    return &c->lists[k - c->keys];
}

size_t
config_items(const struct config *c, const char *list)
{
    return list_of(c, list)->count;
}

const struct config_item *
config_item(const struct config *c, const char *list, size_t i)
{
    const struct config_list *l = list_of(c, list);
    must(i < l->count);
    return l->items[i];
}

/* The key that names the items of the list that `name` belongs to. */
static const struct config_key *
name_key(const struct config *c, const char *name)
{
    size_t len = (size_t)(strstr(name, "[].") - name) + 3;
    const struct config_key *k = c->keys;
    while (strncmp(k->name, name, len) != 0)
        k++;
    return k;
}

int
config_fail(const struct config *c, const struct config_item *item, const char *name, struct err *e,
            const char *fmt, ...)
{
    char text[sizeof e->text];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    const struct config_value *v = value_of(c, item, name);
    if (item && !v->place.file) /* not written: the item's own line */
        v = &item->values[name_key(c, name) - c->keys];
    if (!v->place.file)
        return err_set(e, ERR_CONFIG, "%s: %s", name, text);
    if (v->place.line == 0)
        return err_set(e, ERR_CONFIG, "%s: %s: %s", v->place.file, name, text);
    return err_set(e, ERR_CONFIG, "%s:%u:%u: %s: %s", v->place.file, v->place.line, v->place.column,
                   name, text);
}
