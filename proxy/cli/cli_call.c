/* Requests of the command line to the daemon's admin API. */
#include "base/buf.h"
#include "base/config.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/cli.h"
#include "proxy/settings.h"
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_BYTES_MAX (16u * 1024 * 1024)
#define CONNECT_MS       2000L
#define GET_S            15L

int
cli_reachable(const char *listen, char ret_address[CLI_ADDRESS_MAX])
{
    if (text_starts(listen, "0.0.0.0:"))
        return text_printf(ret_address, CLI_ADDRESS_MAX, "127.0.0.1%s", listen + 7);
    if (text_starts(listen, "[::]:"))
        return text_printf(ret_address, CLI_ADDRESS_MAX, "[::1]%s", listen + 4);
    return text_copy(ret_address, CLI_ADDRESS_MAX, listen);
}

int
cli_admin_address(const struct cli *cli, char ret_address[CLI_ADDRESS_MAX])
{
    AUTO(settings_release) struct settings *s = NULL;
    struct err e = {0};
    if (cli->admin && !config_is_address(cli->admin))
        return cli_fail(CLI_USAGE, "--admin: expected HOST:PORT such as 127.0.0.1:5001, not \"%s\"",
                        cli->admin);
    if (!cli->admin && settings_load(cli->config, &s, &e))
        return cli_fail(CLI_CONFIG, "%s", e.text);
    if (cli_reachable(cli->admin ? cli->admin : s->admin, ret_address))
        return cli_fail(CLI_USAGE, "the admin address is too long");
    return 0;
}

static size_t
take_body(char *bytes, size_t one, size_t len, void *arg)
{
    return buf_add(arg, bytes, one * len) ? 0 : len;
}

struct reply {
    long status;
    struct buf body;
};

static void
prepare(CURL *curl, const char *url, bool post, struct reply *reply)
{
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "peersync/" PEERSYNC_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply->body);
    if (post) { /* verify takes as long as the disk does */
        (void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    } else {
        (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, GET_S);
    }
}

static int
transfer(const char *address, const char *path, bool post, struct reply *reply)
{
    AUTO(mem_free_text) char *url = mem_printf("http://%s%s", address, path);
    CURL *curl = curl_easy_init();
    if (!curl)
        return cli_fail(CLI_FAILED, "no memory for a request");
    prepare(curl, url, post, reply);
    CURLcode code = curl_easy_perform(curl);
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_cleanup(curl);
    if (code == CURLE_OK)
        return 0;
    return cli_fail(CLI_NO_DAEMON, "no daemon at %s: %s (is `peersync serve` running?)", address,
                    curl_easy_strerror(code));
}

static int
call(const struct cli *cli, const char *path, bool post, bool may_miss, cJSON **ret)
{
    char address[CLI_ADDRESS_MAX];
    struct reply reply = {.status = 0};
    buf_init(&reply.body, ANSWER_BYTES_MAX);
    AUTO(json_free) cJSON *doc = NULL;
    int bad = cli_admin_address(cli, address);
    bad = bad ? bad : transfer(address, path, post, &reply);
    if (!bad && json_parse(buf_text(&reply.body), reply.body.len, &doc))
        bad = cli_fail(CLI_FAILED, "%s does not answer like peersync", address);
    buf_release(&reply.body);
    if (bad)
        return bad;
    if (reply.status == 404 && may_miss) {
        *ret = NULL;
        return 0;
    }
    if (reply.status != 200)
        return cli_fail(CLI_FAILED, "%s", cli_text(doc, "error"));
    *ret = doc;
    doc = NULL;
    return 0;
}

int
cli_get(const struct cli *cli, const char *path, cJSON **ret)
{
    return call(cli, path, false, false, ret);
}

int
cli_find(const struct cli *cli, const char *path, cJSON **ret)
{
    return call(cli, path, false, true, ret);
}

int
cli_post(const struct cli *cli, const char *path, cJSON **ret)
{
    return call(cli, path, true, false, ret);
}

int
cli_print_json(const cJSON *doc)
{
    AUTO(mem_free_text) char *text = json_print(doc, true);
    (void)puts(text);
    return CLI_OK;
}

uint64_t
cli_number(const cJSON *doc, const char *key)
{
    uint64_t n;
    return json_u64(doc, key, &n) ? 0 : n;
}

const char *
cli_text(const cJSON *doc, const char *key)
{
    const char *text = json_text(doc, key);
    return text ? text : "";
}

bool
cli_true(const cJSON *doc, const char *key)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(doc, key));
}
