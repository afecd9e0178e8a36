/*
 * latency - how long one network takes beside another, by the clock.
 *
 * Both run in one process on the calling thread, on the same images, in pairs whose order changes from pair to pair
 * (ABBAAB ...), so that whatever slows the machine down meanwhile falls on both. The thread's own clock is read, which
 * stands still while another process has the CPU: with nothing else running it is the clock on the wall. A network too
 * fast for it runs several times in a row for one figure. The ratio is the median of the pairs' ratios, the spread
 * the distance between their quartiles.
 */
#ifndef WORKER_MEASURE_LATENCY_H
#define WORKER_MEASURE_LATENCY_H

#include "common/model/weights.h"
#include "worker/engine/engine.h"

struct measured {
    double ms, dense_ms; /* medians, for one batch */
    double ratio, spread;
    int pairs;
};

struct measuring { /* how to */
    int batch;
    enum dtype type;
    int pairs;       /* at most */
    int64_t most_ns; /* no new pair after that, once there are MEASURING_LEAST */
    /* Before each pair; an error ends it. NULL: none. */
    int (*progress)(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e);
    void *arg;
};

#define MEASURING_LEAST 7

/* `m` beside `dense`; both have the same input. */
MUST_CHECK int measure_latency(const struct model *dense, const struct model *m, const struct measuring *how,
                               struct measured *out, struct err *e);

/* The value at `part` (0..1) of the way through n > 0 numbers, which are put in order. */
double measure_quantile(double *x, int n, double part);

/* Standard normal numbers for a network's input; ERR_NOMEM. */
MUST_CHECK int measure_images(const struct graph *g, int batch, float **x, struct err *e);

#endif
