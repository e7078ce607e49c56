/* One small question to the registry of a request. */
#ifndef PROXY_ASK_H
#define PROXY_ASK_H

#include "proxy/api/request.h"

struct question {
    bool head;
    const char *path;
    const char *accept;
    size_t body_max;
    int64_t wait_ms_max; /* 0: until the deadline of the request */
    enum reason unknown; /* what 404 means here */
};

/* REASON_NONE only for status 200; then ret must be released. REASON_upstream when there was
 * no usable answer, REASON_denied for 401 and 403, REASON_challenge when the client may answer
 * upstream's challenge itself (kept in the request). Then ret->status, too, is what upstream gave.
 */
CHECKED enum reason ask_upstream(struct request *r, const struct question *q, struct answer *ret);
/* It said no to HEAD in a way that says nothing about GET: some registries and what stands before
 * them know no HEAD. `a` as the failed ask_upstream left it, all zero before. */
bool ask_head_only(const struct answer *a);
/* For question.wait_ms_max; has_answer: there is one for the case that upstream is silent. */
int64_t ask_wait_ms(struct request *r, bool has_answer);
/* Pure: how long who has an answer waits for upstream: not much when it was silent a moment ago,
 * else twice as long as it was late lately, and as long as any first byte may take. */
int64_t ask_stale_wait_ms(bool failing, int64_t late_ms);
/* "manifests/TAG", "blobs/sha256:...", for question.path. */
#define ASK_PATH_MAX 192
void ask_path(const char *endpoint, const struct ref *ref, char ret_path[ASK_PATH_MAX]);

#endif
