/* peersync top: the node, drawn again each second over what was there, so that nothing flickers. It
 * fits the window at every moment; q or Ctrl-C ends it. */
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/cli.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define REDRAW_MS  1000
#define PULLS_SEEN 6
#define BAR        32 /* places of a transfer's bar; it has 96 cells */
#define ENTER      "\033[?1049h\033[?25l"
#define LEAVE      "\033[?25h\033[?1049l"

static volatile sig_atomic_t ended, resized;

static void
on_signal(int number)
{
    if (number == SIGWINCH)
        resized = 1;
    else
        ended = 1;
}

struct screen {
    struct termios before;
    bool keys; /* stdin is a terminal, and read key by key */
    bool colour;
    sigset_t wait_mask; /* signals come only while it waits */
    unsigned rows, columns;
};

static void
open_screen(struct screen *s)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t block;
    (void)sigemptyset(&block);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        (void)sigaddset(&block, wanted[i]);
        (void)sigaction(wanted[i], &act, NULL);
    }
    (void)sigprocmask(SIG_BLOCK, &block, &s->wait_mask);
    const char *no = getenv("NO_COLOR");
    s->colour = !no || !*no;
    s->keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &s->before) == 0;
    if (s->keys) {
        struct termios raw = s->before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    (void)fputs(ENTER, stdout);
}

static void
close_screen(const struct screen *s)
{
    if (s->keys)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
    (void)fputs(LEAVE, stdout);
    (void)fflush(stdout);
}

static void
measure(struct screen *s)
{
    struct winsize w = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 0 && w.ws_col > 0;
    s->rows = known ? w.ws_row : 24;
    s->columns = known ? w.ws_col : 80;
}

/* ---- what is told ---- */

static const char *
colour_of(char cell)
{
    switch (cell) {
    case 'd':
        return "\033[34m";
    case 'p':
        return "\033[32m";
    case 'r':
        return "\033[35m";
    case 'u':
        return "\033[33m";
    default:
        return "\033[90m";
    }
}

/* d: was on disk, p: from nodes of the site, r: from other sites, u: from upstream. */
static void
print_bar(const struct screen *s, const char *cells, FILE *to)
{
    size_t len = strlen(cells);
    char last = 0;
    for (size_t i = 0; i < BAR && len > 0; i++) {
        char cell = cells[i * len / BAR];
        if (s->colour && cell != last)
            (void)fputs(colour_of(cell), to);
        (void)fputc(cell, to);
        last = cell;
    }
    if (s->colour)
        (void)fputs("\033[0m", to);
}

static void
print_transfers(const struct screen *s, const cJSON *doc, FILE *to)
{
    const cJSON *one, *list = json_array(doc, "transfers");
    if (cJSON_GetArraySize(list) == 0) {
        (void)fputs("arriving    nothing\n", to);
        return;
    }
    (void)fputs("arriving    d disk, p nodes of the site, r other sites, u upstream\n", to);
    cJSON_ArrayForEach(one, list)
    {
        char size[TEXT_SIZE_MAX], speed[TEXT_SIZE_MAX];
        uint64_t whole = cli_number(one, "size_bytes"), have = cli_number(one, "have_bytes");
        text_print_size(whole, size);
        text_print_size(cli_number(one, "rate_bytes_s"), speed);
        (void)fputs("  ", to);
        print_bar(s, cli_text(one, "cells"), to);
        (void)fprintf(to, " %3u %% of %-10s %10s/s  ",
                      whole ? (unsigned)((double)have * 100.0 / (double)whole) : 0, size, speed);
        cli_transfer_print(one, to);
        (void)fprintf(to, " %.19s\n", cli_text(one, "digest"));
    }
}

static void
print_pulls(const cJSON *doc, FILE *to)
{
    const cJSON *one;
    unsigned seen = 0;
    if (cJSON_GetArraySize(json_array(doc, "pulls")) > 0)
        (void)fputs("pulls       the last ones, and why they took their time\n", to);
    cJSON_ArrayForEach(one, json_array(doc, "pulls"))
    {
        if (seen++ == PULLS_SEEN)
            return;
        cli_pull_print(one, to);
    }
}

/* ---- one picture ---- */

/* Lines, cut at the width; what is left of an old one is cleared behind it, but never from the end
 * of a full line: the cursor stands on its last letter still, which would go. */
static void
put_lines(const struct screen *s, const char *text)
{
    unsigned row = 0;
    (void)fputs("\033[H", stdout);
    while (*text && row < s->rows) {
        unsigned column = 0;
        bool escape = false;
        for (; *text && *text != '\n'; text++) {
            escape = escape || *text == '\033';
            if (escape || column < s->columns)
                (void)putchar(*text);
            column += !escape;
            escape = escape && *text != 'm';
        }
        text += *text == '\n';
        (void)fputs(s->colour ? "\033[0m" : "", stdout); /* where a bar was cut */
        (void)fputs(column < s->columns ? "\033[K" : "", stdout);
        if (++row < s->rows)
            (void)putchar('\n');
    }
    if (row < s->rows)
        (void)fputs("\033[J", stdout);
    (void)fflush(stdout);
}

static void
draw(struct screen *s, const cJSON *status, const cJSON *pulls)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    must(to != NULL);
    measure(s);
    cli_status_print(status, to);
    print_transfers(s, status, to);
    print_pulls(pulls, to);
    (void)fputs("q ends", to);
    (void)fclose(to);
    put_lines(s, text);
    free(text); /* open_memstream's, not mem's */
}

/* True when it is to end. */
static bool
wait_for_time(const struct screen *s)
{
    struct pollfd in = {.fd = s->keys ? STDIN_FILENO : -1, .events = POLLIN};
    struct timespec wait = {REDRAW_MS / 1000, (REDRAW_MS % 1000) * 1000000};
    char key = 0;
    int got = ppoll(&in, 1, &wait, &s->wait_mask);
    if (got > 0 && read(STDIN_FILENO, &key, 1) == 1 && (key == 'q' || key == 'Q'))
        ended = 1;
    return ended;
}

int
cli_top(const struct cli *cli)
{
    struct screen s = {0};
    int bad = 0;
    if (cli->json || cli->quiet || !isatty(STDOUT_FILENO))
        return cli_status(cli);
    open_screen(&s);
    do {
        AUTO(json_free) cJSON *status = NULL;
        AUTO(json_free) cJSON *pulls = NULL;
        bad = cli_get(cli, "/api/v1/status", &status);
        bad = bad ? bad : cli_find(cli, "/api/v1/pulls", &pulls);
        if (bad)
            break;
        do {
            resized = 0;
            draw(&s, status, pulls);
        } while (!wait_for_time(&s) && resized);
    } while (!ended);
    close_screen(&s);
    return bad;
}
