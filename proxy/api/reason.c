/* The table of reason.def as answers: what a client is told when it is refused. */
#include "proxy/api/reason.h"
#include "base/text.h"
#include <string.h>

static const struct {
    unsigned status;
    const char *code;
    const char *message;
} table[REASONS] = {
    [REASON_NONE] = {200, "", ""},
#define X(id, status, code, message) [REASON_##id] = {status, code, message},
#include "proxy/api/reason.def"
#undef X
};

unsigned
reason_status(enum reason why)
{
    must(why < REASONS);
    return table[why].status;
}

const char *
reason_text(enum reason why)
{
    must(why < REASONS);
    return table[why].message;
}

size_t
reason_body(enum reason why, char ret_body[REASON_BODY_MAX])
{
    must(why < REASONS);
    must(text_printf(ret_body, REASON_BODY_MAX,
                     "{\"errors\":[{\"code\":\"%s\",\"message\":\"%s\",\"detail\":null}]}\n",
                     table[why].code, table[why].message) == 0);
    return strlen(ret_body);
}
