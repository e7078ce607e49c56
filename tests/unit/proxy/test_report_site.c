/* What a node without a swarm tells of its site. */
#include "tests/unit/base/unit.h"

#include "base/json.h"
#include "base/metric.h"
#include "proxy/report_site.h"

static const char *
bytes(const cJSON *doc, const char *key)
{
    return cJSON_GetObjectItem(json_object(doc, key), "bytes")->valuestring;
}

/* They may have come before the swarm's thread stopped to answer. */
static void
bytes_of_other_sites_crossed_the_wan_too(void **state)
{
    (void)state;
    struct settings alone = {.p2p_enabled = false};
    struct report r = {.settings = &alone};
    metric_add(M_body_upstream, 100);
    metric_add(M_body_remote_peer, 20);
    metric_add(M_body_peer, 3);
    AUTO(json_free) cJSON *doc = report_site(&r);
    assert_string_equal(bytes(doc, "wan"), "120");
    assert_string_equal(bytes(doc, "lan"), "3");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_of_other_sites_crossed_the_wan_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
