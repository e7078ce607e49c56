/*
 * The table of subcommands and of flags, and the help that is printed from them.
 *
 * A flag stands once in flags[]; a command names those that it takes by their letters, so
 * a flag that a command would ignore is an error.
 */
#include "proxy/cli/cli.h"
#include "base/text.h"
#include "proxy/daemon.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct flag {
    char letter; /* upper case: a name only, no short form */
    const char *name;
    const char *value; /* what it takes, as help names it; "" for none */
    const char *help;
} flags[] = {
    {'c', "config", "FILE", "configuration (default /etc/peersync/config.yaml)"},
    {'A', "admin", "HOST:PORT", "the daemon's admin API (default: as configured)"},
    {'o', "output", "FORMAT", "text or json"},
    {'q', "quiet", "", "only errors"},
    {'P', "platform", "OS/ARCH", "of images for several (default: this machine's)"},
    {'G', "progress", "KIND", "auto, tty, plain or none"},
    {'D', "dry-run", "", "show what would be done"},
    {'U', "undo", "", "put back what was there before"},
    {'F', "fresh-tags", "", "tags are asked upstream, only bytes come from here"},
    {'R', "root", "DIR", "below this folder instead of /"},
    {'T', "to", "SIZE", "shrink to this, e.g. 5GiB"},
    {'h', "help", "", "this text"},
};

static const struct command {
    const char *name;
    int (*run)(const struct cli *cli);
    const char *flags; /* letters of flags[] */
    int args_min, args_max;
    const char *args;
    const char *summary;
    const char *help;
} commands[] = {
    {"serve", cli_serve, "ch", 0, 0, "", "run the daemon in the foreground",
     "Answers container runtimes as their registry mirror until it gets SIGTERM. SIGHUP reads\n"
     "the configuration again, SIGUSR1 logs the state.\n\n"
     "Example: peersync serve --config /etc/peersync/config.yaml\n"},
    {"status", cli_status, "cAoh", 0, 0, "", "this node in one screen",
     "State, cache, registries, where bytes came from, what is arriving now.\n\n"
     "Example: peersync status -o json | jq .bytes\n"},
    {"top", cli_top, "cAoh", 0, 0, "", "live transfers, redrawn each second",
     "As status, again each second until Ctrl-C: transfers with their bytes by source (cache,\n"
     "peers, other sites, upstream), pieces and peers. With -o json or without a terminal it\n"
     "prints once.\n\n"
     "Example: peersync top\n"},
    {"peers", cli_peers, "cAoh", 0, 0, "", "the other nodes and the tracker",
     "Who is tracker of the site, since when and why, its deputy, and the nodes that were heard:\n"
     "address, how long ago, what an upload from it waits, its free room; then other sites. Says\n"
     "so when this node runs alone, and why.\n\n"
     "Example: peersync peers -o json | jq -r .tracker.address\n"},
    {"tracker", cli_tracker, "cAoh", 1, 1, "step-down", "hand the tracker's office to the next",
     "Before maintenance of the node that is tracker: the deputy takes over at once, and this\n"
     "node does not stand again for three seconds. Pulls go on. Fails where it is not tracker.\n\n"
     "Example: peersync tracker step-down\n"},
    {"cluster", cli_cluster, "h", 1, 1, "key", "print a new cluster key",
     "All nodes that share must have the same key; without one a node runs alone. Make one, once,\n"
     "and install it on every node as p2p.key_file, mode 0600, owned by the daemon's user:\n\n"
     "  peersync cluster key | install -m 600 -o peersync /dev/stdin /etc/peersync/cluster.key\n"
     "  ssh NODE install -m 600 -o peersync /dev/stdin /etc/peersync/cluster.key \\\n"
     "      </etc/peersync/cluster.key                                   for each other node\n"
     "  systemctl restart peersync; peersync doctor                      on all\n\n"
     "Example: peersync cluster key\n"},
    {"pull", cli_pull, "cAqPGh", 1, 64, "IMAGE...", "warm the cache with images",
     "Asks the node for the manifest and every blob of each image, which fetches what is not\n"
     "cached yet. Nothing is unpacked. Names are read as docker reads them: busybox is\n"
     "docker.io/library/busybox:latest.\n\n"
     "Example: peersync pull busybox registry.local/app@sha256:...\n"},
    {"explain", cli_explain, "cAoh", 1, 1, "IMAGE|DIGEST",
     "where it is and where its bytes came from",
     "What this node knows, and which other nodes have it now; asks no registry.\n\n"
     "Example: peersync explain docker.io/library/busybox:latest\n"},
    {"gc", cli_gc, "cAoqDTh", 0, 0, "", "evict now",
     "Evicts the least recently used blobs until the cache is within its limit or --to.\n\n"
     "Example: peersync gc --dry-run --to 5GiB\n"},
    {"verify", cli_verify, "cAoqh", 0, 0, "", "hash again all that is stored",
     "Blobs that do not match are moved to quarantine; then the exit code is 1.\n\n"
     "Example: peersync verify\n"},
    {"config", cli_config, "coh", 1, 1, "check|show|reference", "check or print the configuration",
     "check      exit 78 and the place of the first mistake\n"
     "show       the values in effect and where each was set\n"
     "reference  all settings with help and defaults\n\n"
     "Example: peersync config check --config new.yaml\n"},
    {"setup", cli_setup, "cDUFRh", 1, 1, "containerd|docker|crio|k3s",
     "make a runtime use this node",
     "Writes the runtime's mirror configuration. What was there is merged and kept beside it as\n"
     "FILE.peersync-backup; --undo puts it back. Says what to restart.\n\n"
     "Example: peersync setup docker --dry-run\n"},
    {"doctor", cli_doctor, "cAoRh", 0, 0, "", "find out what is wrong",
     "Checks configuration, daemon, swarm (key, other nodes, multicast, clocks, ports, how the\n"
     "site was found), runtimes, cache folder, registries and clock. Exit code 1 when a check\n"
     "fails.\n\n"
     "Example: peersync doctor\n"},
    {"version", cli_version, "h", 0, 0, "", "print the version", "Example: peersync version\n"},
};

int
cli_fail(int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("peersync: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return code;
}

/* ---- help ---- */

static void
print_usage(FILE *to)
{
    (void)fputs("usage: peersync COMMAND [OPTIONS] [ARGUMENTS]\n\n"
                "The registry mirror of this node's container runtime.\n\n",
                to);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        (void)fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].summary);
    (void)fputs("\npeersync COMMAND --help tells more. Exit codes: 0 well, 1 failed, 2 wrong "
                "usage,\n3 daemon not reachable, 78 configuration.\n",
                to);
}

static void
print_help(const struct command *c)
{
    (void)printf("usage: peersync %s [OPTIONS]%s%s\n\n%s\n\noptions:\n", c->name,
                 *c->args ? " " : "", c->args, c->summary);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        const struct flag *f = &flags[i];
        if (!strchr(c->flags, f->letter))
            continue;
        bool is_short = f->letter >= 'a';
        char name[32];
        (void)snprintf(name, sizeof name, "--%s %s", f->name, f->value);
        (void)printf("  %c%c%c %-19s %s\n", is_short ? '-' : ' ', is_short ? f->letter : ' ',
                     is_short ? ',' : ' ', name, f->help);
    }
    (void)printf("\n%s", c->help);
}

/* ---- flags ---- */

#define FLAGS_MAX ARRAY_LEN(flags)

struct accepted {
    struct option options[FLAGS_MAX + 1];
    char letters[2 * FLAGS_MAX + 3];
};

static void
accept(const struct command *c, struct accepted *ret)
{
    size_t n = 0, at = 0;
    ret->letters[at++] = ':';
    for (size_t i = 0; i < FLAGS_MAX; i++) {
        const struct flag *f = &flags[i];
        if (!strchr(c->flags, f->letter))
            continue;
        ret->options[n++] =
            (struct option){f->name, *f->value ? required_argument : no_argument, NULL, f->letter};
        if (f->letter < 'a')
            continue;
        ret->letters[at++] = f->letter;
        if (*f->value)
            ret->letters[at++] = ':';
    }
    ret->letters[at] = 0;
    ret->options[n] = (struct option){0};
}

static int
read_progress(const char *text, enum cli_progress *ret)
{
    static const char *const kinds[] = {"auto", "tty", "plain", "none"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(text, kinds[i]) == 0) {
            *ret = (enum cli_progress)i;
            return 0;
        }
    }
    return cli_fail(CLI_USAGE, "--progress: expected auto, tty, plain or none, not \"%s\"", text);
}

static int
read_output(const char *text, bool *ret_json)
{
    *ret_json = strcmp(text, "json") == 0;
    if (*ret_json || strcmp(text, "text") == 0)
        return 0;
    return cli_fail(CLI_USAGE, "--output: expected text or json, not \"%s\"", text);
}

static int
take_flag(int letter, char *value, struct cli *cli)
{
    switch (letter) {
    case 'c':
        cli->config = value;
        return 0;
    case 'A':
        cli->admin = value;
        return 0;
    case 'o':
        return read_output(value, &cli->json);
    case 'q':
        cli->quiet = true;
        return 0;
    case 'P':
        cli->platform = value;
        return 0;
    case 'G':
        return read_progress(value, &cli->progress);
    case 'D':
        cli->dry_run = true;
        return 0;
    case 'U':
        cli->undo = true;
        return 0;
    case 'F':
        cli->fresh_tags = true;
        return 0;
    case 'R':
        cli->root = value;
        return 0;
    case 'T':
        cli->to = value;
        return 0;
    default:
        never("flag without a case");
    }
}

static int
wrong_flag(const struct command *c, int what, char **argv)
{
    const char *word = argv[optind - 1];
    const char *why = what == ':' ? "needs a value" : "is no option of this command";
    return cli_fail(CLI_USAGE, "%s %s; see peersync %s --help", word, why, c->name);
}

/* argv[0] is the command's name. *ret_help: only help was wanted. */
static int
read_flags(const struct command *c, int argc, char **argv, struct cli *cli, bool *ret_help)
{
    struct accepted a;
    accept(c, &a);
    opterr = 0;
    optind = 1;
    int letter;
    while ((letter = getopt_long(argc, argv, a.letters, a.options, NULL)) != -1) {
        if (letter == '?' || letter == ':')
            return wrong_flag(c, letter, argv);
        *ret_help = *ret_help || letter == 'h';
        int bad = letter == 'h' ? 0 : take_flag(letter, optarg, cli);
        if (bad)
            return bad;
    }
    cli->args = argv + optind;
    cli->arg_count = argc - optind;
    return 0;
}

/* ---- commands ---- */

static const struct command *
find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int
unknown_command(const char *name)
{
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        size_t edits = strlen(name) < 32 ? text_distance(commands[i].name, name) : least;
        if (edits < least) {
            least = edits;
            best = commands[i].name;
        }
    }
    if (best)
        return cli_fail(CLI_USAGE, "%s: no such command; did you mean %s?", name, best);
    return cli_fail(CLI_USAGE, "%s: no such command; see peersync --help", name);
}

static int
run(const struct command *c, int argc, char **argv)
{
    struct cli cli = {.root = ""};
    bool help = false;
    int bad = read_flags(c, argc, argv, &cli, &help);
    if (bad)
        return bad;
    if (help) {
        print_help(c);
        return CLI_OK;
    }
    if (cli.arg_count < c->args_min || cli.arg_count > c->args_max)
        return cli_fail(CLI_USAGE, "usage: peersync %s [OPTIONS]%s%s", c->name, *c->args ? " " : "",
                        c->args);
    return c->run(&cli);
}

int
cli_main(int argc, char **argv)
{
    json_init();
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return CLI_OK;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    if (!*name) {
        print_usage(stderr);
        return CLI_USAGE;
    }
    const struct command *c = find_command(name);
    return c ? run(c, argc - 1, argv + 1) : unknown_command(name);
}

int
cli_version(const struct cli *cli)
{
    (void)cli;
    (void)printf("peersync %s\n", PEERSYNC_VERSION);
    return CLI_OK;
}

int
cli_serve(const struct cli *cli)
{
    return daemon_run(cli->config);
}
