/* JSON behind the fence: what is accepted prints, compact and pretty, as a document that is
 * accepted and prints the same. */
#include "base/json.h"
#include "tests/fuzz/fuzz.h"

static char *
print_and_parse(const cJSON *doc, bool pretty, cJSON **ret_again)
{
    char *text = json_print(doc, pretty);
    must(text != NULL && json_parse(text, strlen(text), ret_again) == 0);
    return text;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(json_free) cJSON *doc = NULL;
    if (json_parse((const char *)data, size, &doc) != 0)
        return 0;
    AUTO(json_free) cJSON *again = NULL;
    AUTO(mem_free_text) char *first = print_and_parse(doc, false, &again);
    AUTO(json_free) cJSON *third = NULL;
    char *pretty = print_and_parse(again, true, &third);
    mem_free(pretty);
    AUTO(mem_free_text) char *last = json_print(third, false);
    must(strcmp(first, last) == 0);
    return 0;
}
