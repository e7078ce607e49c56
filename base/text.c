/* Numbers, sizes, durations, escapes and comparisons of text, by hand: the C
 * library's own accept signs, spaces and locales. */
#include "base/text.h"
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"KiB", 1ull << 10},
    {"MiB", 1ull << 20},
    {"GiB", 1ull << 30},
    {"TiB", 1ull << 40},
    {"KB", 1000},
    {"kB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"TB", 1000000000000},
};

/* Largest first: a duration names each at most once, in this order. */
static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static size_t
digits(const char *s)
{
    return strspn(s, "0123456789");
}

int
text_u64(const char *s, size_t len, uint64_t *ret)
{
    uint64_t v = 0;

    if (len == 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return ERR_SYNTAX;
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v))
            return ERR_SYNTAX;
    }
    *ret = v;
    return 0;
}

int
text_size(const char *s, uint64_t *ret_bytes)
{
    size_t len = digits(s);
    uint64_t v;

    if (text_u64(s, len, &v) < 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < ARRAY_LEN(size_units); i++) {
        if (strcmp(s + len, size_units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow(v, size_units[i].factor, &v))
            return ERR_SYNTAX;
        *ret_bytes = v;
        return 0;
    }
    return ERR_SYNTAX;
}

/* Index of the time unit that the `len` bytes name, at or behind `first`. */
static size_t
find_time_unit(const char *s, size_t len, size_t first)
{
    for (size_t i = first; i < ARRAY_LEN(time_units); i++) {
        if (strlen(time_units[i].name) == len && memcmp(time_units[i].name, s, len) == 0)
            return i;
    }
    return ARRAY_LEN(time_units);
}

int
text_duration(const char *s, int64_t *ret_ms)
{
    uint64_t sum = 0;
    size_t next_unit = 0;

    if (strcmp(s, "0") == 0) {
        *ret_ms = 0;
        return 0;
    }
    do {
        uint64_t v;
        size_t len = digits(s);
        size_t name_len = strcspn(s + len, "0123456789");
        size_t unit = find_time_unit(s + len, name_len, next_unit);
        if (unit == ARRAY_LEN(time_units) || text_u64(s, len, &v) < 0)
            return ERR_SYNTAX;
        if (__builtin_mul_overflow(v, time_units[unit].factor, &v) ||
            __builtin_add_overflow(sum, v, &sum) || sum > INT64_MAX)
            return ERR_SYNTAX;
        next_unit = unit + 1;
        s += len + name_len;
    } while (*s != '\0');
    *ret_ms = (int64_t)sum;
    return 0;
}

int
text_http_date(const char *s, int64_t *ret_s)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %e %H:%M:%S %Y"};
    s += strspn(s, " \t");
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(s, forms[i], &tm); /* in the locale C: nothing sets another */
        if (end == NULL || end[strspn(end, " \t\r\n")] != '\0')
            continue;
        *ret_s = timegm(&tm);
        return 0;
    }
    return ERR_SYNTAX;
}

void
text_print_size(uint64_t bytes, char ret[TEXT_SIZE_MAX])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    uint64_t tenths = 0;
    uint64_t whole = bytes;

    while (whole >= 1024) {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit++;
    }
    int rc = text_printf(ret, TEXT_SIZE_MAX, "%u %s", (unsigned)whole, names[unit]);
    if (tenths != 0) {
        rc = text_printf(ret, TEXT_SIZE_MAX, "%u.%u %s", (unsigned)whole, (unsigned)tenths,
                         names[unit]);
    }
    must(rc == 0); /* the longest is 1023.9 KiB */
}

void
text_print_duration(int64_t wait_ms, char ret[TEXT_SIZE_MAX])
{
    uint64_t left = wait_ms > 0 ? (uint64_t)wait_ms : 0;
    size_t unit = 0;

    while (unit + 1 < ARRAY_LEN(time_units) && left < time_units[unit].factor)
        unit++;
    must(time_units[unit].factor > 0);
    unsigned long long first = left / time_units[unit].factor;
    left %= time_units[unit].factor;
    unsigned long long second = 0;
    if (unit + 1 < ARRAY_LEN(time_units))
        second = left / time_units[unit + 1].factor;
    int rc = text_printf(ret, TEXT_SIZE_MAX, "%llu%s", first, time_units[unit].name);
    if (second != 0) {
        rc = text_printf(ret, TEXT_SIZE_MAX, "%llu%s%llu%s", first, time_units[unit].name, second,
                         time_units[unit + 1].name);
    }
    must(rc == 0); /* the longest is 106751991167d23h */
}

int
text_copy(char *ret, size_t cap, const char *s)
{
    must(cap > 0);
    size_t len = strnlen(s, cap);

    if (len == cap) {
        ret[0] = '\0';
        return ERR_LIMIT;
    }
    memmove(ret, s, len);
    ret[len] = '\0';
    return 0;
}

int
text_printf(char *ret, size_t cap, const char *fmt, ...)
{
    va_list args;

    must(cap > 0);
    va_start(args, fmt);
    int len = vsnprintf(ret, cap, fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= cap) {
        ret[0] = '\0';
        return ERR_LIMIT;
    }
    return 0;
}

static bool
plain(char c)
{
    return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
}

void
text_escape(char *ret, size_t cap, const char *s, size_t len)
{
    static const char cut[] = "...";
    must(cap >= sizeof(cut));
    size_t used = 0;
    size_t safe = 0; /* where "..." still fits behind a whole character */

    for (size_t i = 0; i < len; i++) {
        size_t need = plain(s[i]) ? 1 : 4;
        if (used + need >= cap) {
            memcpy(ret + safe, cut, sizeof(cut));
            return;
        }
        if (need == 1) {
            ret[used] = s[i];
        } else {
            memcpy(ret + used, "\\x", 2);
            char hex[3];
            text_hex(hex, s + i, 1);
            memcpy(ret + used + 2, hex, 2);
        }
        used += need;
        if (used + sizeof(cut) <= cap)
            safe = used;
    }
    ret[used] = '\0';
}

bool
text_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool
text_ends(const char *s, const char *suffix)
{
    size_t len = strlen(s);
    size_t tail = strlen(suffix);

    return len >= tail && memcmp(s + len - tail, suffix, tail) == 0;
}

static char
lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool
text_equal_nocase(const char *a, const char *b)
{
    while (*a != '\0' && lower(*a) == lower(*b)) {
        a++;
        b++;
    }
    return lower(*a) == lower(*b);
}

void
text_hex(char *ret, const void *bytes, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t *b = bytes;

    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = hex[b[i] >> 4];
        ret[2 * i + 1] = hex[b[i] & 15];
    }
    ret[2 * len] = '\0';
}

static int
nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int
text_unhex(void *ret, const char *hex, size_t len)
{
    uint8_t *b = ret;

    if (len % 2 != 0)
        return ERR_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        if (nibble(hex[i]) < 0)
            return ERR_SYNTAX;
    }
    for (size_t i = 0; i < len; i += 2)
        b[i / 2] = (uint8_t)(nibble(hex[i]) << 4 | nibble(hex[i + 1]));
    return 0;
}

const char *
text_plural(uint64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

/* Longest word that text_distance compares: setting names are shorter. */
#define WORD_MAX 64

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t
text_distance(const char *a, const char *b)
{
    size_t row[WORD_MAX + 1]; /* distances of a's prefix to each prefix of b */
    size_t a_len = strlen(a);
    size_t b_len = strlen(b);

    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return a_len > b_len ? a_len : b_len;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}
