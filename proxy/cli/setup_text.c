/* Pure edits of the runtimes' configuration texts, by lines: what we do not understand
 * stays as it is. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/setup.h"
#include <string.h>

#define BEGIN "# peersync begin: written by `peersync setup`, removed by --undo"
#define END   "# peersync end"
#define WAS   "#was: "

#define CRI_2 "[plugins.\"io.containerd.grpc.v1.cri\".registry"
#define CRI_3 "[plugins.\"io.containerd.cri.v1.images\".registry"
#define CERTS "/etc/containerd/certs.d"

/* A text that grows; it is bounded by its input, which is bounded by SETUP_BYTES_MAX. */
static void
out_open(struct buf *out)
{
    buf_init(out, 4u * SETUP_BYTES_MAX);
}

static void
put(struct buf *out, const char *text)
{
    must(buf_add_text(out, text) == 0);
}

static void
put_line(struct buf *out, const char *line, size_t len)
{
    must(buf_add(out, line, len) == 0);
}

static char *
out_close(struct buf *out)
{
    char *text = mem_strdup(buf_text(out));
    buf_release(out);
    return text;
}

/* ---- lines ---- */

struct line {
    const char *at;
    size_t len; /* with its newline */
};

/* False at the end. */
static bool
next_line(const char **text, struct line *ret)
{
    if (!**text)
        return false;
    const char *nl = strchr(*text, '\n');
    *ret = (struct line){*text, nl ? (size_t)(nl - *text) + 1 : strlen(*text)};
    *text += ret->len;
    return true;
}

static size_t
indent_of(const struct line *l)
{
    size_t n = 0;
    while (n < l->len && (l->at[n] == ' ' || l->at[n] == '\t'))
        n++;
    return n;
}

/* The line without indent, comment and white space at its end; single quotes become double,
 * spaces inside of [ ] and around = go, so that spellings compare. */
#define WORDS_MAX 256
static void
words_of(const struct line *l, char ret[WORDS_MAX])
{
    size_t n = 0;
    char quote = 0;
    for (size_t i = indent_of(l); i < l->len && n + 1 < WORDS_MAX; i++) {
        char c = l->at[i];
        if (!quote && (c == '#' || c == '\n' || c == '\r'))
            break;
        if (!quote && (c == ' ' || c == '\t'))
            continue;
        if (c == '"' || c == '\'') {
            if (!quote)
                quote = c;
            else if (quote == c)
                quote = 0;
            c = '"';
        }
        ret[n++] = c;
    }
    memset(ret + n, 0, WORDS_MAX - n);
}

static bool
is_marker(const struct line *l, const char *marker)
{
    size_t indent = indent_of(l), len = strlen(marker);
    return l->len - indent >= len && memcmp(l->at + indent, marker, len) == 0;
}

/* ---- what is ours ---- */

char *
setup_text_strip(const char *text)
{
    struct buf out;
    struct line l;
    bool ours = false;
    out_open(&out);
    while (next_line(&text, &l)) {
        size_t indent = indent_of(&l);
        if (is_marker(&l, BEGIN)) {
            ours = true;
        } else if (is_marker(&l, END)) {
            ours = false;
        } else if (!ours) {
            put_line(&out, l.at, l.len);
        } else if (is_marker(&l, WAS)) {
            put_line(&out, l.at, indent);
            put_line(&out, l.at + indent + strlen(WAS), l.len - indent - strlen(WAS));
        }
    }
    return out_close(&out);
}

/* Copies up to `here`, with a newline at its end. */
static void
put_before(struct buf *out, const char *text, const char *here)
{
    put_line(out, text, (size_t)(here - text));
    if (here > text && here[-1] != '\n')
        put(out, "\n");
}

/* ---- hosts.toml ---- */

static char *
hosts_block(const char *node, bool fresh_tags)
{
    return mem_printf(BEGIN "\n[host.\"http://%s\"]\n  capabilities = [%s]\n"
                            "  dial_timeout = \"1s\"\n" END "\n",
                      node, fresh_tags ? "\"pull\"" : "\"pull\", \"resolve\"");
}

char *
setup_text_hosts(const char *text, const char *server, const char *node, bool fresh_tags)
{
    AUTO(mem_free_text) char *block = hosts_block(node, fresh_tags);
    AUTO(mem_free_text) char *rest = setup_text_strip(text ? text : "");
    AUTO(mem_free_text) char *name = mem_printf("[host.\"http://%s\"", node);
    struct buf out;
    struct line l;
    const char *at = rest, *first_table = NULL;
    bool has_server = false, named = false;
    while (next_line(&at, &l)) {
        char words[WORDS_MAX];
        words_of(&l, words);
        has_server = has_server || text_starts(words, "server=");
        named = named || text_starts(words, name);
        if (words[0] == '[' && !first_table)
            first_table = l.at;
    }
    if (named)
        return mem_strdup(text);
    out_open(&out);
    if (!*rest && server && !has_server) {
        AUTO(mem_free_text) char *line = mem_printf("server = \"%s\"\n\n", server);
        /* Ours too, so that nothing is left behind when it goes. */
        AUTO(mem_free_text) char *begin = mem_printf(BEGIN "\n%s", line);
        put(&out, begin);
        put(&out, block + strlen(BEGIN) + 1);
        return out_close(&out);
    }
    first_table = first_table ? first_table : rest + strlen(rest);
    put_before(&out, rest, first_table);
    put(&out, block);
    put(&out, first_table);
    return out_close(&out);
}

/* ---- containerd's config.toml ---- */

struct cri {
    int version;             /* 1 when the file does not say */
    bool disabled;           /* disabled_plugins has cri */
    bool mirrors;            /* the old way, which excludes config_path */
    struct line table;       /* the registry table of the CRI plugin; at NULL: none */
    struct line config_path; /* its line; at NULL: none */
    char path[WORDS_MAX];    /* its value */
    bool in_registry;        /* while reading */
};

static void
read_cri_table(const char *words, const struct line *l, struct cri *c)
{
    const char *prefix = c->version >= 3 ? CRI_3 : CRI_2;
    c->in_registry = false;
    if (!text_starts(words, prefix))
        return;
    const char *rest = words + strlen(prefix);
    c->in_registry = strcmp(rest, "]") == 0;
    c->mirrors = c->mirrors || text_starts(rest, ".mirrors") || text_starts(rest, ".configs");
    if (c->in_registry)
        c->table = *l;
}

static void
read_cri_line(const char *words, const struct line *l, struct cri *c)
{
    if (words[0] == '[') {
        read_cri_table(words, l, c);
    } else if (text_starts(words, "version=")) {
        c->version = words[8] == '"' ? words[9] - '0' : words[8] - '0';
    } else if (text_starts(words, "disabled_plugins=")) {
        c->disabled = strstr(words, "\"cri\"") || strstr(words, "io.containerd.grpc.v1.cri\"");
    } else if (c->in_registry && text_starts(words, "config_path=\"")) {
        c->config_path = *l;
        size_t len = strcspn(words + 13, "\"");
        must(!text_printf(c->path, sizeof c->path, "%.*s", (int)len, words + 13));
    }
}

static struct cri
read_cri(const char *text)
{
    struct cri c = {.version = 1};
    struct line l;
    while (next_line(&text, &l)) {
        char words[WORDS_MAX];
        words_of(&l, words);
        read_cri_line(words, &l, &c);
    }
    return c;
}

static void
put_config_path(struct buf *out, const struct line *old)
{
    put(out, BEGIN "\n");
    if (old->at) {
        size_t indent = indent_of(old);
        put_line(out, old->at, indent);
        put(out, WAS);
        put_line(out, old->at + indent, old->len - indent);
        if (old->at[old->len - 1] != '\n')
            put(out, "\n");
    }
    put(out, "config_path = \"" CERTS "\"\n" END "\n");
}

/* Puts the line in the place of an empty one, below the table's name, or at the end. */
static char *
add_config_path(const char *text, const struct cri *c)
{
    struct buf out;
    out_open(&out);
    if (c->config_path.at) {
        put_line(&out, text, (size_t)(c->config_path.at - text));
        put_config_path(&out, &c->config_path);
        put(&out, c->config_path.at + c->config_path.len);
    } else if (c->table.at) {
        put_before(&out, text, c->table.at + c->table.len);
        put_config_path(&out, &c->config_path);
        put(&out, c->table.at + c->table.len);
    } else {
        put_before(&out, text, text + strlen(text));
        put(&out, BEGIN "\n");
        put(&out, *text ? "" : "version = 2\n");
        put(&out, c->version >= 3 ? CRI_3 : CRI_2);
        put(&out, "]\n  config_path = \"" CERTS "\"\n" END "\n");
    }
    return out_close(&out);
}

int
setup_text_containerd(const char *text, char **ret, char **ret_path, struct err *e)
{
    AUTO(mem_free_text) char *rest = setup_text_strip(text ? text : "");
    struct cri c = read_cri(rest);
    if (!*rest)
        c.version = 2; /* what we write ourselves; every containerd since 1.3 reads it */
    if (c.disabled || *c.path) {
        size_t first = strcspn(c.path, ":");
        *ret_path = *c.path ? mem_strndup(c.path, first) : mem_strdup(CERTS);
        *ret = NULL;
        return 0;
    }
    if (c.version < 2 || c.version > 3)
        return err_set(e, ERR_CONFIG, "needs version = 2 or 3 (see containerd config migrate)");
    if (c.mirrors)
        return err_set(e, ERR_CONFIG,
                       "has registry.mirrors or registry.configs, which exclude config_path: "
                       "move them to " CERTS " first");
    *ret = add_config_path(rest, &c);
    *ret_path = mem_strdup(CERTS);
    return 0;
}

/* ---- k3s ---- */

/* The top-level key `mirrors:` with nothing behind it. */
static bool
is_mirrors(const struct line *l, const char *words)
{
    return indent_of(l) == 0 && strcmp(words, "mirrors:") == 0;
}

/* The registries that have no mirror there yet; false: all have. */
static bool
put_k3s_block(struct buf *out, const struct settings *s, const char *url, struct setup_yaml *there,
              size_t indent)
{
    bool any_left = false;
    put(out, BEGIN "\n");
    for (size_t i = 0; i < s->registry_count; i++) {
        const struct registry *r = &s->registries[i];
        if (setup_yaml_mirror(there, r->host, url) != SETUP_MIRROR_NONE)
            continue;
        /* k3s tries https://HOST last by itself; where the registry is elsewhere it has to be told.
         */
        AUTO(mem_free_text) char *usual = mem_printf("https://%s", r->host);
        bool hub = strcmp(r->host, "docker.io") == 0, any = strcmp(r->host, "*") == 0;
        bool elsewhere = !hub && !any && strcmp(r->url, usual) != 0;
        AUTO(mem_free_text)
        char *entry = mem_printf("%*s\"%s\":\n%*sendpoint: [\"%s\"%s%s%s]\n", (int)indent, "",
                                 r->host, (int)indent * 2, "", url, elsewhere ? ", \"" : "",
                                 elsewhere ? r->url : "", elsewhere ? "\"" : "");
        put(out, entry);
        any_left = true;
    }
    put(out, END "\n");
    return any_left;
}

/* Somebody else's mirror of a registry of ours stays, and then nothing is written. */
static int
judge_k3s(struct setup_yaml *there, const struct settings *s, const char *url, struct err *e)
{
    for (size_t i = 0; i < s->registry_count; i++)
        if (setup_yaml_mirror(there, s->registries[i].host, url) == SETUP_MIRROR_OTHERS)
            return err_set(
                e, ERR_CONFIG,
                "has a mirror for %s already: add %s to its endpoints by hand, the first",
                s->registries[i].host, url);
    return 0;
}

/* Where our block goes, behind the line `mirrors:`, NULL: there is none; and how its entries are
 * indented. */
static const char *
find_k3s_place(const char *text, size_t *ret_indent)
{
    const char *behind = NULL;
    bool in_mirrors = false;
    struct line l;
    *ret_indent = 0;
    while (next_line(&text, &l)) {
        char words[WORDS_MAX];
        words_of(&l, words);
        if (!*words)
            continue;
        if (in_mirrors && indent_of(&l) > 0 && *ret_indent == 0)
            *ret_indent = indent_of(&l);
        in_mirrors = indent_of(&l) > 0 ? in_mirrors : is_mirrors(&l, words);
        behind = is_mirrors(&l, words) ? l.at + l.len : behind;
    }
    if (*ret_indent == 0)
        *ret_indent = 2;
    return behind;
}

/* A key `mirrors` that was written otherwise would stand there twice now. */
static int
check_k3s(const char *text, struct err *e)
{
    struct setup_yaml *y;
    int bad = setup_yaml_open(text, &y, e);
    if (!bad)
        setup_yaml_close(y);
    return bad;
}

int
setup_text_k3s(const char *text, const struct settings *s, const char *node, char **ret,
               struct err *e)
{
    AUTO(mem_free_text) char *rest = setup_text_strip(text ? text : "");
    AUTO(mem_free_text) char *url = mem_printf("http://%s", node);
    struct setup_yaml *there;
    size_t indent;
    int bad = setup_yaml_open(rest, &there, e);
    if (bad)
        return bad;
    const char *behind = find_k3s_place(rest, &indent);
    struct buf out;
    out_open(&out);
    put_before(&out, rest, behind ? behind : rest + strlen(rest));
    if (!behind) {
        put(&out, BEGIN "\nmirrors:\n" END "\n");
        behind = rest + strlen(rest);
    }
    bool any_left = put_k3s_block(&out, s, url, there, indent);
    put(&out, behind);
    *ret = out_close(&out);
    bad = judge_k3s(there, s, url, e);
    bad = bad ? bad : check_k3s(*ret, e);
    if (bad || !any_left) {
        mem_free(*ret);
        *ret = bad ? NULL : mem_strdup(rest);
    }
    setup_yaml_close(there);
    return bad;
}

/* ---- CRI-O, podman, skopeo ---- */

static void
put_crio_registry(struct buf *out, const struct registry *r, const char *node, bool fresh_tags)
{
    bool plain = text_starts(r->url, "http://");
    const char *there = strstr(r->url, "://");
    bool hub = strcmp(r->host, "docker.io") == 0;
    AUTO(mem_free_text)
    char *entry =
        mem_printf("\n[[registry]]\nprefix = \"%s\"\nlocation = \"%s\"\n%s"
                   "[[registry.mirror]]\nlocation = \"%s/%s\"\ninsecure = true\n%s",
                   r->host, hub || !there ? r->host : there + 3, plain ? "insecure = true\n" : "",
                   node, r->host, fresh_tags ? "pull-from-mirror = \"digest-only\"\n" : "");
    put(out, entry);
}

char *
setup_text_crio(const struct settings *s, const char *node, bool fresh_tags)
{
    struct buf out;
    out_open(&out);
    put(&out, BEGIN "\n");
    for (size_t i = 0; i < s->registry_count; i++) {
        if (strcmp(s->registries[i].host, "*") != 0)
            put_crio_registry(&out, &s->registries[i], node, fresh_tags);
    }
    put(&out, END "\n");
    return out_close(&out);
}
