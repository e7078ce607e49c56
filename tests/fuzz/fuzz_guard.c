/* Header bytes: what the guard lets through has no byte that two parsers could read in two ways. */
#include "proxy/http/guard.h"
#include "tests/fuzz/fuzz.h"

static void
check_line(const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL)
        return;
    size_t name_len = (size_t)(colon - line);
    if (guard_header(line, name_len, colon + 1, len - name_len - 1) != NULL)
        return;
    must(name_len > 0);
    for (size_t i = 0; i < len; i++)
        must(line[i] == '\t' || ((unsigned char)line[i] >= 0x20 && line[i] != 0x7f));
    must(memchr(line, ' ', name_len) == NULL && memchr(line, '\t', name_len) == NULL);
}

static void
check_target(const uint8_t *data, size_t size)
{
    AUTO(mem_free_text) char *target = fuzz_text(data, size);
    if (target == NULL || guard_target(target) != NULL)
        return;
    target[strcspn(target, "?")] = '\0';
    must(target[0] == '/' && strstr(target, "..") == NULL && strpbrk(target, "% \t\r\n") == NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    check_target(data, size);
    check_line(bytes, size);
    if (guard_head(bytes, size, false) != NULL)
        return 0;
    must(size == 0 || memchr(bytes, '\0', size) == NULL);
    for (size_t i = 0; i + 1 < size; i++)
        must(bytes[i] != '\r' || bytes[i + 1] == '\n');
    for (size_t i = 1; i < size; i++)
        must(bytes[i - 1] != '\n' || (bytes[i] != ' ' && bytes[i] != '\t'));
    return 0;
}
