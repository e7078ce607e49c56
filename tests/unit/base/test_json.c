#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "tests/unit/base/unit.h"
#include <string.h>

static int
parse(const char *text, cJSON **ret)
{
    return json_parse(text, strlen(text), ret);
}

static void
a_document_gives_its_members_by_type(void **state)
{
    (void)state;
    AUTO(json_free) cJSON *doc = NULL;
    uint64_t v = 0;
    assert_int_equal(parse(" {\"t\":\"x\",\"a\":[1],\"o\":{\"n\":7},\"z\":null} \n", &doc), 0);
    assert_string_equal(json_text(doc, "t"), "x");
    assert_int_equal(cJSON_GetArraySize(json_array(doc, "a")), 1);
    assert_int_equal(json_u64(json_object(doc, "o"), "n", &v), 0);
    assert_int_equal(v, 7);
    assert_null(json_text(doc, "a"));
    assert_null(json_array(doc, "o"));
    assert_null(json_object(doc, "t"));
    assert_null(json_text(doc, "none"));
    assert_null(json_text(doc, "T")); /* case counts */
    assert_null(json_text(NULL, "t"));
    assert_null(json_text(json_array(doc, "a"), "t"));
}

static void
what_is_no_json_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}x",
        "{\"a\":1}{}",
        "[1 2]",
        "nul",
        "nulll",
        "01",
        "+1",
        "-",
        ".5",
        "1.",
        "1e",
        "1-2",
        "[1.2.3]",
        "0x10",
        "\"a",
        "\"a\\\"",
        "\"\\x41\"",
        "\"\t\"",
        "\"\n\"",
        "[\x01]",
        "NaN",
        "[-Infinity]",
        "\"\\u00\"",
        "\"\\ud800\"",
        "[\"a\" \x0c]",
        "[[]",
        "]",
        "{\"a\"}",
    };
    cJSON *doc = NULL;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (parse(bad[i], &doc) != ERR_SYNTAX)
            fail_msg("accepted: %s", bad[i]);
    }
    assert_int_equal(json_parse("[1]\0", 4, &doc), ERR_SYNTAX);
    assert_int_equal(json_parse("[\0]", 3, &doc), ERR_SYNTAX);
    assert_int_equal(json_parse("1-2", 3, &doc), ERR_SYNTAX);
    assert_null(doc);
}

static void
what_is_json_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "null",
        "true",
        "0",
        "-0",
        "-1.5e+10",
        "\"\"",
        "[]",
        "{}",
        "[[],{},[{}]]",
        "\"\\u0001\"",
        "\"\\\\u0000\"",
        "\"\xc3\xa4\"",
        "{\"\":1}",
        "\r\n\t [0,1 , 2]",
        "\"\\ud83d\\ude00\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO(json_free) cJSON *doc = NULL;
        if (parse(good[i], &doc) != 0)
            fail_msg("refused: %s", good[i]);
    }
}

static void
the_length_rules_and_not_a_terminator(void **state)
{
    (void)state;
    AUTO(json_free) cJSON *doc = NULL;
    char exact[8];
    memcpy(exact, "[1,2345]", 8);
    assert_int_equal(json_parse(exact, 8, &doc), 0);
    cJSON *other = NULL;
    assert_int_equal(json_parse(exact, 7, &other), ERR_SYNTAX);
    char *tail = mem_alloc(3); /* numbers at the very end of the memory, for asan */
    memcpy(tail, "123", 3);
    assert_int_equal(json_parse(tail, 3, &other), 0);
    assert_int_equal(other->valueint, 123);
    json_free(&other);
    assert_null(other);
    mem_free(tail);
}

static void
a_zero_byte_in_a_text_is_refused_however_it_is_written(void **state)
{
    (void)state;
    cJSON *doc = NULL;
    assert_int_equal(parse("{\"a\\u0000b\":1}", &doc), ERR_SYNTAX);
    assert_int_equal(parse("[\"x\\u0000\"]", &doc), ERR_SYNTAX);
    assert_int_equal(parse("[\"\\\\\\u0000\"]", &doc), ERR_SYNTAX);
}

static void
a_key_may_stand_once_in_its_object(void **state)
{
    (void)state;
    cJSON *doc = NULL;
    assert_int_equal(parse("{\"a\":1,\"a\":1}", &doc), ERR_SYNTAX);
    assert_int_equal(parse("{\"a\":1,\"\\u0061\":1}", &doc), ERR_SYNTAX);
    assert_int_equal(parse("[[{\"x\":[{\"a\":1,\"b\":2,\"a\":3}]}]]", &doc), ERR_SYNTAX);
    assert_null(doc);
    assert_int_equal(parse("{\"a\":{\"a\":1},\"b\":{\"a\":1},\"A\":1}", &doc), 0);
    json_free(&doc);
}

static void
depth_is_limited(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 3];
    cJSON *doc = NULL;
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_int_equal(json_parse(text, (size_t)2 * JSON_DEPTH_MAX, &doc), 0);
    json_free(&doc);
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(json_parse(text, (size_t)2 * JSON_DEPTH_MAX + 2, &doc), ERR_LIMIT);
}

static void
a_small_text_cannot_take_more_memory_than_the_budget(void **state)
{
    (void)state;
    size_t len = (size_t)1 << 20;
    char *text = mem_alloc(len);
    cJSON *doc = NULL;
    text[0] = '[';
    for (size_t i = 1; i < len; i++)
        text[i] = i % 2 == 1 ? '1' : ',';
    text[len - 2] = '1';
    text[len - 1] = ']';
    assert_int_equal(json_parse(text, len, &doc), ERR_LIMIT);
    /* The next one on this thread starts with a full budget. */
    assert_int_equal(parse("[1]", &doc), 0);
    json_free(&doc);
    mem_free(text);
}

static void
a_text_above_the_budget_is_not_even_read(void **state)
{
    (void)state;
    cJSON *doc = NULL;
    assert_int_equal(json_parse("", (size_t)JSON_BUDGET_BYTES + 1, &doc), ERR_LIMIT);
}

static void
many_keys_are_checked_quickly(void **state)
{
    (void)state;
    char *text = mem_alloc((size_t)1 << 20);
    size_t len = 0;
    cJSON *doc = NULL;
    text[len++] = '{';
    for (unsigned i = 0; i < 50000; i++) {
        char item[16];
        memcpy(item, "\"kXXXX\":1,", 10);
        for (unsigned j = 0, rest = i; j < 4; j++, rest /= 16)
            item[2 + j] = "0123456789abcdef"[rest % 16];
        memcpy(text + len, item, 10);
        len += 10;
    }
    text[len - 1] = '}';
    assert_int_equal(json_parse(text, len, &doc), 0);
    assert_int_equal(cJSON_GetArraySize(doc), 50000);
    json_free(&doc);
    mem_free(text);
}

static void
u64_takes_exact_integers_only(void **state)
{
    (void)state;
    static const struct {
        const char *number;
        int rc;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"-0", 0, 0},
        {"1e3", 0, 1000},
        {"9007199254740991", 0, 9007199254740991},
        {"9007199254740992", ERR_SYNTAX, 0},
        {"18446744073709551616", ERR_SYNTAX, 0},
        {"1e999", ERR_SYNTAX, 0},
        {"-1", ERR_SYNTAX, 0},
        {"1.5", ERR_SYNTAX, 0},
        {"\"1\"", ERR_SYNTAX, 0},
        {"null", ERR_SYNTAX, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(json_free) cJSON *doc = NULL;
        AUTO(mem_free_text) char *text = mem_printf("{\"n\":%s}", cases[i].number);
        uint64_t v = 77;
        assert_int_equal(parse(text, &doc), 0);
        assert_int_equal(json_u64(doc, "n", &v), cases[i].rc);
        assert_true(v == (cases[i].rc == 0 ? cases[i].value : 77));
        assert_int_equal(json_u64(doc, "none", &v), ERR_NOT_FOUND);
    }
}

static void
built_documents_print_exact_numbers(void **state)
{
    (void)state;
    AUTO(json_free) cJSON *doc = cJSON_CreateObject();
    json_add_u64(doc, "big", UINT64_MAX);
    json_add_u64(doc, "zero", 0);
    uint64_t v;
    assert_int_equal(json_u64(doc, "big", &v), 0); /* and can be read before */
    assert_true(v == UINT64_MAX);
    char *text = json_print(doc, false);
    assert_string_equal(text, "{\"big\":18446744073709551615,\"zero\":0}");
    mem_free(text);
    text = json_print(doc, true);
    assert_non_null(strchr(text, '\n'));
    mem_free(text);
}

static void
parse_often(void *arg)
{
    int *bad = arg;
    for (int i = 0; i < 200; i++) {
        AUTO(json_free) cJSON *doc = NULL;
        *bad += parse("{\"a\":[1,2,3],\"b\":\"text\"}", &doc) != 0;
    }
}

static void
threads_parse_at_once_with_budgets_of_their_own(void **state)
{
    (void)state;
    struct thread other;
    int bad_here = 0;
    int bad_there = 0;
    assert_int_equal(thread_start(&other, "other", parse_often, &bad_there), 0);
    parse_often(&bad_here);
    thread_join(&other);
    assert_int_equal(bad_here + bad_there, 0);
}

static int
set_up_all(void **state)
{
    (void)state;
    json_init();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_gives_its_members_by_type),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(what_is_json_is_accepted),
        cmocka_unit_test(the_length_rules_and_not_a_terminator),
        cmocka_unit_test(a_zero_byte_in_a_text_is_refused_however_it_is_written),
        cmocka_unit_test(a_key_may_stand_once_in_its_object),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(a_small_text_cannot_take_more_memory_than_the_budget),
        cmocka_unit_test(a_text_above_the_budget_is_not_even_read),
        cmocka_unit_test(many_keys_are_checked_quickly),
        cmocka_unit_test(u64_takes_exact_integers_only),
        cmocka_unit_test(built_documents_print_exact_numbers),
        cmocka_unit_test(threads_parse_at_once_with_budgets_of_their_own),
    };
    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
