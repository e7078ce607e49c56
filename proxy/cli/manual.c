/* peersync manual: manual pages as scdoc(5) text, out of the tables of commands, flags and
 * settings. */
#include "base/buf.h"
#include "base/config_value.h"
#include "proxy/cli/cli.h"
#include "proxy/cli/command.h"
#include "proxy/settings.h"
#include <stdio.h>
#include <string.h>

#define OVERVIEW "peersync.1"
#define SETTINGS "peersync.yaml.5"
#define EXAMPLE  "Example: " /* begins the last line of a command's help */

/* ---- scdoc ---- */

/* Text that scdoc shows as it stands. */
static void
put_text(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("_*\\#`~+|[]<>.", text[i]))
            (void)putchar('\\');
        (void)putchar(text[i]);
    }
}

static void
put(const char *text)
{
    put_text(text, strlen(text));
}

static void
put_head(const char *name, int section, const char *summary)
{
    (void)printf("%s(%d) \"peersync %s\"\n\n# NAME\n\n%s - ", name, section, PEERSYNC_VERSION,
                 name);
    put(summary);
    (void)putchar('\n');
}

/* As it stands, in a block. */
static void
put_literal(const char *text, size_t len)
{
    (void)fputs("```\n", stdout);
    for (size_t i = 0; i < len; i++)
        (void)printf(text[i] == '\\' ? "%c\\" : "%c", text[i]);
    (void)fputs("\n```\n\n", stdout);
}

/* Columns and commands are shown as they stand; everything else is running text. */
static void
put_paragraph(const char *text, size_t len)
{
    if (text[0] == ' ' || memmem(text, len, "   ", 3)) {
        put_literal(text, len);
        return;
    }
    put_text(text, len);
    (void)fputs("\n\n", stdout);
}

static void
put_paragraphs(const char *text, const char *end)
{
    while (text < end) {
        const char *gap = memmem(text, (size_t)(end - text), "\n\n", 2);
        put_paragraph(text, (size_t)((gap ? gap : end) - text));
        text = gap ? gap + 2 : end;
    }
}

static void
put_exit_status(void)
{
    (void)fputs("# EXIT STATUS\n\n"
                "*0* well, *1* failed, *2* wrong usage, *3* the daemon is not reachable, *78* the\n"
                "configuration is wrong.\n\n",
                stdout);
}

/* ---- commands ---- */

static void
put_options(const struct command *c)
{
    (void)fputs("# OPTIONS\n\n", stdout);
    for (const struct command_flag *f = command_flags; f->name; f++) {
        if (!command_takes(c, f))
            continue;
        if (f->letter >= 'a')
            (void)printf("*-%c*, ", f->letter);
        (void)printf("*--%s*", f->name);
        if (*f->value) {
            (void)putchar(' ');
            put(f->value);
        }
        (void)fputs("\n\t", stdout);
        put(f->help);
        (void)fputs("\n\n", stdout);
    }
}

static int
print_command(const struct command *c)
{
    char name[64];
    (void)snprintf(name, sizeof name, "peersync-%s", c->name);
    put_head(name, 1, c->summary);
    (void)printf("\n# SYNOPSIS\n\n*peersync %s* \\[options\\]%s", c->name, *c->args ? " " : "");
    put(c->args);
    (void)fputs("\n\n", stdout);
    const char *example = strstr(c->help, EXAMPLE);
    must(example != NULL);
    if (example > c->help)
        (void)fputs("# DESCRIPTION\n\n", stdout);
    put_paragraphs(c->help, example);
    put_options(c);
    put_exit_status();
    (void)fputs("# EXAMPLE\n\n", stdout);
    example += sizeof EXAMPLE - 1;
    put_literal(example, strcspn(example, "\n"));
    (void)fputs("# SEE ALSO\n\n*peersync*(1), *peersync.yaml*(5)\n", stdout);
    return CLI_OK;
}

static int
print_overview(void)
{
    put_head("peersync", 1, "the registry mirror of this node's container runtime");
    (void)fputs(
        "\n# SYNOPSIS\n\n*peersync* command \\[options\\] \\[arguments\\]\n\n"
        "# DESCRIPTION\n\n"
        "A daemon on every node of a site that answers the pulls of the node's own container\n"
        "runtime: from its disk cache, from other nodes, or from the registry, mixed within\n"
        "one blob. Each byte is checked against its digest before a pull can complete. When\n"
        "anything is wrong with it, the runtime goes to the registry by itself.\n\n"
        "# COMMANDS\n\n",
        stdout);
    for (const struct command *c = commands; c->name; c++) {
        (void)printf("*%s*\n\t", c->name);
        put(c->summary);
        (void)printf("; see *peersync-%s*(1)\n\n", c->name);
    }
    put_exit_status();
    (void)fputs("# FILES\n\n"
                "_/etc/peersync/config.yaml_\n\tthe configuration, see *peersync.yaml*(5)\n\n"
                "_/etc/peersync/cluster.key_\n\tthe key that all nodes share\n\n"
                "_/var/lib/peersync_\n\tthe cache\n\n"
                "# SEE ALSO\n\n*peersync.yaml*(5)",
                stdout);
    for (const struct command *c = commands; c->name; c++)
        (void)printf(", *peersync-%s*(1)", c->name);
    (void)putchar('\n');
    return CLI_OK;
}

/* ---- settings ---- */

static int
put_setting(const struct config_key *k)
{
    AUTO(buf_release) struct buf words;
    buf_init(&words, 512);
    if (config_value_describe(k, &words))
        return CLI_FAILED;
    (void)putchar('*');
    put(k->name);
    (void)fputs("*\n\t", stdout);
    put(k->help);
    (void)fputs(" Takes ", stdout);
    put(buf_text(&words));
    (void)fputs(k->fallback ? ". Default: " : ". Required.\n\n", stdout);
    if (k->fallback) {
        put(*k->fallback ? k->fallback : "nothing");
        (void)fputs("\\.\n\n", stdout);
    }
    return CLI_OK;
}

static int
print_settings(void)
{
    put_head("peersync.yaml", 5, "configuration of peersync");
    (void)fputs(
        "\n# SYNOPSIS\n\n_/etc/peersync/config.yaml_, _/etc/peersync/conf.d/\\*.yaml_\n\n"
        "# DESCRIPTION\n\n"
        "A YAML file in which every key has a default, so an empty one serves a single node\n"
        "for Docker Hub. A dot in a name below is a level of the file: *cache.size* is *size*\n"
        "in the section *cache*. Files of _conf.d_ beside it are read after it, in order of\n"
        "name; then the environment: *PEERSYNC_CACHE_SIZE* is *cache.size*. Unknown and\n"
        "repeated keys, unknown variables, anchors and tags are errors.\n\n"
        "*peersync config check* finds mistakes, *peersync config show* tells what is in\n"
        "effect and where it was set. SIGHUP loads the files again, all or nothing; what\n"
        "then needs a restart says so below.\n\n"
        "# SETTINGS\n\n",
        stdout);
    size_t count;
    const struct config_key *keys = settings_keys(&count);
    int bad = 0;
    for (size_t i = 0; i < count && !bad; i++)
        bad = put_setting(&keys[i]);
    (void)fputs("# SEE ALSO\n\n*peersync*(1), *peersync-config*(1)\n", stdout);
    return bad;
}

static int
print_names(void)
{
    (void)puts(OVERVIEW);
    for (const struct command *c = commands; c->name; c++)
        (void)printf("peersync-%s.1\n", c->name);
    (void)puts(SETTINGS);
    return CLI_OK;
}

static int
print_page(const struct cli *cli)
{
    if (cli->arg_count == 0)
        return print_names();
    const char *page = cli->args[0];
    if (strcmp(page, OVERVIEW) == 0)
        return print_overview();
    if (strcmp(page, SETTINGS) == 0)
        return print_settings();
    for (const struct command *c = commands; c->name; c++) {
        char name[64];
        (void)snprintf(name, sizeof name, "peersync-%s.1", c->name);
        if (strcmp(page, name) == 0)
            return print_command(c);
    }
    return cli_fail(CLI_USAGE, "%s: no such page; `peersync manual` names them", page);
}

int
cli_manual(const struct cli *cli)
{
    struct cli_text t;
    cli_text_begin(cli, &t);
    int result = print_page(cli);
    return cli_text_end(cli, &t, "text", result);
}
