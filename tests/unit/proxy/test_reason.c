/* Refusals as clients see them. */
#include "base/json.h"
#include "proxy/api/reason.h"
#include "tests/unit/base/unit.h"
#include <string.h>

static void
every_refusal_is_an_oci_error(void **state)
{
    (void)state;
    for (enum reason why = REASON_NONE + 1; why < REASONS; why++) {
        char body[REASON_BODY_MAX];
        size_t len = reason_body(why, body);
        AUTO(json_free) cJSON *doc = NULL;
        assert_int_equal(json_parse(body, len, &doc), 0);
        const cJSON *errors = json_array(doc, "errors");
        assert_int_equal(cJSON_GetArraySize(errors), 1);
        assert_non_null(json_text(errors->child, "code"));
        assert_string_equal(json_text(errors->child, "message"), reason_text(why));
    }
}

static void
no_refusal_makes_a_runtime_wait_or_give_up(void **state)
{
    (void)state;
    for (enum reason why = REASON_NONE + 1; why < REASONS; why++) {
        unsigned status = reason_status(why);
        assert_in_range(status, 400, 416);
        assert_int_not_equal(status, 408);
        if (status == 401)
            assert_int_equal(why, REASON_challenge);
    }
}

int
main(void)
{
    json_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_is_an_oci_error),
        cmocka_unit_test(no_refusal_makes_a_runtime_wait_or_give_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
