/* Metrics: one line of metric.def is one series. Counters only rise; gauges are
 * set. Lock-free. Any thread. */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include "base/must.h"

struct buf;

enum metric {
#define X(id, kind, name, labels, help) M_##id,
#include "base/metric.def"
#undef X
    METRIC_COUNT
};

void metric_add(enum metric m, uint64_t n);
void metric_set(enum metric m, uint64_t value);
uint64_t metric_get(enum metric m);
/* Seconds histograms (kind HISTOGRAM): upper bounds .001 .0025 .005 .01 .025 ... 10. */
void metric_observe_us(enum metric m, int64_t us);
/* Prometheus text exposition format 0.0.4. */
CHECKED int metric_print(struct buf *ret);

#endif
