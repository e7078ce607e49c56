/*
 * The tables of subcommands and of flags. Parsing, help, completions and manual pages all come
 * from them.
 *
 * A flag stands once in command_flags[]; a command names those that it takes by their letters, so
 * a flag that a command would ignore is an error.
 */
#include "proxy/cli/command.h"
#include "proxy/cli/cli.h"
#include <string.h>

const struct command_flag command_flags[] = {
    {'c', "config", "FILE", "configuration (default /etc/peersync/config.yaml)"},
    {'A', "admin", "HOST:PORT", "the daemon's admin API (default: as configured)"},
    {'o', "output", "text|json", "for people or for scripts"},
    {'q', "quiet", "", "only errors"},
    {'P', "platform", "OS/ARCH", "of images for several (default: this machine's)"},
    {'G', "progress", "auto|tty|plain|none", "how to show it (default: auto)"},
    {'D', "dry-run", "", "show what would be done"},
    {'U', "undo", "", "put back what was there before"},
    {'F', "fresh-tags", "", "tags are asked upstream, only bytes come from here"},
    {'H', "hold", "", "stay, and undo when told to end"},
    {'R', "root", "DIR", "below this folder instead of /"},
    {'T', "to", "SIZE", "shrink to this, e.g. 5GiB"},
    {'h', "help", "", "this text"},
    {0},
};

const struct command commands[] = {
    {"serve", cli_serve, "ch", 0, 0, "", "run the daemon in the foreground",
     "Answers container runtimes as their registry mirror until it gets SIGTERM. SIGHUP reads\n"
     "the configuration again, SIGUSR1 logs the state. What it says is a log: log.level and\n"
     "log.format are to it what -q and -o json are to all other commands.\n\n"
     "Example: peersync serve --config /etc/peersync/config.yaml\n"},
    {"status", cli_status, "cAoqh", 0, 0, "", "this node in one screen",
     "State, cache, registries, where bytes came from, what is arriving now. Exit code 1 while "
     "the\n"
     "node does not serve, so that -q is a question.\n\n"
     "Example: peersync status -o json | jq .bytes\n"},
    {"top", cli_top, "cAoqh", 0, 0, "", "live transfers, redrawn each second",
     "As status, drawn again each second until q or Ctrl-C: what arrives as a row of pieces that\n"
     "fill by source (d disk, p nodes of the site, r other sites, u upstream), and the last pulls\n"
     "with why they took their time. Colours unless NO_COLOR is set. With -o json or -q, or\n"
     "without a terminal, it is as status.\n\n"
     "Example: peersync top\n"},
    {"peers", cli_peers, "cAoqh", 0, 0, "", "the other nodes and the tracker",
     "Who is tracker of the site, since when and why, its deputy, and the nodes that were heard:\n"
     "address, how long ago, what an upload from it waits, its free room; then other sites. Says\n"
     "so when this node runs alone, and why.\n\n"
     "Example: peersync peers -o json | jq -r .tracker.address\n"},
    {"tracker", cli_tracker, "cAoqh", 1, 1, "step-down", "hand the tracker's office to the next",
     "Before maintenance of the node that is tracker: the deputy takes over at once, and this\n"
     "node does not stand again for three seconds. Pulls go on. Fails where it is not tracker.\n\n"
     "Example: peersync tracker step-down\n"},
    {"cluster", cli_cluster, "oqh", 1, 1, "key", "print a new cluster key",
     "All nodes that share must have the same key; without one a node runs alone. Make one, once,\n"
     "and install it on every node as p2p.key_file, mode 0600, owned by the daemon's user:\n\n"
     "  peersync cluster key | install -m 600 -o peersync /dev/stdin /etc/peersync/cluster.key\n"
     "  ssh NODE install -m 600 -o peersync /dev/stdin /etc/peersync/cluster.key \\\n"
     "      </etc/peersync/cluster.key                                   for each other node\n"
     "  systemctl restart peersync; peersync doctor                      on all\n\n"
     "To change it later without a restart the file may hold several, a line each: the first\n"
     "signs, all are believed. keys.md (/usr/share/doc/peersync) says in which order.\n\n"
     "Example: peersync cluster key\n"},
    {"pull", cli_pull, "cAoqPGh", 1, 64, "IMAGE...", "warm the cache with images",
     "Asks the node for the manifest and every blob of each image, which fetches what is not\n"
     "cached yet. Nothing is unpacked. Names are read as docker reads them: busybox is\n"
     "docker.io/library/busybox:latest.\n\n"
     "Example: peersync pull busybox registry.local/app@sha256:...\n"},
    {"explain", cli_explain, "cAoqh", 1, 1, "IMAGE|DIGEST",
     "where it is and where its bytes came from",
     "What this node knows, which other nodes have it now, how many copies this site has and\n"
     "wants, and of an image the last pulls with why they took their time; asks no registry.\n\n"
     "Example: peersync explain docker.io/library/busybox:latest\n"},
    {"gc", cli_gc, "cAoqDTh", 0, 0, "", "evict now",
     "Evicts until the cache is within its limit or --to, what is worth least to the site first,\n"
     "and says what each blob is worth: requests (halving every day), copies in the site,\n"
     "probation. What is pinned or in use stays and is listed, too.\n\n"
     "Example: peersync gc --dry-run --to 5GiB\n"},
    {"pin", cli_pin, "cAoqh", 1, 1, "IMAGE|DIGEST", "keep an image in the cache",
     "Its blobs that are cached now never leave for room, also after a restart.\n\n"
     "Example: peersync pin busybox\n"},
    {"unpin", cli_pin, "cAoqh", 1, 1, "IMAGE|DIGEST", "let it leave again",
     "Also when another pinned image shares some of its blobs.\n\n"
     "Example: peersync unpin busybox\n"},
    {"verify", cli_verify, "cAoqh", 0, 0, "", "hash again all that is stored",
     "Blobs that do not match are moved to quarantine; then the exit code is 1.\n\n"
     "Example: peersync verify\n"},
    {"config", cli_config, "coqh", 1, 1, "check|show|reference", "check or print the configuration",
     "check      exit 78 and the place of the first mistake\n"
     "show       the values in effect and where each was set\n"
     "reference  all settings with help and defaults\n\n"
     "Example: peersync config check --config new.yaml\n"},
    {"setup", cli_setup, "coqDUFHRh", 1, 1, "containerd|docker|crio|k3s|cache",
     "make a runtime use this node",
     "Writes the runtime's mirror configuration. What was there is merged and kept beside it as\n"
     "FILE.peersync-backup; --undo puts it back. Says what to restart. With --hold it stays and\n"
     "does the undo at SIGTERM, as a container beside the daemon.\n\n"
     "setup cache makes the cache's folder and gives it to the user peersync, where no package\n"
     "and no unit does.\n\n"
     "Example: peersync setup docker --dry-run\n"},
    {"doctor", cli_doctor, "cAoqRh", 0, 0, "", "find out what is wrong",
     "Checks configuration, daemon, swarm (key, other nodes, multicast, clocks, ports, how the\n"
     "site was found), runtimes, cache folder, registries and clock, and says what to do. Exit\n"
     "code 1 when a check fails. With -q only what is wrong.\n\n"
     "Example: peersync doctor\n"},
    {"completion", cli_completion, "oqh", 1, 1, "bash|zsh|fish", "print completions for a shell",
     "The Debian package has them installed. For one shell alone:\n\n"
     "  peersync completion bash >~/.local/share/bash-completion/completions/peersync\n"
     "  peersync completion zsh >~/.zfunc/_peersync         a folder of $fpath\n"
     "  peersync completion fish >~/.config/fish/completions/peersync.fish\n\n"
     "Example: peersync completion bash\n"},
    {"manual", cli_manual, "oqh", 0, 1, "[PAGE]", "print a manual page for scdoc",
     "Without PAGE it names all pages: one for each command, and peersync.yaml.5 for the\n"
     "configuration.\n\n"
     "Example: peersync manual peersync-pull.1 | scdoc | man -l -\n"},
    {"version", cli_version, "oqh", 0, 0, "", "print the version", "Example: peersync version\n"},
    {0},
};

const struct command *
command_find(const char *name)
{
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

bool
command_takes(const struct command *c, const struct command_flag *f)
{
    return strchr(c->flags, f->letter) != NULL;
}

bool
command_next_word(const char **list, const char **ret_word, size_t *ret_len)
{
    const char *at = *list;
    if (at[0] < 'a' || at[0] > 'z')
        return false;
    *ret_word = at;
    *ret_len = strcspn(at, "|");
    *list = at + *ret_len + (at[*ret_len] == '|');
    return true;
}
