/* Families of pull clients. */
#include "proxy/api/agent.h"
#include "tests/unit/base/unit.h"

static void
each_client_belongs_to_its_family(void **state)
{
    (void)state;
    static const struct {
        const char *agent;
        enum agent family;
    } table[] = {
        {"containerd/1.6.20~ds1", AGENT_CONTAINERD},
        {"containerd/2.1.9+unknown", AGENT_CONTAINERD},
        {"docker/28.5.2 go/go1.24 containerd-client/2.1.9 storage-driver/overlayfs",
         AGENT_CONTAINERD},
        {"docker/20.10.24+dfsg1 go/go1.19.8 os/linux UpstreamClient(Docker-Client/28.2.2)",
         AGENT_DOCKER},
        {"skopeo/1.9.3", AGENT_CONTAINERS},
        {"containers/5.39.2 (github.com/containers/image)", AGENT_CONTAINERS},
        {"cri-o/1.30", AGENT_CONTAINERS},
        {"podman/5.8.6", AGENT_CONTAINERS},
        {"Buildah/1.30", AGENT_CONTAINERS},
        {"libpod/4.3", AGENT_CONTAINERS},
        {"curl/7.88.1", AGENT_OTHER},
        {"x skopeo/1.9.3", AGENT_OTHER},
        {"", AGENT_OTHER},
        {NULL, AGENT_OTHER},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (agent_family(table[i].agent) != table[i].family)
            fail_msg("%s: %s", table[i].agent, agent_name(agent_family(table[i].agent)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_client_belongs_to_its_family)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
