/* Digests: their text form, and hashing through OpenSSL's EVP. */
#include "base/digest.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define RATE_BYTES (256u << 10)
#define RATE_TRIES 3

static const struct {
    const char *name; /* in "name:hex" */
    const char *evp_name;
    size_t len;
} algs[] = {
    [DIGEST_SHA256] = {"sha256", "SHA256", 32},
    [DIGEST_SHA512] = {"sha512", "SHA512", 64},
};

/* Fetched once, since OpenSSL 3 searches its providers each time; never freed. */
static EVP_MD *fetched[ARRAY_LEN(algs)];
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void
fetch_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        fetched[i] = EVP_MD_fetch(NULL, algs[i].evp_name, NULL);
        must(fetched[i] != NULL);
    }
}

static const EVP_MD *
evp_of(enum digest_alg alg)
{
    must((size_t)alg < ARRAY_LEN(algs));
    must(pthread_once(&fetched_once, fetch_all) == 0);
    return fetched[alg];
}

int
digest_parse(const char *text, size_t len, struct digest *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        size_t name_len = strlen(algs[i].name);
        struct digest d = {.alg = (uint32_t)i};
        if (len != name_len + 1 + 2 * algs[i].len || memcmp(text, algs[i].name, name_len) != 0 ||
            text[name_len] != ':')
            continue;
        int rc = text_unhex(d.bytes, text + name_len + 1, 2 * algs[i].len);
        if (rc < 0)
            return rc;
        *ret = d;
        return 0;
    }
    return ERR_SYNTAX;
}

void
digest_print(const struct digest *d, char ret_text[DIGEST_TEXT_MAX])
{
    size_t name_len = strlen(digest_alg_name(d));

    memcpy(ret_text, digest_alg_name(d), name_len);
    ret_text[name_len] = ':';
    text_hex(ret_text + name_len + 1, d->bytes, digest_len(d));
}

void
digest_hex(const struct digest *d, char ret_hex[129])
{
    text_hex(ret_hex, d->bytes, digest_len(d));
}

const char *
digest_alg_name(const struct digest *d)
{
    must(d->alg < ARRAY_LEN(algs));
    return algs[d->alg].name;
}

size_t
digest_len(const struct digest *d)
{
    must(d->alg < ARRAY_LEN(algs));
    return algs[d->alg].len;
}

bool
digest_equal(const struct digest *a, const struct digest *b)
{
    return a->alg == b->alg && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void
digest_of(enum digest_alg alg, const void *bytes, size_t len, struct digest *ret)
{
    struct digest d = {.alg = alg};

    must(EVP_Digest(bytes, len, d.bytes, NULL, evp_of(alg), NULL) == 1);
    *ret = d;
}

static int64_t
own_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

uint64_t
digest_rate(void)
{
    uint8_t *bytes = mem_zalloc(RATE_BYTES);
    struct digest d;
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < RATE_TRIES; i++) { /* the first warms up */
        int64_t begun_ns = own_ns();
        digest_of(DIGEST_SHA256, bytes, RATE_BYTES, &d);
        int64_t took_ns = own_ns() - begun_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
    }
    mem_free(bytes);
    return (uint64_t)RATE_BYTES * 1000000000 / (uint64_t)(best_ns > 0 ? best_ns : 1);
}

struct digester {
    EVP_MD_CTX *ctx;
    enum digest_alg alg;
    bool finished;
};

static struct digester *
blank(enum digest_alg alg)
{
    struct digester *d = mem_zalloc(sizeof(*d));

    d->alg = alg;
    d->ctx = EVP_MD_CTX_new();
    must(d->ctx != NULL);
    return d;
}

struct digester *
digester_new(enum digest_alg alg)
{
    struct digester *d = blank(alg);

    must(EVP_DigestInit_ex2(d->ctx, evp_of(alg), NULL) == 1);
    return d;
}

struct digester *
digester_copy(const struct digester *d)
{
    must(!d->finished);
    struct digester *copy = blank(d->alg);

    must(EVP_MD_CTX_copy_ex(copy->ctx, d->ctx) == 1);
    return copy;
}

void
digester_add(struct digester *d, const void *bytes, size_t len)
{
    must(!d->finished);
    must(EVP_DigestUpdate(d->ctx, bytes, len) == 1);
}

void
digester_finish(struct digester *d, struct digest *ret)
{
    struct digest got = {.alg = d->alg};

    must(!d->finished);
    must(EVP_DigestFinal_ex(d->ctx, got.bytes, NULL) == 1);
    d->finished = true;
    *ret = got;
}

void
digester_free(struct digester *d)
{
    if (d == NULL)
        return;
    EVP_MD_CTX_free(d->ctx);
    mem_free(d);
}
