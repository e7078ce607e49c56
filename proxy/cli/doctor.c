/*
 * peersync doctor: looks at everything that a pull through this node needs, in the order in
 * which it would be needed, and says what to do about what is wrong.
 */
#include "proxy/cli/doctor.h"
#include "base/mem.h"
#include "base/text.h"
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SERVICE_USER "peersync" /* of the package's unit */

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
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &s.status);
    curl_easy_cleanup(curl);
    s.body[strcspn(s.body, "\r\n")] = 0;
    s.error[strcspn(s.error, "\r\n")] = 0;
    if (s.code == CURLE_COULDNT_CONNECT || (s.code != CURLE_OK && !*s.error))
        (void)snprintf(s.error, sizeof s.error, "%s", curl_easy_strerror(s.code));
    return s;
}

bool
doctor_listens(const char *address)
{
    AUTO(mem_free_text) char *url = mem_printf("http://%s/", address);
    struct doctor_seen s = doctor_look(url, "", true, DOCTOR_MS);
    return s.code != CURLE_COULDNT_CONNECT && s.code != CURLE_COULDNT_RESOLVE_HOST &&
           s.code != CURLE_OPERATION_TIMEDOUT;
}

bool
doctor_wrong_owner(const struct doctor *d, uid_t owner)
{
    const struct passwd *user = d->answers ? NULL : getpwnam(SERVICE_USER);
    return user && user->pw_uid != owner;
}

/* ---- the daemon ---- */

/* It does not run: is that because somebody else has one of its addresses? */
static void
tell_silent(struct doctor *d, const char *admin, const char *error)
{
    const struct {
        const char *setting, *listen;
    } wanted[] = {{"listen", d->settings->listen}, {"p2p.listen", d->settings->p2p_listen}};
    bool taken = false;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        char address[CLI_ADDRESS_MAX];
        if (cli_reachable(wanted[i].listen, address) || !doctor_listens(address))
            continue;
        taken = true;
        doctor_tell(d, DOCTOR_BAD, "daemon",
                    "no answer at %s, and another program listens at %s (%s): `ss -ltnp` names it; "
                    "end it or change %s",
                    admin, address, wanted[i].setting, wanted[i].setting);
    }
    if (!taken)
        doctor_tell(d, DOCTOR_BAD, "daemon",
                    "no answer at %s: %s; start it: systemctl start peersync; if it ends again, "
                    "journalctl -u peersync says why",
                    admin, error);
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
    char admin[CLI_ADDRESS_MAX], listen[CLI_ADDRESS_MAX];
    if (cli_admin_address(d->cli, admin) || cli_reachable(d->settings->listen, listen))
        return;
    AUTO(mem_free_text) char *ready = mem_printf("http://%s/readyz", admin);
    struct doctor_seen s = doctor_look(ready, "", true, DOCTOR_MS);
    if (s.code != CURLE_OK) {
        tell_silent(d, admin, s.error);
        return;
    }
    if (s.status != 200 && s.status != 503) {
        doctor_tell(d, DOCTOR_BAD, "daemon",
                    "what answers at %s is not peersync (status %ld): `ss -ltnp` names it; end it "
                    "or change admin",
                    admin, s.status);
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
    check_all(&d);
    if (cli->json)
        (void)cli_print_json(doc);
    else if (!cli->quiet || d.bad || d.warnings)
        (void)printf("%u failed, %u %s\n", d.bad, d.warnings,
                     text_plural(d.warnings, "warning", "warnings"));
    return d.bad ? CLI_FAILED : CLI_OK;
}
