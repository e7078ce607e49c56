/*
 * The way of one request to a registry. Each arrow is one exchange:
 *
 *   registry --401 Bearer--> realm --token--> registry --3xx--> storage host
 *
 * Credentials and tokens go to the registry's own scheme, host and port and to a realm that
 * realm.c allows, nowhere else; each hop is prepared anew, so a redirect carries nothing over.
 */
#include "proxy/upstream/way.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/upstream/judge.h"
#include "proxy/upstream/realm.h"
#include "proxy/upstream/upstream_inside.h"
#include <string.h>

#define TOKEN_ROUNDS_MAX 2     /* a stale token and a fresh one */
#define NO_RANGES_MIN    2     /* once it may be a cache that had nothing of it yet */
#define NO_RANGES_MS     60000 /* a storage host that sends none may be another one then */
#define SLOW_HEAD_MS     2000  /* less than a first try waits */

/* The way of one want so far. */
struct hops {
    struct url at;
    bool own; /* the exchange that was prepared last goes to the registry itself */
    char *visited[REDIRECTS_MAX + 1];
    unsigned count; /* redirects */
    int64_t started_ms;
    bool has_challenge;
    struct challenge challenge;
    bool token_sent, basic_sent;
    int64_t token_changed_ms;
    unsigned token_rounds;
    char key[TOKEN_KEY_MAX];
};

static struct upstream *
of(struct source *s)
{
    return (struct upstream *)(void *)s;
}

/* ---- prepare ---- */

static struct hops *
start_hops(struct upstream *u, struct want *w, int64_t now_ms)
{
    size_t len = strlen(u->base.text);
    while (len > 0 && u->base.text[len - 1] == '/')
        len--;
    AUTO(mem_free_text)
    char *text =
        mem_printf("%.*s/v2/%s/%s", (int)len, u->base.text, w->origin->repository, w->path);
    struct url at = {0};
    if (url_parse(text, &at) != 0)
        return NULL;
    struct hops *t = mem_zalloc(sizeof *t);
    t->at = at;
    t->started_ms = now_ms;
    w->memo = t;
    const struct challenge *c = upstream_recall(u, w->origin->repository);
    if (c != NULL) {
        t->has_challenge = true;
        t->challenge = *c;
    }
    if (!w->uncounted)
        budget_earn(&u->source.retries);
    return t;
}

static void
forget(struct source *s, struct want *w)
{
    (void)s;
    struct hops *t = w->memo;
    if (t == NULL)
        return;
    url_release(&t->at);
    for (size_t i = 0; i < ARRAY_LEN(t->visited); i++)
        mem_free(t->visited[i]);
    mem_free(t);
    w->memo = NULL;
}

static enum address_rule
rule_for(const struct upstream *u, const struct url *to)
{
    if (u->wildcard)
        return ADDRESS_RULE_PUBLIC;
    if (strcmp(to->host, u->base.host) == 0)
        return ADDRESS_RULE_ANY;
    return u->is_near ? ADDRESS_RULE_NEAR : ADDRESS_RULE_PUBLIC;
}

static void
ask_token(struct upstream *u, struct hops *t, const struct url *realm, int64_t now_ms)
{
    bool listed = realm_listed(u->realms, realm->host);
    struct token_ask how = {
        .challenge = &t->challenge,
        .realm = realm,
        .creds = upstream_credentials(u),
        .rule = listed ? ADDRESS_RULE_ANY : rule_for(u, realm),
        .trust = upstream_trust(u),
        .patient = source_late_ms(&u->source, now_ms) > 0,
    };
    token_ask(u->all->tokens, t->key, &how);
}

/* The realm was checked when the challenge came. */
static int
renew_token(struct upstream *u, struct hops *t, int64_t now_ms, struct err *e)
{
    AUTO(url_release) struct url realm = {0};
    if (url_parse(t->challenge.realm, &realm) != 0)
        return err_set(e, ERR_REFUSED, "token realm is no URL");
    ask_token(u, t, &realm, now_ms);
    return SOURCE_PARK;
}

static int
bring_token(struct upstream *u, struct want *w, int64_t now_ms, struct errand *ret, struct err *e)
{
    struct hops *t = w->memo;
    char registry[UPSTREAM_KEY_MAX + 16];
    (void)upstream_credentials(u);
    must(text_printf(registry, sizeof registry, "%s %u", u->key, u->creds_version) == 0);
    token_key(registry, &t->challenge, t->key, sizeof t->key);
    struct token_look look = token_look(u->all->tokens, t->key, now_ms);
    switch (look.state) {
    case TOKEN_READY:
        ret->bearer = look.text;
        t->token_sent = true;
        t->token_changed_ms = look.changed_ms;
        return 0;
    case TOKEN_ASKING:
        return SOURCE_PARK;
    case TOKEN_FAILED:
        if (look.changed_ms < t->started_ms)
            return renew_token(u, t, now_ms, e);
        if (look.code == ERR_BUSY)
            backoff_wait(&u->source.wait, u->all->rng, now_ms, -1);
        w->refused = look.answered;
        return err_set(e, look.code, "token: %s", err_text(look.code));
    case TOKEN_NONE:
        return renew_token(u, t, now_ms, e);
    }
    never("token state");
}

static int
bring_proof(struct upstream *u, struct want *w, int64_t now_ms, struct errand *ret, struct err *e)
{
    struct hops *t = w->memo;
    if (u->auth == AUTH_PASS) {
        ret->authorization = w->origin->authorization;
        return 0;
    }
    if (t->has_challenge)
        return bring_token(u, w, now_ms, ret, e);
    const struct creds *c = u->wants_basic ? upstream_credentials(u) : NULL;
    if (c != NULL && c->user != NULL) {
        ret->user = c->user;
        ret->password = c->password;
        t->basic_sent = true;
    }
    return 0;
}

static int
prepare(struct source *s, struct want *w, int64_t now_ms, struct errand *ret, struct err *e)
{
    struct upstream *u = of(s);
    if (backoff_active(&s->wait, now_ms))
        return err_set(e, ERR_BUSY, "registry asked to wait");
    struct hops *t = w->memo != NULL ? w->memo : start_hops(u, w, now_ms);
    if (t == NULL)
        return err_set(e, ERR_REFUSED, "not a URL");
    *ret = (struct errand){
        .url = &t->at,
        .head = w->head,
        .accept = w->accept,
        .range = w->ask ? (struct gap){0, CACHE_SIZE_UNKNOWN} : w->gap,
        .rule = rule_for(u, &t->at),
        .trust = upstream_trust(u),
    };
    if (!w->ask && w->gap.start > 0)
        ret->if_range = w->etag;
    t->token_sent = t->basic_sent = false;
    t->own = url_same_origin(&t->at, &u->base);
    int code = t->own ? bring_proof(u, w, now_ms, ret, e) : 0;
    ret->anew = code == 0 && moved_look(&u->moved, t->at.host, now_ms);
    return code;
}

/* ---- judge ---- */

static struct verdict
again(void)
{
    return (struct verdict){.kind = VERDICT_AGAIN};
}

static struct verdict
gone(int code, const char *reason)
{
    return (struct verdict){.kind = VERDICT_GONE, .code = code, .reason = reason};
}

static struct verdict
refuse(const struct upstream *u, const char *reason, const char *host)
{
    LOG(source_refused, LOG_S("registry", u->host), LOG_S("what", reason), LOG_S("host", host));
    return gone(ERR_REFUSED, reason);
}

static struct verdict
follow(struct upstream *u, struct hops *t, const struct head *h)
{
    struct url to = {0};
    if (t->count == REDIRECTS_MAX)
        return refuse(u, "too many redirects", t->at.host);
    if (url_join(&t->at, h->location, &to) != 0)
        return refuse(u, "redirect to no URL that may be followed", t->at.host);
    bool loop = strcmp(to.text, t->at.text) == 0;
    for (unsigned i = 0; i < t->count; i++)
        loop = loop || strcmp(to.text, t->visited[i]) == 0;
    const char *reason = loop ? "redirect loop" : "redirect to plain http";
    if (loop || (!to.tls && u->base.tls)) {
        struct verdict v = refuse(u, reason, to.host);
        url_release(&to);
        return v;
    }
    t->visited[t->count++] = t->at.text;
    t->at = to;
    return again();
}

static struct verdict
denied(const struct want *w, const struct head *h)
{
    return w->ask ? judge_ask(h) : gone(ERR_DENIED, "access denied");
}

static struct verdict
answer_bearer(struct upstream *u, struct want *w, const struct challenge *c, const struct head *h)
{
    struct hops *t = w->memo;
    AUTO(url_release) struct url realm = {0};
    bool fresh = t->token_sent && t->token_changed_ms >= t->started_ms;
    if (fresh || t->token_rounds == TOKEN_ROUNDS_MAX)
        return denied(w, h);
    if (url_parse(c->realm, &realm) != 0)
        return refuse(u, "token realm is no URL that may be asked", u->base.host);
    if (!realm_allowed(&u->base, &realm, u->realms))
        return refuse(u, "token realm", realm.host);
    if (t->token_sent)
        token_drop(u->all->tokens, t->key);
    t->token_rounds++;
    t->has_challenge = true;
    t->challenge = *c;
    upstream_remember(u, w->origin->repository, c);
    return again();
}

static struct verdict
answer_challenge(struct upstream *u, struct want *w, const struct head *h)
{
    struct hops *t = w->memo;
    struct challenge c;
    if (u->auth == AUTH_PASS || challenge_parse(h->challenge, &c) != 0)
        return denied(w, h);
    if (c.kind == CHALLENGE_BEARER)
        return answer_bearer(u, w, &c, h);
    const struct creds *mine = upstream_credentials(u);
    if (c.kind != CHALLENGE_BASIC || t->basic_sent || mine == NULL || mine->user == NULL)
        return denied(w, h);
    u->wants_basic = true;
    t->has_challenge = false;
    return again();
}

static struct verdict
wait_for(struct upstream *u, const struct head *h, int64_t now_ms)
{
    bool waiting = backoff_active(&u->source.wait, now_ms);
    backoff_wait(&u->source.wait, u->all->rng, now_ms, h->retry_after_ms);
    int64_t until_ms = u->source.wait.until_ms;
    health_waits(u->all->health, u->host, now_ms, until_ms);
    if (!waiting)
        LOG(upstream_wait, LOG_S("registry", u->host), LOG_U("status", h->status),
            LOG_U("wait_ms", until_ms - now_ms));
    return (struct verdict){
        .kind = VERDICT_WAIT, .code = ERR_BUSY, .reason = "registry asked to wait"};
}

/* An answer tells at once; one that breaks off later is no sign of a registry that is down. */
static void
note_health(struct upstream *u, const struct head *h, int64_t now_ms)
{
    if (h->status >= 500 && h->status != 501) {
        health_failed(u->all->health, u->host, now_ms);
    } else if (h->status != 429) {
        health_good(u->all->health, u->host, now_ms);
        backoff_good(&u->source.wait);
    }
}

static void
note_ranges(struct upstream *u, int64_t now_ms, int64_t none_until_ms)
{
    health_no_ranges(u->all->health, u->host, now_ms, none_until_ms);
    u->source.no_ranges_until_ms = none_until_ms;
}

/* All of a blob came although a part was asked for, and not because it had changed. */
static bool
ignores_range(struct upstream *u, const struct want *w, const struct head *h, int64_t now_ms)
{
    bool part = w->gap.start > 0 || w->gap.end != CACHE_SIZE_UNKNOWN;
    if (!w->ask && part && h->status == 206) {
        u->source.whole_answers = 0;
        note_ranges(u, now_ms, 0);
    }
    bool changed = w->etag[0] != '\0' && strcmp(w->etag, h->etag) != 0;
    if (w->ask || !part || h->status != 200 || changed)
        return false;
    if (u->source.whole_answers < NO_RANGES_MIN)
        u->source.whole_answers++;
    if (u->source.whole_answers == NO_RANGES_MIN)
        note_ranges(u, now_ms, now_ms + NO_RANGES_MS);
    return w->part_only && w->gap.start > 0;
}

static void
note_late(struct upstream *u, int64_t answer_ms, int64_t now_ms)
{
    struct source *s = &u->source;
    if (answer_ms < SLOW_HEAD_MS)
        return;
    int64_t before_ms = source_late_ms(s, now_ms) * 3 / 4; /* one much later is forgotten */
    s->slow_ms = answer_ms > before_ms ? answer_ms : before_ms;
    s->slow_until_ms = now_ms + HEALTH_SLOW_MS;
    health_slow(u->all->health, u->host, now_ms, s->slow_ms);
}

static struct verdict
judge(struct source *s, struct want *w, const struct exchange *x, int64_t now_ms)
{
    struct upstream *u = of(s);
    struct hops *t = w->memo;
    const struct head *h = &x->head;

    note_health(u, h, now_ms);
    note_late(u, x->answer_ms, now_ms);
    if (judge_is_wait(h))
        return wait_for(u, h, now_ms);
    if (judge_is_redirect(h))
        return follow(u, t, h);
    if (h->status == 401 && t->own)
        return answer_challenge(u, w, h);
    if (!t->own && (h->status == 401 || h->status == 403)) /* a signed URL that has expired */
        return (struct verdict){
            .kind = VERDICT_BROKEN, .code = ERR_UPSTREAM, .reason = "storage host refused"};
    if (ignores_range(u, w, h, now_ms))
        return (struct verdict){.kind = VERDICT_BROKEN,
                                .code = ERR_UPSTREAM,
                                .sent_all = true,
                                .reason = "sends no ranges"};
    return w->ask ? judge_ask(h) : judge_blob(h, &w->gap, w->size);
}

/* ---- afterwards ---- */

static void
ended(struct source *s, struct want *w, const struct exchange *x, int64_t now_ms)
{
    struct upstream *u = of(s);
    const struct hops *t = w->memo;
    int status = x->head.status;

    if (x->stalled)
        metric_add(M_upstream_stalls, 1);
    bool silent = status == 0 && (x->code == ERR_UPSTREAM || x->code == ERR_TIMEOUT);
    moved_note(&u->moved, t->at.host, !silent);
    if (silent)
        health_failed(u->all->health, u->host, now_ms);
    if (t->own && x->peer_ip[0] != '\0' && !x->proxied)
        u->is_near = address_kind_text(x->peer_ip) != ADDRESS_PUBLIC;
    if (x->code == ERR_REFUSED)
        LOG(source_refused, LOG_S("registry", u->host), LOG_S("what", "address"),
            LOG_S("host", t->at.host));
}

const struct source_ops way_ops = {prepare, judge, ended, forget};
