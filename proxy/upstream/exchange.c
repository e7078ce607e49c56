/* The curl side of a request: options, callbacks, deadlines. */
#include "proxy/upstream/exchange.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/text.h"
#include "proxy/upstream/fetch.h"
#include "proxy/upstream/url.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define RECEIVE_BYTES    65536 /* CURLOPT_BUFFERSIZE: keeps transfers and wake-ups timely */
#define DRAIN_BYTES_MAX  65536 /* a body that nobody wants is read away up to here */
#define IDLE_CONNECTIONS 64    /* kept open for the next request */

/* ---- wire ---- */

void
wire_wake_at(struct wire *w, int64_t at_ms)
{
    if (at_ms < w->wake_ms)
        w->wake_ms = at_ms;
}

int
wire_open(struct wire *w, struct err *e)
{
    *w = (struct wire){.wake_ms = INT64_MAX};
    proxyenv_read(&w->env);
    trust_open(&w->trust);
    w->multi = curl_multi_init();
    if (w->multi == NULL)
        return err_set(e, ERR_UPSTREAM, "curl_multi_init failed");
    (void)curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
    return 0;
}

void
wire_close(struct wire *w)
{
    if (w->multi != NULL)
        (void)curl_multi_cleanup(w->multi);
    proxyenv_release(&w->env);
    trust_close(&w->trust);
    *w = (struct wire){0};
}

/* ---- the end ---- */

static void
count_class(const struct exchange *x)
{
    int status = x->head.status;
    if (x->to_peer)
        return;
    if (status == 429)
        metric_add(M_upstream_requests_429, 1);
    else if (status >= 500)
        metric_add(M_upstream_requests_5xx, 1);
    else if (status >= 400)
        metric_add(M_upstream_requests_4xx, 1);
    else if (status >= 300)
        metric_add(M_upstream_requests_3xx, 1);
    else if (status >= 200)
        metric_add(M_upstream_requests_ok, 1);
    else
        metric_add(M_upstream_requests_failed, 1);
}

static void
drop_handle(struct exchange *x)
{
    if (x->easy != NULL) {
        (void)curl_multi_remove_handle(x->wire->multi, x->easy);
        curl_easy_cleanup(x->easy);
    }
    curl_slist_free_all(x->lines);
    curl_slist_free_all(x->forgotten);
    trust_close_store(&x->store);
    x->easy = NULL;
    x->lines = x->forgotten = NULL;
}

static void
finish(struct exchange *x, int code, const char *text)
{
    drop_handle(x);
    count_class(x);
    x->phase = EXCHANGE_DONE;
    x->code = code;
    if (code != 0)
        (void)err_set(&x->err, code, "%s", text[0] != '\0' ? text : err_text(code));
}

static int
code_of(const struct exchange *x, CURLcode result)
{
    if (x->verdict != 0)
        return x->verdict;
    if (result == CURLE_OK || x->enough)
        return 0;
    if (x->refused > 0 && x->admitted == 0)
        return ERR_REFUSED;
    if (result == CURLE_OPERATION_TIMEDOUT)
        return ERR_TIMEOUT;
    return ERR_UPSTREAM;
}

static void
finish_by_curl(struct exchange *x, CURLcode result)
{
    int code = code_of(x, result);
    const char *text = "";
    if (code == ERR_UPSTREAM)
        text = x->curl_text[0] != '\0' ? x->curl_text : curl_easy_strerror(result);
    else if (code == ERR_REFUSED)
        text = "address refused by policy";
    char copy[CURL_ERROR_SIZE];
    (void)!text_printf(copy, sizeof copy, "%s", text);
    if (code == 0 && x->phase == EXCHANGE_HEAD) {
        code = ERR_UPSTREAM;
        (void)!text_copy(copy, sizeof copy, "no answer");
    }
    finish(x, code, copy);
}

void
wire_perform(struct wire *w)
{
    int running = 0;
    int64_t now_ms = clock_ms();
    if (now_ms - w->looked_ms > FROZEN_MS)
        w->frozen_ms = now_ms;
    w->looked_ms = now_ms;
    w->came_bytes = 0;
    (void)curl_multi_perform(w->multi, &running);
    int left = 0;
    for (CURLMsg *m = NULL; (m = curl_multi_info_read(w->multi, &left)) != NULL;) {
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode result = m->data.result;
        char *owner = NULL;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &owner);
        finish_by_curl((struct exchange *)(void *)owner, result);
    }
}

/* ---- callbacks ---- */

static void
head_complete(struct exchange *x)
{
    x->phase = EXCHANGE_BODY;
    x->last_byte_ms = clock_ms();
    if (x->wire->frozen_ms <= x->sent_ms)
        x->answer_ms = x->last_byte_ms - x->sent_ms;
    int said = x->head.bad ? ERR_UPSTREAM : x->ops->head(x);
    x->draining = said == 1;
    if (said < 0)
        x->verdict = said;
}

static size_t
on_header(char *line, size_t one, size_t len, void *arg)
{
    struct exchange *x = arg;
    (void)one;
    if (x->phase != EXCHANGE_HEAD) /* trailers */
        return len;
    bool blank = len > 0 && (line[0] == '\r' || line[0] == '\n');
    if (!blank)
        head_line(&x->head, line, len, clock_wall_s());
    else if (x->head.status >= 200)
        head_complete(x);
    return x->verdict == 0 ? len : 0;
}

/* Curl brings what it could not get rid of once more, perhaps with more behind it. */
static bool
may_go(struct exchange *x, size_t len)
{
    struct throttle *t = &x->wire->throttle;
    if (!x->limited || len <= x->booked)
        return true;
    int64_t wait_ms = throttle_book(t, len - x->booked, clock_us());
    x->booked = len;
    x->held_rate = t->rate;
    x->held_until_ms = wait_ms > 0 ? clock_ms() + wait_ms : 0;
    return wait_ms == 0;
}

static size_t
on_body(char *bytes, size_t one, size_t len, void *arg)
{
    struct exchange *x = arg;
    (void)one;
    x->last_byte_ms = clock_ms();
    x->wire->came_bytes += len;
    if (x->draining) {
        x->drained += len;
        x->enough = x->drained > DRAIN_BYTES_MAX;
        return x->enough ? 0 : len;
    }
    int said = may_go(x, len) ? x->ops->body(x, bytes, len) : ERR_AGAIN;
    if (said == ERR_AGAIN) {
        x->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    x->booked = 0;
    if (said == 0)
        return len;
    if (said == 1)
        x->enough = true;
    else
        x->verdict = said;
    return 0;
}

static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct exchange *x = arg;
    (void)purpose;
    if (!x->proxied && !address_allowed(address_kind(&to->addr), x->rule)) {
        x->refused++;
        return CURL_SOCKET_BAD;
    }
    x->admitted++;
    curl_socket_t fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    unsigned unheard_ms = UNHEARD_MS;
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unheard_ms, sizeof unheard_ms);
    return fd;
}

/* Sees reused connections as well, before a request goes out on them. */
static int
on_connected(void *arg, char *peer_ip, char *own_ip, // NOLINT(readability-non-const-parameter)
             int peer_port, int own_port)
{
    struct exchange *x = arg;
    (void)own_ip;
    (void)peer_port;
    (void)own_port;
    x->sent_ms = clock_ms();
    if (text_copy(x->peer_ip, sizeof x->peer_ip, peer_ip) != 0)
        return CURL_PREREQFUNC_ABORT;
    if (x->proxied || address_allowed(address_kind_text(peer_ip), x->rule))
        return CURL_PREREQFUNC_OK;
    x->verdict = ERR_REFUSED;
    return CURL_PREREQFUNC_ABORT;
}

/* ---- the start ---- */

static void
add_line(struct exchange *x, const char *name, const char *value)
{
    char line[4096 + 64];
    if (value == NULL || value[0] == '\0')
        return;
    if (!url_is_clean(value) || text_printf(line, sizeof line, "%s: %s", name, value) != 0) {
        x->verdict = ERR_REFUSED;
        return;
    }
    struct curl_slist *longer = curl_slist_append(x->lines, line);
    must(longer != NULL);
    x->lines = longer;
}

#define SET(option, value) must(curl_easy_setopt(x->easy, CURLOPT_##option, (value)) == CURLE_OK)

static void
set_common(struct exchange *x)
{
    SET(PRIVATE, x);
    SET(ERRORBUFFER, x->curl_text);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); /* a slow resolver must not hold up the thread when we leave */
    SET(PROTOCOLS_STR, "http,https");
    SET(FOLLOWLOCATION, 0L);
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(SOCKS5_AUTH, CURLAUTH_BASIC); /* Kerberos is not in the container image */
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(TCP_NODELAY, 1L);
    SET(BUFFERSIZE, (long)RECEIVE_BYTES);
    SET(USERAGENT, "peersync/" PEERSYNC_VERSION);
    SET(SUPPRESS_CONNECT_HEADERS, 1L);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, x);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, x);
    SET(OPENSOCKETFUNCTION, on_open_socket);
    SET(OPENSOCKETDATA, x);
    SET(PREREQFUNCTION, on_connected);
    SET(PREREQDATA, x);
}

static void
set_credentials(struct exchange *x, const struct errand *what)
{
    if (what->user != NULL) {
        SET(HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(USERNAME, what->user);
        SET(PASSWORD, what->password);
    } else if (what->bearer != NULL) {
        if (!url_is_clean(what->bearer))
            x->verdict = ERR_REFUSED;
        SET(HTTPAUTH, (long)CURLAUTH_BEARER);
        SET(XOAUTH2_BEARER, what->bearer);
    }
    add_line(x, "Authorization", what->authorization);
}

static void
set_range(struct exchange *x, const struct gap *range)
{
    char text[64];
    if (range->start == 0 && range->end == CACHE_SIZE_UNKNOWN)
        return;
    int code = range->end == CACHE_SIZE_UNKNOWN
                   ? text_printf(text, sizeof text, "%llu-", (unsigned long long)range->start)
                   : text_printf(text, sizeof text, "%llu-%llu", (unsigned long long)range->start,
                                 (unsigned long long)range->end - 1);
    must(code == 0);
    SET(RANGE, text);
}

/* Curl keeps an address for a minute, also of a host that has moved. */
static void
forget_address(struct exchange *x, const struct url *url)
{
    char line[URL_HOST_MAX + 16];
    must(text_printf(line, sizeof line, "-%s:%u", url->host, url->port) == 0);
    x->forgotten = curl_slist_append(NULL, line);
    must(x->forgotten != NULL);
    SET(RESOLVE, x->forgotten);
}

static void
set_route(struct exchange *x, const struct errand *what)
{
    const char *proxy = what->to_peer ? "" : proxyenv_for(&x->wire->env, what->url);
    x->proxied = proxy[0] != '\0';
    SET(PROXY, proxy);
    SET(NOPROXY, ""); /* proxyenv has decided */
    SET(URL, what->url->text);
    if (what->anew && !x->proxied && !url_is_literal(what->url))
        forget_address(x, what->url);
    if (what->url->tls || x->proxied)
        x->store = trust_set(&x->wire->trust, &what->trust, x->easy);
}

static void
set_request(struct exchange *x, const struct errand *what)
{
    add_line(x, "Accept", what->accept != NULL ? what->accept : "*/*");
    add_line(x, "Accept-Encoding", "identity");
    add_line(x, "If-Range", what->if_range);
    for (size_t i = 0; i < ARRAY_LEN(what->more) && what->more[i].name != NULL; i++)
        add_line(x, what->more[i].name, what->more[i].value);
    set_credentials(x, what);
    set_range(x, &what->range);
    if (what->connect_wait_ms > 0)
        SET(CONNECTTIMEOUT_MS, (long)what->connect_wait_ms);
    if (what->head)
        SET(NOBODY, 1L);
    if (what->form != NULL)
        SET(COPYPOSTFIELDS, what->form);
    SET(HTTPHEADER, x->lines);
}

int
exchange_start(struct exchange *x, struct wire *w, const struct errand *what)
{
    must(x->phase == EXCHANGE_IDLE || x->phase == EXCHANGE_DONE);
    must(x->easy == NULL);
    const struct exchange_ops *ops = x->ops;
    void *owner = x->owner;
    memset(x, 0, sizeof *x);
    x->ops = ops;
    x->owner = owner;
    x->wire = w;
    x->rule = what->rule;
    x->to_peer = what->to_peer;
    x->limited = what->limited;
    head_clear(&x->head);
    x->easy = curl_easy_init();
    must(x->easy != NULL);
    set_common(x);
    set_route(x, what);
    set_request(x, what);
    if (x->verdict != 0) {
        drop_handle(x);
        return ERR_REFUSED;
    }
    x->started_us = clock_us();
    x->head_deadline_ms = clock_ms() + what->head_wait_ms;
    x->heard_deadline_ms = clock_ms() + what->heard_wait_ms;
    x->stall_ms = what->stall_ms > 0 ? what->stall_ms : STALL_MS;
    x->phase = EXCHANGE_HEAD;
    must(curl_multi_add_handle(w->multi, x->easy) == CURLM_OK);
    return 0;
}

/* ---- while it runs ---- */

/* What the owner says within it ends the exchange here: curl forgets it. */
static void
go_on(struct exchange *x)
{
    x->paused = false;
    x->held_until_ms = 0;
    x->last_byte_ms = clock_ms();
    CURLcode result = curl_easy_pause(x->easy, CURLPAUSE_CONT);
    if (result == CURLE_OK)
        return;
    finish_by_curl(x, result);
    wire_wake_at(x->wire, 0); /* for the owner to see it */
}

bool
exchange_is_held(const struct exchange *x)
{
    return x->phase == EXCHANGE_BODY && x->held_until_ms > 0;
}

/* Its turn has come, or the old rate counts no more. */
static void
step_held(struct exchange *x, int64_t now_ms)
{
    if (now_ms >= x->held_until_ms || x->held_rate != x->wire->throttle.rate)
        go_on(x);
    if (exchange_is_held(x))
        wire_wake_at(x->wire, x->held_until_ms);
}

bool
exchange_awaits_head(const struct exchange *x)
{
    return x->phase == EXCHANGE_HEAD && x->peer_ip[0] != '\0';
}

void
exchange_await_until(struct exchange *x, int64_t until_ms)
{
    x->heard_deadline_ms = until_ms;
}

static int64_t
head_deadline(const struct exchange *x)
{
    bool heard = exchange_awaits_head(x) && x->heard_deadline_ms > x->head_deadline_ms;
    return heard ? x->heard_deadline_ms : x->head_deadline_ms;
}

/* A disk that holds up this thread must not look like a registry that says nothing: only the
 * silence up to curl's last look counts. */
void
exchange_step(struct exchange *x, int64_t now_ms)
{
    if (exchange_is_held(x))
        step_held(x, now_ms);
    int64_t seen_ms = x->wire->looked_ms < now_ms ? x->wire->looked_ms : now_ms;
    if (x->phase == EXCHANGE_HEAD) {
        if (seen_ms >= head_deadline(x))
            finish(x, ERR_TIMEOUT,
                   x->peer_ip[0] != '\0' ? "no answer in time" : "no connection in time");
        else
            wire_wake_at(x->wire, head_deadline(x));
    } else if (x->phase == EXCHANGE_BODY && !x->paused) {
        if (seen_ms - x->last_byte_ms >= x->stall_ms) {
            x->stalled = true;
            finish(x, ERR_TIMEOUT, "no byte in time");
        } else {
            wire_wake_at(x->wire, x->last_byte_ms + x->stall_ms);
        }
    }
}

void
exchange_resume(struct exchange *x)
{
    if (x->paused && !exchange_is_held(x))
        go_on(x);
}

void
exchange_stop(struct exchange *x)
{
    if (x->phase == EXCHANGE_HEAD || x->phase == EXCHANGE_BODY) {
        drop_handle(x);
        count_class(x);
    }
    x->phase = EXCHANGE_IDLE;
}
