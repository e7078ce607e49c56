/* Tells the three families of pull clients apart by their User-Agent. */
#include "proxy/api/agent.h"
#include "base/text.h"
#include <string.h>

static const struct {
    const char *prefix;
    enum agent family;
} prefixes[] = {
    {"containerd/", AGENT_CONTAINERD}, {"docker/", AGENT_DOCKER},     {"skopeo/", AGENT_CONTAINERS},
    {"containers/", AGENT_CONTAINERS}, {"cri-o/", AGENT_CONTAINERS},  {"podman/", AGENT_CONTAINERS},
    {"Buildah/", AGENT_CONTAINERS},    {"libpod/", AGENT_CONTAINERS},
};

enum agent
agent_family(const char *user_agent)
{
    if (!user_agent)
        return AGENT_OTHER;
    if (text_starts(user_agent, "docker/") && strstr(user_agent, "containerd-client/"))
        return AGENT_CONTAINERD;
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (text_starts(user_agent, prefixes[i].prefix))
            return prefixes[i].family;
    return AGENT_OTHER;
}

const char *
agent_name(enum agent family)
{
    static const char *const names[] = {"other", "containerd", "docker", "containers"};
    must(family < ARRAY_LEN(names));
    return names[family];
}
