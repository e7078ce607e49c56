/* The only readers of the system's clocks. */
#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

static struct timespec
now(clockid_t clock)
{
    struct timespec t;

    must(clock_gettime(clock, &t) == 0);
    return t;
}

int64_t
clock_ms(void)
{
    struct timespec t = now(CLOCK_MONOTONIC);

    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_us(void)
{
    struct timespec t = now(CLOCK_MONOTONIC);

    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
clock_wall_s(void)
{
    return now(CLOCK_REALTIME).tv_sec;
}

int64_t
clock_wall_ms(void)
{
    struct timespec t = now(CLOCK_REALTIME);

    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void
clock_wall_text(char ret_text[CLOCK_TEXT_MAX])
{
    struct timespec t = now(CLOCK_REALTIME);
    struct tm day;

    must(gmtime_r(&t.tv_sec, &day) != NULL);
    size_t len = strftime(ret_text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &day);
    must(len > 0);
    int more = snprintf(ret_text + len, CLOCK_TEXT_MAX - len, ".%03ldZ", t.tv_nsec / 1000000);
    must(more > 0 && (size_t)more < CLOCK_TEXT_MAX - len);
}

void
clock_sleep_ms(int64_t wait_ms)
{
    struct timespec until = now(CLOCK_MONOTONIC);

    if (wait_ms <= 0)
        return;
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        continue;
}
