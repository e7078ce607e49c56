/* One request to a node by an easy handle of its own. */
#include "proxy/upstream/peerfile.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#define PATH_MAX_BYTES (sizeof PIECE_MANIFEST_PATH + DIGEST_TEXT_MAX)
#define URL_MAX_BYTES  (PATH_MAX_BYTES + INET6_ADDRSTRLEN + 32)
#define AUTH_LINE_MAX  (sizeof PIECE_AUTH + 2 + SEAL_TEXT_MAX)
#define LATE_MS        25 /* after its limit, a timeout says nothing of the node */

static int
print_url(const struct node_addr *addr, const char *path, char ret[URL_MAX_BYTES])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char host[INET6_ADDRSTRLEN];
    bool v4 = memcmp(addr->ip, mapped, sizeof mapped) == 0;
    if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? addr->ip + 12 : addr->ip, host, sizeof host))
        return ERR_SYNTAX;
    return text_printf(ret, URL_MAX_BYTES, v4 ? "http://%s:%u%s" : "http://[%s]:%u%s", host,
                       addr->port, path);
}

static int
sign(struct p2p *p, const char *path, struct curl_slist **ret)
{
    char what[PATH_MAX_BYTES + 8];
    char auth[SEAL_TEXT_MAX];
    char line[AUTH_LINE_MAX];
    must(text_printf(what, sizeof what, "GET %s", path) == 0);
    int rc = p2p_sign(p, what, auth);
    if (rc < 0)
        return rc;
    must(text_printf(line, sizeof line, PIECE_AUTH ": %s", auth) == 0);
    *ret = curl_slist_append(NULL, line);
    must(*ret != NULL);
    return 0;
}

static size_t
on_body(char *bytes, size_t one, size_t len, void *arg)
{
    (void)one;
    return buf_add(arg, bytes, len) == 0 ? len : 0;
}

#define SET(option, value) must(curl_easy_setopt(easy, CURLOPT_##option, (value)) == CURLE_OK)

static CURL *
prepare(const char *url, struct curl_slist *lines, int64_t wait_ms, struct buf *body)
{
    CURL *easy = curl_easy_init();
    must(easy != NULL);
    SET(URL, url);
    SET(HTTPHEADER, lines);
    SET(NOSIGNAL, 1L);
    SET(PROTOCOLS_STR, "http");
    SET(PROXY, "");
    SET(FOLLOWLOCATION, 0L);
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(TCP_NODELAY, 1L);
    SET(FORBID_REUSE, 1L);
    SET(USERAGENT, "peersync/" PEERSYNC_VERSION);
    SET(CONNECTTIMEOUT_MS, (long)PEERFILE_CONNECT_MS);
    SET(TIMEOUT_MS, (long)wait_ms);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, body);
    return easy;
}

/* Pure. */
static int
code_of(CURLcode result, long status)
{
    if (result == CURLE_OPERATION_TIMEDOUT)
        return ERR_TIMEOUT;
    if (result == CURLE_WRITE_ERROR)
        return ERR_LIMIT;
    if (result != CURLE_OK)
        return ERR_UPSTREAM;
    switch (status) {
    case 200:
        return 0;
    case 404:
        return ERR_NOT_FOUND;
    case 403:
        return ERR_DENIED;
    case 503:
        return ERR_BUSY;
    default:
        return ERR_UPSTREAM;
    }
}

/* Pure. wait_ms: for all. */
static enum peerfile_met
met_of(CURLcode result, long status, bool connected, long os_errno, int64_t wait_ms,
       int64_t took_ms)
{
    /* A thread that stood still finds a connection timed out that was made meanwhile. */
    bool had_time = wait_ms >= PEERFILE_CONNECT_MS && took_ms < PEERFILE_CONNECT_MS + LATE_MS;
    if (status != 0)
        return PEERFILE_MET;
    if (connected)
        return PEERFILE_MUTE;
    /* Else it is this node that has no descriptor, no route, a firewall. */
    bool refused = result == CURLE_COULDNT_CONNECT && os_errno == ECONNREFUSED;
    return refused || (result == CURLE_OPERATION_TIMEDOUT && had_time) ? PEERFILE_ABSENT
                                                                       : PEERFILE_MUTE;
}

static int
ask(const char *url, struct curl_slist *lines, int64_t deadline_ms, struct buf *body,
    enum peerfile_met *ret_met)
{
    int64_t start_ms = clock_ms(), wait_ms = deadline_ms - start_ms;
    if (wait_ms <= 0)
        return ERR_TIMEOUT;
    CURL *easy = prepare(url, lines, wait_ms, body);
    CURLcode result = curl_easy_perform(easy);
    long status = 0;
    long os_errno = 0;
    curl_off_t connect_us = 0;
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connect_us);
    (void)curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_errno);
    curl_easy_cleanup(easy);
    *ret_met = met_of(result, status, connect_us > 0, os_errno, wait_ms, clock_ms() - start_ms);
    return code_of(result, status);
}

int
peerfile_get(struct p2p *p, const struct node_addr *addr, const struct digest *d,
             int64_t deadline_ms, struct buf *ret, enum peerfile_met *ret_met)
{
    *ret_met = PEERFILE_MUTE;
    char path[PATH_MAX_BYTES];
    char url[URL_MAX_BYTES];
    char digest[DIGEST_TEXT_MAX];
    struct curl_slist *lines = NULL;
    struct digest have;
    digest_print(d, digest);
    must(text_printf(path, sizeof path, PIECE_MANIFEST_PATH "%s", digest) == 0);
    int rc = print_url(addr, path, url);
    rc = rc < 0 ? rc : sign(p, path, &lines);
    if (rc < 0)
        return rc;
    size_t before = ret->len;
    rc = ask(url, lines, deadline_ms, ret, ret_met);
    curl_slist_free_all(lines);
    if (rc == 0) {
        metric_add(M_manifest_peer, 1);
        digest_of((enum digest_alg)d->alg, ret->data + before, ret->len - before, &have);
        rc = digest_equal(&have, d) ? 0 : ERR_DIGEST;
    }
    if (rc < 0)
        buf_cut(ret, before);
    return rc;
}
