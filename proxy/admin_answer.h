/* What the admin API answers to a request. No HTTP library here. */
#ifndef PROXY_ADMIN_ANSWER_H
#define PROXY_ADMIN_ANSWER_H

#include "proxy/report.h"

struct admin_request {
    const char *method;
    const char *path;
    const char *(*query)(void *arg, const char *name); /* raw value or NULL */
    void *arg;
};

struct admin_answer {
    unsigned status;
    const char *type;   /* static */
    const char *allow;  /* static; of a 405 */
    const char *policy; /* static; Content-Security-Policy of a page */
    char *body;         /* caller frees with mem_free */
};

void admin_answer(const struct report *r, const struct admin_request *q, struct admin_answer *ret);
/* {"error": "why"} */
void admin_answer_error(unsigned status, const char *why, struct admin_answer *ret);

#endif
