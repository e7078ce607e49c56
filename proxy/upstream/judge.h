/* What the head of an answer to a blob request means. Pure. */
#ifndef PROXY_JUDGE_H
#define PROXY_JUDGE_H

#include "proxy/upstream/source.h"

/* For answers that are neither a redirect, nor a 401 that a token may cure, nor a request to wait.
 * `asked` is the gap that the request named; `size` what is known. */
struct verdict judge_blob(const struct head *h, const struct gap *asked, uint64_t size);
/* The same for small answers: any status below 500 is an answer. */
struct verdict judge_ask(const struct head *h);
bool judge_is_redirect(const struct head *h);
/* 429, or 503 that says when to come back. */
bool judge_is_wait(const struct head *h);

#endif
