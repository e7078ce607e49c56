/* peersync completion bash|zsh|fish: completions out of the tables of commands and flags. */
#include "proxy/cli/cli.h"
#include "proxy/cli/command.h"
#include <stdio.h>
#include <string.h>

/* Text inside of '...'; `quote` is how the shell writes a quote there. */
static void
put_quoted(const char *text, const char *quote)
{
    for (; *text; text++) {
        if (*text == '\'')
            (void)fputs(quote, stdout);
        else
            (void)putchar(*text);
    }
}

static void
put_words(const char *list)
{
    const char *word;
    size_t len;
    for (const char *gap = ""; command_next_word(&list, &word, &len); gap = " ")
        (void)printf("%s%.*s", gap, (int)len, word);
}

static bool
is_words(const char *list)
{
    const char *word;
    size_t len;
    return command_next_word(&list, &word, &len);
}

static bool
is_short(const struct command_flag *f)
{
    return f->letter >= 'a';
}

/* ---- bash ---- */

static void
bash_value(const struct command_flag *f)
{
    (void)printf("    --%s", f->name);
    if (is_short(f))
        (void)printf("|-%c", f->letter);
    (void)fputs(") ", stdout);
    if (is_words(f->value)) {
        (void)fputs("words='", stdout);
        put_words(f->value);
        (void)fputs("' ;;\n", stdout);
    } else if (strcmp(f->value, "FILE") == 0 || strcmp(f->value, "DIR") == 0) {
        (void)printf("compopt -o filenames; mapfile -t COMPREPLY < <(compgen -%c -- \"$word\")\n"
                     "        return ;;\n",
                     f->value[0] == 'F' ? 'f' : 'd');
    } else {
        (void)fputs("return ;;\n", stdout);
    }
}

static void
bash_command(const struct command *c)
{
    (void)printf("        %s) words='", c->name);
    put_words(c->args);
    for (const struct command_flag *f = command_flags; f->name; f++) {
        if (command_takes(c, f))
            (void)printf(" --%s", f->name);
    }
    (void)fputs("' ;;\n", stdout);
}

static void
bash(void)
{
    (void)fputs("# Completions of peersync for bash, written by `peersync completion bash`.\n"
                "_peersync() {\n"
                "    local word=${COMP_WORDS[COMP_CWORD]} words=\n"
                "    COMPREPLY=()\n"
                "    case ${COMP_WORDS[COMP_CWORD - 1]} in\n",
                stdout);
    for (const struct command_flag *f = command_flags; f->name; f++) {
        if (*f->value)
            bash_value(f);
    }
    (void)fputs("    esac\n    if [ \"$COMP_CWORD\" = 1 ]; then\n        words='", stdout);
    for (const struct command *c = commands; c->name; c++)
        (void)printf("%s ", c->name);
    (void)fputs("--help --version'\n"
                "    elif [ -z \"$words\" ]; then\n"
                "        case ${COMP_WORDS[1]} in\n",
                stdout);
    for (const struct command *c = commands; c->name; c++)
        bash_command(c);
    (void)fputs("        esac\n"
                "    fi\n"
                "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
                "}\n"
                "complete -F _peersync peersync\n",
                stdout);
}

/* ---- zsh ---- */

static void
zsh_flag(const struct command_flag *f)
{
    if (is_short(f))
        (void)printf("            '(-%c --%s)'{-%c,--%s}'[", f->letter, f->name, f->letter,
                     f->name);
    else
        (void)printf("            '--%s[", f->name);
    put_quoted(f->help, "'\\''");
    (void)putchar(']');
    if (is_words(f->value)) {
        (void)printf(":%s:(", f->name);
        put_words(f->value);
        (void)putchar(')');
    } else if (*f->value) {
        const char *files = strcmp(f->value, "FILE") == 0  ? "_files"
                            : strcmp(f->value, "DIR") == 0 ? "_files -/"
                                                           : " ";
        (void)printf(":%s:%s", f->name, files);
    }
    (void)fputs("' \\\n", stdout);
}

static void
zsh_command(const struct command *c)
{
    (void)printf("    (%s)\n        _arguments -s \\\n", c->name);
    for (const struct command_flag *f = command_flags; f->name; f++) {
        if (command_takes(c, f))
            zsh_flag(f);
    }
    if (is_words(c->args)) {
        (void)fputs("            '1:what:(", stdout);
        put_words(c->args);
        (void)fputs(")'", stdout);
    } else {
        (void)fputs(c->args_max ? "            '*:what: '" : "            '*: :'", stdout);
    }
    (void)fputs(" ;;\n", stdout);
}

static void
zsh(void)
{
    (void)fputs("#compdef peersync\n"
                "# Completions of peersync for zsh, written by `peersync completion zsh`.\n"
                "_peersync() {\n"
                "    local -a commands\n"
                "    commands=(\n",
                stdout);
    for (const struct command *c = commands; c->name; c++) {
        (void)printf("        '%s:", c->name);
        put_quoted(c->summary, "'\\''");
        (void)fputs("'\n", stdout);
    }
    (void)fputs("    )\n"
                "    if (( CURRENT == 2 )); then\n"
                "        _describe command commands\n"
                "        return\n"
                "    fi\n"
                "    shift words\n"
                "    (( CURRENT-- ))\n"
                "    case $words[1] in\n",
                stdout);
    for (const struct command *c = commands; c->name; c++)
        zsh_command(c);
    (void)fputs("    esac\n"
                "}\n"
                "if [ \"$funcstack[1]\" = _peersync ]; then\n"
                "    _peersync \"$@\"\n"
                "else\n"
                "    compdef _peersync peersync\n"
                "fi\n",
                stdout);
}

/* ---- fish ---- */

static void
fish_flag(const struct command *c, const struct command_flag *f)
{
    (void)printf("complete -c peersync -n '__fish_seen_subcommand_from %s' -l %s", c->name,
                 f->name);
    if (is_short(f))
        (void)printf(" -s %c", f->letter);
    if (is_words(f->value)) {
        (void)fputs(" -x -a '", stdout);
        put_words(f->value);
        (void)putchar('\'');
    } else if (*f->value) {
        bool file = strcmp(f->value, "FILE") == 0 || strcmp(f->value, "DIR") == 0;
        (void)fputs(file ? " -r -F" : " -x", stdout);
    }
    (void)fputs(" -d '", stdout);
    put_quoted(f->help, "\\'");
    (void)fputs("'\n", stdout);
}

static void
fish_command(const struct command *c)
{
    (void)printf("complete -c peersync -n __fish_use_subcommand -a %s -d '", c->name);
    put_quoted(c->summary, "\\'");
    (void)fputs("'\n", stdout);
    if (is_words(c->args)) {
        (void)printf("complete -c peersync -n '__fish_seen_subcommand_from %s' -a '", c->name);
        put_words(c->args);
        (void)fputs("'\n", stdout);
    }
    for (const struct command_flag *f = command_flags; f->name; f++) {
        if (command_takes(c, f))
            fish_flag(c, f);
    }
}

static void
fish(void)
{
    (void)fputs("# Completions of peersync for fish, written by `peersync completion fish`.\n"
                "complete -c peersync -f\n",
                stdout);
    for (const struct command *c = commands; c->name; c++)
        fish_command(c);
}

int
cli_completion(const struct cli *cli)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
        if (strcmp(cli->args[0], shells[i].name) == 0) {
            struct cli_text t;
            cli_text_begin(cli, &t);
            shells[i].print();
            return cli_text_end(cli, &t, "text", CLI_OK);
        }
    }
    return cli_fail(CLI_USAGE, "expected bash, zsh or fish, not \"%s\"", cli->args[0]);
}
