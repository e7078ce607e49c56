/* proxy/settings: the table, what only it checks, and the files that are made from it. */
#include "base/buf.h"
#include "base/fs.h"
#include "base/text.h"
#include "proxy/settings.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct settings *
parsed(const char *text)
{
    struct settings *s = NULL;
    struct err e = {0};
    int bad = settings_parse(text, strlen(text), "a.yaml", &s, &e);
    if (bad)
        print_error("%s\n", e.text);
    assert_int_equal(bad, 0);
    return s;
}

static void
assert_refused(const char *text, const char *message)
{
    struct settings *s = NULL;
    struct err e = {0};
    assert_int_equal(settings_parse(text, strlen(text), "a.yaml", &s, &e), ERR_CONFIG);
    assert_null(s);
    assert_string_equal(e.text, message);
}

static void
an_empty_file_serves_one_node_for_docker_hub(void **state)
{
    (void)state;
    AUTO(settings_release) struct settings *s = parsed("");
    assert_string_equal(s->listen, "127.0.0.1:5000");
    assert_string_equal(s->admin, "127.0.0.1:5001");
    assert_int_equal(s->log_level, LOG_INFO);
    assert_false(s->log_json);
    assert_int_equal(s->cache_size_bytes, UINT64_C(20) << 30);
    assert_int_equal(s->registry_count, 1);
    assert_string_equal(s->registries[0].host, "docker.io");
    assert_string_equal(s->registries[0].url, "https://registry-1.docker.io");
    assert_int_equal(s->registries[0].auth, AUTH_PUBLIC);
    assert_string_equal(s->default_registry, "docker.io");
    assert_int_equal(s->tags_revalidate_ms, 30000);
    assert_true(s->prefetch_enabled);
    assert_int_equal(s->limit_connections, 512);
}

static void
every_value_reaches_its_field(void **state)
{
    (void)state;
    AUTO(settings_release)
    struct settings *s =
        parsed("log: {level: debug, format: json}\n"
               "cache: {size: 30%, min_free: 2GiB}\n"
               "prefetch: {enabled: no, parallel: 9}\n"
               "p2p: {enabled: false, seeds: [\"a:1\", \"dns:b:2\"], priority: -5}\n"
               "limits: {connections: 77, upload_rate: 5MiB}\n"
               "registries: [{host: a.test, auth: node, credentials: /c}]\n"
               "default_registry: a.test\n");
    assert_int_equal(s->log_level, LOG_DEBUG);
    assert_true(s->log_json);
    assert_int_equal(s->cache_size_bytes, 0);
    assert_int_equal(s->cache_size_percent, 30);
    assert_int_equal(s->cache_min_free_bytes, UINT64_C(2) << 30);
    assert_false(s->prefetch_enabled);
    assert_int_equal(s->prefetch_parallel, 9);
    assert_int_equal(s->p2p_seed_count, 2);
    assert_string_equal(s->p2p_seeds[1], "dns:b:2");
    assert_int_equal(s->p2p_priority, -5);
    assert_int_equal(s->limit_connections, 77);
    assert_int_equal(s->limit_upload_rate, 5 << 20);
    assert_int_equal(s->registries[0].auth, AUTH_NODE);
    assert_string_equal(s->registries[0].credentials, "/c");
}

static void
a_registry_without_url_is_at_its_host_by_https(void **state)
{
    (void)state;
    AUTO(settings_release)
    struct settings *s = parsed("registries:\n- {host: \"reg.test:5000\"}\n- {host: docker.io}\n"
                                "- {host: b.test, url: \"http://10.0.0.1:5000/base//\"}\n"
                                "- {host: \"*\"}\n");
    assert_string_equal(s->registries[0].url, "https://reg.test:5000");
    assert_string_equal(s->registries[1].url, "https://registry-1.docker.io");
    assert_string_equal(s->registries[2].url, "http://10.0.0.1:5000/base");
    assert_string_equal(s->registries[3].url, "");
}

static void
a_registry_is_found_by_name_or_by_the_star(void **state)
{
    (void)state;
    AUTO(settings_release)
    struct settings *s = parsed("registries: [{host: \"*\"}, {host: a.test}]\n");
    assert_string_equal(settings_registry(s, "A.test")->host, "a.test");
    assert_string_equal(settings_registry(s, "b.test")->host, "*");
    AUTO(settings_release) struct settings *none = parsed("");
    assert_null(settings_registry(none, "b.test"));
}

static void
values_that_cannot_be_meant_are_refused_with_their_place(void **state)
{
    (void)state;
    assert_refused("registries: [{host: \"a/b\"}]\n",
                   "a.yaml:1:15: registries[].host: expected HOST, HOST:PORT or \"*\"");
    assert_refused("registries: [{host: \"*\", url: \"https://x\"}]\n",
                   "a.yaml:1:26: registries[].url: host \"*\" has no url");
    assert_refused("registries: [{host: a.test, url: \"https://u:p@x\"}]\n",
                   "a.yaml:1:29: registries[].url: expected http://HOST or https://HOST, with port "
                   "and path if need be, without user, query or fragment");
    assert_refused("registries: [{host: a.test, auth: node}]\n",
                   "a.yaml:1:15: registries[].credentials: auth: node needs the path of a docker "
                   "config.json");
    assert_refused("registries: [{host: a.test, credentials: /c}]\n",
                   "a.yaml:1:29: registries[].credentials: would not be used: auth is not node");
    assert_refused("default_registry: a.test\n",
                   "a.yaml:1:1: default_registry: \"a.test\" is none of the registries");
    assert_refused("admin: 127.0.0.1:5000\n", "a.yaml:1:1: admin: the same address as listen");
}

static void
what_the_swarm_could_not_use_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"a",     "a:0",    "a:65536", ":5",
                                      "dns:a", "dns::5", "a b:5",   "a:b:5"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[128];
        assert_int_equal(text_printf(text, sizeof text, "p2p: {seeds: [\"%s\"]}\n", bad[i]), 0);
        assert_refused(text, "a.yaml:1:7: p2p.seeds: expected HOST:PORT or dns:NAME:PORT");
    }
    AUTO(settings_release)
    struct settings *good =
        parsed("p2p: {seeds: [\"10.0.0.1:5002\", \"[fd00::1]:5002\", \"dns:a.test:5\"]}\n");
    assert_int_equal(good->p2p_seed_count, 3);
    assert_refused("p2p: {site: \"\"}\n",
                   "a.yaml:1:7: p2p.site: expected auto, or a name of 1 to 63 bytes");
    assert_refused("p2p: {advertise: \"\"}\n",
                   "a.yaml:1:7: p2p.advertise: expected auto, HOST or HOST:PORT");
}

static void
keys_that_need_a_restart_are_named(void **state)
{
    (void)state;
    AUTO(settings_release) struct settings *old = parsed("");
    AUTO(settings_release)
    struct settings *mild = parsed("log: {level: debug}\ncache: {size: 1GiB}\n"
                                   "tags: {revalidate: 1s}\nregistries: [{host: a.test}]\n");
    assert_null(settings_needs_restart(old, mild));
    AUTO(settings_release) struct settings *moved = parsed("cache: {dir: /elsewhere}\n");
    assert_string_equal(settings_needs_restart(old, moved), "cache.dir");
    AUTO(settings_release) struct settings *seeds = parsed("p2p: {seeds: [\"a:1\"]}\n");
    assert_string_equal(settings_needs_restart(old, seeds), "p2p.seeds");
}

static void
read_file(const char *path, struct buf *ret)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint64_t size = 0;
    assert_true(fd >= 0);
    assert_int_equal(fs_size(fd, &size), 0);
    char *text = test_malloc((size_t)size);
    assert_int_equal(fs_read_at(fd, 0, text, (size_t)size), 0);
    assert_int_equal(buf_add(ret, text, (size_t)size), 0);
    test_free(text);
}

static void
the_reference_in_configs_is_up_to_date(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf printed, stored;
    buf_init(&printed, CONFIG_BYTES_MAX);
    buf_init(&stored, CONFIG_BYTES_MAX);
    assert_int_equal(settings_reference(&printed), 0);
    read_file("configs/reference.yaml", &stored);
    /* Otherwise: build/peersync config reference > configs/reference.yaml */
    assert_string_equal(buf_text(&stored), buf_text(&printed));
}

/* Both files of configs/ say what the empty file says. */
static void
the_files_in_configs_are_the_defaults(void **state)
{
    (void)state;
    static const char *const files[] = {"configs/reference.yaml", "configs/config.yaml"};
    struct err e = {0};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        AUTO(config_close) struct config *c = NULL;
        AUTO(config_close) struct config *empty = NULL;
        assert_int_equal(settings_config(files[i], &c, &e), 0);
        assert_int_equal(settings_config("/dev/null", &empty, &e), 0);
        AUTO(json_free) cJSON *read = config_print_json(c);
        AUTO(json_free) cJSON *meant = config_print_json(empty);
        if (!cJSON_Compare(read, meant, true))
            fail_msg("%s differs from the defaults", files[i]);
    }
}

static void
a_named_file_that_is_missing_is_an_error(void **state)
{
    (void)state;
    struct settings *s = NULL;
    struct err e = {0};
    assert_true(settings_load("/nowhere/config.yaml", &s, &e) < 0);
    assert_string_equal(e.text, "/nowhere/config.yaml: No such file or directory");
}

int
main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_serves_one_node_for_docker_hub),
        cmocka_unit_test(every_value_reaches_its_field),
        cmocka_unit_test(a_registry_without_url_is_at_its_host_by_https),
        cmocka_unit_test(a_registry_is_found_by_name_or_by_the_star),
        cmocka_unit_test(values_that_cannot_be_meant_are_refused_with_their_place),
        cmocka_unit_test(what_the_swarm_could_not_use_is_refused),
        cmocka_unit_test(keys_that_need_a_restart_are_named),
        cmocka_unit_test(the_reference_in_configs_is_up_to_date),
        cmocka_unit_test(the_files_in_configs_are_the_defaults),
        cmocka_unit_test(a_named_file_that_is_missing_is_an_error),
    };
    return cmocka_run_group_tests_name("settings", tests, NULL, NULL);
}
