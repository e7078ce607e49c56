/* Certificate stores for libcurl with OpenSSL. */
#include "proxy/upstream/trust.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define SET(option, value) must(curl_easy_setopt(easy, CURLOPT_##option, (value)) == CURLE_OK)

void
trust_open(struct trust *t)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    *t = (struct trust){.folder = info->capath};
    reread_init(&t->bundle, info->cainfo != NULL ? info->cainfo : "");
}

void
trust_close(struct trust *t)
{
    trust_close_store(&t->store);
    reread_release(&t->bundle);
}

/* A folder that is not there adds nothing. */
static X509_STORE *
new_store(const struct trust *t)
{
    X509_STORE *store = X509_STORE_new();
    must(store != NULL);
    if (t->folder != NULL)
        (void)X509_STORE_load_path(store, t->folder);
    must(X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN) == 1);
    return store;
}

void
trust_look(struct trust *t)
{
    bool changed = false;
    struct err e = {0};
    int code = t->bundle.path[0] != '\0' ? reread_look(&t->bundle, &changed, &e) : 0;
    buf_release(&t->bundle.text); /* OpenSSL reads the file itself */
    if (t->store != NULL && (code != 0 || !changed))
        return;
    trust_close_store(&t->store);
    t->store = new_store(t);
    if (code == 0 && t->bundle.path[0] != '\0') /* one that cannot be parsed adds nothing */
        (void)X509_STORE_load_file(t->store, t->bundle.path);
    ERR_clear_error();
    t->version++;
}

/* The parsed bundle again, by reference. */
static void
add_known(const struct trust *t, X509_STORE *store)
{
    const STACK_OF(X509_OBJECT) *known = X509_STORE_get0_objects(t->store);
    for (int i = 0; i < sk_X509_OBJECT_num(known); i++) {
        X509 *one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(known, i));
        if (one != NULL)
            must(X509_STORE_add_cert(store, one) == 1);
    }
}

int
trust_open_store(const struct trust *t, const char *pem_path, X509_STORE **ret, struct err *e)
{
    must(t->store != NULL);
    X509_STORE *store = new_store(t);
    add_known(t, store);
    if (X509_STORE_load_file(store, pem_path) != 1) {
        X509_STORE_free(store);
        ERR_clear_error();
        return err_set(e, -EINVAL, "%s: expected certificates in PEM form", pem_path);
    }
    *ret = store;
    return 0;
}

void
trust_close_store(X509_STORE **store)
{
    X509_STORE_free(*store);
    *store = NULL;
}

static CURLcode
use_store(CURL *easy, void *ssl_ctx, void *store)
{
    (void)easy;
    SSL_CTX_set1_cert_store(ssl_ctx, store);
    return CURLE_OK;
}

X509_STORE *
trust_set(struct trust *t, const struct trust_more *more, CURL *easy)
{
    X509_STORE *store = more->store;
    if (store == NULL) {
        trust_look(t);
        store = t->store;
    }
    SET(CAPATH, NULL);
    SET(CAINFO, more->store != NULL ? more->pem_path : NULL);
    SET(CA_CACHE_TIMEOUT, 0L);
    SET(SSL_CTX_FUNCTION, use_store);
    SET(SSL_CTX_DATA, store);
    must(X509_STORE_up_ref(store) == 1);
    return store;
}
