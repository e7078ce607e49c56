#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "base/thread.h"
#include "tests/unit/base/unit.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* stderr goes into a pipe between these two, and what came out of it stands in said[]. */
static int kept_stderr, pipe_ends[2];
static char said[65536];

static void
listen_in(void)
{
    must(pipe2(pipe_ends, O_CLOEXEC) == 0);
    must(fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK) == 0);
    kept_stderr = dup(STDERR_FILENO);
    must(dup2(pipe_ends[1], STDERR_FILENO) >= 0);
}

static void
stop_listening(void)
{
    size_t len = 0;
    ssize_t n;
    must(dup2(kept_stderr, STDERR_FILENO) >= 0);
    fd_close(&kept_stderr);
    fd_close(&pipe_ends[1]);
    while ((n = read(pipe_ends[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    fd_close(&pipe_ends[0]);
}

static int
tear_down(void **state)
{
    (void)state;
    log_configure(LOG_INFO, false);
    return 0;
}

static void
a_line_is_time_level_event_message_and_fields(void **state)
{
    (void)state;
    listen_in();
    LOG(pull, LOG_S("path", "/v2/"), LOG_U("bytes", 17));
    stop_listening();
    assert_int_equal(said[10], 'T');
    assert_int_equal(said[23], 'Z');
    assert_string_equal(
        said + 24, " level=info event=pull msg=\"image pulled by a client\" path=/v2/ bytes=17\n");
}

static void
an_event_without_fields_is_a_line_too(void **state)
{
    (void)state;
    listen_in();
    LOG_PLAIN(stop);
    stop_listening();
    assert_string_equal(said + 24, " level=info event=stop msg=stopped\n");
}

static void
values_that_are_no_plain_word_are_quoted_and_escaped(void **state)
{
    (void)state;
    listen_in();
    LOG(pull, LOG_S("a", "two words"), LOG_S("b", ""), LOG_S("c", "x=y"),
        LOG_S("d", "line\nlevel=error \"q\" \xff"));
    stop_listening();
    assert_string_equal(
        said + 24, " level=info event=pull msg=\"image pulled by a client\" a=\"two words\" b=\"\" "
                   "c=\"x=y\" d=\"line\\x0alevel=error \\x22q\\x22 \\xff\"\n");
}

static void
json_lines_parse_and_give_the_same(void **state)
{
    (void)state;
    AUTO(json_free) cJSON *doc = NULL;
    uint64_t bytes = 0;
    log_configure(LOG_INFO, true);
    listen_in();
    LOG(pull, LOG_S("path", "a \"b\"\\\n"), LOG_U("bytes", 17), LOG_S("raw", "\xc3\xa4"));
    stop_listening();
    assert_int_equal(json_parse(said, strlen(said), &doc), 0);
    assert_int_equal(strlen(json_text(doc, "ts")), 24);
    assert_string_equal(json_text(doc, "level"), "info");
    assert_string_equal(json_text(doc, "event"), "pull");
    assert_string_equal(json_text(doc, "msg"), "image pulled by a client");
    assert_string_equal(json_text(doc, "path"), "a \"b\"\\\n");
    assert_int_equal(json_u64(doc, "bytes", &bytes), 0);
    assert_int_equal(bytes, 17);
    assert_non_null(json_text(doc, "raw"));
    assert_null(strchr(said, '\xc3')); /* plain ASCII only */
}

static void
levels_below_the_configured_one_are_silent(void **state)
{
    (void)state;
    log_configure(LOG_WARN, false);
    assert_false(log_enabled(LOG_EV_pull));
    assert_true(log_enabled(LOG_EV_guard));
    assert_true(log_enabled(LOG_EV_store_error));
    listen_in();
    LOG_PLAIN(stop);
    LOG_PLAIN(guard);
    stop_listening();
    assert_null(strstr(said, "event=stop"));
    assert_non_null(strstr(said, "level=warn event=guard"));
}

static void
a_line_is_bounded_and_says_what_was_cut(void **state)
{
    (void)state;
    static char big[10000];
    memset(big, 'x', sizeof(big) - 1);
    for (int json = 0; json < 2; json++) {
        AUTO(json_free) cJSON *doc = NULL;
        log_configure(LOG_INFO, json != 0);
        listen_in();
        LOG(pull, LOG_S("a", big), LOG_S("b", big), LOG_S("c", big), LOG_S("d", big),
            LOG_S("e", big), LOG_S("last", "small"));
        stop_listening();
        size_t len = strlen(said);
        assert_true(len <= 4096);
        assert_int_equal(said[len - 1], '\n');
        assert_ptr_equal(strchr(said, '\n'), said + len - 1);
        assert_non_null(
            strstr(said, json ? "\"last\":\"small\",\"cut\":1}\n" : " last=small cut=1\n"));
        assert_non_null(strstr(said, "xxx..."));
        assert_int_equal(json ? json_parse(said, len, &doc) : 0, 0);
    }
}

static void
values_of_every_length_leave_a_whole_line(void **state)
{
    (void)state;
    static char quotes[1200];
    memset(quotes, '"', sizeof(quotes));
    log_configure(LOG_INFO, true);
    for (size_t len = 500; len < sizeof(quotes); len += 7) {
        AUTO(json_free) cJSON *doc = NULL;
        quotes[len] = '\0';
        listen_in();
        LOG(pull, LOG_S("a", quotes), LOG_S("b", quotes), LOG_S("c", quotes), LOG_S("d", quotes));
        stop_listening();
        quotes[len] = '"';
        assert_int_equal(json_parse(said, strlen(said), &doc), 0);
    }
}

static void
a_line_filled_to_any_level_still_gets_its_end(void **state)
{
    (void)state;
    static char full[1001];
    static char part[1001];
    memset(full, 'x', sizeof(full) - 1);
    for (size_t len = 800; len < sizeof(part); len++) {
        AUTO(json_free) cJSON *doc = NULL;
        log_configure(LOG_INFO, true);
        memset(part, 'y', len);
        part[len] = '\0';
        listen_in();
        LOG(pull, LOG_S("a", full), LOG_S("b", full), LOG_S("c", full), LOG_S("d", part),
            LOG_S("never", full));
        stop_listening();
        assert_int_equal(json_parse(said, strlen(said), &doc), 0);
        assert_null(json_text(doc, "never"));
        assert_true(text_ends(said, ",\"cut\":1}\n"));
    }
}

#define LINES 100

static void
log_many(void *arg)
{
    const char *who = arg;
    for (int i = 0; i < LINES; i++)
        LOG(pull, LOG_S("who", who));
}

static void
lines_of_several_threads_do_not_mix(void **state)
{
    (void)state;
    struct thread other;
    static char word_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static char word_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    listen_in();
    assert_int_equal(thread_start(&other, "other", log_many, word_a), 0);
    log_many(word_b);
    thread_join(&other);
    stop_listening();
    int lines = 0;
    for (char *at = said; *at != '\0'; lines++) {
        char *end = strchr(at, '\n');
        must(end != NULL);
        *end = '\0';
        assert_true(text_ends(at, word_a) || text_ends(at, word_b));
        assert_int_equal(at[10], 'T');
        at = end + 1;
    }
    assert_int_equal(lines, 2 * LINES);
}

/* The first line of a process decides, hence children. */
static void
log_in_a_child(bool name_this_pipe)
{
    listen_in();
    pid_t child = fork();
    if (child == 0) {
        char stream[64];
        struct stat st;
        must(fstat(STDERR_FILENO, &st) == 0);
        must(text_printf(stream, sizeof(stream), "%" PRIu64 ":%" PRIu64, (uint64_t)st.st_dev,
                         (uint64_t)st.st_ino + (name_this_pipe ? 0 : 1)) == 0);
        must(setenv("JOURNAL_STREAM", stream, 1) == 0);
        LOG_PLAIN(guard);
        _exit(0);
    }
    assert_int_equal(waitpid(child, NULL, 0), child);
    stop_listening();
}

static void
the_journal_is_told_the_level_and_nobody_else(void **state)
{
    (void)state;
    log_in_a_child(true);
    assert_true(text_starts(said, "<4>2"));
    log_in_a_child(false);
    assert_true(text_starts(said, "2"));
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_journal_is_told_the_level_and_nobody_else), /* first: see there */
        TEST(a_line_is_time_level_event_message_and_fields),
        TEST(an_event_without_fields_is_a_line_too),
        TEST(values_that_are_no_plain_word_are_quoted_and_escaped),
        TEST(json_lines_parse_and_give_the_same),
        TEST(levels_below_the_configured_one_are_silent),
        TEST(a_line_is_bounded_and_says_what_was_cut),
        TEST(values_of_every_length_leave_a_whole_line),
        TEST(a_line_filled_to_any_level_still_gets_its_end),
        TEST(lines_of_several_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
