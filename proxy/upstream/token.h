/*
 * Bearer tokens of registries: kept in memory until shortly before they expire, one request
 * at a time for each key, never logged.
 *
 *   NONE --token_ask--> ASKING --> READY --expiry, token_drop--> NONE
 *                         +------> FAILED --token_ask--> ASKING
 *
 * Fetch thread only.
 */
#ifndef PROXY_TOKEN_H
#define PROXY_TOKEN_H

#include "proxy/upstream/challenge.h"
#include "proxy/upstream/creds.h"
#include "proxy/upstream/exchange.h"

#define TOKENS_MAX     1024  /* the oldest one goes first */
#define TOKEN_TEXT_MAX 16384 /* longer ones would not fit into a registry's header limit */

struct tokens;

enum token_state { TOKEN_NONE, TOKEN_ASKING, TOKEN_READY, TOKEN_FAILED };

struct token_look {
    enum token_state state;
    const char *text;   /* READY; valid until the next call here */
    int64_t changed_ms; /* when it became READY or FAILED */
    int code;           /* FAILED: ERR_DENIED (401, 403), ERR_BUSY (429) or ERR_UPSTREAM, ... */
    bool answered;      /* FAILED: the realm gave an answer */
};

struct tokens *tokens_new(struct wire *w);
void tokens_free(struct tokens *t); /* NULL is fine */

/* `registry` tells apart registries and credentials that share a realm. */
void token_key(const char *registry, const struct challenge *c, char *ret, size_t cap);
#define TOKEN_KEY_MAX 2048

struct token_look token_look(struct tokens *t, const char *key, int64_t now_ms);
/* Starts a request unless one runs. `creds` may be NULL (anonymous). */
struct token_ask {
    const struct challenge *challenge;
    const struct url *realm; /* checked by the caller */
    const struct creds *creds;
    enum address_rule rule;
    struct trust_more trust;
    bool patient; /* it may take long to answer, as after a request that failed */
};
void token_ask(struct tokens *t, const char *key, const struct token_ask *how);
/* The registry did not accept it. */
void token_drop(struct tokens *t, const char *key);
void tokens_step(struct tokens *t, int64_t now_ms);

/* Pure: an answer's token and for how long it is good. 0, ERR_SYNTAX, ERR_LIMIT. */
CHECKED int token_parse(const char *json, size_t len, char **ret_token, int64_t *ret_good_ms);

#endif
