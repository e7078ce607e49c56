/* Configuration files against a table with every type: what is accepted prints as YAML that is
 * accepted and prints the same; what is refused says where. */
#include "base/config.h"
#include "tests/fuzz/fuzz.h"

#define NAME      "fuzz.yaml"
#define PRINT_MAX ((size_t)4 * 1024 * 1024)

static const struct config_key keys[] = {
    {"listen", CONFIG_ADDRESS, "127.0.0.1:5000", 0, 0, NULL, "Where."},
    {"log.level", CONFIG_CHOICE, "info", 0, 0, "error|warn|info|debug", "How much."},
    {"cache.dir", CONFIG_PATH, "/var/lib/x", 0, 0, NULL, "Folder."},
    {"cache.size", CONFIG_SHARE, "20GiB", 1 << 20, INT64_MAX, NULL, "Cap."},
    {"cache.min_free", CONFIG_SIZE, "1GiB", 0, INT64_MAX, NULL, "Free."},
    {"registries", CONFIG_LIST, "[{host: docker.io}]", 0, 8, NULL, "Registries."},
    {"registries[].host", CONFIG_TEXT, "", 0, 0, NULL, "Name."},
    {"registries[].auth", CONFIG_CHOICE, "public", 0, 0, "public|node|pass", "How."},
    {"registries[].ca", CONFIG_PATH, "", 0, 0, NULL, "CA."},
    {"tags.revalidate", CONFIG_DURATION, "30s", 0, 86400000, NULL, "Age."},
    {"p2p.enabled", CONFIG_BOOL, "true", 0, 0, NULL, "Swarm."},
    {"p2p.seeds", CONFIG_TEXTS, "", 0, 4, NULL, "Seeds."},
    {"p2p.priority", CONFIG_INT, "0", -100, 100, NULL, "Priority."},
};

/* The effective values of a text, or NULL when it is refused. */
static char *
effective(const char *text, size_t len)
{
    AUTO(config_close) struct config *c = NULL;
    struct err e = {.code = 0};
    must(config_open(keys, ARRAY_LEN(keys), &c, &e) == 0);
    int code = config_parse(c, text, len, NAME, &e);
    if (code == 0)
        code = config_complete(c, &e);
    if (code != 0) {
        must(code == e.code && e.text[0] != '\0' && strchr(e.text, '\n') == NULL);
        return NULL;
    }
    AUTO(buf_release) struct buf b;
    buf_init(&b, PRINT_MAX);
    must(config_print(c, &b) == 0);
    must(config_texts(c, "p2p.seeds", &(const char *const *){NULL}) <= CONFIG_TEXTS_MAX);
    return mem_strndup(buf_text(&b), b.len);
}

/* Drops the comments, which name the place where a value was set. A value with " #" in it loses
 * its end too, in both texts alike. */
static void
drop_comments(char *text)
{
    for (char *hash = strstr(text, " #"); hash != NULL; hash = strstr(hash, " #")) {
        const char *end = hash + strcspn(hash, "\n");
        memmove(hash, end, strlen(end) + 1);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(mem_free_text) char *first = effective((const char *)data, size);
    if (first == NULL)
        return 0;
    AUTO(mem_free_text) char *again = effective(first, strlen(first));
    must(again != NULL);
    drop_comments(first);
    drop_comments(again);
    must(strcmp(first, again) == 0);
    return 0;
}
