/* The thread that knows what lies in containerd's store: one listing at the start, then inotify,
 * and hashing in between. It never stands in the way of readiness.
 *
 *   no such folder yet         the nearest folder above it is watched, then again from the top
 *   folder gone or replaced    again from the top: a new watch, then a listing
 *   queue overflow             a new listing
 *   no inotify to be had       a listing every TICK_MS
 *   a file not as it was       a listing at the next tick: a mount covered the folder, perhaps for
 * a moment, and tells nobody
 *
 * The watch comes before the listing, so that nothing falls between them. A folder above that is
 * moved tells nobody: at each tick the name is compared with what is watched. */
#include "base/clock.h"
#include "base/log.h"
#include "cache/content_inside.h"
#include "cache/pace.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS     5000
#define STEP_BYTES  (256u * 1024)
#define EVENT_BYTES (16u * 1024)
/* A folder that comes while its parent is looked at. */
#define BEGIN_TRIES 8

#define FOLDER_EVENTS                                                                   \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_MODIFY | \
     IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define ABOVE_EVENTS                                                                       \
    (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | \
     IN_ONLYDIR)

struct watch {
    int fd;            /* inotify; -1: there is none */
    int wd;            /* of the folder; -1 while only folders above it are watched */
    bool again;        /* from the top */
    bool listing;      /* the folder has to be listed */
    bool closed;       /* the last listing failed: look again at the next tick */
    uint64_t dev, ino; /* of the folder, 0 while it is not there */
    uint64_t round;    /* of the last listing */
    int64_t tick_ms;
};

/* The file that is hashed now. */
struct checking {
    int fd; /* -1: none */
    struct digest digest;
    struct fs_id id;
    struct digester *digester;
    uint64_t at;
};

/* ---- seeing ---- */

struct listing {
    struct content *content;
    int dir_fd;
    uint64_t round;
};

static int
see_name(void *arg, const char *name)
{
    const struct listing *l = arg;
    char text[DIGEST_TEXT_MAX];
    struct digest d;
    struct fs_id id;
    if (strlen(name) != 64) {
        return 0;
    }
    (void)memcpy(text, "sha256:", 7);
    (void)memcpy(text + 7, name, 65);
    if (digest_parse(text, 71, &d) == 0) {
        int rc = fs_id_at(l->dir_fd, name, &id);
        content_see(l->content, &d, rc, &id, l->round);
    }
    return atomic_load(&l->content->stopping) ? ERR_CLOSED : 0;
}

static void
list(struct content *x, struct watch *w)
{
    AUTO(fd_close) int dir_fd = -1;
    w->listing = false;
    w->round++;
    int rc = fs_open_dir(x->folder, false, &dir_fd);
    struct listing l = {x, dir_fd, w->round};
    if (rc == 0) {
        rc = fs_each(dir_fd, see_name, &l);
    }
    if (rc != ERR_CLOSED) {
        content_forget_before(x, w->round);
    }
    if (rc == 0) {
        content_forget_known(x);
    }
    w->closed = rc < 0;
    content_set_state(x, rc == -EACCES || rc == -EPERM ? CONTENT_DENIED
                         : rc < 0                      ? CONTENT_MISSING
                         : w->fd < 0                   ? CONTENT_POLLED
                                                       : CONTENT_WATCHED);
}

/* ---- watching ---- */

/* The part of the path above its last name; "/" above all. */
static void
cut_name(char *path)
{
    char *slash = strrchr(path, '/');
    (void)memcpy(slash == path || slash == NULL ? path + 1 : slash, "", 1);
}

/* Watches DIR/blobs and DIR as well: who moves them tells them only. */
static void
watch_parents(int fd, const char *folder)
{
    AUTO(mem_free_text) char *path = mem_strdup(folder);
    for (int i = 0; i < 2; i++) {
        cut_name(path);
        (void)inotify_add_watch(fd, path, ABOVE_EVENTS); /* for speed: the tick sees it, too */
    }
}

/* Watches the nearest folder above that is there and may be watched, and the one below it that may
 * not: true when there is one that was not there a moment ago. False and *ret_rc when all is done.
 */
static bool
watch_above(int fd, const char *folder, int *ret_rc)
{
    AUTO(mem_free_text) char *path = mem_strdup(folder);
    AUTO(mem_free_text) char *below = NULL;
    int wd = -1;
    while (wd < 0 && strcmp(path, "/") != 0 && errno != ENOSPC && errno != ENOMEM) {
        mem_free_text(&below);
        below = mem_strdup(path);
        cut_name(path);
        wd = inotify_add_watch(fd, path, ABOVE_EVENTS);
    }
    *ret_rc = wd < 0 ? -errno : 0;
    return wd >= 0 && inotify_add_watch(fd, below, ABOVE_EVENTS) >= 0;
}

static void
identify(const struct content *x, struct watch *w)
{
    struct stat st;
    bool there = stat(x->folder, &st) == 0;
    w->dev = there ? (uint64_t)st.st_dev : 0;
    w->ino = there ? (uint64_t)st.st_ino : 0;
}

/* From the top. A folder that appears between two looks was not there to be watched: once more. */
static void
begin(struct content *x, struct watch *w)
{
    int rc = 0;
    bool again = true;
    for (int i = 0; i < BEGIN_TRIES && again; i++) {
        fd_close(&w->fd);
        w->wd = -1;
        w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        rc = w->fd < 0 ? -errno : 0;
        w->wd = rc < 0 ? -1 : inotify_add_watch(w->fd, x->folder, FOLDER_EVENTS);
        again = rc == 0 && w->wd < 0 && watch_above(w->fd, x->folder, &rc);
    }
    if (rc < 0) {
        fd_close(&w->fd);
    } else if (w->wd >= 0) {
        watch_parents(w->fd, x->folder);
    }
    w->again = false;
    w->listing = true;
    identify(x, w);
}

static void
take_event(struct content *x, struct watch *w, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW) {
        w->listing = true;
    } else if (e->wd != w->wd || e->len == 0) {
        /* Of a folder above, or of the folder itself. */
        w->again = true;
    } else {
        AUTO(fd_close) int dir_fd = -1;
        if (fs_open_dir(x->folder, false, &dir_fd) < 0) {
            w->again = true;
            return;
        }
        struct listing l = {x, dir_fd, w->round};
        (void)see_name(&l, e->name);
    }
}

static void
take_events(struct content *x, struct watch *w)
{
    _Alignas(struct inotify_event) char room[EVENT_BYTES];
    ssize_t n;
    while (!w->again && (n = read(w->fd, room, sizeof room)) > 0) {
        for (char *at = room; at < room + n && !w->again;) {
            const struct inotify_event *e = (const struct inotify_event *)(const void *)at;
            take_event(x, w, e);
            at += sizeof *e + e->len;
        }
    }
}

static void
tick(struct content *x, struct watch *w)
{
    struct stat st;
    bool there = stat(x->folder, &st) == 0;
    uint64_t ino = there ? (uint64_t)st.st_ino : 0, dev = there ? (uint64_t)st.st_dev : 0;
    w->tick_ms = clock_ms() + TICK_MS;
    w->again = w->again || ino != w->ino || dev != w->dev || w->fd < 0 || w->closed;
    w->listing = atomic_exchange(&x->missed, false) || w->listing;
    content_own_all(x);
}

/* Until something happens or wait_ms have passed. */
static void
wait(struct content *x, struct watch *w, int64_t wait_ms)
{
    struct pollfd fds[] = {{.fd = mailbox_fd(&x->wake), .events = POLLIN},
                           {.fd = w->fd, .events = POLLIN}};
    int64_t tick_ms = w->tick_ms - clock_ms();
    wait_ms = wait_ms < tick_ms ? wait_ms : tick_ms;
    (void)poll(fds, 2, wait_ms > 0 ? (int)wait_ms : 0);
    if (fds[1].revents != 0) {
        take_events(x, w);
    }
    if (clock_ms() >= w->tick_ms) {
        tick(x, w);
    }
}

/* ---- hashing ---- */

static void
check_end(struct checking *k)
{
    fd_close(&k->fd);
    digester_free(k->digester);
    k->digester = NULL;
}

/* False: nothing is to be hashed for *ret_wait_ms. */
static bool
check_begin(struct content *x, struct checking *k, int64_t *ret_wait_ms)
{
    struct fs_id wanted;
    bool good;
    if (!content_next(x, clock_ms(), &k->digest, &wanted, ret_wait_ms)) {
        return false;
    }
    int rc = content_open(x, &k->digest, &k->fd, &k->id, &good);
    if (rc < 0) {
        *ret_wait_ms = rc == ERR_NOT_FOUND ? 0 : TICK_MS; /* out of descriptors */
        return false;
    }
    k->digester = digester_new((enum digest_alg)k->digest.alg);
    k->at = 0;
    return true;
}

static void
check_done(struct content *x, struct checking *k, bool readable)
{
    struct digest got;
    struct fs_id now;
    digester_finish(k->digester, &got);
    bool same = fs_id(k->fd, &now) == 0 && fs_id_equal(&now, &k->id);
    bool good = readable && digest_equal(&got, &k->digest);
    if (same && !good) {
        metric_add(M_digest_failures, 1);
    }
    if (same) {
        content_judge(x, &k->digest, &k->id, good);
    }
    if (same && good) {
        content_record(x, &k->digest, &k->id, k->fd);
    }
    check_end(k);
}

/* Hashes a little: how long to wait before the next step. */
static int64_t
check_step(struct content *x, struct checking *k, uint8_t *room)
{
    int64_t wait_ms = 0;
    if (k->fd < 0 && !check_begin(x, k, &wait_ms)) {
        return wait_ms;
    }
    uint64_t left = k->id.size - k->at;
    size_t n = left < STEP_BYTES ? (size_t)left : STEP_BYTES;
    int64_t begun_ms = clock_ms();
    int rc = fs_read_at(k->fd, k->at, room, n);
    digester_add(k->digester, room, rc == 0 ? n : 0);
    metric_add(M_scrub_bytes, n);
    k->at += n;
    if (rc < 0 || k->at == k->id.size) {
        check_done(x, k, rc == 0);
    }
    return pace_rest_ms(n, clock_ms() - begun_ms);
}

/* ---- the thread ---- */

static void
run(void *arg)
{
    struct content *x = arg;
    struct watch w = {.fd = -1, .wd = -1, .again = true, .tick_ms = clock_ms() + TICK_MS};
    struct checking k = {.fd = -1};
    uint8_t *room = mem_alloc(STEP_BYTES);
    while (!atomic_load(&x->stopping)) {
        if (w.again) {
            begin(x, &w);
        }
        if (w.listing) {
            list(x, &w);
        }
        wait(x, &w, check_step(x, &k, room));
    }
    check_end(&k);
    fd_close(&w.fd);
    mem_free(room);
}

int
content_start(struct content *x)
{
    int rc = mailbox_init(&x->wake, 1);
    if (rc < 0) {
        return rc;
    }
    x->opened = true;
    return thread_start(&x->thread, "ps-content", run, x);
}

void
content_stop(struct content *x)
{
    if (x == NULL || !x->opened) {
        return;
    }
    atomic_store(&x->stopping, true);
    mailbox_wake(&x->wake);
    thread_join(&x->thread);
    mailbox_release(&x->wake);
    x->opened = false;
}
