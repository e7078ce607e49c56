/* Docker's daemon.json: JSON in, JSON out, in the order in which it was written. */
#include "base/mem.h"
#include "proxy/cli/setup.h"
#include <string.h>

static const char mirrors_key[] = "registry-mirrors";
static const char store_key[] = "containerd-snapshotter";

/* Takes every occurrence of url out of the array. */
static void
take_out(cJSON *array, const char *url)
{
    for (int i = cJSON_GetArraySize(array) - 1; i >= 0; i--) {
        const cJSON *one = cJSON_GetArrayItem(array, i);
        if (cJSON_IsString(one) && strcmp(one->valuestring, url) == 0)
            cJSON_DeleteItemFromArray(array, i);
    }
}

static bool
names(const cJSON *array, const char *url)
{
    const cJSON *one;
    cJSON_ArrayForEach(one, array)
    {
        if (cJSON_IsString(one) && strcmp(one->valuestring, url) == 0)
            return true;
    }
    return false;
}

static int
parse(const char *text, cJSON **ret, struct err *e)
{
    bool blank = !text || text[strspn(text, " \t\r\n")] == 0;
    if (blank)
        *ret = cJSON_CreateObject();
    else if (json_parse(text, strlen(text), ret))
        return err_set(e, ERR_CONFIG, "is not JSON");
    if (cJSON_IsObject(*ret))
        return 0;
    return err_set(e, ERR_CONFIG, "is not a JSON object");
}

int
setup_json_docker(const char *text, const char *url, bool add, char **ret, struct err *e)
{
    AUTO(json_free) cJSON *doc = NULL;
    int bad = parse(text, &doc, e);
    if (bad)
        return bad;
    cJSON *list = cJSON_GetObjectItemCaseSensitive(doc, mirrors_key);
    if (list && !cJSON_IsArray(list))
        return err_set(e, ERR_CONFIG, "%s is not a list", mirrors_key);
    if (names(list, url) == add) {
        *ret = mem_strdup(text ? text : "");
        return 0;
    }
    if (add && !list)
        list = cJSON_AddArrayToObject(doc, mirrors_key);
    take_out(list, url);
    if (add)
        cJSON_InsertItemInArray(list, 0, cJSON_CreateString(url));
    else if (cJSON_GetArraySize(list) == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(doc, mirrors_key);
    AUTO(mem_free_text) char *printed = json_print(doc, true);
    *ret = doc->child ? mem_printf("%s\n", printed) : mem_strdup("");
    return 0;
}

int
setup_json_docker_store(const char *text)
{
    AUTO(json_free) cJSON *doc = NULL;
    struct err e;
    if (parse(text, &doc, &e))
        return -1;
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(json_object(doc, "features"), store_key);
    return cJSON_IsBool(value) ? cJSON_IsTrue(value) : -1;
}
