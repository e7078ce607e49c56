/* Pulls in words, for the table of cases and for the command line:
 *
 *   nodes=16 size=3M,40M wan=100M lan=1G rtt=20 crippled=4 wan@8000=200 tracker@12000
 *
 * Sizes are in bytes (K, M: 1024, 1024^2), rates in bit/s (M, G: 10^6, 10^9), times in ms.
 * KIND@TIME[=A[,B]] is a mishap; the limits are in thousandths and ms. */
#include "tests/sim/pulls.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 160

enum unit { COUNT, RATE, TIME, YES };
static const struct key {
    const char *name;
    enum unit unit;
    size_t at;
} keys[] = {
    {"sites", COUNT, offsetof(struct pulls_case, sites)},
    {"nodes", COUNT, offsetof(struct pulls_case, nodes)},
    {"wan", RATE, offsetof(struct pulls_case, wan)},
    {"lan", RATE, offsetof(struct pulls_case, lan)},
    {"registry", RATE, offsetof(struct pulls_case, registry)},
    {"rtt", TIME, offsetof(struct pulls_case, rtt_ms)},
    {"between", TIME, offsetof(struct pulls_case, between_ms)},
    {"loss", COUNT, offsetof(struct pulls_case, loss_permille)},
    {"warm", COUNT, offsetof(struct pulls_case, warm)},
    {"warm-sites", COUNT, offsetof(struct pulls_case, warm_sites)},
    {"crippled", COUNT, offsetof(struct pulls_case, crippled)},
    {"thinner", COUNT, offsetof(struct pulls_case, thinner)},
    {"liars", COUNT, offsetof(struct pulls_case, liars)},
    {"garbage", COUNT, offsetof(struct pulls_case, garbage)},
    {"flips", COUNT, offsetof(struct pulls_case, flips)},
    {"forged", COUNT, offsetof(struct pulls_case, forged)},
    {"withhold", COUNT, offsetof(struct pulls_case, withhold)},
    {"closed", COUNT, offsetof(struct pulls_case, closed)},
    {"hung", COUNT, offsetof(struct pulls_case, hung)},
    {"slow", COUNT, offsetof(struct pulls_case, slow)},
    {"port", RATE, offsetof(struct pulls_case, port)},
    {"spread", TIME, offsetof(struct pulls_case, spread_ms)},
    {"late", TIME, offsetof(struct pulls_case, late_ms)},
    {"varies", COUNT, offsetof(struct pulls_case, varies)},
    {"varies-most", COUNT, offsetof(struct pulls_case, varies_most)},
    {"varies-within", TIME, offsetof(struct pulls_case, varies_ms)},
    {"queue", TIME, offsetof(struct pulls_case, queue_ms)},
    {"unfair", YES, offsetof(struct pulls_case, unfair)},
    {"cold", YES, offsetof(struct pulls_case, cold)},
    {"max-ratio", COUNT, offsetof(struct pulls_case, ratio_max_permille)},
    {"max-wan", COUNT, offsetof(struct pulls_case, wan_max_permille)},
    {"max-first", TIME, offsetof(struct pulls_case, first_max_ms)},
    {"max-stall", TIME, offsetof(struct pulls_case, stall_max_ms)},
    {"misses", YES, offsetof(struct pulls_case, misses)},
};
static const char *const mishap_names[PULLS_KINDS] = {
    [PULLS_DIES] = "dies",      [PULLS_TRACKER_DIES] = "tracker",
    [PULLS_PAIR_DIES] = "pair", [PULLS_SHARE_DIES] = "some",
    [PULLS_WAN] = "wan",        [PULLS_PARTS] = "parts",
    [PULLS_MEETS] = "meets",    [PULLS_DISK_FULL] = "full",
    [PULLS_STOPS] = "stops",    [PULLS_DEAF] = "deaf",
    [PULLS_MUTE] = "mute",
};

/* A number and its suffix in units of `thousand`; moves *text behind it. False: none is there. */
static bool
number(const char **text, uint64_t thousand, uint64_t *ret)
{
    char *end;
    unsigned long long n = strtoull(*text, &end, 0);
    if (end == *text)
        return false;
    const char *suffixes = "KMG", *s = *end != '\0' ? strchr(suffixes, *end) : NULL;
    for (const char *i = suffixes; s != NULL && i <= s; i++)
        n *= thousand;
    *text = end + (s != NULL);
    *ret = n;
    return true;
}

static bool
read_sizes(const char *text, struct pulls_case *c)
{
    memset(c->sizes, 0, sizeof c->sizes);
    for (unsigned b = 0; b < PULLS_BLOBS; b++) {
        if (!number(&text, 1024, &c->sizes[b]) || c->sizes[b] == 0)
            return false;
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
    return false;
}

static bool
read_mishap(const char *word, const char *at, struct pulls_case *c)
{
    unsigned i = 0, kind = 1;
    uint64_t ms, a = PULLS_ALL, b = 0;
    while (i < PULLS_MISHAPS && c->mishaps[i].kind != PULLS_NONE)
        i++;
    while (kind < PULLS_KINDS && (strlen(mishap_names[kind]) != (size_t)(at - word) ||
                                  strncmp(mishap_names[kind], word, (size_t)(at - word)) != 0))
        kind++;
    at++;
    if (i == PULLS_MISHAPS || kind == PULLS_KINDS || !number(&at, 1000, &ms))
        return false;
    if (*at == '=' && (at++, !number(&at, 1000, kind == PULLS_WAN ? &b : &a)))
        return false;
    if (*at == ',' && (at++, !number(&at, 1000, kind == PULLS_WAN ? &a : &b)))
        return false;
    if (kind == PULLS_TRACKER_DIES || kind == PULLS_PAIR_DIES)
        a = a == PULLS_ALL ? 0 : a;
    c->mishaps[i] =
        (struct pulls_mishap){(int64_t)ms, (enum pulls_mishap_kind)kind, (uint32_t)a, (uint32_t)b};
    return *at == '\0';
}

static void
set(struct pulls_case *c, const struct key *k, uint64_t n)
{
    void *field = (char *)c + k->at;
    switch (k->unit) {
    case COUNT:
        *(unsigned *)field = (unsigned)n;
        break;
    case RATE:
        *(uint64_t *)field = n / 8;
        break;
    case TIME:
        *(int64_t *)field = (int64_t)n;
        break;
    case YES:
        *(bool *)field = n != 0;
        break;
    }
}

static uint64_t
get(const struct pulls_case *c, const struct key *k)
{
    const void *field = (const char *)c + k->at;
    switch (k->unit) {
    case COUNT:
        return *(const unsigned *)field;
    case RATE:
        return *(const uint64_t *)field * 8;
    case TIME:
        return (uint64_t) * (const int64_t *)field;
    case YES:
        return *(const bool *)field;
    }
    return 0;
}

static bool
read_word(const char *word, struct pulls_case *c)
{
    const char *is = strchr(word, '='), *at = strchr(word, '@');
    uint64_t n;
    if (at != NULL)
        return read_mishap(word, at, c);
    if (is == NULL)
        return false;
    if (strncmp(word, "size=", 5) == 0)
        return read_sizes(is + 1, c);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        size_t len = strlen(keys[i].name);
        if (len != (size_t)(is - word) || strncmp(word, keys[i].name, len) != 0)
            continue;
        is++;
        if (!number(&is, 1000, &n) || *is != '\0')
            return false;
        set(c, &keys[i], n);
        return true;
    }
    return false;
}

/* Words that say nothing, or the contrary of each other, without another one. */
static bool
fit(const struct pulls_case *c)
{
    unsigned most = c->varies_most > 0 ? c->varies_most : 1000;
    if (c->varies > 0 && c->varies_ms <= 0)
        (void)fprintf(stderr, "sim: varies=%u needs varies-within=MS, the time between rates\n",
                      c->varies);
    else if (c->varies > most)
        (void)fprintf(stderr, "sim: varies=%u is at most varies-most, which is %u\n", c->varies,
                      most);
    else
        return true;
    return false;
}

bool
words_read(const char *words, struct pulls_case *c)
{
    for (const char *at = words + strspn(words, " "); *at != '\0'; at += strspn(at, " ")) {
        char word[WORD_MAX];
        size_t len = strcspn(at, " ");
        if (len < sizeof word) {
            memcpy(word, at, len);
            word[len] = '\0';
        }
        if (len >= sizeof word || !read_word(word, c)) {
            (void)fprintf(stderr, "sim: what is %.*s?\n", (int)len, at);
            return false;
        }
        at += len;
    }
    return fit(c);
}

void
words_print(const struct pulls_case *c, uint64_t keep)
{
    for (unsigned b = 0; b < PULLS_BLOBS && c->sizes[b] > 0; b++)
        (void)printf("%s%llu", b == 0 ? "size=" : ",", (unsigned long long)c->sizes[b]);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (get(c, &keys[i]) != 0)
            (void)printf(" %s=%llu", keys[i].name, (unsigned long long)get(c, &keys[i]));
    for (unsigned i = 0; i < PULLS_MISHAPS; i++) {
        const struct pulls_mishap *m = &c->mishaps[i];
        if (m->kind == PULLS_NONE || (keep >> i & 1) == 0)
            continue;
        bool wan = m->kind == PULLS_WAN;
        (void)printf(" %s@%lld=%u,%u", mishap_names[m->kind], (long long)m->at_ms,
                     wan ? m->b : m->a, wan ? m->a : m->b);
    }
}
