/*
 * peersync doctor: looks at everything that a pull through this node needs, in the order in
 * which it would be needed, and says what to do about what is wrong.
 */
#include "proxy/cli/doctor.h"
#include "base/mem.h"
#include "base/text.h"
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SERVICE_USER "peersync" /* of the package's unit */
#define GROUPS_MAX   64

void
doctor_tell(struct doctor *d, enum doctor_verdict v, const char *what, const char *fmt, ...)
{
    static const char *const words[] = {"ok", "warn", "FAIL"};
    char text[768];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    d->bad += v == DOCTOR_BAD;
    d->warnings += v == DOCTOR_WARNING;
    if (!d->cli->json) {
        if (v == DOCTOR_GOOD && d->cli->quiet)
            return;
        (void)printf("%-4s  %-11s %s\n", words[v], what, text);
        (void)fflush(stdout);
        return;
    }
    cJSON *one = cJSON_CreateObject();
    cJSON_AddStringToObject(one, "check", what);
    cJSON_AddStringToObject(one, "result", words[v]);
    cJSON_AddStringToObject(one, "text", text);
    cJSON_AddItemToArray(d->list, one);
}

static size_t
take(char *bytes, size_t one, size_t len, void *arg)
{
    struct doctor_seen *s = arg;
    size_t used = strlen(s->body);
    size_t room = DOCTOR_BODY_MAX - 1 - used;
    size_t n = one * len < room ? one * len : room;
    memcpy(s->body + used, bytes, n);
    s->body[used + n] = 0;
    return one * len;
}

static size_t
take_header(char *bytes, size_t one, size_t len, void *arg)
{
    struct doctor_seen *s = arg;
    AUTO(mem_free_text) char *line = mem_strndup(bytes, one * len);
    if (strncasecmp(line, "date:", 5) == 0 && text_http_date(line + 5, &s->date_s) < 0)
        s->date_s = -1;
    return one * len;
}

struct doctor_seen
doctor_look(const char *url, const char *ca, bool own, long wait_ms)
{
    struct doctor_seen s = {.code = CURLE_FAILED_INIT, .date_s = -1};
    CURL *curl = curl_easy_init();
    if (!curl)
        return s;
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_SOCKS5_AUTH, CURLAUTH_BASIC); /* as the daemon does */
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, wait_ms);
    (void)curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a silent DNS */
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "peersync/" PEERSYNC_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &s);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, &s);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, s.error);
    if (own)
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (*ca)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    s.code = curl_easy_perform(curl);
    curl_off_t name_us = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &s.status);
    (void)curl_easy_getinfo(curl, CURLINFO_NAMELOOKUP_TIME_T, &name_us);
    s.resolved = name_us > 0;
    curl_easy_cleanup(curl);
    s.body[strcspn(s.body, "\r\n")] = 0;
    s.error[strcspn(s.error, "\r\n")] = 0;
    if (s.code == CURLE_COULDNT_CONNECT || (s.code != CURLE_OK && !*s.error))
        (void)snprintf(s.error, sizeof s.error, "%s", curl_easy_strerror(s.code));
    return s;
}

bool
doctor_has_group(gid_t group)
{
    const struct passwd *user = getpwnam(SERVICE_USER);
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    if (!user)
        return false;
    if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
        count = GROUPS_MAX; /* it has more: these are looked at */
    for (int i = 0; i < count; i++)
        if (groups[i] == group)
            return true;
    return false;
}

bool
doctor_denied(const struct doctor *d, const struct stat *st, mode_t rights)
{
    const struct passwd *user = d->answers ? NULL : getpwnam(SERVICE_USER);
    if (!user || user->pw_uid == 0)
        return false;
    unsigned shift = user->pw_uid == st->st_uid ? 6 : doctor_has_group(st->st_gid) ? 3 : 0;
    return (st->st_mode >> shift & rights) != rights;
}

/* ---- the daemon ---- */

static bool
registry_answers(const char *listen)
{
    AUTO(mem_free_text) char *ping = mem_printf("http://%s/v2/", listen);
    struct doctor_seen s = doctor_look(ping, "", true, DOCTOR_MS);
    return s.code == CURLE_OK && s.status == 200;
}

/* It does not run: is that because somebody else has one of its addresses? */
static bool
tell_taken(struct doctor *d)
{
    bool p2p = d->settings->p2p_enabled && access(d->settings->p2p_key_file, F_OK) == 0;
    const struct {
        const char *setting, *listen;
    } wanted[] = {{"listen", d->settings->listen}, {"p2p.listen", d->settings->p2p_listen}};
    bool taken = false;
    for (size_t i = 0; i < (p2p ? 2 : 1); i++) {
        char address[CLI_ADDRESS_MAX];
        if (cli_reachable(wanted[i].listen, address) || !doctor_listens(address))
            continue;
        taken = true;
        doctor_tell(d, DOCTOR_BAD, "daemon",
                    "no answer at %s, and another program listens at %s (%s): `ss -ltnp` names it; "
                    "end it or change %s",
                    d->admin, address, wanted[i].setting, wanted[i].setting);
    }
    return taken;
}

static void
tell_silent(struct doctor *d, const char *listen, const char *error)
{
    if (doctor_listens(d->admin))
        doctor_tell(d, DOCTOR_BAD, "daemon",
                    "what listens at %s does not answer as peersync does: %s; `ss -ltnp` names it: "
                    "end another program or change admin; a daemon that hangs: systemctl restart "
                    "peersync",
                    d->admin, error);
    else if (registry_answers(listen))
        doctor_tell(d, DOCTOR_BAD, "daemon",
                    "no answer at %s, and a registry answers at %s (listen): `ss -ltnp` names it; "
                    "if that is peersync, its admin is elsewhere: say where with --admin, or after "
                    "a change of admin systemctl restart peersync; if not, end it or change listen",
                    d->admin, listen);
    else if (!tell_taken(d))
        doctor_tell(d, DOCTOR_BAD, "daemon",
                    "no answer at %s: %s; start it: systemctl start peersync; if it ends again, "
                    "journalctl -u peersync says why",
                    d->admin, error);
}

static void
check_registry_port(struct doctor *d, const char *listen)
{
    AUTO(mem_free_text) char *ping = mem_printf("http://%s/v2/", listen);
    struct doctor_seen s = doctor_look(ping, "", true, DOCTOR_MS);
    if (s.code == CURLE_OK && s.status == 200)
        doctor_tell(d, DOCTOR_GOOD, "registry", "%s answers", ping);
    else
        doctor_tell(d, DOCTOR_BAD, "registry",
                    "%s: %s; is listen the same in the daemon's configuration?", ping,
                    s.code == CURLE_OK ? "another server is there" : s.error);
}

void
doctor_daemon(struct doctor *d)
{
    char listen[CLI_ADDRESS_MAX];
    if (cli_reachable(d->settings->listen, listen))
        return;
    AUTO(mem_free_text) char *ready = mem_printf("http://%s/readyz", d->admin);
    struct doctor_seen s = doctor_look(ready, "", true, DOCTOR_MS);
    if (s.code != CURLE_OK) {
        tell_silent(d, listen, s.error);
        return;
    }
    if (s.status != 200 && s.status != 503) {
        doctor_tell(d, DOCTOR_BAD, "daemon",
                    "what answers at %s is not peersync (status %ld): `ss -ltnp` names it; end it "
                    "or change admin",
                    d->admin, s.status);
        return;
    }
    d->answers = true;
    bool degraded = strstr(s.body, "degraded") != NULL;
    doctor_tell(d,
                s.status != 200 ? DOCTOR_BAD
                : degraded      ? DOCTOR_WARNING
                                : DOCTOR_GOOD,
                "daemon", "%s says: %s%s", ready, s.body,
                degraded ? "; see the log and the cache lines below" : "");
    check_registry_port(d, listen);
}

/* ---- all ---- */

static void
check_all(struct doctor *d)
{
    doctor_tell(d, DOCTOR_GOOD, "config", "%zu %s, cache in %s", d->settings->registry_count,
                text_plural(d->settings->registry_count, "registry", "registries"),
                d->settings->cache_dir);
    doctor_daemon(d);
    doctor_swarm(d);
    doctor_runtimes(d);
    doctor_cache(d);
    doctor_registries(d);
}

int
cli_doctor(const struct cli *cli)
{
    AUTO(settings_release) struct settings *s = NULL;
    struct err e = {0};
    if (settings_load(cli->config, &s, &e))
        return cli_fail(CLI_CONFIG, "%s", e.text);
    AUTO(json_free) cJSON *doc = cJSON_CreateObject();
    struct doctor d = {.cli = cli, .settings = s, .list = cJSON_AddArrayToObject(doc, "checks")};
    int bad = cli_admin_address(cli, d.admin);
    if (bad)
        return bad;
    check_all(&d);
    if (cli->json)
        (void)cli_print_json(doc);
    else if (!cli->quiet || d.bad || d.warnings)
        (void)printf("%u failed, %u %s\n", d.bad, d.warnings,
                     text_plural(d.warnings, "warning", "warnings"));
    return d.bad ? CLI_FAILED : CLI_OK;
}
