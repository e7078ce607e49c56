/*
 * Writing the mirror configuration of container runtimes. A runtime plans edits of files;
 * nothing is written before all of them are known to be possible.
 *
 *   setup.c        the command: plan, show, apply, undo
 *   setup_text.c   pure edits of TOML and YAML text
 *   setup_yaml.c   what k3s's YAML says
 *   setup_json.c   pure edits of JSON text
 *   setup_plan.c   which file of which runtime gets which edit
 *   setup_files.c  atomic writes and backups
 *
 * What we add to a text file stands between two marker lines; nothing outside of them is
 * touched, but for a line that has to give way, which is kept in the block as "#was: ".
 */
#ifndef PROXY_SETUP_H
#define PROXY_SETUP_H

#include "proxy/cli/cli.h"
#include "proxy/settings.h"

#define SETUP_BACKUP    ".peersync-backup"
#define SETUP_FILES_MAX (REGISTRIES_MAX + 8)
#define SETUP_BYTES_MAX (1024u * 1024) /* of one file of a runtime */

enum setup_runtime { SETUP_CONTAINERD, SETUP_DOCKER, SETUP_CRIO, SETUP_K3S, SETUP_RUNTIMES };
const char *setup_runtime_name(enum setup_runtime r);

/* One file: what it holds and what it should hold. */
struct setup_edit {
    char *path;   /* with the root in front */
    char *before; /* NULL: there is no such file */
    char *after;  /* NULL: it should go */
};

struct setup_plan {
    const char *root; /* "" or a folder */
    const struct settings *settings;
    const char *node; /* host:port of our registry API */
    bool fresh_tags;
    struct setup_edit edits[SETUP_FILES_MAX]; /* only files that change */
    size_t count;
    char notes[1024];    /* whole lines for the reader */
    const char *restart; /* what to do afterwards; static */
};

/* ---- setup_plan.c ---- */
/* Fills edits, notes and restart. ERR_CONFIG when the runtime's files are in a state that
 * only its owner can change: e says what. */
CHECKED int setup_plan_make(enum setup_runtime r, struct setup_plan *p, struct err *e);
CHECKED int setup_plan_undo(enum setup_runtime r, struct setup_plan *p, struct err *e);
void setup_plan_release(struct setup_plan *p);
/* The runtime is on this machine: its program or its folder is there. */
bool setup_plan_found(enum setup_runtime r, const char *root);

/* ---- setup_files.c ---- */
/* *ret is NULL when there is none. Caller frees. */
CHECKED int setup_files_read(const char *path, char **ret, struct err *e);
/* Writes all, each atomically, with backups of what was there first. */
CHECKED int setup_files_apply(const struct setup_plan *p, struct err *e);
/* Puts back the backups where nobody else has changed the file since; no empty folder of a registry
 * stays. */
CHECKED int setup_files_undo(const struct setup_plan *p, struct err *e);
/* Makes a folder with all above it and gives it to a user, mode 0750. */
CHECKED int setup_files_folder(const char *path, const char *user, struct err *e);
const char *setup_files_change(const struct setup_edit *edit); /* removes, changes, creates */
/* What changes, as lines with + and -. */
void setup_files_show(const struct setup_plan *p);

/* ---- setup_text.c: all results are new texts; the caller frees ---- */
/* Without anything that we added. */
char *setup_text_strip(const char *text);
/* `text` may be NULL. The mirror block in front of the first table of a hosts.toml; `server`
 * only for a file without one. Unchanged when another line names the mirror already. */
char *setup_text_hosts(const char *text, const char *server, const char *node, bool fresh_tags);
/* config_path in the CRI plugin of containerd's config.toml. *ret_path is the folder that
 * will be in effect, *ret NULL when the file does without us (CRI disabled). */
CHECKED int setup_text_containerd(const char *text, char **ret, char **ret_path, struct err *e);
/* Our mirrors in front of those of a k3s registries.yaml, but where it has ours by hand.
 * ERR_CONFIG: it has another one for a registry of ours, or is not written in a way that we can add
 * to. */
CHECKED int setup_text_k3s(const char *text, const struct settings *s, const char *node, char **ret,
                           struct err *e);
/* The whole of registries.conf.d/50-peersync.conf. */
char *setup_text_crio(const struct settings *s, const char *node, bool fresh_tags);
/* ---- setup_yaml.c: a registries.yaml of k3s ---- */
struct setup_yaml;
enum setup_mirror { SETUP_MIRROR_NONE, SETUP_MIRROR_OURS, SETUP_MIRROR_OTHERS };
/* ERR_CONFIG: no YAML, or `mirrors` stands there twice. */
CHECKED int setup_yaml_open(const char *text, struct setup_yaml **ret, struct err *e);
void setup_yaml_close(struct setup_yaml *y);
/* Of a registry; ours: `url` is one of its endpoints. */
enum setup_mirror setup_yaml_mirror(struct setup_yaml *y, const char *host, const char *url);

/* ---- setup_json.c ---- */
/* Docker's daemon.json with the mirror first, or without it; "" when nothing is left. */
CHECKED int setup_json_docker(const char *text, const char *url, bool add, char **ret,
                              struct err *e);
/* 1: daemon.json asks for the containerd image store, 0: refuses it, -1: does not say. */
int setup_json_docker_store(const char *text);

#endif
