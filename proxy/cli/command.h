/* What the command line knows: subcommands and flags, as tables that end with an empty line. */
#ifndef PROXY_COMMAND_H
#define PROXY_COMMAND_H

#include "base/must.h"

struct cli;

struct command_flag {
    char letter; /* upper case: a name only, no short form */
    const char *name;
    const char *value; /* what it takes: FILE and the like, or words "a|b"; "" for none */
    const char *help;
};

struct command {
    const char *name;
    int (*run)(const struct cli *cli);
    const char *flags; /* letters of command_flags[] */
    int args_min, args_max;
    const char *args; /* as help shows them: IMAGE..., or words "a|b" */
    const char *summary;
    const char *help; /* paragraphs; the last one is "Example: ..." */
};

extern const struct command_flag command_flags[];
extern const struct command commands[];

const struct command *command_find(const char *name); /* NULL: there is none */
bool command_takes(const struct command *c, const struct command_flag *f);
/* The next of the words "a|b" that may be typed as they stand; moves *list behind it. False at
 * the end, and for names of what is to be put in: IMAGE, FILE. */
bool command_next_word(const char **list, const char **ret_word, size_t *ret_len);

#endif
