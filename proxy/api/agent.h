/* Which family of clients a User-Agent belongs to (docs of each runtime differ in
 * what an answer does to them). Pure. */
#ifndef PROXY_AGENT_H
#define PROXY_AGENT_H

#include "base/must.h"

enum agent {
    AGENT_OTHER,
    AGENT_CONTAINERD, /* ctr, CRI, dockerd with the containerd store */
    AGENT_DOCKER,     /* dockerd with a graph driver */
    AGENT_CONTAINERS, /* containers/image: skopeo, podman, CRI-O, Buildah */
};

/* NULL is no header. */
enum agent agent_family(const char *user_agent);
const char *agent_name(enum agent family);

#endif
