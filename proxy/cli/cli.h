/* The command line: a table of subcommands and what they share. One thread. */
#ifndef PROXY_CLI_H
#define PROXY_CLI_H

#include "base/err.h"
#include "base/json.h"
#include <stdio.h>

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NO_DAEMON = 3,
    CLI_CONFIG = 78, /* EX_CONFIG of sysexits.h */
};

enum cli_progress { CLI_PROGRESS_AUTO, CLI_PROGRESS_TTY, CLI_PROGRESS_PLAIN, CLI_PROGRESS_NONE };

/* One invocation: flags and what follows them. */
struct cli {
    const char *config;   /* --config, or NULL */
    const char *admin;    /* --admin, or NULL: as configured */
    const char *platform; /* --platform, or NULL */
    const char *to;       /* --to, or NULL */
    const char *root;     /* --root, "" when not given */
    bool json, quiet, dry_run, undo, fresh_tags, hold;
    enum cli_progress progress;
    const char *command; /* its name */
    int arg_count;
    char **args;
};

int cli_main(int argc, char **argv);

/* "peersync: text" to stderr; returns `code`. */
PRINTF(2, 3) int cli_fail(int code, const char *fmt, ...);

/* Where the daemon's admin API is: --admin or the configuration. 0 or an exit code. */
#define CLI_ADDRESS_MAX 300
CHECKED int cli_admin_address(const struct cli *cli, char ret_address[CLI_ADDRESS_MAX]);
/* An address to listen on as one to connect to: 0.0.0.0:5000 is 127.0.0.1:5000. */
CHECKED int cli_reachable(const char *listen, char ret_address[CLI_ADDRESS_MAX]);
/* Asks the daemon; tells errors itself. 0, CLI_FAILED, CLI_NO_DAEMON or CLI_CONFIG. */
CHECKED int cli_get(const struct cli *cli, const char *path, cJSON **ret);
CHECKED int cli_post(const struct cli *cli, const char *path, cJSON **ret);
/* As cli_get, but an answer of 404 is no error: *ret is NULL then. */
CHECKED int cli_find(const struct cli *cli, const char *path, cJSON **ret);
/* Prints a document for -o json and returns CLI_OK. */
int cli_print_json(const cJSON *doc);
/* Around what prints a text for another program: with -o json it comes as {key: text}, with -q not
 * at all. cli_text_end returns `result`. */
struct cli_text {
    FILE *real; /* NULL: stdout is as it was */
    char *text;
    size_t len;
};
void cli_text_begin(const struct cli *cli, struct cli_text *ret);
int cli_text_end(const struct cli *cli, struct cli_text *t, const char *key, int result);

/* Lenient getters for printing: 0 or "" when absent. */
uint64_t cli_number(const cJSON *doc, const char *key);
const char *cli_text(const cJSON *doc, const char *key);
bool cli_true(const cJSON *doc, const char *key);

/* The node's place in the swarm, of a document as GET /api/v1/peers gives it. */
void cli_swarm_print(const cJSON *p, FILE *to);
/* Messages that were refused for that reason in the last hour; NULL: none. */
const cJSON *cli_refused(const cJSON *p, const char *reason);
/* The same of GET /api/v1/status, but for its transfers; and of one pull of /api/v1/pulls. */
void cli_status_print(const cJSON *doc, FILE *to);
/* Whose blob a transfer brings. */
void cli_transfer_print(const cJSON *one, FILE *to);
void cli_pull_print(const cJSON *one, FILE *to);

/* The subcommands. */
int cli_serve(const struct cli *cli);
int cli_status(const struct cli *cli);
int cli_top(const struct cli *cli);
int cli_peers(const struct cli *cli);
int cli_tracker(const struct cli *cli);
int cli_cluster(const struct cli *cli);
int cli_pull(const struct cli *cli);
int cli_explain(const struct cli *cli);
int cli_gc(const struct cli *cli);
int cli_pin(const struct cli *cli); /* and unpin */
int cli_verify(const struct cli *cli);
int cli_config(const struct cli *cli);
int cli_setup(const struct cli *cli);
int cli_doctor(const struct cli *cli);
int cli_completion(const struct cli *cli);
int cli_manual(const struct cli *cli);
int cli_version(const struct cli *cli);

#endif
