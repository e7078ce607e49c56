/* Log lines: built whole on the stack, then written by one write(2), so that lines of
 * different threads never mix.
 *
 *   2026-01-31T09:00:00.123Z level=info event=drain msg=waiting bytes=17 path="a b"
 *   {"ts":"...","level":"info","event":"drain","msg":"waiting","bytes":17,"path":"a b"}
 *
 * A value is cut at VALUE_MAX; a field that does not fit any more is left out, and the line
 * ends with cut=1. */
#include "base/log.h"
#include "base/clock.h"
#include "base/recent.h"
#include "base/text.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096 /* PIPE_BUF: what a pipe takes in one piece */
#define VALUE_MAX      1024 /* of one value, escaped */
#define TAIL_MAX       16   /* always kept free for the mark of a cut line and its end */

enum keep { ROUTINE, KEPT };

static const struct {
    const char *id, *text;
    enum log_level level;
    enum keep keep;
} events[] = {
#define X(id, level, keep, text) {#id, text, LOG_##level, keep},
#include "base/log.def"
#undef X
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};
/* sd-daemon(3): how journald is told the level. */
static const char *const journal_prefixes[] = {"<3>", "<4>", "<6>", "<7>"};

static _Atomic int level_shown = LOG_INFO;
static _Atomic bool as_json;
static bool to_journal;
static pthread_once_t journal_asked = PTHREAD_ONCE_INIT;

/* systemd.exec(5): stderr is the journal when JOURNAL_STREAM names its device and inode. */
static void
ask_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    char mine[64];
    struct stat st;

    if (stream == NULL || fstat(STDERR_FILENO, &st) < 0)
        return;
    if (text_printf(mine, sizeof(mine), "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev,
                    (uint64_t)st.st_ino) < 0)
        return;
    to_journal = strcmp(mine, stream) == 0;
}

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
    bool full; /* something did not fit since the last look */
};

static void
put_bytes(struct line *l, const char *bytes, size_t len)
{
    if (len > sizeof(l->text) - TAIL_MAX - l->len) {
        l->full = true;
        return;
    }
    memcpy(l->text + l->len, bytes, len);
    l->len += len;
}

static void
put(struct line *l, const char *text)
{
    put_bytes(l, text, strlen(text));
}

static void
put_number(struct line *l, uint64_t number)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%" PRIu64, number);
    put(l, digits);
}

/* JSON has no \x: each byte that is not plain ASCII is shown as the character of its number. */
static void
put_json_value(struct line *l, const char *value)
{
    size_t start = l->len;

    put(l, "\"");
    for (const char *c = value; *c != '\0'; c++) {
        if (l->len - start > VALUE_MAX) {
            put(l, "...");
            break;
        }
        char hex[3];
        if (*c >= 0x20 && *c <= 0x7e && *c != '"' && *c != '\\') {
            put_bytes(l, c, 1);
            continue;
        }
        text_hex(hex, c, 1);
        put(l, "\\u00");
        put(l, hex);
    }
    put(l, "\"");
}

/* Quoted unless it is one plain word. */
static void
put_text_value(struct line *l, const char *value)
{
    char escaped[VALUE_MAX];

    text_escape(escaped, sizeof(escaped), value, strlen(value));
    bool quoted = escaped[0] == '\0' || strpbrk(escaped, " =\\'") != NULL;
    if (quoted)
        put(l, "\"");
    put(l, escaped);
    if (quoted)
        put(l, "\"");
}

static void
put_field(struct line *l, bool json, const struct log_field *f)
{
    if (json) {
        put(l, l->text[l->len - 1] == '{' ? "\"" : ",\"");
        put(l, f->key);
        put(l, "\":");
    } else {
        put(l, " ");
        put(l, f->key);
        put(l, "=");
    }
    if (f->text == NULL) {
        put_number(l, f->number);
    } else if (json) {
        put_json_value(l, f->text);
    } else {
        put_text_value(l, f->text);
    }
}

/* All of the fields that fit, each whole or not at all. */
static void
put_fields(struct line *l, bool json, const struct log_field *fields, size_t count)
{
    bool cut = false;

    for (size_t i = 0; i < count; i++) {
        size_t start = l->len;
        put_field(l, json, &fields[i]);
        if (!l->full)
            continue;
        l->len = start;
        l->full = false;
        cut = true;
    }
    const char *end = json ? (cut ? ",\"cut\":1}\n" : "}\n") : (cut ? " cut=1\n" : "\n");
    size_t len = strlen(end);
    must(len <= sizeof(l->text) - l->len);
    memcpy(l->text + l->len, end, len);
    l->len += len;
}

static void
put_head(struct line *l, bool json, enum log_event event)
{
    char ts[CLOCK_TEXT_MAX];

    clock_wall_text(ts);
    if (to_journal)
        put(l, journal_prefixes[events[event].level]);
    put(l, json ? "{" : ts);
    if (json)
        put_field(l, json, &LOG_S("ts", ts));
    put_field(l, json, &LOG_S("level", level_names[events[event].level]));
    put_field(l, json, &LOG_S("event", events[event].id));
    put_field(l, json, &LOG_S("msg", events[event].text));
}

void
log_configure(enum log_level level, bool json)
{
    atomic_store(&level_shown, (int)level);
    atomic_store(&as_json, json);
}

bool
log_enabled(enum log_event event)
{
    must(event < LOG_EVENTS);
    return (int)events[event].level <= atomic_load(&level_shown);
}

const char *
log_event_name(enum log_event event)
{
    must(event < LOG_EVENTS);
    return events[event].id;
}

const char *
log_event_text(enum log_event event)
{
    must(event < LOG_EVENTS);
    return events[event].text;
}

const char *
log_event_level(enum log_event event)
{
    must(event < LOG_EVENTS);
    return level_names[events[event].level];
}

bool
log_event_kept(enum log_event event)
{
    must(event < LOG_EVENTS);
    return events[event].keep == KEPT;
}

void
log_write(enum log_event event, const struct log_field *fields, size_t count)
{
    struct line l;
    bool json = atomic_load(&as_json);

    recent_note(event, fields, count);
    if (!log_enabled(event))
        return;
    must(pthread_once(&journal_asked, ask_journal) == 0);
    l.len = 0;
    l.full = false;
    put_head(&l, json, event);
    put_fields(&l, json, fields, count);
    /* Nobody could be told that the log is gone, and a log must not stop the daemon. */
    while (write(STDERR_FILENO, l.text, l.len) < 0 && errno == EINTR)
        continue;
}
