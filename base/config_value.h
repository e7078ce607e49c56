/* One value of the configuration, and how text becomes one. Private to base/config*.c. */
#ifndef BASE_CONFIG_VALUE_H
#define BASE_CONFIG_VALUE_H

#include "base/config.h"

/* Where a value was written. */
struct config_place {
    const char *file; /* owned by the config; NULL: the default */
    unsigned line, column;
};

struct config_value {
    struct config_place place;
    unsigned layer; /* which layer set it; 0: default */
    bool percent;
    int64_t number;
    char *text;   /* as written; NULL for lists */
    char **texts; /* CONFIG_TEXTS */
    size_t text_count;
};

/* One section of a list: a value for each key of the table, used or not. */
struct config_item {
    unsigned layer;
    struct config_value *values;
};

struct config_list {
    struct config_item **items;
    size_t count;
};

struct config {
    const struct config_key *keys;
    size_t count;
    struct config_value *values; /* of the keys outside of lists */
    struct config_list *lists;   /* by place of their CONFIG_LIST key */
    char **names;                /* of files, owned for the places */
    size_t name_count;
    unsigned layer; /* the one that is being read */
};

/* Parses `text` by the key's type into ret, which keeps its place and layer. ERR_CONFIG:
 * e->text says what was expected. Does nothing to ret on failure. */
CHECKED int config_value_set(const struct config_key *k, const char *text, size_t len,
                             struct config_value *ret, struct err *e);
/* Appends to a list of texts. */
CHECKED int config_value_add(const struct config_key *k, const char *text, size_t len,
                             struct config_value *v, struct err *e);
void config_value_clear(struct config_value *v);
/* "a duration such as 30s, 1s .. 24h" for messages and the reference. */
CHECKED int config_value_describe(const struct config_key *k, struct buf *ret);

/* NULL when the table has none of that name. */
const struct config_key *config_find(const struct config *c, const char *name);
/* A new layer of that name; its index is c->layer, its name is returned. */
const char *config_layer(struct config *c, const char *name);
/* An item with all defaults, in no list yet. */
struct config_item *config_item_new(const struct config *c);
void config_item_free(const struct config *c, struct config_item *it);

#endif
