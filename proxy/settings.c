/* The configuration of this daemon: its table, what only it can check, and the struct. */
#include "proxy/settings.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include <errno.h>
#include <string.h>

static const struct config_key keys[] = {
#define KEY(field, type, ...)  REST(type, __VA_ARGS__)
#define ITEM(field, type, ...) REST(type, __VA_ARGS__)
#define REST(type, name, fallback, min, max, choices, help) \
    {name, CONFIG_##type, fallback, min, max, choices, help},
#include "proxy/settings.def"
#undef KEY
#undef ITEM
#undef REST
};

/* How a value of each type gets into a field. */
#define GET_TEXT(field, item, name)     mem_strdup(config_text(c, item, name))
#define GET_PATH(field, item, name)     GET_TEXT(field, item, name)
#define GET_ADDRESS(field, item, name)  GET_TEXT(field, item, name)
#define GET_NUMBER(field, item, name)   (__typeof__(field))config_number(c, item, name)
#define GET_BOOL(field, item, name)     GET_NUMBER(field, item, name)
#define GET_INT(field, item, name)      GET_NUMBER(field, item, name)
#define GET_SIZE(field, item, name)     GET_NUMBER(field, item, name)
#define GET_DURATION(field, item, name) GET_NUMBER(field, item, name)
#define GET_CHOICE(field, item, name)   GET_NUMBER(field, item, name)

/* As p2p/ takes them. */
#define P2P_SEEDS_MAX 64
#define P2P_SITE_MAX  63

static const char docker_host[] = "docker.io";
static const char docker_url[] = "https://registry-1.docker.io";

/* The base URL of an item, without slashes at its end. */
static char *
registry_url(const char *host, const char *url)
{
    if (strcmp(host, "*") == 0)
        return mem_strdup("");
    if (!*url)
        return strcmp(host, docker_host) == 0 ? mem_strdup(docker_url)
                                              : mem_printf("https://%s", host);
    size_t len = strlen(url);
    while (len && url[len - 1] == '/')
        len--;
    return mem_strndup(url, len);
}

static void
fill_registry(const struct config *c, const struct config_item *item, struct registry *r)
{
#define KEY(...)
#define REST(...)
#define ITEM(field, type, name, ...) r->field = GET_##type(r->field, item, name);
#include "proxy/settings.def"
#undef KEY
#undef ITEM
#undef REST
    char *url = registry_url(r->host, r->url);
    mem_free(r->url);
    r->url = url;
}

static void
fill(const struct config *c, struct settings *s)
{
#define ITEM(...)
#define REST(...)
#define KEY(field, type, name, ...) s->field = GET_##type(s->field, NULL, name);
#include "proxy/settings.def"
#undef KEY
#undef ITEM
#undef REST
    int64_t size = config_number(c, NULL, "cache.size");
    bool percent = config_is_percent(c, NULL, "cache.size");
    s->cache_size_bytes = percent ? 0 : (uint64_t)size;
    s->cache_size_percent = percent ? (unsigned)size : 0;

    s->registry_count = config_items(c, "registries");
    s->registries = mem_zalloc((s->registry_count + 1) * sizeof *s->registries);
    for (size_t i = 0; i < s->registry_count; i++)
        fill_registry(c, config_item(c, "registries", i), &s->registries[i]);

    const char *const *seeds;
    s->p2p_seed_count = config_texts(c, "p2p.seeds", &seeds);
    s->p2p_seeds = mem_zalloc((s->p2p_seed_count + 1) * sizeof *s->p2p_seeds);
    for (size_t i = 0; i < s->p2p_seed_count; i++)
        s->p2p_seeds[i] = mem_strdup(seeds[i]);
}

/* ---- what only this floor can judge ---- */

/* A registry host as in an image name: labels with an optional port. */
static bool
is_host(const char *host)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
    size_t len = strspn(host, chars);
    if (len == 0 || len > 253 || host[0] == '.' || host[0] == '-' || strstr(host, ".."))
        return false;
    uint64_t port;
    return host[len] == 0 ||
           (host[len] == ':' && !text_u64(host + len + 1, strlen(host + len + 1), &port) &&
            port > 0 && port < 65536);
}

static bool
is_url(const char *url)
{
    const char *rest = text_starts(url, "https://")  ? url + 8
                       : text_starts(url, "http://") ? url + 7
                                                     : "";
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                ".-_:[]/~";
    return *rest && *rest != '/' && *rest != ':' && strspn(rest, chars) == strlen(rest);
}

static int
check_registry(const struct config *c, const struct config_item *it, struct err *e)
{
    const char *host = config_text(c, it, "registries[].host");
    const char *url = config_text(c, it, "registries[].url");
    const char *credentials = config_text(c, it, "registries[].credentials");
    bool any = strcmp(host, "*") == 0;
    if (!any && !is_host(host))
        return config_fail(c, it, "registries[].host", e, "expected HOST, HOST:PORT or \"*\"");
    if (any && *url)
        return config_fail(c, it, "registries[].url", e, "host \"*\" has no url");
    if (*url && !is_url(url))
        return config_fail(c, it, "registries[].url", e,
                           "expected http://HOST or https://HOST, with port and path if need "
                           "be, without user, query or fragment");
    bool node = config_number(c, it, "registries[].auth") == AUTH_NODE;
    if (node && !*credentials)
        return config_fail(c, it, "registries[].credentials", e,
                           "auth: node needs the path of a docker config.json");
    if (!node && *credentials)
        return config_fail(c, it, "registries[].credentials", e,
                           "would not be used: auth is not node");
    return 0;
}

static int
check_default_registry(const struct config *c, struct err *e)
{
    const char *name = config_text(c, NULL, "default_registry");
    bool known = *name == 0;
    for (size_t i = 0; i < config_items(c, "registries") && !known; i++) {
        const char *host = config_text(c, config_item(c, "registries", i), "registries[].host");
        known = strcmp(host, name) == 0 || strcmp(host, "*") == 0;
    }
    /* The default of this key is no promise: a node that serves only its own registry need
     * not empty it. Nothing unconfigured is contacted either way. */
    if (known || strcmp(name, docker_host) == 0)
        return 0;
    return config_fail(c, NULL, "default_registry", e, "\"%s\" is none of the registries", name);
}

/* NAME:PORT, a NAME of letters, digits, dots and dashes, or an [IPv6 address]. */
static bool
is_node(const char *text)
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    const char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || colon == text || text_u64(colon + 1, strlen(colon + 1), &port) || port == 0 ||
        port > UINT16_MAX)
        return false;
    size_t len = (size_t)(colon - text);
    return text[0] == '[' ? colon[-1] == ']' : strspn(text, chars) == len && len <= 253;
}

static int
check_p2p(const struct config *c, struct err *e)
{
    const char *const *seeds;
    size_t count = config_texts(c, "p2p.seeds", &seeds);
    for (size_t i = 0; i < count; i++)
        if (!is_node(text_starts(seeds[i], "dns:") ? seeds[i] + 4 : seeds[i]))
            return config_fail(c, NULL, "p2p.seeds", e, "expected HOST:PORT or dns:NAME:PORT");
    if (count > P2P_SEEDS_MAX)
        return config_fail(c, NULL, "p2p.seeds", e, "at most %d", P2P_SEEDS_MAX);
    const char *site = config_text(c, NULL, "p2p.site");
    if (!*site || strlen(site) > P2P_SITE_MAX)
        return config_fail(c, NULL, "p2p.site", e, "expected auto, or a name of 1 to %d bytes",
                           P2P_SITE_MAX);
    if (!*config_text(c, NULL, "p2p.advertise"))
        return config_fail(c, NULL, "p2p.advertise", e, "expected auto, HOST or HOST:PORT");
    return 0;
}

static int
check(const struct config *c, struct err *e)
{
    for (size_t i = 0; i < config_items(c, "registries"); i++) {
        int bad = check_registry(c, config_item(c, "registries", i), e);
        if (bad)
            return bad;
    }
    const char *listen = config_text(c, NULL, "listen");
    if (strcmp(listen, config_text(c, NULL, "admin")) == 0 && !text_ends(listen, ":0"))
        return config_fail(c, NULL, "admin", e, "the same address as listen");
    int bad = check_default_registry(c, e);
    return bad ? bad : check_p2p(c, e);
}

/* ---- layers ---- */

static int
read_folder(struct config *c, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    AUTO(mem_free_text)
    char *folder =
        slash ? mem_printf("%.*s/conf.d", (int)(slash - path), path) : mem_strdup("conf.d");
    return config_folder(c, folder, e);
}

static int
read_layers(struct config *c, const char *path, struct err *e)
{
    bool optional = !path;
    path = path ? path : SETTINGS_PATH;
    int bad = config_file(c, path, e);
    if (bad == -ENOENT && optional)
        bad = 0;
    bad = bad ? bad : read_folder(c, path, e);
    bad = bad ? bad : config_env(c, SETTINGS_PREFIX, e);
    bad = bad ? bad : config_complete(c, e);
    return bad ? bad : check(c, e);
}

int
settings_config(const char *path, struct config **ret, struct err *e)
{
    struct config *c = NULL;
    int bad = config_open(keys, ARRAY_LEN(keys), &c, e);
    bad = bad ? bad : read_layers(c, path, e);
    if (bad)
        config_close(&c);
    else
        *ret = c;
    return bad;
}

static struct settings *
settings_new(const struct config *c)
{
    struct settings *s = mem_zalloc(sizeof *s);
    s->refs = 1;
    fill(c, s);
    return s;
}

int
settings_load(const char *path, struct settings **ret, struct err *e)
{
    AUTO(config_close) struct config *c = NULL;
    int bad = settings_config(path, &c, e);
    if (!bad)
        *ret = settings_new(c);
    return bad;
}

int
settings_parse(const char *text, size_t len, const char *name, struct settings **ret, struct err *e)
{
    AUTO(config_close) struct config *c = NULL;
    int bad = config_open(keys, ARRAY_LEN(keys), &c, e);
    bad = bad ? bad : config_parse(c, text, len, name, e);
    bad = bad ? bad : config_complete(c, e);
    bad = bad ? bad : check(c, e);
    if (!bad)
        *ret = settings_new(c);
    return bad;
}

/* ---- the struct ---- */

struct settings *
settings_ref(struct settings *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

#define FREE_TEXT(field)     mem_free(field)
#define FREE_PATH(field)     mem_free(field)
#define FREE_ADDRESS(field)  mem_free(field)
#define FREE_BOOL(field)     (void)0
#define FREE_INT(field)      (void)0
#define FREE_SIZE(field)     (void)0
#define FREE_DURATION(field) (void)0
#define FREE_CHOICE(field)   (void)0

static void
free_registry(struct registry *r)
{
#define KEY(...)
#define REST(...)
#define ITEM(field, type, ...) FREE_##type(r->field);
#include "proxy/settings.def"
#undef KEY
#undef ITEM
#undef REST
}

static void
free_settings(struct settings *s)
{
#define ITEM(...)
#define REST(...)
#define KEY(field, type, ...) FREE_##type(s->field);
#include "proxy/settings.def"
#undef KEY
#undef ITEM
#undef REST
    for (size_t i = 0; i < s->registry_count; i++)
        free_registry(&s->registries[i]);
    for (size_t i = 0; i < s->p2p_seed_count; i++)
        mem_free(s->p2p_seeds[i]);
    mem_free(s->registries);
    mem_free(s->p2p_seeds);
    mem_free(s);
}

void
settings_release(struct settings **s)
{
    struct settings *gone = *s;
    *s = NULL;
    if (gone && __atomic_sub_fetch(&gone->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free_settings(gone);
}

const struct registry *
settings_registry(const struct settings *s, const char *host)
{
    const struct registry *any = NULL;
    for (size_t i = 0; i < s->registry_count; i++) {
        if (text_equal_nocase(s->registries[i].host, host))
            return &s->registries[i];
        if (strcmp(s->registries[i].host, "*") == 0)
            any = &s->registries[i];
    }
    return any;
}

static bool
same_seeds(const struct settings *a, const struct settings *b)
{
    if (a->p2p_seed_count != b->p2p_seed_count)
        return false;
    for (size_t i = 0; i < a->p2p_seed_count; i++) {
        if (strcmp(a->p2p_seeds[i], b->p2p_seeds[i]) != 0)
            return false;
    }
    return true;
}

const char *
settings_needs_restart(const struct settings *running, const struct settings *wanted)
{
    const struct {
        const char *name;
        bool same;
    } fixed[] = {
#define FIXED_TEXT(name, field) {name, strcmp(running->field, wanted->field) == 0}
#define FIXED(name, field)                    \
    {                                         \
        name, running->field == wanted->field \
    }
        FIXED_TEXT("listen", listen),
        FIXED_TEXT("admin", admin),
        FIXED_TEXT("cache.dir", cache_dir),
        FIXED_TEXT("cache.containerd_content", cache_containerd_content),
        FIXED("cache.compress", cache_compress),
        FIXED("cache.containerd_owns", cache_containerd_owns),
        FIXED("p2p.enabled", p2p_enabled),
        FIXED_TEXT("p2p.listen", p2p_listen),
        FIXED_TEXT("p2p.advertise", p2p_advertise),
        FIXED_TEXT("p2p.key_file", p2p_key_file),
        FIXED_TEXT("p2p.site", p2p_site),
        FIXED("p2p.multicast", p2p_multicast),
        FIXED("p2p.priority", p2p_priority),
        FIXED("p2p.preseed", p2p_preseed),
        {"p2p.seeds", same_seeds(running, wanted)},
#undef FIXED
#undef FIXED_TEXT
    };
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        if (!fixed[i].same)
            return fixed[i].name;
    }
    return NULL;
}

const struct config_key *
settings_keys(size_t *ret_count)
{
    *ret_count = ARRAY_LEN(keys);
    return keys;
}

int
settings_reference(struct buf *ret)
{
    return config_print_reference(
        keys, ARRAY_LEN(keys),
        "All settings of peersync with their defaults. Written by `peersync config reference`; "
        "a file with none of these lines means the same. Environment variables override files: "
        "PEERSYNC_CACHE_SIZE is cache.size.",
        ret);
}
