/*
 * stats - what values of the dense network are like, channel by channel, over the calibration images (unfold.h says
 * which and what for).
 */
#ifndef WORKER_COMPRESS_STATS_H
#define WORKER_COMPRESS_STATS_H

#include "worker/compress/work.h"

/* Mean and variance of the C channels of node `node`'s value in the dense network. */
struct channel_stats {
    int node, C;
    float *mean, *var; /* (C) each, owned */
};
struct stats_list {
    struct channel_stats *of;
    int n;
};
void stats_list_release(struct stats_list *s);

/* Zeroes for each of the n nodes of `g`. */
MUST_CHECK int stats_list_new(struct stats_list *s, const struct graph *g, const int *nodes, int n, struct err *e);

/*
 * For each of the n nodes of cw->model, in inference mode. The same numbers with any number of threads. ERR_INVALID
 * without images.
 */
MUST_CHECK int stats_measure(const struct compress_work *cw, const int *nodes, int n, struct stats_list *l,
                             struct err *e);

#endif
