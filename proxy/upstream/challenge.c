/*
 * A challenge list in one pass. The comma separates parameters and challenges alike:
 *
 *   Bearer realm="https://a/t",service="r" , Basic realm="x"
 *   scheme param               param         scheme param
 *
 * A word followed by "=" is a parameter of the scheme before it; any other word starts the
 * next challenge.
 */
#include "proxy/upstream/challenge.h"
#include "base/err.h"
#include "base/text.h"
#include "proxy/upstream/url.h"
#include <ctype.h>
#include <string.h>

struct reader {
    const char *at;
    bool in_scheme; /* a scheme was read: parameters may follow */
    bool bad;
};

static void
skip_spaces(struct reader *r)
{
    r->at += strspn(r->at, " \t");
}

static bool
is_token_char(char c)
{
    return c != '\0' && (isalnum((unsigned char)c) || strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static size_t
token_len(const char *s)
{
    size_t len = 0;
    while (is_token_char(s[len]))
        len++;
    return len;
}

static void
read_quoted(struct reader *r, char *ret, size_t cap)
{
    size_t len = 0;
    for (r->at++; *r->at != '"'; r->at++) {
        if (*r->at == '\\')
            r->at++;
        if (*r->at == '\0' || len + 1 >= cap) {
            r->bad = true;
            return;
        }
        ret[len++] = *r->at;
    }
    r->at++;
    ret[len] = '\0';
}

static void
read_value(struct reader *r, char *ret, size_t cap)
{
    if (*r->at == '"') {
        read_quoted(r, ret, cap);
        return;
    }
    size_t len = token_len(r->at);
    if (len == 0 || len >= cap) {
        r->bad = true;
        return;
    }
    memcpy(ret, r->at, len);
    ret[len] = '\0';
    r->at += len;
}

static bool
word_is(const char *word, size_t len, const char *name)
{
    char text[16];
    if (len >= sizeof text)
        return false;
    memcpy(text, word, len);
    text[len] = '\0';
    return text_equal_nocase(text, name);
}

/* A repeated parameter is an error: nobody knows which one other parsers would take. */
static void
read_param(struct reader *r, const char *name, size_t len, struct challenge *c)
{
    char value[1024];
    read_value(r, value, sizeof value);
    if (r->bad)
        return;
    static const char *const names[] = {"realm", "service", "scope", "error"};
    char *const places[] = {c->realm, c->service, c->scope, c->error};
    const size_t caps[] = {sizeof c->realm, sizeof c->service, sizeof c->scope, sizeof c->error};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (word_is(name, len, names[i]))
            r->bad = places[i][0] != '\0' || text_copy(places[i], caps[i], value) != 0;
}

static void
keep_better(struct challenge *best, const struct challenge *c)
{
    if (c->kind == CHALLENGE_BEARER && c->realm[0] == '\0')
        return;
    if (c->kind > best->kind)
        *best = *c;
}

static void
start_scheme(struct reader *r, size_t len, struct challenge *c)
{
    *c = (struct challenge){0};
    r->in_scheme = true;
    if (word_is(r->at, len, "bearer"))
        c->kind = CHALLENGE_BEARER;
    else if (word_is(r->at, len, "basic"))
        c->kind = CHALLENGE_BASIC;
    r->at += len;
    skip_spaces(r);
    /* token68 of schemes such as Negotiate: one opaque word that ends the challenge. */
    size_t opaque = strspn(r->at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789-._~+/");
    size_t pads = strspn(r->at + opaque, "=");
    size_t end = opaque + pads + strspn(r->at + opaque + pads, " \t");
    if (opaque > 0 && (r->at[end] == ',' || r->at[end] == '\0'))
        r->at += end;
}

static void
read_item(struct reader *r, struct challenge *c, struct challenge *best)
{
    size_t len = token_len(r->at);
    if (len == 0) {
        r->bad = true;
        return;
    }
    const char *word = r->at;
    const char *behind = word + len + strspn(word + len, " \t");
    if (*behind == '=') {
        r->at = behind + 1;
        skip_spaces(r);
        r->bad = !r->in_scheme;
        if (!r->bad)
            read_param(r, word, len, c);
        return;
    }
    keep_better(best, c);
    start_scheme(r, len, c);
}

int
challenge_parse(const char *text, struct challenge *ret)
{
    struct reader r = {.at = text};
    struct challenge current = {0};
    struct challenge best = {0};

    if (strlen(text) >= CHALLENGE_TEXT_MAX || !url_is_clean(text))
        return ERR_SYNTAX;
    for (;;) {
        r.at += strspn(r.at, " \t,");
        if (*r.at == '\0')
            break;
        read_item(&r, &current, &best);
        if (r.bad)
            return ERR_SYNTAX;
    }
    if (!r.in_scheme)
        return ERR_SYNTAX;
    keep_better(&best, &current);
    *ret = best;
    return 0;
}
