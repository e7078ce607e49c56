/* The table of registries, and the files of the administrator that belong to them. */
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "proxy/upstream/upstream_inside.h"
#include "proxy/upstream/way.h"
#include <string.h>

#define UPSTREAMS_MAX 256 /* registries remembered; idle ones go first */
#define GRANTS_MAX    256 /* challenges remembered for a registry */

/* ---- the table ---- */

static void
free_grant(struct upstream *u, struct grant *g)
{
    HASH_DEL(u->grants, g);
    mem_free(g->repository);
    mem_free(g);
}

static void
free_upstream(struct upstream *u)
{
    HASH_DEL(u->all->map, u);
    while (u->grants != NULL)
        free_grant(u, u->grants);
    reread_release(&u->credentials);
    reread_release(&u->ca);
    creds_release(&u->creds);
    trust_close_store(&u->ca_store);
    url_release(&u->base);
    mem_free(u->key);
    mem_free(u->host);
    mem_free(u->realms);
    mem_free(u);
}

struct upstreams *
upstreams_new(struct wire *w, struct health *h, struct rng *r)
{
    struct upstreams *u = mem_zalloc(sizeof *u);
    u->wire = w;
    u->tokens = tokens_new(w);
    u->health = h;
    u->rng = r;
    return u;
}

void
upstreams_free(struct upstreams *u)
{
    if (u == NULL)
        return;
    while (u->map != NULL) {
        must(u->map->source.refs == 0);
        free_upstream(u->map);
    }
    tokens_free(u->tokens);
    mem_free(u);
}

void
upstreams_step(struct upstreams *u, int64_t now_ms)
{
    tokens_step(u->tokens, now_ms);
}

static bool
is_wildcard(const struct origin *o)
{
    return strcmp(o->registry->host, "*") == 0;
}

int
upstream_base(const struct origin *o, struct url *ret)
{
    if (!is_wildcard(o))
        return url_parse(o->registry->url, ret) == 0 ? 0 : ERR_CONFIG;
    if (!url_is_dns_name(o->host))
        return ERR_REFUSED;
    char text[URL_HOST_MAX + 16];
    if (text_printf(text, sizeof text, "https://%s", o->host) != 0)
        return ERR_REFUSED;
    return url_parse(text, ret) == 0 ? 0 : ERR_REFUSED;
}

/* Settings that a source is made of: when one changes, another source is made. */
static void
make_key(const struct origin *o, const struct url *base, char ret[UPSTREAM_KEY_MAX])
{
    const struct registry *r = o->registry;
    struct digest d;
    char hex[129];
    AUTO(mem_free_text)
    char *text = mem_printf("%s\n%s\n%d\n%s\n%s\n%s", o->host, base->text, (int)r->auth,
                            r->credentials, r->ca, r->realms);
    digest_of(DIGEST_SHA256, text, strlen(text), &d);
    digest_hex(&d, hex);
    must(text_printf(ret, UPSTREAM_KEY_MAX, "%.255s %s", o->host, hex) == 0);
}

static void
make_room(struct upstreams *all)
{
    if (HASH_COUNT(all->map) < UPSTREAMS_MAX)
        return;
    struct upstream *oldest = NULL;
    for (struct upstream *u = all->map; u != NULL; u = u->hh.next)
        if (u->source.refs == 0 && (oldest == NULL || u->used_ms < oldest->used_ms))
            oldest = u;
    if (oldest != NULL)
        free_upstream(oldest);
}

static struct upstream *
add(struct upstreams *all, const struct origin *o, struct url *base, const char *key)
{
    make_room(all);
    struct upstream *u = mem_zalloc(sizeof *u);
    u->source.ops = &way_ops;
    u->source.body_source = BLOB_FROM_UPSTREAM;
    (void)!text_copy(u->source.name, sizeof u->source.name, o->host);
    budget_init(&u->source.retries);
    u->key = mem_strdup(key);
    u->host = mem_strdup(o->host);
    u->realms = mem_strdup(o->registry->realms);
    u->base = *base;
    *base = (struct url){0};
    u->auth = o->registry->auth;
    u->wildcard = is_wildcard(o);
    u->all = all;
    reread_init(&u->credentials, o->registry->credentials);
    reread_init(&u->ca, o->registry->ca);
    HASH_ADD_KEYPTR(hh, all->map, u->key, strlen(u->key), u);
    return u;
}

int
upstream_take(struct upstreams *all, const struct origin *o, struct source **ret, struct err *e)
{
    AUTO(url_release) struct url base = {0};
    int code = upstream_base(o, &base);
    if (code != 0)
        return err_set(e, code, "registry %.100s: no host that may be asked", o->host);
    char key[UPSTREAM_KEY_MAX];
    make_key(o, &base, key);
    struct upstream *u = NULL;
    HASH_FIND_STR(all->map, key, u);
    if (u == NULL)
        u = add(all, o, &base, key);
    u->used_ms = clock_ms();
    u->source.refs++;
    *ret = &u->source;
    return 0;
}

void
upstream_drop(struct source **s)
{
    if (*s == NULL)
        return;
    must((*s)->refs > 0);
    (*s)->refs--;
    *s = NULL;
}

/* ---- files of the administrator ---- */

static int
find_credentials(struct upstream *u, struct err *e)
{
    char url_host[URL_HOST_MAX + 8];
    bool usual_port = u->base.port == (u->base.tls ? 443 : 80);
    must(text_printf(url_host, sizeof url_host, usual_port ? "%s" : "%s:%u", u->base.host,
                     u->base.port) == 0);
    int code = creds_find(buf_text(&u->credentials.text), u->credentials.text.len, u->host,
                          url_host, &u->creds, e);
    buf_release(&u->credentials.text);
    return code;
}

const struct creds *
upstream_credentials(struct upstream *u)
{
    if (u->auth != AUTH_NODE || u->credentials.path[0] == '\0')
        return NULL;
    struct err e = {0};
    bool changed = false;
    int code = reread_look(&u->credentials, &changed, &e);
    bool news = code == 0 ? changed : !u->creds_unreadable;
    u->creds_unreadable = code != 0;
    if (!news)
        return u->creds_good ? &u->creds : NULL;
    creds_release(&u->creds);
    u->creds_version++;
    if (code == 0)
        code = find_credentials(u, &e);
    u->creds_good = code == 0;
    if (code != 0)
        LOG(credentials, LOG_S("registry", u->host), LOG_S("file", u->credentials.path),
            LOG_S("error", e.text));
    return u->creds_good ? &u->creds : NULL;
}

struct trust_more
upstream_trust(struct upstream *u)
{
    struct err e = {0};
    bool changed = false;
    if (u->ca.path[0] == '\0')
        return (struct trust_more){0};
    int code = reread_look(&u->ca, &changed, &e);
    struct trust *system = &u->all->wire->trust;
    trust_look(system);
    changed = changed || u->ca_version != system->version;
    u->ca_version = system->version;
    if (code != 0 || changed)
        trust_close_store(&u->ca_store);
    if (code == 0 && changed)
        code = trust_open_store(system, u->ca.path, &u->ca_store, &e);
    if (code != 0 && !u->ca_bad)
        LOG(upstream_failed, LOG_S("registry", u->host), LOG_S("what", "ca file"),
            LOG_S("error", e.text));
    u->ca_bad = code != 0 || (u->ca_bad && !changed);
    return (struct trust_more){u->ca.path, u->ca_store};
}

/* ---- grants ---- */

void
upstream_remember(struct upstream *u, const char *repository, const struct challenge *c)
{
    struct grant *g = NULL;
    HASH_FIND_STR(u->grants, repository, g);
    if (g == NULL) {
        if (HASH_COUNT(u->grants) >= GRANTS_MAX)
            free_grant(u, u->grants);
        g = mem_zalloc(sizeof *g);
        g->repository = mem_strdup(repository);
        HASH_ADD_KEYPTR(hh, u->grants, g->repository, strlen(g->repository), g);
    }
    g->challenge = *c;
}

const struct challenge *
upstream_recall(struct upstream *u, const char *repository)
{
    struct grant *g = NULL;
    HASH_FIND_STR(u->grants, repository, g);
    return g != NULL ? &g->challenge : NULL;
}
