/*
 * YAML configuration against a table: the caller declares every key once (name, type,
 * default, range, help); reading, checking, printing and the reference come from it.
 *
 *   config_open -> config_parse / config_file / config_folder / config_env -> getters
 *
 * Each later layer overrides scalars and text lists of the earlier ones; the items of a
 * list of sections are replaced by name or appended. Anchors, aliases, tags, repeated
 * keys, several documents and unknown keys are errors. Owned by one thread until it is
 * complete, then read-only.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/err.h"
#include "base/json.h"

struct buf;
struct config;
struct config_item;

#define CONFIG_BYTES_MAX (256u * 1024) /* of one file: a person wrote it */
#define CONFIG_TEXT_MAX  1024          /* bytes of one value */
#define CONFIG_NAME_MAX  96            /* of a full key name, terminated */
#define CONFIG_TEXTS_MAX 64            /* elements of a list of texts */

enum config_type {
    CONFIG_TEXT,
    CONFIG_PATH,     /* absolute; empty too when the default is */
    CONFIG_ADDRESS,  /* HOST:PORT, [IPv6]:PORT */
    CONFIG_BOOL,     /* true or false; number 1 or 0 */
    CONFIG_INT,      /* whole number */
    CONFIG_SIZE,     /* 20GiB; number: bytes */
    CONFIG_SHARE,    /* a size, or 1% .. 95% of something */
    CONFIG_DURATION, /* 30s; number: milliseconds */
    CONFIG_CHOICE,   /* one of `choices`; number: its place */
    CONFIG_TEXTS,    /* list of texts */
    CONFIG_LIST,     /* list of sections; max: how many; default: YAML text */
};

/* One line of the table. Keys of a section stand together. The keys of a CONFIG_LIST
 * "x" are named "x[].y" and follow it at once; the first one names the item: it is
 * required and unique. */
struct config_key {
    const char *name; /* "cache.size" */
    enum config_type type;
    const char *fallback;
    int64_t min, max;    /* inclusive: INT, SIZE, SHARE in bytes, DURATION in ms */
    const char *choices; /* "error|warn|info" */
    const char *help;    /* for the reference: whole sentences */
};

/* All values at their defaults. `keys` must live as long as the config. */
CHECKED int config_open(const struct config_key *keys, size_t count, struct config **ret,
                        struct err *e);
void config_close(struct config **c); /* for AUTO; NULL inside is fine */

/* Layers. ERR_CONFIG, or -errno for a file that cannot be read; e->text says
 * "FILE:LINE:COLUMN: KEY: what was expected". After an error only config_close. */
CHECKED int config_parse(struct config *c, const char *text, size_t len, const char *name,
                         struct err *e);
CHECKED int config_file(struct config *c, const char *path, struct err *e);
/* All *.yaml in order of name; a missing folder is none. */
CHECKED int config_folder(struct config *c, const char *path, struct err *e);
/* PREFIX_CACHE_SIZE for "cache.size". Lists of texts are comma separated, lists of sections
 * cannot be set. Another name with the prefix is refused, unless it looks like one that Kubernetes
 * makes up for a service of our name. */
CHECKED int config_env(struct config *c, const char *prefix, struct err *e);
/* Last layer: lists of sections that nobody set get their defaults. */
CHECKED int config_complete(struct config *c, struct err *e);

/* Getters; `item` is NULL for keys outside of lists. A name that is not in the table
 * is a programmer's mistake. */
const char *config_text(const struct config *c, const struct config_item *item, const char *name);
int64_t config_number(const struct config *c, const struct config_item *item, const char *name);
/* A CONFIG_SHARE was given in percent: number is 1 .. 95. */
bool config_is_percent(const struct config *c, const struct config_item *item, const char *name);
size_t config_texts(const struct config *c, const char *name, const char *const **ret);
size_t config_items(const struct config *c, const char *list);
const struct config_item *config_item(const struct config *c, const char *list, size_t i);

/* A complaint about a value that only its owner can judge, with the place where it was
 * set. Returns ERR_CONFIG. */
PRINTF(5, 6)
int config_fail(const struct config *c, const struct config_item *item, const char *name,
                struct err *e, const char *fmt, ...);

/* Effective values as YAML, each with the place where it was set. */
CHECKED int config_print(const struct config *c, struct buf *ret);
/* The same as nested JSON, without places. Caller frees. */
cJSON *config_print_json(const struct config *c);
/* May the text stand where a CONFIG_ADDRESS is wanted? */
bool config_is_address(const char *text);
/* The table as a commented YAML file of all defaults. */
CHECKED int config_print_reference(const struct config_key *keys, size_t count, const char *head,
                                   struct buf *ret);

#endif
