/* Image names and platforms. */
#include "proxy/cli/image.h"
#include "base/err.h"
#include "base/text.h"
#include "proxy/api/ref.h"
#include <ctype.h>
#include <string.h>
#include <sys/utsname.h>

/* Docker's rule: the first part is a host when it looks like one. */
static bool
is_host(const char *part, size_t len)
{
    return memchr(part, '.', len) || memchr(part, ':', len) ||
           (len == 9 && memcmp(part, "localhost", len) == 0);
}

/* What may stand in a host name with a port, so in a request target. */
static bool
is_clean_host(const char *part, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)part[i]) && !strchr(".-_:[]", part[i]))
            return false;
    return true;
}

static int
copy(char ret[IMAGE_PART_MAX], const char *text, size_t len)
{
    return text_printf(ret, IMAGE_PART_MAX, "%.*s", (int)len, text);
}

/* Splits "name[:tag][@digest]" behind the host; returns the length of the name. */
static int
split_reference(const char *name, size_t *ret_len, char ret_reference[IMAGE_PART_MAX])
{
    const char *at = strchr(name, '@');
    size_t end = at ? (size_t)(at - name) : strlen(name);
    const char *colon = memchr(name, ':', end);
    *ret_len = colon ? (size_t)(colon - name) : end;
    const char *reference = at ? at + 1 : colon ? colon + 1 : "latest";
    struct ref ref;
    int bad = ref_parse(reference, strlen(reference), &ref);
    if (bad || (at && !ref.by_digest) || (!at && ref.by_digest))
        return ERR_SYNTAX;
    return copy(ret_reference, reference, strlen(reference));
}

int
image_parse(const char *text, struct image *ret)
{
    struct image i;
    const char *slash = strchr(text, '/');
    bool has_host = slash && is_host(text, (size_t)(slash - text));
    if (has_host && !is_clean_host(text, (size_t)(slash - text)))
        return ERR_SYNTAX;
    const char *name = has_host ? slash + 1 : text;
    size_t len;
    int bad = has_host ? copy(i.host, text, (size_t)(slash - text)) : copy(i.host, "docker.io", 9);
    bad = bad ? bad : split_reference(name, &len, i.reference);
    if (bad || len == 0 || len >= IMAGE_PART_MAX || !ref_is_name(name, len))
        return ERR_SYNTAX;
    if (strcmp(i.host, "index.docker.io") == 0)
        bad = copy(i.host, "docker.io", 9);
    bool official = strcmp(i.host, "docker.io") == 0 && !memchr(name, '/', len);
    bad = bad ? bad
              : text_printf(i.repository, IMAGE_PART_MAX, "%s%.*s", official ? "library/" : "",
                            (int)len, name);
    if (bad)
        return ERR_SYNTAX;
    *ret = i;
    return 0;
}

/* ---- platforms ---- */

int
platform_parse(const char *text, struct platform *ret)
{
    struct platform p = {.os = ""};
    size_t os = strcspn(text, "/");
    if (text[os] == 0)
        return ERR_SYNTAX;
    const char *rest = text + os + 1;
    size_t arch = strcspn(rest, "/");
    const char *variant = rest[arch] ? rest + arch + 1 : "";
    if (os == 0 || arch == 0 || strchr(variant, '/') ||
        text_printf(p.os, sizeof p.os, "%.*s", (int)os, text) ||
        text_printf(p.architecture, sizeof p.architecture, "%.*s", (int)arch, rest) ||
        text_copy(p.variant, sizeof p.variant, variant))
        return ERR_SYNTAX;
    *ret = p;
    return 0;
}

/* The kernel's word for a machine and the one of images. */
static const struct {
    const char *machine, *architecture, *variant;
} machines[] = {
    {"x86_64", "amd64", ""}, {"aarch64", "arm64", ""},       {"armv7l", "arm", "v7"},
    {"i686", "386", ""},     {"riscv64", "riscv64", ""},     {"ppc64le", "ppc64le", ""},
    {"s390x", "s390x", ""},  {"loongarch64", "loong64", ""},
};

void
platform_here(struct platform *ret)
{
    struct utsname u;
    *ret = (struct platform){.os = "linux", .architecture = "amd64"};
    if (uname(&u) != 0)
        return;
    for (size_t i = 0; i < ARRAY_LEN(machines); i++) {
        if (strcmp(u.machine, machines[i].machine) != 0)
            continue;
        must(!text_copy(ret->architecture, sizeof ret->architecture, machines[i].architecture));
        must(!text_copy(ret->variant, sizeof ret->variant, machines[i].variant));
    }
}

bool
platform_fits(const struct platform *wanted, const struct platform *offered)
{
    return strcmp(wanted->os, offered->os) == 0 &&
           strcmp(wanted->architecture, offered->architecture) == 0 &&
           (!*wanted->variant || !*offered->variant ||
            strcmp(wanted->variant, offered->variant) == 0);
}
