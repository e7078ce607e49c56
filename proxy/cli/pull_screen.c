/*
 * The progress of a pull. On a terminal a line for each blob and a total, redrawn in
 * place; elsewhere a line when a blob ends and a summary every SUMMARY_MS, without
 * control codes. Colours are not used at all.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "proxy/cli/pull.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_MS  100
#define SUMMARY_MS 10000
#define BAR_WIDTH  24
#define SHORT_HEX  19

enum mode { MODE_NONE, MODE_PLAIN, MODE_TTY };

struct pull_screen {
    const struct pull *pull;
    enum mode mode;
    unsigned drawn; /* lines above the cursor that are ours */
    int64_t next_ms;
};

struct sum {
    uint64_t have, size;
    size_t ended, failed;
};

static enum mode
choose_mode(const struct cli *cli)
{
    bool tty = isatty(STDOUT_FILENO);
    const char *term = getenv("TERM");
    switch (cli->progress) {
    case CLI_PROGRESS_AUTO:
        if (cli->quiet || cli->json)
            return MODE_NONE;
        return tty && term && strcmp(term, "dumb") != 0 ? MODE_TTY : MODE_PLAIN;
    case CLI_PROGRESS_TTY:
        return MODE_TTY;
    case CLI_PROGRESS_PLAIN:
        return MODE_PLAIN;
    case CLI_PROGRESS_NONE:
        return MODE_NONE;
    }
    never("progress");
}

struct pull_screen *
pull_screen_open(const struct pull *p)
{
    struct pull_screen *s = mem_zalloc(sizeof *s);
    s->pull = p;
    s->mode = choose_mode(p->cli);
    s->next_ms = clock_ms() + (s->mode == MODE_PLAIN ? SUMMARY_MS : 0);
    return s;
}

/* ---- words ---- */

static struct sum
sum_up(const struct pull *p)
{
    struct sum t = {0};
    for (size_t i = 0; i < p->count; i++) {
        const struct pull_blob *b = &p->blobs[i];
        bool cached = b->state == PULL_CACHED;
        t.size += b->size;
        t.have += cached ? b->size : b->have;
        t.ended += cached || b->state == PULL_DONE || b->state == PULL_FAILED;
        t.failed += b->state == PULL_FAILED;
    }
    return t;
}

static uint64_t
rate(uint64_t bytes, int64_t took_ms)
{
    return took_ms > 0 ? bytes * 1000 / (uint64_t)took_ms : 0;
}

static uint64_t
received(const struct pull *p)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < p->count; i++)
        bytes += p->blobs[i].have;
    return bytes;
}

static void
total_line(const struct pull *p, char *ret, size_t cap)
{
    struct sum t = sum_up(p);
    uint64_t bytes_s = rate(received(p), clock_ms() - p->started_ms);
    char have[TEXT_SIZE_MAX], size[TEXT_SIZE_MAX], speed[TEXT_SIZE_MAX], left[TEXT_SIZE_MAX];
    text_print_size(t.have, have);
    text_print_size(t.size, size);
    text_print_size(bytes_s, speed);
    uint64_t left_s = bytes_s && t.size > t.have ? (t.size - t.have) / bytes_s + 1 : 0;
    text_print_duration((int64_t)left_s * 1000, left);
    (void)snprintf(ret, cap, "total %zu/%zu blobs, %s of %s, %s/s%s%s", t.ended, p->count, have,
                   size, speed, left_s ? ", left " : "", left_s ? left : "");
}

static const char *
bar(const struct pull_blob *b, char ret[BAR_WIDTH + 1])
{
    uint64_t full = b->state == PULL_DONE || b->state == PULL_CACHED ? BAR_WIDTH
                    : b->size                                        ? b->have * BAR_WIDTH / b->size
                                                                     : 0;
    for (size_t i = 0; i < BAR_WIDTH; i++)
        ret[i] = i < full ? '=' : ' ';
    ret[BAR_WIDTH] = 0;
    return ret;
}

static void
blob_line(const struct pull_blob *b, char *ret, size_t cap)
{
    char size[TEXT_SIZE_MAX], have[TEXT_SIZE_MAX], speed[TEXT_SIZE_MAX], filled[BAR_WIDTH + 1];
    int64_t until_ms = b->ended_ms ? b->ended_ms : clock_ms();
    text_print_size(b->size, size);
    text_print_size(b->have, have);
    text_print_size(rate(b->have, until_ms - b->started_ms), speed);
    switch (b->state) {
    case PULL_WAITING:
        (void)snprintf(ret, cap, "%.*s [%s] %s, waits", SHORT_HEX, b->digest, bar(b, filled), size);
        return;
    case PULL_CACHED:
        (void)snprintf(ret, cap, "%.*s [%s] %s, was cached", SHORT_HEX, b->digest, bar(b, filled),
                       size);
        return;
    case PULL_RUNNING:
        (void)snprintf(ret, cap, "%.*s [%s] %s of %s, %s/s", SHORT_HEX, b->digest, bar(b, filled),
                       have, size, speed);
        return;
    case PULL_DONE:
        (void)snprintf(ret, cap, "%.*s [%s] %s, %s/s", SHORT_HEX, b->digest, bar(b, filled), size,
                       speed);
        return;
    case PULL_FAILED:
        (void)snprintf(ret, cap, "%.*s FAILED: %s", SHORT_HEX, b->digest, b->why);
        return;
    }
    never("pull state");
}

/* ---- terminal ---- */

static void
window(size_t *ret_columns, size_t *ret_rows)
{
    struct winsize w = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 10 && w.ws_row > 3;
    *ret_columns = known ? w.ws_col : 80;
    *ret_rows = known ? w.ws_row : 24;
}

/* A line that never wraps, or the next picture would begin at the wrong place. */
static void
draw_line(struct pull_screen *s, const char *line, size_t columns)
{
    (void)printf("\033[2K%.*s\n", (int)(columns - 1), line);
    s->drawn++;
}

static void
draw(struct pull_screen *s)
{
    char line[512];
    size_t columns, rows;
    window(&columns, &rows);
    if (s->drawn)
        (void)printf("\033[%uA", s->drawn);
    s->drawn = 0;
    /* With more blobs than rows those that wait or have ended are left out. */
    bool all = s->pull->count + 2 < rows;
    for (size_t i = 0; i < s->pull->count && s->drawn + 2 < rows; i++) {
        const struct pull_blob *b = &s->pull->blobs[i];
        if (!all && b->state != PULL_RUNNING && b->state != PULL_FAILED)
            continue;
        blob_line(b, line, sizeof line);
        draw_line(s, line, columns);
    }
    total_line(s->pull, line, sizeof line);
    draw_line(s, line, columns);
    (void)printf("\033[J");
    (void)fflush(stdout);
}

/* ---- both ---- */

static void
print_line(const char *line)
{
    (void)puts(line);
    (void)fflush(stdout);
}

void
pull_screen_tick(void *screen, const struct pull_blob *ended)
{
    struct pull_screen *s = screen;
    char line[512];
    if (s->mode == MODE_PLAIN && ended) {
        blob_line(ended, line, sizeof line);
        print_line(line);
    }
    if (s->mode == MODE_NONE || clock_ms() < s->next_ms)
        return;
    if (s->mode == MODE_TTY) {
        draw(s);
        s->next_ms = clock_ms() + REDRAW_MS;
        return;
    }
    total_line(s->pull, line, sizeof line);
    print_line(line);
    s->next_ms = clock_ms() + SUMMARY_MS;
}

void
pull_screen_close(struct pull_screen *s)
{
    if (s->mode == MODE_TTY) {
        draw(s);
    } else if (s->mode == MODE_PLAIN) {
        char line[512];
        total_line(s->pull, line, sizeof line);
        print_line(line);
    }
    mem_free(s);
}
