/* Which file of which runtime gets which edit. Reads files, writes none. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/setup.h"
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONTAINERD_CONFIG "/etc/containerd/config.toml"
#define CONTAINERD_CERTS  "/etc/containerd/certs.d"
#define DOCKER_CONFIG     "/etc/docker/daemon.json"
#define DOCKER_CERTS      "/etc/docker/certs.d"
#define DOCKER_SOCKET     "/run/docker.sock"
#define CRIO_CONFIG       "/etc/containers/registries.conf.d/50-peersync.conf"
#define K3S_CONFIG        "/etc/rancher/k3s/registries.yaml"
#define DOCKER_INFO_MS    3000L

static const struct {
    const char *name;
    const char *traces[4]; /* one of these: the runtime is here */
} runtimes[SETUP_RUNTIMES] = {
    [SETUP_CONTAINERD] = {"containerd",
                          {"/usr/bin/containerd", "/usr/local/bin/containerd", "/etc/containerd"}},
    [SETUP_DOCKER] = {"docker", {"/usr/bin/dockerd", "/usr/sbin/dockerd", "/etc/docker"}},
    [SETUP_CRIO] = {"crio", {"/usr/bin/crio", "/usr/bin/podman", "/etc/containers"}},
    [SETUP_K3S] = {"k3s", {"/usr/local/bin/k3s", "/usr/bin/k3s", "/etc/rancher/k3s"}},
};

const char *
setup_runtime_name(enum setup_runtime r)
{
    return runtimes[r].name;
}

bool
setup_plan_found(enum setup_runtime r, const char *root)
{
    for (size_t i = 0; i < ARRAY_LEN(runtimes[r].traces); i++) {
        if (!runtimes[r].traces[i])
            continue;
        AUTO(mem_free_text) char *path = mem_printf("%s%s", root, runtimes[r].traces[i]);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

void
setup_plan_release(struct setup_plan *p)
{
    for (size_t i = 0; i < p->count; i++) {
        mem_free(p->edits[i].path);
        mem_free(p->edits[i].before);
        mem_free(p->edits[i].after);
    }
    p->count = 0;
}

PRINTF(2, 3)
static void
note(struct setup_plan *p, const char *fmt, ...)
{
    size_t len = strlen(p->notes);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(p->notes + len, sizeof p->notes - len, fmt, args);
    va_end(args);
}

/* Takes path, before and after. Files that need no change are left out. */
static void
add(struct setup_plan *p, char *path, char *before, char *after)
{
    bool gone = after && !*after && !before;
    if (gone || (before && after && strcmp(before, after) == 0) || p->count == SETUP_FILES_MAX) {
        mem_free(path);
        mem_free(before);
        mem_free(after);
        return;
    }
    if (after && after[strspn(after, " \t\r\n")] == 0) { /* nothing is left in it */
        mem_free(after);
        after = NULL;
    }
    p->edits[p->count++] = (struct setup_edit){path, before, after};
}

static int
in_file(const char *path, struct err *e)
{
    return err_wrap(e, "%s", path);
}

/* ---- hosts.toml, which containerd and docker share ---- */

static int
plan_hosts(struct setup_plan *p, const char *certs, const struct registry *r, struct err *e)
{
    bool any = strcmp(r->host, "*") == 0;
    char *path = mem_printf("%s%s/%s/hosts.toml", p->root, certs, any ? "_default" : r->host);
    char *before = NULL;
    int bad = setup_files_read(path, &before, e);
    if (bad) {
        mem_free(path);
        return bad;
    }
    add(p, path, before, setup_text_hosts(before, any ? NULL : r->url, p->node, p->fresh_tags));
    return 0;
}

static int
plan_all_hosts(struct setup_plan *p, const char *certs, struct err *e)
{
    int bad = 0;
    for (size_t i = 0; i < p->settings->registry_count && !bad; i++)
        bad = plan_hosts(p, certs, &p->settings->registries[i], e);
    return bad;
}

struct stripping {
    struct setup_plan *plan;
    const char *certs;
    struct err *e;
};

static int
strip_file(struct setup_plan *p, char *path, struct err *e)
{
    char *before = NULL;
    int bad = setup_files_read(path, &before, e);
    if (bad || !before) {
        mem_free(path);
        return bad;
    }
    add(p, path, before, setup_text_strip(before));
    return 0;
}

static int
strip_host(void *arg, const char *name)
{
    struct stripping *s = arg;
    return strip_file(s->plan, mem_printf("%s%s/%s/hosts.toml", s->plan->root, s->certs, name),
                      s->e);
}

/* All hosts, not only those of the configuration, which may have changed since. */
static int
strip_hosts(struct setup_plan *p, const char *certs, struct err *e)
{
    AUTO(mem_free_text) char *folder = mem_printf("%s%s", p->root, certs);
    AUTO(fd_close) int fd = -1;
    if (fs_open_dir(folder, false, &fd))
        return 0;
    struct stripping s = {p, certs, e};
    return fs_each(fd, strip_host, &s);
}

/* ---- containerd ---- */

static int
plan_containerd(struct setup_plan *p, struct err *e)
{
    char *path = mem_printf("%s%s", p->root, CONTAINERD_CONFIG);
    AUTO(mem_free_text) char *certs = NULL;
    char *before = NULL, *after = NULL;
    int bad = setup_files_read(path, &before, e);
    bad = bad ? bad : setup_text_containerd(before, &after, &certs, e);
    if (bad) {
        bad = in_file(path, e);
        mem_free(path);
        mem_free(before);
        return bad;
    }
    if (after) {
        p->restart = "systemctl restart containerd";
        add(p, path, before, after);
    } else {
        p->restart = "nothing: containerd reads hosts.toml at each pull";
        mem_free(path);
        mem_free(before);
    }
    note(p, "ctr reads the files only with: ctr images pull --hosts-dir %s\n", certs);
    return plan_all_hosts(p, certs, e);
}

static int
undo_containerd(struct setup_plan *p, struct err *e)
{
    AUTO(mem_free_text) char *certs = NULL;
    AUTO(mem_free_text) char *path = mem_printf("%s%s", p->root, CONTAINERD_CONFIG);
    AUTO(mem_free_text) char *before = NULL;
    AUTO(mem_free_text) char *after = NULL;
    struct err ignored;
    int bad = setup_files_read(path, &before, e);
    if (bad)
        return bad;
    if (setup_text_containerd(before, &after, &certs, &ignored))
        certs = mem_strdup(CONTAINERD_CERTS);
    bad = strip_file(p, mem_strdup(path), e);
    return bad ? bad : strip_hosts(p, certs, e);
}

/* ---- docker ---- */

static size_t
take(char *bytes, size_t one, size_t len, void *arg)
{
    return buf_add(arg, bytes, one * len) ? 0 : one * len;
}

/* What a running dockerd says: 1 containerd image store, 0 graph driver, -1 not known. */
static int
ask_docker(const char *root)
{
    AUTO(mem_free_text) char *socket = mem_printf("%s%s", root, DOCKER_SOCKET);
    AUTO(buf_release) struct buf body;
    buf_init(&body, SETUP_BYTES_MAX);
    CURL *curl = access(socket, F_OK) == 0 ? curl_easy_init() : NULL;
    if (!curl)
        return -1;
    (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    (void)curl_easy_setopt(curl, CURLOPT_URL, "http://docker/info");
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, DOCKER_INFO_MS);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK || !strstr(buf_text(&body), "\"Driver\""))
        return -1;
    return strstr(buf_text(&body), "io.containerd.snapshotter") ? 1 : 0;
}

static bool
has_containerd_store(const struct setup_plan *p, const char *daemon_json, const char **ret_why)
{
    int store = setup_json_docker_store(daemon_json);
    *ret_why = "daemon.json says so";
    if (store >= 0)
        return store == 1;
    store = ask_docker(p->root);
    *ret_why = "the running dockerd says so";
    if (store >= 0)
        return store == 1;
    AUTO(mem_free_text) char *folder = mem_printf("%s/var/lib/docker/containerd", p->root);
    *ret_why = access(folder, F_OK) == 0 ? "/var/lib/docker/containerd is there"
                                         : "nothing says that it has the containerd one";
    return access(folder, F_OK) == 0;
}

/* With the containerd image store registry-mirrors on loopback would switch off the check
 * of the hub's own certificate, so hosts.toml is written there. */
static int
plan_docker(struct setup_plan *p, struct err *e)
{
    char *path = mem_printf("%s%s", p->root, DOCKER_CONFIG);
    AUTO(mem_free_text) char *url = mem_printf("http://%s", p->node);
    char *before = NULL, *after = NULL;
    const char *why = "";
    int bad = setup_files_read(path, &before, e);
    bool containerd = !bad && has_containerd_store(p, before, &why);
    bad = bad ? bad : setup_json_docker(before, url, !containerd, &after, e);
    if (bad) {
        bad = in_file(path, e);
        mem_free(path);
        mem_free(before);
        return bad;
    }
    note(p, "docker's image store: %s (%s)\n", containerd ? "containerd" : "graph driver", why);
    add(p, path, before, after);
    p->restart =
        containerd ? "nothing: dockerd reads hosts.toml at each pull" : "systemctl reload docker";
    if (containerd)
        return plan_all_hosts(p, DOCKER_CERTS, e);
    if (p->fresh_tags)
        note(p, "--fresh-tags has no effect: docker asks its mirror for tags too\n");
    note(p, "docker uses mirrors for docker.io only\n");
    if (strcmp(p->settings->default_registry, "docker.io") != 0)
        note(p, "default_registry is \"%s\": docker would get its images for docker.io ones\n",
             p->settings->default_registry);
    return 0;
}

static int
undo_docker(struct setup_plan *p, struct err *e)
{
    char *path = mem_printf("%s%s", p->root, DOCKER_CONFIG);
    AUTO(mem_free_text) char *url = mem_printf("http://%s", p->node);
    char *before = NULL, *after = NULL;
    int bad = setup_files_read(path, &before, e);
    bad = bad ? bad : setup_json_docker(before, url, false, &after, e);
    if (bad) {
        bad = in_file(path, e);
        mem_free(path);
        mem_free(before);
        return bad;
    }
    add(p, path, before, after);
    p->restart = "systemctl reload docker";
    return strip_hosts(p, DOCKER_CERTS, e);
}

/* ---- CRI-O and k3s ---- */

static int
plan_crio(struct setup_plan *p, struct err *e)
{
    char *path = mem_printf("%s%s", p->root, CRIO_CONFIG);
    char *before = NULL;
    int bad = setup_files_read(path, &before, e);
    if (bad) {
        mem_free(path);
        return bad;
    }
    add(p, path, before, setup_text_crio(p->settings, p->node, p->fresh_tags));
    if (settings_registry(p->settings, "*"))
        note(p, "registry \"*\" is left out: registries.conf has no mirror for all registries\n");
    if (p->fresh_tags)
        note(p, "--fresh-tags: a pull by tag goes past the mirror with all of its bytes\n");
    p->restart =
        "systemctl reload crio; podman and skopeo need nothing, but a podman.service that runs "
        "(its API) has to be restarted";
    return 0;
}

static int
plan_k3s(struct setup_plan *p, struct err *e)
{
    char *path = mem_printf("%s%s", p->root, K3S_CONFIG);
    char *before = NULL, *after = NULL;
    int bad = setup_files_read(path, &before, e);
    bad = bad ? bad : setup_text_k3s(before, p->settings, p->node, &after, e);
    if (bad) {
        bad = in_file(path, e);
        mem_free(path);
        mem_free(before);
        return bad;
    }
    add(p, path, before, after);
    if (p->fresh_tags)
        note(p, "--fresh-tags has no effect: k3s writes its hosts.toml itself\n");
    p->restart = "systemctl restart k3s (or k3s-agent)";
    return 0;
}

/* ---- all ---- */

int
setup_plan_make(enum setup_runtime r, struct setup_plan *p, struct err *e)
{
    switch (r) {
    case SETUP_CONTAINERD:
        return plan_containerd(p, e);
    case SETUP_DOCKER:
        return plan_docker(p, e);
    case SETUP_CRIO:
        return plan_crio(p, e);
    case SETUP_K3S:
        return plan_k3s(p, e);
    case SETUP_RUNTIMES:
        break;
    }
    never("runtime");
}

int
setup_plan_undo(enum setup_runtime r, struct setup_plan *p, struct err *e)
{
    switch (r) {
    case SETUP_CONTAINERD:
        p->restart = "systemctl restart containerd";
        return undo_containerd(p, e);
    case SETUP_DOCKER:
        return undo_docker(p, e);
    case SETUP_CRIO:
        p->restart = "systemctl reload crio";
        return strip_file(p, mem_printf("%s%s", p->root, CRIO_CONFIG), e);
    case SETUP_K3S:
        p->restart = "systemctl restart k3s (or k3s-agent)";
        return strip_file(p, mem_printf("%s%s", p->root, K3S_CONFIG), e);
    case SETUP_RUNTIMES:
        break;
    }
    never("runtime");
}
