/* peersync doctor: do the registries answer, and what do their clocks say? */
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/cli/doctor.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SKEW_WARN_S 60 /* TLS and tokens begin to suffer */
#define SKEW_FAIL_S 600

static void
check_clock(struct doctor *d, const char *host, int64_t date_s)
{
    if (date_s < 0)
        return;
    int64_t skew_s = llabs(clock_wall_s() - date_s);
    enum doctor_verdict v = skew_s > SKEW_FAIL_S   ? DOCTOR_BAD
                            : skew_s > SKEW_WARN_S ? DOCTOR_WARNING
                                                   : DOCTOR_GOOD;
    doctor_tell(d, v, "clock", "%lld s apart from %s%s", (long long)skew_s, host,
                v == DOCTOR_GOOD ? "" : "; set the clock (timedatectl)");
}

/* What to look at when there is no answer at all. */
static const char *
advice(const struct doctor_seen *s)
{
    bool no_name = s->code == CURLE_OPERATION_TIMEDOUT && !s->resolved;
    switch (no_name ? CURLE_COULDNT_RESOLVE_HOST : (int)s->code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "DNS does not know the name or does not answer: /etc/resolv.conf, getent hosts";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "the proxy's name is not known: HTTPS_PROXY in the service's environment";
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
        return "is it up, is there a route, does a firewall or a proxy stand between?";
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return "its certificate is not trusted: a CA of your own goes into registries[].ca, and "
               "this "
               "node's clock must be right (timedatectl)";
    default:
        return "is the url right, and what stands between?";
    }
}

/* 401 is how a registry says that it wants a token, so it is as good as 200. */
static void
check_registry(struct doctor *d, const struct registry *r)
{
    AUTO(mem_free_text) char *url = mem_printf("%s/v2/", r->url);
    if (strcmp(r->host, "*") == 0)
        return;
    if (*r->ca && access(r->ca, R_OK) != 0)
        doctor_tell(d, DOCTOR_BAD, "registry", "%s: ca %s: %s", r->host, r->ca, err_text(-errno));
    if (r->auth == AUTH_NODE && access(r->credentials, R_OK) != 0)
        doctor_tell(d, DOCTOR_BAD, "registry", "%s: credentials %s: %s", r->host, r->credentials,
                    err_text(-errno));
    struct doctor_seen s = doctor_look(url, r->ca, false, DOCTOR_MS);
    if (s.code != CURLE_OK) {
        doctor_tell(d, DOCTOR_WARNING, "registry",
                    "%s: %s: %s; only what the site has is served until then; %s", r->host, url,
                    s.error, advice(&s));
        return;
    }
    bool fine = s.status == 200 || s.status == 401;
    doctor_tell(d, fine ? DOCTOR_GOOD : DOCTOR_WARNING, "registry", "%s answers %ld at %s%s",
                r->host, s.status, url, fine ? "" : "; is the url right?");
    check_clock(d, r->host, s.date_s);
}

void
doctor_registries(struct doctor *d)
{
    for (size_t i = 0; i < d->settings->registry_count; i++)
        check_registry(d, &d->settings->registries[i]);
}
