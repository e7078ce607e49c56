/* Names that are ours. */
#include "proxy/admin_host.h"
#include "base/text.h"
#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

#define HOST_MAX 256

/* HOST, HOST:PORT or [ADDRESS]:PORT without port and brackets. */
static bool
without_port(const char *text, char ret[HOST_MAX])
{
    size_t len = strlen(text);
    const char *start = text;
    if (*text == '[') {
        const char *end = strchr(text, ']');
        if (!end)
            return false;
        start++;
        len = (size_t)(end - start);
    } else if (strchr(text, ':')) {
        len = (size_t)(strchr(text, ':') - text);
    }
    if (len == 0 || len >= HOST_MAX)
        return false;
    memcpy(ret, start, len);
    ret[len] = 0;
    return true;
}

static bool
is_address(const char *host)
{
    unsigned char room[16];
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

/* The machine calls itself edge-7 or edge-7.site.example; others may add or leave out the domain.
 */
static bool
is_machine(const char *host)
{
    char own[HOST_MAX] = "", first[HOST_MAX];
    if (gethostname(own, sizeof own - 1) != 0 || !own[0])
        return false;
    if (text_equal_nocase(host, own))
        return true;
    if (text_copy(first, sizeof first, own))
        return false;
    first[strcspn(first, ".")] = 0;
    return text_equal_nocase(host, first);
}

bool
admin_host_is_ours(const char *host, const char *configured)
{
    char name[HOST_MAX], wanted[HOST_MAX];
    if (!host || !without_port(host, name))
        return false;
    if (is_address(name) || text_equal_nocase(name, "localhost") ||
        (strlen(name) > 10 && text_equal_nocase(name + strlen(name) - 10, ".localhost")))
        return true;
    if (without_port(configured, wanted) && text_equal_nocase(name, wanted))
        return true;
    return is_machine(name);
}
