/* peersync doctor: the runtimes of this node, its cache and its disk. */
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/cache.h"
#include "proxy/cli/doctor.h"
#include "proxy/cli/setup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIGABIT_BYTES_S 125000000u /* a LAN that is common */

/* ---- runtimes ---- */

static void
check_runtime(struct doctor *d, enum setup_runtime r)
{
    const char *name = setup_runtime_name(r);
    char node[CLI_ADDRESS_MAX];
    if (!setup_plan_found(r, d->cli->root) || cli_reachable(d->settings->listen, node))
        return;
    AUTO(setup_plan_release)
    struct setup_plan p = {.root = d->cli->root, .settings = d->settings, .node = node};
    AUTO(setup_plan_release)
    struct setup_plan fresh = {
        .root = d->cli->root, .settings = d->settings, .node = node, .fresh_tags = true};
    struct err e = {0};
    if (setup_plan_make(r, &p, &e) || setup_plan_make(r, &fresh, &e))
        doctor_tell(d, DOCTOR_WARNING, name, "cannot be set up: %s", e.text);
    else if (p.count == 0 || fresh.count == 0)
        doctor_tell(d, DOCTOR_GOOD, name, "uses this node");
    else
        doctor_tell(d, DOCTOR_WARNING, name,
                    "pulls past this node: %s is not as setup writes it; run: peersync setup %s",
                    p.edits[0].path, name);
}

void
doctor_runtimes(struct doctor *d)
{
    for (int r = 0; r < SETUP_RUNTIMES; r++)
        check_runtime(d, (enum setup_runtime)r);
}

/* ---- cache ---- */

static void
check_space(struct doctor *d, int fd)
{
    struct fs_space space;
    char text[TEXT_SIZE_MAX], want[TEXT_SIZE_MAX];
    if (fs_space(fd, &space))
        return;
    text_print_size(space.free_bytes, text);
    text_print_size(d->settings->cache_min_free_bytes, want);
    bool low = space.free_bytes < d->settings->cache_min_free_bytes;
    doctor_tell(d, low ? DOCTOR_WARNING : DOCTOR_GOOD, "disk", "%s free where %s is%s%s%s", text,
                d->settings->cache_dir, low ? "; less than cache.min_free " : "", low ? want : "",
                low ? ", so nothing new is stored: make room or lower it" : "");
    if (cache_files_lacking(&space) > 0)
        doctor_tell(d, DOCTOR_WARNING, "disk",
                    "%llu inodes free where %s is, so blobs leave: remove files",
                    (unsigned long long)space.free_files, d->settings->cache_dir);
}

static void
check_folder(struct doctor *d)
{
    const char *dir = d->settings->cache_dir;
    AUTO(fd_close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        doctor_tell(d, DOCTOR_WARNING, "cache", "%s is not there yet; the daemon makes it", dir);
    else if (fd < 0 || fstat(fd, &st) != 0)
        doctor_tell(d, DOCTOR_BAD, "cache", "%s: %s", dir, err_text(-errno));
    else if (doctor_denied(d, &st, S_IRWXO))
        doctor_tell(d, DOCTOR_BAD, "cache",
                    "the service's user may not write %s: chown -R peersync: %s", dir, dir);
    else if (st.st_mode & (doctor_has_group(st.st_gid) ? S_IWOTH : S_IWOTH | S_IWGRP))
        doctor_tell(d, DOCTOR_WARNING, "cache", "%s can be written by others: chmod go-w %s", dir,
                    dir);
    else if (geteuid() == st.st_uid || geteuid() == 0)
        doctor_tell(d, access(dir, W_OK) ? DOCTOR_BAD : DOCTOR_GOOD, "cache", "%s, owner %u", dir,
                    (unsigned)st.st_uid);
    else
        doctor_tell(d, DOCTOR_GOOD, "cache", "%s belongs to user %u, not to who asks", dir,
                    (unsigned)st.st_uid);
    if (fd >= 0)
        check_space(d, fd);
}

/* What the daemon, with its own rights, makes of containerd's store. */
static void
judge_containerd(struct doctor *d, const cJSON *c)
{
    const char *dir = cli_text(c, "dir"), *state = cli_text(c, "state");
    uint64_t blobs = cli_number(c, "blobs"), denied = cli_number(c, "denied");
    char size[TEXT_SIZE_MAX];
    text_print_size(cli_number(c, "bytes"), size);
    if (strcmp(state, "missing") == 0)
        doctor_tell(d, DOCTOR_WARNING, "containerd",
                    "%s/blobs/sha256 is not there; is it the folder that has blobs/ "
                    "and ingest/?",
                    dir);
    else if (strcmp(state, "denied") == 0 || (denied && !blobs))
        doctor_tell(d, DOCTOR_BAD, "containerd",
                    "the daemon may not read %s; mount it into the service (containerd-store.md in "
                    "/usr/share/doc/peersync says how), or let its user through: setfacl -m "
                    "u:peersync:x on the folders above",
                    dir);
    else
        doctor_tell(d, denied ? DOCTOR_WARNING : DOCTOR_GOOD, "containerd",
                    "%llu %s, %s, served from %s%s%s", (unsigned long long)blobs,
                    text_plural(blobs, "blob", "blobs"), size, dir,
                    denied ? "; files that may not be read are left out" : "",
                    strcmp(state, "polled") == 0
                        ? "; no inotify (fs.inotify.max_user_watches): listed every "
                          "few seconds"
                        : "");
    if (cli_number(c, "bad"))
        doctor_tell(d, DOCTOR_WARNING, "containerd",
                    "%llu of its blobs do not match their digest and are not used",
                    (unsigned long long)cli_number(c, "bad"));
}

/* Of an answer of the daemon that reads containerd's store. */
static void
check_containerd(struct doctor *d, const cJSON *cache)
{
    const cJSON *c = json_object(cache, "containerd");
    if (!*d->settings->cache_containerd_content)
        return;
    if (c)
        judge_containerd(d, c);
    else
        doctor_tell(d, DOCTOR_WARNING, "containerd", "the daemon does not use %s yet; restart it",
                    d->settings->cache_containerd_content);
}

/* Each byte that nodes exchange is hashed by one thread, whatever the number of cores. */
static void
check_digests(struct doctor *d, const cJSON *cache)
{
    uint64_t rate = cli_number(cache, "hash_bytes_s");
    char text[TEXT_SIZE_MAX];
    text_print_size(rate, text);
    doctor_tell(d, DOCTOR_GOOD, "digests", "SHA-256 at %s/s a core, %llu threads%s", text,
                (unsigned long long)cli_number(cache, "hash_threads"),
                rate < GIGABIT_BYTES_S
                    ? "; pieces of other nodes arrive no faster: this processor has no "
                      "instructions for it, or is throttled"
                    : "");
}

/* Of an answer of the daemon that keeps what fits. */
static void
check_room(struct doctor *d, const cJSON *cache)
{
    char limit[TEXT_SIZE_MAX], used[TEXT_SIZE_MAX], pinned[TEXT_SIZE_MAX];
    text_print_size(cli_number(cache, "limit_bytes"), limit);
    text_print_size(cli_number(cache, "used_bytes"), used);
    text_print_size(cli_number(cache, "pinned_bytes"), pinned);
    if (cli_number(cache, "not_kept"))
        doctor_tell(
            d, DOCTOR_WARNING, "room",
            "%llu %s since start %s not kept: no room (%s in use, %s of it pinned, cache.size "
            "%s); a larger disk or cache.size, a smaller cache.min_free, fewer pins",
            (unsigned long long)cli_number(cache, "not_kept"),
            text_plural(cli_number(cache, "not_kept"), "blob", "blobs"),
            text_plural(cli_number(cache, "not_kept"), "was", "were"), used, pinned, limit);
}

/* After an upgrade the old one runs on until somebody starts it again. */
static void
check_version(struct doctor *d, const char *version)
{
    if (strcmp(version, PEERSYNC_VERSION) != 0)
        doctor_tell(d, DOCTOR_WARNING, "version",
                    "the daemon that runs is %s, this program %s: systemctl restart peersync",
                    version, PEERSYNC_VERSION);
}

void
doctor_cache(struct doctor *d)
{
    AUTO(json_free) cJSON *doc = NULL;
    check_folder(d);
    if (!d->answers || cli_get(d->cli, "/api/v1/status", &doc))
        return;
    check_version(d, cli_text(doc, "version"));
    const cJSON *cache = json_object(doc, "cache");
    check_room(d, cache);
    check_digests(d, cache);
    check_containerd(d, cache);
}
