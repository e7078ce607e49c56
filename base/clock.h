/* Time. Timers use the monotonic clock only; wall time is for logs and for
 * ages that must survive a restart. Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/must.h"

int64_t clock_ms(void);     /* monotonic milliseconds */
int64_t clock_us(void);     /* monotonic microseconds */
int64_t clock_wall_s(void); /* seconds since 1970, UTC; may jump */
int64_t clock_wall_ms(void);
/* RFC 3339 with milliseconds in UTC, e.g. 2026-01-31T09:00:00.123Z. */
#define CLOCK_TEXT_MAX 32
void clock_wall_text(char ret_text[CLOCK_TEXT_MAX]);
void clock_sleep_ms(int64_t wait_ms);

#endif
