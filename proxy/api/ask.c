/* Turns an answer of upstream into what it means for a request. */
#include "proxy/api/ask.h"
#include "base/clock.h"
#include "base/text.h"

#define ANSWER_MARGIN_MS 250 /* of the deadline, to send our own answer in time */
#define FAILING_WAIT_MS  1000

/* Pure. `may_pass`: the registry is one whose challenges go to the client. */
static enum reason
read_status(int status, bool may_pass, bool challenged, enum reason unknown)
{
    if (status == 200)
        return REASON_NONE;
    if (status == 404)
        return unknown;
    if (status == 401 && may_pass && challenged)
        return REASON_challenge;
    if (status == 401 || status == 403)
        return REASON_denied;
    return REASON_upstream;
}

enum reason
ask_upstream(struct request *r, const struct question *q, struct answer *ret)
{
    struct ask ask = {
        .head = q->head,
        .path = q->path,
        .accept = q->accept,
        .heard_deadline_ms = request_deadline_ms(r) - ANSWER_MARGIN_MS,
        .body_max = q->body_max,
        .stop = &r->rooms->closing,
    };
    int64_t now_ms = clock_ms();
    if (q->wait_ms_max > 0 && now_ms + q->wait_ms_max < ask.heard_deadline_ms)
        ask.heard_deadline_ms = now_ms + q->wait_ms_max;
    ask.deadline_ms = now_ms + FIRST_BYTE_MS - ANSWER_MARGIN_MS;
    if (ask.heard_deadline_ms < ask.deadline_ms)
        ask.deadline_ms = ask.heard_deadline_ms;
    struct err e = {0};
    if (fetch_ask(r->rooms->fetch, &r->origin, &ask, ret, &e) < 0)
        return REASON_upstream;
    bool may_pass = r->origin.registry->auth == AUTH_PASS;
    enum reason why = read_status(ret->status, may_pass, ret->challenge[0] != 0, q->unknown);
    if (why == REASON_challenge)
        must(text_copy(r->challenge, sizeof r->challenge, ret->challenge) == 0);
    if (why)
        answer_release(ret);
    return why;
}

bool
ask_head_only(const struct answer *a)
{
    int s = a->status;
    return s == 400 || s == 403 || s == 404 || s == 405 || s == 501;
}

int64_t
ask_stale_wait_ms(bool failing, int64_t late_ms)
{
    int64_t least_ms = FIRST_BYTE_MS - ANSWER_MARGIN_MS;
    if (failing)
        return FAILING_WAIT_MS;
    return 2 * late_ms > least_ms ? 2 * late_ms : least_ms;
}

int64_t
ask_wait_ms(struct request *r, bool has_answer)
{
    const char *host = r->origin.host;
    if (!has_answer)
        return 0;
    return ask_stale_wait_ms(fetch_is_failing(r->rooms->fetch, host),
                             fetch_late_ms(r->rooms->fetch, host));
}

void
ask_path(const char *endpoint, const struct ref *ref, char ret_path[ASK_PATH_MAX])
{
    char text[REF_TEXT_MAX];
    ref_print(ref, text);
    must(text_printf(ret_path, ASK_PATH_MAX, "%s/%s", endpoint, text) == 0);
}
