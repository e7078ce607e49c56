/* What lies below the cache folder, as a start finds it. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/text.h"
#include "cache/store_inside.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct blob_walk {
    int dir_fd; /* of the shard */
    const char *alg;
    void (*fn)(void *arg, const struct digest *d, uint64_t size, bool packed);
    void *arg;
};

/* True when it is a file of words; it goes when its blob is not there. */
static bool
walk_words(int dir_fd, const char *name)
{
    const char *end = strstr(name, STORE_WORDS);
    uint64_t size;
    if (end == NULL) {
        return false;
    }
    AUTO(mem_free_text) char *blob = mem_printf("%.*s", (int)(end - name), name);
    AUTO(mem_free_text) char *packed = mem_printf("%s" STORE_PACKED, blob);
    if (fs_size_at(dir_fd, blob, &size) == -ENOENT &&
        fs_size_at(dir_fd, packed, &size) == -ENOENT) {
        (void)!fs_unlink_at(dir_fd, name);
    }
    return true;
}

static int
walk_blob(void *arg, const char *name)
{
    struct blob_walk *w = arg;
    char text[DIGEST_TEXT_MAX];
    struct digest d;
    const char *dot = strchr(name, '.');
    bool packed = dot != NULL && strcmp(dot, STORE_PACKED) == 0;
    int hex_len = (int)(packed ? dot - name : (ptrdiff_t)strlen(name));
    if (walk_words(w->dir_fd, name) ||
        text_printf(text, sizeof text, "%s:%.*s", w->alg, hex_len, name) < 0 ||
        digest_parse(text, strlen(text), &d) < 0) {
        return 0;
    }
    uint64_t size;
    if (fs_size_at(w->dir_fd, name, &size) == 0) {
        w->fn(w->arg, &d, size, packed);
    }
    return 0;
}

static int
walk_shard(void *arg, const char *name)
{
    struct blob_walk *w = arg;
    int alg_fd = w->dir_fd;
    AUTO(fd_close) int shard_fd = -1;
    if (strlen(name) == 2 && fs_open_at(alg_fd, name, O_RDONLY | O_DIRECTORY, &shard_fd) == 0) {
        w->dir_fd = shard_fd;
        int rc = fs_each(shard_fd, walk_blob, w);
        w->dir_fd = alg_fd;
        return rc == 0 || rc == -ENOENT ? 0 : rc;
    }
    return 0;
}

int
store_each_blob(const struct store *s,
                void (*fn)(void *arg, const struct digest *d, uint64_t size, bool packed),
                void *arg)
{
    static const char *const algs[] = {"sha256", "sha512"};
    int worst = 0;
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO(mem_free_text) char *below = mem_printf("blobs/%s", algs[i]);
        AUTO(fd_close) int alg_fd = -1;
        int rc = store_open_sub(s, below, false, &alg_fd);
        if (rc == 0) {
            struct blob_walk w = {alg_fd, algs[i], fn, arg};
            rc = fs_each(alg_fd, walk_shard, &w);
        }
        if (rc < 0 && rc != -ENOENT) {
            worst = rc;
        }
    }
    return worst;
}

struct names {
    char **list;
    size_t count, cap;
};

static int
collect_name(void *arg, const char *name)
{
    struct names *n = arg;
    if (n->count == n->cap) {
        n->cap = n->cap * 2 + 16;
        n->list = mem_realloc(n->list, n->cap * sizeof n->list[0]);
    }
    n->list[n->count++] = mem_strdup(name);
    return 0;
}

static void
names_release(struct names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        mem_free(n->list[i]);
    }
    mem_free(n->list);
}

/* "sha256-HEX.GEN" or "sha256-HEX.GEN.map" */
static bool
parse_partial(const char *name, struct digest *ret_d, uint64_t *ret_gen, bool *ret_map)
{
    const char *dash = strchr(name, '-');
    const char *dot = strchr(name, '.');
    if (dash == NULL || dot == NULL || dot < dash) {
        return false;
    }
    char text[DIGEST_TEXT_MAX];
    if (text_printf(text, sizeof text, "%.*s:%.*s", (int)(dash - name), name, (int)(dot - dash - 1),
                    dash + 1) < 0 ||
        digest_parse(text, strlen(text), ret_d) < 0) {
        return false;
    }
    const char *end = strchr(dot + 1, '.');
    size_t digits = end == NULL ? strlen(dot + 1) : (size_t)(end - dot - 1);
    *ret_map = end != NULL;
    return (end == NULL || strcmp(end, ".map") == 0) && text_u64(dot + 1, digits, ret_gen) == 0;
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In names that are sorted. */
static bool
has_name(const struct names *n, const char *name)
{
    return n->count > 0 && bsearch(&name, n->list, n->count, sizeof n->list[0], by_text) != NULL;
}

/* Is it the data or the map of a partial blob that has both? */
static bool
has_partner(const struct names *n, const char *name, struct digest *ret_d, uint64_t *ret_gen,
            bool *ret_map)
{
    char partner[STORE_NAME_MAX];
    if (!parse_partial(name, ret_d, ret_gen, ret_map)) {
        return false;
    }
    store_name_partial(ret_d, *ret_gen, *ret_map ? "" : ".map", partner);
    return has_name(n, partner);
}

int
store_each_partial(const struct store *s,
                   void (*fn)(void *arg, const struct digest *d, uint64_t gen), void *arg,
                   size_t *ret_removed)
{
    AUTO(fd_close) int dir_fd = -1;
    AUTO(names_release) struct names names = {NULL, 0, 0};
    int rc = store_open_sub(s, "partial", true, &dir_fd);
    if (rc == 0) {
        rc = fs_each(dir_fd, collect_name, &names);
    }
    if (names.count > 0) {
        qsort(names.list, names.count, sizeof names.list[0], by_text);
    }
    size_t removed = 0;
    for (size_t i = 0; rc == 0 && i < names.count; i++) {
        struct digest d;
        uint64_t gen;
        bool map;
        if (!has_partner(&names, names.list[i], &d, &gen, &map)) {
            removed += fs_unlink_at(dir_fd, names.list[i]) == 0;
        } else if (map) {
            fn(arg, &d, gen);
        }
    }
    *ret_removed = removed;
    return rc;
}
