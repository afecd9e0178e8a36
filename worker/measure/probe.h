/*
 * probe - one convolution or Gemm of a network alone with its kind of neighbours: a network of a few nodes, made
 * for any number of channels in and out, of which only that layer's step is timed, with what it takes to bring its
 * input into the layout that it wants.
 */
#ifndef WORKER_MEASURE_PROBE_H
#define WORKER_MEASURE_PROBE_H

#include "worker/engine/fuse.h"

struct probe { /* what two layers have in common when they take equally long */
    bool gemm;
    bool first;     /* reads the network's input itself */
    bool depthwise; /* one filter a channel: as many in as out */
    bool act;
    int C, K; /* dense */
    int H, W; /* of the input */
    int groups;
    struct window win;
    bool in_fixed, out_fixed; /* no action changes the number of channels */
};

/* False: the unit is of another kind. in_fixed and out_fixed are the caller's. */
bool probe_of(const struct graph *g, const struct unit *u, struct probe *p);
bool probe_same(const struct probe *a, const struct probe *b);

/* Nanoseconds for `batch` images with these channels: the quartile of some runs, since what disturbs one only adds
 * to it. */
MUST_CHECK int probe_time(const struct probe *p, int in, int out, int batch, enum dtype type, double *ns,
                          struct err *e);

#endif
