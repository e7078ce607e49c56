/* Log lines to stderr: key=value text or JSON, one line each, RFC 3339 in UTC.
 * An event is one line of log.def; fields are escaped here, so callers may pass
 * bytes from the network. Secrets are never passed. Any thread.
 *
 *   LOG(blob_failed, LOG_S("digest", text), LOG_U("bytes", n), LOG_S("error", e.text));
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/must.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum log_event {
#define X(id, level, keep, text) LOG_EV_##id,
#include "base/log.def"
#undef X
    LOG_EVENTS
};

struct log_field {
    const char *key;
    const char *text; /* NULL: number */
    uint64_t number;
};
#define LOG_S(key, text)   ((struct log_field){(key), (text), 0})
#define LOG_U(key, number) ((struct log_field){(key), NULL, (uint64_t)(number)})

#define LOG(id, ...)                                                \
    log_write(LOG_EV_##id, (const struct log_field[]){__VA_ARGS__}, \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/* An event without fields: LOG_PLAIN(drain). */
#define LOG_PLAIN(id) log_write(LOG_EV_##id, NULL, 0)

/* Before and after: info, text. Any thread at any time. */
void log_configure(enum log_level level, bool json);
void log_write(enum log_event event, const struct log_field *fields, size_t count);
bool log_enabled(enum log_event event);
/* What log.def says of it; static texts. */
const char *log_event_name(enum log_event event);
const char *log_event_text(enum log_event event);
const char *log_event_level(enum log_event event);
bool log_event_kept(enum log_event event);

#endif
