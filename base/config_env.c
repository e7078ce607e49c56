/* The environment as the last layer of a configuration. */
#include "base/config_value.h"
#include "base/mem.h"
#include "base/text.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE_MAX (CONFIG_NAME_MAX + 32) /* of a name, terminated */

/* PREFIX_CACHE_SIZE for "cache.size". */
static int
variable(const char *prefix, const char *key, char ret[VARIABLE_MAX])
{
    int bad = text_printf(ret, VARIABLE_MAX, "%s_%s", prefix, key);
    for (char *p = ret; *p; p++) {
        if (*p == '.')
            *p = '_';
        else if (*p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
    }
    return bad;
}

/* The variable of a key outside of lists. */
static bool
has_variable(const struct config_key *k, const char *prefix, char ret[VARIABLE_MAX])
{
    return !strstr(k->name, "[]") && variable(prefix, k->name, ret) == 0;
}

static int
set_texts(const struct config_key *k, const char *text, struct config_value *v, struct err *e)
{
    config_value_clear(v);
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        int bad = config_value_add(k, at, len, v, e);
        if (bad)
            return bad;
        at += len + (at[len] == ',');
    }
    return 0;
}

static int
set(struct config *c, const struct config_key *k, const char *name, const char *text, struct err *e)
{
    if (k->type == CONFIG_LIST)
        return err_set(e, ERR_CONFIG, "environment %s: %s is a list of sections: set it in a file",
                       name, k->name);
    struct config_value *v = &c->values[k - c->keys];
    int bad = k->type == CONFIG_TEXTS ? set_texts(k, text, v, e)
                                      : config_value_set(k, text, strlen(text), v, e);
    if (bad)
        return err_wrap(e, "environment %s", name);
    AUTO(mem_free_text) char *place = mem_printf("environment %s", name);
    v->place = (struct config_place){config_layer(c, place), 0, 0};
    v->layer = c->layer;
    return 0;
}

/* ---- names that no setting has ---- */

/* PORT_ and a digit, anywhere: the service's own name may have PORT_ in it, too. */
static bool
has_port(const char *rest)
{
    const char *port = strstr(rest, "PORT_");
    while (port && !isdigit((unsigned char)port[5]))
        port = strstr(port + 5, "PORT_");
    return port;
}

/* Kubernetes tells every container of the services of its namespace: for one that is called as the
 * prefix PREFIX_SERVICE_HOST, _SERVICE_PORT_X, _PORT, _PORT_5002_TCP and so on. `rest` is behind
 * PREFIX_. */
static bool
is_of_kubernetes(const char *rest)
{
    return strstr(rest, "SERVICE_HOST") || strstr(rest, "SERVICE_PORT") ||
           text_ends(rest, "PORT") || has_port(rest);
}

static bool
same_leaf(const char *known, const char *rest)
{
    size_t at = strlen(known) - strlen(rest) - 1;
    return strlen(known) > strlen(rest) && known[at] == '_' && strcmp(known + at + 1, rest) == 0;
}

/* Else `nearest` is the variable that was probably meant: one of another section, or a few edits
 * away; or empty. */
static bool
is_known(const struct config *c, const char *prefix, const char *name, char nearest[VARIABLE_MAX])
{
    const char *rest = name + strlen(prefix) + 1;
    size_t least = strlen(rest) / 4 + 3;
    *nearest = 0;
    for (size_t i = 0; i < c->count; i++) {
        char known[VARIABLE_MAX];
        if (!has_variable(&c->keys[i], prefix, known))
            continue;
        if (strcmp(known, name) == 0)
            return true;
        size_t edits = same_leaf(known, rest) ? 0 : text_distance(known, name);
        if (edits < least) {
            least = edits;
            memcpy(nearest, known, sizeof known);
        }
    }
    return false;
}

static int
check_name(const struct config *c, const char *prefix, const char *name, struct err *e)
{
    char nearest[VARIABLE_MAX], shown[VARIABLE_MAX];
    if (is_of_kubernetes(name + strlen(prefix) + 1) || is_known(c, prefix, name, nearest))
        return 0;
    text_escape(shown, sizeof shown, name, strlen(name));
    if (*nearest)
        return err_set(e, ERR_CONFIG, "environment %s: no setting has this name; did you mean %s?",
                       shown, nearest);
    return err_set(e, ERR_CONFIG, "environment %s: no setting has this name", shown);
}

/* Each variable that begins with PREFIX_ is a setting's. */
static int
check_names(const struct config *c, const char *prefix, struct err *e)
{
    size_t len = strlen(prefix);
    for (char **at = environ; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        if (!equals || strncmp(*at, prefix, len) != 0 || (*at)[len] != '_')
            continue;
        AUTO(mem_free_text) char *name = mem_printf("%.*s", (int)(equals - *at), *at);
        int bad = check_name(c, prefix, name, e);
        if (bad)
            return bad;
    }
    return 0;
}

int
config_env(struct config *c, const char *prefix, struct err *e)
{
    for (size_t i = 0; i < c->count; i++) {
        char name[VARIABLE_MAX];
        const char *text = has_variable(&c->keys[i], prefix, name) ? getenv(name) : NULL;
        int bad = text ? set(c, &c->keys[i], name, text, e) : 0;
        if (bad)
            return bad;
    }
    return check_names(c, prefix, e);
}
