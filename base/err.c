/* The texts of errors and the sentence that grows on the way up. */
#include "base/err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const texts[] = {
#define X(name, text) text,
#include "base/err.def"
#undef X
};

#define OS_CODE_MIN (-4095) /* the kernel's largest errno */

const char *
err_text(int code)
{
    const char *text = NULL;

    if (code == 0)
        return "no error";
    if (code > ERR_FIRST && code <= ERR_FIRST + (int)ARRAY_LEN(texts))
        return texts[code - ERR_FIRST - 1];
    if (code < 0 && code >= OS_CODE_MIN)
        text = strerrordesc_np(-code);
    return text != NULL ? text : "unknown error";
}

/* Formats aside first, since the arguments may point into e->text. */
PRINTF(4, 0)
static void
set_text(struct err *e, int code, const char *tail, const char *fmt, va_list args)
{
    char head[sizeof(e->text)];
    char whole[sizeof(e->text)];

    (void)vsnprintf(head, sizeof(head), fmt, args);
    size_t len = strnlen(head, sizeof(head));
    memcpy(whole, head, len + 1);
    if (tail != NULL && len + 2 < sizeof(whole)) {
        size_t more = strnlen(tail, sizeof(whole) - len - 3);
        memcpy(whole + len, ": ", 2);
        memcpy(whole + len + 2, tail, more);
        whole[len + 2 + more] = '\0';
    }
    e->code = code;
    memcpy(e->text, whole, sizeof(whole));
}

int
err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list args;

    must(code < 0);
    if (e == NULL)
        return code;
    va_start(args, fmt);
    set_text(e, code, NULL, fmt, args);
    va_end(args);
    return code;
}

int
err_errno(struct err *e, const char *fmt, ...)
{
    int code = -errno;
    va_list args;

    must(code < 0);
    if (e == NULL)
        return code;
    va_start(args, fmt);
    set_text(e, code, err_text(code), fmt, args);
    va_end(args);
    return code;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
    va_list args;

    if (e == NULL)
        return 0;
    va_start(args, fmt);
    set_text(e, e->code, e->text, fmt, args);
    va_end(args);
    return e->code;
}
