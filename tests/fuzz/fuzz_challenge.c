/* WWW-Authenticate lists: what is understood has no control byte and, quoted anew, reads as the
 * same challenge. */
#include "proxy/upstream/challenge.h"
#include "tests/fuzz/fuzz.h"

static void
add_quoted(struct buf *b, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    must(buf_printf(b, "%s=\"", name) == 0);
    for (; *value != '\0'; value++) {
        must((unsigned char)*value >= 0x20 && *value != 0x7f);
        must(buf_printf(b, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value) == 0);
    }
    must(buf_add_text(b, "\",") == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(mem_free_text) char *text = fuzz_text(data, size);
    struct challenge c;
    if (text == NULL || challenge_parse(text, &c) != 0 || c.kind == CHALLENGE_NONE)
        return 0;
    must(c.kind != CHALLENGE_BEARER || c.realm[0] != '\0');
    AUTO(buf_release) struct buf b;
    buf_init(&b, (size_t)2 * CHALLENGE_TEXT_MAX);
    must(buf_add_text(&b, c.kind == CHALLENGE_BEARER ? "Bearer " : "Basic ") == 0);
    add_quoted(&b, "realm", c.realm);
    add_quoted(&b, "service", c.service);
    add_quoted(&b, "scope", c.scope);
    add_quoted(&b, "error", c.error);
    struct challenge again;
    must(challenge_parse(buf_text(&b), &again) == 0 && again.kind == c.kind);
    must(strcmp(again.realm, c.realm) == 0 && strcmp(again.service, c.service) == 0);
    must(strcmp(again.scope, c.scope) == 0 && strcmp(again.error, c.error) == 0);
    return 0;
}
