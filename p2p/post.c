/* Control requests on one curl multi handle. */
#include "p2p/post.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/text.h"
#include "p2p/packed.h"
#include "p2p/wire.h"

#define CONNECT_WAIT_MS 500
#define MSG_MAX         (SEAL_HEAD + WIRE_CONTROL_MAX + SEAL_MAC)

struct letter {
    bool answered;
    size_t len;
    uint8_t *msg; /* with room for the seal around the body */
};

enum line_state { LINE_IDLE, LINE_RUNS, LINE_OVER };

struct line {
    struct node_id to; /* none: free */
    struct node_addr addr;
    uint64_t used; /* order of use */
    enum line_state state;
    CURL *easy;
    struct letter running; /* while not idle */
    size_t waiting_count;
    struct letter waiting[POST_WAITING_MAX];
    struct buf reply;
    bool heard; /* the answer came whole, with status 200 */
    bool reads; /* the node undoes packed bodies, as its last answer said */
};

struct post {
    struct sealer *sealer;
    CURLM *multi;
    struct curl_slist *headers;
    uint64_t uses;
    struct buf room; /* the last answer, when it was packed */
    struct line lines[POST_LINES_MAX];
};

/* ---- letters ---- */

static void
letter_drop(struct letter *l)
{
    mem_free(l->msg);
    *l = (struct letter){.msg = NULL};
}

static struct letter
waiting_take(struct line *l)
{
    must(l->waiting_count > 0);
    struct letter first = l->waiting[0];
    l->waiting_count--;
    memmove(l->waiting, l->waiting + 1, l->waiting_count * sizeof *l->waiting);
    return first;
}

/* ---- lines ---- */

static size_t
on_body(char *bytes, size_t one, size_t len, void *arg)
{
    struct line *l = arg;
    return buf_add(&l->reply, bytes, one * len) < 0 ? 0 : one * len;
}

static void
set_up(struct post *p, struct line *l)
{
    l->easy = curl_easy_init();
    must(l->easy != NULL);
    (void)curl_easy_setopt(l->easy, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(l->easy, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(l->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(l->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(l->easy, CURLOPT_HTTPHEADER, p->headers);
    (void)curl_easy_setopt(l->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_WAIT_MS);
    (void)curl_easy_setopt(l->easy, CURLOPT_TIMEOUT_MS, (long)POST_WAIT_MS);
    (void)curl_easy_setopt(l->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(l->easy, CURLOPT_WRITEDATA, l);
    (void)curl_easy_setopt(l->easy, CURLOPT_PRIVATE, l);
    (void)curl_easy_setopt(l->easy, CURLOPT_POST, 1L);
}

/* As the body goes over the wire; the message may move. */
static void
pack(const struct line *l, struct letter *m)
{
    AUTO(buf_release) struct buf packed;
    buf_init(&packed, WIRE_CONTROL_MAX);
    packed_close(m->msg + SEAL_HEAD, m->len, l->reads, &packed);
    if (packed.len < m->len)
        metric_add(M_saved_control, m->len - packed.len);
    m->len = packed.len;
    m->msg = mem_realloc(m->msg, SEAL_HEAD + m->len + SEAL_MAC);
    if (m->len > 0)
        memcpy(m->msg + SEAL_HEAD, packed.data, m->len);
}

static void
start(struct post *p, struct line *l)
{
    char at[ADDR_TEXT_MAX], url[ADDR_TEXT_MAX + 32];
    l->running = waiting_take(l);
    struct letter *m = &l->running;
    pack(l, m);
    size_t len = sealer_close(p->sealer, SEAL_REQUEST, m->msg, m->len);
    addr_print(&l->addr, at);
    if (text_printf(url, sizeof url, "http://%s" POST_PATH, at) < 0)
        never("an address longer than any");
    if (l->easy == NULL)
        set_up(p, l);
    (void)curl_easy_setopt(l->easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(l->easy, CURLOPT_POSTFIELDS, (const char *)m->msg);
    (void)curl_easy_setopt(l->easy, CURLOPT_POSTFIELDSIZE, (long)len);
    buf_clear(&l->reply);
    l->heard = false;
    l->state = LINE_RUNS;
    must(curl_multi_add_handle(p->multi, l->easy) == CURLM_OK);
}

static void
end(struct post *p, struct line *l)
{
    if (l->state == LINE_RUNS)
        (void)curl_multi_remove_handle(p->multi, l->easy);
    letter_drop(&l->running);
    l->state = LINE_IDLE;
}

static void
line_release(struct post *p, struct line *l)
{
    end(p, l);
    for (size_t i = 0; i < l->waiting_count; i++)
        letter_drop(&l->waiting[i]);
    l->waiting_count = 0;
    l->to = node_none;
    l->reads = false;
    buf_clear(&l->reply);
}

/* The line of that node; or a free one; or the one that was not used for longest. */
static struct line *
line_for(struct post *p, const struct node_id *to)
{
    struct line *best = &p->lines[0];
    for (size_t i = 0; i < POST_LINES_MAX; i++) {
        struct line *l = &p->lines[i];
        if (node_equal(&l->to, to))
            return l;
        if (l->used < best->used)
            best = l;
    }
    line_release(p, best);
    best->to = *to;
    return best;
}

/* ---- outside ---- */

int
post_open(struct sealer *sealer, struct post **ret, struct err *e)
{
    struct post *p = mem_zalloc(sizeof *p);
    must(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); /* counted */
    p->sealer = sealer;
    buf_init(&p->room, WIRE_CONTROL_MAX);
    for (size_t i = 0; i < POST_LINES_MAX; i++)
        buf_init(&p->lines[i].reply, MSG_MAX);
    p->multi = curl_multi_init();
    /* No "Expect: 100-continue": a body of ours is small, and the wait would be a second. */
    p->headers = curl_slist_append(NULL, "Expect:");
    struct curl_slist *more =
        p->headers != NULL ? curl_slist_append(p->headers, "Content-Type: application/octet-stream")
                           : NULL;
    if (p->multi == NULL || more == NULL) {
        post_close(p);
        return err_set(e, ERR_LIMIT, "p2p: curl_multi_init failed");
    }
    (void)curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, (long)POST_LINES_MAX);
    *ret = p;
    return 0;
}

void
post_close(struct post *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < POST_LINES_MAX; i++) {
        line_release(p, &p->lines[i]);
        buf_release(&p->lines[i].reply);
        curl_easy_cleanup(p->lines[i].easy);
    }
    if (p->multi != NULL)
        (void)curl_multi_cleanup(p->multi);
    curl_slist_free_all(p->headers);
    buf_release(&p->room);
    mem_free(p);
    curl_global_cleanup();
}

CURLM *
post_multi(struct post *p)
{
    return p->multi;
}

void
post_send(struct post *p, const struct node_id *to, const struct node_addr *addr,
          const uint8_t *body, size_t len, bool answered)
{
    must(len <= WIRE_CONTROL_MAX);
    struct line *l = line_for(p, to);
    l->addr = *addr;
    l->used = ++p->uses;
    if (l->waiting_count == POST_WAITING_MAX) {
        struct letter oldest = waiting_take(l);
        letter_drop(&oldest);
        metric_add(M_p2p_control_lost, 1);
    }
    struct letter *m = &l->waiting[l->waiting_count++];
    *m = (struct letter){answered, len, mem_alloc(SEAL_HEAD + len + SEAL_MAC)};
    memcpy(m->msg + SEAL_HEAD, body, len);
    if (l->state == LINE_IDLE)
        start(p, l);
}

static void
take_ended(struct post *p)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(p->multi, &left)) != NULL;) {
        struct line *l = NULL;
        long status = 0;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode code = m->data.result;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&l);
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_multi_remove_handle(p->multi, m->easy_handle);
        must(l != NULL && l->state == LINE_RUNS);
        l->state = LINE_OVER;
        l->heard = code == CURLE_OK && status == 200;
        metric_add(l->heard ? M_p2p_control_heard : M_p2p_control_lost, 1);
        if (!l->heard || !l->running.answered)
            end(p, l);
    }
}

void
post_turn(struct post *p)
{
    int running;
    (void)curl_multi_perform(p->multi, &running);
    take_ended(p);
    bool started = false;
    for (size_t i = 0; i < POST_LINES_MAX; i++) {
        struct line *l = &p->lines[i];
        if (l->state == LINE_IDLE && l->waiting_count > 0) {
            start(p, l);
            started = true;
        }
    }
    if (started)
        (void)curl_multi_perform(p->multi, &running);
}

bool
post_next(struct post *p, const uint8_t **ret_body, size_t *ret_len)
{
    for (size_t i = 0; i < POST_LINES_MAX; i++) {
        struct line *l = &p->lines[i];
        struct seal_head head;
        char from[ADDR_TEXT_MAX];
        if (l->state != LINE_OVER)
            continue;
        end(p, l);
        addr_print_host(&l->addr, from);
        const uint8_t *msg = (const uint8_t *)buf_text(&l->reply);
        if (sealer_open(p->sealer, SEAL_REPLY, msg, l->reply.len, from, &head) < 0 ||
            !node_equal(&head.sender, &l->to))
            continue; /* what was said is said again */
        if (packed_open(msg + SEAL_HEAD, head.len, &p->room, ret_body, ret_len, &l->reads) == 0)
            return true;
    }
    return false;
}
