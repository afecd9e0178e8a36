/*
 * stats - what the dense network's convs put out, channel by channel, over the calibration images: known for those
 * that have no BN to say it (unfold.h).
 */
#ifndef WORKER_COMPRESS_STATS_H
#define WORKER_COMPRESS_STATS_H

#include "worker/compress/work.h"

/* Mean and variance of the C output channels of conv `node` of the dense network. */
struct channel_stats {
    int node, C;
    float *mean, *var; /* (C) each, owned */
};
struct stats_list {
    struct channel_stats *of;
    int n;
};
void stats_list_release(struct stats_list *s);

/* Zeroes for each of the n conv nodes of `g`. */
MUST_CHECK int stats_list_new(struct stats_list *s, const struct graph *g, const int *nodes, int n, struct err *e);

/* For each of the n conv nodes of cw->model; inference mode, images in order. */
MUST_CHECK int stats_measure(const struct compress_work *cw, const int *nodes, int n, struct stats_list *l,
                             struct err *e);

#endif
