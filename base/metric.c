/* The metrics' values and their text form. */
#include "base/metric.h"
#include "base/buf.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

static const struct series {
    enum kind kind;
    const char *name, *labels, *help;
} table[] = {
#define X(id, kind, name, labels, help) {kind, name, labels, help},
#include "base/metric.def"
#undef X
};

static const struct bound {
    int64_t us;
    const char *seconds;
} bounds[] = {
    {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"}, {25000, "0.025"},
    {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"}, {1000000, "1"},
    {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"},
};

/* Counters and gauges use `value`; histograms the rest, where the last bucket is +Inf. */
static struct {
    _Atomic uint64_t value;
    _Atomic uint64_t sum_us;
    _Atomic uint64_t buckets[ARRAY_LEN(bounds) + 1];
} values[METRIC_COUNT];

static void
add(_Atomic uint64_t *to, uint64_t n)
{
    (void)atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

void
metric_add(enum metric m, uint64_t n)
{
    must(m < METRIC_COUNT && table[m].kind == COUNTER);
    add(&values[m].value, n);
}

void
metric_set(enum metric m, uint64_t value)
{
    must(m < METRIC_COUNT && table[m].kind == GAUGE);
    atomic_store_explicit(&values[m].value, value, memory_order_relaxed);
}

static uint64_t
observations(enum metric m)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < ARRAY_LEN(values[m].buckets); i++)
        sum += atomic_load_explicit(&values[m].buckets[i], memory_order_relaxed);
    return sum;
}

uint64_t
metric_get(enum metric m)
{
    must(m < METRIC_COUNT);
    if (table[m].kind == HISTOGRAM)
        return observations(m);
    return atomic_load_explicit(&values[m].value, memory_order_relaxed);
}

void
metric_observe_us(enum metric m, int64_t us)
{
    must(m < METRIC_COUNT && table[m].kind == HISTOGRAM);
    size_t i = 0;

    while (i < ARRAY_LEN(bounds) && us > bounds[i].us)
        i++;
    add(&values[m].buckets[i], 1);
    add(&values[m].sum_us, us > 0 ? (uint64_t)us : 0);
}

/* The count is the sum of the buckets as printed, so that they agree while others add. */
static int
print_histogram(struct buf *ret, enum metric m)
{
    const char *name = table[m].name;
    uint64_t sum = 0;

    for (size_t i = 0; i < ARRAY_LEN(values[m].buckets); i++) {
        sum += atomic_load_explicit(&values[m].buckets[i], memory_order_relaxed);
        const char *le = i < ARRAY_LEN(bounds) ? bounds[i].seconds : "+Inf";
        int rc = buf_printf(ret, "%s_bucket{le=\"%s\"} %" PRIu64 "\n", name, le, sum);
        if (rc < 0)
            return rc;
    }
    uint64_t us = atomic_load_explicit(&values[m].sum_us, memory_order_relaxed);
    return buf_printf(ret, "%s_sum %" PRIu64 ".%06" PRIu64 "\n%s_count %" PRIu64 "\n", name,
                      us / 1000000, us % 1000000, name, sum);
}

static int
print_value(struct buf *ret, enum metric m)
{
    const struct series *s = &table[m];

    if (s->labels[0] == '\0')
        return buf_printf(ret, "%s %" PRIu64 "\n", s->name, metric_get(m));
    return buf_printf(ret, "%s{%s} %" PRIu64 "\n", s->name, s->labels, metric_get(m));
}

int
metric_print(struct buf *ret)
{
    const char *last_name = "";

    for (size_t i = 0; i < METRIC_COUNT; i++) {
        const struct series *s = &table[i];
        int rc = 0;
        if (strcmp(s->name, last_name) != 0) {
            rc = buf_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", s->name, s->help, s->name,
                            kind_names[s->kind]);
        }
        if (rc < 0)
            return rc;
        last_name = s->name;
        rc = s->kind == HISTOGRAM ? print_histogram(ret, (enum metric)i)
                                  : print_value(ret, (enum metric)i);
        if (rc < 0)
            return rc;
    }
    return 0;
}
