/* A wall clock that a test sets: LD_PRELOAD this, WALLCLOCK names a file with the seconds to add
 * (int64_t in the machine's order), which may be written at any time. Only the wall clock moves, as
 * on Linux. (libfaketime also wraps waiting, and changes errno while it reads its file.) */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *added_s;

__attribute__((constructor)) static void
attach(void)
{
    const char *path = getenv("WALLCLOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *added_s, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED) {
        abort(); /* a test that believes it moved the clock proves nothing */
    }
    added_s = page;
    (void)close(fd);
}

int
clock_gettime(clockid_t id, struct timespec *ret)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ret);
    bool wall = id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE;
    if (rc == 0 && wall && added_s != NULL) { /* NULL: other libraries begin before this one */
        ret->tv_sec += *added_s;
    }
    return rc;
}

time_t
time(time_t *ret)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (ret != NULL) {
        *ret = now.tv_sec;
    }
    return now.tv_sec;
}

int
gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now = {0, 0};
    (void)zone;
    int rc = clock_gettime(CLOCK_REALTIME, &now);
    *ret = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return rc;
}
