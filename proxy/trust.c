/* Certificate stores for libcurl with OpenSSL. */
#include "proxy/trust.h"
#include "base/fs.h"
#include "base/text.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#define CA_CACHE_S 600L /* how long libcurl keeps a parsed bundle */

#define SET(option, value) must(curl_easy_setopt(easy, CURLOPT_##option, (value)) == CURLE_OK)

/* OpenSSL finds an authority by a link named by a hash and a number: 02265526.0 */
static int
is_hashed(void *arg, const char *name)
{
    (void)arg;
    return text_ends(name, ".0") ? 1 : 0;
}

static bool
has_hashed_names(const char *path)
{
    AUTO(fd_close) int fd = -1;
    return path != NULL && fs_open_dir(path, false, &fd) == 0 && fs_each(fd, is_hashed, NULL) == 1;
}

void
trust_find(struct trust *ret)
{
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    bool hashed = has_hashed_names(info->capath);
    *ret = (struct trust){
        .folder = hashed ? info->capath : NULL,
        .bundle = hashed ? NULL : info->cainfo,
    };
}

static void
set_default(const struct trust *t, CURL *easy)
{
    SET(CAPATH, t->folder);
    SET(CAINFO, t->bundle);
    SET(CA_CACHE_TIMEOUT, CA_CACHE_S);
}

int
trust_open_store(const struct trust *t, const char *pem_path, X509_STORE **ret, struct err *e)
{
    X509_STORE *store = X509_STORE_new();
    must(store != NULL);
    bool good = (t->folder == NULL || X509_STORE_load_path(store, t->folder) == 1) &&
                (t->bundle == NULL || X509_STORE_load_file(store, t->bundle) == 1);
    if (good && X509_STORE_load_file(store, pem_path) == 1) {
        must(X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN));
        *ret = store;
        return 0;
    }
    X509_STORE_free(store);
    ERR_clear_error();
    return err_set(e, -EINVAL, "%s: expected certificates in PEM form", good ? pem_path : "system");
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

void
trust_set(const struct trust *t, const struct trust_more *more, CURL *easy)
{
    if (more->store == NULL) {
        set_default(t, easy);
        return;
    }
    SET(CAPATH, NULL);
    SET(CAINFO, more->pem_path);
    SET(CA_CACHE_TIMEOUT, 0L);
    SET(SSL_CTX_FUNCTION, use_store);
    SET(SSL_CTX_DATA, more->store);
}
