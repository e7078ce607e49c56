/* cJSON behind a fence: a byte budget per parse, no duplicate keys, no garbage
 * behind the end, case-sensitive getters, integers below 2^53 only. Any thread. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/must.h"
#include <cjson/cJSON.h>

#define JSON_BUDGET_BYTES ((size_t)8 * 1024 * 1024)
#define JSON_DEPTH_MAX    64

/* Once, before other threads start. */
void json_init(void);
/* ERR_SYNTAX or ERR_LIMIT. Free with json_free. */
CHECKED int json_parse(const char *text, size_t len, cJSON **ret);
void json_free(cJSON **doc); /* for AUTO */
/* NULL when absent or of another type. `obj` may be NULL. */
const char *json_text(const cJSON *obj, const char *key);
const cJSON *json_array(const cJSON *obj, const char *key);
const cJSON *json_object(const cJSON *obj, const char *key);
/* 0; ERR_NOT_FOUND when absent, ERR_SYNTAX when no integer of 0 .. 2^53-1 (any that json_add_u64
 * added). */
CHECKED int json_u64(const cJSON *obj, const char *key, uint64_t *ret);
/* Building: numbers as decimal digits, exact up to 2^64. */
void json_add_u64(cJSON *obj, const char *key, uint64_t value);
/* Text of the document, malloc'd through mem; caller frees with mem_free. */
CHECKED char *json_print(const cJSON *doc, bool pretty);

#endif
