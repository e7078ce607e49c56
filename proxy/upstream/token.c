/* The token requests: GET with Basic or nothing, POST with a refresh token. */
#include "proxy/upstream/token.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/text.h"
#include <openssl/crypto.h>
#include <string.h>

#define ANSWER_MAX       (64 * 1024)
#define TOKEN_GOOD_S     60 /* when the answer does not say */
#define TOKEN_GOOD_S_MAX 86400
#define TOKEN_WAIT_MS    2500  /* connect to head; below the time for a blob's first byte */
#define TOKEN_HEARD_MS   20000 /* the same when it took the request: for whom asks next, if late */

struct token {
    char *key;
    enum token_state state;
    char *text;
    int64_t changed_ms, expires_ms;
    int code;
    bool answered;
    struct exchange exchange;
    struct buf body;
    UT_hash_handle hh;
};

struct tokens {
    struct wire *wire;
    struct token *all; /* oldest first */
};

static int
on_head(struct exchange *x)
{
    return x->head.status == 200 ? 0 : 1;
}

static int
on_body(struct exchange *x, const char *bytes, size_t len)
{
    struct token *t = x->owner;
    return buf_add(&t->body, bytes, len);
}

static const struct exchange_ops ops = {on_head, on_body};

static void
wipe_text(struct token *t)
{
    if (t->text != NULL)
        OPENSSL_cleanse(t->text, strlen(t->text));
    mem_free_text(&t->text);
}

static void
wipe_body(struct token *t)
{
    if (t->body.data != NULL)
        OPENSSL_cleanse(t->body.data, t->body.len);
    buf_release(&t->body);
}

static void
free_token(struct tokens *ts, struct token *t)
{
    HASH_DEL(ts->all, t);
    exchange_stop(&t->exchange);
    wipe_text(t);
    wipe_body(t);
    mem_free(t->key);
    mem_free(t);
}

struct tokens *
tokens_new(struct wire *w)
{
    struct tokens *t = mem_zalloc(sizeof *t);
    t->wire = w;
    return t;
}

void
tokens_free(struct tokens *t)
{
    if (t == NULL)
        return;
    while (t->all != NULL)
        free_token(t, t->all);
    mem_free(t);
}

void
token_key(const char *registry, const struct challenge *c, char *ret, size_t cap)
{
    /* Bounds: registry 600, realm 512, service 256, scope 512; none holds a line feed. */
    must(text_printf(ret, cap, "%.600s\n%s\n%s\n%s", registry, c->realm, c->service, c->scope) ==
         0);
}

static struct token *
find(struct tokens *ts, const char *key)
{
    struct token *t = NULL;
    HASH_FIND_STR(ts->all, key, t);
    return t;
}

struct token_look
token_look(struct tokens *ts, const char *key, int64_t now_ms)
{
    struct token *t = find(ts, key);
    if (t == NULL)
        return (struct token_look){.state = TOKEN_NONE};
    if (t->state == TOKEN_READY && now_ms >= t->expires_ms) {
        wipe_text(t);
        t->state = TOKEN_NONE;
    }
    return (struct token_look){t->state, t->text, t->changed_ms, t->code, t->answered};
}

void
token_drop(struct tokens *ts, const char *key)
{
    struct token *t = find(ts, key);
    if (t == NULL || t->state != TOKEN_READY)
        return;
    wipe_text(t);
    t->state = TOKEN_NONE;
}

static void
make_room(struct tokens *ts)
{
    for (struct token *t = ts->all; t != NULL && HASH_COUNT(ts->all) >= TOKENS_MAX;) {
        struct token *next = t->hh.next;
        if (t->state != TOKEN_ASKING)
            free_token(ts, t);
        t = next;
    }
}

static struct token *
add(struct tokens *ts, const char *key)
{
    make_room(ts);
    struct token *t = mem_zalloc(sizeof *t);
    t->key = mem_strdup(key);
    t->exchange.ops = &ops;
    t->exchange.owner = t;
    buf_init(&t->body, ANSWER_MAX);
    HASH_ADD_KEYPTR(hh, ts->all, t->key, strlen(t->key), t);
    return t;
}

/* ---- the request ---- */

static int
add_param(struct buf *b, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return 0;
    char *escaped = curl_easy_escape(NULL, value, 0);
    must(escaped != NULL);
    int code = buf_printf(b, "%s%s=%s", b->len > 0 ? "&" : "", name, escaped);
    curl_free(escaped);
    return code;
}

static int
build_query(struct buf *b, const struct token_ask *how)
{
    int code = add_param(b, "service", how->challenge->service);
    if (code == 0)
        code = add_param(b, "scope", how->challenge->scope);
    if (how->creds != NULL && how->creds->identity != NULL) {
        if (code == 0)
            code = add_param(b, "grant_type", "refresh_token");
        if (code == 0)
            code = add_param(b, "client_id", "peersync");
        if (code == 0)
            code = add_param(b, "refresh_token", how->creds->identity);
    }
    return code;
}

static int
target(const struct token_ask *how, const char *query, struct url *ret)
{
    AUTO(mem_free_text)
    char *text = mem_printf("%s%c%s", how->realm->text,
                            strchr(how->realm->text, '?') != NULL ? '&' : '?', query);
    return url_parse(text, ret);
}

static void
fail(struct token *t, int code, int64_t now_ms)
{
    t->state = TOKEN_FAILED;
    t->answered = t->exchange.head.status != 0;
    t->code = code;
    t->changed_ms = now_ms;
}

static int
start(struct tokens *ts, struct token *t, const struct token_ask *how)
{
    struct buf query;
    buf_init(&query, TOKEN_TEXT_MAX * 4);
    AUTO(url_release) struct url url = {0};
    bool post = how->creds != NULL && how->creds->identity != NULL;
    bool patient = how->patient || t->state == TOKEN_FAILED;
    int code = build_query(&query, how);
    if (code == 0)
        code = post ? url_parse(how->realm->text, &url) : target(how, buf_text(&query), &url);
    struct errand what = {
        .url = &url,
        .form = post ? buf_text(&query) : NULL,
        .accept = "application/json",
        .range = {0, CACHE_SIZE_UNKNOWN},
        .rule = how->rule,
        .trust = how->trust,
        .anew = t->state == TOKEN_FAILED,
        .head_wait_ms = TOKEN_WAIT_MS,
        .heard_wait_ms = patient ? TOKEN_HEARD_MS : 0,
    };
    if (how->creds != NULL && !post) {
        what.user = how->creds->user;
        what.password = how->creds->password;
    }
    if (code == 0)
        code = exchange_start(&t->exchange, ts->wire, &what);
    if (query.data != NULL)
        OPENSSL_cleanse(query.data, query.len);
    buf_release(&query);
    return code;
}

void
token_ask(struct tokens *ts, const char *key, const struct token_ask *how)
{
    struct token *t = find(ts, key);
    if (t == NULL)
        t = add(ts, key);
    if (t->state == TOKEN_ASKING)
        return;
    wipe_text(t);
    wipe_body(t);
    metric_add(M_token_requests, 1);
    int code = start(ts, t, how);
    if (code == 0)
        t->state = TOKEN_ASKING;
    else
        fail(t, code, clock_ms());
}

/* ---- the answer ---- */

int
token_parse(const char *json, size_t len, char **ret_token, int64_t *ret_good_ms)
{
    AUTO(json_free) cJSON *doc = NULL;
    int code = json_parse(json, len, &doc);
    if (code != 0)
        return code;
    const char *text = json_text(doc, "token");
    if (text == NULL || text[0] == '\0')
        text = json_text(doc, "access_token");
    if (text == NULL || text[0] == '\0' || !url_is_clean(text))
        return ERR_SYNTAX;
    if (strlen(text) > TOKEN_TEXT_MAX)
        return ERR_LIMIT;
    uint64_t good_s = TOKEN_GOOD_S;
    if (json_u64(doc, "expires_in", &good_s) != 0 || good_s == 0)
        good_s = TOKEN_GOOD_S;
    if (good_s > TOKEN_GOOD_S_MAX)
        good_s = TOKEN_GOOD_S_MAX;
    *ret_token = mem_strdup(text);
    *ret_good_ms = (int64_t)good_s * 900; /* a tenth less than promised */
    return 0;
}

static int
code_of(const struct exchange *x)
{
    int status = x->head.status;
    if (x->code == ERR_REFUSED || x->code == ERR_TIMEOUT)
        return x->code;
    if (status == 429)
        return ERR_BUSY;
    if (status >= 400 && status < 500)
        return ERR_DENIED;
    return x->code == 0 && status == 200 ? 0 : ERR_UPSTREAM;
}

static void
take_answer(struct token *t, int64_t now_ms)
{
    const struct exchange *x = &t->exchange;
    int64_t good_ms = 0;
    int code = code_of(x);
    if (code == 0 && token_parse(buf_text(&t->body), t->body.len, &t->text, &good_ms) != 0)
        code = ERR_UPSTREAM;
    if (code == 0) {
        t->state = TOKEN_READY;
        t->changed_ms = now_ms;
        t->expires_ms = now_ms + good_ms;
    } else {
        LOG(upstream_failed, LOG_S("what", "token"), LOG_U("status", x->head.status),
            LOG_S("error", x->code != 0 ? x->err.text : err_text(code)));
        fail(t, code, now_ms);
    }
    wipe_body(t);
    exchange_stop(&t->exchange);
}

void
tokens_step(struct tokens *ts, int64_t now_ms)
{
    for (struct token *t = ts->all; t != NULL; t = t->hh.next) {
        if (t->state != TOKEN_ASKING)
            continue;
        exchange_step(&t->exchange, now_ms);
        if (t->exchange.phase == EXCHANGE_DONE)
            take_answer(t, now_ms);
    }
}
