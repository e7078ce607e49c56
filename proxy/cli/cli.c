/* Reads a command line by the tables of command.c, and the help that is printed from them. */
#include "proxy/cli/cli.h"
#include "base/text.h"
#include "proxy/cli/command.h"
#include "proxy/daemon.h"
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    for (const struct command *c = commands; c->name; c++)
        (void)fprintf(to, "  %-10s %s\n", c->name, c->summary);
    (void)fputs("\npeersync COMMAND --help tells more. Exit codes: 0 well, 1 failed, 2 wrong "
                "usage,\n3 daemon not reachable, 78 configuration.\n",
                to);
}

static void
print_help(const struct command *c)
{
    (void)printf("usage: peersync %s [OPTIONS]%s%s\n\n%s\n\noptions:\n", c->name,
                 *c->args ? " " : "", c->args, c->summary);
    for (const struct command_flag *f = command_flags; f->name; f++) {
        if (!command_takes(c, f))
            continue;
        bool is_short = f->letter >= 'a';
        char name[48];
        (void)snprintf(name, sizeof name, "--%s %s", f->name, f->value);
        (void)printf("  %c%c%c %-30s %s\n", is_short ? '-' : ' ', is_short ? f->letter : ' ',
                     is_short ? ',' : ' ', name, f->help);
    }
    (void)printf("\n%s", c->help);
}

/* ---- flags ---- */

#define FLAGS_MAX 32

struct accepted {
    struct option options[FLAGS_MAX + 1];
    char letters[2 * FLAGS_MAX + 3];
};

static void
accept(const struct command *c, struct accepted *ret)
{
    size_t n = 0, at = 0;
    ret->letters[at++] = ':';
    for (const struct command_flag *f = command_flags; f->name; f++) {
        if (!command_takes(c, f))
            continue;
        must(n < FLAGS_MAX);
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
    case 'H':
        cli->hold = true;
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

static int
unknown_command(const char *name)
{
    const char *best = NULL;
    size_t least = strlen(name) < 3 ? strlen(name) : 3; /* nothing of it would be left */
    for (const struct command *c = commands; c->name; c++) {
        size_t edits = strlen(name) < 32 ? text_distance(c->name, name) : least;
        if (edits < least) {
            least = edits;
            best = c->name;
        }
    }
    if (best)
        return cli_fail(CLI_USAGE, "%s: no such command; did you mean %s?", name, best);
    return cli_fail(CLI_USAGE, "%s: no such command; see peersync --help", name);
}

static int
check_count(const struct command *c, const struct cli *cli)
{
    const char *gap = *c->args ? " " : "";
    if (cli->arg_count < c->args_min)
        return cli_fail(CLI_USAGE, "%s is missing; usage: peersync %s [OPTIONS]%s%s", c->args,
                        c->name, gap, c->args);
    if (cli->arg_count > c->args_max)
        return cli_fail(CLI_USAGE, "\"%s\" is one word too many; usage: peersync %s [OPTIONS]%s%s",
                        cli->args[c->args_max], c->name, gap, c->args);
    return 0;
}

static int
run(const struct command *c, int argc, char **argv)
{
    struct cli cli = {.command = c->name, .root = "", .args = argv + argc};
    bool help = false;
    int bad = read_flags(c, argc, argv, &cli, &help);
    if (bad)
        return bad;
    if (help) {
        print_help(c);
        return CLI_OK;
    }
    bad = check_count(c, &cli);
    return bad ? bad : c->run(&cli);
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
    const struct command *c = command_find(name);
    return c ? run(c, argc - 1, argv + 1) : unknown_command(name);
}

void
cli_text_begin(const struct cli *cli, struct cli_text *ret)
{
    *ret = (struct cli_text){.real = NULL};
    if (!cli->json && !cli->quiet)
        return;
    FILE *memory = open_memstream(&ret->text, &ret->len);
    must(memory != NULL);
    ret->real = stdout;
    stdout = memory; /* a variable of glibc's, made to be set */
}

int
cli_text_end(const struct cli *cli, struct cli_text *t, const char *key, int result)
{
    if (t->real == NULL)
        return result;
    (void)fclose(stdout);
    stdout = t->real;
    if (cli->json && result == CLI_OK) {
        AUTO(json_free) cJSON *doc = cJSON_CreateObject();
        cJSON_AddStringToObject(doc, key, t->text);
        (void)cli_print_json(doc);
    }
    free(t->text); /* open_memstream's, not mem's */
    return result;
}

int
cli_version(const struct cli *cli)
{
    if (cli->json) {
        AUTO(json_free) cJSON *doc = cJSON_CreateObject();
        cJSON_AddStringToObject(doc, "version", PEERSYNC_VERSION);
        return cli_print_json(doc);
    }
    if (!cli->quiet)
        (void)printf("peersync %s\n", PEERSYNC_VERSION);
    return CLI_OK;
}

int
cli_serve(const struct cli *cli)
{
    return daemon_run(cli->config);
}
