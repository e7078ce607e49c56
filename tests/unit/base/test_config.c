/* base/config: reading by the table, what is refused and how it is told, printing. */
#include "base/buf.h"
#include "base/config.h"
#include "base/fs.h"
#include "base/mem.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct config_key keys[] = {
    {"listen", CONFIG_ADDRESS, "127.0.0.1:80", 0, 0, "", "Where it listens."},
    {"log.level", CONFIG_CHOICE, "info", 0, 0, "error|warn|info", "How much is told."},
    {"store.dir", CONFIG_PATH, "/srv", 0, 0, "", "Folder."},
    {"store.size", CONFIG_SHARE, "1GiB", 1024, INT64_C(1) << 40, "", "Most bytes."},
    {"store.keep", CONFIG_DURATION, "30s", 1000, 3600000, "", "How long."},
    {"hosts", CONFIG_LIST, "[{name: first, port: 7}]", 0, 3, "", "Whom to ask."},
    {"hosts[].name", CONFIG_TEXT, NULL, 0, 0, "", "Its name."},
    {"hosts[].port", CONFIG_INT, "1", 1, 65535, "", "Its port."},
    {"seeds", CONFIG_TEXTS, "", 0, 0, "", "Names."},
    {"fast", CONFIG_BOOL, "true", 0, 0, "", "Whether."},
};

static struct config *
opened(void)
{
    struct config *c = NULL;
    struct err e = {0};
    assert_int_equal(config_open(keys, ARRAY_LEN(keys), &c, &e), 0);
    return c;
}

static int
parse(struct config *c, const char *text, struct err *e)
{
    return config_parse(c, text, strlen(text), "a.yaml", e);
}

/* The text is refused with exactly this message. */
static void
assert_refused(const char *text, const char *message)
{
    AUTO(config_close) struct config *c = opened();
    struct err e = {0};
    assert_int_equal(parse(c, text, &e), ERR_CONFIG);
    assert_string_equal(e.text, message);
}

static void
assert_accepted(struct config *c, const char *text)
{
    struct err e = {0};
    int bad = parse(c, text, &e);
    if (bad)
        print_error("%s\n", e.text);
    assert_int_equal(bad, 0);
}

static void
an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "# nothing\n", "---\n", "store:\n", "hosts:\n"};
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        AUTO(config_close) struct config *c = opened();
        assert_accepted(c, empty[i]);
        struct err e = {0};
        assert_int_equal(config_complete(c, &e), 0);
        assert_string_equal(config_text(c, NULL, "listen"), "127.0.0.1:80");
        assert_int_equal(config_number(c, NULL, "store.size"), 1 << 30);
        assert_int_equal(config_number(c, NULL, "fast"), 1);
        assert_int_equal(config_items(c, "hosts"), 1);
        const struct config_item *first = config_item(c, "hosts", 0);
        assert_string_equal(config_text(c, first, "hosts[].name"), "first");
        assert_int_equal(config_number(c, first, "hosts[].port"), 7);
    }
}

static void
each_type_is_read_in_block_and_flow_form(void **state)
{
    (void)state;
    AUTO(config_close) struct config *c = opened();
    assert_accepted(c, "listen: '[::1]:8080'\n"
                       "log: {level: warn}\n"
                       "store:\n  dir: /a b\n  size: 30%\n  keep: 5m\n"
                       "hosts:\n  - name: x\n    port: 9\n  - {name: \"*\"}\n"
                       "seeds: [no, \"b:1\"]\n"
                       "fast: off\n");
    assert_string_equal(config_text(c, NULL, "listen"), "[::1]:8080");
    assert_int_equal(config_number(c, NULL, "log.level"), 1);
    assert_string_equal(config_text(c, NULL, "store.dir"), "/a b");
    assert_true(config_is_percent(c, NULL, "store.size"));
    assert_int_equal(config_number(c, NULL, "store.size"), 30);
    assert_int_equal(config_number(c, NULL, "store.keep"), 300000);
    assert_int_equal(config_items(c, "hosts"), 2);
    assert_int_equal(config_number(c, config_item(c, "hosts", 0), "hosts[].port"), 9);
    assert_string_equal(config_text(c, config_item(c, "hosts", 1), "hosts[].name"), "*");
    const char *const *seeds;
    assert_int_equal(config_texts(c, "seeds", &seeds), 2);
    assert_string_equal(seeds[0], "no"); /* the table decides: not a boolean */
    assert_int_equal(config_number(c, NULL, "fast"), 0);
}

static void
an_unknown_key_is_told_with_its_place_and_the_nearest(void **state)
{
    (void)state;
    assert_refused("store:\n  dri: /x\n",
                   "a.yaml:2:3: store.dri: unknown key; did you mean store.dir?");
    assert_refused("size: 1GiB\n", "a.yaml:1:1: size: unknown key; did you mean store.size?");
    assert_refused("sotre: {}\n", "a.yaml:1:1: sotre: unknown key; did you mean store?");
    assert_refused("quite_another_thing: 1\n", "a.yaml:1:1: quite_another_thing: unknown key");
    assert_refused("hosts:\n- {nane: x}\n",
                   "a.yaml:2:4: hosts[].nane: unknown key; did you mean hosts[].name?");
    assert_refused("\"a\\x1bb\": 1\n", "a.yaml:1:1: a\\x1bb: unknown key");
}

static void
a_wrong_value_is_told_with_what_was_expected(void **state)
{
    (void)state;
    assert_refused("fast: 3\n", "a.yaml:1:7: fast: expected true or false, not \"3\"");
    assert_refused("log:\n  level: loud\n",
                   "a.yaml:2:10: log.level: expected one of error, warn, info, not \"loud\"");
    assert_refused("store: {keep: 2h}\n", "a.yaml:1:15: store.keep: expected a duration such as "
                                          "30s, 1s .. 1h, not \"2h\"");
    assert_refused("store: {size: 96%}\n",
                   "a.yaml:1:15: store.size: expected a size such as 20GiB, or 1% .. 95%, 1KiB .. "
                   "1TiB, not \"96%\"");
    assert_refused("hosts: [{name: a, port: 0}]\n",
                   "a.yaml:1:25: hosts[].port: expected a whole number, 1 .. 65535, not \"0\"");
    assert_refused("listen: 8080\n", "a.yaml:1:9: listen: expected HOST:PORT, not \"8080\"");
    assert_refused("listen: \"::1:80\"\n",
                   "a.yaml:1:9: listen: expected HOST:PORT, not \"::1:80\"");
    assert_refused("store: {dir: x}\n",
                   "a.yaml:1:14: store.dir: expected an absolute path, not \"x\"");
    assert_refused("store: 5\n", "a.yaml:1:8: store: expected a section with keys");
    assert_refused("fast: [true]\n", "a.yaml:1:7: fast: expected a single value");
    assert_refused("seeds: a\n", "a.yaml:1:8: seeds: expected a list: [a, b]");
    assert_refused("seeds: [[a]]\n", "a.yaml:1:9: seeds: expected a text");
    assert_refused("hosts: {name: a}\n", "a.yaml:1:8: hosts: expected a list");
    assert_refused("hosts: [a]\n", "a.yaml:1:9: hosts: expected sections: [{name: ...}]");
    assert_refused("hosts: [{port: 1}]\n", "a.yaml:1:9: hosts[].name: missing");
    assert_refused("- a\n", "a.yaml:1:1: expected keys: \"listen: HOST:PORT\"");
    assert_refused("store: {dir: \"/a\\0b\"}\n",
                   "a.yaml:1:14: store.dir: control bytes are not allowed");
}

static void
what_yaml_can_do_beyond_values_is_refused(void **state)
{
    (void)state;
    static const char message[] = "anchors, aliases and tags are not allowed";
    assert_refused("fast: &a true\n", "a.yaml:1:7: anchors, aliases and tags are not allowed");
    assert_refused("fast: !!bool true\n", "a.yaml:1:7: anchors, aliases and tags are not allowed");
    assert_refused("store: &s {dir: /a}\n",
                   "a.yaml:1:8: anchors, aliases and tags are not allowed");
    AUTO(config_close) struct config *c = opened();
    struct err e = {0};
    assert_int_equal(parse(c, "fast: *a\n", &e), ERR_CONFIG);
    assert_non_null(strstr(e.text, message));
    assert_refused("fast: true\n---\nfast: true\n", "a.yaml:2:1: a second document is not allowed");
    AUTO(config_close) struct config *d = opened();
    assert_int_equal(parse(d, "fast: }\n", &e), ERR_CONFIG);
    assert_non_null(strstr(e.text, "a.yaml:1:7: not YAML: "));
}

static void
a_key_a_section_and_an_item_stand_once(void **state)
{
    (void)state;
    assert_refused("fast: true\nfast: true\n", "a.yaml:2:1: fast: stands here twice");
    assert_refused("store: {dir: /a}\nstore: {keep: 5s}\n", "a.yaml:2:1: store: stands here twice");
    assert_refused("hosts: [{name: a}, {name: a}]\n",
                   "a.yaml:1:20: hosts[].name: \"a\" stands here twice");
    assert_refused("hosts: [{name: a, port: 1, port: 2}]\n",
                   "a.yaml:1:28: hosts[].port: stands here twice");
    assert_refused("hosts: [{name: a}, {name: b}, {name: c}, {name: d}]\n",
                   "a.yaml:1:42: hosts: more than 3");
}

static void
a_later_layer_overrides_scalars_and_items_by_name(void **state)
{
    (void)state;
    AUTO(config_close) struct config *c = opened();
    assert_accepted(c, "fast: false\nseeds: [a, b]\nhosts: [{name: a, port: 1}, {name: b}]\n");
    assert_accepted(c, "fast: true\nseeds: [c]\nhosts: [{name: a, port: 5}, {name: z}]\n");
    assert_int_equal(config_number(c, NULL, "fast"), 1);
    const char *const *seeds;
    assert_int_equal(config_texts(c, "seeds", &seeds), 1);
    assert_int_equal(config_items(c, "hosts"), 3);
    assert_int_equal(config_number(c, config_item(c, "hosts", 0), "hosts[].port"), 5);
    assert_string_equal(config_text(c, config_item(c, "hosts", 2), "hosts[].name"), "z");
}

static void
an_empty_list_is_not_the_default(void **state)
{
    (void)state;
    AUTO(config_close) struct config *c = opened();
    assert_accepted(c, "hosts: []\n");
    struct err e = {0};
    assert_int_equal(config_complete(c, &e), 0);
    assert_int_equal(config_items(c, "hosts"), 0);
}

static void
the_environment_overrides_files(void **state)
{
    (void)state;
    AUTO(config_close) struct config *c = opened();
    assert_accepted(c, "store: {keep: 5s}\n");
    assert_int_equal(setenv("TESTED_STORE_KEEP", "7s", 1), 0);
    assert_int_equal(setenv("TESTED_SEEDS", "a,b", 1), 0);
    assert_int_equal(setenv("TESTED_PORT_80_TCP", "tcp://1.2.3.4", 1), 0);
    struct err e = {0};
    assert_int_equal(config_env(c, "TESTED", &e), 0);
    assert_int_equal(config_number(c, NULL, "store.keep"), 7000);
    const char *const *seeds;
    assert_int_equal(config_texts(c, "seeds", &seeds), 2);
    assert_int_equal(setenv("TESTED_STORE_KEEP", "long", 1), 0);
    AUTO(config_close) struct config *d = opened();
    assert_int_equal(config_env(d, "TESTED", &e), ERR_CONFIG);
    assert_string_equal(e.text, "environment TESTED_STORE_KEEP: expected a duration such as 30s, "
                                "1s .. 1h, not \"long\"");
    (void)unsetenv("TESTED_STORE_KEEP");
    (void)unsetenv("TESTED_SEEDS");
    (void)unsetenv("TESTED_PORT_80_TCP");
}

/* The variable alone is refused with exactly this message; NULL: it is let pass. */
static void
assert_variable(const char *name, const char *message)
{
    AUTO(config_close) struct config *c = opened();
    struct err e = {0};
    assert_int_equal(setenv(name, "7s", 1), 0);
    int bad = config_env(c, "TESTED", &e);
    (void)unsetenv(name);
    assert_int_equal(bad, message ? ERR_CONFIG : 0);
    if (message)
        assert_string_equal(e.text, message);
}

static void
a_misspelt_variable_is_refused_with_the_nearest(void **state)
{
    (void)state;
    assert_variable("TESTED_STORE_KEPT", "environment TESTED_STORE_KEPT: no setting has this name; "
                                         "did you mean TESTED_STORE_KEEP?");
    assert_variable("TESTED_KEEP",
                    "environment TESTED_KEEP: no setting has this name; did you mean "
                    "TESTED_STORE_KEEP?");
    assert_variable("TESTED_HOSTS",
                    "environment TESTED_HOSTS: hosts is a list of sections: set it in a file");
    assert_variable("TESTED_HOSTS_NAME", "environment TESTED_HOSTS_NAME: no setting has this name");
    assert_variable("TESTED_", "environment TESTED_: no setting has this name");
    assert_variable("TESTEDSTORE_KEPT", NULL);
    /* What Kubernetes says of services called tested and tested-store. */
    assert_variable("TESTED_SERVICE_HOST", NULL);
    assert_variable("TESTED_SERVICE_PORT_P2P", NULL);
    assert_variable("TESTED_PORT", NULL);
    assert_variable("TESTED_PORT_80_TCP_ADDR", NULL);
    assert_variable("TESTED_STORE_PORT_80_TCP", NULL);
    assert_variable("TESTED_SUPPORT_PORT_80_TCP", NULL);
}

static void
an_owners_complaint_names_the_place_of_the_value(void **state)
{
    (void)state;
    AUTO(config_close) struct config *c = opened();
    assert_accepted(c, "fast: true\nhosts:\n  - name: a\n");
    struct err e = {0};
    assert_int_equal(config_fail(c, NULL, "fast", &e, "not %s", "now"), ERR_CONFIG);
    assert_string_equal(e.text, "a.yaml:1:1: fast: not now");
    (void)config_fail(c, config_item(c, "hosts", 0), "hosts[].port", &e, "no");
    assert_string_equal(e.text, "a.yaml:3:5: hosts[].port: no");
    (void)config_fail(c, NULL, "listen", &e, "no");
    assert_string_equal(e.text, "listen: no");
}

static void
what_is_printed_reads_back_the_same(void **state)
{
    (void)state;
    AUTO(config_close) struct config *c = opened();
    assert_accepted(c, "store: {dir: \"/a \\\"b\\\\\"}\nseeds: [\"x: y\", z]\n"
                       "hosts: [{name: \"*\", port: 3}]\nlisten: '[::]:1'\n");
    AUTO(buf_release) struct buf text, again;
    buf_init(&text, 1 << 16);
    buf_init(&again, 1 << 16);
    assert_int_equal(config_print(c, &text), 0);
    AUTO(config_close) struct config *d = opened();
    assert_accepted(d, buf_text(&text));
    AUTO(json_free) cJSON *before = config_print_json(c);
    AUTO(json_free) cJSON *after = config_print_json(d);
    assert_true(cJSON_Compare(before, after, true));
    assert_string_equal(json_text(json_object(before, "store"), "dir"), "/a \"b\\");
}

static void
the_reference_is_a_file_of_all_defaults(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf text;
    buf_init(&text, 1 << 16);
    assert_int_equal(config_print_reference(keys, ARRAY_LEN(keys), "Head.", &text), 0);
    assert_non_null(strstr(buf_text(&text), "  # Takes a duration such as 30s, 1s .. 1h.\n"));
    AUTO(config_close) struct config *c = opened();
    AUTO(config_close) struct config *defaults = opened();
    assert_accepted(c, buf_text(&text));
    struct err e = {0};
    assert_int_equal(config_complete(defaults, &e), 0);
    AUTO(json_free) cJSON *read = config_print_json(c);
    AUTO(json_free) cJSON *meant = config_print_json(defaults);
    assert_true(cJSON_Compare(read, meant, true));
}

static void
write_file(const char *path, const char *text)
{
    AUTO(fd_close) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void
a_folder_is_read_in_order_of_name(void **state)
{
    (void)state;
    char dir[] = "/tmp/test_config.XXXXXX";
    assert_non_null(mkdtemp(dir));
    AUTO(mem_free_text) char *one = mem_printf("%s/10-one.yaml", dir);
    AUTO(mem_free_text) char *two = mem_printf("%s/20-two.yaml", dir);
    AUTO(mem_free_text) char *not_ours = mem_printf("%s/30-three.yaml.bak", dir);
    write_file(two, "store: {keep: 20s}\n");
    write_file(one, "store: {keep: 10s}\nfast: false\n");
    write_file(not_ours, "nonsense\n");
    AUTO(config_close) struct config *c = opened();
    struct err e = {0};
    int bad = config_folder(c, dir, &e);
    (void)unlink(one);
    (void)unlink(two);
    (void)unlink(not_ours);
    (void)rmdir(dir);
    assert_int_equal(bad, 0);
    assert_int_equal(config_number(c, NULL, "store.keep"), 20000);
    assert_int_equal(config_number(c, NULL, "fast"), 0);
    AUTO(config_close) struct config *d = opened();
    assert_int_equal(config_folder(d, "/nowhere/conf.d", &e), 0);
}

static void
a_file_over_the_limit_is_refused(void **state)
{
    (void)state;
    AUTO(config_close) struct config *c = opened();
    size_t len = CONFIG_BYTES_MAX + 1;
    AUTO(mem_free_text) char *text = mem_alloc(len);
    memset(text, '#', len);
    struct err e = {0};
    assert_int_equal(config_parse(c, text, len, "a.yaml", &e), ERR_CONFIG);
    assert_string_equal(e.text, "a.yaml: larger than 256 KiB");
}

int
main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(each_type_is_read_in_block_and_flow_form),
        cmocka_unit_test(an_unknown_key_is_told_with_its_place_and_the_nearest),
        cmocka_unit_test(a_wrong_value_is_told_with_what_was_expected),
        cmocka_unit_test(what_yaml_can_do_beyond_values_is_refused),
        cmocka_unit_test(a_key_a_section_and_an_item_stand_once),
        cmocka_unit_test(a_later_layer_overrides_scalars_and_items_by_name),
        cmocka_unit_test(an_empty_list_is_not_the_default),
        cmocka_unit_test(the_environment_overrides_files),
        cmocka_unit_test(a_misspelt_variable_is_refused_with_the_nearest),
        cmocka_unit_test(an_owners_complaint_names_the_place_of_the_value),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(the_reference_is_a_file_of_all_defaults),
        cmocka_unit_test(a_folder_is_read_in_order_of_name),
        cmocka_unit_test(a_file_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
