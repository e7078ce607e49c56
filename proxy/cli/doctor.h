/* What the parts of `peersync doctor` share. One thread. */
#ifndef PROXY_CLI_DOCTOR_H
#define PROXY_CLI_DOCTOR_H

#include "proxy/cli/cli.h"
#include "proxy/settings.h"
#include <curl/curl.h>
#include <sys/stat.h>

#define DOCTOR_BODY_MAX 256
#define DOCTOR_MS       5000L /* for an answer of a registry or of the daemon */

enum doctor_verdict { DOCTOR_GOOD, DOCTOR_WARNING, DOCTOR_BAD };

struct doctor {
    const struct cli *cli;
    struct settings *settings;
    char admin[CLI_ADDRESS_MAX];
    bool answers; /* the daemon does */
    cJSON *list;  /* of -o json */
    unsigned bad, warnings;
};

/* One line: what was looked at, how it is, and what to do about it. */
PRINTF(4, 5)
void doctor_tell(struct doctor *d, enum doctor_verdict v, const char *what, const char *fmt, ...);

struct doctor_seen {
    long status;
    CURLcode code;
    bool resolved;               /* the name of the server, or of the proxy */
    int64_t date_s;              /* of the answer's Date, or -1 */
    char body[DOCTOR_BODY_MAX];  /* its first line */
    char error[CURL_ERROR_SIZE]; /* why there is no answer, "" when there is one */
};

/* Asks within wait_ms. ca: a file of certificates to trust, "" for the machine's. Proxies of the
 * environment hold for registries, never for ourselves (own). */
struct doctor_seen doctor_look(const char *url, const char *ca, bool own, long wait_ms);

/* ---- doctor_address.c; an address is HOST:PORT ---- */
/* Somebody listens there, whatever it speaks, or if it says nothing at all. Waits DOCTOR_MS. */
bool doctor_listens(const char *address);
/* It leads to this node, whose own address is `own`: Debian has a machine's name at 127.0.1.1. */
bool doctor_is_own(const char *address, const char *own);

/* ---- what the service may do: it has a user of its own, and did not start, so that it cannot be
 * asked ---- */
/* It has not all of these rights (as in S_IRWXO, 0 to 7) to what has that owner, group and mode. */
bool doctor_denied(const struct doctor *d, const struct stat *st, mode_t rights);
/* Its user has that group. */
bool doctor_has_group(gid_t group);

/* The parts, in the order in which a pull needs them. */
void doctor_daemon(struct doctor *d);
void doctor_swarm(struct doctor *d);
void doctor_runtimes(struct doctor *d);
void doctor_cache(struct doctor *d);
void doctor_registries(struct doctor *d);

#endif
