/* proxy/setup_*: edits of the runtimes' files, idempotent and undone without a trace. */
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/setup.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define NODE "127.0.0.1:5000"

static struct settings *
configured(void)
{
    static const char text[] = "registries:\n- {host: docker.io}\n"
                               "- {host: reg.test, url: \"http://10.0.0.1:5000\"}\n";
    struct settings *s = NULL;
    struct err e = {0};
    assert_int_equal(settings_parse(text, strlen(text), "a", &s, &e), 0);
    return s;
}

static void
assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
}

/* Every line of a (in order) that is not ours is b, and adding again changes nothing. */
static void
assert_strips_to(const char *edited, const char *original)
{
    AUTO(mem_free_text) char *left = setup_text_strip(edited);
    assert_string_equal(left, original);
}

/* ---- hosts.toml ---- */

static void
a_new_hosts_file_names_the_upstream_and_this_node(void **state)
{
    (void)state;
    AUTO(mem_free_text)
    char *text = setup_text_hosts(NULL, "https://registry-1.docker.io", NODE, false);
    assert_has(text, "server = \"https://registry-1.docker.io\"\n\n[host.\"http://" NODE "\"]\n"
                     "  capabilities = [\"pull\", \"resolve\"]\n");
    assert_strips_to(text, "");
    AUTO(mem_free_text)
    char *again = setup_text_hosts(text, "https://registry-1.docker.io", NODE, false);
    assert_string_equal(again, text);
}

static void
fresh_tags_leave_resolve_to_the_upstream(void **state)
{
    (void)state;
    AUTO(mem_free_text) char *text = setup_text_hosts(NULL, "https://x", NODE, true);
    assert_has(text, "capabilities = [\"pull\"]\n");
}

static void
other_hosts_of_a_file_stay_behind_this_node(void **state)
{
    (void)state;
    static const char theirs[] = "# mine\nserver = \"https://x\"\n\n[host.\"https://m\"]\n"
                                 "  capabilities = [\"pull\"]\n";
    AUTO(mem_free_text) char *text = setup_text_hosts(theirs, "https://x", NODE, false);
    assert_true(strstr(text, NODE) < strstr(text, "https://m"));
    assert_true(strstr(text, "server") < strstr(text, NODE));
    assert_strips_to(text, theirs);
}

static void
a_file_that_names_this_node_already_is_left_alone(void **state)
{
    (void)state;
    static const char theirs[] = "server = \"https://x\"\n[host.'http://" NODE "']\n";
    AUTO(mem_free_text) char *text = setup_text_hosts(theirs, "https://x", NODE, false);
    assert_string_equal(text, theirs);
}

/* ---- config.toml ---- */

struct edited {
    char *text, *certs;
};

static void
edited_release(struct edited *t)
{
    mem_free(t->text);
    mem_free(t->certs);
}

static struct edited
edit(const char *text)
{
    struct edited t = {NULL, NULL};
    struct err e = {0};
    int bad = setup_text_containerd(text, &t.text, &t.certs, &e);
    if (bad)
        fail_msg("%s", e.text);
    return t;
}

static void
config_path_is_added_to_each_version_of_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *before, *part;
    } rows[] = {
        {"", "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path ="},
        {"version = 2\n[plugins]\n",
         "[plugins]\n# peersync begin: written by `peersync setup`, removed by --undo\n"
         "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"},
        {"version = 3\n", "[plugins.\"io.containerd.cri.v1.images\".registry]\n"},
        {"version = 2\n  [plugins.'io.containerd.grpc.v1.cri'.registry]\n    x = 1",
         ".registry]\n# peersync begin"},
        {"version=2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"\"\n[a]\n",
         "  #was: config_path = \"\"\nconfig_path = \"/etc/containerd/certs.d\"\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(edited_release) struct edited t = edit(rows[i].before);
        assert_string_equal(t.certs, "/etc/containerd/certs.d");
        assert_has(t.text, rows[i].part);
        assert_strips_to(t.text, rows[i].before);
        AUTO(edited_release) struct edited again = edit(t.text);
        assert_string_equal(again.text, t.text);
    }
}

static void
a_config_path_that_is_there_is_used(void **state)
{
    (void)state;
    AUTO(edited_release)
    struct edited t = edit("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"
                           "config_path = \"/my/certs:/more\"\n");
    assert_null(t.text);
    assert_string_equal(t.certs, "/my/certs");
    AUTO(edited_release) struct edited off = edit("disabled_plugins = [\"cri\"]\n");
    assert_null(off.text);
}

static void
a_file_that_only_its_owner_can_change_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "root = \"/x\"\n",
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.\"a\"]\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO(edited_release) struct edited t = {NULL, NULL};
        struct err e = {0};
        assert_int_equal(setup_text_containerd(texts[i], &t.text, &t.certs, &e), ERR_CONFIG);
    }
}

/* ---- k3s, crio, docker ---- */

static void
k3s_mirrors_are_merged(void **state)
{
    (void)state;
    static const char *const befores[] = {
        "",
        "configs:\n  \"a\": {}\n",
        "mirrors:\n    other.io:\n        endpoint: [\"http://o\"]\nconfigs: {}\n",
        "mirrors:\n",
    };
    AUTO(settings_release) struct settings *s = configured();
    for (size_t i = 0; i < ARRAY_LEN(befores); i++) {
        AUTO(mem_free_text) char *text = NULL;
        AUTO(mem_free_text) char *again = NULL;
        struct err e = {0};
        assert_int_equal(setup_text_k3s(befores[i], s, NODE, &text, &e), 0);
        assert_has(text, "\"docker.io\":\n");
        assert_has(text, "\"docker.io\":\n");
        assert_has(text, "endpoint: [\"http://" NODE "\"]\n");
        assert_has(text, "endpoint: [\"http://" NODE "\", \"http://10.0.0.1:5000\"]\n");
        assert_strips_to(text, befores[i]);
        assert_int_equal(setup_text_k3s(text, s, NODE, &again, &e), 0);
        assert_string_equal(again, text);
    }
}

static void
a_k3s_mirror_of_somebody_else_is_not_overruled(void **state)
{
    (void)state;
    static const char *const befores[] = {
        "mirrors:\n  docker.io:\n    endpoint: [\"http://o\"]\n",
        "mirrors:\n  \"reg.test\": {endpoint: [\"http://o\"]}\n",
        "mirrors: {a: {}}\n",
        "\"mirrors\":\n  a: {}\n", /* ours would be a second one */
        "mirrors: null\n",
        "mirrors: &m\n  a: {}\n",
        "mirrors: [\n",
        "configs: {}\n---\nmirrors:\n",
    };
    AUTO(settings_release) struct settings *s = configured();
    for (size_t i = 0; i < ARRAY_LEN(befores); i++) {
        char *text = NULL;
        struct err e = {0};
        assert_int_equal(setup_text_k3s(befores[i], s, NODE, &text, &e), ERR_CONFIG);
    }
}

/* As the error says what to do where a registry has a mirror. */
static void
a_k3s_mirror_that_was_added_by_hand_counts(void **state)
{
    (void)state;
    static const char one[] =
        "mirrors:\n  'docker.io':\n    endpoint:\n      - http://" NODE "\n      - http://o\n";
    AUTO(mem_free_text)
    char *all = mem_printf("%s  reg.test: {endpoint: [\"http://%s\"]}\n", one, NODE);
    AUTO(settings_release) struct settings *s = configured();
    AUTO(mem_free_text) char *text = NULL;
    AUTO(mem_free_text) char *same = NULL;
    struct err e = {0};
    assert_int_equal(setup_text_k3s(one, s, NODE, &text, &e), 0);
    assert_null(strstr(text, "\"docker.io\""));
    assert_has(text, "\"reg.test\":\n");
    assert_strips_to(text, one);
    assert_int_equal(setup_text_k3s(all, s, NODE, &same, &e), 0);
    assert_string_equal(same, all);
}

static void
crio_gets_a_mirror_for_each_registry(void **state)
{
    (void)state;
    AUTO(settings_release) struct settings *s = configured();
    AUTO(mem_free_text) char *text = setup_text_crio(s, NODE, false);
    assert_has(text, "prefix = \"docker.io\"\nlocation = \"docker.io\"\n[[registry.mirror]]\n"
                     "location = \"" NODE "/docker.io\"\ninsecure = true\n");
    assert_has(text, "prefix = \"reg.test\"\nlocation = \"10.0.0.1:5000\"\ninsecure = true\n");
    assert_strips_to(text, "");
}

static void
dockers_mirrors_are_merged_in_order(void **state)
{
    (void)state;
    static const char before[] =
        "{\"debug\": true, \"registry-mirrors\": [\"http://m\"], \"data-root\": \"/d\"}";
    AUTO(mem_free_text) char *text = NULL;
    AUTO(mem_free_text) char *again = NULL;
    AUTO(mem_free_text) char *without = NULL;
    struct err e = {0};
    assert_int_equal(setup_json_docker(before, "http://" NODE, true, &text, &e), 0);
    assert_has(text, "[\"http://" NODE "\", \"http://m\"]");
    assert_true(strstr(text, "debug") < strstr(text, "registry-mirrors"));
    assert_true(strstr(text, "registry-mirrors") < strstr(text, "data-root"));
    assert_int_equal(setup_json_docker(text, "http://" NODE, true, &again, &e), 0);
    assert_string_equal(again, text);
    assert_int_equal(setup_json_docker(text, "http://" NODE, false, &without, &e), 0);
    assert_null(strstr(without, NODE));
    assert_has(without, "[\"http://m\"]");
}

static void
a_daemon_json_that_is_broken_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"{", "[]", "{\"registry-mirrors\": 1}", "{} x"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char *text = NULL;
        struct err e = {0};
        assert_int_equal(setup_json_docker(texts[i], "http://" NODE, true, &text, &e), ERR_CONFIG);
    }
}

static void
docker_says_which_image_store_it_has(void **state)
{
    (void)state;
    assert_int_equal(setup_json_docker_store("{\"features\":{\"containerd-snapshotter\":true}}"),
                     1);
    assert_int_equal(setup_json_docker_store("{\"features\":{\"containerd-snapshotter\":false}}"),
                     0);
    assert_int_equal(setup_json_docker_store("{}"), -1);
    assert_int_equal(setup_json_docker_store(NULL), -1);
}

/* ---- files ---- */

struct house {
    char root[64];
    struct settings *settings;
};

static int
build(void **state)
{
    struct house *h = mem_zalloc(sizeof *h);
    must(!text_copy(h->root, sizeof h->root, "/tmp/test_setup.XXXXXX"));
    assert_non_null(mkdtemp(h->root));
    h->settings = configured();
    *state = h;
    return 0;
}

static void
write_in(const struct house *h, const char *path, const char *text)
{
    AUTO(mem_free_text) char *full = mem_printf("%s%s", h->root, path);
    for (char *slash = strchr(full + strlen(h->root) + 1, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(full, 0755);
        *slash = '/';
    }
    FILE *f = fopen(full, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static char *
read_in(const struct house *h, const char *path)
{
    AUTO(mem_free_text) char *full = mem_printf("%s%s", h->root, path);
    char *text = NULL;
    struct err e = {0};
    assert_int_equal(setup_files_read(full, &text, &e), 0);
    return text;
}

static void
remove_in(const struct house *h, const char *path)
{
    AUTO(mem_free_text) char *full = mem_printf("%s%s", h->root, path);
    if (unlink(full) != 0)
        (void)rmdir(full);
}

static int
tear_down(void **state)
{
    static const char *const paths[] = {
        "/etc/docker/daemon.json",
        "/etc/docker/daemon.json" SETUP_BACKUP,
        "/etc/docker/certs.d/docker.io/hosts.toml",
        "/etc/docker/certs.d/docker.io/hosts.toml" SETUP_BACKUP,
        "/etc/docker/certs.d/docker.io",
        "/etc/docker/certs.d/reg.test/hosts.toml",
        "/etc/docker/certs.d/reg.test/hosts.toml" SETUP_BACKUP,
        "/etc/docker/certs.d/reg.test",
        "/etc/docker/certs.d",
        "/etc/docker",
        "/etc",
        "",
    };
    struct house *h = *state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        remove_in(h, paths[i]);
    settings_release(&h->settings);
    mem_free(h);
    return 0;
}

/* Sets docker up or undoes it; returns how many files change. */
static size_t
set_up(const struct house *h, bool undo)
{
    AUTO(setup_plan_release)
    struct setup_plan p = {.root = h->root, .settings = h->settings, .node = NODE};
    struct err e = {0};
    int bad = undo ? setup_plan_undo(SETUP_DOCKER, &p, &e) : setup_plan_make(SETUP_DOCKER, &p, &e);
    bad = bad ? bad : undo ? setup_files_undo(&p, &e) : setup_files_apply(&p, &e);
    if (bad)
        fail_msg("%s", e.text);
    return p.count;
}

static void
undo_puts_back_the_very_bytes(void **state)
{
    const struct house *h = *state;
    static const char before[] = "{ \"debug\":true }";
    write_in(h, "/etc/docker/daemon.json", before);
    assert_int_equal(set_up(h, false), 1);
    assert_int_equal(set_up(h, false), 0);
    AUTO(mem_free_text) char *edited = read_in(h, "/etc/docker/daemon.json");
    assert_has(edited, NODE);
    assert_int_equal(set_up(h, true), 1);
    AUTO(mem_free_text) char *after = read_in(h, "/etc/docker/daemon.json");
    assert_string_equal(after, before);
    assert_null(read_in(h, "/etc/docker/daemon.json" SETUP_BACKUP));
    assert_int_equal(set_up(h, true), 0);
}

static void
undo_removes_a_file_that_was_not_there(void **state)
{
    const struct house *h = *state;
    assert_int_equal(set_up(h, false), 1);
    assert_int_equal(set_up(h, true), 1);
    assert_null(read_in(h, "/etc/docker/daemon.json"));
    assert_null(read_in(h, "/etc/docker/daemon.json" SETUP_BACKUP));
}

static void
undo_keeps_what_was_changed_since(void **state)
{
    const struct house *h = *state;
    write_in(h, "/etc/docker/daemon.json", "{\"debug\": true}");
    (void)set_up(h, false);
    write_in(h, "/etc/docker/daemon.json",
             "{\"debug\": false, \"registry-mirrors\": [\"http://" NODE "\"]}");
    assert_int_equal(set_up(h, true), 1);
    AUTO(mem_free_text) char *after = read_in(h, "/etc/docker/daemon.json");
    assert_has(after, "false");
    assert_null(strstr(after, NODE));
    AUTO(mem_free_text) char *backup = read_in(h, "/etc/docker/daemon.json" SETUP_BACKUP);
    assert_string_equal(backup, "{\"debug\": true}");
}

/* With the containerd image store registry-mirrors would switch off the check of the hub's
 * certificate (moby, daemon/hosts.go), so it goes and hosts.toml comes. */
static void
dockers_containerd_store_gets_hosts_files_instead(void **state)
{
    const struct house *h = *state;
    write_in(h, "/etc/docker/daemon.json",
             "{\"features\": {\"containerd-snapshotter\": true},"
             " \"registry-mirrors\": [\"http://" NODE "\"]}");
    assert_int_equal(set_up(h, false), 3);
    AUTO(mem_free_text) char *json = read_in(h, "/etc/docker/daemon.json");
    assert_null(strstr(json, NODE));
    AUTO(mem_free_text) char *hub = read_in(h, "/etc/docker/certs.d/docker.io/hosts.toml");
    assert_has(hub, "[host.\"http://" NODE "\"]");
    AUTO(mem_free_text) char *other = read_in(h, "/etc/docker/certs.d/reg.test/hosts.toml");
    assert_has(other, "server = \"http://10.0.0.1:5000\"");
    assert_int_equal(set_up(h, true), 2);
    assert_null(read_in(h, "/etc/docker/certs.d/docker.io/hosts.toml"));
}

int
main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_hosts_file_names_the_upstream_and_this_node),
        cmocka_unit_test(fresh_tags_leave_resolve_to_the_upstream),
        cmocka_unit_test(other_hosts_of_a_file_stay_behind_this_node),
        cmocka_unit_test(a_file_that_names_this_node_already_is_left_alone),
        cmocka_unit_test(config_path_is_added_to_each_version_of_the_file),
        cmocka_unit_test(a_config_path_that_is_there_is_used),
        cmocka_unit_test(a_file_that_only_its_owner_can_change_is_refused),
        cmocka_unit_test(k3s_mirrors_are_merged),
        cmocka_unit_test(a_k3s_mirror_of_somebody_else_is_not_overruled),
        cmocka_unit_test(a_k3s_mirror_that_was_added_by_hand_counts),
        cmocka_unit_test(crio_gets_a_mirror_for_each_registry),
        cmocka_unit_test(dockers_mirrors_are_merged_in_order),
        cmocka_unit_test(a_daemon_json_that_is_broken_is_refused),
        cmocka_unit_test(docker_says_which_image_store_it_has),
        cmocka_unit_test_setup_teardown(undo_puts_back_the_very_bytes, build, tear_down),
        cmocka_unit_test_setup_teardown(undo_removes_a_file_that_was_not_there, build, tear_down),
        cmocka_unit_test_setup_teardown(undo_keeps_what_was_changed_since, build, tear_down),
        cmocka_unit_test_setup_teardown(dockers_containerd_store_gets_hosts_files_instead, build,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("setup", tests, NULL, NULL);
}
