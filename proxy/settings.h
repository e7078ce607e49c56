/* The settings of one configuration, as the daemon uses them. The table that fills this
 * struct, with defaults, ranges and help, is settings.def. A loaded struct settings never
 * changes: a reload makes a new one (all or nothing), and a request keeps the one it
 * began with. */
#ifndef PROXY_SETTINGS_H
#define PROXY_SETTINGS_H

#include "base/config.h"
#include "base/err.h"
#include "base/log.h"
#include "base/must.h"

#define REGISTRIES_MAX  64
#define SETTINGS_PATH   "/etc/peersync/config.yaml"
#define SETTINGS_PREFIX "PEERSYNC" /* of environment variables */

enum registry_auth {
    AUTH_PUBLIC, /* anonymous tokens only */
    AUTH_NODE,   /* this node's credentials file */
    AUTH_PASS,   /* the client's own Authorization, passed on knowingly */
};

struct registry {
    char *host; /* the name clients use (ns=, path prefix); "*": any other */
    char *url;  /* base URL without a trailing slash; "" for "*" */
    enum registry_auth auth;
    char *credentials; /* path of a docker config.json, or "" */
    char *ca;          /* path of an extra CA file, or "" */
    char *realms;      /* further hosts that may be a token realm, comma separated, or "" */
};

struct settings {
    char *listen, *admin; /* host:port */
    enum log_level log_level;
    bool log_json;
    char *cache_dir;
    uint64_t cache_size_bytes; /* 0: cache_size_percent rules */
    unsigned cache_size_percent;
    uint64_t cache_min_free_bytes;
    uint64_t cache_memory_bytes;
    bool cache_compress;
    char *cache_containerd_content; /* "": none */
    bool cache_containerd_owns;
    struct registry *registries;
    size_t registry_count;
    char *default_registry;
    int64_t tags_revalidate_ms, tags_stale_if_error_ms;
    bool prefetch_enabled;
    unsigned prefetch_parallel; /* blobs in flight because of prefetch, 1..64 */
    bool p2p_enabled;
    char *p2p_listen, *p2p_advertise, *p2p_key_file, *p2p_site;
    bool p2p_multicast, p2p_preseed;
    char **p2p_seeds;
    size_t p2p_seed_count;
    int p2p_priority;
    unsigned limit_connections, limit_connections_per_address, limit_peer_uploads;
    uint64_t limit_upload_rate, limit_wan_rate; /* bytes/s, 0: none */
    int refs;                                   /* atomic; settings.c only */
};

/* Reads `path` (NULL: SETTINGS_PATH, all defaults when there is none), conf.d/ *.yaml next to
 * it and the environment. ERR_CONFIG: e->text says file:line:column, key, what was expected;
 * -errno when a named file cannot be read. */
CHECKED int settings_load(const char *path, struct settings **ret, struct err *e);
/* One text alone, without folder and environment. */
CHECKED int settings_parse(const char *text, size_t len, const char *name, struct settings **ret,
                           struct err *e);
struct settings *settings_ref(struct settings *s);
void settings_release(struct settings **s); /* for AUTO; NULL inside is fine */
/* The registry of that name, the "*" one when there is no exact match, or NULL. */
const struct registry *settings_registry(const struct settings *s, const char *host);

/* The first key that differs and that a running daemon cannot take over, or NULL. */
const char *settings_needs_restart(const struct settings *running, const struct settings *wanted);

/* The checked layers themselves, for `config show`. Caller closes. */
CHECKED int settings_config(const char *path, struct config **ret, struct err *e);
/* The table itself, for manual pages. */
const struct config_key *settings_keys(size_t *ret_count);
/* configs/reference.yaml */
CHECKED int settings_reference(struct buf *ret);

#endif
