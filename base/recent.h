/* The log events that a person asks for later: the last RECENT_KEPT of each kind, so that a storm
 * of one kind hides no other, whatever level is logged. Events that log.def calls ROUTINE are left
 * out. Any thread. */
#ifndef BASE_RECENT_H
#define BASE_RECENT_H

#include "base/log.h"

#define RECENT_KEPT   6
#define RECENT_FIELDS 8
#define RECENT_BYTES  256 /* of all values of one event; what is longer is cut */

struct recent {
    enum log_event event;
    int64_t wall_ms;
    uint64_t number; /* of this event since start; the first is 1 */
    size_t count;
    struct recent_field {
        const char *key; /* static */
        uint16_t at;     /* of its text, in values */
    } fields[RECENT_FIELDS];
    char values[RECENT_BYTES];
};

#define RECENT_MAX ((size_t)LOG_EVENTS * RECENT_KEPT)

/* For log_write. */
void recent_note(enum log_event event, const struct log_field *fields, size_t count);
/* Copies the newest first: how many, `max` at most. */
size_t recent_list(struct recent *ret, size_t max);

#endif
